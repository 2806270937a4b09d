/**
 * The page as its user has it, from end to end: the command `web`, real sessions, a real browser.
 *
 * @module
 */
import { sendKeys } from "../../client/terminal.ts";
import { listSessions } from "../../session/find.ts";
import { createSession } from "../../session/create.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  startCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { CHROMIUM, type OpenBrowser, openBrowser } from "./browser.ts";

type Page = Awaited<ReturnType<OpenBrowser["page"]>>;

/** A browser, the command `web`, and its sessions. */
class Stage implements AsyncDisposable {
  readonly root = new TestRoot();
  #child: Deno.ChildProcess | undefined;
  #told = { url: "", readOnlyUrl: "", port: 0 };

  private constructor(readonly browser: OpenBrowser) {}

  static async open(browser: OpenBrowser): Promise<Stage> {
    const stage = new Stage(browser);
    await stage.serve();
    return stage;
  }

  get url(): string {
    return this.#told.url;
  }

  /** Starts the server, later again on the same port. */
  async serve(): Promise<void> {
    const port = String(this.#told.port);
    const args = ["web", "--json", "--port", port];
    const child = startCli(this.root.dir, args);
    this.#child = child;
    child.stdin.close();
    child.stderr.cancel();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await lines.read();
    lines.cancel();
    this.#told = JSON.parse(value!);
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
    this.#child = undefined;
  }

  /** A session with a terminal. */
  async terminal(id: string, script: string): Promise<void> {
    const command = ["sh", "-c", script];
    await createSession({ root: this.root.dir, id, kind: "pty", command });
  }

  /** A tab with cookies of its own, at a session or the list. */
  async tab(
    id = "",
    { looks = false, width = 1000, height = 700 } = {},
  ): Promise<Page> {
    const { errors } = this.browser;
    const url = looks ? this.#told.readOnlyUrl : this.url;
    const { origin } = new URL(url);
    const context = await this.browser.browser.createBrowserContext();
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    // A violation of the policy comes as such an error, too.
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) {
        errors.push(`It asks for ${request.url()}`);
      }
    });
    const isMobile = width < 500;
    await page.setViewport({ width, height, isMobile, hasTouch: isMobile });
    await page.goto(id === "" ? url : `${url}#/${id}`);
    return page;
  }

  async closeTabs(): Promise<void> {
    const { browser } = this.browser;
    const own = browser.browserContexts().filter(({ id }) => id !== undefined);
    await Promise.all(own.map((context) => context.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.root[Symbol.asyncDispose]();
  }
}

/** Asks for the line that it reads, and shows it. */
const READER =
  'stty -echo; echo ready; while read -r x; do echo "got $x"; done';
const SCREEN =
  `[...document.querySelectorAll(".xterm-rows > div")].map((row) => row.textContent.trimEnd()).join("\\n").trim()`;
const WORD = `document.querySelector(".session-word")?.textContent ?? ""`;
const FACTS = `document.querySelector("#facts").innerText`;
const LIST = `document.querySelector("#list").innerText`;

/** Waits until what the expression gives in the page matches. */
async function shows(
  page: Page,
  expression: string,
  pattern: RegExp,
): Promise<string> {
  let seen = "";
  await until(async () => {
    seen = String(await page.evaluate(expression));
    return pattern.test(seen);
  }, String(pattern)).catch(() => {});
  assertMatch(seen, pattern);
  return seen;
}

async function typeInto(page: Page, text: string): Promise<void> {
  await page.waitForSelector(".xterm-helper-textarea");
  await page.focus(".xterm-helper-textarea");
  await page.keyboard.type(text);
}

const TESTS: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "a session is started, used, stopped and deleted on a phone": async (
    stage,
  ) => {
    const page = await stage.tab("", { width: 360, height: 740 });
    const fits = async () => {
      const width = "document.documentElement.scrollWidth";
      assertEquals(await page.evaluate(width), 360);
    };
    await page.waitForSelector("#new:not([hidden])");
    assert(!page.url().includes("token"), page.url());
    const [cookie] = await page.browserContext().cookies();
    assertEquals([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"]);

    await page.tap("#new");
    const field = "[open] :is([name=prompt], [name=command]):focus";
    await page.waitForSelector(field);
    await page.select("[open] [name=agent]", "");
    await page.type("[open] [name=command]", `sh -c '${READER}'`);
    await fits();
    await page.tap("[open] [type=submit]");
    await shows(page, SCREEN, /^ready$/);
    await fits();
    await typeInto(page, "one\n");
    await shows(page, SCREEN, /^ready\ngot one$/);
    await fits();

    await page.tap("[data-action=stop]");
    await fits();
    await page.tap("[open] [type=submit]");
    await shows(page, WORD, /^Ended: stopped/);
    await shows(page, SCREEN, /got one/);
    await page.tap("[data-action=delete]");
    await page.tap("[open] [type=submit]");
    await page.waitForFunction(`!document.querySelector(".row")`);
    const { dir } = stage.root;
    assertEquals(await listSessions({ root: dir }), []);
    await fits();
  },

  "two viewers see the same, also after the server was killed": async (
    stage,
  ) => {
    await stage.terminal("both", READER);
    const [one, two] = [await stage.tab("both"), await stage.tab("both")];
    const bothShow = async (pattern: RegExp) => {
      const screen = await shows(one, SCREEN, pattern);
      await shows(two, SCREEN, pattern);
      assertEquals(await two.evaluate(SCREEN), screen);
    };
    await bothShow(/^ready$/);
    await typeInto(one, "by one\n");
    await bothShow(/^ready\ngot by one$/);
    await typeInto(two, "by two\n");
    await bothShow(/^ready\ngot by one\ngot by two$/);

    await stage.kill();
    await shows(one, WORD, /^Connection lost/);
    await shows(two, WORD, /^Connection lost/);
    const keys = [{ text: "meanwhile" }, { key: "enter" }] as const;
    await sendKeys("both", keys, { root: stage.root.dir });
    await stage.serve();
    for (const page of [one, two]) await page.goto(`${stage.url}#/both`);
    await bothShow(/^ready\ngot by one\ngot by two\ngot meanwhile$/);
    await typeInto(one, "after\n");
    await bothShow(/got after$/);
    // Attempts have failed in between.
    const { errors } = stage.browser;
    const others = errors.filter((error) =>
      !/CONNECTION_REFUSED|Authentication|401/.test(error)
    );
    errors.splice(0, errors.length, ...others);
  },

  "a read-only page is refused by the server, whatever it asks for": async (
    stage,
  ) => {
    await stage.terminal("kept", READER);
    const page = await stage.tab("", { looks: true });
    await shows(page, LIST, /kept/);
    const statuses = await page.evaluate(`Promise.all([
      ["delete", { id: "kept", force: true }],
      ["send", { id: "kept", text: "no" }],
      ["start", { command: ["true"] }],
    ].map(async ([action, args]) => {
      const headers = { "content-type": "application/json" };
      const body = JSON.stringify(args);
      const options = { method: "POST", headers, body };
      return (await fetch("api/" + action, options)).status;
    }))`);
    assertEquals(statuses, [403, 403, 403]);
    await page.evaluate(`new Promise((resolve, reject) => {
      const page = location.href.replace("http", "ws");
      const socket = new WebSocket(new URL("api/attach?id=kept", page));
      socket.onmessage = () => {
        socket.send(new TextEncoder().encode("no\\r"));
        resolve();
      };
      socket.onerror = reject;
    })`);
    const owner = await stage.tab("kept");
    await shows(owner, SCREEN, /^ready$/);
    await typeInto(owner, "yes\n");
    assertEquals(await shows(owner, SCREEN, /yes/), "ready\ngot yes");
    const { errors } = stage.browser;
    // The browser tells each refusal.
    assertEquals(errors.splice(0).filter((error) => !/403/.test(error)), []);
  },

  "what a program says of itself is text": async (stage) => {
    const hostile =
      `<script>hacked = 1</script><img src=x onerror="hacked = 1">`;
    const message = new TextEncoder().encode(hostile).toBase64();
    const says = String
      .raw`\033]2;%s\007\033]7501;state=blocked:msg=${message}\033\\%s`;
    const script = `printf '${says}' '${hostile}' '${hostile}'; read x`;
    await stage.terminal("hostile", script);
    const page = await stage.tab("hostile");
    await shows(page, LIST, /blocked: <script>hacked = 1<\/script><img/);
    await shows(page, SCREEN, /^<script>hacked = 1<\/script><img/);
    await page.click(".view h2 button");
    await shows(page, FACTS, /Title\s+<script>/);
    const found =
      `[typeof hacked, document.scripts.length, document.querySelectorAll("main img").length]`;
    assertEquals(await page.evaluate(found), ["undefined", 1, 0]);
  },
};

Deno.test({
  name: `the command web in a browser${CHROMIUM ? "" : " (needs Chromium)"}`,
  ignore: CHROMIUM === undefined,
  async fn(t) {
    await using browser = await openBrowser();
    await using stage = await Stage.open(browser);
    for (const [name, test] of Object.entries(TESTS)) {
      await t.step(name, async () => {
        await test(stage);
        assertEquals(browser.errors, []);
      });
      await stage.closeTabs();
      browser.errors.length = 0;
    }
  },
});
