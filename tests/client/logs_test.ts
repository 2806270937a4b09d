import {
  followLog,
  followLogs,
  followStreams,
  type LogChunk,
  type LogStream,
  readLog,
} from "../../client/logs.ts";
import { readPlainLog } from "../../client/plain_log.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { close, mkfifo, open } from "../../system/libc.ts";
import { spawnExec } from "../../spawn.ts";
import { pathsFor, readState } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertThrows,
  TestRoot,
  until,
} from "../helpers.ts";

function start(root: TestRoot, script: string, id = "a") {
  const paths = pathsFor(id, { root: root.dir });
  return spawnExec(paths, ["-c", script], { program: "sh" });
}

async function ended(root: TestRoot, id = "a") {
  const paths = pathsFor(id, { root: root.dir });
  await until(() => readState(paths).state === "exited");
  return paths;
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return await new Response(ReadableStream.from(chunks)).text();
}

/** Everything that a follower gets, growing. */
function collect(chunks: AsyncIterable<Uint8Array>) {
  const decoder = new TextDecoder();
  const seen = { text: "", done: Promise.resolve() };
  seen.done = (async () => {
    for await (const bytes of chunks) {
      seen.text += decoder.decode(bytes, { stream: true });
    }
  })();
  return seen;
}

Deno.test("readLog() gives what is there of either stream", async () => {
  await using root = new TestRoot();
  await start(root, "echo out; echo err >&2");
  const paths = await ended(root);
  const options = { root: root.dir };
  assertEquals(await textOf(readLog("a", options)), "out\n");
  const stderr = "stderr" as const;
  const errors = readLog("a", { ...options, stream: stderr });
  assertEquals(await textOf(errors), "err\n");
  Deno.removeSync(paths.stdout);
  assertEquals(await textOf(readLog("a", options)), "");
});

Deno.test("readLog() gives the last lines", async () => {
  await using root = new TestRoot();
  await start(root, "");
  const paths = await ended(root);
  const long = "x".repeat(200_000);
  const cases: [string, number, string][] = [
    ["", 3, ""],
    ["\n", 1, "\n"],
    ["a\nb\nc\n", 0, ""],
    ["a\nb\nc\n", 1, "c\n"],
    ["a\nb\nc\n", 2, "b\nc\n"],
    ["a\nb\nc\n", 3, "a\nb\nc\n"],
    ["a\nb\nc\n", 9, "a\nb\nc\n"],
    ["a\nb\nc", 1, "c"], // No newline at the end.
    ["a\nb\nc", 2, "b\nc"],
    ["a\n\n\n", 2, "\n\n"],
    [`a\n${long}\n${long}`, 1, long],
    [`a\n${long}\n${long}\n`, 2, `${long}\n${long}\n`],
    [`\n${long}`, 1, long],
    // A newline as the first and as the last byte of a block that is read.
    [`a\n${"x".repeat(65_535)}\n`, 1, `${"x".repeat(65_535)}\n`],
    [`a\n${"x".repeat(65_534)}\n`, 1, `${"x".repeat(65_534)}\n`],
    [`a\nb\n${"x".repeat(65_535)}\n`, 2, `b\n${"x".repeat(65_535)}\n`],
  ];
  for (const [text, tailLines, expected] of cases) {
    Deno.writeTextFileSync(paths.stdout, text);
    const got = await textOf(readLog("a", { root: root.dir, tailLines }));
    assert(got === expected, `last ${tailLines} of ${text.slice(0, 20)}`);
  }
});

Deno.test("readLog() does not read a long log for its last line", async () => {
  await using root = new TestRoot();
  await start(root, "");
  const paths = await ended(root);
  const file = Deno.openSync(paths.stdout, { write: true });
  file.truncateSync(100 * 1024 ** 3); // Sparse: 100 GiB.
  file.seekSync(0, Deno.SeekMode.End);
  file.writeSync(new TextEncoder().encode("\nlast\n"));
  file.close();
  const tail = readLog("a", { root: root.dir, tailLines: 1 });
  assertEquals(await textOf(tail), "last\n");
});

Deno.test("readLog() and its like throw at the call when there is no such session, stream or number", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  for (const read of [readLog, followLog, followLogs, readPlainLog]) {
    const error = assertThrows(
      () => void read("nobody", options),
      SessionError,
      "No such session",
    );
    assertEquals((error as SessionError).code, "not_found", read.name);
  }
  // Deleted between the call and the reading.
  await start(root, "");
  const { dir } = await ended(root);
  const late = readLog("a", options);
  Deno.removeSync(dir, { recursive: true });
  await assertRejects(() => textOf(late), SessionError, "No such session");
  await start(root, "");
  assertThrows(() => readLog("../a", options), ArgumentError);
  const stream = "stdin" as LogStream;
  assertThrows(() => readLog("a", { ...options, stream }), ArgumentError);
  for (const tailLines of [-1, 1.5, NaN]) {
    assertThrows(() => readLog("a", { ...options, tailLines }), RangeError);
    assertThrows(() => followLog("a", { ...options, tailLines }), RangeError);
  }
});

Deno.test("followLog() gives lines as they are written, and ends with the session", async () => {
  await using root = new TestRoot();
  const go = `${root.dir}/go`;
  await start(
    root,
    `for i in 1 2 3; do echo $i; until [ -e ${go}$i ]; do sleep 0.02; done; done`,
  );
  const seen = collect(followLog("a", { root: root.dir }));
  for (const [i, text] of ["1\n", "1\n2\n", "1\n2\n3\n"].entries()) {
    await until(() => seen.text === text);
    Deno.writeTextFileSync(`${go}${i + 1}`, "");
  }
  await seen.done;
  assertEquals(seen.text, "1\n2\n3\n");
});

Deno.test("followLog() gives 10 MB intact", async () => {
  await using root = new TestRoot();
  await start(root, "exec seq -f '%09g' 1 1000000");
  let bytes = 0;
  let rest = "";
  let next = 1;
  const decoder = new TextDecoder();
  for await (const chunk of followLog("a", { root: root.dir })) {
    bytes += chunk.length;
    const lines = (rest + decoder.decode(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (Number(line) !== next++) throw new Error(`${line} is not ${next}`);
    }
  }
  assertEquals([bytes, rest, next], [10_000_000, "", 1_000_001]);
});

Deno.test("followLog() reads what was written right before the end, every time", async () => {
  await using root = new TestRoot();
  for (let i = 0; i < 15; i++) {
    await start(root, "sleep 0.01; printf last", `s${i}`);
    const follow = followLog(`s${i}`, { root: root.dir });
    assertEquals(await textOf(follow), "last");
  }
});

Deno.test("followLog() starts with the last lines", async () => {
  await using root = new TestRoot();
  const go = `${root.dir}/go`;
  await start(
    root,
    `echo 1; echo 2; echo 3; until [ -e ${go} ]; do sleep 0.02; done; echo 4`,
  );
  const paths = pathsFor("a", { root: root.dir });
  await until(() => Deno.readTextFileSync(paths.stdout) === "1\n2\n3\n");
  const two = collect(followLog("a", { root: root.dir, tailLines: 2 }));
  await until(() => two.text === "2\n3\n");
  const none = collect(followLog("a", { root: root.dir, tailLines: 0 }));
  await until(() => openCount(paths.stdout) === 2); // It has begun.
  Deno.writeTextFileSync(go, "");
  await Promise.all([two.done, none.done]);
  assertEquals([two.text, none.text], ["2\n3\n4\n", "4\n"]);
});

/** How many times this program has a file open. */
function openCount(path: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === path) count++;
    } catch {
      // The directory's own descriptor, closed by now.
    }
  }
  return count;
}

Deno.test("followLog() starts over when the log is truncated", async () => {
  await using root = new TestRoot();
  const go = `${root.dir}/go`;
  await start(
    root,
    `echo before it; until [ -e ${go} ]; do sleep 0.02; done; echo after`,
  );
  const paths = pathsFor("a", { root: root.dir });
  const seen = collect(followLog("a", { root: root.dir }));
  await until(() => seen.text === "before it\n");
  Deno.truncateSync(paths.stdout);
  Deno.writeTextFileSync(go, "");
  await seen.done;
  assertEquals(seen.text, "before it\nafter\n");
});

Deno.test("followLog() follows a log that appears later", async () => {
  await using root = new TestRoot();
  await start(root, "sleep 60");
  const paths = pathsFor("a", { root: root.dir });
  Deno.removeSync(paths.stdout);
  const controller = new AbortController();
  const { signal } = controller;
  const seen = collect(followLog("a", { root: root.dir, signal }));
  Deno.writeTextFileSync(paths.stdout, "there\n");
  await until(() => seen.text === "there\n");
  controller.abort(new Error("enough"));
  await assertRejects(() => seen.done, Error, "enough");
});

Deno.test("followLog() drains and ends when the session is deleted", async () => {
  await using root = new TestRoot();
  await start(root, "seq 1 100000; sleep 60");
  const paths = pathsFor("a", { root: root.dir });
  const all = 588_895;
  await until(() => Deno.statSync(paths.stdout).size === all);
  const chunks = followLog("a", { root: root.dir });
  let bytes = 0;
  for await (const chunk of chunks) {
    if (bytes === 0) Deno.removeSync(paths.dir, { recursive: true });
    bytes += chunk.length;
  }
  assertEquals(bytes, all);
});

Deno.test("followLog() ends when reaper and agent are killed", async () => {
  await using root = new TestRoot();
  const pids = await start(root, "echo said; exec sleep 60");
  const seen = collect(followLog("a", { root: root.dir }));
  await until(() => seen.text === "said\n");
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  await seen.done;
  assertEquals(seen.text, "said\n");
});

Deno.test("followLog() throws the reason when aborted: before, while waiting, while reading", async () => {
  await using root = new TestRoot();
  await start(root, "echo said; sleep 60");
  const reason = new TypeError("enough");
  const early = followLog("a", {
    root: root.dir,
    signal: AbortSignal.abort(reason),
  });
  await assertRejects(() => textOf(early), TypeError, "enough");
  for (const when of ["waiting", "reading"]) {
    const controller = new AbortController();
    const { signal } = controller;
    const following = (async () => {
      for await (const _ of followLog("a", { root: root.dir, signal })) {
        if (when === "reading") controller.abort(reason);
        else queueMicrotask(() => controller.abort(reason));
      }
    })();
    await assertRejects(() => following, TypeError, "enough");
  }
});

Deno.test("followLog() frees what it holds when the loop is left", async () => {
  await using root = new TestRoot();
  await start(root, "echo said; sleep 60");
  for await (const bytes of followLog("a", { root: root.dir })) {
    assertEquals(new TextDecoder().decode(bytes), "said\n");
    break;
  }
  // The sanitizers of the test would tell.
});

Deno.test("followLogs() merges both streams, each with its name", async () => {
  await using root = new TestRoot();
  await start(root, "seq 1 50000; seq 1 60000 >&2; sleep 0.1; echo end");
  const texts = { stdout: "", stderr: "" };
  for await (const chunk of followLogs("a", { root: root.dir })) {
    texts[chunk.stream] += new TextDecoder().decode(chunk.bytes);
  }
  const count = (to: number) =>
    Array.from({ length: to }, (_, i) => `${i + 1}\n`).join("");
  assert(texts.stdout === count(50_000) + "end\n");
  assert(texts.stderr === count(60_000));
  const last = { stdout: "", stderr: "" };
  for await (
    const chunk of followLogs("a", { root: root.dir, tailLines: 1 })
  ) last[chunk.stream] += new TextDecoder().decode(chunk.bytes);
  assertEquals(last, { stdout: "end\n", stderr: "60000\n" });
});

Deno.test("followStreams() reads all that is there when it is left", async () => {
  await using root = new TestRoot();
  await start(root, "echo said; sleep 60");
  const paths = pathsFor("a", { root: root.dir });
  await until(() => Deno.readTextFileSync(paths.stdout) === "said\n");
  const controller = new AbortController();
  const leave = controller.signal;
  const chunks = followStreams(paths, ["stdout"], { leave });
  const { value } = await chunks.next();
  assertEquals(new TextDecoder().decode((value as LogChunk).bytes), "said\n");
  const end = chunks.next();
  controller.abort();
  assertEquals(await end, { done: true, value: undefined });
});

Deno.test("readLog() and followLog() go on where a terminal's journal has put output aside", async () => {
  await using root = new TestRoot();
  await start(root, "exec sleep 600");
  const paths = pathsFor("a", { root: root.dir });
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, "{}");
  const line = (i: number) => `line ${i}\n`;
  const text = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => line(from + i)).join("");
  // As journal.ts does it: renamed at some size, then a new file.
  const rotate = () => Deno.renameSync(paths.stdout, `${paths.stdout}.1`);
  const write = (content: string) =>
    Deno.writeTextFileSync(paths.stdout, content, { append: true });
  write(text(0, 10));
  rotate();
  write(text(10, 20));
  assertEquals(await textOf(readLog("a", { root: root.dir })), text(0, 20));
  const tail = (tailLines: number) =>
    textOf(readLog("a", { root: root.dir, tailLines }));
  assertEquals([await tail(3), await tail(13)], [text(17, 20), text(7, 20)]);

  const leave = new AbortController();
  let seen = "";
  const following = (async () => {
    const decoder = new TextDecoder();
    const options = { root: root.dir, tailLines: 0, signal: leave.signal };
    for await (const bytes of followLog("a", options)) {
      seen += decoder.decode(bytes, { stream: true });
    }
  })().catch(() => {});
  write(line(20));
  await until(() => seen === "" || seen.endsWith(line(20)));
  for (let i = 21; i < 41; i++) {
    write(line(i));
    if (i % 5 === 0) rotate();
    if (i % 5 === 0) write("");
    await until(() => seen.endsWith(line(i)));
  }
  leave.abort();
  await following;
  assertEquals(text(20, 41).endsWith(seen), true);
});

Deno.test("followLog() gives a terminal's output within milliseconds, whichever file it is in", async () => {
  await using root = new TestRoot();
  await start(root, "exec sleep 600");
  const paths = pathsFor("a", { root: root.dir });
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, "{}");
  const leave = new AbortController();
  const options = { root: root.dir, signal: leave.signal };
  const seen = collect(followLog("a", options));
  let expected = "";
  for (let i = 0; i < 12; i++) {
    const line = `line ${i}\n`;
    expected += line;
    Deno.writeTextFileSync(paths.stdout, line, { append: true });
    // Sooner than the tick that covers what makes no event.
    await until(() => seen.text === expected, `line ${i}`, 800);
    if (i % 4 > 0) continue;
    Deno.renameSync(paths.stdout, `${paths.stdout}.1`);
    Deno.writeTextFileSync(paths.stdout, "");
  }
  leave.abort(new Error("enough"));
  await assertRejects(() => seen.done, Error, "enough");
});

Deno.test("followLog() is not blocked by the creator's pipe of a terminal that is starting", async () => {
  await using root = new TestRoot();
  await start(root, "exec sleep 600");
  const paths = pathsFor("a", { root: root.dir });
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, "{}");
  const pipe = `${paths.dir}/ready.pipe`;
  mkfifo(pipe);
  const leave = new AbortController();
  const options = { root: root.dir, signal: leave.signal };
  const seen = collect(followLog("a", options));
  await until(() => openCount(paths.stdout) === 1); // It has begun.
  close(open(pipe, { access: "both" })); // An event whose file can't be opened any more.
  Deno.writeTextFileSync(paths.stdout, "there\n", { append: true });
  await until(() => seen.text === "there\n");
  leave.abort(new Error("enough"));
  await assertRejects(() => seen.done, Error, "enough");
});
