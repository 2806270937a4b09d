/**
 * Makes the pictures of the documentation: real sessions in a terminal, in the dashboard, and on
 * the page in Chromium. A text picture (SVG) comes from `readScreen()`.
 *
 *     deno run -A docs/pictures.ts              # all
 *     deno run -A docs/pictures.ts terminal     # or: top, web
 *
 * @module
 */
import {
  createSession,
  deleteSession,
  listSessions,
  readScreen,
  sendKeys,
  waitFor,
} from "../mod.ts";
import { CHROMIUM, openBrowser } from "../tests/web/browser.ts";
import { folderOf } from "../web/gate.ts";
import { startServer } from "../web/server.ts";
import { startDemo } from "./demo_sessions.ts";
import { drawScreen } from "./draw_screen.ts";

/** It is read in the pictures, so it is always the same. */
const FOLDER = "/tmp/demo";
const PROJECT = new URL("..", import.meta.url).pathname;

/** Saves a picture. */
function save(name: string, data: string | Uint8Array): void {
  const bytes = typeof data === "string"
    ? new TextEncoder().encode(data)
    : data;
  Deno.writeFileSync(new URL(name, import.meta.url), bytes);
  console.log(`docs/${name}: ${Math.round(bytes.length / 1024)} KB`);
}

/** `terminal.svg`: a program in a terminal session. */
async function terminal(): Promise<void> {
  const root = `${FOLDER}/terminal`;
  const [columns, rows] = [88, 20];
  // deno-fmt-ignore
  const command = ["vim", "-u", "NONE", "-c", "syntax on", "-c", "set bg=dark nu ruler nowrap nomodeline", "process/reaper.ts"];
  const { id } = await createSession({
    ...{ root, id: "review", kind: "pty", command, columns, rows },
    cwd: PROJECT,
  });
  try {
    const options = { root, timeoutMs: 10_000 };
    await waitFor(id, { for: "screen", pattern: /The reaper/ }, options);
    const keys = ["5", "j", "v", "4", "j"].map((key) => ({ key }));
    await sendKeys(id, keys, { root });
    await waitFor(id, { for: "idle", idleMs: 300 }, options);
    const { lines } = await readScreen(id, { root, ansi: true });
    const title = "codex-session attach review";
    save("terminal.svg", drawScreen(lines, { columns, title }));
  } finally {
    await endAll(root);
  }
}

/** `top.svg`: the dashboard, which runs in a session itself. */
async function top(demo: string): Promise<void> {
  const root = `${FOLDER}/top`;
  const [columns, rows] = [120, 28];
  const { id } = await createSession({
    ...{ root, id: "top", kind: "pty", columns, rows },
    command: [Deno.execPath(), "run", "-A", `${PROJECT}cli.ts`, "top"],
    env: {
      CODEX_SESSION_HOME: demo,
      TERM: "xterm-256color",
      COLORTERM: "",
      NO_COLOR: "",
    },
  });
  try {
    const options = { root, timeoutMs: 20_000 };
    await waitFor(id, { for: "screen", pattern: /Esc cancels/ }, options);
    await waitFor(id, { for: "idle", idleMs: 500 }, options);
    const { lines } = await readScreen(id, { root, ansi: true });
    const title = "codex-session top";
    save("top.svg", drawScreen(lines, { columns, title }));
  } finally {
    await endAll(root);
  }
}

/** `web.png` and the phone's pictures: the page. */
async function web(root: string): Promise<void> {
  if (CHROMIUM === undefined) {
    return console.log("There is no Chromium: no pictures of the page");
  }
  const server = startServer({
    ...{ root, host: "127.0.0.1", port: 0, home: `${FOLDER}/shop` },
    ...{ version: "0.1.0", readOnly: false, report: console.error },
  });
  const { port, token } = server;
  const origin = `http://127.0.0.1:${port}`;
  const url = `${origin}${folderOf(token!)}/`;
  try {
    await using browser = await openBrowser();
    const page = await browser.page(`${origin}/?token=${token}`, {
      width: 1200,
      height: 760,
    });
    const shows = (text: string) =>
      page.waitForFunction(
        `document.body.innerText.includes(${JSON.stringify(text)})`,
      );
    const take = async (name: string) => {
      // What is shown is drawn a moment later.
      await new Promise((wake) => setTimeout(wake, 600));
      save(name, await page.screenshot({ type: "png" }));
    };
    const useColors = (value: "light" | "dark") =>
      page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    await useColors("light");
    await shows("fix-login");
    await page.goto(`${url}#/fix-login`);
    await shows("Esc cancels");
    await take("web.png");
    await page.setViewport({
      ...{ width: 360, height: 740, isMobile: true, hasTouch: true },
    });
    await useColors("dark");
    await page.goto(url);
    await page.reload();
    await shows("changelog");
    await take("phone-list.png");
    await page.goto(`${url}#/fix-login`);
    await shows("Take over");
    const [button] = await page.$$("xpath/.//button[text()='Take over']");
    await button!.click();
    await shows("Only look");
    await take("phone.png");
    for (const error of browser.errors) console.error(error);
  } finally {
    await server.stop();
  }
}

/** Ends and deletes all sessions. */
async function endAll(root: string): Promise<void> {
  for (const { id } of await listSessions({ root })) {
    await deleteSession(id, { root, force: true, graceMs: 500 });
  }
}

const PICTURES: Readonly<Record<string, (demo: string) => Promise<void>>> = {
  terminal,
  top,
  web,
};

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(PICTURES);
  const wrong = names.find((name) => PICTURES[name] === undefined);
  if (wrong !== undefined) throw new Error(`There is no picture ${wrong}`);
  Deno.mkdirSync(FOLDER, { mode: 0o700 });
  try {
    const demo = await startDemo(FOLDER, { columns: 100, rows: 34 });
    try {
      for (const name of names) await PICTURES[name]!(demo);
    } finally {
      await endAll(demo);
    }
  } finally {
    Deno.removeSync(FOLDER, { recursive: true });
  }
}
