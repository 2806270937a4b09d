/**
 * The output of a session as lines of text, with the help of the emulator: no escape sequence
 * is left in a line, and no character that reorders or hides text.
 *
 * A line is given when it scrolls off the normal screen; at the end, all that are on it. While
 * output is followed, a line is given as soon as the cursor has left it downwards. A program that
 * then draws it anew (a progress display, say) shows that this is too early: from then on
 * its lines are given when they scroll off.
 *
 * Of a full-screen program, lines are given as `screen/scrolled.ts` tells them from one frame
 * to the next, and its last screen when it leaves.
 *
 * @module
 */
import { checkObject, checkOptions } from "../errors.ts";
import {
  checkCursor,
  checkMaxBytes,
  checkStream,
  checkTailLines,
  existingPaths,
  followStreams,
  type LogEnd,
  type LogStream,
  readEndOfLog,
  type TailOptions,
} from "./logs.ts";
import { bytesSince, type LogPosition, type LogStart } from "./log_files.ts";
import { terminalStatusAt, windowSize } from "./terminal_status.ts";
import { plainText, unstyledText } from "../screen/clean_text.ts";
import {
  type Cell,
  loadEmulator,
  type ScreenBuffer,
  type Terminal,
} from "../screen/emulator.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { ScrolledLines } from "../screen/scrolled.ts";
import { isTerminal, type Paths } from "../store.ts";
import { turnTaker } from "../system/async.ts";
import { toLatin1 } from "../system/bytes.ts";

/** Lines that the emulator keeps until they are given; more than any screen is high. */
const KEPT_LINES = 20_000;
/** The emulator is fed this much at a time: less than two frames of most programs. */
const PIECE_BYTES = 1024;
/**
 * Each byte of output allows for so many cells to be looked at, in frames and in comparing
 * them: output of nothing but frames would take hours otherwise.
 */
const CELLS_PER_BYTE = 16;
/** So many cells can be saved up: the frames of real programs have more bytes than they cost. */
const SAVED_CELLS = 1_000_000;
/** A few last lines are searched in the last so many bytes. */
const LEAST_TAIL_BYTES = 2 * 1024 * 1024;
/** Many last lines are searched in so many bytes for each. */
const TAIL_LINE_BYTES = 1024;

/** Options of {@linkcode readPlainLog}. */
export interface ReadPlainLogOptions extends TailOptions {
  /**
   * The stream to read. A terminal has only `stdout`.
   *
   * @default {"stdout"}
   */
  readonly stream?: LogStream;
  /**
   * Only the last so many lines. They are searched in the last 2 MiB of the output, or 1 KiB
   * a line if that is more. Of a full-screen program that has drawn more than that, rows may
   * have gaps.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
  /**
   * Only what the last so many bytes of the log show.
   *
   * @default {Infinity}
   */
  readonly maxBytes?: number;
  /**
   * The screen at `since`, read with `ansi`: a program draws only what it changes. Of the main
   * screen, the lines that were there already are left out, and so is what the program has drawn
   * again below the new ones, such as a prompt.
   *
   * @default {an empty screen}
   */
  readonly screen?: ScreenText;
  /**
   * How long the output may be looked at, in milliseconds; the rest is left out.
   *
   * @default {Infinity}
   */
  readonly workMs?: number;
  /** Stops the reading. */
  readonly signal?: AbortSignal;
  /** Called at the end with the place up to which the output was read, if there was any. */
  readonly onEnd?: (end: LogPosition) => void;
  /** Called with a line of text if the lines can't be all of the output, at most once for each reason. */
  readonly onNotice?: (message: string) => void;
}

/** Options of {@linkcode followPlainLog}. */
export type FollowPlainLogOptions = ReadPlainLogOptions;

/**
 * The lines of a session's output until now, as text. Of a full-screen program: the lines that
 * have scrolled off its screen, as far as its frames show them, and its last screen.
 *
 * Needs `--allow-read` of the root and of Deno's cache, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 *
 * @example
 * ```ts
 * import { pathsFor, readPlainLog, spawnExec, waitForSession } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["hello"], { program: "echo" });
 * await waitForSession("demo", { root });
 * for await (const line of readPlainLog("demo", { root })) console.log(line);
 * ```
 */
export function readPlainLog(
  id: string,
  options: ReadPlainLogOptions = {},
): AsyncIterable<string> {
  checkPlain(options);
  const { stream = "stdout", since } = options;
  const paths = existingPaths(id, options);
  const start = { bytes: bytesToRead(options), from: since?.[stream] };
  const output = readEndOfLog(paths, stream, start);
  return linesOf(paths, { stream, start, output }, options);
}

/**
 * The same as {@linkcode readPlainLog}, then live until the session has ended: each line when
 * it is complete, at the end what is left on the screen.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 * @throws the signal's reason, once it is aborted, when iterated.
 *
 * @example
 * ```ts
 * import { followPlainLog, pathsFor, spawnExec } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["hello"], { program: "echo" });
 * for await (const line of followPlainLog("demo", { root })) console.log(line);
 * ```
 */
export function followPlainLog(
  id: string,
  options: FollowPlainLogOptions = {},
): AsyncIterable<string> {
  checkPlain(options);
  const { stream = "stdout", since, signal } = options;
  const paths = existingPaths(id, options);
  const start = { bytes: bytesToRead(options) };
  const output = followStreams(paths, [stream], {
    tailBytes: start.bytes,
    since,
    pauses: true,
    signal,
  });
  return linesOf(paths, { stream, start, output }, options);
}

function checkPlain(options: FollowPlainLogOptions): void {
  checkOptions(options, { onNotice: "function", onEnd: "function" });
  const { stream = "stdout", since, screen } = options;
  checkStream(stream);
  checkCursor(since);
  if (screen !== undefined) checkObject("screen", screen);
  bytesToRead(options);
}

function bytesToRead(options: ReadPlainLogOptions): number {
  const { tailLines = Infinity, maxBytes = Infinity } = options;
  checkTailLines(tailLines);
  checkMaxBytes(maxBytes);
  const enough = Math.max(LEAST_TAIL_BYTES, tailLines * TAIL_LINE_BYTES);
  return Math.min(enough, maxBytes);
}

const BEGINNING_IS_GONE =
  "The beginning of the output is gone: it was longer than the session's log limit";
/** The notice for lines that were put together from frames. */
export const FULL_SCREEN =
  "A full-screen program drew this: its text is put together from its frames; lines may be missing or appear twice";

const PART_IS_GONE =
  "Only the last part of the output is shown: there was too much of it";
/** The notice for output that takes more time than there is. */
export const TOOK_TOO_LONG =
  "Only the first part of the output is shown: there was no time for more";

/** Output of a stream, and where it was to begin. */
interface Output {
  readonly stream: LogStream;
  readonly start: LogStart;
  readonly output: AsyncIterable<LogEnd>;
}

/** The lines of some output: the last so many of what is there, then all. A piece without bytes is a pause. */
async function* linesOf(
  paths: Paths,
  { stream, start, output }: Output,
  options: ReadPlainLogOptions,
): AsyncGenerator<string, void> {
  const { tailLines = Infinity, workMs = Infinity, since } = options;
  const { onNotice = () => {}, onEnd = () => {}, signal } = options;
  const wantsAll = tailLines === Infinity && since === undefined;
  if (wantsAll && terminalStatusAt(paths, false)?.hasDropped) {
    onNotice(BEGINNING_IS_GONE);
  }
  const left = since && bytesSince(paths[stream], since[stream] ?? null);
  const goesOn = left !== undefined && left <= start.bytes!;
  if (since !== undefined && !goesOn) onNotice(PART_IS_GONE);
  const screen = goesOn ? options.screen : undefined;
  using lines = new LineReader(
    await emulatorFor(paths, screen),
    () => onNotice(FULL_SCREEN),
    screen,
  );
  let tail = tailLines === Infinity ? undefined : new Tail(tailLines);
  const whole = goesOn ? output : fromWhole(paths, stream, start, output);
  let position: LogPosition | undefined;
  const takeTurns = turnTaker(signal);
  const deadline = performance.now() + workMs;
  for await (const { bytes, end } of inPieces(whole)) {
    await takeTurns();
    if (performance.now() > deadline) {
      onNotice(TOOK_TOO_LONG);
      break;
    }
    position = end ?? position;
    const found = bytes.length > 0 ? lines.feed(bytes) : lines.pause();
    if (tail === undefined) {
      yield* found;
      continue;
    }
    for (const line of found) tail.push(line);
    if (bytes.length > 0) continue;
    yield* tail.lines();
    tail = undefined;
  }
  if (position !== undefined) onEnd(position);
  if (tail === undefined) return yield* lines.end();
  for (const line of lines.end()) tail.push(line);
  yield* tail.lines();
}

/** Some output, and where it ends in its log; no place if it is not of the log. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly end?: LogPosition | null;
}

/** The same output, a little at a time. */
async function* inPieces(
  chunks: AsyncIterable<Piece>,
): AsyncGenerator<Piece, void> {
  for await (const { bytes, end } of chunks) {
    for (let at = 0; at === 0 || at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const rest = Math.max(0, bytes.length - at - PIECE_BYTES);
      yield {
        bytes: piece,
        end: end && { file: end.file, offset: end.offset - rest },
      };
    }
  }
}

async function emulatorFor(
  paths: Paths,
  screen: ScreenText | undefined,
): Promise<Terminal> {
  // Without a terminal between, a line ends in a mere LF.
  const convertEol = !isTerminal(paths);
  const { columns, rows } = screen ?? windowSize(paths);
  const scrollback = KEPT_LINES;
  return await loadEmulator({ columns, rows, scrollback, convertEol });
}

/** The last lines of many. */
class Tail {
  readonly #ring: string[] = [];
  #count = 0;

  constructor(readonly size: number) {}

  push(line: string): void {
    if (this.size > 0) this.#ring[this.#count++ % this.size] = line;
  }

  *lines(): Generator<string> {
    const first = Math.max(0, this.#count - this.size);
    for (let at = first; at < this.#count; at++) {
      yield this.#ring[at % this.size]!;
    }
  }
}

/** Entering and leaving the alternate screen, see xterm's ctlseqs. */
const SCREENS = [47, 1047, 1049];
/** A frame that is to be shown at once, https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036 */
const SYNCHRONIZED = 2026;

/** The emulator's number for the first link that it sees. */
const FIRST_LINK = 1;

/** Feeds output to an emulator and finds the lines that are complete. */
class LineReader implements Disposable {
  readonly #terminal: Terminal;
  readonly #onFullScreen: () => void;
  readonly #scrolled = new ScrolledLines();
  /** What was found while the emulator was busy. */
  readonly #found: string[] = [];
  /** The rows of the normal screen before this one were given. */
  #row = 0;
  /** An endless line goes on at least to this row: so it is not searched from its beginning each time. */
  #goesOnTo = 0;
  /** What was given of the rows from there on, which may still change. */
  #early = new Map<number, string>();
  /** Blank lines that count only if something follows. */
  #blank = 0;
  /** The program has changed a line that was given early. */
  #redraws = false;
  #isInFrame = false;
  #hasToldOfFullScreen = false;
  /** So many cells may be looked at before more output has come. */
  #allowance = SAVED_CELLS;
  /** The main screen at the start, if there was one. */
  readonly #earlier: EarlierScreen | undefined;
  #hasGiven = false;

  constructor(
    terminal: Terminal,
    onFullScreen: () => void,
    screen: ScreenText | undefined,
  ) {
    this.#terminal = terminal;
    this.#onFullScreen = onFullScreen;
    // These see a sequence before the emulator obeys it.
    const on = (
      final: string,
      prefix: string | undefined,
      see: (params: readonly unknown[]) => void,
    ) =>
      terminal.parser.registerCsiHandler({ final, prefix }, (params) => {
        see(params);
        return false;
      });
    on("h", "?", (params) => this.#beforeSet(params));
    on("l", "?", (params) => this.#beforeReset(params));
    for (const prefix of [undefined, "?"]) {
      on("J", prefix, ([what]) => {
        if (what === 3 && !this.#isAlternate) this.#beforeForgetting();
      });
    }
    // Pagers scroll by line feeds, and by more than a screen between two pieces.
    let lineFeeds = 0;
    terminal.onLineFeed(() => {
      if (!this.#isAlternate || this.#isInFrame) return;
      if (++lineFeeds % Math.ceil(terminal.rows / 4) === 0) this.#takeFrame();
    });
    terminal.parser.registerEscHandler({ final: "c" }, () => {
      if (this.#isAlternate) this.#leaveFullScreen();
      this.#beforeForgetting();
      return false;
    });
    if (screen === undefined) return;
    if (!screen.alternate) this.#earlier = new EarlierScreen(screen);
    this.#draw(new TextEncoder().encode(drawn(screen)));
  }

  get #isAlternate(): boolean {
    return this.#terminal.buffer.active.type === "alternate";
  }

  /** Takes a little output; returns the lines that have left the screen. */
  feed(piece: Uint8Array): string[] {
    const { normal } = this.#terminal.buffer;
    this.#allowance = Math.min(
      Math.max(SAVED_CELLS, 4 * this.#frameCost),
      this.#allowance + piece.length * CELLS_PER_BYTE,
    );
    this.#draw(piece);
    if (this.#isAlternate) {
      if (!this.#isInFrame) this.#takeFrame();
      return this.#found.splice(0);
    }
    this.#giveRows(normal.baseY);
    if (normal.baseY >= KEPT_LINES / 2) {
      this.#beforeForgetting();
      const { _inputHandler } = this.#terminal._core;
      _inputHandler.eraseInDisplay({ params: [3], length: 1 }); // ED 3, of xterm.
    }
    return this.#found.splice(0);
  }

  #draw(bytes: Uint8Array): void {
    try {
      this.#terminal._core._inputHandler.parse(bytes);
    } catch {
      // A fault of the emulator, as in screen.ts: some of the output is missing.
    }
  }

  /** The lines that are complete, unless the program changes them later. */
  pause(): string[] {
    if (!this.#redraws && !this.#isAlternate) this.#giveAboveCursor();
    return this.#found.splice(0);
  }

  /** All that is left. */
  end(): string[] {
    const isAlternate = this.#isAlternate;
    if (isAlternate) {
      this.#allowance = Infinity;
      this.#leaveFullScreen();
    }
    this.#giveRows(this.#terminal.buffer.normal.length);
    const lines = this.#found.splice(0);
    return isAlternate ? lines : this.#earlier?.withoutEnd(lines) ?? lines;
  }

  [Symbol.dispose](): void {
    this.#terminal.dispose();
  }

  #beforeSet(modes: readonly unknown[]): void {
    if (modes.includes(SYNCHRONIZED)) this.#isInFrame = true;
    if (this.#isAlternate || !SCREENS.some((one) => modes.includes(one))) {
      return;
    }
    this.#giveAboveCursor();
    if (!this.#hasToldOfFullScreen) this.#onFullScreen();
    this.#hasToldOfFullScreen = true;
  }

  #beforeReset(modes: readonly unknown[]): void {
    const endsFrame = modes.includes(SYNCHRONIZED);
    if (endsFrame) this.#isInFrame = false;
    if (!this.#isAlternate) return;
    if (endsFrame) this.#takeFrame();
    if (SCREENS.some((one) => modes.includes(one))) this.#leaveFullScreen();
  }

  /** The emulator is about to forget the lines above the screen, and their rows get new numbers. */
  #beforeForgetting(): void {
    const { baseY } = this.#terminal.buffer.normal;
    this.#giveRows(baseY, true);
    this.#row = 0;
    this.#goesOnTo = 0;
    this.#early = new Map(
      [...this.#early].map(([row, text]) => [row - baseY, text]),
    );
  }

  /** What it costs to read a frame and to compare it with another one. */
  get #frameCost(): number {
    const { cols, rows } = this.#terminal;
    return rows * (cols + rows);
  }

  /** Takes a frame, unless the allowance is spent down to a reserve. */
  #takeFrame(reserve = SAVED_CELLS / 2): void {
    if (this.#allowance < reserve) return;
    this.#allowance -= this.#frameCost;
    const { alternate } = this.#terminal.buffer;
    const frame: string[] = [];
    for (let y = 0; y < alternate.length; y++) {
      frame.push(alternate.getLine(y)?.translateToString(true).trimEnd() ?? "");
    }
    for (const line of this.#scrolled.take(frame)) this.#give(line);
  }

  #leaveFullScreen(): void {
    this.#takeFrame(0);
    for (const line of this.#scrolled.end()) this.#give(line);
  }

  #giveAboveCursor(): void {
    const { normal } = this.#terminal.buffer;
    let row = normal.baseY + normal.cursorY;
    while (row > 0 && normal.getLine(row)?.isWrapped) row--;
    this.#giveRows(row);
  }

  /**
   * Gives the rows before `limit`. A line that only the window's width has broken is one; if it
   * goes on behind the limit, it is given later, unless this is the last chance.
   */
  #giveRows(limit: number, isLastChance = false): void {
    const { normal } = this.#terminal.buffer;
    // Behind the last row the emulator may still have a row that it has dropped.
    const goesOn = (y: number) =>
      y < normal.length && normal.getLine(y)?.isWrapped === true;
    let row = this.#row;
    while (row < limit) {
      let end = Math.max(row + 1, this.#goesOnTo);
      while (end < limit && goesOn(end)) end++;
      const isBroken = goesOn(end);
      if (end > limit || (isBroken && !isLastChance)) {
        if (limit <= normal.baseY) this.#goesOnTo = end;
        break;
      }
      let line = "";
      for (let y = row; y < end; y++) {
        const isWhole = y < end - 1 || isBroken;
        line += normal.getLine(y)?.translateToString(!isWhole) ?? "";
      }
      const before = this.#early.get(row);
      if (before !== line) {
        if (this.#earlier?.has(normal, row, end)) this.#blank = 0;
        else this.#give(line);
      }
      if (before !== undefined && before !== line) this.#redraws = true;
      this.#early.set(row, line);
      row = end;
    }
    if (limit > normal.baseY) return; // These may still change.
    for (const done of this.#early.keys()) {
      if (done < row) this.#early.delete(done);
    }
    this.#row = row;
  }

  #give(line: string): void {
    if (line.trimEnd() === "" && this.#earlier !== undefined) line = "";
    if (line !== "") this.#hasGiven = true;
    if (line === "") {
      // At the top of what is new, blank lines are of the screen that was there.
      if (this.#hasGiven || this.#earlier === undefined) this.#blank++;
    } else {
      for (; this.#blank > 0; this.#blank--) this.#found.push("");
      this.#found.push(plainText(line));
    }
  }
}

/**
 * The main screen that output began on. Its text is marked with a link whose name no program
 * knows: so the emulator itself keeps account of what was there and what is new, wherever it
 * moves to. To compare text instead would lose output that repeats what was there.
 */
class EarlierScreen {
  /** The rows with text. */
  readonly #rows: readonly string[];
  /** How many of them are above the cursor and the frame that a prompt may have. */
  readonly #above: number;
  #kept = 0;
  #cell: Cell | undefined;

  constructor({ lines, scrollback, cursor }: ScreenText) {
    const rows = lines.slice(scrollback)
      .map((line) => unstyledText(line).trimEnd());
    let above = cursor.row;
    while (above > 0 && !/[\p{L}\p{N}]/u.test(rows[above - 1]!)) above--;
    const hasText = (row: string) => row !== "";
    this.#rows = rows.filter(hasText);
    this.#above = rows.slice(0, above).filter(hasText).length;
  }

  /** Tells whether rows of a screen hold old text only, and counts them. */
  has(buffer: ScreenBuffer, start: number, end: number): boolean {
    if (this.#kept === this.#rows.length) return false;
    let hasText = false;
    for (let y = start; y < end; y++) {
      const line = buffer.getLine(y);
      for (let x = 0; x < (line?.length ?? 0); x++) {
        const cell = this.#cell = line!.getCell(x, this.#cell)!;
        if (cell.getChars().trim() === "") continue;
        const { urlId } = cell.extended;
        if (!cell.hasExtendedAttrs() || urlId !== FIRST_LINK) return false;
        hasText = true;
      }
    }
    if (hasText) this.#kept++;
    return hasText;
  }

  /**
   * Leaves out the rows at the end that the program has drawn as they were, from the cursor's on: a
   * prompt, or a prompt's box. What is above may be an answer that repeats the one before.
   */
  withoutEnd(lines: readonly string[]): string[] {
    const drawn = this.#rows.slice(Math.max(this.#kept, this.#above));
    const left: string[] = [];
    for (const line of lines.toReversed()) {
      if (line !== "" && line.trimEnd() === drawn.pop()) continue;
      if (line !== "" || left.length > 0) left.push(line);
    }
    return left.reverse();
  }
}

/** What draws a screen. */
function drawn(screen: ScreenText): string {
  const { lines, scrollback, cursor: { column, row }, alternate } = screen;
  const rows = lines.slice(scrollback).map((line, y) =>
    `\x1b[${y + 1};1H${alternate ? `\x1b[m${line}` : unstyledText(line)}`
  ).join("");
  const cursor = `\x1b[${row + 1};${column + 1}H`;
  return alternate
    ? `\x1b[?2026h\x1b[?1049h${rows}\x1b[m${cursor}\x1b[?2026l`
    : `\x1b]8;id=${crypto.randomUUID()};earlier:\x07${rows}\x1b]8;;\x07${cursor}`;
}

const NEWLINE = 10;
const ESCAPE = 27;
/** Longer than half of a switch, which may be cut in two. */
const OVERLAP_LENGTH = 8;
// deno-lint-ignore no-control-regex
const SWITCH = /\x1b\[\?(?:1049|1047|47)([hl])/;

/** Output whose beginning may be gone: from a whole line on, or on the screen of the program that has drawn it. */
async function* fromWhole(
  paths: Paths,
  stream: LogStream,
  start: LogStart,
  chunks: AsyncIterable<LogEnd>,
): AsyncGenerator<Piece, void> {
  let isFirst = true;
  for await (const { bytes, isCut, end } of chunks) {
    let rest = bytes;
    if (isFirst && (isCut || terminalStatusAt(paths, false)?.hasDropped)) {
      if (await beginsFullScreen(paths, readEndOfLog(paths, stream, start))) {
        yield { bytes: new TextEncoder().encode("\x1b[?1049h") };
        rest = bytes.subarray(Math.max(0, bytes.indexOf(ESCAPE)));
      } else rest = bytes.subarray(bytes.indexOf(NEWLINE) + 1); // A part of a line.
    }
    isFirst = false;
    if (rest.length > 0 || bytes.length === 0) yield { bytes: rest, end };
  }
}

/** Tells whether output begins in the middle of what a full-screen program draws. */
async function beginsFullScreen(
  paths: Paths,
  chunks: AsyncIterable<LogEnd>,
): Promise<boolean> {
  let before = "";
  for await (const { bytes } of chunks) {
    const text = before + toLatin1(bytes);
    const found = SWITCH.exec(text);
    if (found !== null) return found[1] === "l";
    before = text.slice(-OVERLAP_LENGTH);
  }
  return terminalStatusAt(paths, false)?.alternate ?? false;
}
