import type { Row } from "../../views/row.ts";
import { giveFile, giveJson } from "../../web/responses.ts";
import { assert, assertEquals, assertMatch, until } from "../helpers.ts";
import { CHROMIUM, openBrowser } from "./browser.ts";

/** A row of a session that works. */
function rowOf(id: string, given: Partial<Row> = {}): Row {
  return {
    ...{ id, born: "2026-01-01T00:00:00.000Z", kind: "pty", state: "running" },
    ...{ urgency: "working", text: "working", tone: "working" },
    ...{ since: "2026-01-01T00:00:00.000Z", message: null, title: null },
    ...{ line: "", command: "agent", prompt: null, agent: null, cwd: "/src" },
    ...{ labels: {}, clients: 0, createdAt: "2026-01-01T00:00:00.000Z" },
    ...{ lastOutputAt: null, isTerminal: false, can: ["send", "stop"] },
    ...given,
  };
}

const BLOCKED: Partial<Row> = {
  urgency: "blocked",
  text: "blocked: approve Bash",
  tone: "blocked",
};

/** Serves the page as `web` does, with rows and answers that a test chooses. */
class StandIn implements AsyncDisposable {
  rows: readonly Row[] = [];
  readOnly = false;
  /** Says that it is this page's server. Otherwise it would take whatever a page sends. */
  proof = "own";
  /** What actions answer. */
  answer: (
    action: string,
    args: Record<string, unknown>,
  ) => Response | Promise<Response> = () => giveJson(200, {});
  readonly asked: [action: string, args: Record<string, unknown>][] = [];
  readonly looked: string[][] = [];
  readonly paths: string[] = [];
  readonly #sockets = new Set<WebSocket>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => this.#serve(request),
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  change(changed: readonly Row[], removed: readonly string[] = []): void {
    this.#send({ type: "change", changed, removed });
  }

  /** Ends all connections, as the server does after an error. */
  fail(): void {
    this.#send({ type: "error", code: "failed", message: "It failed." });
    this.drop();
  }

  /** Ends all connections. */
  drop(): void {
    for (const socket of this.#sockets) socket.close();
  }

  async #serve(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    this.paths.push(pathname);
    if (pathname === "/proof") return new Response(this.proof);
    if (request.method === "POST") {
      const action = pathname.replace("/api/", "");
      const args = await request.json();
      this.asked.push([action, args]);
      return await this.answer(action, args);
    }
    if (!pathname.startsWith("/api/")) {
      return await giveFile(request, pathname, "own");
    }
    const { socket, response } = Deno.upgradeWebSocket(request);
    if (pathname !== "/api/rows") return response;
    socket.onopen = () => {
      this.#sockets.add(socket);
      const { readOnly, rows } = this;
      const hello = { version: "1", readOnly, home: "/src", root: "/root" };
      socket.send(JSON.stringify({ type: "hello", ...hello }));
      socket.send(JSON.stringify({ type: "rows", rows }));
    };
    socket.onmessage = ({ data }) => this.looked.push(JSON.parse(data).ids);
    socket.onclose = () => this.#sockets.delete(socket);
    return response;
  }

  #send(message: unknown): void {
    for (const socket of this.#sockets) socket.send(JSON.stringify(message));
  }

  async [Symbol.asyncDispose]() {
    this.drop();
    await this.#server.shutdown();
  }
}

type Page = Awaited<
  ReturnType<Awaited<ReturnType<typeof openBrowser>>["page"]>
>;

/** What a screen reader is told of. */
interface Node {
  readonly role: string;
  readonly name?: string | undefined;
  readonly children?: readonly Node[] | undefined;
}

/** Waits until the expression, evaluated in the page, gives the value. */
async function shows(
  page: Page,
  expression: string,
  value: unknown,
): Promise<void> {
  let seen: unknown;
  await until(async () => {
    seen = await page.evaluate(expression);
    return JSON.stringify(seen) === JSON.stringify(value);
  }).catch(() => {});
  assertEquals(seen, value);
}

const NAMES =
  `[...document.querySelectorAll(".row b")].map((b) => b.textContent)`;
const DIALOG = `document.querySelector("dialog[open]")?.id ?? null`;
const FOCUS = `document.activeElement.closest("a, button")?.textContent`;
const BUTTONS =
  `[...document.querySelectorAll(".actions button")].map((b) => b.textContent)`;

/** The tests: each gets a page of its own, and the browser says nothing of errors at its end. */
const TESTS: Readonly<
  Record<
    string,
    {
      rows: readonly Row[];
      readOnly?: boolean;
      hash?: string;
      width?: number;
      run(page: Page, server: StandIn): Promise<void>;
      /** Errors that belong to it. */
      errors?: RegExp;
    }
  >
> = {
  "the page lists sessions by urgency and counts the blocked ones in its title":
    {
      rows: [
        rowOf("e", { urgency: "ended", text: "exited 0", tone: "ended" }),
        rowOf("w", { line: "<img src=x onerror=alert(1)>" }),
        rowOf("b", BLOCKED),
      ],
      async run(page, server) {
        await shows(page, NAMES, ["b", "w", "e"]);
        await shows(page, "document.title", "(1) codex-session");
        await shows(page, `document.querySelectorAll(".row img").length`, 0);
        await until(() => server.looked.at(-1)?.join() === "b,w,e");
      },
    },

  "the page opens a session by keyboard, keeps it on reload, and goes back": {
    rows: [rowOf("a"), rowOf("b", { since: null })],
    width: 360,
    async run(page) {
      await shows(page, NAMES, ["a", "b"]);
      await shows(page, FOCUS.replace("textContent", "hash"), "#/a");
      await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await shows(page, `document.querySelector(".view h2")?.textContent`, "b");
      await page.reload();
      await shows(page, `document.querySelector(".view h2")?.textContent`, "b");
      await shows(page, "location.hash", "#/b");
      await page.keyboard.press("Escape");
      await shows(page, "location.hash", "");
      await shows(
        page,
        `document.querySelector("#side").checkVisibility()`,
        true,
      );
    },
  },

  "the page tells of a session that gets blocked": {
    rows: [rowOf("a"), rowOf("b", BLOCKED)],
    async run(page, server) {
      await shows(page, NAMES, ["b", "a"]);
      await page.evaluate(`
        document.hasFocus = () => false;
        globalThis.told = [];
        globalThis.Notification = class {
          static permission = "granted";
          constructor(title, { body }) { told.push(title + ": " + body); }
          close() { told.push("closed"); }
        }`);
      const now = { since: new Date().toISOString(), message: "rm -rf build" };
      server.change([rowOf("a", { ...BLOCKED, ...now })]);
      await shows(page, NAMES, ["a", "b"]);
      await shows(page, "document.title", "(2) codex-session");
      await shows(page, "told", ["a is blocked: rm -rf build"]);
      await shows(
        page,
        `document.querySelector("[aria-live]").textContent`,
        "a is blocked: approve Bash",
      );
      server.change([rowOf("a")]);
      await shows(page, "told.length", 2);
      await shows(page, "document.title", "(1) codex-session");
    },
  },

  "the page sends anyway only if the user insists": {
    rows: [rowOf("a", BLOCKED)],
    async run(page, server) {
      server.answer = (_, { force }) =>
        force ? giveJson(200, {}) : giveJson(409, {
          error: { code: "blocked", message: "It is blocked." },
        });
      await shows(page, NAMES, ["a"]);
      await page.keyboard.press("s");
      await page.keyboard.type("yes");
      await page.keyboard.down("Control");
      await page.keyboard.press("Enter");
      await page.keyboard.up("Control");
      const problem = `document.querySelector("[open] .problem")?.textContent`;
      await shows(page, problem, "It is blocked.");
      // What was written is there the next time.
      await page.keyboard.press("Escape");
      await page.keyboard.press("s");
      await page.click("#send-dialog [type=submit]");
      await shows(page, problem, "It is blocked.");
      await page.click("#send-dialog [data-force]");
      await shows(page, DIALOG, null);
      await shows(page, FOCUS.replace("textContent", "hash"), "#/a");
      const args = { id: "a", born: rowOf("a").born, text: "yes" };
      assertEquals(server.asked, [
        ["send", args],
        ["send", args],
        ["send", { ...args, force: true }],
      ]);
    },
    errors: /409/,
  },

  "the page tells what went wrong after the user has left the form": {
    rows: [rowOf("a"), rowOf("b")],
    async run(page, server) {
      const { promise, resolve } = Promise.withResolvers<Response>();
      server.answer = () => promise;
      await shows(page, NAMES, ["a", "b"]);
      await page.keyboard.press("s");
      await page.keyboard.type("one");
      await page.click("#send-dialog [type=submit]");
      const problem = `document.querySelector("[open] .problem")?.textContent`;
      await shows(page, problem, "Waiting for the session…");
      await page.keyboard.press("Escape");
      await page.keyboard.press("j");
      await page.keyboard.press("s");
      await page.keyboard.type("two");
      resolve(giveJson(504, { error: { code: "timeout", message: "Busy." } }));
      await shows(
        page,
        `document.querySelector("#notice").textContent`,
        "Busy.",
      );
      await shows(page, problem, "");
      await shows(
        page,
        `document.querySelector("[open] textarea").value`,
        "two",
      );
    },
    errors: /504/,
  },

  "the page asks before it deletes, and Enter alone deletes nothing": {
    rows: [rowOf("a", { can: ["stop", "delete"] }), rowOf("b")],
    async run(page, server) {
      await shows(page, NAMES, ["a", "b"]);
      await page.keyboard.press("d");
      await shows(page, DIALOG, "ask-dialog");
      await page.keyboard.press("Enter");
      await shows(page, DIALOG, null);
      await page.keyboard.press("d");
      await page.keyboard.press("Escape");
      await shows(page, DIALOG, null);
      assertEquals(server.asked, []);
      await page.keyboard.press("d");
      await page.click("#ask-dialog [type=submit]");
      await until(() => server.asked.length > 0);
      assertEquals(server.asked, [
        ["delete", { id: "a", born: rowOf("a").born, force: true }],
      ]);
      server.change([], ["a"]);
      await shows(page, NAMES, ["b"]);
      await shows(page, FOCUS.replace("textContent", "hash"), "#/b");
    },
  },

  "the page starts what its form says, and opens it": {
    rows: [],
    async run(page, server) {
      server.answer = (action) =>
        giveJson(
          200,
          action === "start" ? { id: "new" } : {
            agents: [{ name: "codex", kinds: ["pty", "exec"] }],
            usual: "codex",
          },
        );
      await page.waitForSelector("#new:not([hidden])");
      await page.click("#new");
      await page.waitForSelector("[open] [name=prompt]:focus");
      await page.select("[open] [name=agent]", "");
      await page.type("[open] [name=command]", "echo 'a b'");
      // What was written is there the next time.
      await page.keyboard.press("Escape");
      await page.click("#new");
      await page.waitForSelector("[open] [name=command]:focus");
      await page.keyboard.press("Enter");
      await shows(page, "location.hash", "#/new");
      server.change([rowOf("new")]);
      await shows(page, BUTTONS, ["Send", "Stop"]);
      assertEquals(server.asked.at(-1), ["start", {
        ...{ command: ["echo", "a b"], kind: "pty", cwd: "/src" },
      }]);
    },
  },

  "a read-only page says so and has no button that changes anything": {
    rows: [rowOf("a", { can: ["send", "answer", "stop", "delete"] })],
    readOnly: true,
    hash: "#/a",
    async run(page, server) {
      await shows(page, BUTTONS, ["Last answer"]);
      const text = await page.evaluate("document.body.innerText") as string;
      assertMatch(text, /Read-only/);
      assert(!/New/.test(text), text);
      await page.keyboard.press("d");
      await page.keyboard.press("n");
      await shows(page, DIALOG, null);
      assertEquals(server.asked, []);
      await page.keyboard.press("d");
      const notice = `document.querySelector("#notice").textContent`;
      await shows(page, notice, "Delete: this page can only look.");
    },
  },

  "the page shows a log that is empty yet": {
    rows: [rowOf("a")],
    hash: "#/a",
    async run(page) {
      const word = `document.querySelector(".session-word")?.textContent`;
      await shows(page, word, "");
    },
  },

  "the page narrows the list to one label and to words": {
    rows: [
      rowOf("one", { labels: { a: "1" } }),
      rowOf("other", { labels: { a: "1" } }),
      rowOf("ten", { labels: { a: "10" } }),
    ],
    async run(page) {
      await shows(page, NAMES, ["one", "other", "ten"]);
      await page.keyboard.press("l");
      await shows(page, FOCUS, "a=1 (2)");
      await page.keyboard.press("ArrowDown");
      await shows(page, FOCUS, "a=10 (1)");
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      await shows(page, NAMES, ["one", "other"]);
      await page.keyboard.press("/");
      await page.keyboard.type("other");
      await shows(page, NAMES, ["other"]);
      await page.keyboard.press("Escape");
      await shows(page, NAMES, ["one", "other"]);
      await page.click("#label");
      await shows(page, NAMES, ["one", "other", "ten"]);
    },
  },

  "the page keeps what it shows without its server, and comes back": {
    rows: [rowOf("a")],
    async run(page, server) {
      const word = `document.querySelector("#connection").textContent`;
      await shows(page, NAMES, ["a"]);
      server.proof = "another";
      server.fail();
      await until(async () =>
        /open the new URL/.test(await page.evaluate(word) as string)
      );
      await shows(page, NAMES, ["a"]);
      server.proof = "own";
      server.rows = [rowOf("b")];
      await page.evaluate(`dispatchEvent(new Event("online"))`);
      await shows(page, NAMES, ["b"]);
      await shows(page, word, "");
    },
    errors: /WebSocket/,
  },

  "the page asks nothing but the proof of a stranger on its server's port": {
    rows: [rowOf("a", { can: ["send"] }), rowOf("t", { isTerminal: true })],
    async run(page, server) {
      await shows(page, NAMES, ["a", "t"]);
      server.proof = "another";
      server.paths.length = 0;
      server.drop();
      await page.keyboard.press("s");
      await page.keyboard.type("a secret");
      await page.click("#send-dialog [type=submit]");
      const problem =
        `/has ended/.test(document.querySelector("[open] .problem")?.textContent)`;
      await shows(page, problem, true);
      await page.keyboard.press("Escape");
      for (const id of ["a", "t"]) {
        await page.evaluate(`location.hash = "#/${id}"`);
        const word =
          `/has ended/.test(document.querySelector(".session-word")?.textContent)`;
        await shows(page, word, true);
      }
      assertEquals([...new Set(server.paths)], ["/proof"]);
    },
  },

  "the page has a name for everything that can be used": {
    rows: [
      rowOf("a", { ...BLOCKED, line: "Run it?", agent: "codex" }),
      rowOf("e", { urgency: "ended", text: "exited 3", tone: "error" }),
    ],
    hash: "#/a",
    async run(page) {
      await shows(page, NAMES, ["a", "e"]);
      await shows(page, BUTTONS, ["Send", "Stop"]);
      const named: string[] = [];
      const add = (node: Node) => {
        named.push(`${node.role}: ${node.name ?? ""}`);
        node.children?.forEach(add);
      };
      add((await page.accessibility.snapshot())!);
      const nameless = named.filter((one) =>
        /^(button|link|textbox|searchbox|combobox|navigation|region): *$/
          .test(one)
      );
      assertEquals(nameless, []);
      for (
        const name of [
          ...["navigation: Sessions", "searchbox: Filter sessions"],
          ...["region: Session a", "button: Send", "button: Stop"],
          ...["heading: Blocked 1", "button: Ended 1"],
        ]
      ) {
        assert(named.includes(name), `${name} in\n${named.join("\n")}`);
      }
      const links = named.filter((one) => one.startsWith("link: a "));
      assertMatch(
        links.join(),
        /^link: a codex blocked: approve Bash Run it\? \d+\w$/,
      );
    },
  },

  "the page fits 360 pixels": {
    rows: [
      rowOf("x".repeat(64), {
        ...BLOCKED,
        line: "y".repeat(300),
        labels: { customer: "z".repeat(100) },
        can: ["send", "answer", "stop", "restart", "delete"],
      }),
    ],
    width: 360,
    async run(page) {
      const wide = "document.documentElement.scrollWidth";
      await shows(page, NAMES, ["x".repeat(64)]);
      await shows(page, wide, 360);
      await page.click(".row");
      await shows(
        page,
        `document.querySelector(".view").checkVisibility()`,
        true,
      );
      await shows(page, wide, 360);
    },
  },

  "the page finds among 500 sessions while one types": {
    rows: Array.from({ length: 500 }, (_, i) => rowOf(`s${i}`)),
    async run(page) {
      await shows(page, `${NAMES}.length`, 500);
      await page.keyboard.press("/");
      await page.keyboard.type("S499");
      await shows(page, NAMES, ["s499"]);
      await shows(
        page,
        `document.querySelector("#found").textContent`,
        "1 session",
      );
      await page.keyboard.press("Enter");
      await shows(page, FOCUS.replace("textContent", "hash"), "#/s499");
    },
  },
};

Deno.test({
  name: `the page in a browser${CHROMIUM ? "" : " (needs Chromium)"}`,
  ignore: CHROMIUM === undefined,
  async fn(t) {
    await using browser = await openBrowser();
    for (const [name, test] of Object.entries(TESTS)) {
      const { rows, readOnly = false, hash = "", width = 1000, run } = test;
      await t.step(name, async () => {
        await using server = new StandIn();
        server.rows = rows;
        server.readOnly = readOnly;
        const size = { width, height: 700 };
        const page = await browser.page(server.url + hash, size);
        try {
          await run(page, server);
        } finally {
          await page.close();
        }
        const errors = browser.errors.splice(0);
        assertEquals(errors.filter((e) => !test.errors?.test(e)), []);
      });
    }
  },
});
