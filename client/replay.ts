/**
 * Playing a terminal's output to the emulator again, without its relay: the last screen of a
 * session that has ended, and the output of any terminal session as plain lines.
 *
 * The relay leaves its last screen in `screen.json` where it had an emulator. Where it
 * had none, the log is complete and simple enough to be played.
 *
 * Lines are the text that scrolls off the normal screen. A full-screen program draws on the
 * alternate screen, of which only the last state is text, so that comes at the end. No
 * escape sequence is left in a line, and no character that reorders or hides text.
 *
 * @module
 */
import {
  checkTailLines,
  existingPaths,
  type LogEnd,
  readEndOfLog,
} from "./logs.ts";
import { readJsonFile, terminalStatus } from "./terminal_status.ts";
import { plainText } from "../screen/clean_text.ts";
import {
  loadEmulator,
  type ScreenBuffer,
  type Terminal,
} from "../screen/emulator.ts";
import { Screen } from "../screen/screen.ts";
import {
  parseScreen,
  type ScreenText,
  SCROLLBACK,
} from "../screen/screen_text.ts";
import type { Paths, RootOptions } from "../store.ts";
import { toLatin1 } from "../system/bytes.ts";
import { openFile } from "../system/files.ts";

/** More than the greatest `screen.json`. */
const MAX_SCREEN_BYTES = 32 * 1024 * 1024;
/** The end of each log file is played, at most this much; only its agent can make it longer. */
const MAX_REPLAY_BYTES = 256 * 1024 * 1024;
/** The log is read in blocks of this size. */
const BLOCK_BYTES = 256 * 1024;

/** Lines that the emulator keeps until they are yielded; more than any screen is high. */
const KEPT_LINES = 20_000;
/** The emulator is fed this much at a time: fewer lines than half of those that it keeps. */
const PIECE_BYTES = 8 * 1024;
/** A few last lines are searched in the last so many bytes. */
const LEAST_TAIL_BYTES = 2 * 1024 * 1024;
/** Many last lines are searched in so many bytes for each. */
const TAIL_LINE_BYTES = 1024;

/** The window of the session; 120x40 if its relay's record has no size that can be. */
function sizeOf(paths: Paths): { columns: number; rows: number } {
  const { columns, rows } = terminalStatus(paths, false) ?? {};
  return { columns: columns || 120, rows: rows || 40 };
}

/** Reads or plays the last screen of a session that has ended. */
export async function readLastScreen(
  paths: Paths,
  options: { readonly ansi: boolean; readonly scrollback: number },
): Promise<ScreenText> {
  const { ansi, scrollback } = options;
  const last = parseScreen(
    readJsonFile(`${paths.dir}/screen.json`, MAX_SCREEN_BYTES),
    { styled: true, ansi },
  );
  if (last !== undefined) {
    const count = Math.min(scrollback, last.scrollback);
    const lines = last.lines.slice(last.scrollback - count);
    return { ...last, scrollback: count, lines };
  }
  const { columns, rows } = sizeOf(paths);
  const screen = new Screen(columns, rows);
  await screen.load();
  for (const path of [`${paths.stdout}.1`, paths.stdout]) feed(screen, path);
  const text = screen.text({
    ansi,
    scrollback: Math.min(scrollback, SCROLLBACK),
  });
  return parseScreen(text, { styled: ansi, ansi }) ?? text;
}

/** Feeds a screen the end of a log file. */
function feed(screen: Screen, path: string): void {
  using file = openFile(path);
  if (file === undefined) return;
  const buffer = new Uint8Array(BLOCK_BYTES);
  let offset = Math.max(0, file.size() - MAX_REPLAY_BYTES);
  for (let count; (count = file.readNow(buffer, offset)) > 0; offset += count) {
    screen.append(buffer.subarray(0, count));
    if (screen.isBehind) screen.catchUp();
  }
}

/** Options of {@linkcode readPlainLog}. */
export interface ReadPlainLogOptions extends RootOptions {
  /**
   * Only the last so many lines. They are searched in the last 2 MiB of the output, or 1 KiB
   * a line if that is more. A full-screen program that is still running and has drawn more
   * than that may be shown wrongly.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
}

/**
 * The lines of a terminal session's output, as text. Needs `--allow-read` of the root and
 * of Deno's cache, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id is malformed; {RangeError} if `tailLines` is negative.
 *
 * @example
 * ```ts
 * import { readPlainLog } from "./mod.ts";
 * for await (const line of readPlainLog("demo")) console.log(line);
 * ```
 */
export function readPlainLog(
  id: string,
  options: ReadPlainLogOptions = {},
): AsyncIterable<string> {
  const { tailLines = Infinity } = options;
  checkTailLines(tailLines);
  return readLines(existingPaths(id, options), tailLines);
}

async function* readLines(
  paths: Paths,
  tailLines: number,
): AsyncGenerator<string, void> {
  const bytes = Math.max(LEAST_TAIL_BYTES, tailLines * TAIL_LINE_BYTES);
  const lines = play(paths, fromWhole(readEndOfLog(paths, bytes)));
  if (tailLines === Infinity) return yield* lines;
  const last: string[] = []; // Once it is full, a ring.
  let count = 0;
  for await (const line of lines) {
    if (tailLines > 0) last[count++ % tailLines] = line;
  }
  for (let at = Math.max(0, count - tailLines); at < count; at++) {
    yield last[at % tailLines]!;
  }
}

/** Plays output to an emulator, and yields the lines that it draws. */
async function* play(
  paths: Paths,
  output: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void> {
  const size = sizeOf(paths);
  const terminal = await loadEmulator({ ...size, scrollback: KEPT_LINES });
  const { normal, alternate } = terminal.buffer;
  try {
    for await (const bytes of output) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        terminal._core._inputHandler.parse(
          bytes.subarray(at, at + PIECE_BYTES),
        );
        if (normal.baseY < KEPT_LINES / 2) continue;
        yield* linesOf(normal, normal.baseY);
        clearScrollback(terminal);
      }
    }
    yield* linesOf(normal, normal.length);
    if (terminal.buffer.active.type === "alternate") {
      yield* linesOf(alternate, alternate.length);
    }
  } finally {
    terminal.dispose();
  }
}

/** Erases the lines above the screen, ED 3 (ECMA-48 and xterm). */
function clearScrollback(terminal: Terminal): void {
  terminal._core._inputHandler.parse(new TextEncoder().encode("\x1b[3J"));
}

/** The first lines of a buffer as text. A line that only the window's width has broken is one. */
function* linesOf(buffer: ScreenBuffer, count: number): Generator<string> {
  let line = "";
  let blank = 0; // Empty lines count only if something follows.
  for (let y = 0; y < count; y++) {
    const isBroken = buffer.getLine(y + 1)?.isWrapped ?? false;
    line += buffer.getLine(y)?.translateToString(!isBroken) ?? "";
    if (isBroken && y + 1 < count) continue;
    if (line === "") blank++;
    else {
      for (; blank > 0; blank--) yield "";
      yield plainText(line);
    }
    line = "";
  }
}

const NEWLINE = 10;
/** So many pieces of a log, of 64 KiB each, are searched for a switch of screens. */
const MAX_HELD = 128;
/** Longer than half of a switch, which may be cut in two. */
const OVERLAP_LENGTH = 8;

/** Entering and leaving the alternate screen, see xterm's ctlseqs. */
// deno-lint-ignore no-control-regex
const SWITCH = /\x1b\[\?(?:1049|1047|47)([hl])/;

/**
 * Output that was cut off at its beginning, from the first whole line on. If it was cut while a
 * full-screen program was drawing, it begins where that program has left its screen.
 */
async function* fromWhole(
  chunks: AsyncIterable<LogEnd>,
): AsyncGenerator<Uint8Array, void> {
  const held: Uint8Array[] = [];
  let isWhole = false;
  let before = "";
  for await (const { bytes, isCut } of chunks) {
    if (isWhole || !isCut) {
      yield bytes;
      continue;
    }
    held.push(bytes);
    const text = before + toLatin1(bytes);
    const found = SWITCH.exec(text);
    if (found === null && held.length < MAX_HELD) {
      before = text.slice(-OVERLAP_LENGTH);
      continue;
    }
    isWhole = true;
    if (found?.[1] === "l") {
      yield bytes.subarray(found.index + found[0].length - before.length);
    } else yield* fromLine(held);
  }
  if (!isWhole) yield* fromLine(held);
}

/** Pieces from the first whole line on. */
function* fromLine(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const [index, bytes] of chunks.entries()) {
    yield index === 0 ? bytes.subarray(bytes.indexOf(NEWLINE) + 1) : bytes;
  }
}
