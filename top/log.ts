/**
 * The end of a session's log as lines of text, then what is added to it.
 *
 * Its cost is bounded, whatever the session puts out: of a flood, only the end is read, again and
 * again. What goes wrong becomes a line.
 *
 * @module
 */
import { checkNoLoop, ownSession } from "../client/loops.ts";
import type { LogStream } from "../client/logs.ts";
import { followPlainLog } from "../client/plain_log.ts";
import { messageOf, SessionError } from "../errors.ts";
import { plainText } from "../screen/clean_text.ts";
import { pathsFor, type RootOptions } from "../store.ts";
import { sleep, startTimer } from "../system/async.ts";
import type { Row } from "../views/row.ts";

/** A log begins with its last so many lines. */
const TAIL_LINES = 2000;
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

/**
 * Checks that this program isn't shown on the terminal of a session.
 *
 * @throws {SessionError} `unsupported`.
 */
export function checkIsElsewhere(id: string, root?: string): void {
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

/** An error as a line of text. */
export function lineOf(error: unknown): string {
  return plainText(messageOf(error).replaceAll("\n", " "), MAX_LINE_LENGTH);
}

/** What has to be known of a session to follow it. */
export type Followed = Pick<Row, "id" | "born" | "isTerminal">;

/** Options of {@linkcode followLog}. */
export interface FollowLogOptions extends RootOptions {
  /**
   * Begins with the last so many lines, as far as they are in the last 100 bytes for each.
   *
   * @default {2000}
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
  row: Followed,
  options: FollowLogOptions,
): Promise<void> {
  const { root, tailLines = TAIL_LINES, signal, onLines } = options;
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
      batch.push("stdout", lineOf(error));
    }
  };
  try {
    if (row.isTerminal) checkIsElsewhere(row.id, root);
  } catch (error) {
    return onLines([lineOf(error)]);
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
