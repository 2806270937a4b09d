/**
 * A session's output as text for a model: the end of it, within a bound, and how much is left out
 * before it. Of a log of any size only its end is read.
 *
 * Of a terminal, the log is played to an emulator (`client/plain_log.ts`). What came since a cursor
 * is played on the screen that the cursor's place had, because a program draws only what it changes.
 *
 * Of other kinds, escape sequences are left out. A character or sequence whose end is still to come
 * is left for the next reading, so that texts read one after the other fit together.
 *
 * @module
 */
import {
  bytesSince,
  endOfLog,
  type LogPosition,
  openLog,
} from "../client/log_files.ts";
import {
  type LogCursor,
  type LogStream,
  readLogCursor,
} from "../client/logs.ts";
import { ESCAPES, wholeLength } from "../client/output_search.ts";
import { terminalStatusAt, windowSize } from "../client/terminal_status.ts";
import { cleanText, unstyledText } from "../screen/clean_text.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import type { Session } from "../session/find.ts";
import { isLive, KINDS, type Paths } from "../store.ts";
import { turnTaker } from "../system/async.ts";
import { concat } from "../system/bytes.ts";
import { exists, openFile } from "../system/files.ts";
import { type BoundedText, bytesIn, endOfText } from "./text.ts";

/** What to read. */
export interface OutputOptions {
  readonly root: string;
  /** Only what came since. */
  readonly since: LogCursor | undefined;
  /** Of both streams together. */
  readonly maxBytes: number;
  /** Only this stream. */
  readonly stream?: LogStream | undefined;
  /** Stops the reading. */
  readonly signal?: AbortSignal;
}

/** Some output. */
export interface Output {
  readonly stdout: BoundedText;
  readonly stderr: BoundedText;
  /** What a reader must know of the text, in words. */
  readonly notes: readonly string[];
  /** Where it ends. */
  readonly end: LogCursor;
}

const NOTHING: BoundedText = { text: "", leftOutBytes: 0 };

const PLACE_IS_GONE =
  "The output no longer goes back to the cursor: this is the end of what is kept, and at least left_out_bytes are left out";

/** Tells whether a session is, or was, a terminal. */
export function hasScreen({ meta, paths }: Session): boolean {
  // An agent may have damaged the record of its kind.
  if (meta === null) return exists(`${paths.dir}/terminal.json`);
  return KINDS[meta.kind].isTerminal;
}

/** The end of a session's output as text. */
export async function readOutput(
  session: Session,
  options: OutputOptions,
): Promise<Output> {
  return hasScreen(session)
    ? await readTerminal(session, options)
    : await readStreams(session, options);
}

/** Each byte of text may have so many bytes of output, colours for example. */
const RAW_BYTES = 4;
/** What goes to standard error gets so much of the room, or what standard output leaves. */
const STDERR_SHARE = 1 / 4;

async function readStreams(
  { id, paths, state }: Session,
  { root, since, maxBytes, stream }: OutputOptions,
): Promise<Output> {
  // Before the reading: what comes after it is left for the next one.
  const now = readLogCursor(id, { root });
  const read = async (one: LogStream): Promise<Read | undefined> => {
    if (stream !== undefined && stream !== one) return undefined;
    return await readStream(paths[one], {
      from: since?.[one],
      now: now[one],
      maxBytes,
      live: isLive(state),
    });
  };
  const [out, err] = [await read("stdout"), await read("stderr")];
  const errLength = bytesIn(err?.text ?? "");
  const outLength = bytesIn(out?.text ?? "");
  const errBytes = Math.min(
    errLength,
    Math.max(Math.floor(maxBytes * STDERR_SHARE), maxBytes - outLength),
  );
  const isGone = out?.isGone || err?.isGone;
  return {
    stdout: bounded(out, maxBytes - errBytes),
    stderr: bounded(err, errBytes),
    notes: isGone ? [PLACE_IS_GONE] : [],
    end: {
      ...now,
      // A stream that isn't read keeps its place: the next reading of both loses nothing.
      stdout: out ? out.end : (since ?? now).stdout,
      stderr: err ? err.end : (since ?? now).stderr,
    },
  };
}

function bounded(read: Read | undefined, maxBytes: number): BoundedText {
  if (read === undefined) return NOTHING;
  const { text, leftOutBytes } = endOfText(read.text, maxBytes);
  return { text, leftOutBytes: read.leftOutBytes + leftOutBytes };
}

/** The text at the end of a stream. */
interface Read extends BoundedText {
  readonly end: LogPosition | null;
  /** Whether the log no longer goes back to where the reading was to begin. */
  readonly isGone: boolean;
}

async function readStream(
  path: string,
  { from, now, maxBytes, live }: {
    readonly from: LogPosition | null | undefined;
    /** The end of the log at a moment before. */
    readonly now: LogPosition | null;
    readonly maxBytes: number;
    readonly live: boolean;
  },
): Promise<Read> {
  using log = openLog(path, { from, bytes: RAW_BYTES * maxBytes });
  log.mark();
  const pieces: Uint8Array[] = [];
  for (let bytes; (bytes = await log.read());) pieces.push(bytes);
  const bytes = concat(pieces);
  // If nothing was read, nothing had come until `now` either.
  const end = log.position ?? now;
  const isGone = !!from &&
    (end?.file !== from.file || end.offset < from.offset);
  // Nothing there, or nothing that is read: a link, or a pipe.
  if (end === null || bytes.length === 0) return { ...NOTHING, end, isGone };
  const first = isGone ? 0 : from?.offset ?? 0;
  const start = end.offset - bytes.length;
  const isCut = start > first;
  const skipped = isCut ? lineStart(bytes) : characterStart(bytes);
  const held = live ? unfinished(bytes) : 0;
  const whole = bytes.subarray(skipped, bytes.length - held);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const text = decoder.decode(whole).replaceAll("\r\n", "\n")
    .replaceAll("\r", "\n").replace(ESCAPES, "");
  return {
    text: cleanText(text),
    leftOutBytes: Math.max(0, start - first) + (isCut ? skipped : 0),
    end: { file: end.file, offset: end.offset - held },
    isGone,
  };
}

/** Where the first whole line begins; if none begins in the first half, the first whole character. */
function lineStart(bytes: Uint8Array): number {
  const at = bytes.indexOf(10) + 1;
  return at > 0 && at <= bytes.length / 2 ? at : characterStart(bytes);
}

/** Where the first whole character of UTF-8 begins. */
function characterStart(bytes: Uint8Array): number {
  const at = bytes.subarray(0, 4).findIndex((byte) => byte >> 6 !== 0b10);
  return Math.max(0, at);
}

/** The longest escape sequence that is waited for. */
const MAX_HELD_BYTES = 256;

/** The bytes at the end of some output that begin a character or a sequence. */
function unfinished(bytes: Uint8Array): number {
  const at = bytes.lastIndexOf(0x1b);
  if (at >= 0 && bytes.length - at <= MAX_HELD_BYTES) {
    const text = new TextDecoder().decode(bytes.subarray(at));
    // deno-lint-ignore no-control-regex
    if (/^\x1b(?:\[[0-?]*[ -/]*|\][^\x07]*)?$/.test(text)) {
      return bytes.length - at;
    }
  }
  return bytes.length - wholeLength(bytes);
}

/** So much of a terminal's log is played for each byte of text: most of it draws. */
const PLAYED_BYTES = 16;
const LEAST_PLAYED_BYTES = 256 * 1024;
const MOST_PLAYED_BYTES = 1024 * 1024;
/** So long it may take. Other calls are answered meanwhile. */
const WORK_MS = 5000;

async function readTerminal(
  { id, paths }: Session,
  { root, since, maxBytes, signal }: OutputOptions,
): Promise<Output> {
  const { FULL_SCREEN, readPlainLog, TOOK_TOO_LONG } = await import(
    "../client/plain_log.ts"
  );
  const notes: string[] = [];
  // Before the reading, whose own end may be another.
  const now = readLogCursor(id, { root });
  const left = since && bytesSince(paths.stdout, since.stdout);
  const isGone = since?.stdout && left === undefined;
  if (isGone) notes.push(PLACE_IS_GONE);
  const from = isGone || !since?.stdout ? undefined : since;
  if (left === 0) return { stdout: NOTHING, stderr: NOTHING, notes, end: now };
  const screen = from && await screenAt(paths, from.stdout!, signal);
  if (from && screen === undefined) notes.push(SCREEN_IS_UNKNOWN);
  const played = Math.min(
    MOST_PLAYED_BYTES,
    Math.max(LEAST_PLAYED_BYTES, maxBytes * PLAYED_BYTES),
  );
  const lines = new LastLines(maxBytes);
  let end = from?.stdout ?? now.stdout;
  const read = readPlainLog(id, {
    root,
    since: from,
    screen,
    maxBytes: played,
    workMs: WORK_MS,
    signal,
    onEnd: (position) => end = position,
    onNotice: (message) => {
      if (message === FULL_SCREEN) {
        notes.push(`${message}. What it shows now: read_screen`);
      } else if (message === TOOK_TOO_LONG) {
        notes.push(`${message}. The rest: read_output with this cursor`);
      }
    },
  });
  for await (const line of read) lines.push(cleanText(line).trimEnd());
  const found = screen?.alternate
    ? await newSince(screen, lines.text)
    : lines.text;
  const { text, leftOutBytes } = endOfText(found, maxBytes);
  const unread = Math.max(0, (from ? left! : sizeOf(paths)) - played);
  return {
    stdout: {
      text,
      leftOutBytes: unread + lines.leftOutBytes + leftOutBytes,
    },
    stderr: NOTHING,
    notes,
    end: { ...now, stdout: end },
  };
}

/** What a full-screen program has drawn, without what its screen has shown before. */
async function newSince(screen: ScreenText, drawn: string): Promise<string> {
  const { newLines } = await import("../screen/new_lines.ts");
  const shown = screen.lines.map((line) => cleanText(unstyledText(line)));
  return newLines(shown, drawn.split("\n")).join("\n");
}

/** The bytes of a terminal's log that are kept. */
function sizeOf({ stdout }: Paths): number {
  const [log, older] = [endOfLog(stdout), endOfLog(`${stdout}.1`)];
  return (log?.offset ?? 0) + (older?.offset ?? 0);
}

/** The last lines of many, in a bound that is checked later to the byte. */
class LastLines {
  readonly #lines: string[] = [];
  readonly #maxLength: number;
  #first = 0;
  #length = 0;
  /** The bytes of the lines that were dropped. */
  leftOutBytes = 0;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  push(line: string): void {
    this.#lines.push(line);
    this.#length += line.length + 1;
    // What is dropped is more than what may be shown: no byte is less than a character.
    for (;;) {
      const oldest = this.#lines[this.#first]!;
      const rest = this.#length - oldest.length - 1;
      if (rest < this.#maxLength) break;
      this.leftOutBytes += bytesIn(oldest) + 1;
      this.#length = rest;
      this.#lines[this.#first++] = "";
    }
  }

  get text(): string {
    return this.#lines.slice(this.#first).join("\n");
  }
}

/** So much output before a place is played to know the screen there, for at most so long. */
const BEFORE_BYTES = 256 * 1024;
const BEFORE_MS = 500;
const PIECE_BYTES = 4 * 1024;

const SCREEN_IS_UNKNOWN =
  "It isn't known what the screen showed at the cursor: lines may be missing or appear twice";

/** The screen of a terminal as it was at a place in its log; `undefined` if that can't be known. */
async function screenAt(
  paths: Paths,
  { file: key, offset }: LogPosition,
  signal: AbortSignal | undefined,
): Promise<ScreenText | undefined> {
  const path = [paths.stdout, `${paths.stdout}.1`]
    .find((one) => endOfLog(one)?.file === key);
  using file = path === undefined ? undefined : openFile(path);
  if (file === undefined) return undefined; // Rotated just now.
  const { Screen } = await import("../screen/screen.ts");
  const { columns, rows } = windowSize(paths);
  const screen = new Screen(columns, rows);
  await screen.load();
  const start = Math.max(0, offset - BEFORE_BYTES);
  if (start > 0 && terminalStatusAt(paths, false)?.alternate) {
    screen.append(new TextEncoder().encode("\x1b[?1049h"));
  }
  const buffer = new Uint8Array(BEFORE_BYTES);
  const length = await file.read(buffer.subarray(0, offset - start), start);
  const takeTurns = turnTaker(signal);
  const deadline = performance.now() + BEFORE_MS;
  for (let at = 0; at < length; at += PIECE_BYTES) {
    await takeTurns();
    if (performance.now() > deadline) return undefined;
    screen.append(buffer.subarray(at, Math.min(length, at + PIECE_BYTES)));
    screen.catchUp();
  }
  return screen.text({ ansi: true, scrollback: 0 });
}
