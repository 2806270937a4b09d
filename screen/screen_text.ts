/**
 * A screen as text, as a relay sends it and as an ended session leaves it, checked.
 *
 * An agent can write such text in its relay's place. So no type, size or character is believed;
 * see clean_text.ts.
 *
 * @module
 */
import { plainText, styledText, unstyledText } from "./clean_text.ts";

/** A screen as text. */
export interface ScreenText {
  /** Characters in a line. */
  readonly columns: number;
  /** Lines. */
  readonly rows: number;
  /** The lines of the screen, below those of the scrollback that were asked for. */
  readonly lines: readonly string[];
  /** How many of `lines` are scrollback. */
  readonly scrollback: number;
  /** The cursor, counted from 0 at the upper left of the screen. */
  readonly cursor: {
    readonly column: number;
    readonly row: number;
    readonly visible: boolean;
  };
  /** The title that the program has set. */
  readonly title: string;
  /** Whether the program draws on the alternate screen, as full-screen ones do. */
  readonly alternate: boolean;
}

/** The lines of a screen without the blank ones at its end. */
export function withoutBlankEnd(lines: readonly string[]): readonly string[] {
  return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
}

/** The greatest width and height of a terminal. */
export const MAX_SIZE = 1000;
/** Lines that are kept above the screen. */
export const SCROLLBACK = 1000;
/** The longest text of a screen with its scrollback, in UTF-16 units, styles and combining marks included. */
export const MAX_TEXT_LENGTH = 4 * 1024 * 1024;
/** The longest title, in UTF-16 units. */
export const MAX_TITLE_LENGTH = 1000;

/** How {@linkcode parseScreen} reads lines. */
export interface ParseScreenOptions {
  /** The lines hold escape sequences for styles. */
  readonly styled: boolean;
  /** Keep the styles; otherwise return mere text. */
  readonly ansi: boolean;
}

/** A screen from a JSON value, made harmless; `undefined` if the value is no screen. */
export function parseScreen(
  value: unknown,
  options: ParseScreenOptions,
): ScreenText | undefined {
  const { columns, rows, lines, scrollback, cursor, title, alternate } =
    recordOf(value);
  const { column, row, visible } = recordOf(cursor);
  if (!isWhole(columns, 1, MAX_SIZE) || !isWhole(rows, 1, MAX_SIZE)) {
    return undefined;
  }
  if (!isWhole(column, 0, columns) || !isWhole(row, 0, rows)) return undefined;
  if (!Array.isArray(lines) || lines.length > MAX_SIZE + SCROLLBACK) {
    return undefined;
  }
  if (!isWhole(scrollback, 0, lines.length)) return undefined;
  if (typeof visible !== "boolean" || typeof alternate !== "boolean") {
    return undefined;
  }
  if (typeof title !== "string") return undefined;
  const clean: string[] = [];
  let left = MAX_TEXT_LENGTH;
  for (const line of lines) {
    if (typeof line !== "string" || line.length > left) return undefined;
    left -= line.length;
    clean.push(cleanLine(line, options));
  }
  return {
    columns,
    rows,
    lines: clean,
    scrollback,
    cursor: { column, row, visible },
    title: plainText(title, MAX_TITLE_LENGTH),
    alternate,
  };
}

function cleanLine(line: string, { styled, ansi }: ParseScreenOptions): string {
  if (!styled) return plainText(line);
  const clean = styledText(line);
  return ansi ? clean : unstyledText(clean);
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null
    ? value as Record<string, unknown>
    : {};
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) &&
    value >= least && value <= most;
}
