/**
 * Playing a terminal's output to the emulator again: its last screen once it has ended, and its
 * output as a person would have read it, line by line, without escape sequences and without
 * characters that reorder or hide text.
 *
 * The relay leaves `screen.json` where it had an emulator; where it had none, the journal is
 * complete and simple enough to be drawn again.
 *
 * For lines the journal is played as well: what scrolls off the normal screen is text
 * for good. A full-screen program draws on the alternate screen, of which only the last
 * state is text, so its last screen comes at the end.
 *
 * @module
 */
import { checkTailLines, type LogEnd, readEndOfLog } from "./logs.ts";
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
import { type Paths, pathsFor, type RootOptions } from "../store.ts";
import { toLatin1 } from "../system/bytes.ts";
import { openFile } from "../system/files.ts";

/** More than the greatest `screen.json`. */
const MAX_SCREEN_BYTES = 32 * 1024 * 1024;
/** So much of each file of the journal is drawn again, its end; a journal is longer only by its agent's doing. */
const MAX_REPLAY_BYTES = 256 * 1024 * 1024;

/** Reads or redraws the last screen of the session with these files. */
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
  const size = terminalStatus(paths, false);
  const screen = new Screen(size?.columns || 120, size?.rows || 40);
  await screen.load();
  for (const path of [`${paths.stdout}.1`, paths.stdout]) replay(screen, path);
  const text = screen.text({
    ansi,
    scrollback: Math.min(scrollback, SCROLLBACK),
  });
  return parseScreen(text, { styled: ansi, ansi }) ?? text;
}

function replay(screen: Screen, path: string): void {
  using file = openFile(path);
  if (file === undefined) return;
  const buffer = new Uint8Array(256 * 1024);
  let offset = Math.max(0, file.size() - MAX_REPLAY_BYTES);
  for (let count; (count = file.readNow(buffer, offset)) > 0; offset += count) {
    screen.append(buffer.subarray(0, count));
    if (screen.isBehind) screen.catchUp();
  }
}

/** Lines that are kept until they are given on; more than any screen is high. */
const KEPT_LINES = 20_000;
/** The emulator is fed this much at a time: fewer lines than half of the scrollback. */
const PIECE_BYTES = 8 * 1024;

/** The last lines are looked for in the last so many bytes, if these are few. */
const LEAST_TAIL_BYTES = 2 * 1024 * 1024;
/** In so many for each line, if they are many. */
const TAIL_LINE_BYTES = 1024;

/** Options of {@linkcode readPlainLog}. */
export interface ReadPlainLogOptions extends RootOptions {
  /**
   * Only the last so many lines, out of the last 2 MiB of the output, or 1 KiB for each
   * line if that is more: what is longer is not read from its beginning, so that a
   * full-screen program that has drawn more than that may be told wrongly.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
}

/**
 * The lines of a terminal session's output, as text. Needs `--allow-read` of the root and
 * of Deno's cache, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`, when iterated.
 * @throws {RangeError} if `tailLines` is negative, when iterated.
 *
 * @example
 * ```ts
 * import { readPlainLog } from "./mod.ts";
 * for await (const line of readPlainLog("demo")) console.log(line);
 * ```
 */
export async function* readPlainLog(
  id: string,
  options: ReadPlainLogOptions = {},
): AsyncGenerator<string, void> {
  const { tailLines = Infinity } = options;
  checkTailLines(tailLines);
  const paths = pathsFor(id, options);
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

/** Plays output to an emulator: the lines that it draws. */
async function* play(
  paths: Paths,
  output: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void> {
  const size = terminalStatus(paths, false);
  const terminal = await loadEmulator({
    columns: sizeOf(size?.columns) ?? 120,
    rows: sizeOf(size?.rows) ?? 40,
    scrollback: KEPT_LINES,
  });
  const { normal, alternate } = terminal.buffer;
  let given = 0; // Lines of the normal screen's buffer that are given on.
  try {
    for await (const bytes of output) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        terminal._core._inputHandler.parse(
          bytes.subarray(at, at + PIECE_BYTES),
        );
        if (normal.baseY < KEPT_LINES / 2) continue;
        yield* linesOf(normal, given, normal.baseY);
        clearScrollback(terminal);
        given = 0;
      }
    }
    yield* linesOf(normal, given, normal.length);
    if (terminal.buffer.active.type === "alternate") {
      yield* linesOf(alternate, 0, alternate.length);
    }
  } finally {
    terminal.dispose();
  }
}

/** A width or height, if it is one that a session can have: the file may say anything. */
function sizeOf(value: number | undefined): number | undefined {
  return Number.isInteger(value) && value! > 0 && value! <= 1000
    ? value
    : undefined;
}

const NEWLINE = 10;
/** How many pieces of a log, of 64 KiB, are searched for it. */
const MOST_HELD = 128;

/** Entering and leaving the alternate screen, see xterm's ctlseqs. */
// deno-lint-ignore no-control-regex
const SWITCH = /\x1b\[\?(?:1049|1047|47)([hl])/;

/**
 * Output that was cut off at its beginning, from a line's beginning on; or, if a full-screen program
 * was at work where it was cut, from where that has left.
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
    if (found === null && held.length < MOST_HELD) {
      before = text.slice(-8); // A sequence may be cut in two.
      continue;
    }
    isWhole = true;
    if (found?.[1] === "l") {
      yield bytes.subarray(found.index + found[0].length - before.length);
    } else yield* fromLine(held);
  }
  if (!isWhole) yield* fromLine(held);
}

function* fromLine(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const [index, bytes] of chunks.entries()) {
    yield index === 0 ? bytes.subarray(bytes.indexOf(NEWLINE) + 1) : bytes;
  }
}

/** Erases the lines above the screen, ED 3 (ECMA-48 and xterm). */
function clearScrollback(terminal: Terminal): void {
  terminal._core._inputHandler.parse(new TextEncoder().encode("\x1b[3J"));
}

/** Lines as text: those that only the width has broken are put together again. */
function* linesOf(
  buffer: ScreenBuffer,
  from: number,
  to: number,
): Generator<string> {
  let line: string | undefined;
  let blank = 0; // Empty lines count only if something follows.
  for (let y = from; y < to; y++) {
    const row = buffer.getLine(y);
    const next = buffer.getLine(y + 1);
    line = (line ?? "") + (row?.translateToString(!next?.isWrapped) ?? "");
    if (next?.isWrapped && y + 1 < to) continue;
    if (line === "") blank++;
    else {
      for (; blank > 0; blank--) yield "";
      yield plainText(line);
    }
    line = undefined;
  }
}
