/**
 * `web`: from a key in the browser to its echo, the first paint of the list, and what the server
 * costs while nothing happens.
 *
 * @module
 */
import { sendKeys } from "../client/terminal.ts";
import { createSession } from "../session/create.ts";
import { Browser, type Page } from "./browser.ts";
import { fill } from "./list.ts";
import {
  atMost,
  Bench,
  BUNDLE,
  type Call,
  denoRun,
  type Effort,
  fillCaches,
  interleave,
  loadOf,
  median,
  medianRatio,
  pssOf,
  quantile,
  type Table,
} from "./measure.ts";
import { folderOf } from "../web/gate.ts";
import { OURS } from "./terminal_peers.ts";
import { Window } from "./window.ts";

const sleep = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Letters that the page takes for no command, each of which is seen. */
const KEYS = "qvwy";
/** Keys in a row; they fit on one line. */
const BATCH = 40;

/** A server of the page, as users start it. */
class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(
    child: Deno.ChildProcess,
    readonly url: string,
    readonly origin: string,
    /** The address of the page, without the token. */
    readonly page: string,
    readonly cookie: string,
  ) {
    this.#child = child;
  }

  static async start(env: Call["env"]): Promise<Server> {
    const [program = "", ...args] = denoRun(
      ...[BUNDLE, "web", "--port", "0", "--json"],
    );
    const child = new Deno.Command(program, {
      ...{ args, env, stdin: "null", stdout: "piped", stderr: "null" },
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.endsWith("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error("The server has ended");
      text += value;
    }
    lines.cancel();
    const { url, port, token } = JSON.parse(text);
    const cookie = `codex_session=${token}`;
    const origin = `http://127.0.0.1:${port}`;
    const page = `${origin}${folderOf(token)}/`;
    return new Server(child, url, origin, page, cookie);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}

/** How the page does. */
export async function web(effort: Effort): Promise<Table[]> {
  const echoed = await echo(effort);
  return [echoed, await firstPaint(effort), await idle(effort)];
}

/** Notes when a key is pressed, and when the page's terminal shows something new. */
const WATCH_ECHO = `
const rows = document.querySelector(".xterm-rows");
globalThis.echoes = [];
let pressedAt, before;
addEventListener("keydown", () => {
  before = rows.textContent;
  pressedAt = performance.now();
}, true);
new MutationObserver(() => {
  if (pressedAt === undefined || rows.textContent === before) return;
  echoes.push(performance.now() - pressedAt);
  pressedAt = undefined;
}).observe(rows, { childList: true, subtree: true, characterData: true });
document.querySelector(".xterm-helper-textarea").focus();
`;

/** The page's terminal, once it is there. */
async function openTerminal(
  browser: Browser,
  server: Server,
  id: string,
): Promise<Page> {
  const page = await browser.open();
  await page.goTo(server.url);
  await page.goTo(`${server.page}#/${id}`);
  await waitFor(page, `document.querySelector(".xterm-rows")`);
  await sleep(1000); // It draws.
  await page.evaluate(WATCH_ECHO);
  return page;
}

/** Waits until an expression is true in a page. */
async function waitFor(page: Page, expression: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!await page.evaluate(`Boolean(${expression})`)) {
    if (performance.now() > end) throw new Error(`Waited for ${expression}`);
    await sleep(20);
  }
}

async function echo(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  fillCaches(bench);
  // A session for each: the client that types decides about the size of the window.
  for (const id of ["window", "socket", "page"]) {
    await OURS.start(bench, id, ["cat"]);
  }
  await using server = await Server.start(bench.env);
  await using stack = new AsyncDisposableStack();
  const times: Record<string, number[]> = {};
  const measured: Record<string, () => Promise<number>> = {};
  const add = (
    title: string,
    press: (letter: string) => Promise<number>,
    newLine: () => unknown,
  ) => {
    measured[title] = async () => {
      const batch: number[] = [];
      for (let i = 0; i < BATCH; i++) {
        batch.push(await press(KEYS[i % KEYS.length]!));
        // Not in step with the browser's frames.
        await sleep(5 + Math.random() * 20);
      }
      await newLine();
      await sleep(50);
      (times[title] ??= []).push(...batch);
      return median(batch);
    };
  };

  const terminal = stack.use(
    await Window.open(bench, OURS.attach(bench, "window")),
  );
  await sleep(1000);
  add("floor: `attach` in a window", async (letter) => {
    await terminal.settle(0);
    return terminal.timeEcho(letter);
  }, () => terminal.type("\x15"));

  const socket = await openSocket(server, "socket");
  stack.defer(() => socket.close());
  add(
    "a WebSocket of `web`",
    (letter) => echoOn(socket, letter),
    () => socket.send(new Uint8Array([0x15])),
  );

  const browser = await Browser.start(bench);
  if (browser !== undefined) {
    stack.use(browser);
    const page = await openTerminal(browser, server, "page");
    add("the page in Chromium", async (letter) => {
      const count = Number(await page.evaluate("echoes.length"));
      await page.press(letter);
      await waitFor(page, `echoes.length > ${count}`);
      return Number(await page.evaluate("echoes.at(-1)"));
    }, () => sendKeys("page", [{ key: "ctrl-u" }], { root: bench.root }));
  }
  await interleave(1, measured);
  for (const values of Object.values(times)) values.length = 0;
  const rounds = effort.pick(8, 3);
  await interleave(rounds, measured);
  return {
    title: `web: milliseconds from a key to its echo, ${
      rounds * BATCH
    } keys each`,
    columns: ["cat", "p50", "p95", "p99", "target"],
    rows: Object.entries(times).map(([title, values]) => [
      title,
      ...[0.5, 0.95, 0.99].map((part) => quantile(values, part).toFixed(2)),
      title.startsWith("the page")
        ? `p50 ${atMost(quantile(values, 0.5), 20, " ms")}`
        : "",
    ]),
    notes: browser === undefined ? [NO_BROWSER] : [
      "the page: from the event of the key to the letter in the document; a browser draws 60 times a second",
    ],
  };
}

const NO_BROWSER = "without the page: there is no Chromium";

async function openSocket(server: Server, id: string): Promise<WebSocket> {
  const url = `${server.page.replace("http", "ws")}api/attach?id=${id}`;
  const { cookie, origin } = server;
  const socket = new WebSocket(url, { headers: { cookie, origin } });
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("Cannot reach the server"));
  });
  await sleep(500);
  return socket;
}

function echoOn(socket: WebSocket, letter: string): Promise<number> {
  const code = letter.charCodeAt(0);
  const { promise, resolve } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  socket.onmessage = ({ data }) => {
    if (typeof data === "string" || !new Uint8Array(data).includes(code)) {
      return;
    }
    socket.onmessage = null;
    resolve(performance.now() - startedAt);
  };
  socket.send(new Uint8Array([code]));
  return promise;
}

/** Notes when so many items of a list were drawn. */
const watchList = (count: number) => `
new MutationObserver((_, observer) => {
  if (document.querySelectorAll("li[data-id]").length < ${count}) return;
  observer.disconnect();
  // Behind the frame that draws them.
  requestAnimationFrame(() => setTimeout(() => drawnAt = performance.now()));
}).observe(document, { childList: true, subtree: true });
globalThis.drawnAt = 0;
`;

/** A list that is there at once: the least that a browser needs. */
function startFloor(count: number): Deno.HttpServer<Deno.NetAddr> {
  const items = Array.from(
    { length: count },
    (_, i) => `<li data-id=${i}><a href="#/${i}">session-${i}</a> exited 0`,
  );
  const html = `<!doctype html><title>floor</title><ul>${items.join("")}</ul>`;
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response(html, { headers: { "content-type": "text/html" } }),
  );
}

async function firstPaint(effort: Effort): Promise<Table> {
  const title =
    "web: milliseconds from opening the page to the list's first paint";
  await using bench = new Bench();
  const browser = await Browser.start(bench);
  if (browser === undefined) {
    return { title, columns: ["", "target"], rows: [], notes: [NO_BROWSER] };
  }
  await using stack = new AsyncDisposableStack();
  stack.use(browser);
  fillCaches(bench);
  const measured: Record<string, () => Promise<number>> = {};
  const add = async (
    name: string,
    { url, page: address }: { readonly url: string; readonly page: string },
    count: number,
  ) => {
    const page = await browser.open();
    await page.goTo(url);
    await page.runFirst(watchList(count));
    measured[name] = async () => {
      await page.goTo(address);
      await waitFor(page, "globalThis.drawnAt");
      return Number(await page.evaluate("drawnAt"));
    };
  };
  const floor = startFloor(500);
  stack.defer(() => floor.shutdown());
  const FLOOR = "floor: a page that holds a list of 500";
  const url = `http://127.0.0.1:${floor.addr.port}/`;
  await add(FLOOR, { url, page: url }, 500);
  const counts = [1, 100, 500];
  for (const count of counts) {
    const root = `${bench.dir}/root-${count}`;
    await fill(root, count);
    const env = { ...bench.env, CODEX_SESSION_HOME: root };
    const server = stack.use(await Server.start(env));
    await add(`list of ${count}`, server, count);
  }
  await interleave(2, measured);
  const took = await interleave(effort.pick(15, 5), measured);
  return {
    title,
    columns: ["", "median", "min", "x floor", "target"],
    rows: Object.entries(took).map(([name, values]) => [
      name,
      median(values).toFixed(0),
      Math.min(...values).toFixed(0),
      name === FLOOR ? "" : medianRatio(values, took[FLOOR]!).toFixed(2),
      name === "list of 500" ? atMost(median(values), 500, " ms") : "",
    ]),
  };
}

/** Ages of less than a minute change each second, and a view shows that. */
const UNTIL_OLD_MS = 65_000;

/** Live sessions, old enough that their ages change each minute only. */
export async function startLive(root: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await createSession({ root, command: ["sleep", "600"] });
  }
  await sleep(UNTIL_OLD_MS);
}

/** Deno ends threads that were idle for 10 s. One that ends takes its figures along. */
const UNTIL_IDLE_MS = 12_000;

/** What a process costs while nothing happens, as columns of a table. */
export async function idleLoad(
  pid: number,
  seconds: number,
): Promise<{ readonly cpuMs: number; readonly cells: readonly string[] }> {
  await sleep(UNTIL_IDLE_MS);
  const before = loadOf(pid);
  await sleep(seconds * 1000);
  const after = loadOf(pid);
  const cpuMs = (after.cpuMs - before.cpuMs) / seconds;
  const sleeps = (after.sleeps - before.sleeps) / seconds;
  const megabytes = pssOf(pid) / 1024;
  return {
    cpuMs,
    cells: [cpuMs.toFixed(2), sleeps.toFixed(1), megabytes.toFixed(1)],
  };
}

async function idle(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  fillCaches(bench);
  await OURS.start(bench, "terminal", ["cat"]);
  await startLive(bench.root, 99);
  await using server = await Server.start(bench.env);
  const seconds = effort.pick(60, 10);
  const rows: string[][] = [];
  const measure = async (name: string) => {
    const { cpuMs, cells } = await idleLoad(server.pid, seconds);
    rows.push([name, ...cells, atMost(cpuMs, 1, " ms/s")]);
  };
  await measure("nobody looks");
  await using stack = new AsyncDisposableStack();
  const browser = await Browser.start(bench);
  if (browser !== undefined) {
    stack.use(browser);
    const page = await browser.open();
    await page.goTo(server.url);
    await waitFor(page, `document.querySelector("li[data-id]")`);
    await measure("the page shows the list");
    await openTerminal(browser, server, "terminal");
    await measure("another one shows a terminal");
  }
  return {
    title: "web: the idle server, with 100 live sessions",
    columns: ["", "CPU in ms/s", "wake-ups/s", "PSS in MB", "target"],
    rows,
    notes: [
      "once a minute all sessions are looked at: in a short run that is in the figure, or not",
      ...browser === undefined ? [NO_BROWSER] : [],
    ],
  };
}
