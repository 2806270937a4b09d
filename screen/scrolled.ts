/**
 * The lines that a full-screen program has scrolled off its screen, told from its frames.
 *
 * Such a program draws the alternate screen, from which no terminal keeps lines. Most of them,
 * coding agents among them, don't even scroll: they draw every row anew where it is
 * now. But if the rows of one frame stand higher in the next, the rows above them are gone.
 * Rows at the top that stay (a title, the prompt of the answer that is shown) are left out of
 * the comparison and given once.
 *
 *     frame      next frame
 *     title      title
 *     one        three        shift 2 below one row of header:
 *     two        four         "one" and "two" are gone
 *     three      five
 *     four       six
 *
 * It is a guess: a jump by more than the screen shows nothing that stands in both frames, and
 * text that is scrolled back into view and away again is given twice.
 *
 * @module
 */

/** The most rows at the top that may stay while the rows below them scroll. */
const MAX_HEADER = 3;
/** So many rows with text must stand higher than before, not to take a chance for scrolling. */
const LEAST_ROWS = 3;

/** Compares the frames of one program. */
export class ScrolledLines {
  /** The last frame with text in it. */
  #frame: readonly string[] = [];
  /** The rows at the top of that frame that were given already. */
  #header: ReadonlySet<string> = new Set();

  /** Takes the next frame, its rows without blanks at their ends; returns the rows that are gone. */
  take(frame: readonly string[]): readonly string[] {
    // Programs erase everything before they draw it anew, and before they end.
    if (frame.every((row) => row === "")) return [];
    const before = this.#frame;
    this.#frame = frame;
    const { header, shift } = findShift(before, frame);
    if (shift === 0) return [];
    const gone = before.slice(0, header + shift)
      .filter((row, y) => y >= MAX_HEADER || !this.#header.has(row));
    const known = new Set([...gone, ...this.#header]);
    this.#header = new Set(
      frame.slice(0, header).filter((row) => row !== "" && known.has(row)),
    );
    return gone;
  }

  /** Ends the program: returns the last frame up to its last text, without what was given of it. */
  end(): readonly string[] {
    const last = this.#frame.findLastIndex((row) => row !== "");
    const rest = this.#frame.slice(0, last + 1)
      .filter((row, y) => y >= MAX_HEADER || !this.#header.has(row));
    this.#frame = [];
    this.#header = new Set();
    return rest;
  }
}

/** The number of a row without text. */
const BLANK = 0;

/** How far the rows below a header have moved up; a shift of 0 if they have not. */
function findShift(
  earlier: readonly string[],
  later: readonly string[],
): { readonly header: number; readonly shift: number } {
  // Long rows that are equal would take long to compare, over and over.
  const numbers = new Map([["", BLANK]]);
  const numberOf = (row: string) => {
    const number = numbers.get(row) ?? numbers.size;
    numbers.set(row, number);
    return number;
  };
  const before = earlier.map(numberOf);
  const after = later.map(numberOf);
  let found = { header: 0, shift: 0 };
  let most = LEAST_ROWS - 1;
  for (let header = 0; header <= MAX_HEADER; header++) {
    const still = countSame(before, after, header, 0);
    for (let shift = 1; shift < before.length - header; shift++) {
      const moved = countSame(before, after, header, shift);
      if (moved <= most || moved <= still) continue;
      most = moved;
      found = { header, shift };
    }
  }
  return found;
}

/** How many rows with text, from `from` on, are those of the frame before, `shift` rows higher. */
function countSame(
  before: readonly number[],
  after: readonly number[],
  from: number,
  shift: number,
): number {
  let count = 0;
  for (let y = from; y + shift < before.length; y++) {
    if (before[y + shift] !== after[y]) break;
    if (after[y] !== BLANK) count++;
  }
  return count;
}
