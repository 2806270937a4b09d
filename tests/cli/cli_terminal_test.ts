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
  assertMatch(await ok(root, "list"), /\bc +\d+ +pty +running +0 .* -m x y\n/);
  await ok(root, "stop", "-t", "1s", "c");
  assertEquals(root.strays(), []);
});

Deno.test("what a terminal or another kind can't do is said, with what can be done", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-t", "--id", "t", "sleep", "600");
  await ok(root, "run", "--id", "e", "sleep", "600");
  const cases: [number, string, string[]][] = [
    [1, "must be a terminal", ["attach", "t"]],
    [1, "--key ctrl-d", ["send", "t", "--eof"]],
    [1, "it is not a terminal", ["send", "e", "-k", "enter"]],
    [1, "it is no terminal", ["screen", "e"]],
    [2, "key", ["send", "t", "-k", "hyperspace"]],
    [2, "Invalid size", ["run", "-t", "--size", "0x0", "true"]],
    [2, "the session is not a terminal", ["run", "--size", "80x24", "true"]],
    [2, "--tty with --interactive", ["run", "-t", "-i", "true"]],
    [2, "Cannot wait for", ["wait", "--for", "world=peace", "e"]],
    [2, "Invalid regular expression", ["wait", "--for", "output=(", "e"]],
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
