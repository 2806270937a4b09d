/**
 * A real browser for the tests of the page: Chromium from Debian, driven by puppeteer over a pipe.
 * The pipe matters: when a test is killed, Chromium reads its end and leaves.
 *
 * @module
 */
import puppeteer, { type Browser, type Page } from "npm:puppeteer-core@25.16.0";

/** Where Debian has it; undefined where there is none: then the tests are skipped. */
export const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
  (path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  },
);

/** A browser with a profile of its own, and the pages' errors. */
export interface OpenBrowser extends AsyncDisposable {
  readonly browser: Browser;
  /** A page; whatever it logs as an error, throws or blocks by its policy is collected. */
  page(
    url: string,
    size?: { readonly width: number; readonly height: number },
  ): Promise<Page>;
  /** What went wrong in any page; a test asserts that it is empty. */
  readonly errors: string[];
}

/** Starts one. */
export async function openBrowser(): Promise<OpenBrowser> {
  const home = Deno.makeTempDirSync({ prefix: "browser-" });
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM!,
    headless: true,
    pipe: true,
    userDataDir: `${home}/profile`,
    // Root may not use the sandbox, and it shows our own pages only.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-extensions",
    ],
    env: {
      ...Deno.env.toObject(),
      HOME: home,
      XDG_CONFIG_HOME: home,
      XDG_CACHE_HOME: home,
    },
  });
  const errors: string[] = [];
  return {
    browser,
    errors,
    async page(url, size = { width: 1000, height: 700 }) {
      const page = await browser.newPage();
      await page.setViewport(size);
      page.on("pageerror", (e) => errors.push(String(e)));
      page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
      await page.goto(url);
      return page;
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await Deno.remove(home, { recursive: true });
    },
  };
}
