/**
 * Plain text in rows of cells: of an exact width, broken into rows, with attributes.
 *
 * @module
 */
import { cut, widthOf } from "../cli/format.ts";

/** Attributes of text, as SGR has them. */
export const BOLD = "1";
/** Fainter than other text. */
export const DIM = "2";
/** Text and background exchanged. */
export const REVERSE = "7";

/** Text with attributes; an empty one counts for nothing. */
export function styled(text: string, ...attributes: readonly string[]): string {
  const set = attributes.filter((attribute) => attribute !== "").join(";");
  return set === "" || text === "" ? text : `\x1b[${set}m${text}\x1b[m`;
}

/** The text cut, or with blanks behind it: exactly so many cells. */
export function fit(text: string, columns: number): string {
  const short = cut(text, columns);
  return short + " ".repeat(Math.max(0, columns - widthOf(short)));
}

/** Breaks a line into rows of at most so many cells, between words where it can. */
export function wrap(line: string, columns: number): string[] {
  const rows: string[] = [];
  let rest = line;
  for (;;) {
    const head = prefix(rest, columns);
    if (head.length === rest.length) return [...rows, rest];
    const blank = head.lastIndexOf(" ");
    const hasWords = blank > 0 && head.slice(0, blank).trim() !== "";
    const end = rest[head.length] !== " " && hasWords ? blank : head.length;
    rows.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).replace(/^ /, "");
  }
}

/** The longest beginning of so many cells, but one character at least. */
function prefix(text: string, columns: number): string {
  const head = text.slice(0, Math.max(1, columns));
  if (/^[\x20-\x7e]*$/.test(head)) return head;
  let kept = "";
  let width = 0;
  for (const char of text) {
    width += widthOf(char);
    if (width > columns && kept !== "") break;
    kept += char;
  }
  return kept;
}
