/**
 * An agent's own record of a conversation, as far as all agents have it: what is read from it,
 * and how. A record has one JSON object a line, and only its end matters: it is read from there,
 * because it may hold hundreds of megabytes.
 *
 * The agent writes it while it is read, newer versions add fields and lines, and a program of
 * the session may have put anything in its place. So what is not understood is skipped, every
 * value is checked, and nothing is read without a limit.
 *
 * @module
 */
import { plainText } from "../screen/clean_text.ts";
import { concat } from "../system/bytes.ts";
import { type OpenFile, openFile } from "../system/files.ts";

/** How many bytes of a record are read at most, from its end. */
export const MAX_BYTES = 64 * 1024 * 1024;
/** How many of its lines at most: most have some kilobytes. */
export const MAX_LINES = 200_000;
/**
 * How many values of JSON at most: real records have one in 25 bytes. A program could put one in
 * each third byte, and parsing them would take a minute and gigabytes.
 */
export const MAX_VALUES = 2_000_000;
const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const BRACKET = 0x5b;
const BRACE = 0x7b;
/** The longest text for people, in characters. */
const MAX_MESSAGE_LENGTH = 500;

/** What an agent has done about its last prompt. Times are in milliseconds since 1970. */
export interface Turn {
  /** The agent's own name for it. */
  readonly id?: string;
  /** `working` until it is over. A turn that waits for its user is `working`, too. */
  readonly state: "working" | "done" | "aborted" | "failed";
  /** When it began. */
  readonly startedAt?: number;
  /** Since when it has had this state. */
  readonly since?: number;
  /** Why it failed, for people: one line without control characters. */
  readonly message?: string;
  /** The status of the HTTP response that made it fail. */
  readonly httpStatus?: number;
}

/** The last message of a turn that is done. */
export interface Answer {
  /** The message, exactly as the agent recorded it: it may hold anything. */
  readonly text: string;
  /** The {@linkcode Turn.id} of its turn. */
  readonly turn?: string;
  /** When it was recorded, in milliseconds since 1970. */
  readonly at?: number;
  /** What the turn has cost: all tokens that were read and written, also those from a cache. */
  readonly tokens?: { readonly input: number; readonly output: number };
  /** What the turn has cost, in US dollars, as the agent has counted it. */
  readonly costUsd?: number;
}

/** The end of a conversation's record. */
export interface Transcript {
  /** The last turn: `null` if there was none, `undefined` if that can't be known. */
  readonly turn: Turn | null | undefined;
  /** Whether it may be further from the end of the record than was read. */
  readonly isCut?: boolean;
  /** The last answer, which may be an earlier turn's. */
  readonly answer?: Answer;
}

/** The names in a folder; none if it can't be read. Needs `--allow-read` of it. */
export function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return [];
  }
}

/** A value of JSON whose fields are to be checked. */
export type Fields = Readonly<Record<string, unknown>>;

/** The fields of an object; none if it is something else. */
export function fieldsOf(value: unknown): Fields {
  const isObject = typeof value === "object" && value !== null &&
    !Array.isArray(value);
  return isObject ? value as Fields : {};
}

/** The fields of a JSON text; none if it is no object, or no JSON. */
export function parseFields(text: string): Fields {
  if (!text.startsWith("{")) return {}; // An error takes time, and there may be many lines.
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {};
  }
}

/** A value, if it is a text. */
export function textIn(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A value, if it is a finite number that is not negative. */
export function numberIn(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && Number.isFinite(value)
    ? value
    : undefined;
}

/** A time as RFC 3339 has it, in milliseconds since 1970. */
export function timeIn(value: unknown): number | undefined {
  return numberIn(typeof value === "string" ? Date.parse(value) : undefined);
}

/** A text for people: one line, harmless and short. */
export function messageIn(value: unknown): string | undefined {
  const line = textIn(value)?.replace(/\s+/g, " ").trim();
  return line && plainText(line, MAX_MESSAGE_LENGTH) || undefined;
}

/** Tells whether a value is an id as agents make them: it is safe in a path and as an argument. */
export function isUuid(value: unknown): value is string {
  return typeof value === "string" &&
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}

/** How many lines are read of so many bytes. */
function lineLimit(bytes: number): number {
  return Math.max(1000, Math.ceil(MAX_LINES * bytes / MAX_BYTES));
}

/**
 * The lines of an open file, the last one first, without empty ones. The last `undefined` stands
 * for all that is too far from the end.
 */
export function* linesFromEnd(
  file: OpenFile,
  maxBytes = MAX_BYTES,
  maxLines = lineLimit(maxBytes),
): Generator<string | undefined> {
  const size = file.size();
  const least = Math.max(0, size - maxBytes);
  let lines = 0;
  let values = 0;
  // The parts of the line that has begun somewhere before, its beginning first.
  let parts: Uint8Array[] = [];
  for (let end = size; end > least;) {
    const start = Math.max(least, end - BLOCK_BYTES);
    const block = readBlock(file, start, end);
    // Cut off meanwhile: what was read doesn't fit to the rest.
    if (block === undefined) return yield undefined;
    values += valuesIn(block);
    if (values > MAX_VALUES) return yield undefined;
    let lineEnd = block.length;
    while (lineEnd > 0) {
      const at = block.lastIndexOf(NEWLINE, lineEnd - 1);
      if (at < 0) break;
      if (at + 1 < lineEnd) parts.unshift(block.subarray(at + 1, lineEnd));
      lineEnd = at;
      if (parts.length === 0) {
        // A file may hold millions of empty lines.
        while (block[lineEnd - 1] === NEWLINE) lineEnd--;
        continue;
      }
      if (++lines > maxLines) return yield undefined;
      yield textOfParts(parts);
      parts = [];
    }
    if (lineEnd > 0) parts.unshift(block.subarray(0, lineEnd));
    end = start;
  }
  if (least > 0) return yield undefined;
  if (parts.length > 0) yield textOfParts(parts);
}

/** How many values of JSON some bytes hold at most: each has one of these before or in it. */
function valuesIn(block: Uint8Array): number {
  let count = 0;
  for (const mark of [COMMA, BRACKET, BRACE]) {
    for (let at = -1; (at = block.indexOf(mark, at + 1)) >= 0;) count++;
  }
  return count;
}

/** The bytes from `start` to `end`; `undefined` if there are fewer. */
function readBlock(
  file: OpenFile,
  start: number,
  end: number,
): Uint8Array | undefined {
  const block = new Uint8Array(end - start);
  for (let length = 0; length < block.length;) {
    const count = file.readNow(block.subarray(length), start + length);
    if (count === 0) return undefined;
    length += count;
  }
  return block;
}

const decoder = new TextDecoder();

function textOfParts(parts: readonly Uint8Array[]): string {
  return decoder.decode(parts.length === 1 ? parts[0] : concat(parts));
}

/** The first line of a file, if it ends within `maxBytes`. */
export function firstLine(path: string, maxBytes: number): string | undefined {
  using file = openFile(path);
  if (file === undefined) return undefined;
  const limit = Math.min(file.size(), maxBytes);
  const parts: Uint8Array[] = [];
  for (let start = 0; start < limit; start += BLOCK_BYTES) {
    const block = readBlock(file, start, Math.min(limit, start + BLOCK_BYTES));
    if (block === undefined) return undefined;
    const end = block.indexOf(0x0a);
    parts.push(end < 0 ? block : block.subarray(0, end));
    if (end >= 0) return textOfParts(parts);
  }
  return undefined;
}

/** The text at the beginning of a file, at most so many bytes of it; empty without a file. */
export function firstBytes(path: string, maxBytes: number): string {
  using file = openFile(path);
  const length = Math.min(file?.size() ?? 0, maxBytes);
  const block = file && readBlock(file, 0, length);
  return block ? decoder.decode(block) : "";
}
