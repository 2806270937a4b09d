/** What a pane shows of real sessions, and how it leaves them. */
import { readEvents } from "../../client/events.ts";
import { sendKeys } from "../../client/terminal.ts";
import { terminalStatus } from "../../client/terminal_status.ts";
import { encode, Frame, PROTOCOL } from "../../relay/protocol.ts";
import { createSession } from "../../session/create.ts";
import { type Paths, readPids } from "../../store.ts";
import { sleep } from "../../system/async.ts";
import { type Followed, followLog } from "../../top/log.ts";
import { Pane } from "../../top/pane.ts";
import { assert, assertEquals, TestRoot, until } from "../helpers.ts";
import { startTerminal } from "../pty.ts";

const SIZE = { columns: 20, rows: 4 };

const terminal = (id: string): Followed => ({ id, born: "", isTerminal: true });
const other = (id: string): Followed => ({ id, born: "", isTerminal: false });

/** A pane, and what it shows. */
class View implements AsyncDisposable {
  readonly pane: Pane;
  lines: readonly string[] = [];

  constructor(root: string) {
    const onLines = (lines: readonly string[]) => this.lines = lines;
    this.pane = new Pane({ root, onLines });
  }

  get text(): string {
    return this.lines.join("\n");
  }

  /** Waits until it shows some text. */
  async shows(text: string | RegExp): Promise<void> {
    const isShown = () =>
      typeof text === "string" ? this.text === text : text.test(this.text);
    await until(isShown).catch((error) => {
      throw new Error(`${JSON.stringify(this.text)} instead of ${text}`, {
        cause: error,
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pane[Symbol.asyncDispose]();
  }
}

/** A relay that greets, and does nothing more. */
class FakeRelay implements Disposable {
  /** Connections so far, and those that are open. */
  total = 0;
  open = 0;
  /** The most that were open at a time, over all of them. */
  static most = 0;
  static allOpen = 0;
  readonly #listener: Deno.UnixListener;

  constructor({ dir }: Paths, protocol = PROTOCOL) {
    const path = `${dir}/attach.sock`;
    Deno.removeSync(path);
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serve(protocol);
  }

  async #serve(protocol: number): Promise<void> {
    for await (const conn of this.#listener) {
      this.total++;
      this.open++;
      FakeRelay.most = Math.max(FakeRelay.most, ++FakeRelay.allOpen);
      conn.write(encode(Frame.HELLO, { protocol }))
        .then(() => new Response(conn.readable).text())
        .catch(() => {})
        .finally(() => {
          this.open--;
          FakeRelay.allOpen--;
        });
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

Deno.test("Pane shows a terminal as it is, around its cursor, and nobody notices", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script = "printf '\\033[31mred\\033[m\\n'; exec cat";
  await startTerminal(dir, "a", ["sh", "-c", script]);
  await using view = new View(dir);
  view.pane.show(terminal("a"), SIZE);
  await view.shows("\x1b[0;31mred\x1b[m\n\n\n");
  const type = async (text: string) => {
    await sendKeys("a", [{ text }], { root: dir });
    await sendKeys("a", [{ key: "enter" }], { root: dir });
  };
  await type("0123456789");
  await view.shows(/red.*\n0123456789\n0123456789\n$/);
  // Another size needs no other screen.
  view.pane.show(terminal("a"), { columns: 4, rows: 2 });
  assertEquals(view.lines, ["0123", ""]);
  await sendKeys("a", [{ text: "abcdefgh" }], { root: dir });
  await view.shows(/\ngh$/);
  view.pane.show(terminal("a"), { columns: 4, rows: 0 });
  assertEquals(view.lines, []);
  view.pane.show(undefined, SIZE);
  assertEquals(view.lines, []);
  assertEquals(terminalStatus("a", { root: dir })?.clients, 0);
  const types = (await readEvents({ root: dir })).map(({ type }) => type);
  assert(!types.includes("attached"), `${types}`);
});

Deno.test("Pane shows the end of a terminal whose cursor is hidden, and its last screen", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "printf '\\033[?25l'; seq 9; printf '\\033[H'; read x; echo '\\033[2Jover'";
  await startTerminal(dir, "a", ["sh", "-c", script]);
  await using view = new View(dir);
  view.pane.show(terminal("a"), SIZE);
  await view.shows("6\n7\n8\n9");
  await sendKeys("a", [{ key: "enter" }], { root: dir });
  await view.shows(/over/);
});

Deno.test("Pane shows the last lines of other sessions, of both streams, and follows them", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "seq 5; printf 'err\\033[31mor\\n' >&2; read x; echo $x; printf part; read x";
  await createSession({
    ...{ root: dir, id: "a", kind: "repl", command: ["sh", "-c", script] },
  });
  await using view = new View(dir);
  view.pane.show(other("a"), { columns: 20, rows: 9 });
  await view.shows("error\n1\n2\n3\n4\n5");
  view.pane.show(other("a"), { columns: 2, rows: 6 });
  assertEquals(view.text, "r\n1\n2\n3\n4\n5");
  Deno.writeTextFileSync(`${dir}/a/stdin.pipe`, "漢字!\n");
  await view.shows("3\n4\n5\n漢\n字\n!");
});

Deno.test("Pane lets nothing of a program's output through but text and SGR", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const hostile = [
    "\\033]8;;http://example.com/\\033\\\\link\\033]8;;\\033\\\\",
    "\\033]52;c;aGk=\\007\\033]0;title\\007\\033[6n\\033[?1003h\\033[5i",
    "\\342\\200\\256rtl\\302\\233A\\033Pq\\033\\\\ e\\314\\201 \\a\\b\\t|",
  ].join("");
  const command = ["sh", "-c", `printf '\\033[1;35m${hostile}\\nend\\n'`];
  await createSession({ root: dir, id: "a", kind: "pty", command });
  await createSession({ root: dir, id: "b", kind: "exec", command });
  await using view = new View(dir);
  for (const row of [terminal("a"), other("b")]) {
    view.pane.show(row, { columns: 60, rows: 4 });
    await view.shows(/link(.|\n)*end/);
    // deno-lint-ignore no-control-regex
    const rest = view.text.replace(/\x1b\[[0-9;:]*m/g, "");
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(rest), rest);
    assert(!/example|title|52;/.test(rest), rest);
    assertEquals(view.text.includes("\x1b["), row.isTerminal);
  }
});

Deno.test("Pane leaves one session for the next: one connection at most, and few while the selection moves", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const ids = ["a", "b", "c"];
  const all = await Promise.all(
    ids.map((id) => startTerminal(dir, id, ["cat"])),
  );
  using stack = new DisposableStack();
  const relays = all.map((paths) => stack.use(new FakeRelay(paths)));
  const opened = () => relays.map(({ open }) => open).join("");
  await using view = new View(dir);
  // A selection that stands still is followed at once.
  view.pane.show(terminal("a"), SIZE);
  await until(() => opened() === "100");
  for (let i = 0; i < 20; i++) {
    for (const id of ids) {
      view.pane.show(terminal(id), SIZE);
      await sleep(5); // A key that is held down.
    }
  }
  await until(() => opened() === "001");
  const total = () => relays.reduce((sum, relay) => sum + relay.total, 0);
  const before = total();
  assert(before < 10, `${before} connections`);
  assertEquals(FakeRelay.most, 1);
  // The same again, in other objects and another size, is no change.
  view.pane.show(terminal("c"), { columns: 9, rows: 9 });
  view.pane.show(undefined, SIZE);
  await until(() => opened() === "000");
  assertEquals(total(), before);
});

Deno.test("Pane leaves a session at once whose relay is suspended", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const a = await startTerminal(dir, "a", ["cat"]);
  await startTerminal(dir, "b", ["sh", "-c", "echo here; exec cat"]);
  const { agent: relay } = readPids(a)!;
  Deno.kill(relay, "SIGSTOP");
  try {
    await using view = new View(dir);
    view.pane.show(terminal("a"), SIZE);
    const start = performance.now();
    view.pane.show(terminal("b"), SIZE);
    await view.shows(/here/);
    assert(performance.now() - start < 4000);
    view.pane.show(terminal("a"), SIZE);
  } finally {
    Deno.kill(relay, "SIGCONT");
  }
});

Deno.test("Pane says why it shows nothing, and tries again once something has changed", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await using view = new View(dir);
  const wide = { columns: 80, rows: 4 };
  const missing = terminal("a");
  view.pane.show(missing, wide);
  await view.shows('No such session: "a"');
  const paths = await startTerminal(dir, "a", ["sh", "-c", "echo a; exec cat"]);
  view.pane.show(missing, wide); // As far as the row tells, all is as before.
  assertEquals(view.text, 'No such session: "a"');
  view.pane.show(terminal("a"), wide);
  await view.shows(/^a\n/);
  view.pane.show(other("b"), wide);
  await view.shows('No such session: "b"');
  using _ = new FakeRelay(paths, PROTOCOL + 1);
  view.pane.show(terminal("a"), wide);
  await view.shows(
    /^Cannot reach .* speaks version 2 of the\nattach protocol/,
  );
});

Deno.test("Pane does not show the terminal that it is shown on", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const paths = await startTerminal(dir, "a", ["cat"]);
  await using view = new View(dir);
  const wide = { columns: 90, rows: 4 };
  Deno.env.set("CODEX_SESSION_DIR", paths.dir);
  try {
    view.pane.show(terminal("a"), wide);
    await view.shows(/^This dashboard runs in this session/);
    const lines: string[] = [];
    const { signal } = new AbortController();
    const onLines = (more: readonly string[]) => lines.push(...more);
    await followLog(terminal("a"), { root: dir, signal, onLines });
    assertEquals(lines.length, 1);
    assert(lines[0]!.startsWith("This dashboard runs in"), lines[0]);
  } finally {
    Deno.env.delete("CODEX_SESSION_DIR");
  }
});

Deno.test("followLog() keeps up with a flood: it leaves out what nobody could read, and shows the end", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script = "yes | head -c 8000000; echo the end; exec sleep 60";
  await createSession({
    ...{ root: dir, id: "a", kind: "exec", command: ["sh", "-c", script] },
  });
  const leave = new AbortController();
  let count = 0;
  let last: string | undefined;
  const following = followLog(other("a"), {
    root: dir,
    tailLines: 100,
    signal: leave.signal,
    onLines(lines) {
      count += lines.length;
      last = lines.at(-1);
    },
  });
  await until(() => last === "the end", "the end", 30_000);
  assert(count < 1_000_000, `${count} lines`);
  leave.abort();
  await following;
});
