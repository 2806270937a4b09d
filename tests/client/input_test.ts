import { type Input, sendEof, sendInput } from "../../client/input.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { appendEvent } from "../../events/journal.ts";
import { readJournal } from "../journal.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { pathsFor, readState } from "../../store.ts";
import { exists } from "../../system/files.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";
import { startTerminal } from "../pty.ts";

function repl(root: TestRoot, script: string, id = "a") {
  const paths = pathsFor(id, { root: root.dir });
  return spawnRepl(paths, ["-c", script], { program: "sh" });
}

async function failing(promise: Promise<unknown>): Promise<SessionError> {
  return await assertRejects(() => promise, SessionError) as SessionError;
}

async function* pieces<T>(...items: T[]): AsyncGenerator<T, void> {
  for (const item of items) {
    await Promise.resolve();
    yield item;
  }
}

/** What the agent has written; the session is over after that. */
async function output(root: TestRoot, id = "a"): Promise<string> {
  const paths = pathsFor(id, { root: root.dir });
  await until(() => readState(paths).state === "exited");
  return Deno.readTextFileSync(paths.stdout);
}

Deno.test("sendInput() delivers text, bytes and streams verbatim, then sendEof() the end", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec cat");
  assertEquals(await sendInput("a", "é\n", options), 3);
  assertEquals(await sendInput("a", "", options), 0);
  assertEquals(await sendInput("a", new Uint8Array([0, 10]), options), 2);
  assertEquals(await sendInput("a", pieces("one ", "two\n"), options), 8);
  const stream = ReadableStream.from([new TextEncoder().encode("three\n")]);
  assertEquals(await sendInput("a", stream, options), 6);
  await sendInput("a", "no newline", options);
  await sendEof("a", options);
  assertEquals(await output(root), "é\n\0\none two\nthree\nno newline");
});

Deno.test("sendInput() and sendEof() note input in the journal, once until something else happens", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const paths = pathsFor("a", options);
  await repl(root, "exec cat");
  const types = () => readJournal(paths).map(({ type }) => type);
  await sendInput("a", pieces("one\n", "two\n"), options);
  await sendInput("a", "three\n", options);
  assertEquals(types(), ["input"]);
  appendEvent(paths, { type: "title", title: "else" });
  await sendEof("a", options);
  assertEquals(types(), ["input", "title", "input"]);
  assertEquals(await output(root), "one\ntwo\nthree\n");
  // Neither is an error: a session of an earlier version, and one that can't be written.
  for (const id of ["b", "c"]) {
    await repl(root, "exec cat", id);
    const { events } = pathsFor(id, options);
    Deno.removeSync(events);
    if (id === "c") Deno.symlinkSync("/dev/full", events);
    await sendInput(id, "x\n", options);
    await sendEof(id, options);
    assertEquals(await output(root, id), "x\n");
  }
});

Deno.test("sendInput() delivers 3 MB through the 64 KiB of a pipe", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "sleep 0.1; exec cksum");
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const whole = new Uint8Array(60_000 * 50);
  for (let i = 0; i < 50; i++) whole.set(bytes, i * 60_000);
  assertEquals(await sendInput("a", whole, options), whole.length);
  await sendEof("a", options);
  const sum = new Deno.Command("cksum", { stdin: "piped", stdout: "piped" })
    .spawn();
  const writer = sum.stdin.getWriter();
  writer.write(whole);
  writer.close();
  const { stdout } = await sum.output();
  assertEquals(await output(root), new TextDecoder().decode(stdout));
});

Deno.test("sendInput() keeps the lines of many senders apart, also long ones", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "sleep 0.1; exec cat");
  const line = (letter: string) => letter.repeat(200_000) + "\n";
  const senders = ["a", "b", "c", "d"].map(async (letter) => {
    for (let i = 0; i < 4; i++) {
      const half = letter.repeat(100_000);
      const input: Input = i % 2 ? pieces(half, half, "\n") : line(letter);
      assertEquals(await sendInput("a", input, options), 200_001);
    }
  });
  // One more, from another process.
  const script = `import { sendInput } from "${new URL(
    "../../client/input.ts",
    import.meta.url,
  )}";
    for (let i = 0; i < 4; i++) {
      await sendInput("a", "e".repeat(200000) + "\\n", { root: "${root.dir}" });
    }`;
  const other = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", script],
  }).output();
  await Promise.all(senders);
  assert((await other).success);
  await sendEof("a", options);
  const lines = (await output(root)).split("\n");
  assertEquals(lines.pop(), "");
  assertEquals(lines.length, 20);
  for (const text of lines) assert(text === text[0]!.repeat(200_000));
});

Deno.test("sendInput() says how much was taken when the agent does not read", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir, timeoutMs: 100 };
  await repl(
    root,
    "while [ ! -e $CODEX_SESSION_DIR/go ]; do sleep 0.02; done; exec cat",
  );
  const bytes = new Uint8Array(100_000).fill(97);
  const error = await failing(sendInput("a", bytes, options));
  assertEquals([error.code, error.written], ["input_full", 65_536]);
  assertStringIncludes(error.message, "is not reading");
  assertStringIncludes(error.message, "65536 bytes");
  const again = await failing(sendInput("a", "x\n", options));
  assertEquals([again.code, again.written], ["input_full", 0]);
  // What was taken is not lost, and nothing else arrives.
  Deno.writeTextFileSync(`${root.dir}/a/go`, "");
  await sendEof("a", options);
  assertEquals((await output(root)).length, 65_536);
});

Deno.test("sendInput() waits for an agent that reads slowly longer than the timeout", async () => {
  await using root = new TestRoot();
  await repl(
    root,
    "for i in 1 2 3 4 5 6; do sleep 0.4; head -c 65536; done",
  );
  const options = { root: root.dir, timeoutMs: 1500 };
  const bytes = new Uint8Array(6 * 65_536).fill(97);
  assertEquals(await sendInput("a", bytes, options), bytes.length);
  assertEquals((await output(root)).length, bytes.length);
});

Deno.test("sendInput() waits for another sender, for a bounded time", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec cat");
  const { readable, writable } = new TransformStream<Uint8Array>();
  const writer = writable.getWriter();
  const first = sendInput("a", readable, options);
  await writer.write(new TextEncoder().encode("first "));
  const refused = sendInput("a", "x\n", { ...options, timeoutMs: 50 });
  assertEquals((await failing(refused)).code, "timeout");
  const second = sendInput("a", "second\n", options);
  await writer.write(new TextEncoder().encode("still first\n"));
  await writer.close();
  assertEquals(await Promise.all([first, second]), [18, 7]);
  await sendEof("a", options);
  assertEquals(await output(root), "first still first\nsecond\n");
});

Deno.test("sendEof() comes after what was sent before, and nothing comes after it", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const go = `${root.dir}/go`;
  await repl(root, `until [ -e ${go} ]; do sleep 0.02; done; cat; echo end`);
  const text = "x".repeat(50_000) + "\n";
  await sendInput("a", text, options);
  await sendEof("a", options);
  assert(!exists(pathsFor("a", options).stdin));
  for (
    const late of [sendInput("a", "late\n", options), sendEof("a", options)]
  ) {
    const error = await failing(late);
    assertEquals([error.code, error.written], ["wrong_state", 0]);
    assertStringIncludes(error.message, "end of file was already sent");
  }
  Deno.writeTextFileSync(go, "");
  assert(await output(root) === text + "end\n");
});

Deno.test("sendEof() makes up for a sender of it that died in the middle", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec cat");
  Deno.removeSync(pathsFor("a", options).stdin);
  assertEquals((await failing(sendEof("a", options))).code, "wrong_state");
  assertEquals(await output(root), "");
});

Deno.test("sendInput() says how the session ended", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exit 3");
  await repl(root, "kill -9 $$", "killed");
  const lost = await repl(root, "exec cat", "lost");
  for (const pid of [lost.reaper, lost.agent]) Deno.kill(pid, "SIGKILL");
  const endings = {
    a: "it exited with code 3",
    killed: "it was ended by SIGKILL",
    lost: "it is lost: its supervisor was killed",
  };
  for (const [id, why] of Object.entries(endings)) {
    const paths = pathsFor(id, options);
    await until(() => readState(paths).state !== "running");
    for (const send of [sendInput(id, "x", options), sendEof(id, options)]) {
      const error = await failing(send);
      assertEquals(error.code, "wrong_state");
      assertStringIncludes(
        error.message,
        `Cannot send to session "${id}": ${why}`,
      );
    }
  }
});

Deno.test("sendInput() says what was taken when the agent ends in the middle", async () => {
  await using root = new TestRoot();
  await repl(root, "head -c 1000 >/dev/null; exit 3");
  const bytes = new Uint8Array(500_000);
  const error = await failing(sendInput("a", bytes, { root: root.dir }));
  assertEquals(error.code, "wrong_state");
  assertStringIncludes(error.message, "it exited with code 3; ");
  assert(error.written! >= 65_536 && error.written! < 500_000);
});

Deno.test("sendInput() throws no_reader when the agent has closed its input", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec 0<&-; touch $CODEX_SESSION_DIR/closed; exec sleep 60");
  await until(() => exists(`${root.dir}/a/closed`));
  for (const send of [sendInput("a", "x", options), sendEof("a", options)]) {
    const error = await failing(send);
    assertEquals([error.code, error.written], ["no_reader", 0]);
  }
});

Deno.test("sendInput() writes to no file that a link in its pipe's place leads to", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec cat");
  const { stdin } = pathsFor("a", options);
  Deno.removeSync(stdin);
  Deno.writeTextFileSync(`${root.dir}/outside`, "precious");
  Deno.symlinkSync(`${root.dir}/outside`, stdin);
  const error = await failing(sendInput("a", "x", options));
  assertStringIncludes(error.message, "is not a pipe");
  assertEquals(Deno.readTextFileSync(`${root.dir}/outside`), "precious");
});

Deno.test("sendInput() refuses kind exec, no session, and what is no input", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const paths = pathsFor("a", options);
  await spawnExec(paths, ["60"], { program: "sleep" });
  const error = await failing(sendInput("a", "x", options));
  assertEquals(error.code, "wrong_state");
  assertStringIncludes(error.message, "takes no input");
  assertEquals((await failing(sendEof("a", options))).code, "wrong_state");
  const nobody = sendInput("nobody", "x", options);
  assertEquals((await failing(nobody)).code, "not_found");
  const bad = { ...options, timeoutMs: NaN };
  await assertRejects(() => sendInput("a", "x", bad), RangeError);
  await repl(root, "exec cat", "b");
  const numbers = pieces(5) as unknown as Input;
  await assertRejects(() => sendInput("b", numbers, options), ArgumentError);
});

Deno.test("sendInput() throws the reason when aborted, wherever it waits", async () => {
  await using root = new TestRoot();
  const { agent } = await repl(root, "exec sleep 60");
  const controller = new AbortController();
  const { signal } = controller;
  const options = { root: root.dir, signal, timeoutMs: Infinity };
  const { readable } = new TransformStream<Uint8Array>();
  const sends = [
    sendInput("a", new Uint8Array(100_000), options), // For room in the pipe.
    sendInput("a", "x", options), // For the other one.
  ];
  await repl(root, "exec cat", "b");
  sends.push(sendInput("b", readable, options)); // For a chunk.
  const settled = Promise.allSettled(sends);
  await until(() => isRunning(agent));
  controller.abort(new TypeError("enough"));
  const results = await settled;
  assertEquals(results.map(({ status }) => status), Array(3).fill("rejected"));
  for (const result of results) {
    if (result.status === "rejected") {
      assertEquals(result.reason, signal.reason);
    }
  }
  await assertRejects(() => sendEof("b", options), TypeError, "enough");
});

Deno.test("sendInput() names sendKeys when the session is a terminal", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "t", ["sleep", "600"]);
  const error = await assertRejects(
    () => sendInput("t", "x\n", { root: root.dir }),
    SessionError,
    "use sendKeys",
  );
  assertEquals((error as SessionError).code, "unsupported");
});
