import { ScrolledLines } from "../../screen/scrolled.ts";
import { assertEquals } from "../helpers.ts";

/** All rows that frames show, one character a row, as they leave the screen. */
function scrolled(...frames: string[]): string {
  const lines = new ScrolledLines();
  const rows = (frame: string) => [...frame].map((row) => row.trim());
  const gone = frames.flatMap((frame) => lines.take(rows(frame)));
  return [...gone, "|", ...lines.end()].map((row) => row || "_").join("");
}

Deno.test("ScrolledLines gives the rows above those that stand higher than before", () => {
  assertEquals(scrolled("abcdef", "bcdefg", "efghij"), "abcd|efghij");
  // Erased between the frames, and before the end.
  assertEquals(scrolled("abcdef", "      ", "cdefgh", "      "), "ab|cdefgh");
  assertEquals(scrolled(" a b  "), "|_a_b");
  // A prompt that stays below, a title that stays above and is given once.
  assertEquals(scrolled("Tabcde>", "Tbcdef>", "Tdefgh>"), "Tabc|defgh>");
});

Deno.test("ScrolledLines gives nothing when the screen changes without scrolling", () => {
  assertEquals(scrolled("abcdef", "abcdXf", "abc  f", "abcdef"), "|abcdef");
  // A list below others gets shorter: too few rows have moved.
  assertEquals(scrolled("abcXde", "abcde "), "|abcde");
  // Another page.
  assertEquals(scrolled("abcdef", "uvwxyz"), "|uvwxyz");
  assertEquals(scrolled("aaaaaa", "aaaaab"), "|aaaaab");
});

Deno.test("ScrolledLines gives a row once that scrolls up to the top and stays there", () => {
  // An answer (1 to 6) below its question (Q), which stays in sight.
  const frames = ["abQ123", "bQ1234", "Q12345", "Q23456", "Q34567", "Q45678"];
  assertEquals(scrolled(...frames), "abQ123|45678");
});
