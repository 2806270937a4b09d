import { sendEof, sendInput } from "../../client/input.ts";
import {
  followLog,
  type LogCursor,
  readLog,
  readLogCursor,
} from "../../client/logs.ts";
import { sendKeys } from "../../client/terminal.ts";
import { waitFor, waitForSession } from "../../client/wait.ts";
import { SessionError } from "../../errors.ts";
import { appendEvent } from "../../events/journal.ts";
import { createSession } from "../../session/create.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { pathsFor } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";
import { relayCommand } from "../../relay/command.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

function start(root: TestRoot, id: string, script: string) {
  const paths = pathsFor(id, { root: root.dir });
  return spawnExec(paths, ["-c", script], { program: "sh" });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, SessionError);
  return (error as SessionError).code;
}

Deno.test("waitForSession() tells code and signal, for many waiters at once", async () => {
  await using root = new TestRoot();
  await start(root, "code", "sleep 0.2; exit 3");
  await start(root, "signal", "sleep 0.2; kill -TERM $$");
  const options = { root: root.dir };
  const waits = ["code", "signal", "code", "signal", "code"];
  const ended = waits.map((id) => waitForSession(id, options));
  const code = { state: "exited" as const, ending: { code: 3 } };
  const signal = { state: "exited" as const, ending: { signal: "SIGTERM" } };
  const states = { code, signal } as Record<string, unknown>;
  for (const [i, result] of (await Promise.all(ended)).entries()) {
    assertEquals(result, { id: waits[i], state: states[waits[i]!] } as never);
  }
  // At once, if it is over already.
  assertEquals((await waitForSession("code", options)).state, code);
});

Deno.test("waitForSession() misses no end, however short the session", async () => {
  await using root = new TestRoot();
  for (let i = 0; i < 20; i++) {
    await start(root, `s${i}`, "");
    const { state } = await waitForSession(`s${i}`, { root: root.dir });
    assertEquals(state.state, "exited");
  }
});

Deno.test("waitForSession() throws timeout, and only looks with 0", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 60");
  for (const timeoutMs of [0, 50]) {
    const options = { root: root.dir, timeoutMs };
    assertEquals(await codeOf(waitForSession("a", options)), "timeout");
  }
  const bad = { root: root.dir, timeoutMs: -1 };
  await assertRejects(() => waitForSession("a", bad), RangeError);
});

Deno.test("waitForSession() throws the reason when aborted", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 60");
  const controller = new AbortController();
  const { signal } = controller;
  const ended = waitForSession("a", { root: root.dir, signal });
  controller.abort(new TypeError("enough"));
  await assertRejects(() => ended, TypeError, "enough");
});

Deno.test("waitForSession() says lost when reaper and agent are killed", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  const ended = waitForSession("a", { root: root.dir });
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  assertEquals((await ended).state, { state: "lost", pids });
});

Deno.test("waitForSession() knows the ending of a session that is deleted at once", async () => {
  await using root = new TestRoot();
  const { reaper } = await start(root, "a", "sleep 0.1; exit 7");
  const ended = waitForSession("a", { root: root.dir });
  // As `--rm` does, before the waiter comes to look: everything here is synchronous.
  while (isRunning(reaper));
  Deno.renameSync(`${root.dir}/a`, `${root.dir}/.old`);
  Deno.removeSync(`${root.dir}/.old`, { recursive: true });
  const state = { state: "exited" as const, ending: { code: 7 } };
  assertEquals(await ended, { id: "a", state });
});

Deno.test("waitForSession() throws not_found when there is none, or none any more", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  assertEquals(await codeOf(waitForSession("nobody", options)), "not_found");
  await start(root, "a", "sleep 60");
  const ended = waitForSession("a", options);
  Deno.removeSync(`${root.dir}/a`, { recursive: true });
  assertEquals(await codeOf(ended), "not_found");
});

Deno.test("waitFor() and followLog() keep to a session whose id is used again, or that is removed", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  await start(root, "a", "echo one; sleep 60");
  await start(root, "b", "echo later; sleep 60");
  await createSession({ ...at, id: "t", kind: "pty", command: ["cat"] });
  const later = pathsFor("b", at);
  await until(() => Deno.readTextFileSync(later.stdout) === "later\n");
  const status = { value: "done", source: "report" } as const;
  Deno.writeTextFileSync(later.events, "");
  appendEvent(later, { type: "status", status });
  const followed = Array.fromAsync(followLog("a", at));
  const pattern = /later/;
  const waits = [
    waitFor("a", { for: "output", pattern }, at),
    waitFor("a", { for: "status", values: ["done"] }, at),
    waitFor("a", { for: "turn" }, at),
    waitFor("a", { for: "idle", idleMs: 60_000 }, at),
    waitFor("t", { for: "screen", pattern }, at),
  ];
  await waitFor("a", { for: "output", pattern: /one/ }, at);
  // All at once for them, as if they had been suspended meanwhile.
  Deno.removeSync(`${root.dir}/a`, { recursive: true });
  Deno.renameSync(`${root.dir}/b`, `${root.dir}/a`);
  Deno.removeSync(`${root.dir}/t`, { recursive: true });
  const codes = await Promise.all(waits.map(codeOf));
  assertEquals(codes, waits.map(() => "not_found"));
  const text = (await followed).map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(text.join(""), "one\n");
});

Deno.test("waitFor() idle counts output of a time to come as new, and is not fooled by a clock that is set", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const quiet = pathsFor("quiet", at);
  await spawnExec(quiet, ["600"], { program: "sleep" });
  const toCome = new Date(Date.now() + 86_400_000);
  Deno.utimeSync(quiet.stdout, toCome, toCome);
  const start = performance.now();
  const idle = { for: "idle", idleMs: 200 } as const;
  await waitFor("quiet", idle, { ...at, timeoutMs: 5000 });
  assert(performance.now() - start >= 200);

  const busy = pathsFor("busy", at);
  const script = "while :; do echo x; sleep 0.02; done";
  await spawnExec(busy, ["-c", script], { program: "sh" });
  await until(() => Deno.statSync(busy.stdout).size > 0);
  const { now } = Date;
  const waiting = waitFor("busy", idle, { ...at, timeoutMs: 700 });
  Date.now = () => now() + 3_600_000;
  try {
    await assertRejects(() => waiting, SessionError, "Timed out after");
  } finally {
    Date.now = now;
  }
});

Deno.test("waitFor() waits as long as it is told, also for longer than a timer takes", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 0.1; echo ready; sleep 600");
  const output = { for: "output", pattern: /ready/ } as const;
  const timeoutMs = 25 * 86_400_000;
  await waitFor("a", output, { root: root.dir, timeoutMs });
  const within = (timeoutMs: unknown) => () =>
    waitFor("a", output, { root: root.dir, timeoutMs: timeoutMs as number });
  await assertRejects(within("5"), TypeError, "timeoutMs must be a number");
  await assertRejects(within(NaN), RangeError, "NaN");
  const text = { for: "output", pattern: "ready" } as never;
  await assertRejects(
    () => waitFor("a", text, { root: root.dir }),
    TypeError,
    "pattern must be a RegExp",
  );
  assertEquals(
    await codeOf(waitFor("a", { for: "output", pattern: /never/ }, {
      root: root.dir,
      timeoutMs: 20,
    })),
    "timeout",
  );
});

Deno.test("waitFor() idle counts from the last input, also that of others and the end of it", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const program = "while read x; do :; done; exec sleep 600";
  const paths = pathsFor("r", at);
  await spawnRepl(paths, ["-c", program], { program: "sh" });
  const long = new Date(Date.now() - 60_000);
  for (const file of [paths.pid, paths.stdout, paths.stderr]) {
    Deno.utimeSync(file, long, long);
  }
  for (
    const send of [() => sendInput("r", "x\n", at), () => sendEof("r", at)]
  ) {
    await send();
    const start = performance.now();
    await waitFor("r", { for: "idle", idleMs: 200 }, at);
    assert(performance.now() - start > 150);
  }
});

Deno.test("waitFor() idle counts from the time of its starting point on", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const paths = pathsFor("a", at);
  await start(root, "a", "sleep 600");
  const long = new Date(Date.now() - 60_000);
  for (const file of [paths.pid, paths.stdout, paths.stderr]) {
    Deno.utimeSync(file, long, long);
  }
  const idle = { for: "idle", idleMs: 300 } as const;
  const since = readLogCursor("a", at);
  const soon = { ...at, since, timeoutMs: 100 };
  assertEquals(await codeOf(waitFor("a", idle, soon)), "timeout");
  const late = { ...since, at: since.at! - 300 };
  await waitFor("a", idle, { ...soon, since: late });
  await waitFor("a", idle, { ...at, since });
  assert(Date.now() - since.at! >= 300);
});

Deno.test("waitFor() idle counts from what was typed into a terminal, by programs and by people", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const script = "stty raw -echo; echo ready; exec sleep 600";
  const paths = await startTerminal(root.dir, "t", ["sh", "-c", script]);
  await waitFor("t", { for: "output", pattern: /ready/ }, at);
  const typedAt = () => Deno.statSync(`${paths.dir}/attach.sock`).mtime!;
  const before = typedAt().getTime();
  await sendKeys("t", [{ text: "x" }], at);
  const sent = typedAt().getTime();
  assert(sent > before);
  await using person = await TestWindow.open(attachCommand(root.dir, "t"));
  await person.shows(/ready/);
  // As if all else had been a minute ago.
  const long = new Date(Date.now() - 60_000);
  for (const file of [paths.pid, paths.stdout, paths.stderr]) {
    Deno.utimeSync(file, long, long);
  }
  person.type("y");
  await until(() => typedAt().getTime() > sent);
  await waitFor("t", { for: "idle", idleMs: 200 }, at);
  assert(Date.now() - typedAt().getTime() >= 190);
});

Deno.test("waitFor() finds output behind a starting point only, and tells where", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const paths = pathsFor("r", at);
  // Standard error first: once "got" is there, so is "err".
  const program = 'while read x; do echo "err $x" >&2; echo "got $x"; done';
  await spawnRepl(paths, ["-c", program], { program: "sh" });
  await sendInput("r", "one\n", at);
  const first = { for: "output", pattern: /got (\w+)\n/ } as const;
  assertEquals((await waitFor("r", first, at)).match[1], "one");

  const since = readLogCursor("r", at);
  await sendInput("r", "two\nthree\n", at);
  const two = await waitFor("r", first, { ...at, since });
  assertEquals([two.match[1], two.stream, two.offset], ["two", "stdout", 8]);
  const three = await waitFor("r", first, { ...at, since: two.cursor });
  assertEquals(three.match[1], "three");
  const none = { ...at, since: three.cursor, timeoutMs: 30 };
  assertEquals(await codeOf(waitFor("r", first, none)), "timeout");

  // A cursor is data; and standard error is searched like standard output.
  const kept = JSON.parse(JSON.stringify(since));
  const error = { for: "output", pattern: /err .*/ } as const;
  const { match, stream } = await waitFor("r", error, { ...at, since: kept });
  assertEquals([match[0], stream], ["err two", "stderr"]);
  const rest = await Array.fromAsync(readLog("r", { ...at, since }));
  assertEquals(
    rest.map((b) => new TextDecoder().decode(b)).join(""),
    "got two\ngot three\n",
  );
});

Deno.test("waitFor() tells where a later wait for output can go on", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { stdout } = pathsFor("a", at);
  await start(root, "a", "sleep 600");
  Deno.writeTextFileSync(stdout, "x\n".repeat(1024 * 1024) + "be");
  let since: LogCursor | undefined;
  const onProgress = (cursor: LogCursor) => since = cursor;
  const condition = { for: "output", pattern: /begin/ } as const;
  const first = { ...at, onProgress, timeoutMs: 1000 };
  assertEquals(await codeOf(waitFor("a", condition, first)), "timeout");
  assert(since!.stdout!.offset > 1024 * 1024);
  Deno.writeTextFileSync(stdout, "gin", { append: true });
  const { offset } = await waitFor("a", condition, { ...at, since });
  assertEquals(offset, 2 * 1024 * 1024);
});

Deno.test("waitFor() finds what comes after a starting point where the journal was put aside, even twice", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const paths = pathsFor("a", at);
  await start(root, "a", "sleep 600");
  const { stdout } = paths;
  const rotate = (text: string) => {
    Deno.renameSync(stdout, `${stdout}.1`);
    Deno.writeTextFileSync(stdout, text, { mode: 0o600 });
  };
  Deno.writeTextFileSync(stdout, "old good, ");
  const since = readLogCursor("a", at);
  Deno.writeTextFileSync(stdout, "good 1", { append: true });
  rotate("x".repeat(100));
  const good = { for: "output", pattern: /good.*/ } as const;
  assertEquals((await waitFor("a", good, { ...at, since })).match[0], "good 1");
  // The file of the starting point is gone, and another may have its inode.
  rotate("good 2");
  assertEquals((await waitFor("a", good, { ...at, since })).match[0], "good 2");
});

Deno.test("waitFor() screen counts once something was drawn behind the starting point", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir, timeoutMs: 10_000 };
  const script = "stty -echo; echo ready; read x; read y; echo; sleep 600";
  await startTerminal(root.dir, "t", ["sh", "-c", script]);
  const ready = { for: "screen", pattern: /^rea(dy)$/m } as const;
  const { match, screen } = await waitFor("t", ready, at);
  assertEquals([match[1], screen.lines[0]], ["dy", "ready"]);
  const since = readLogCursor("t", at);
  await sendKeys("t", [{ key: "enter" }], at);
  const soon = { ...at, since, timeoutMs: 100 };
  assertEquals(await codeOf(waitFor("t", ready, soon)), "timeout");
  await sendKeys("t", [{ key: "enter" }], at);
  await waitFor("t", ready, { ...at, since });
});

Deno.test("waitFor() screen and idle count output that the log of a terminal can't take", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const relay = relayCommand({ dir: "/d", argv: ["x"] });
  const script = "seq 3000; read x; echo answer; " +
    "read x; while sleep 0.02; do echo more; done";
  await startTerminal(dir, "a", ["sh", "-c", script], {
    launcher: [
      ...["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"],
      ...relay.slice(0, relay.indexOf("/d")),
    ],
  });
  const within = { root: dir, timeoutMs: 10_000 };
  await waitFor("a", { for: "screen", pattern: /^3000$/m }, within);
  const since = readLogCursor("a", { root: dir });
  const { size } = Deno.statSync(pathsFor("a", { root: dir }).stdout);
  await sendKeys("a", [{ key: "enter" }], { root: dir });
  const condition = { for: "screen", pattern: /^answer$/m } as const;
  await waitFor("a", condition, { ...within, since });
  await sendKeys("a", [{ key: "enter" }], { root: dir });
  const idle = waitFor("a", { for: "idle", idleMs: 200 }, {
    ...{ root: dir, timeoutMs: 400 },
    since: readLogCursor("a", { root: dir }),
  });
  assertEquals(await codeOf(idle), "timeout");
  assertEquals(
    Deno.statSync(pathsFor("a", { root: dir }).stdout).size,
    size,
  );
});
