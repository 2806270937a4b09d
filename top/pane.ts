/**
 * What the selected session shows: the live screen of a terminal, the end of the log of
 * any other, as lines that are cut to the room for them.
 *
 * At most one session is followed at a time, over one connection: the one before is left as soon as
 * another one is selected, and that one is followed once the selection rests. So to scroll
 * through hundreds of sessions connects to few of them. Nobody notices the following: it attaches
 * to nothing, and is no event.
 *
 * Bounded: so many screens a second, so many lines; of a flood of output only its end. What goes wrong
 * becomes text. No byte of output gets through but what the emulator has drawn; see styled.ts.
 *
 * A terminal on which this program itself is shown is not shown: each picture would
 * change the next one.
 *
 * @module
 */
import { followScreen } from "../client/follow_screen.ts";
import { checkNoLoop, ownSession } from "../client/loops.ts";
import type { LogStream } from "../client/logs.ts";
import { followPlainLog } from "../client/plain_log.ts";
import { messageOf, SessionError } from "../errors.ts";
import { plainText } from "../screen/clean_text.ts";
import { viewStart } from "../screen/crop.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { pathsFor, type RootOptions } from "../store.ts";
import { sleep, startTimer } from "../system/async.ts";
import type { Row } from "../views/row.ts";
import type { Size } from "./frame.ts";
import { cutStyled } from "./styled.ts";

/** Lines of a log that a pane keeps; hardly any terminal has more rows. */
const KEPT_LINES = 300;
/** A selection that moves rests after so long, in milliseconds. */
const REST_MS = 100;
/** A selection that has rested for so long does not move, in milliseconds. */
const MOVE_MS = 400;
/** A terminal that doesn't answer is asked again after so long, in milliseconds. */
const RETRY_MS = 5000;
/** Lines of a log are given together, so often, in milliseconds. */
const BATCH_MS = 50;
/** The last lines of a log are searched in so many bytes for each. */
const TAIL_LINE_BYTES = 100;
/** No line of a log is longer, in UTF-16 units. */
const MAX_LINE_LENGTH = 20_000;
/** What a line of a log costs, apart from its length. */
const LINE_COST = 16;
/** Output that costs more than this in a second is a flood: nobody reads as much. */
const FLOOD_RATE = 256 * 1024;
/** After a flood, the end of the log is read again after so long, in milliseconds. */
const FLOOD_MS = 1000;
const SKIPPED = "… (output was skipped: there was too much of it)";

/** Options of {@linkcode Pane}. */
export interface PaneOptions extends RootOptions {
  /** Takes what is shown from now on: plain or styled lines, no more and no wider than there is room for. */
  readonly onLines: (lines: readonly string[]) => void;
}

/** What one session after another shows. */
export class Pane implements AsyncDisposable {
  readonly #options: PaneOptions;
  #row: Row | undefined;
  #size: Size = { columns: 0, rows: 0 };
  /** The lines that fit into a size; they can be asked for again. */
  #linesIn: (size: Size) => readonly string[] = () => [];
  /** When another session was selected. */
  #selectedAt = -Infinity;
  #restMs = 0;
  /** Following the session has failed. */
  #hasFailed = false;
  /** Leaves the session that is followed. */
  #leave = new AbortController();
  #running: Promise<void> | undefined;

  /** A pane that shows nothing yet. */
  constructor(options: PaneOptions) {
    this.#options = options;
  }

  /**
   * Shows a session, or none, in this size from now on. To call it again costs nothing: do so
   * whenever the row has changed.
   */
  show(row: Row | undefined, size: Size): void {
    const before = this.#row;
    const isSame = row?.id === before?.id && row?.born === before?.born &&
      row?.isTerminal === before?.isTerminal;
    const isSameSize = size.columns === this.#size.columns &&
      size.rows === this.#size.rows;
    this.#row = row;
    this.#size = size;
    if (!isSame) this.#select();
    // What has failed may work once something has changed.
    else if (this.#hasFailed && row !== before) this.#follow();
    else if (!isSameSize) this.#show();
  }

  /** Leaves the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#row = undefined;
    this.#leave.abort();
    await this.#running;
  }

  #select(): void {
    const now = performance.now();
    this.#restMs = now - this.#selectedAt < MOVE_MS ? REST_MS : 0;
    this.#selectedAt = now;
    this.#show(() => []);
    this.#follow();
  }

  #show(linesIn = this.#linesIn): void {
    this.#linesIn = linesIn;
    this.#options.onLines(linesIn(this.#size));
  }

  /** Follows the selected session once the one before is left. */
  #follow(): void {
    this.#hasFailed = false;
    this.#leave.abort();
    this.#leave = new AbortController();
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async #run(): Promise<void> {
    let signal: AbortSignal;
    do {
      signal = this.#leave.signal;
      try {
        await sleep(this.#restMs, signal);
        if (this.#row !== undefined) await this.#view(this.#row, signal);
      } catch (error) {
        if (signal.aborted) continue;
        this.#hasFailed = true;
        this.#say(describe(error));
      }
    } while (signal !== this.#leave.signal);
  }

  /** Shows a session until it is over or left. */
  async #view(row: Row, signal: AbortSignal): Promise<void> {
    const { root } = this.#options;
    if (!row.isTerminal) {
      let kept: string[] = [];
      const onLines = (lines: readonly string[]) => {
        kept = [...kept, ...lines].slice(-KEPT_LINES);
        this.#show((size) => endOf(kept, size));
      };
      return await followLog(row, { root, signal, onLines });
    }
    for (;;) {
      try {
        return await this.#viewScreen(row.id, signal);
      } catch (error) {
        if (!isTimeout(error)) throw error;
        this.#say(describe(error));
      }
      await sleep(RETRY_MS, signal);
    }
  }

  async #viewScreen(id: string, signal: AbortSignal): Promise<void> {
    const { root } = this.#options;
    checkIsElsewhere(id, root);
    for await (const screen of followScreen(id, { root, ansi: true, signal })) {
      signal.throwIfAborted();
      checkIsElsewhere(id, root); // Somebody may have attached meanwhile.
      this.#show((size) => partOf(screen, size));
    }
  }

  #say(text: string): void {
    this.#show((size) => endOf([text], size));
  }
}

/** The part of a screen around its cursor, or the end of its text if the cursor is hidden. */
function partOf(screen: ScreenText, { columns, rows }: Size): string[] {
  const { lines, cursor } = screen;
  const last = lines.findLastIndex((line) => line !== "");
  const at = cursor.visible ? cursor.row : last;
  const top = viewStart(at, Math.max(at, last) + 1, rows);
  const left = cursor.visible
    ? viewStart(cursor.column, screen.columns, columns)
    : 0;
  return lines.slice(top, top + rows)
    .map((line) => cutStyled(line, columns, left));
}

/** The last of some lines of plain text. */
function endOf(lines: readonly string[], { columns, rows }: Size): string[] {
  return rows === 0
    ? []
    : lines.slice(-rows).map((line) => cutStyled(line, columns));
}

function isTimeout(error: unknown): boolean {
  return error instanceof SessionError && error.code === "timeout";
}

function describe(error: unknown): string {
  return plainText(messageOf(error).replaceAll("\n", " "), MAX_LINE_LENGTH);
}

/**
 * Checks that this program isn't shown on the terminal of a session.
 *
 * @throws {SessionError} `unsupported`.
 */
function checkIsElsewhere(id: string, root: string | undefined): void {
  const paths = pathsFor(id, { root });
  try {
    checkNoLoop(paths);
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    throw new SessionError(
      "unsupported",
      ownSession() === paths.dir
        ? "This dashboard runs in this session, so its screen is not shown here"
        : "This dashboard is shown on the terminal of this session, so its screen is not shown here",
      { id, cause: error },
    );
  }
}

/** Options of {@linkcode followLog}. */
export interface FollowLogOptions extends RootOptions {
  /**
   * Begins with the last so many lines, as far as they are in the last 100 bytes for each.
   *
   * @default {300}
   */
  readonly tailLines?: number;
  /** Ends the following; no error. */
  readonly signal: AbortSignal;
  /** Takes more lines of plain text. */
  readonly onLines: (lines: readonly string[]) => void;
}

/**
 * Gives the end of what a session has put out, then what it puts out from now on, until it has
 * ended. Lines of both streams are in the order in which they have come, as far as that is known. Of
 * a flood, some are left out; a line says so. An error becomes a line of text, too.
 */
export async function followLog(
  row: Row,
  options: FollowLogOptions,
): Promise<void> {
  const { root, tailLines = KEPT_LINES, signal, onLines } = options;
  const failed = new AbortController();
  using batch = new Batch((lines) => signal.aborted || onLines(lines));
  const follow = async (stream: LogStream) => {
    const any = AbortSignal.any([signal, failed.signal]);
    try {
      const one = { root, stream, tailLines, signal: any };
      await followStream(row.id, one, batch);
    } catch (error) {
      if (any.aborted) return;
      failed.abort();
      batch.push("stdout", describe(error));
    }
  };
  try {
    if (row.isTerminal) checkIsElsewhere(row.id, root);
  } catch (error) {
    return onLines([describe(error)]);
  }
  const streams: LogStream[] = row.isTerminal
    ? ["stdout"]
    : ["stderr", "stdout"];
  await Promise.all(streams.map(follow));
  batch.flush();
}

interface StreamOptions extends RootOptions {
  readonly stream: LogStream;
  readonly tailLines: number;
  readonly signal: AbortSignal;
}

async function followStream(
  id: string,
  options: StreamOptions,
  batch: Batch,
): Promise<void> {
  const { stream, tailLines, signal } = options;
  const maxBytes = tailLines * TAIL_LINE_BYTES;
  const most = 2 * maxBytes + tailLines * LINE_COST;
  for (;;) {
    let isFlood = false;
    let left = most;
    let since = performance.now();
    for await (const line of followPlainLog(id, { ...options, maxBytes })) {
      const now = performance.now();
      left = Math.min(most, left + (now - since) * FLOOD_RATE / 1000);
      left -= line.length + LINE_COST;
      since = now;
      isFlood = left < 0;
      if (isFlood) break;
      batch.push(stream, line);
    }
    if (!isFlood) return;
    batch.push(stream, SKIPPED);
    await sleep(FLOOD_MS, signal);
  }
}

/** Lines that are given together. Those of one stream are not torn apart by the other. */
class Batch implements Disposable {
  readonly #onLines: (lines: readonly string[]) => unknown;
  // Errors before results: so it is with agents that tell what they do, and with most programs.
  #lines: Record<LogStream, string[]> = { stderr: [], stdout: [] };
  #timer: Disposable | undefined;

  constructor(onLines: (lines: readonly string[]) => unknown) {
    this.#onLines = onLines;
  }

  push(stream: LogStream, line: string): void {
    const isLong = line.length > MAX_LINE_LENGTH;
    this.#lines[stream].push(isLong ? plainText(line, MAX_LINE_LENGTH) : line);
    this.#timer ??= startTimer(BATCH_MS, () => this.flush());
  }

  flush(): void {
    this[Symbol.dispose]();
    const { stderr, stdout } = this.#lines;
    this.#lines = { stderr: [], stdout: [] };
    if (stderr.length + stdout.length > 0) {
      this.#onLines([...stderr, ...stdout]);
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
