import { parseScreen, type ScreenText } from "../../screen/screen_text.ts";
import { assertEquals } from "../helpers.ts";

const SCREEN: ScreenText = {
  columns: 80,
  rows: 2,
  lines: ["above", "one", ""],
  scrollback: 1,
  cursor: { column: 3, row: 0, visible: true },
  title: "title",
  alternate: false,
};
const PLAIN = { styled: false, ansi: false };

Deno.test("parseScreen() reads a screen, and makes its text harmless", () => {
  assertEquals(parseScreen(SCREEN, PLAIN), SCREEN);
  const evil = "a\x1b]52;c;AAAA\x07\x9b2J\u202eb";
  const hostile = { ...SCREEN, lines: [evil], title: evil, more: evil };
  assertEquals(parseScreen(hostile, PLAIN), {
    ...SCREEN,
    lines: ["a]52;c;AAAA2Jb"],
    title: "a]52;c;AAAA2Jb",
  });
  const styled = { ...SCREEN, lines: ["\x1b[31mred\x1b[2J\x1b[2Cx"] };
  assertEquals(
    parseScreen(styled, { styled: true, ansi: true })?.lines,
    ["\x1b[31mred\x1b[2Cx\x1b[m"],
  );
  assertEquals(
    parseScreen(styled, { styled: true, ansi: false })?.lines,
    ["red  x"],
  );
});

Deno.test("parseScreen() knows what is no screen", () => {
  const wrong: unknown[] = [
    ...[null, undefined, 5, "x", [], {}],
    ...[0, 1001, 1e9, 1.5, "80", null].map((columns) => ({
      ...SCREEN,
      columns,
    })),
    { ...SCREEN, rows: -1 },
    { ...SCREEN, lines: "text" },
    { ...SCREEN, lines: [1] },
    { ...SCREEN, lines: new Array(2001).fill("") },
    { ...SCREEN, lines: ["x".repeat(5_000_000)] },
    { ...SCREEN, scrollback: 4 },
    { ...SCREEN, cursor: null },
    { ...SCREEN, cursor: { column: 0, row: 1e9, visible: true } },
    { ...SCREEN, cursor: { column: 0, row: 0, visible: "\x1b" } },
    { ...SCREEN, title: ["x"] },
    { ...SCREEN, alternate: "no" },
  ];
  for (const value of wrong) assertEquals(parseScreen(value, PLAIN), undefined);
});
