import {
  cut,
  formatAge,
  formatSize,
  formatTable,
  harmless,
  harmlessJson,
  parseDuration,
  parsePair,
  parsePeriod,
  parseSize,
  shellWord,
  widthOf,
} from "../../cli/format.ts";
import { assertEquals, assertThrows } from "../helpers.ts";

Deno.test("parseDuration() reads durations, and nothing else", () => {
  const cases = {
    "10": 10_000,
    "0.5": 500,
    "500ms": 500,
    "1h30m": 5_400_000,
    "2d": 172_800_000,
  };
  for (const [text, ms] of Object.entries(cases)) {
    assertEquals(parseDuration(text), ms);
  }
  for (const text of ["", "x", "5x", "-1", "1 h", "1e3", "m"]) {
    assertThrows(() => parseDuration(text), TypeError, "Invalid duration");
  }
});

Deno.test("parsePeriod() and parseSize() refuse what the library would", () => {
  assertThrows(() => parsePeriod("300000d"), TypeError, "ten years at most");
  assertThrows(() => parsePeriod("0s"), TypeError, "greater than 0");
  assertThrows(() => parseSize("999999999999G"), TypeError, "a smaller one");
  assertEquals(parseSize("64M"), 67_108_864);
});

Deno.test("parsePair() splits at the first equals sign", () => {
  assertEquals(parsePair("A=b=c", "x"), ["A", "b=c"]);
  assertEquals(parsePair("A=", "x"), ["A", ""]);
  for (const text of ["", "A", "=b"]) {
    assertThrows(() => parsePair(text, "x"), TypeError);
  }
});

Deno.test("format…() writes for people", () => {
  assertEquals([0, 1023, 1024, 35_651_584].map(formatSize), [
    "0",
    "1023",
    "1.0K",
    "34M",
  ]);
  assertEquals([500, 59_000, 3_600_000, 9e7].map(formatAge), [
    "now",
    "59s",
    "1h",
    "1d",
  ]);
});

Deno.test("harmless() leaves no control character", () => {
  assertEquals(
    harmless("a\x1b[31m\r\n\t\x00\x9b\u202eb"),
    "a\\x1b[31m\\r\\n\\t\\x00\\x9b\\u202eb",
  );
  // Marks of direction, separators, what has no shape: text in text.
  assertEquals(
    harmless("\u061c\u200b\u2028\u2060\ufeff\ufff9\u{e0041}\u{e0100}"),
    "\\u061c\\u200b\\u2028\\u2060\\ufeff\\ufff9\\u{e0041}\\u{e0100}",
  );
  for (const text of ["👩‍👩‍👧 ❤️", "می‌خواهم", "日本"]) {
    assertEquals(harmless(text), text);
  }
});

Deno.test("shellWord() makes words that bash and zsh read back", async () => {
  const words = [
    "",
    "a",
    "-x=1",
    "=a",
    "it's $HOME `id` \\n",
    "~",
    "*",
    "{a,b}",
  ]
    .concat(["a\n\tb\x1b[31m1\\x", "\x9b0\u202ea'\u{e0041}1", "日本 é", "!!"]);
  assertEquals(words.slice(1, 4).map(shellWord), ["a", "-x=1", "'=a'"]);
  const line = words.map(shellWord).join(" ");
  assertEquals(harmless(line), line);
  for (const shell of ["bash", "zsh"].filter(isInstalled)) {
    const { stdout } = await new Deno.Command(shell, {
      args: ["-c", `printf '%s\\0' ${line}`],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    const read = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
    assertEquals(read, words, shell);
  }
});

Deno.test("cut() and formatTable() count cells, not characters", () => {
  assertEquals(widthOf("日本 é e\u0301"), 8);
  // The long vowel and the dot of Japanese, a joined Hangul syllable, brackets, a flag, halfwidth.
  const widths = ["ー", "・", "\u1100\u1161", "한", "「」", "〈", "ㄅ", "㈱"]
    .map(widthOf);
  assertEquals(widths, [2, 2, 2, 2, 4, 2, 2, 2]);
  assertEquals(["🇩🇪", "ｱ", "soft\xad"].map(widthOf), [2, 1, 5]);
  assertEquals(cut("日本語", 5), "日本…");
  assertEquals(cut("abc", 3), "abc");
  assertEquals(
    formatTable([["#", "NAME", "X"], ["10", "日本", "y"]], [0], 12),
    [" #  NAME  X", "10  日本  y"],
  );
});

Deno.test("harmlessJson() escapes what could steer a terminal, and means the same", () => {
  const value = { "\x9b31m": ["\u202e\x7f\x1b\n", "é会😀", "\u{e0041}"] };
  const text = harmlessJson(value, 2);
  assertEquals(JSON.parse(text), value);
  assertEquals(
    text,
    '{\n  "\\u009b31m": [\n    "\\u202e\\u007f\\u001b\\n",\n    "é会😀",\n    "\\udb40\\udc41"\n  ]\n}',
  );
});

function isInstalled(shell: string): boolean {
  try {
    const options = { args: ["-c", ":"] };
    return new Deno.Command(shell, options).outputSync().success;
  } catch {
    return false;
  }
}
