import { firstLine, linesFromEnd } from "../../agents/transcript.ts";
import { openFile } from "../../system/files.ts";
import { assert, assertEquals, TestRoot } from "../helpers.ts";

/** The lines of a file with this content, as they are read. */
function linesIn(
  root: TestRoot,
  content: string,
  maxBytes?: number,
): (string | undefined)[] {
  const path = `${root.dir}/lines`;
  Deno.writeTextFileSync(path, content);
  using file = openFile(path)!;
  return [...linesFromEnd(file, maxBytes)];
}

Deno.test("linesFromEnd() yields the lines of a file, the last one first", () => {
  using root = new TestRoot();
  const block = 64 * 1024;
  const cases = [
    "",
    "\n",
    "a",
    "a\nb\n\nc\n",
    "\nhälf-writ",
    `${"x".repeat(block - 1)}\n${"ü".repeat(block)}\nz\n`,
    `${"x".repeat(block)}\n${"y".repeat(3 * block + 7)}\n`,
    "a\n".repeat(block + 1),
  ];
  for (const content of cases) {
    const lines = content.split("\n").filter((line) => line !== "");
    assertEquals(linesIn(root, content), lines.reverse());
  }
});

Deno.test("linesFromEnd() tells that it has not read a line when that is too far from the end", () => {
  using root = new TestRoot();
  assertEquals(linesIn(root, "a\nbcd\ne\n", 4), ["e", undefined]);
  assertEquals(linesIn(root, "a\nbcd\ne\n", 7), ["e", "bcd", undefined]);
  assertEquals(linesIn(root, "a\nbcd\ne\n", 8), ["e", "bcd", "a"]);
});

Deno.test("linesFromEnd() reads no more than it is asked for when a file is huge", () => {
  using root = new TestRoot();
  const path = `${root.dir}/huge`;
  Deno.writeTextFileSync(path, "");
  Deno.truncateSync(path, 200 * 1024 * 1024);
  Deno.writeTextFileSync(path, "\nlast\n", { append: true });
  let bytes = 0;
  using file = openFile(path)!;
  const lines = linesFromEnd({
    ...file,
    size: () => file.size(),
    readNow: (buffer, offset) => {
      bytes += buffer.length;
      return file.readNow(buffer, offset);
    },
  });
  assertEquals(lines.next().value, "last");
  assert(bytes < 100_000);
});

Deno.test("linesFromEnd() skips millions of empty lines quickly, and ends after many short ones", () => {
  using root = new TestRoot();
  const start = performance.now();
  assertEquals(linesIn(root, `a${"\n".repeat(20_000_000)}b\n`), ["b", "a"]);
  const ms = performance.now() - start;
  assert(ms < 2000, `${ms} ms`);
  const lines = linesIn(root, "x\n".repeat(300_000));
  assertEquals([lines.length, lines.at(-1)], [200_001, undefined]);
  // A smaller part of the record has fewer of them.
  assertEquals(linesIn(root, "x\n".repeat(2000), 3000).length, 1001);
});

Deno.test("linesFromEnd() ends before a line that would take long to parse", () => {
  using root = new TestRoot();
  const line = `{"x":[${"{},".repeat(1_000_000)}0]}`;
  assertEquals(linesIn(root, `{}\n${line}\n{"y":1}\n`), [
    '{"y":1}',
    undefined,
  ]);
  // Pictures are long lines, too.
  const picture = `{"x":"${"A".repeat(10_000_000)}"}`;
  assertEquals(linesIn(root, `${picture}\n`), [picture]);
});

Deno.test("linesFromEnd() ends when the file is cut off meanwhile", () => {
  using root = new TestRoot();
  const path = `${root.dir}/cut`;
  Deno.writeTextFileSync(path, `${"a\n".repeat(100_000)}last\n`);
  using file = openFile(path)!;
  const lines = linesFromEnd(file);
  assertEquals(lines.next().value, "last");
  Deno.truncateSync(path, 0);
  assertEquals([...lines].at(-1), undefined);
});

Deno.test("firstLine() gives a whole line within its limit, and nothing of a pipe", () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, `${"é".repeat(50_000)}\nb\n`);
  assertEquals(firstLine(path, 200_000), "é".repeat(50_000));
  assertEquals(firstLine(path, 100_000), undefined);
  assertEquals(firstLine(`${root.dir}/none`, 10), undefined);
  new Deno.Command("mkfifo", { args: [`${root.dir}/pipe`] }).outputSync();
  assertEquals(firstLine(`${root.dir}/pipe`, 10), undefined);
});
