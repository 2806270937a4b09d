import { attachSession } from "../../client/attach.ts";
import { createSession } from "../../session/create.ts";
import { pathsFor, readState } from "../../store.ts";
import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  CLI,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { TestWindow } from "../pty.ts";

/** The command line in a window of its own. */
function openCli(root: TestRoot, ...args: string[]): Promise<TestWindow> {
  return TestWindow.open([...CLI, ...args], {
    env: { CODEX_SESSION_HOME: root.dir, NO_COLOR: "1" },
  });
}

async function ok(root: TestRoot, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(root.dir, args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

const SHELL = ["env", "PS1=> ", "bash", "--norc", "--noprofile"];

Deno.test("run -t starts a terminal session; screen, send and wait work on it", async () => {
  await using root = new TestRoot();
  assertEquals(
    await ok(root, "run", "-t", "--id", "t", "--size", "60x10", ...SHELL),
    "t\n",
  );
  assertEquals(
    await ok(root, "wait", "--timeout", "10s", "--for", "screen=^>", "t"),
    "t\n",
  );
  await ok(root, "send", "t", "stty size; echo $TERM; tty");
  await ok(
    root,
    "wait",
    "--timeout",
    "10s",
    "--for",
    "screen=^/dev/pts/\\d+",
    "t",
  );
  const screen = await ok(root, "screen", "t");
  assertMatch(
    screen,
    /^> stty size.*\n10 60\nxterm-256color\n\/dev\/pts\/\d+\n>/,
  );
  // Without the blank lines at the end, unless they are asked for.
  assertEquals(screen.split("\n").length, 6);
  const full = await ok(root, "screen", "--full", "t");
  assertEquals(full, screen + "\n".repeat(5));
  const json = JSON.parse(await ok(root, "screen", "--json", "t"));
  assertEquals(json.lines.length, 10);
  assertEquals([json.columns, json.rows, json.alternate, json.cursor.row], [
    60,
    10,
    false,
    4,
  ]);
  // Text without Enter, then a key: the line is not run but thrown away.
  await ok(root, "send", "--no-newline", "t", "exit 9");
  await ok(root, "send", "t", "-k", "ctrl-u", "-k", "x", "--key", "backspace");
  await ok(root, "send", "t", "exit 3");
  assertEquals((await runCli(root.dir, ["wait", "t"])).stdout, "t 3\n");
  assertMatch(await ok(root, "list"), /\bt +- +pty +exited 3 +- /);
  assertStringIncludes(await ok(root, "screen", "t"), "/dev/pts/");
  assertStringIncludes(
    await ok(root, "logs", "--plain", "t"),
    "xterm-256color\n/dev/pts/",
  );
  assertStringIncludes(await ok(root, "logs", "t"), "\x1b[?2004h");
  await ok(root, "delete", "t");
});

Deno.test("logs of a terminal session prints text on a terminal, bytes with --raw or into a pipe", async () => {
  await using root = new TestRoot();
  const script = "printf '\\033[?1000h\\033[31mred\\033[m\\n'";
  await ok(root, "run", "-t", "--id", "t", "sh", "-c", script);
  await ok(root, "wait", "t");
  const env = {
    CODEX_SESSION_HOME: root.dir,
    PATH: Deno.env.get("PATH") ?? "",
    HOME: Deno.env.get("HOME") ?? "",
  };
  const shown = async (...options: string[]) => {
    const argv = [...CLI, "logs", ...options, "t"];
    await using user = await TestWindow.open(argv, { env });
    await user.ended();
    await user.shows(/red/);
    // Deno itself may have shown its progress before.
    return user.output.split("\x1b[J").at(-1);
  };
  const bytes = "\x1b[?1000h\x1b[31mred\x1b[m\r\n";
  assertEquals(await shown(), "red\r\n");
  assertEquals(await shown("-f"), "red\r\n");
  assertEquals(await shown("--raw"), bytes.replaceAll("\r", "\r\r"));
  assertEquals(await ok(root, "logs", "t"), bytes);
  assertEquals(await ok(root, "logs", "-f", "--plain", "t"), "red\n");
  const both = await runCli(root.dir, ["logs", "--plain", "--raw", "t"]);
  assertEquals(both.code, 2);
});

Deno.test("logs tells on standard error what it can't print as text", async () => {
  await using root = new TestRoot();
  const script = "printf '\\033[?1049hfull\\033[?1049l'; seq 40000";
  const limit = ["--log-limit", "16K"];
  await ok(root, "run", "-t", "--id", "t", ...limit, "sh", "-c", script);
  await runCli(root.dir, ["wait", "t"]);
  const cut = await runCli(root.dir, ["logs", "--plain", "t"]);
  assertMatch(cut.stderr, /^codex-session: The beginning .* is gone.*\n$/);
  assertMatch(cut.stdout, /\n40000\n$/);
  await ok(root, "run", "-t", "--id", "u", "sh", "-c", script);
  await runCli(root.dir, ["wait", "u"]);
  const full = await runCli(root.dir, ["logs", "--plain", "u"]);
  assertMatch(full.stderr, /^codex-session: A full-screen program .*\n$/);
  assertMatch(full.stdout, /^full\n1\n2\n/);
});

Deno.test("create pty starts Codex's terminal interface in one process", async () => {
  await using root = new TestRoot();
  const bin = `${root.dir}/bin`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(
    `${bin}/codex`,
    '#!/bin/sh\necho "$@"; exec sleep 600\n',
    { mode: 0o755 },
  );
  const env = { PATH: `${bin}:${Deno.env.get("PATH")}` };
  const { code, stderr } = await runCli(root.dir, [
    "create",
    "--id",
    "c",
    "pty",
    "--",
    "-m",
    "x y",
  ], { env });
  assertEquals([code, stderr], [0, ""]);
  await ok(
    root,
    "wait",
    "--timeout",
    "10s",
    "--for",
    "output=daemon_auto_start=false -m x y",
    "c",
  );
  assertMatch(
    await ok(root, "list"),
    /\bc +\d+ +pty +running +0 .* -m 'x y'\n/,
  );
  await ok(root, "stop", "-t", "1s", "c");
  assertEquals(root.strays(), []);
});

Deno.test("what a terminal or another kind can't do is said, with what can be done", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-t", "--id", "t", "sleep", "600");
  await ok(root, "run", "--id", "e", "sleep", "600");
  const cases: [number, string, string[]][] = [
    [4, "must be a terminal", ["attach", "t"]],
    [4, "--key ctrl-d", ["send", "t", "--eof"]],
    [4, "it is not a terminal", ["send", "e", "-k", "enter"]],
    [4, "start one with run -t", ["screen", "e"]],
    [4, "start one with run -t", ["send", "e", "x", "--for", "screen=x"]],
    [2, "key", ["send", "t", "-k", "hyperspace"]],
    [2, "Invalid size", ["run", "-t", "--size", "0x0", "true"]],
    [2, "the session is not a terminal", ["run", "--size", "80x24", "true"]],
    [4, "must be a terminal", ["run", "-t", "-a", "true"]],
    [2, "Cannot wait for", ["wait", "--for", "world=peace", "e"]],
    [2, "Invalid regular expression", ["wait", "--for", "output=(", "e"]],
    [2, "idle needs a duration: --for idle=10s", [
      "wait",
      "--for",
      "idle",
      "e",
    ]],
    [124, "Timed out after 50 ms", [
      "wait",
      "--timeout",
      "50ms",
      "--for",
      "output=x",
      "e",
    ]],
    [127, "not found on PATH", ["run", "-t", "no-such-program"]],
    [126, "not an executable", ["run", "-t", "/"]],
  ];
  for (const [status, words, args] of cases) {
    const { code, stderr } = await runCli(root.dir, args);
    assertEquals([code, args], [status, args], stderr);
    assertStringIncludes(stderr, words);
  }
  assertEquals(await ok(root, "list", "-q"), "e\nt\n");
});

Deno.test("wait --for works on every kind: output before and after, silence, the end", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "w", "cat");
  await ok(root, "send", "w", "early");
  await ok(root, "wait", "--timeout", "10s", "--for", "output=^early$", "w");
  await ok(root, "wait", "--timeout", "10s", "--for", "idle=100ms", "w");
  const late = runCli(root.dir, [
    "wait",
    "--timeout",
    "20s",
    "--for",
    "output=late",
    "w",
  ]);
  await ok(root, "send", "w", "--no-newline", "la");
  await ok(root, "send", "w", "te");
  assertEquals((await late).stdout, "w\n");
  await ok(root, "send", "w", "--eof");
  assertEquals(await ok(root, "wait", "--for", "exit", "w"), "w 0\n");
  const never = await runCli(root.dir, ["wait", "--for", "output=never", "w"]);
  assertEquals(never.code, 4);
  assertStringIncludes(never.stderr, "has ended without writing /never/m");
});

Deno.test("send --for prints what came since, on its own stream, and ends as wait does", async () => {
  await using root = new TestRoot();
  const script =
    'while read x; do sleep 0.1; echo "log $x" >&2; echo "got $x"; done; echo bye; exit 3';
  await ok(root, "run", "-i", "--rm", "--id", "r", "--", "sh", "-c", script);
  const ask = (...args: string[]) => runCli(root.dir, ["send", "r", ...args]);
  const got = ["--for", "output=^got (.*)$"];
  assertEquals(await ask("one", ...got), {
    code: 0,
    stdout: "got one\n",
    stderr: "log one\n",
  });
  const { stdout } = await ask("two", ...got, "--json");
  assertEquals(JSON.parse(stdout), {
    id: "r",
    sent: true,
    match: ["got two", "two"],
    stream: "stdout",
    stdout: "got two\n",
    stderr: "log two\n",
  });
  assertEquals((await ask("3", "--for", "idle=800ms")).stdout, "got 3\n");
  const late = await ask("4", "--for", "output=x", "--timeout", "700ms");
  assertEquals([late.code, late.stdout], [124, "got 4\n"]);
  assertStringIncludes(late.stderr, "Timed out after 700 ms");
  // It deletes itself at its end: its output was open before.
  const end = await ask("--eof", "--for", "exit");
  assertEquals([end.code, end.stdout], [3, "bye\n"]);

  await ok(root, "run", "-i", "--id", "c", "cat");
  const args = ["send", "c", "--eof", "--for", "output=x"];
  assertEquals((await runCli(root.dir, args)).code, 4);
});

Deno.test("send --for prints the new lines of a terminal", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-t", "--id", "t", "--size", "60x4", ...SHELL);
  await ok(root, "wait", "--for", "screen=^>", "t");
  const ask = (...args: string[]) => runCli(root.dir, ["send", "t", ...args]);
  const seven = await ask("seq 7", "--for", "screen=^7$");
  assertMatch(seven.stdout, /^> seq 7\n1\n2\n3\n4\n5\n6\n7\n$/);
  // What was there before does not count.
  const again = await ask("seq 8", "--for", "output=^7\n(8)", "--json");
  const { match, lines } = JSON.parse(again.stdout);
  assertEquals([match, lines[0]], [["7\n8", "8"], "> seq 8"]);
  // What repeats it does, also where the scrollback is full of it.
  for (let times = 0; times < 3; times++) {
    const { stdout } = await ask("seq 600", "--for", "idle=200ms");
    assertEquals(stdout.split("\n").length, 602);
  }
  const end = await ask("echo bye; exit 3", "--for", "exit");
  assertEquals(end.code, 3);
  assertMatch(end.stdout, /^> echo bye; exit 3\nbye\n/);
});

Deno.test("send --for prints also what a full-screen program has scrolled away", async () => {
  await using root = new TestRoot();
  const script = `stty -echo; printf '\\033[?1049h\\033[Hready'; read x
    i=0; while [ $i -lt 20 ]; do
      i=$((i + 1)); r=2; printf '\\033[?2026h'
      while [ $r -le 10 ]; do
        printf '\\033[%d;1Hline %d\\033[K' $r $((i + r - 2)); r=$((r + 1))
      done
      printf '\\033[?2026l'
    done; read x`;
  const size = ["--size", "60x10"];
  await ok(root, "run", "-t", "--id", "t", ...size, "--", "sh", "-c", script);
  await ok(root, "wait", "--for", "screen=ready", "t");
  const args = ["send", "t", "go", "--for", "screen=^line 28$"];
  const { stdout, stderr } = await runCli(root.dir, args);
  const lines = Array.from({ length: 28 }, (_, i) => `line ${i + 1}\n`);
  assertEquals(stdout, lines.join(""));
  assertStringIncludes(stderr, "put together from its frames");
});

Deno.test("attachSession() shows a terminal session on the caller's streams, with resize()", async () => {
  await using root = new TestRoot();
  const { id } = await createSession({
    root: root.dir,
    kind: "pty",
    command: SHELL,
  });
  let shown = "";
  const decoder = new TextDecoder();
  const keys = new TransformStream<Uint8Array, Uint8Array>();
  const attached = attachSession(id, {
    root: root.dir,
    stdin: keys.readable,
    stdout: new WritableStream({
      write: (bytes) => void (shown += decoder.decode(bytes, { stream: true })),
    }),
    columns: 90,
    rows: 20,
  });
  const writer = keys.writable.getWriter();
  const type = (text: string) => writer.write(new TextEncoder().encode(text));
  await until(() => shown.includes("> "));
  await type("stty size\r");
  await until(() => shown.includes("20 90"));
  attached.resize(70, 15);
  await type("stty size\r");
  await until(() => shown.includes("15 70"));
  await type("exit 4\r");
  const result = await attached;
  assertEquals(result, {
    state: { state: "exited", ending: { code: 4 } },
  });
  await writer.close().catch(() => {});
  assertEquals(readState(pathsFor(id, { root: root.dir })).state, "exited");
});

Deno.test("run -t -a shows all output of a command that ends at once, and its status", async () => {
  for (const options of [[], ["--rm"]]) {
    await using root = new TestRoot();
    const words = ["--id", "t", "--", "sh", "-c", "seq 30; exit 3"];
    await using term = await openCli(
      root,
      "run",
      "-t",
      "-a",
      ...options,
      ...words,
    );
    assertEquals((await term.ended()).code, 3);
    assertMatch(term.output, /1\r?\n2\r?\n3\r?\n/);
    await term.shows(/^29\n30\nSession t exited with code 3$/m);
  }
});

Deno.test("run -t -a restores the terminal before it says that the program is missing", async () => {
  await using root = new TestRoot();
  await using term = await openCli(
    root,
    "run",
    "-t",
    "-a",
    "no-such-program",
  );
  assertEquals((await term.ended()).code, 127);
  await term.shows(/not found on PATH/);
  assertEquals(term.isRaw, false);
});

Deno.test("attach to a terminal that has ended shows its last screen and ends with its status", async () => {
  await using root = new TestRoot();
  const { id } = await createSession({
    root: root.dir,
    kind: "pty",
    command: ["sh", "-c", "echo last words; exit 5"],
  });
  await runCli(root.dir, ["wait", id]);
  const { code, stdout, stderr } = await runCli(root.dir, ["attach", id]);
  assertEquals([code, stdout, stderr], [5, "last words\n", ""]);
});

Deno.test("attach leaves what a full-screen program drew last on the screen when it is killed", async () => {
  await using root = new TestRoot();
  const draw = "printf 'before\\033[?1049h\\033[Hdrawn'; read x; kill -9 $$";
  await ok(root, "run", "-t", "--id", "t", "sh", "-c", draw);
  await using term = await openCli(root, "attach");
  await term.shows(/^drawn/);
  assertStringIncludes(term.output, "Session t; press ctrl-\\ to detach");
  await until(() => term.isRaw);
  term.type("\r");
  assertEquals((await term.ended()).code, 137);
  await term.shows(/^drawn\n+Session t was ended by SIGKILL$/m);
});

Deno.test("run -t -a of a full-screen program leaves the user's own screen as it was", async () => {
  await using root = new TestRoot();
  // As Codex and Claude Code do, it asks and sets modes before it changes screens.
  const draw =
    "stty -echo; printf '\\033[?2004h\\033[c'; read x; printf '\\033[?1049h\\033[Hdrawn'; read x";
  await using term = await openCli(root, "run", "-t", "-a", "sh", "-c", draw);
  await until(() => term.output.includes("\x1b[c"), "the question");
  term.type("\r");
  await term.shows(/^drawn/);
  assertEquals(term.screen.modes.alternate, true);
  term.type("\x1c");
  await term.shows(/^Session .*to detach\n+Detached/);
});

Deno.test("attach says that a session was stopped", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "-it",
    "--id",
    "t",
    "sh",
    "-c",
    "echo ready; sleep 600",
  );
  await using term = await openCli(root, "attach", "t");
  await term.shows(/ready/);
  await ok(root, "stop", "t");
  await term.shows(/^Session t was stopped$/m);
});

Deno.test("attach without a session takes the only live one, or asks, or names them all", async () => {
  await using root = new TestRoot();
  const none = await runCli(root.dir, ["attach"]);
  assertEquals(none.code, 3);
  assertStringIncludes(none.stderr, "No session is running");
  for (const id of ["old", "new"]) {
    const script = `echo this is ${id}; exec sleep 600`;
    await ok(root, "run", "-t", "--id", id, "sh", "-c", script);
  }
  await ok(root, "run", "--id", "over", "true");
  await ok(root, "wait", "over");
  const script = await runCli(root.dir, ["attach"]);
  assertEquals(script.code, 3);
  assertStringIncludes(script.stderr, "name one: new, old\n");
  await using term = await openCli(root, "attach");
  // The commands as in `list`.
  await term.shows(
    /^1 +new +pty +sh -c 'echo this is new; [^]*\n2 +old +pty +sh -c 'echo [^]*session\? \[1\] /,
  );
  term.type("7\n");
  await term.shows(/no "7" in the list\n.*\? /);
  term.type("2\n");
  await term.shows(/^this is old/);
});
