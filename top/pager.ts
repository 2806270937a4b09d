/**
 * Reading a log or an answer in full. The end of it stays in view while lines are added, unless the user has
 * scrolled away: then the same rows stay.
 *
 * @module
 */
import { pageRows } from "./areas.ts";
import type { Size } from "./frame.ts";
import { wrap } from "./text.ts";

/** Lines of a log that are kept to scroll in. */
const MOST_LINES = 10_000;
/** No line is longer, in characters: a log may be one line. */
const MOST_CHARACTERS = 20_000;

/** Lines that are read in full, in rows of the terminal's width. */
export class Pager {
  readonly title: string;
  rows: readonly string[];
  /** The first row that is shown. */
  offset = 0;
  #lines: readonly string[];
  #size: Size;

  constructor(title: string, lines: readonly string[], size: Size) {
    this.title = title;
    this.#lines = lines;
    this.#size = size;
    this.rows = this.#rowsOf(lines);
  }

  /** Takes a new size of the terminal. */
  resize(size: Size): void {
    this.#size = size;
    const isAtEnd = this.#isAtEnd();
    this.rows = this.#rowsOf(this.#lines);
    this.#scroll(isAtEnd ? Infinity : this.offset);
  }

  /** Adds lines at the end. */
  add(lines: readonly string[]): void {
    const isAtEnd = this.#isAtEnd();
    const short = lines.map((line) => line.slice(0, MOST_CHARACTERS));
    const all = [...this.rows, ...this.#rowsOf(short)];
    this.#lines = [...this.#lines, ...short];
    const isTooLong = this.#lines.length > MOST_LINES;
    if (isTooLong) this.#lines = this.#lines.slice(-MOST_LINES);
    this.rows = isTooLong ? this.#rowsOf(this.#lines) : all;
    const gone = all.length - this.rows.length;
    this.#scroll(isAtEnd ? Infinity : this.offset - gone);
  }

  /** Takes the name of a key. */
  take(name: string): void {
    const to = scrolled(name, this.offset, pageRows(this.#size) - 1);
    if (to !== undefined) this.#scroll(to);
  }

  #isAtEnd(): boolean {
    return this.offset + pageRows(this.#size) >= this.rows.length;
  }

  #scroll(to: number): void {
    const most = Math.max(0, this.rows.length - pageRows(this.#size));
    this.offset = Math.max(0, Math.min(most, to));
  }

  #rowsOf(lines: readonly string[]): string[] {
    return lines.flatMap((line) => wrap(line, this.#size.columns));
  }
}

/** Where a key that scrolls leads to; `undefined` for another key. */
export function scrolled(
  name: string,
  at: number,
  page: number,
): number | undefined {
  switch (name) {
    case "up":
    case "k":
      return at - 1;
    case "down":
    case "j":
    case "enter":
      return at + 1;
    case "page-up":
    case "b":
      return at - page;
    case "page-down":
    case "space":
      return at + page;
    case "home":
    case "g":
      return 0;
    case "end":
    case "G":
      return Number.MAX_SAFE_INTEGER;
    default:
      return undefined;
  }
}
