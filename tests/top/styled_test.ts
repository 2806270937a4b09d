/** Lines with styles, cut: what a terminal shows of them, cell by cell. */
// deno-lint-ignore-file no-control-regex
import { loadEmulator, type Terminal } from "../../screen/emulator.ts";
import { ansiLine, LinkAllowance } from "../../screen/redraw.ts";
import { beside, cutStyled } from "../../top/styled.ts";
import { assert, assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();
const terminal = await loadEmulator({ columns: 60, rows: 1, scrollback: 0 });

/** The cells of a terminal after some output on an empty line, and the column of its cursor. */
function show(output: string): { cells: string[]; column: number } {
  terminal._core._inputHandler.parse(encoder.encode(`\x1bc\x1b[?7l${output}`));
  return { cells: cellsOf(terminal), column: terminal.buffer.active.cursorX };
}

/** Each cell of the first row with its style; the second half of a wide one is empty. */
function cellsOf(from: Terminal): string[] {
  const { active } = from.buffer;
  return Array.from({ length: from.cols }, (_, x) => {
    const cell = active.getLine(0)!.getCell(x)!;
    if (cell.getWidth() === 0) return "";
    const part = { from: x, to: x + cell.getWidth() };
    const styled = ansiLine(from, active, 0, new LinkAllowance(), part);
    // An erased cell and a written blank look the same.
    return styled.replace(/\x1b\[\d+[CX]/g, " ").trimEnd();
  });
}

Deno.test("cutStyled() cuts cells, keeps styles, and ends plain", () => {
  const red = "\x1b[31mabc\x1b[mdef";
  assertEquals(cutStyled(red, 5), "\x1b[31mabc\x1b[mde");
  assertEquals(cutStyled(red, 2), "\x1b[31mab\x1b[m");
  assertEquals(cutStyled(red, 2, 1), "\x1b[31mbc\x1b[m");
  assertEquals(cutStyled(red, 9, 3), "\x1b[mdef");
  assertEquals(cutStyled(red, 0), "");
  // Only what is set since the last reset counts.
  assertEquals(
    cutStyled("\x1b[1mx\x1b[4my\x1b[0;7mz", 1, 1),
    "\x1b[1m\x1b[4my\x1b[m",
  );
  assertEquals(
    cutStyled("\x1b[1mx\x1b[4my\x1b[0;7mz", 1, 2),
    "\x1b[0;7mz\x1b[m",
  );
});

Deno.test("cutStyled() makes a blank of half a wide character, and keeps marks with theirs", () => {
  assertEquals(cutStyled("漢字漢", 3), "漢 ");
  assertEquals(cutStyled("漢字漢", 4, 1), " 字 ");
  assertEquals(cutStyled("e\u0301x", 1), "e\u0301");
  assertEquals(cutStyled("e\u0301x", 1, 1), "x");
  assertEquals(cutStyled("a" + "\u0301".repeat(1000), 5).length, 17);
});

Deno.test("cutStyled() writes blanks for those that are skipped or erased, and drops all else", () => {
  assertEquals(cutStyled("a\x1b[3Cb\x1b[999C", 7), "a   b  ");
  assertEquals(cutStyled("\x1b[44m\x1b[3X\x1b[3Cb", 9), "\x1b[44m   b\x1b[m");
  const hostile = [
    "\x1b]8;;http://example.com/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2Jlink\x1b[10;10H",
    "li\x07\r\n\u202e\u009bnk\x1b]0;title\x07",
    "\x1b[5 qli\x1b[?25lnk\x1b[",
    "l\x1bc\x1bin\ud800k\x1b]52;c;eA==",
  ];
  assertEquals(hostile.slice(0, 4).map((line) => cutStyled(line, 9)), [
    "link",
    "link",
    "link",
    "link[",
  ]);
  assertEquals(cutStyled(hostile[4]!, 9), "lcin\ufffdk");
});

Deno.test("beside() begins the right line in its column", () => {
  const { cells } = show(beside(cutStyled("漢漢漢", 3), 3, "│x"));
  assertEquals(cells.slice(0, 6), ["漢", "", "", "│", "x", ""]);
  // A left side that is wider than believed is covered.
  assertEquals(show(beside("abcdef", 3, "│x")).cells.slice(0, 5), [..."abc│x"]);
});

/** Pieces of lines: text of all widths, styles, blanks, and what must not get through. */
const PIECES = [
  ..."ab 漢字ー・ｱé👍",
  "e\u0301",
  "word ",
  ...["1", "0;31", "", "7", "38;2;1;2;3", "0;1;44", "48:5:9", "4:3", "22;24"]
    .map((style) => `\x1b[${style}m`),
  ...["\x1b[m\x1b[2C", "\x1b[m\x1b[C", "\x1b[0;44m\x1b[3X\x1b[3C\x1b[m"],
];
const NOISE = [
  ..."\x07\r\n\b\x1b\u009b\u202e[",
  "\x1b[2J",
  "\x1b[5D",
  "\x1b]8;;x:\x1b\\",
];

Deno.test("cutStyled() shows the cells that the whole line shows, and nothing but SGR comes out", () => {
  for (let seed = 0; seed < 150; seed++) {
    let state = seed;
    const random = (below: number) => {
      state = (state * 1664525 + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * below);
    };
    const pieces = Array.from(
      { length: 1 + random(20) },
      () => PIECES[random(PIECES.length)]!,
    );
    const from = random(20);
    const columns = random(30);
    const noisy = pieces.flatMap((piece) =>
      random(4) === 0 ? [NOISE[random(NOISE.length)]!, piece] : [piece]
    ).join("");
    const about = `seed ${seed}: ${JSON.stringify(noisy)} ${from} ${columns}`;
    const cut = cutStyled(noisy, columns, from);
    const rest = cut.replace(/\x1b\[[0-9;:]*m/g, "");
    assert(!/[\x00-\x1f\x7f-\x9f\u202e]/.test(rest), about);
    const shown = show(cut);
    assert(shown.column <= columns, about);
    assertEquals(show(cut + "|").cells[shown.column], "|", about); // Plain at its end.
    // Without the noise, each cell is as in the whole line.
    const line = pieces.join("");
    const whole = show(`${line}\x1b[m`).cells;
    const part = show(cutStyled(line, columns, from)).cells;
    for (let x = 0; x < columns; x++) {
      const isHalf = whole[from + x] === "" && x === 0 && from > 0 ||
        x === columns - 1 && whole[from + x + 1] === "";
      const isSame = part[x] === whole[from + x];
      assert(
        isSame || isHalf,
        `${about} at ${x}: ${part[x]} ${whole[from + x]}`,
      );
    }
  }
});
