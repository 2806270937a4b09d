/**
 * The log of a session as lines, to be read in full: its last lines, then what comes.
 *
 * @module
 */
import { harmless } from "../cli/format.ts";
import type { LogStream } from "../client/logs.ts";
import { checkNoEcho } from "../client/loops.ts";
import { followPlainLog } from "../client/plain_log.ts";
import { messageOf } from "../errors.ts";
import { pathsFor } from "../store.ts";
import type { Row } from "../views/row.ts";

/** So many of the lines that were there already; they are in the last 2 MiB. */
const TAIL_LINES = 2000;
/** Lines are given together, at most so often, in milliseconds. */
const EVERY_MS = 50;
/** More lines than these at a time are left out: nobody scrolls that far. */
const MOST_LINES = 10_000;

/** How a log is followed. */
export interface FollowLogOptions {
  readonly root: string;
  /** Ends the following. */
  readonly signal: AbortSignal;
  /** Takes the next lines: harmless text. */
  readonly onLines: (lines: readonly string[]) => void;
}

/** Follows the log of a session until it ends. An error becomes a line. */
export async function followLog(
  { id, isTerminal }: Row,
  { root, signal, onLines }: FollowLogOptions,
): Promise<void> {
  const streams: readonly LogStream[] = isTerminal
    ? ["stdout"]
    : ["stdout", "stderr"];
  let lines: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const give = () => {
    timer = undefined;
    onLines(lines.splice(0));
  };
  const add = (line: string) => {
    lines.push(line);
    if (lines.length > 2 * MOST_LINES) lines = lines.slice(-MOST_LINES);
    timer ??= setTimeout(give, EVERY_MS);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  try {
    checkNoEcho(pathsFor(id, { root }), streams, isTerminal);
    await Promise.all(streams.map(async (stream) => {
      const options = { root, stream, signal, tailLines: TAIL_LINES };
      for await (const line of followPlainLog(id, options)) add(line);
    }));
  } catch (error) {
    if (!signal.aborted) add(harmless(messageOf(error)));
  }
}
