import { attachSession } from "../../client/attach.ts";
import { readEvents } from "../../client/events.ts";
import { createSession } from "../../session/create.ts";
import { SessionError } from "../../errors.ts";
import { sendEof, sendInput } from "../../client/input.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { pathsFor, readState } from "../../store.ts";
import { exists } from "../../system/files.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";

function repl(root: TestRoot, script: string, id = "a") {
  const paths = pathsFor(id, { root: root.dir });
  return spawnRepl(paths, ["-c", script], { program: "sh" });
}

/** A stream that remembers what was written to it. */
function sink() {
  const decoder = new TextDecoder();
  const seen = { text: "", stream: new WritableStream<Uint8Array>() };
  seen.stream = new WritableStream<Uint8Array>({
    write(bytes) {
      seen.text += decoder.decode(bytes, { stream: true });
    },
    close() {
      seen.text += "CLOSED";
    },
    abort() {
      seen.text += "ABORTED";
    },
  });
  return seen;
}

/** A keyboard. */
function keyboard() {
  const { readable, writable } = new TransformStream<Uint8Array>();
  const writer = writable.getWriter();
  const type = (text: string) => writer.write(new TextEncoder().encode(text));
  return { stdin: readable, type, end: () => writer.close() };
}

const exited = (code: number) => ({
  state: { state: "exited" as const, ending: { code } },
});

Deno.test("attachSession() shows the output, sends lines, and ends with the session", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, 'echo hello; while read -r x; do echo "<$x>"; done; exit 4');
  const out = sink();
  const { stdin, type } = keyboard();
  const end = attachSession("a", { ...options, stdin, stdout: out.stream });
  await until(() => out.text === "hello\n");
  await type("one\n");
  await until(() => out.text === "hello\n<one>\n");
  await type("two\nthr");
  await type("ee\n");
  await until(() => out.text === "hello\n<one>\n<two>\n<three>\n");
  await sendEof("a", options);
  assertEquals(await end, exited(4));
  // The streams are as they were: free, and not closed.
  assert(!stdin.locked && !out.stream.locked);
  const writer = out.stream.getWriter();
  await writer.write(new TextEncoder().encode("mine"));
  assert(out.text.endsWith("<three>\nmine"));
  const reader = stdin.getReader();
  const next = reader.read();
  await type("still there");
  assertEquals((await next).value, new TextEncoder().encode("still there"));
});

Deno.test("attachSession() leaves at the end of stdin, and the session runs on", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, 'echo hello; while read -r x; do echo "<$x>"; done');
  const paths = pathsFor("a", options);
  await until(() => Deno.readTextFileSync(paths.stdout) === "hello\n");
  const out = sink();
  const { stdin, type, end } = keyboard();
  const typed = type("one\ntwo").then(end);
  const result = attachSession("a", { ...options, stdin, stdout: out.stream });
  assertEquals(await result, { detached: true });
  await typed;
  // What was there is shown although its end came at once, and all that was typed is sent.
  assert(out.text.startsWith("hello\n"));
  assertEquals(readState(paths).state, "running");
  await sendInput("a", "!\n", options);
  await until(() =>
    Deno.readTextFileSync(paths.stdout) === "hello\n<one>\n<two!>\n"
  );
  // Again, with the last line only.
  const last = sink();
  await attachSession("a", {
    ...options,
    stdin: ReadableStream.from([]),
    stdout: last.stream,
    tailLines: 1,
  });
  assertEquals(last.text, "<two!>\n");
});

Deno.test("attachSession() ends the agent's input with its own where that is asked for", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "cat; echo end; exit 3");
  const out = sink();
  const result = attachSession("a", {
    ...options,
    stdin: ReadableStream.from([new TextEncoder().encode("one\ntwo")]),
    stdinEnd: "eof",
    stdout: out.stream,
  });
  assertEquals(await result, exited(3));
  assertEquals(out.text, "one\ntwoend\n");
});

Deno.test("attachSession() sends a line without its end after a moment", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "exec cat");
  const out = sink();
  const { stdin, type } = keyboard();
  const end = attachSession("a", { ...options, stdin, stdout: out.stream });
  await type("? ");
  await until(() => out.text === "? ");
  await sendEof("a", options);
  assertEquals(await end, exited(0));
});

Deno.test("attachSession() adds stderr where it is asked for", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "echo good; echo bad >&2; exit 1");
  const out = sink();
  const err = sink();
  const both = { stdout: out.stream, stderr: err.stream };
  assertEquals(await attachSession("a", { ...options, ...both }), exited(1));
  assertEquals([out.text, err.text], ["good\n", "bad\n"]);
});

Deno.test("attachSession() leaves at once on abort", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const { agent } = await repl(root, "echo hello; exec sleep 60");
  const aborted = AbortSignal.abort();
  const stdout = sink().stream;
  assertEquals(
    await attachSession("a", { ...options, stdout, signal: aborted }),
    { detached: true },
  );
  // Be it that the output is not taken, or that input is waiting for the agent.
  const frozen = new WritableStream<Uint8Array>({
    write: () => new Promise(() => {}),
  });
  for (const stdout of [frozen, sink().stream]) {
    const controller = new AbortController();
    const { signal } = controller;
    const { stdin, type } = keyboard();
    const end = attachSession("a", { ...options, stdin, stdout, signal });
    await type("x".repeat(100_000) + "\n");
    controller.abort();
    assertEquals(await end, { detached: true });
    assert(!stdin.locked && !stdout.locked);
  }
  Deno.kill(agent);
});

Deno.test("attachSession() tells once that a session takes no input", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const paths = pathsFor("a", options);
  const go = `${root.dir}/go`;
  const script = `until [ -e ${go} ]; do sleep 0.02; done; echo end`;
  await spawnExec(paths, ["-c", script], { program: "sh" });
  const out = sink();
  const { stdin, type } = keyboard();
  const notices: string[] = [];
  const end = attachSession("a", {
    ...options,
    stdin,
    stdout: out.stream,
    onNotice: (message) => notices.push(message),
  });
  await type("one\n");
  await type("two\n");
  await until(() => notices.length > 0);
  Deno.writeTextFileSync(go, "");
  assertEquals(await end, exited(0));
  assertEquals([out.text, notices.length], ["end\n", 1]);
  assertStringIncludes(notices[0]!, "takes no input");
});

Deno.test("attachSession() tells that input is waiting, and loses nothing of it", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const go = `${root.dir}/go`;
  await repl(root, `until [ -e ${go} ]; do sleep 0.02; done; exec wc -c`);
  const out = sink();
  const { stdin, type } = keyboard();
  const notices: string[] = [];
  const end = attachSession("a", {
    ...options,
    stdin,
    stdout: out.stream,
    noticeAfterMs: 20,
    onNotice: (message) => notices.push(message),
  });
  await type("x".repeat(99_999) + "\n");
  await until(() => notices.length > 0);
  assertStringIncludes(notices[0]!, "is not reading");
  Deno.writeTextFileSync(go, "");
  await sendEof("a", options);
  assertEquals(await end, exited(0));
  assertEquals(out.text.trim(), "100000");
});

Deno.test("attachSession() leaves stdin alone when read-only", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "echo hello; sleep 0.2");
  const out = sink();
  const { stdin } = keyboard();
  const end = attachSession("a", {
    ...options,
    stdin,
    stdout: out.stream,
    readOnly: true,
  });
  assert(!stdin.locked);
  assertEquals(await end, exited(0));
});

Deno.test("attachSession() goes on when stdin fails", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "echo hello; exec cat");
  const stdin = new ReadableStream<Uint8Array>({
    pull() {
      throw new Error("no keyboard");
    },
  });
  const notices: string[] = [];
  const result = await attachSession("a", {
    ...options,
    stdin,
    stdout: sink().stream,
    onNotice: (message) => notices.push(message),
  });
  assertEquals(result, { detached: true });
  assertEquals(notices, ["Cannot read the input: no keyboard"]);
});

Deno.test("attachSession() throws what its stdout throws; the session runs on", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  await repl(root, "echo hello; exec cat");
  const stdout = new WritableStream<Uint8Array>({
    write() {
      throw new Deno.errors.BrokenPipe("head has seen enough");
    },
  });
  const { stdin } = keyboard();
  await assertRejects(
    async () => {
      // The write itself may be accepted before the stream fails: so more follows.
      const end = attachSession("a", { ...options, stdin, stdout });
      await end;
    },
    Deno.errors.BrokenPipe,
    "seen enough",
  );
  assert(!stdin.locked);
  assertEquals(readState(pathsFor("a", options)).state, "running");
});

Deno.test("attachSession() ends when the session is deleted or there is none", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const stdout = sink().stream;
  const error = await assertRejects(
    () => attachSession("nobody", { ...options, stdout }),
    SessionError,
  );
  assertEquals((error as SessionError).code, "not_found");
  assert(!stdout.locked);
  await repl(root, "echo hello; exec cat");
  const out = sink();
  const end = attachSession("a", { ...options, stdout: out.stream });
  await until(() => out.text === "hello\n");
  Deno.removeSync(`${root.dir}/a`, { recursive: true });
  assertEquals(await end, { state: { state: "deleted" } });
  assert(!exists(`${root.dir}/a`));
});

Deno.test("attachSession() with readOnly makes no event: who only looks can't fill the journal", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const command = ["sh", "-c", "echo ready; exec cat"];
  await createSession({ root: dir, id: "a", kind: "pty", command });
  for (const readOnly of [true, false]) {
    const leave = new AbortController();
    const shown = Promise.withResolvers<void>();
    const stdout = new WritableStream<Uint8Array>({
      write: () => shown.resolve(),
    });
    const { signal } = leave;
    const attached = attachSession("a", {
      root: dir,
      stdout,
      readOnly,
      signal,
    });
    await shown.promise;
    leave.abort();
    await attached;
  }
  const types = ["attached", "detached"] as const;
  let told: string[] = [];
  await until(async () => {
    const events = await readEvents({ root: dir, types });
    told = events.map(({ type }) => type);
    return told.at(-1) === "detached";
  }, "an event");
  assertEquals(told, ["attached", "detached"]);
});
