/**
 * Lines of text with styles, cut to a number of cells.
 *
 * What comes out holds SGR (colours and attributes) and no other sequence, whatever went in: it
 * can't move the cursor, erase what is beside it, or style what follows. Links (OSC 8) are dropped:
 * the address of a link is the program's choice, and here nobody sees it before a click.
 *
 * @module
 */
import { widthOf } from "../cli/format.ts";
import { plainText } from "../screen/clean_text.ts";

/** More than a line of the widest terminal takes, 1000 cells with colours of their own. */
const MAX_LENGTH = 128 * 1024;
/** So many marks without width may follow a character. */
const MAX_MARKS = 16;
/** So long styles may be that no text has used yet. */
const MAX_STYLE_LENGTH = 1000;

/** SGR; cursor right and erase; other sequences; ASCII; one character. */
const PIECES =
  // deno-lint-ignore no-control-regex
  /(\x1b\[[0-9;:]{0,200}m)|\x1b\[(\d{0,4})([CX])|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b|([\x20-\x7e]+)|[^\x1b]/gu;

/** SGR that sets all styles anew. */
// deno-lint-ignore no-control-regex
const ANEW = /^\x1b\[0*[;m]/;
/** SGR that resets all styles and sets none. */
// deno-lint-ignore no-control-regex
const PLAIN = /^\x1b\[0*m$/;

/**
 * The cells of a line from the column `from` on, `columns` of them at most. Half of a wide
 * character at the edge becomes a blank. Blanks that the line skips or erases become blanks, other
 * sequences than SGR are dropped. The end resets the style.
 */
export function cutStyled(line: string, columns: number, from = 0): string {
  const cells = new Cells(from, from + columns);
  let erased = 0;
  const pieces = line.slice(0, MAX_LENGTH).toWellFormed().matchAll(PIECES);
  for (const [piece, sgr, count, motion, ascii] of pieces) {
    // Only marks still belong to the last cell.
    if (cells.isFull && (piece < "\x80" || widthOf(piece) > 0)) break;
    if (sgr !== undefined) cells.style(sgr);
    else if (motion !== undefined) {
      // The emulator's lines erase cells, to give them a background, and then skip them.
      const cellCount = Number(count) || 1;
      const blanks = motion === "X" ? cellCount : cellCount - erased;
      erased = motion === "X" ? cellCount : 0;
      cells.put(" ".repeat(Math.max(0, blanks)));
    } else if (ascii !== undefined) cells.put(ascii);
    else if (piece[0] !== "\x1b") cells.putCharacter(plainText(piece));
  }
  return cells.end();
}

/**
 * Two lines side by side: the right one begins in the column `columns`, counted from 0, even if
 * the terminal sees another width of the left one. Both have to be cut already.
 */
export function beside(left: string, columns: number, right: string): string {
  return `${left}\x1b[${columns + 1}G${right}`;
}

/** The cells that are seen, of a line that is written from its beginning. */
class Cells {
  #text = "";
  /** Styles that are set before the next text. */
  #pending = "";
  #isStyled = false;
  #column = 0;
  #marks = 0;
  readonly #from: number;
  readonly #to: number;

  constructor(from: number, to: number) {
    this.#from = from;
    this.#to = to;
  }

  get isFull(): boolean {
    return this.#column >= this.#to;
  }

  style(sgr: string): void {
    if (ANEW.test(sgr)) this.#pending = sgr;
    else if (this.#pending.length < MAX_STYLE_LENGTH) this.#pending += sgr;
  }

  /** Writes characters of one cell each. */
  put(text: string): void {
    const start = this.#column;
    this.#column += text.length;
    this.#show(
      text.slice(
        Math.max(0, this.#from - start),
        Math.max(0, this.#to - start),
      ),
    );
  }

  /** Writes one character of any width. */
  putCharacter(character: string): void {
    const width = widthOf(character);
    if (width === 0) return this.#mark(character);
    const start = this.#column;
    this.#column += width;
    const isSeen = start >= this.#from && this.#column <= this.#to;
    const overlap = Math.min(this.#column, this.#to) -
      Math.max(start, this.#from);
    this.#show(isSeen ? character : " ".repeat(Math.max(0, overlap)));
  }

  /** Writes a mark that belongs to the character before. */
  #mark(mark: string): void {
    const isSeen = this.#column > this.#from && this.#column <= this.#to;
    if (isSeen && this.#marks++ < MAX_MARKS) this.#text += mark;
  }

  #show(text: string): void {
    if (text === "") return;
    if (this.#pending !== "") {
      this.#text += this.#pending;
      this.#isStyled = !PLAIN.test(this.#pending);
      this.#pending = "";
    }
    this.#text += text;
    this.#marks = 0;
  }

  end(): string {
    return this.#text + (this.#isStyled ? "\x1b[m" : "");
  }
}
