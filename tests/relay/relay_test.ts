/**
 * The relay as its agent and the outside see it: start, end, journal, questions, floods.
 */
import { SessionError } from "../../errors.ts";
import { bytewise } from "../../process/table.ts";
import { processesAt } from "../../process/members.ts";
import { geteuid } from "../../system/libc.ts";
import { encodeFrame, Frame, PROTOCOL } from "../../relay/protocol.ts";
import { relayCommand } from "../../relay/command.ts";
import { concat } from "../../system/bytes.ts";
import { connectIn } from "../../relay/socket.ts";
import { pathsFor, readState } from "../../store.ts";
import { createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import { exists } from "../../system/files.ts";
import {
  readScreen,
  sendKeys,
  type TerminalInputPart,
  waitForScreen,
} from "../../client/terminal.ts";
import { terminalStatusAt } from "../../client/terminal_status.ts";
import { waitFor } from "../../client/wait.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
  isRunning,
  PROJECT,
  SmallDisk,
  TestRoot,
  until,
} from "../helpers.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

const over = { signal: AbortSignal.timeout(600_000) };

function ending(paths: Parameters<typeof readState>[0]) {
  return until(() => {
    const state = readState(paths);
    return state.state === "exited" ? state.ending : undefined;
  }, "the session's end");
}

async function shows(root: string, id: string, pattern: RegExp) {
  return await waitForScreen(id, pattern, {
    root,
    signal: AbortSignal.timeout(10_000),
  });
}

Deno.test("relay starts the agent on a terminal of its own, with its size and TERM", async () => {
  await using root = new TestRoot();
  const script =
    "test -t 0 && test -t 1 && test -t 2 && stty size; echo $TERM; " +
    "ps -o pid=,sid=,tpgid= -p $$ | { read a b c; [ $a = $b ] && [ $b = $c ] && echo leads; }; " +
    "(: </dev/tty) && echo controls; ls -l /proc/self/fd; echo end; read x";
  await startTerminal(root.dir, "a", ["sh", "-c", script], {
    columns: 91,
    rows: 17,
  });
  const { lines, columns, rows } = await shows(root.dir, "a", /end/);
  assertEquals([columns, rows], [91, 17]);
  assertEquals(lines.slice(0, 4), [
    "17 91",
    "xterm-256color",
    "leads",
    "controls",
  ]);
  // Nothing of the relay's own.
  const links = lines.slice(4).join("\n");
  assert(!/ptmx|ready|stdout\.log|socket/.test(links), links);
  assert(/\/lock$/m.test(links), links);
});

Deno.test("relay opens a terminal whose backspace erases a whole character", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["sh", "-c", "head -n 1 | od -c; cat"]);
  await sendKeys("a", [{ raw: new TextEncoder().encode("w\u00e9\x7fX\n") }], {
    root: root.dir,
  });
  await shows(root.dir, "a", / w +X +\\n/);
});

Deno.test("relay reports truthfully what can't be started", async () => {
  await using root = new TestRoot();
  const start = (id: string, program: string) =>
    assertRejects(
      () => startTerminal(root.dir, id, [program]),
      SessionError,
    );
  assertEquals((await start("a", "no-such-program")).code, "program_not_found");
  Deno.writeTextFileSync(`${root.dir}/text`, "x", { mode: 0o600 });
  assertEquals((await start("b", `${root.dir}/text`)).code, "not_executable");
  await until(() => root.strays().length === 0);
});

Deno.test("relay starts an agent whatever its arguments say", async () => {
  await using root = new TestRoot();
  // The name of the shell that becomes the agent: once that was taken for the shell.
  const words = "sleep 600; : codex-session terminal";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", words]);
  assertEquals(readState(paths).state, "running");
});

Deno.test("relay ends as the agent ends: by code and by signal, without a core file", async () => {
  await using root = new TestRoot();
  const ends: [string, unknown][] = [
    ["exit 0", { code: 0 }],
    ["exit 126", { code: 126 }],
    ["exit 200", { code: 200 }],
    ["kill -TERM $$", { signal: "SIGTERM" }],
    ["kill -KILL $$", { signal: "SIGKILL" }],
    ["kill -HUP $$", { signal: "SIGHUP" }],
    ["ulimit -c 0; kill -SEGV $$", { signal: "SIGSEGV" }],
    ["kill -INT $$", { signal: "SIGINT" }],
    ["kill -34 $$", { signal: "SIG34" }],
  ];
  await Promise.all(ends.map(async ([script, expected], index) => {
    const paths = await startTerminal(root.dir, `e${index}`, [
      "sh",
      "-c",
      script,
    ]);
    assertEquals(await ending(paths), expected, script);
  }));
  assertEquals(
    [...Deno.readDirSync(root.dir)].filter((e) => !e.isDirectory),
    [],
  );
});

Deno.test("relay keeps all output, also what comes right before the end", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", "seq 20000"]);
  assertEquals(await ending(paths), { code: 0 });
  const expected = Array.from({ length: 20000 }, (_, i) => `${i + 1}\r\n`).join(
    "",
  );
  assertEquals(Deno.readTextFileSync(paths.stdout), expected);
  // Its last screen, drawn from the journal.
  const { lines, scrollback } = await readScreen("a", {
    root: root.dir,
    scrollback: 5,
  });
  assertEquals([scrollback, lines.length], [5, 45]);
  assertEquals(lines.slice(-2), ["20000", ""]);
});

Deno.test("relay outlives the signals that a stop sends to all processes; the agent decides", async () => {
  await using root = new TestRoot();
  const script =
    "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await shows(root.dir, "a", /ready/);
  const { agent: relay } =
    (readState(paths) as { pids: { agent: number } }).pids;
  for (const signal of ["SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM"] as const) {
    Deno.kill(relay, signal);
  }
  await sendKeys("a", [{ text: "x" }], { root: root.dir });
  const { agent } = terminalStatusAt(paths, true)!;
  Deno.kill(agent, "SIGTERM");
  assertEquals(await ending(paths), { code: 7 });
  assertStringIncludes(Deno.readTextFileSync(paths.stdout), "got it");
});

Deno.test("relay that is stopped while it awaits its client ends at once and starts nothing", async () => {
  await using root = new TestRoot();
  for (const [id, signal] of [["a", "SIGTERM"], ["b", "SIGHUP"]] as const) {
    const file = `${root.dir}/${id}.started`;
    const paths = pathsFor(id, { root: root.dir });
    const created = assertRejects(
      () =>
        createSession({
          ...{ id, root: root.dir, kind: "pty", awaitClient: true },
          command: ["sh", "-c", `echo started >'${file}'; exec sleep 60`],
        }),
      SessionError,
      `session "${id}" was stopped before it ran`,
    );
    await until(() => exists(`${paths.dir}/attach.sock`));
    const since = performance.now();
    const { state } = await stopSession(id, {
      root: root.dir,
      killSignal: signal,
    });
    assert(performance.now() - since < 3000);
    assertEquals(state, { state: "exited", ending: { signal } });
    await created;
    assert(!exists(file) && !exists(paths.dir));
  }
});

Deno.test("relay killed: the agent goes with its terminal, and the session says so", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["sleep", "1000"]);
  const { agent } = terminalStatusAt(paths, true)!;
  const { agent: relay } =
    (readState(paths) as { pids: { agent: number } }).pids;
  Deno.kill(relay, "SIGKILL");
  assertEquals(await ending(paths), { signal: "SIGKILL" });
  await until(() => !isRunning(agent), "the agent's end");
  await readScreen("a", { root: root.dir });
  await assertRejects(
    () => sendKeys("a", [{ key: "enter" }], { root: root.dir }),
    SessionError,
    "it has ended",
  );
});

Deno.test("relay waits for an agent that has closed its terminal, without spinning", async () => {
  await using root = new TestRoot();
  const script =
    "exec <&- >&- 2>&-; sleep 1; echo back >/dev/tty; sleep 0.5; exit 5";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script]);
  const { agent: relay } =
    (readState(paths) as { pids: { agent: number } }).pids;
  const cpu = () =>
    Deno.readTextFileSync(`/proc/${relay}/stat`).split(" ").slice(13, 15).map(
      Number,
    ).reduce((a, b) => a + b);
  const before = cpu();
  await shows(root.dir, "a", /back/);
  assert(cpu() - before < 40, "ticks of 10 ms in a second");
  assertEquals(await ending(paths), { code: 5 });
});

Deno.test("relay answers what a program asks while nobody is attached", async () => {
  await using root = new TestRoot();
  const questions = [
    "\x1b[c",
    "\x1b[5n",
    "hello\x1b[6n",
    "\x1b]11;?\x07",
    "\x1b]10;?\x1b\\",
    "\x1b[?u",
    "\x1b[>q",
    "\x1b[?2004$p",
    "\x1bP+q436f\x1b\\",
    "\x1b[2;9H\x1b[6n",
    "\x1b]4;1;?\x07",
  ];
  const program = `
import sys, tty, os, select, time
tty.setraw(0)
for q in ${JSON.stringify(questions)}:
    # Cut in the middle: a question may come in two pieces.
    os.write(1, q.encode()[:3]); time.sleep(0.01); os.write(1, q.encode()[3:])
    got = b""
    end = time.time() + 5
    while time.time() < end:
        if select.select([0], [], [], 0.05 if got else 5)[0]: got += os.read(0, 4096)
        elif got: break
    open("answers", "a").write(repr(got.decode()) + "\\n")
open("answers", "a").write("end\\n")
`;
  await startTerminal(root.dir, "a", ["python3", "-c", program]);
  const text = await until(
    () => {
      try {
        const answers = Deno.readTextFileSync(`${root.dir}/answers`);
        return answers.endsWith("end\n") ? answers : undefined;
      } catch {
        return undefined;
      }
    },
    "answers",
    60_000,
  );
  assertEquals(
    text.trim().split("\n").slice(0, -1).map((line) => line.slice(1, -1)),
    [
      "\\x1b[?1;2c",
      "\\x1b[0n",
      "\\x1b[1;6R",
      "\\x1b]11;rgb:0000/0000/0000\\x1b\\\\",
      "\\x1b]10;rgb:d0d0/d0d0/d0d0\\x1b\\\\",
      "\\x1b[?0u",
      "\\x1bP>|codex-session\\x1b\\\\",
      "\\x1b[?2004;2$y",
      "\\x1bP1+r436f=323536\\x1b\\\\",
      "\\x1b[2;9R",
      "\\x1b]4;1;rgb:cdcd/0000/0000\\x1b\\\\",
    ],
  );
});

Deno.test("relay types nothing of a file that is shown at a shell's prompt", async () => {
  await using root = new TestRoot();
  Deno.writeTextFileSync(
    `${root.dir}/evil`,
    "\x1bP+q\rtouch one\r\x1b\\\x1bP$q\rtouch two\r\x1b\\" +
      "\x1b]10;touch three;\x07\x1b]10;?\x07\x1b]4;1;\ntouch four\n\x07\x1b]4;1;?\x07shown\n",
  );
  const shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
  await startTerminal(root.dir, "a", shell, { env: { PS1: "> " } });
  await shows(root.dir, "a", /^> /);
  const send = (...parts: TerminalInputPart[]) =>
    sendKeys("a", [...parts, { key: "enter" }], { root: root.dir });
  await send({ text: "cat evil" });
  await shows(root.dir, "a", /^shown$/m);
  // What is right of the answers stands at the prompt.
  await send({ key: "ctrl-c" }, { text: "touch end" });
  await until(() => exists(`${root.dir}/end`));
  const made = [...Deno.readDirSync(root.dir)].map(({ name }) => name).sort();
  assertEquals(made, ["a", "end", "evil"]);
});

Deno.test("relay does not drown in the questions of a program that reads no answer", async () => {
  await using root = new TestRoot();
  const program = `
import os, tty, time
tty.setraw(0)
for i in range(8): os.write(1, b"\\x1b[c\\x1b[6n" * 20000)
os.write(1, b"\\r\\ndone")
time.sleep(1000)
`;
  const paths = await startTerminal(root.dir, "a", ["python3", "-c", program]);
  const start = performance.now();
  await waitForScreen("a", /done/, {
    root: root.dir,
    signal: AbortSignal.timeout(30_000),
  });
  assert(performance.now() - start < 10_000);
  await sendKeys("a", [{ key: "x" }], { root: root.dir, timeoutMs: 100 })
    .catch(() => {}); // Full of answers.
  assertEquals(readState(paths).state, "running");
});

Deno.test("relay bounds the journal and still knows the screen", async () => {
  await using root = new TestRoot();
  const script =
    "printf '\\033[31mtop\\r\\n'; seq 300000; printf 'last\\033[5;5Hhere'; read x";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script], {
    logLimitBytes: 512 * 1024,
  });
  const screen = await shows(root.dir, "a", /here/);
  assertEquals(screen.lines[38], "300000");
  assertEquals(screen.cursor, { column: 8, row: 4, visible: true });
  const sizes = [paths.stdout, `${paths.stdout}.1`].map((p) =>
    Deno.statSync(p).size
  );
  assert(sizes[0]! + sizes[1]! <= 512 * 1024, sizes.join());
  const kept = Deno.readTextFileSync(`${paths.stdout}.1`) +
    Deno.readTextFileSync(paths.stdout);
  assertStringIncludes(kept, "\r\n299998\r\n299999\r\n300000\r\n");
  assertEquals(Deno.statSync(paths.stdout).mode! & 0o777, 0o600);
});

Deno.test("relay bounds the journal, too, when it has run out of files meanwhile", async () => {
  await using root = new TestRoot();
  const script = `
    import { Journal } from "${PROJECT}relay/journal.ts";
    const journal = new Journal("stdout.log", 16384, (text) => console.log(text));
    const held = [];
    try {
      for (;;) held.push(Deno.openSync("/dev/null"));
    } catch {
      // That is what was wanted.
    }
    const line = (i) => new TextEncoder().encode(String(i).padStart(999) + "\\n");
    for (let i = 0; i < 10; i++) journal.write(line(i), true);
    for (const file of held) file.close();
    for (let i = 10; i < 14; i++) journal.write(line(i), true);`;
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: [
      ...["-c", 'ulimit -n 200; exec "$0" eval "$1"'],
      ...[Deno.execPath(), script],
    ],
    cwd: root.dir,
  }).output();
  const said = new TextDecoder().decode(stdout);
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals(said.split("\n").length, 2, said); // One line, and its end.
  const [old, young] = ["stdout.log.1", "stdout.log"].map((name) =>
    Deno.readTextFileSync(`${root.dir}/${name}`).split(/\s+/).filter(Boolean)
  );
  const all = Array.from({ length: 14 }, (_, i) => `${i}`);
  assertEquals([...old!, ...young!], all);
  assertEquals(young, ["11", "12", "13"]);
});

Deno.test("relay that can't write terminal.json at first writes it later, and is a terminal meanwhile", async () => {
  await using root = new TestRoot();
  // In its place: no file can be renamed to a directory.
  const inTheWay = `${root.dir}/a/terminal.json`;
  Deno.mkdirSync(inTheWay, { recursive: true, mode: 0o700 });
  Deno.chmodSync(`${root.dir}/a`, 0o700);
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  await sendKeys("a", [{ text: "hello" }], { root: root.dir });
  await shows(root.dir, "a", /hello/);
  assertEquals(terminalStatusAt(paths, true), undefined);
  Deno.removeSync(inTheWay);
  const { agent } = await until(() => terminalStatusAt(paths, true));
  assert(isRunning(agent));
  const said = Deno.readTextFileSync(paths.stderr);
  assertEquals(said.trim().split("\n").length, 1, said);
});

Deno.test({
  name:
    "relay on a full disk runs on, shows the screen, and lets clients come and go",
  ignore: geteuid() !== 0, // Only root can mount one.
  async fn() {
    await using root = new TestRoot();
    await using disk = await SmallDisk.mount(`${root.dir}/disk`, "300k");
    if (disk === undefined) return;
    const { dir } = disk;
    const script = 'while read x; do seq 3000; echo "got $x"; done';
    const paths = await startTerminal(dir, "a", ["sh", "-c", script]);
    disk.fill();
    // Twice: the complaint about the first time has no room either.
    for (const word of ["one", "two"]) {
      await sendKeys("a", [{ text: word }, { key: "enter" }], { root: dir });
      await shows(dir, "a", new RegExp(`2999\\n3000\\ngot ${word}`));
    }
    {
      await using term = await TestWindow.open(attachCommand(dir, "a"));
      await term.shows(/got two/);
      term.type("three\r");
      await term.shows(/got three/);
      term.type("\x1c");
      assertEquals((await term.ended()).code, 0);
    }
    assertEquals(readState(paths).state, "running");
    disk.empty();
    await stopSession("a", { root: dir, graceMs: 500 });
    assertStringIncludes(
      (await readScreen("a", { root: dir })).lines.join("\n"),
      "got three",
    );
  },
});

Deno.test({
  name:
    "relay on a full disk tells how the agent has ended when it is stopped, and keeps the screen otherwise",
  ignore: geteuid() !== 0, // Only root can mount one.
  async fn() {
    await using root = new TestRoot();
    await using disk = await SmallDisk.mount(`${root.dir}/disk`, "1m");
    if (disk === undefined) return;
    const { dir } = disk;
    const script = "trap 'exit 5' TERM; echo set; read x && exit 6";
    const start = async (id: string) => {
      const paths = await startTerminal(dir, id, ["sh", "-c", script]);
      await shows(dir, id, /set/); // It has loaded the emulator.
      return paths;
    };
    const [waits, stopped, ended] = [
      await start("waits"),
      await start("stopped"),
      await start("ended"),
    ];
    disk.fill();
    for (const { id } of [waits, ended]) {
      const { agent } = terminalStatusAt(pathsFor(id, { root: dir }), true)!;
      await sendKeys(id, [{ key: "enter" }], { root: dir });
      await until(() => !isRunning(agent), "the agent's end");
    }
    for (const { id } of [stopped, ended]) {
      await assertRejects(
        () => stopSession(id, { root: dir, graceMs: 2000 }),
        SessionError,
        "its end can't be recorded",
      );
    }
    disk.empty();
    assertEquals(await ending(stopped), { code: 5 });
    assertEquals(await ending(ended), { code: 6 });
    assertEquals(await ending(waits), { code: 6 });
    assert(exists(`${waits.dir}/screen.json`));
  },
});

Deno.test("relay serves sessions with a path of 200 characters; nobody else may connect", async () => {
  await using root = new TestRoot();
  const deep = `${root.dir}/${"d".repeat(200 - root.dir.length)}`;
  Deno.mkdirSync(deep, { mode: 0o700 });
  const paths = await startTerminal(deep, "long", ["cat"]);
  await sendKeys("long", [{ text: "far away" }, { key: "enter" }], {
    root: deep,
  });
  await shows(deep, "long", /far away\nfar away/);
  const socket = Deno.lstatSync(`${paths.dir}/attach.sock`);
  assertEquals([socket.isSocket, socket.mode! & 0o777], [true, 0o600]);
  assertEquals(Deno.statSync(paths.dir).mode! & 0o777, 0o700);
  // A link in its place is refused.
  Deno.renameSync(`${paths.dir}/attach.sock`, `${paths.dir}/other`);
  Deno.symlinkSync("other", `${paths.dir}/attach.sock`);
  await assertRejects(
    () => readScreen("long", { root: deep }),
    Deno.errors.PermissionDenied,
    "is a link",
  );
  for (const pid of root.strays()) Deno.kill(pid, "SIGKILL");
});

Deno.test({
  name: "relay is out of reach for another user",
  ignore: geteuid() !== 0, // Only root can be somebody else.
  async fn() {
    await using root = new TestRoot();
    const paths = await startTerminal(root.dir, "a", ["cat"]);
    Deno.chmodSync(root.dir, 0o755);
    const connect = "import socket, sys\n" +
      "socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    const attempt = async (...prefix: string[]) => {
      const argv = [...prefix, "/usr/bin/python3", "-c", connect];
      const { stderr } = await new Deno.Command(argv[0]!, {
        args: [...argv.slice(1), `${paths.dir}/attach.sock`],
      }).output();
      return new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    };
    assertEquals(await attempt(), "");
    const nobody = ["setpriv", "--reuid=65534", "--clear-groups"];
    const refused = "PermissionError: [Errno 13] Permission denied";
    assertEquals(await attempt(...nobody), refused);
    // Not by its directory alone.
    Deno.chmodSync(paths.dir, 0o755);
    assertEquals(await attempt(...nobody), refused);
  },
});

Deno.test("a terminal session that ignores SIGTERM is stopped all the same", async () => {
  await using root = new TestRoot();
  const script = "trap '' TERM HUP; echo deaf; while :; do sleep 0.1; done";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await shows(root.dir, "a", /deaf/);
  await stopSession("a", { root: root.dir, graceMs: 200 });
  assertEquals(await ending(paths), { signal: "SIGKILL" });
  await until(() => root.strays().length === 0, "nothing left");
});

Deno.test("relay closes a client that talks nonsense, or another version, and only that", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  const hello = encodeFrame(Frame.HELLO, { protocol: PROTOCOL });
  const join = (...parts: Uint8Array[]) => concat(parts);
  const random = crypto.getRandomValues(new Uint8Array(4096));
  random[3] = 255; // Otherwise it may begin a long frame whose rest the relay waits for.
  const nonsense = [
    random,
    new Uint8Array(5000),
    new Uint8Array([255, 255, 255, 127, 1]),
    encodeFrame(Frame.INPUT, "x"),
    encodeFrame(Frame.HELLO, "not json"),
    encodeFrame(Frame.HELLO, "null"),
    encodeFrame(Frame.HELLO, { protocol: 999 }),
    join(hello, encodeFrame(200, "x")),
    join(hello, encodeFrame(Frame.ATTACH, "[]")),
    join(hello, encodeFrame(Frame.SEND, { parts: 5 })),
    join(hello, encodeFrame(Frame.SEND, { parts: [{ key: "nope" }] })),
    join(hello, encodeFrame(Frame.SEND, { parts: [null] })),
    join(hello, encodeFrame(Frame.ATTACH, {}), encodeFrame(Frame.ATTACH, {})),
  ];
  for (const bytes of nonsense) {
    const conn = await connectIn(paths.dir);
    try {
      await conn.write(bytes);
    } catch {
      // Closed already.
    }
    const answer = await new Response(conn.readable).text().catch(() => "");
    if (bytes === nonsense[6]) {
      assertStringIncludes(
        answer,
        "version 1 of the attach protocol, this program version 999",
      );
    }
  }
  // An attachment with the most foolish of sizes.
  const conn = await connectIn(paths.dir);
  await conn.write(
    join(
      hello,
      encodeFrame(Frame.ATTACH, { columns: -5, rows: 1e99, readOnly: 7 }),
    ),
  );
  conn.close();
  await sendKeys("a", [{ text: "alive" }, { key: "enter" }], {
    root: root.dir,
  });
  await shows(root.dir, "a", /alive\nalive/);
  await until(() => terminalStatusAt(paths, true)!.clients === 0);
});

Deno.test("sendKeys() tells how much was typed when the program does not read", async () => {
  await using root = new TestRoot();
  const script = "stty raw -echo; echo raw; while :; do sleep 1; done";
  await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await shows(root.dir, "a", /raw/);
  const error = await assertRejects(
    () =>
      sendKeys("a", [{ text: "x".repeat(1_000_000) }], {
        root: root.dir,
        timeoutMs: 200,
      }),
    SessionError,
    "does not read",
  );
  assertEquals(error.code, "input_full");
  assert(
    error.written! > 1000 && error.written! < 1_000_000,
    `${error.written}`,
  );
  assertEquals((await readScreen("a", { root: root.dir })).lines[0], "raw");
  const options = { root: root.dir, timeoutMs: 600_000 };
  const signal = AbortSignal.timeout(100);
  // Deno 2.7 words it in another way.
  const reason = await assertRejects(
    () => sendKeys("a", [{ text: "x" }], { ...options, signal }),
    DOMException,
  );
  assertEquals(reason.name, "TimeoutError");
  // It still has its turn; others don't wait for that longer than they want to.
  const late = await assertRejects(
    () => sendKeys("a", [{ text: "x" }], { ...options, timeoutMs: 50 }),
    SessionError,
    "does not read",
  );
  assertEquals(late.written, 0);
  // A terminal that edits lines: the kernel would drop what is too long.
  await startTerminal(root.dir, "b", [
    "sh",
    "-c",
    "stty -echo; echo set; exec sleep 100",
  ]);
  await shows(root.dir, "b", /set/);
  const send = (text: string) =>
    assertRejects(
      () => sendKeys("b", [{ text }], { root: root.dir, timeoutMs: 200 }),
      SessionError,
    );
  assertEquals((await send("x".repeat(5000))).written, 0);
  const lines = await send("a line\n".repeat(150_000));
  assert(
    lines.written! > 1000 && lines.written! < 1_000_000,
    `${lines.written}`,
  );
});

Deno.test("sendKeys() types text, then Enter on its own, as a paste where that is asked for", async () => {
  await using root = new TestRoot();
  const program = `
import os, tty
tty.setraw(0)
os.write(1, b"ready")
for i in range(3): os.write(1, (repr(os.read(0, 4096)) + "\\r\\n").encode())
os.write(1, b"\\x1b[?2004h\\x1b[?1hpaste")
for i in range(3): os.write(1, (repr(os.read(0, 4096)) + "\\r\\n").encode())
`;
  await startTerminal(root.dir, "a", ["python3", "-c", program]);
  await shows(root.dir, "a", /ready/);
  const parts = [{ text: "ä b" }, { key: "enter" }, { key: "up" }];
  await sendKeys("a", parts, { root: root.dir });
  await shows(root.dir, "a", /b'\\xc3\\xa4 b'\s+b'\\r'\s+b'\\x1b\[A'\s+paste/);
  await sendKeys("a", parts, { root: root.dir });
  await shows(
    root.dir,
    "a",
    /b'\\x1b\[200~\\xc3\\xa4 b\\x1b\[201~'\s+b'\\r'\s+b'\\x1bOA'/,
  );
  await assertRejects(
    () => sendKeys("a", [{ key: "hyper-q" }], { root: root.dir }),
    TypeError,
    "Unknown key",
  );
});

Deno.test("sendKeys() keeps keystrokes apart for a program that is slow to read them", async () => {
  await using root = new TestRoot();
  const program = `
import os, time, tty
tty.setraw(0)
os.write(1, b"\\x1b[?2004hready\\r\\n")
for i in range(3):
    time.sleep(0.2)
    os.write(1, (repr(os.read(0, 4096)) + "\\r\\n").encode())
`;
  await startTerminal(root.dir, "a", ["python3", "-c", program]);
  await shows(root.dir, "a", /ready/);
  const parts = [{ text: "text" }, { key: "enter" }, { key: "up" }];
  await sendKeys("a", parts, { root: root.dir });
  await shows(root.dir, "a", /text\\x1b\[201~'\nb'\\r'\nb'\\x1b\[A'/);
});

Deno.test("waitForScreen() and waitFor() see what comes, and say when it can't come", async () => {
  await using root = new TestRoot();
  const script =
    "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; read x; echo bye";
  await startTerminal(root.dir, "a", ["sh", "-c", script]);
  const idle = { for: "idle", idleMs: 1500 } as const;
  await waitFor("a", idle, { root: root.dir, ...over });
  const screen = await readScreen("a", { root: root.dir });
  assertEquals(screen.lines.slice(0, 5), ["1", "2", "3", "4", "5"]);
  const abort = new AbortController();
  const waiting = waitForScreen("a", /never/, {
    root: root.dir,
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(new Error("enough")), 50);
  await assertRejects(() => waiting, Error, "enough");
  const failing = waitForScreen("a", /never/, { root: root.dir });
  await sendKeys("a", [{ key: "enter" }], { root: root.dir });
  await assertRejects(() => failing, SessionError, "ended without showing");
  await waitForScreen("a", /bye/, { root: root.dir });
});

Deno.test("fifty terminal sessions at once", async () => {
  await using root = new TestRoot();
  const ids = Array.from({ length: 50 }, (_, index) => `s${index}`);
  await Promise.all(
    ids.map((id) =>
      startTerminal(root.dir, id, [
        "sh",
        "-c",
        `echo I am ${id}; read x; exit 3`,
      ])
    ),
  );
  for (const id of ids) await shows(root.dir, id, new RegExp(`I am ${id}\n`));
  const paths = ids.map((id) => `${root.dir}/${id}/exit`);
  await Promise.all(
    ids.map((id) => sendKeys(id, [{ key: "enter" }], { root: root.dir })),
  );
  await until(
    () =>
      paths.every((path) => {
        try {
          return Deno.readTextFileSync(path) === "code 3\n";
        } catch {
          return false;
        }
      }),
    "fifty ends",
    20_000,
  );
});

Deno.test("relayCommand() checks the size", () => {
  const start = { dir: "/d", argv: ["x", "--", "y"] };
  assertThrows(() => relayCommand({ ...start, columns: 0 }), RangeError);
  assertEquals(
    relayCommand({ ...start, launcher: ["me", "relay"], logLimitBytes: 9 }),
    ["me", "relay", "/d", "120x40", "--log-limit", "9", "--", "x", "--", "y"],
  );
});

Deno.test("relay gives its agent every argument verbatim, also those that look like its own", async () => {
  await using root = new TestRoot();
  const argv = ["--", "%s|", "--log-limit", "9", "-x", "007", "1e3", "", "--"];
  const paths = await startTerminal(root.dir, "a", ["printf", ...argv], {
    logLimitBytes: 20_000,
  });
  await ending(paths);
  // Its first "--" is printf's.
  assertEquals(
    Deno.readTextFileSync(paths.stdout),
    "--log-limit|9|-x|007|1e3||--|",
  );
});

/** The entries of a process's environment or arguments. */
function entriesOf(pid: number, file: "environ" | "cmdline"): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/${file}`).split("\0");
}

Deno.test("relay runs in the caller's environment, and its agent in its own", async () => {
  await using root = new TestRoot();
  const own = {
    // Where Deno would look for its code, and for its settings.
    DENO_DIR: "/nowhere",
    HOME: "/nowhere",
    NPM_CONFIG_REGISTRY: "http://127.0.0.1:1",
    LD_PRELOAD: "",
    TERM: "dumb",
    WORDS: 'secret "words"\nCODEX_SESSION_DIR=/x\n\'ü€😀\\',
    LONG: "x".repeat(100_000),
    LONGER: "ü".repeat(30_000),
    TMUX: "asked for",
  };
  const script = 'env -0 >"$0.tmp"; mv "$0.tmp" "$0.env"; read x';
  // Inherited bytes that are no text; Deno itself could not set them.
  const main = `
    import { createSession } from "${PROJECT}mod.ts";
    const [root, file] = Deno.args;
    const options = JSON.parse(Deno.readTextFileSync(file));
    const { pids } = await createSession({ root, kind: "pty", cwd: root, ...options });
    console.log(JSON.stringify(pids));`;
  const create = async (id: string, options: object) => {
    const command = ["sh", "-c", script, id];
    const asked = `${root.dir}/options`;
    Deno.writeTextFileSync(asked, JSON.stringify({ id, command, ...options }));
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: [
        ...["-c", `BYTES="$(printf '\\377\\200')" STY=x TERM=ours exec "$@"`],
        ...["sh", Deno.execPath(), "eval", main, root.dir, asked],
      ],
    }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
    const pids = JSON.parse(new TextDecoder().decode(stdout));
    const file = `${root.dir}/${id}.env`;
    await until(() => exists(file), file);
    // One character for each byte, as bytewise() makes them.
    const bytes = new TextDecoder("latin1").decode(Deno.readFileSync(file));
    const agent = new Map(
      bytes.split("\0").filter(Boolean).map((entry) => {
        const at = entry.indexOf("=");
        return [entry.slice(0, at), entry.slice(at + 1)] as const;
      }),
    );
    return { pids, agent };
  };
  const { pids, agent } = await create("a", { env: own });
  for (const [name, value] of Object.entries(own)) {
    assertEquals(agent.get(name), bytewise(value), name);
  }
  assertEquals(agent.get("BYTES"), "\xff€"); // As TextDecoder has it: 0xff, 0x80.
  assertEquals(agent.get("STY"), undefined);
  assertEquals(agent.get("CODEX_SESSION_DIR"), `${root.dir}/a`);
  assertEquals([...agent.keys()].filter((name) => /AGENT/.test(name)), []);
  for (const pid of [pids.reaper, pids.relay]) {
    const environment = entriesOf(pid, "environ");
    const names = environment.map((entry) => entry.split("=")[0]);
    assert(!names.includes("NPM_CONFIG_REGISTRY"), `${names}`);
    assertEquals(
      environment.filter((entry) => entry.startsWith("TERM=")),
      ["TERM=ours"],
    );
    assert(!/secret|nowhere|127/.test(`${entriesOf(pid, "cmdline")}`));
  }
  const meta = JSON.parse(Deno.readTextFileSync(`${root.dir}/a/meta.json`));
  assertEquals(meta.env, Object.keys(own).sort());
  const shown = processesAt(pathsFor("a", { root: root.dir }));
  assert(shown.some(({ pid }) => pid === pids.agent));

  const cleared = await create("b", {
    clearEnv: true,
    env: { A: "b", PATH: "/usr/bin:/bin" },
  });
  assertEquals(
    [...cleared.agent.keys()].sort()
      .filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name)),
    ["A", "CODEX_SESSION_DIR", "CODEX_SESSION_ID", "PATH", "TERM"],
  );
  assertEquals(cleared.agent.get("TERM"), "xterm-256color");
});

Deno.test("relay under a limit of file sizes runs on, and its agent gets SIGXFSZ", async () => {
  await using root = new TestRoot();
  const script = "while read x; do seq 3000; " +
    'head -c 100000 /dev/zero >file; echo "status $?"; done';
  const relay = relayCommand({ dir: "/d", argv: ["x"] });
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script], {
    launcher: [
      ...["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"],
      ...relay.slice(0, relay.indexOf("/d")),
    ],
  });
  await sendKeys("a", [{ key: "enter" }], { root: root.dir });
  // 128 and SIGXFSZ.
  await shows(root.dir, "a", /\n2999\n3000\n(.*\n)?status 153\n/);
  assert(Deno.statSync(paths.stdout).size <= 16 * 1024);
  const said = Deno.readTextFileSync(paths.stderr);
  assertStringIncludes(said, "File too large");
  assertEquals(readState(paths).state, "running");
});
