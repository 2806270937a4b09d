/** The dashboard in real pseudo-terminals, cell by cell. */
import { createSession } from "../../session/create.ts";
import { readEvents } from "../../client/events.ts";
import { getSession } from "../../session/find.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  CLI,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { startTerminal, TestWindow } from "../pty.ts";

/** The dashboard in a window of its own. */
function openTop(
  root: TestRoot,
  { args = ["top"], env = {}, ...size }: {
    readonly args?: readonly string[];
    readonly env?: Record<string, string>;
    readonly columns?: number;
    readonly rows?: number;
  } = {},
): Promise<TestWindow> {
  return TestWindow.open([...CLI, ...args], {
    env: { CODEX_SESSION_HOME: root.dir, ...env },
    ...size,
  });
}

async function start(
  root: TestRoot,
  id: string,
  script: string,
  options: { kind?: "exec" | "repl"; labels?: Record<string, string> } = {},
): Promise<void> {
  await createSession({
    root: root.dir,
    id,
    kind: "exec",
    command: ["sh", "-c", script],
    ...options,
  });
}

Deno.test("top shows sessions, the most urgent first, and the pane of the selected one", async () => {
  await using root = new TestRoot();
  await start(root, "ended", "echo it is over; exit 3");
  await start(root, "log", "echo first; echo second; exec sleep 60");
  await startTerminal(root.dir, "term", [
    "sh",
    "-c",
    "echo on the screen; exec cat",
  ]);
  await startTerminal(root.dir, "needs", [
    "sh",
    "-c",
    `printf '\\033]7501;state=blocked:kind=question\\033\\\\'; exec cat`,
  ]);
  await using window = await openTop(root, { args: [] });
  await window.shows(/1 blocked {2}2 working {2}1 ended/);
  await window.shows(/^> needs +blocked: question +\d+s/m);
  const rows = () =>
    window.text.split("\n").slice(2, 6).map((row) => row.slice(2, 9).trim());
  assertEquals(rows()[0], "needs");
  assertEquals(rows()[3], "ended");
  window.type("j");
  await window.shows(/^(> term|> log) /m);
  window.type("G");
  await window.shows(/^> ended +exited 3 /m);
  await window.shows(/── ended · [^]*\nit is over$/m);
  // What is new appears, what is gone goes, and the selection stays.
  await start(root, "new", "exec sleep 60");
  await window.shows(/^ {2}new /m);
  assertMatch(window.text, /^> ended /m);
  await stopSession("log", { root: root.dir });
  await deleteSession("log", { root: root.dir });
  await until(() => !/^ {2}log /m.test(window.text));
  window.type("gj");
  await until(() => !/^> ended/m.test(window.text));
  window.type("q");
  assertEquals((await window.ended()).code, 0);
  assert(!window.isRaw);
});

Deno.test("top attaches on Enter, and detaching comes back to the same session", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "alpha", ["sh", "-c", "echo ready; exec cat"]);
  await startTerminal(root.dir, "beta", ["sh", "-c", "echo other; exec cat"]);
  await using window = await openTop(root);
  await window.shows(/^> (alpha|beta) /m);
  window.type("/alpha\r");
  await window.shows(/1 of 2/);
  window.type("\r");
  await window.shows(/ctrl-\\ detaches/);
  await window.shows(/^ready$/m);
  await until(() => !/1 of 2/.test(window.text) && window.isRaw);
  window.type("typed\r");
  await window.shows(/typed\ntyped/);
  window.type("\x1c");
  await window.shows(/^> alpha [^]*Detached from "alpha"/m);
  // The first key is not lost.
  window.type("\x1b");
  await window.shows(/^> alpha [^]*^ {2}beta |^ {2}beta [^]*^> alpha /m);
  window.type("q");
  await window.ended();
  const types = [];
  for (const { type } of await readEvents({ root: root.dir })) types.push(type);
  // The pane attaches to nothing.
  assertEquals(types.filter((type) => type === "attached").length, 1);
});

Deno.test("top stops and deletes only after y, and names the session", async () => {
  await using root = new TestRoot();
  await start(root, "victim", "exec sleep 60");
  await using window = await openTop(root);
  await window.shows(/^> victim +running/m);
  window.type("x");
  await window.shows(/^Stop "victim"\? y\/n/m);
  // A paste is no answer.
  window.type("\x1b[200~y\x1b[201~n");
  await until(() => !/Stop "victim"/.test(window.text));
  assertEquals(
    (await getSession("victim", { root: root.dir })).state.state,
    "running",
  );
  window.type("xy");
  await window.shows(/^> victim +stopped[^]*Stopped "victim"/m);
  window.type("dy");
  await window.shows(/No sessions yet; press n[^]*Deleted "victim"/);
});

Deno.test("top never hits a later session with the same id", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  await using window = await openTop(root);
  await window.shows(/^> a +running/m);
  window.type("x");
  await window.shows(/^Stop "a"/m);
  await stopSession("a", { root: root.dir });
  await deleteSession("a", { root: root.dir });
  await start(root, "a", "exec sleep 60");
  window.type("y");
  await window.shows(/^No such session: "a"/m);
  assertEquals(
    (await getSession("a", { root: root.dir })).state.state,
    "running",
  );
});

Deno.test("top sends a line, and starts a session", async () => {
  await using root = new TestRoot();
  await createSession({
    root: root.dir,
    id: "calc",
    kind: "repl",
    command: ["cat"],
  });
  await using window = await openTop(root, { env: { PATH: "/usr/bin:/bin" } });
  await window.shows(/^> calc /m);
  window.type("shello 漢字\r");
  await window.shows(/^hello 漢字$[^]*Sent to "calc"/m);
  window.type("n");
  await window.shows(/New session[^]*command in a terminal/);
  window.type("\x1b[C\techo 'a  b'\r\r");
  await window.shows(/^> \S+ +exited 0[^]*^a {2}b$[^]*Started "/m);
});

Deno.test("top shows a log in full, followed, and scrolls in it", async () => {
  await using root = new TestRoot();
  const fifo = `${root.dir}/fifo`;
  await start(root, "a", `seq 100; mkfifo ${fifo}; cat ${fifo}; exec sleep 60`);
  await using window = await openTop(root);
  await window.shows(/^> a /m);
  window.type("\r");
  await window.shows(/Log of a[^]*^100$/m);
  window.type("\x1b[5~");
  await until(() => !/^100$/m.test(window.text));
  window.type("\x1b[F");
  await window.shows(/^100$/m);
  await until(async () => {
    try {
      await Deno.writeTextFile(fifo, "more\n", { create: false });
      return true;
    } catch {
      return false;
    }
  });
  await window.shows(/^100\nmore$/m);
  window.type("q");
  await window.shows(/^> a /m);
});

Deno.test("top survives sizes from 10x3 to 300x100", async () => {
  await using root = new TestRoot();
  await start(root, "a", "seq 200; exec sleep 60");
  await using window = await openTop(root);
  await window.shows(/^> a /m);
  for (
    const [columns, rows] of [[40, 10], [10, 3], [300, 100], [81, 24], [80, 24]]
  ) {
    window.resize(columns!, rows!);
    await window.shows(columns === 10 ? /^Too small/ : /^> a [^]*\b200 *$/m);
    const lines = window.text.split("\n");
    assert(lines.length <= rows!, window.text);
    if (columns !== 10) assertMatch(lines.at(-1)!, /^\? help/);
  }
});

Deno.test("top restores the terminal when it is ended or stopped by a signal", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  {
    await using window = await openTop(root);
    await window.shows(/^> a /m);
    Deno.kill(window.pid, "SIGTSTP");
    await until(() => !window.isRaw);
    await until(() => !/> a/.test(window.text), "the main screen");
    Deno.kill(window.pid, "SIGCONT");
    await window.shows(/^> a /m);
    assert(window.isRaw);
    Deno.kill(window.pid, "SIGTERM");
    await window.ended();
    assert(!window.isRaw);
    assert(!window.screen.modes.alternate);
  }
  await using window = await openTop(root);
  await window.shows(/^> a /m);
  Deno.kill(window.pid, "SIGHUP");
  await window.ended(2000);
});

Deno.test("top prints what list prints where it can't draw", async () => {
  await using root = new TestRoot();
  await start(root, "a", "true");
  await using window = await openTop(root, { env: { TERM: "dumb" } });
  assertEquals((await window.ended()).code, 0);
  assertMatch(window.text, /^# +ID [^]*^0 +a /m);
  const piped = await runCli(root.dir, ["top"]);
  assertEquals(piped.code, 0);
  assertMatch(piped.stdout, /^# +ID /);
});

Deno.test("codex-session alone prints its help where there is no terminal", async () => {
  await using root = new TestRoot();
  const { code, stdout } = await runCli(root.dir, []);
  assertEquals(code, 2);
  assertMatch(stdout, /^Run coding agents/);
});

Deno.test("top tells a blocked session without colours, too", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  await using window = await openTop(root, { env: { NO_COLOR: "1" } });
  await window.shows(/^> a /m);
  // deno-lint-ignore no-control-regex
  assert(!/\x1b\[[\d;]*\b[34]\d[;m]/.test(window.output));
});

Deno.test("top writes nothing while nothing changes but ages", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exit 0");
  await using window = await openTop(root);
  await window.shows(/^> a +exited 0 +\d+s/m);
  const before = window.output.length;
  const age = () => /exited 0 +(\S+)/.exec(window.text)?.[1];
  const first = age();
  await until(() => age() !== first);
  // One row, not a screen.
  assert(window.output.length - before < 400, window.output.slice(before));
});
