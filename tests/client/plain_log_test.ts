import {
  followPlainLog,
  readPlainLog,
  type ReadPlainLogOptions,
} from "../../client/plain_log.ts";
import { readLogCursor } from "../../client/logs.ts";
import { newMeta, type Paths, pathsFor } from "../../store.ts";
import { prepare } from "../../process/prepare.ts";
import { spawnExec } from "../../spawn.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";

/** A session whose log is these bytes, after so many that nobody wrote. */
function makeLog(root: TestRoot, hole: number, text: string): void {
  const paths = pathsFor("plain", { root: root.dir });
  Deno.mkdirSync(paths.dir, { recursive: true });
  Deno.writeTextFileSync(paths.lock, "");
  Deno.writeTextFileSync(paths.stdout, "");
  Deno.truncateSync(paths.stdout, hole);
  Deno.writeTextFileSync(paths.stdout, text, { append: true });
}

async function plainTail(root: TestRoot, tailLines?: number) {
  const lines = readPlainLog("plain", { root: root.dir, tailLines });
  return await Array.fromAsync(lines);
}

Deno.test("readPlainLog() reads the last lines from the end of a long log", async () => {
  using root = new TestRoot();
  const rows = "one\r\ntwo \x1b[31mred\x1b[0m\r\nthree\r\n";
  // Of some hundred gigabytes, nothing but the end can be read.
  makeLog(root, 2 ** 38, rows);
  assertEquals(await plainTail(root, 2), ["two red", "three"]);
  assertEquals(await plainTail(root, 0), []);
  // A short one is read whole, also without a newline where it is cut.
  makeLog(root, 0, "\x1b[2Jfirst" + rows);
  assertEquals(await plainTail(root, 9), ["firstone", "two red", "three"]);
  assertEquals(await plainTail(root, 1), ["three"]);
  assertEquals((await plainTail(root)).length, 3);
  await assertRejects(() => plainTail(root, -1), RangeError, "whole number");
});

Deno.test("readPlainLog() of a cut log knows what a full-screen program has drawn", async () => {
  using root = new TestRoot();
  const drawn = "\x1b[5;5Hdrawn".repeat(1000);
  makeLog(root, 2 ** 30, `${drawn}\x1b[?1049lafter\r\n$ ls\r\n`);
  const [drawing, ...after] = await plainTail(root, 3);
  assertEquals([drawing!.trim(), ...after], ["drawn", "after", "$ ls"]);
  makeLog(root, 2 ** 30, `cut off\r\n$ vi\r\n\x1b[?1049h${drawn}`);
  assertEquals((await plainTail(root, 9)).at(-1)?.trim(), "drawn");
});

/** The files of a terminal session that has run, in a window of 40 columns and 6 rows. */
function leave(root: TestRoot, output: string, status = {}): Paths {
  const paths = pathsFor("t", { root: root.dir });
  Deno.mkdirSync(paths.dir, { mode: 0o700 });
  const meta = { id: "t", kind: "pty", argv: ["x"], cwd: "/" } as const;
  prepare(paths, newMeta(meta))[Symbol.dispose]();
  Deno.writeTextFileSync(paths.stdout, output);
  Deno.writeTextFileSync(
    `${paths.dir}/terminal.json`,
    JSON.stringify({ agent: 1, columns: 40, rows: 6, clients: 0, ...status }),
  );
  return paths;
}

/** The lines of the session `t`, and what else there is to know. */
async function plain(root: TestRoot, options: ReadPlainLogOptions = {}) {
  const notices: string[] = [];
  const onNotice = (message: string) => void notices.push(message);
  const all = { root: root.dir, onNotice, ...options };
  const lines = await Array.fromAsync(readPlainLog("t", all));
  return { lines, notices };
}

/** A frame of a full-screen program, as coding agents draw it: each row where it is now. */
function frame(rows: readonly string[]): string {
  const drawn = rows.map((row, y) => `\x1b[${y + 1};1H${row}\x1b[K`);
  return `\x1b[?2026h${drawn.join("")}\x1b[?2026l`;
}

Deno.test("readPlainLog() puts together what a full-screen program has scrolled away", async () => {
  using root = new TestRoot();
  // A transcript below a title, above a prompt.
  const all = Array.from({ length: 12 }, (_, i) => `line ${i}`);
  const frames = [0, 1, 2, 4, 5].map((top) =>
    frame(["title", ...all.slice(top, top + 6), "> "])
  );
  const output = "$ agent\r\n\x1b[?1049h" + frames.join("") +
    "\x1b[?1049l$ exit\r\n";
  leave(root, output, { rows: 8 });
  const { lines, notices } = await plain(root);
  const shown = all.slice(0, 11);
  assertEquals(lines, ["$ agent", "title", ...shown, ">", "$ exit"]);
  assertEquals(notices.length, 1);
  assert(notices[0]!.includes("full-screen"), notices[0]);
});

Deno.test("readPlainLog() gives what a pager has scrolled through, however fast", async () => {
  using root = new TestRoot();
  const rows = Array.from({ length: 99 }, (_, i) => `row ${i}`);
  const paged = rows.map((row) => `\r\x1b[K${row}\r\n:`).join("");
  leave(root, `\x1b[?1049h\x1b[H${paged}\x1b[?1049l`, { rows: 12 });
  assertEquals((await plain(root)).lines, [...rows, ":"]);
});

Deno.test("readPlainLog() tells that the beginning is gone", async () => {
  using root = new TestRoot();
  // Where the first line begins is gone, too.
  leave(root, "half\r\nthe end\r\n", { dropped: true });
  const { lines, notices } = await plain(root);
  assertEquals(lines, ["the end"]);
  assert(/beginning .* is gone/.test(notices.join()), notices.join());
  // The last lines are all there.
  assertEquals((await plain(root, { tailLines: 1 })).notices, []);
  // In the middle of a program that draws on the alternate screen.
  Deno.removeSync(`${root.dir}/t`, { recursive: true });
  leave(root, "\x1b[Hshown", { dropped: true, alternate: true });
  assertEquals((await plain(root)).lines, ["shown"]);
  assertEquals((await plain(root)).notices.length, 2);
});

Deno.test("readPlainLog() keeps what is erased above the screen", async () => {
  using root = new TestRoot();
  const rows = Array.from({ length: 9 }, (_, i) => `${i}`);
  const forget = "\x1b[H\x1b[2J\x1b[3J";
  // On the alternate screen it has no effect.
  const other = "\x1b[?1049h\x1b[3J\x1b[?1049l";
  leave(root, rows.join("\r\n") + forget + "last\r\n" + other);
  // Those on the screen were erased.
  assertEquals((await plain(root)).lines, ["0", "1", "2", "last"]);
  // Many: the emulator forgets them meanwhile.
  const count = 12_000;
  const many = Array.from({ length: count }, (_, i) => `${i}`);
  Deno.removeSync(`${root.dir}/t`, { recursive: true });
  leave(root, many.join("\r\n") + "\r\n\x1b[?1049h" + "x".repeat(3000));
  const { lines } = await plain(root);
  assertEquals(lines.slice(0, count), many);
  assert(lines.length < count + 10, `${lines.length}`);
});

Deno.test("readPlainLog() takes a session without a terminal, either stream", async () => {
  await using root = new TestRoot();
  const script =
    "printf '\\033[31mred\\033[m\\na\\tb\\n1%%\\r2%%\\n'; echo bad >&2";
  const paths = pathsFor("t", { root: root.dir });
  await spawnExec(paths, ["-c", script], { program: "sh" });
  const follow = followPlainLog("t", { root: root.dir });
  assertEquals(await Array.fromAsync(follow), ["red", "a       b", "2%"]);
  assertEquals((await plain(root)).lines, ["red", "a       b", "2%"]);
  assertEquals((await plain(root, { stream: "stderr" })).lines, ["bad"]);
});

/** Follows the session `t`, whose output a test writes itself. */
function follow(root: TestRoot, options: { readonly tailLines?: number } = {}) {
  const paths = pathsFor("t", { root: root.dir });
  const lines: string[] = [];
  const done = (async () => {
    const all = { root: root.dir, ...options };
    for await (const line of followPlainLog("t", all)) lines.push(line);
  })();
  return {
    lines,
    done,
    write: (text: string) =>
      Deno.writeTextFileSync(paths.stdout, text, { append: true }),
  };
}

/** A session that lasts until a file is there, in a window of 40 columns and 6 rows. */
async function startQuiet(root: TestRoot) {
  const paths = pathsFor("t", { root: root.dir });
  const go = `${root.dir}/go`;
  const script = `until [ -e ${go} ]; do sleep 0.02; done`;
  await spawnExec(paths, ["-c", script], { program: "sh" });
  const size = { columns: 40, rows: 6 };
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, JSON.stringify(size));
  return { end: () => Deno.writeTextFileSync(go, "") };
}

Deno.test("followPlainLog() gives each line once it is complete, and the rest at the end", async () => {
  await using root = new TestRoot();
  const session = await startQuiet(root);
  const { lines, done, write } = follow(root);
  write("one\ntwo");
  await until(() => lines.join() === "one");
  write(" more\n\nthree\n");
  await until(() => lines.join() === "one,two more,,three");
  write("$ ");
  session.end();
  await done;
  assertEquals(lines, ["one", "two more", "", "three", "$ "]);
});

Deno.test("followPlainLog() waits until they scroll off, where lines are drawn anew", async () => {
  await using root = new TestRoot();
  const session = await startQuiet(root);
  const { lines, done, write } = follow(root);
  write("a 1%\n");
  await until(() => lines.length === 1);
  write("\x1b[Aa 2%\nb 1%\n");
  await until(() => lines.length === 3);
  write("\x1b[Ab 2%\nc\nd\ne\nf\ng\n");
  await until(() => lines.length === 4);
  session.end();
  await done;
  assertEquals(lines.slice(0, 3), ["a 1%", "a 2%", "b 1%"]);
  assertEquals(lines.slice(3), ["b 2%", "c", "d", "e", "f", "g"]);
});

Deno.test("followPlainLog() starts with the last lines", async () => {
  await using root = new TestRoot();
  const session = await startQuiet(root);
  const first = follow(root);
  first.write("one\ntwo\nthree\n");
  await until(() => first.lines.length === 3);
  const { lines, done, write } = follow(root, { tailLines: 1 });
  await until(() => lines.length === 1);
  write("four\n");
  session.end();
  await Promise.all([done, first.done]);
  assertEquals(lines, ["three", "four"]);
});

Deno.test("readPlainLog() and followPlainLog() begin at a cursor, on the screen that was there", async () => {
  using root = new TestRoot();
  const at = { root: root.dir };
  makeLog(root, 0, "\x1b[?1049hold\r\n");
  const since = readLogCursor("plain", at);
  const { stdout } = pathsFor("plain", at);
  Deno.writeTextFileSync(stdout, "\x1b[3;1Hnew", { append: true });
  for (const read of [readPlainLog, followPlainLog]) {
    const bare = await Array.fromAsync(read("plain", { ...at, since }));
    assertEquals(bare.filter((line) => line !== ""), ["new"]);
    const screen = {
      ...{ columns: 120, rows: 40, lines: ["old"], scrollback: 0, title: "" },
      cursor: { column: 0, row: 1, visible: true },
      alternate: true,
    };
    const lines = await Array.fromAsync(
      read("plain", { ...at, since, screen }),
    );
    assertEquals(lines, ["old", "", "new"]);
  }
});

/** The lines that are new on a main screen of 40 columns and 6 rows, after more output. */
async function answer(rows: readonly string[], output: string, more = {}) {
  using root = new TestRoot();
  leave(root, "before");
  const at = { root: root.dir };
  const since = readLogCursor("t", at);
  const { stdout } = pathsFor("t", at);
  Deno.writeTextFileSync(stdout, output, { append: true });
  const screen = {
    ...{ columns: 40, rows: 6, lines: rows, scrollback: 0, title: "" },
    cursor: { column: 2, row: rows.length - 1, visible: true },
    alternate: false,
    ...more,
  };
  const { lines } = await plain(root, { since, screen });
  return lines.join("|");
}

Deno.test("readPlainLog() gives what is new on a main screen, also if it repeats what was there", async () => {
  const rows = ["$ seq 3", "1", "2", "3", "", "$ "];
  const again = "seq 3\r\n1\r\n2\r\n3\r\n\r\n$ ";
  assertEquals(await answer(rows, again), "$ seq 3|1|2|3");
  const both = "$ seq 3|1|2|3||$ seq 3|1|2|3";
  assertEquals(await answer(rows, again + again), both);
  // Erased, and written anew on the same rows.
  const erased = "\x1b[H\x1b[2J\x1b[3J" + again;
  assertEquals(await answer(rows, erased), "seq 3|1|2|3");
  const partly = "\n\x1b[H\x1b[2J" + again;
  assertEquals(await answer(rows, partly), "seq 3|1|2|3");
  assertEquals(await answer(rows, ""), "");
  assertEquals(await answer(rows, "\x1b[?25h"), "");
});

Deno.test("readPlainLog() leaves out what a program draws again below its answer", async () => {
  const rows = ["agent 1.0", "-----", "> ask", "-----", "90% left"];
  const box = "-----\r\n> ask\r\n-----\r\n";
  const drawn = `\x1b[2;1H\x1b[J> why\r\n\r\n* so\r\n${box}`;
  const cursor = { cursor: { column: 5, row: 2, visible: true } };
  const ask = (left: string) => answer(rows, drawn + left, cursor);
  assertEquals(await ask("90% left"), "> why||* so");
  assertEquals(await ask("80% left"), "> why||* so|80% left");
});

Deno.test("readPlainLog() looks at a large screen only as often as there is output for it", async () => {
  using root = new TestRoot();
  const size = { columns: 1000, rows: 1000 };
  const output = "\x1b#8\x1b[S\x1b[?2026l".repeat(2000);
  leave(root, `\x1b[?1049h${output}`, size);
  const { lines, notices } = await plain(root, { workMs: 20_000 });
  assert(lines.length < 20_000, `${lines.length}`);
  assertEquals(notices.length, 1);
});

Deno.test("readPlainLog() loses nothing of an endless line", async () => {
  using root = new TestRoot();
  const text = "x".repeat(900_000);
  leave(root, text);
  assertEquals((await plain(root)).lines.join("").length, text.length);
});

Deno.test("readPlainLog() tells what it leaves out, for want of time or because it is gone", async () => {
  using root = new TestRoot();
  leave(root, "one\r\ntwo\r\n");
  const gone = { stdout: { file: "another", offset: 0 }, stderr: null };
  for (
    const [options, notice] of [
      [{ since: gone }, "last part"],
      [{ workMs: -1 }, "first part"],
    ] as const
  ) assert((await plain(root, options)).notices.join().includes(notice));
});

Deno.test("readPlainLog() stops when its time is over or it is aborted, and lets other work go on", async () => {
  using root = new TestRoot();
  const text = "a\x1b[9999b".repeat(100_000);
  leave(root, text);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  let end = 0;
  const onEnd = ({ offset }: { offset: number }) => end = offset;
  const { notices } = await plain(root, { workMs: 300, onEnd });
  assertStringIncludes(notices.join(), "first part");
  // The place to go on from.
  assert(end > 0 && end < text.length, `${end}`);
  assert(turns > 0);
  clearInterval(timer);
  const signal = AbortSignal.timeout(100);
  await assertRejects(() => plain(root, { signal }), DOMException);
});
