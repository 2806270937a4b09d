/** Drawings on a real emulator, compared with the rows cell by cell. */
// deno-lint-ignore-file no-control-regex
import { loadEmulator, type Terminal } from "../../screen/emulator.ts";
import { ansiLine, LinkAllowance } from "../../screen/redraw.ts";
import { Frame, type Place, type Size } from "../../top/frame.ts";
import { cutStyled } from "../../top/styled.ts";
import { assert, assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();
const write = (terminal: Terminal, text: string) =>
  terminal._core._inputHandler.parse(encoder.encode(text));

/** A terminal on its second screen, where full-screen programs draw. */
async function open({ columns, rows }: Size): Promise<Terminal> {
  const terminal = await loadEmulator({ columns, rows, scrollback: 0 });
  write(terminal, "\x1b[?1049h");
  return terminal;
}

/** The rows of a terminal, with styles. */
function rowsOf(terminal: Terminal): string[] {
  const { active } = terminal.buffer;
  return Array.from(
    { length: terminal.rows },
    (_, y) => ansiLine(terminal, active, active.baseY + y, new LinkAllowance()),
  );
}

Deno.test("Frame.draw() writes only rows that have changed, and all of them after forget() and a resize", () => {
  const frame = new Frame();
  const size = { columns: 10, rows: 3 };
  const first = frame.draw(["one", "two"], size);
  assert(/one.*two.*\x1b\[3;1H\x1b\[2K/s.test(first), JSON.stringify(first));
  assertEquals(frame.draw(["one", "two"], size), "");
  const second = frame.draw(["one", "zwei"], size);
  assert(second.includes("\x1b[2;1H\x1b[2Kzwei") && !second.includes("one"));
  // The cursor alone.
  const shown = frame.draw(["one", "zwei"], size, { column: 3, row: 1 });
  assert(shown.includes("\x1b[2;4H\x1b[?25h") && !shown.includes("zwei"));
  assertEquals(frame.draw(["one", "zwei"], size, { column: 3, row: 1 }), "");
  const hidden = frame.draw(["one", "zwei"], size);
  assert(hidden.includes("\x1b[?25l") && !hidden.includes("\x1b[?25h"));
  frame.forget();
  assert(frame.draw(["one", "zwei"], size).includes("one"));
  assert(frame.draw(["one", "zwei"], { ...size, columns: 9 }).includes("one"));
});

Deno.test("Frame.draw() never wraps, and leaves the terminal wrapping", async () => {
  const terminal = await open({ columns: 4, rows: 2 });
  write(terminal, new Frame().draw(["abcdefgh", "x"], { columns: 4, rows: 2 }));
  assertEquals(rowsOf(terminal), ["abch", "x"]);
  write(terminal, "\x1b[H123456");
  assertEquals(rowsOf(terminal), ["1234", "56"]);
});

Deno.test("Frame.draw() shows the rows cell by cell, whatever was there and however the size changes", async () => {
  const words = [
    "漢字",
    "é",
    "word ",
    "ー",
    "\x1b[7m",
    "\x1b[0;31;44m",
    "\x1b[m",
  ];
  for (let seed = 0; seed < 8; seed++) {
    let state = seed;
    const random = (below: number) => {
      state = (state * 1664525 + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * below);
    };
    let size: Size = { columns: 40, rows: 10 };
    const terminal = await open(size);
    const frame = new Frame();
    let lines: string[] = [];
    for (let step = 0; step < 15; step++) {
      const about = `seed ${seed} step ${step}`;
      if (random(4) === 0) {
        size = { columns: 2 + random(80), rows: 1 + random(30) };
        terminal.resize(size.columns, size.rows);
      }
      if (random(8) === 0) {
        write(terminal, "\x1b[31mnoise\r\n".repeat(5));
        frame.forget();
      }
      lines = lines.slice(0, random(size.rows + 1));
      while (lines.length < size.rows) {
        const length = random(20);
        const line = Array.from(
          { length },
          () => words[random(words.length)],
        ).join("");
        lines.push(line);
      }
      const rows = lines.map((line) => cutStyled(line, size.columns))
        .slice(random(2));
      const place: Place | undefined = random(2) === 0
        ? undefined
        : { column: random(size.columns), row: random(size.rows) };
      write(terminal, frame.draw(rows, size, place));
      const expected = await open(size);
      for (const [y, row] of rows.entries()) {
        write(expected, `\x1b[${y + 1};1H${row}`);
      }
      assertEquals(rowsOf(terminal), rowsOf(expected), about);
      const { cursorX, cursorY } = terminal.buffer.active;
      if (place === undefined) continue;
      assertEquals([cursorX, cursorY], [place.column, place.row], about);
    }
  }
});
