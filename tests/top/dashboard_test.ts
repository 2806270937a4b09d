/** The dashboard in real pseudo-terminals, cell by cell. */
import { createSession } from "../../session/create.ts";
import { readEvents } from "../../client/events.ts";
import { getSession } from "../../session/find.ts";
import { findProgram } from "../../system/files.ts";
import { readState } from "../../store.ts";
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
  await using term = await openTop(root, { args: [] });
  await term.shows(/1 blocked {2}2 working {2}1 ended/);
  await term.shows(/^> needs +blocked: question +\d+s/m);
  const rows = () =>
    term.text.split("\n").slice(2, 6).map((row) => row.slice(2, 9).trim());
  assertEquals(rows()[0], "needs");
  assertEquals(rows()[3], "ended");
  term.type("j");
  await term.shows(/^(> term|> log) /m);
  term.type("G");
  await term.shows(/^> ended +exited 3 /m);
  await term.shows(/── ended · [^]*\nit is over$/m);
  // What is new appears, what is gone goes, and the selection stays.
  await start(root, "new", "exec sleep 60");
  await term.shows(/^ {2}new /m);
  assertMatch(term.text, /^> ended /m);
  await stopSession("log", { root: root.dir });
  await deleteSession("log", { root: root.dir });
  await until(() => !/^ {2}log /m.test(term.text));
  term.type("gj");
  await until(() => !/^> ended/m.test(term.text));
  term.type("q");
  assertEquals((await term.ended()).code, 0);
  assert(!term.isRaw);
});

Deno.test("top attaches on Enter, and detaching comes back to the same session", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "alpha", ["sh", "-c", "echo ready; exec cat"]);
  await startTerminal(root.dir, "beta", ["sh", "-c", "echo other; exec cat"]);
  await using term = await openTop(root);
  await term.shows(/^> (alpha|beta) /m);
  term.type("/alpha\r");
  await term.shows(/1 of 2/);
  // What is typed behind Enter is no input of the session, which may be asking something.
  term.type("\rlost\r");
  await term.shows(/ctrl-\\ detaches/);
  await term.shows(/^ready$/m);
  await until(() => !/1 of 2/.test(term.text) && term.isRaw);
  term.type("typed\r");
  await term.shows(/typed\ntyped/);
  assert(!/lost/.test(term.text), term.text);
  term.type("\x1c");
  await term.shows(/^> alpha [^]*Detached from "alpha"/m);
  // The first key is not lost.
  term.type("\x1b");
  await term.shows(/^> alpha [^]*^ {2}beta |^ {2}beta [^]*^> alpha /m);
  term.type("q");
  await term.ended();
  const types = [];
  for (const { type } of await readEvents({ root: root.dir })) types.push(type);
  // The pane attaches to nothing.
  assertEquals(types.filter((type) => type === "attached").length, 1);
});

Deno.test("top takes late answers of the terminal, which a session has asked for, for no keys", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  term.type("\r");
  await until(() => !/^> a/m.test(term.text) && term.isRaw);
  await term.shows(/^ready$/m);
  term.type("\x1c");
  // deno-lint-ignore no-control-regex
  const asked = /\x1b\[(\d+;\d+)H\x1b\[6n/;
  await until(() => asked.test(term.output), "a question to the terminal");
  term.type("d");
  term.type(`\x1b[${asked.exec(term.output)![1]}R`);
  await term.shows(/Detached from "a"/);
  term.type("x");
  await term.shows(/^Stop "a"/m);
});

Deno.test("top stops and deletes only after y, and names the session", async () => {
  await using root = new TestRoot();
  await start(root, "victim", "exec sleep 60");
  await using term = await openTop(root);
  await term.shows(/^> victim +running/m);
  term.type("x");
  await term.shows(/^Stop "victim"\? y\/n/m);
  // A paste is no answer.
  term.type("\x1b[200~y\x1b[201~n");
  await until(() => !/Stop "victim"/.test(term.text));
  assertEquals(
    (await getSession("victim", { root: root.dir })).state.state,
    "running",
  );
  // Nor is a key that came with the one that asks: an unmarked paste, perhaps.
  term.type("xyn");
  await until(() => !/Stop "victim"/.test(term.text));
  assertEquals(
    (await getSession("victim", { root: root.dir })).state.state,
    "running",
  );
  term.type("x");
  await term.shows(/^Stop "victim"/m);
  term.type("y");
  await term.shows(/^> victim +stopped[^]*Stopped "victim"/m);
  term.type("d");
  await term.shows(/^Delete "victim"/m);
  term.type("y");
  await term.shows(/No sessions yet; press n[^]*Deleted "victim"/);
});

Deno.test("top never hits a later session with the same id", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  await using term = await openTop(root);
  await term.shows(/^> a +running/m);
  term.type("x");
  await term.shows(/^Stop "a"/m);
  await stopSession("a", { root: root.dir });
  await deleteSession("a", { root: root.dir });
  await start(root, "a", "exec sleep 60");
  term.type("y");
  await term.shows(/^No such session: "a"/m);
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
  await using term = await openTop(root, { env: { PATH: "/usr/bin:/bin" } });
  await term.shows(/^> calc /m);
  term.type("shello 漢字\r");
  await term.shows(/^hello 漢字$[^]*Sent to "calc"/m);
  term.type("n");
  await term.shows(/New session[^]*command in a terminal/);
  term.type("\x1b[C\techo 'a  b'\r\r");
  await term.shows(/^> \S+ +exited 0[^]*^a {2}b$[^]*Started "/m);
});

Deno.test("top shows a log in full, followed, and scrolls in it", async () => {
  await using root = new TestRoot();
  const fifo = `${root.dir}/fifo`;
  await start(root, "a", `seq 100; mkfifo ${fifo}; cat ${fifo}; exec sleep 60`);
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  term.type("\r");
  await term.shows(/Log of a[^]*^100$/m);
  term.type("\x1b[5~");
  await until(() => !/^100$/m.test(term.text));
  term.type("\x1b[F");
  await term.shows(/^100$/m);
  await until(async () => {
    try {
      await Deno.writeTextFile(fifo, "more\n", { create: false });
      return true;
    } catch {
      return false;
    }
  });
  await term.shows(/^100\nmore$/m);
  term.type("q");
  await term.shows(/^> a /m);
});

Deno.test("top survives sizes from 10x3 to 300x100", async () => {
  await using root = new TestRoot();
  await start(root, "a", "seq 200; exec sleep 60");
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  for (
    const [columns, rows] of [[40, 10], [10, 3], [300, 100], [81, 24], [80, 24]]
  ) {
    term.resize(columns!, rows!);
    await term.shows(columns === 10 ? /^Too small/ : /^> a [^]*\b200 *$/m);
    const lines = term.text.split("\n");
    assert(lines.length <= rows!, term.text);
    if (columns !== 10) assertMatch(lines.at(-1)!, /^\? help/);
  }
});

Deno.test("top restores the terminal when Ctrl-Z stops it or a signal ends it", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  {
    await using term = await openTop(root);
    await term.shows(/^> a /m);
    term.type("\x1a");
    await until(() => !term.isRaw);
    await until(() => !/> a/.test(term.text), "the main screen");
    // Again, if the first one came before the stop.
    await until(() => {
      Deno.kill(term.pid, "SIGCONT");
      return term.isRaw;
    });
    await term.shows(/^> a /m);
    Deno.kill(term.pid, "SIGTERM");
    await term.ended();
    assert(!term.isRaw);
    assert(!term.screen.modes.alternate);
  }
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  Deno.kill(term.pid, "SIGHUP");
  await term.ended(2000);
});

Deno.test("top ends at a signal while its user is attached, and when its terminal takes nothing", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  term.type("\r");
  await term.shows(/^ready$/m);
  await until(() => !/^> a/m.test(term.text) && term.isRaw);
  Deno.kill(term.pid, "SIGTERM");
  await term.ended();
  assert(!term.isRaw);
  await using frozen = await openTop(root);
  await frozen.shows(/^> a /m);
  frozen.paused = true;
  frozen.type("\x0c".repeat(100)); // Draw it all again, more than a terminal's buffer holds.
  Deno.kill(frozen.pid, "SIGTERM");
  await frozen.ended(3000);
});

Deno.test("top prints what list prints where it can't draw", async () => {
  await using root = new TestRoot();
  await start(root, "a", "true");
  await using term = await openTop(root, { env: { TERM: "dumb" } });
  assertEquals((await term.ended()).code, 0);
  assertMatch(term.text, /^# +ID [^]*^0 +a /m);
  await using alone = await openTop(root, { args: [], env: { TERM: "dumb" } });
  assertEquals((await alone.ended()).code, 0);
  assertMatch(alone.text, /^# +ID [^]*^0 +a /m);
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
  await using term = await openTop(root, { env: { NO_COLOR: "1" } });
  await term.shows(/^> a /m);
  // deno-lint-ignore no-control-regex
  assert(!/\x1b\[[\d;]*\b[34]\d[;m]/.test(term.output));
});

Deno.test("top writes nothing while nothing changes but ages", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exit 0");
  await using term = await openTop(root);
  await term.shows(/^> a +exited 0 +\d+s/m);
  const before = term.output.length;
  const age = () => /exited 0 +(\S+)/.exec(term.text)?.[1];
  const first = age();
  await until(() => age() !== first);
  // One row, not a screen.
  assert(term.output.length - before < 400, term.output.slice(before));
});

/** Runs tmux on a server of its own. */
async function tmux(socket: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("tmux", {
    args: ["-S", socket, "-f", "/dev/null", ...args],
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout);
}

const hasTmux = findProgram("tmux", { path: Deno.env.get("PATH") }) !==
  undefined;

Deno.test({
  name: "top shows the same cells in tmux as in another terminal",
  ignore: !hasTmux,
  async fn() {
    await using root = new TestRoot();
    const socket = `${root.dir}/tmux`;
    await start(
      root,
      "ended",
      "printf '\\033[31mred\\033[m 漢字 e\\314\\201\\n'",
    );
    await startTerminal(root.dir, "wide", [
      ...["sh", "-c"],
      "printf '\\033[1;44m 漢字 \\033[m plain\\n'; exec cat",
    ]);
    await using term = await openTop(root, { columns: 100, rows: 20 });
    await term.shows(/^> wide [^]* 漢字 {2}plain/m);
    const env = [`CODEX_SESSION_HOME=${root.dir}`, "LC_ALL=C.UTF-8"];
    const command = ["env", ...env, ...CLI, "top"];
    await tmux(
      socket,
      ...["new-session", "-d", "-x", "100", "-y", "20", ...command],
    );
    try {
      // Ages are not the same, nor what is said of a program that was silent for a while.
      const cells = (text: string) =>
        text.split("\n").map((row) =>
          row.replace(/ +\d+[sm]|now/, "").replace(/~idle {2}|running/, "")
            .trimEnd()
        ).join("\n").trimEnd();
      const isSame = async () =>
        cells(await tmux(socket, "capture-pane", "-p")) === cells(term.text);
      await until(isSame, "the same cells");
      for (const keys of ["G", "?", "q", "n"]) {
        term.type(keys);
        await tmux(socket, "send-keys", keys);
        await until(isSame, keys);
      }
      term.type("\x1b");
      await tmux(socket, "send-keys", "Escape");
      term.resize(60, 12);
      await tmux(socket, "resize-window", "-x", "60", "-y", "12");
      await until(isSame, "after a resize");
    } finally {
      await tmux(socket, "kill-server");
    }
  },
});

Deno.test("top takes no key for a session as a command when the session ends, or can't be reached", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", [
    ...["sh", "-c", "echo ready; read x; exit 1"],
  ]);
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  term.type("\r");
  await term.shows(/^ready$/m);
  await until(() => !/^> a/m.test(term.text) && term.isRaw);
  term.type("\r");
  for (const key of "dydydydy") {
    term.type(key);
    await new Promise((wake) => setTimeout(wake, 60));
  }
  await term.shows(/Ended: "a" \(keys work after a pause\)/);
  assertMatch(term.text, /^> a +exited 1/m);
  await term.shows(/Ended: "a"$/m);
  term.type("d");
  await term.shows(/^Delete "a" and its output/m);
});

Deno.test("top takes no key for a session whose relay doesn't answer, and Ctrl-C gives up", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  await using term = await openTop(root);
  await term.shows(/^> a /m);
  const state = readState(paths);
  if (state.state !== "running") throw new Error(state.state);
  const { agent: relay } = state.pids; // The record names the relay.
  Deno.kill(relay, "SIGSTOP");
  try {
    term.type("\r");
    await until(() => !/^> a/m.test(term.text) && term.isRaw);
    term.type("dy");
    // Again, if the first one came before keys were signals.
    await until(async () => {
      term.type("\x03");
      await term.shows(/^> a [^]*Detached from "a"/m, 500).catch(() => {});
      return /Detached/.test(term.text);
    });
    assert(!/dy/.test(term.text));
    term.type("x");
    await term.shows(/^Stop "a"/m);
  } finally {
    Deno.kill(relay, "SIGCONT");
  }
});

Deno.test("top ends at a signal, and at q, on a terminal that has stopped reading", async () => {
  await using root = new TestRoot();
  await start(root, "a", "exec sleep 60");
  for (const end of ["q", "SIGTERM"] as const) {
    await using term = await openTop(root, { columns: 200, rows: 50 });
    await term.shows(/^> a /m);
    term.paused = true;
    for (let turn = 0; turn < 60; turn++) {
      term.resize(150 + turn % 50, 40 + turn % 10);
      await new Promise((wake) => setTimeout(wake, 10));
    }
    if (end === "q") term.type("q");
    else Deno.kill(term.pid, end);
    await term.ended(3000);
    assert(!term.isRaw);
    term.paused = false;
    await until(() => !term.screen.modes.alternate, "the farewell");
  }
});
