/**
 * Values as people write and read them: durations, sizes, tables.
 *
 * @module
 */
import { HARMFUL } from "../screen/clean_text.ts";
import { ArgumentError } from "../errors.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * The milliseconds of a duration such as `10s`, `1h30m`, `500ms` or `2d`; a plain number is in
 * seconds.
 *
 * @throws {ArgumentError} if the text is malformed.
 */
export function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(text)) {
    throw new ArgumentError(
      `Invalid duration "${text}": use a value such as 10s, 5m, 1h30m or 500ms`,
    );
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|[smhd])/g)) {
    total += Number(amount) * UNITS_MS[unit!]!;
  }
  return Math.round(total);
}

/** The longest limit of a session's time: `createSession()` takes no longer one. */
const LONGEST_MS = 10 * 365 * 86_400_000;

/**
 * A duration greater than 0 and at most ten years.
 *
 * @throws {ArgumentError} if the text is malformed.
 */
export function parsePeriod(text: string): number {
  const ms = parseDuration(text);
  if (ms === 0) {
    throw new ArgumentError(
      `Invalid duration "${text}": use a value greater than 0`,
    );
  }
  if (ms > LONGEST_MS) {
    throw new ArgumentError(
      `Invalid duration "${text}": use ten years at most`,
    );
  }
  return ms;
}

/**
 * A number of lines.
 *
 * @throws {ArgumentError} if it is not a whole number, or negative.
 */
export function parseLineCount(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ArgumentError(
    `Invalid number of lines "${text}": use a whole number`,
  );
}

/**
 * The bytes of a size such as `500K`, `64M` or `64MiB`; a plain number is in bytes.
 *
 * @throws {ArgumentError} if the text is malformed.
 */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})(?:([KMG])(?:i?B)?|B)?$/i.exec(text);
  if (match === null) {
    throw new ArgumentError(
      `Invalid size "${text}": use a value such as 500K or 64M`,
    );
  }
  const power = " KMG".indexOf((match[2] ?? " ").toUpperCase());
  const bytes = Number(match[1]) * 1024 ** power;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new ArgumentError(`Invalid size "${text}": use a smaller one`);
}

/**
 * A `KEY=VALUE` pair; the value may hold any text, even `=`.
 *
 * @throws {ArgumentError} if the text is malformed.
 */
export function parsePair(text: string, what: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) {
    throw new ArgumentError(`Invalid ${what} "${text}": use KEY=VALUE`);
  }
  return [text.slice(0, at), text.slice(at + 1)];
}

/** How long ago, for a column: `now`, `45s`, `12m`, `3h`, `9d`. */
export function formatAge(ms: number): string {
  if (ms < 1000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)}s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)}h`;
  return `${Math.floor(ms / 86_400_000)}d`;
}

/** A size for a column: `0`, `812`, `1.2K`, `34M` (units of 1024). */
export function formatSize(bytes: number): string {
  if (bytes < 1024) return String(bytes);
  let value = bytes;
  let unit = "";
  for (const next of ["K", "M", "G", "T"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

/** Replaces each harmful character by `\\n`, `\\r` or `\\t`, or else by `escape(code point)`. */
function escapeHarmful(text: string, escape: (code: number) => string): string {
  const named: Record<string, string> = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
  };
  return text.replace(
    HARMFUL,
    (char) => named[char] ?? escape(char.codePointAt(0)!),
  );
}

/** A number with at least so many hexadecimal digits. */
const hex = (code: number, digits: number) =>
  code.toString(16).padStart(digits, "0");

/**
 * Text with its control characters, and characters that reorder or hide text, as visible escapes
 * such as `\n` and `\x1b`.
 */
export function harmless(text: string): string {
  return escapeHarmful(
    text,
    (code) =>
      code < 0x100
        ? `\\x${hex(code, 2)}`
        : code < 0x10000
        ? `\\u${hex(code, 4)}`
        : `\\u{${hex(code, 1)}}`,
  );
}

/** The words that begin or join commands in bash and zsh. */
const RESERVED = new Set(
  "case coproc do done elif else end esac fi for foreach function if in nocorrect noglob repeat select then time until while"
    .split(" "),
);

/**
 * A word as a shell reads it back: plain, in single quotes, or, with characters that
 * {@linkcode harmless} replaces, in `$'…'` of bash and zsh.
 */
export function shellWord(word: string): string {
  // As a whole line it is a word only in quotes: an assignment, a word of the shell's own, a job.
  const isPlain = /^[\w@+:,./-][\w@%+:,./-]*$/.test(word) &&
    !RESERVED.has(word);
  if (isPlain || /^-[\w@%+=:,./-]*$/.test(word)) return word;
  if (word.search(HARMFUL) < 0) return `'${word.replaceAll("'", "'\\''")}'`;
  const escaped = escapeHarmful(
    word.replace(/[\\']/g, "\\$&"),
    // In a shell \x is a byte.
    (code) => code < 0x80 ? `\\x${hex(code, 2)}` : `\\U${hex(code, 8)}`,
  );
  return `$'${escaped}'`;
}

/** JSON that escapes the characters that {@linkcode harmless} replaces; it parses to the same value. */
export function harmlessJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(HARMFUL, (char) => {
    // JSON.stringify() escapes those below a space; a newline here is indentation.
    if (char === "\n") return char;
    let text = "";
    for (let i = 0; i < char.length; i++) {
      text += `\\u${hex(char.charCodeAt(i), 4)}`;
    }
    return text;
  });
}

/** Cuts text to `columns` cells; cut text ends in `…`. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let width = 0;
  let kept = "";
  for (const char of text) {
    width += widthOf(char);
    if (width > columns - 1) break;
    kept += char;
  }
  return columns > 0 ? kept + "…" : "";
}

const PLAIN = /^[\x20-\x7e]*$/;
/**
 * The cells that text takes in a terminal: East Asian letters and emoji two, marks none. Not
 * by `unicodeWidth` of `@std/cli`: the npm copy lacks the data that it imports.
 */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  // Here and not above: sets of letters take 0.5 ms to make, and few calls meet one.
  // Medial and final letters of Hangul join the initial one. The soft hyphen is shown.
  const noWidth = /(?!\xad)[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff\ud7b0-\ud7fb]/gu;
  // Not wide: halfwidth forms, and the letters of flags, of which each flag has two.
  const wide =
    /(?![\u02ea\u02eb\uff61-\uffdc\u{1f1e6}-\u{1f1ff}])[\p{Emoji_Presentation}\p{sc=Han}\p{sc=Hangul}\p{sc=Hira}\p{sc=Kana}\p{sc=Bopo}\p{sc=Yiii}\p{sc=Tang}\p{sc=Nshu}\u2329\u232a\u2ff0-\u2fff\u3000-\u3029\u3030-\u303e\u309b-\u30ff\u3190-\u3247\u3250-\u33ff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{1f200}-\u{1f265}]/gu;
  const bare = text.replace(noWidth, "");
  return [...bare].length + (bare.match(wide)?.length ?? 0);
}

/** The width of each column of a table: that of its widest cell. */
export function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const sizes = rows.map(cellWidths);
  return sizes[0]?.map((_, i) =>
    sizes.reduce((most, row) => Math.max(most, row[i]!), 0)
  ) ?? [];
}

/**
 * Aligns rows of plain text in columns with two spaces between them, and cuts each line to
 * `columns` cells. The columns in `right` are flush right.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  right: readonly number[],
  columns = Infinity,
): string[] {
  const widths = columnWidths(rows);
  return rows.map((row) => {
    const sizes = cellWidths(row);
    let line = "";
    for (let i = 0; i < row.length; i++) {
      const space = " ".repeat(widths[i]! - sizes[i]!);
      if (i > 0) line += "  ";
      if (right.includes(i)) line += space + row[i];
      else line += i === row.length - 1 ? row[i] : row[i] + space;
    }
    return columns === Infinity ? line : cut(line, columns);
  });
}

/** The widths of a row's cells. Most rows are plain, which one test of the whole row shows. */
function cellWidths(row: readonly string[]): number[] {
  return PLAIN.test(row.join(""))
    ? row.map(({ length }) => length)
    : row.map(widthOf);
}
