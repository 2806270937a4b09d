/**
 * What a session answers: everything since a moment before the input was sent, until a
 * condition is true. `send --for` prints it.
 *
 * Lines and bytes of a pipe's program are its two streams, each on its own. A terminal's
 * program draws: its answer are the lines of the screen, and of what scrolled off it, that
 * were not there before.
 *
 * @module
 */
import type { Condition, Found } from "../client/wait.ts";
import { SessionError } from "../errors.ts";
import {
  followStreams,
  type LogCursor,
  readLogCursor,
} from "../client/logs.ts";
import { harmlessJson } from "./format.ts";
import { type Io, OK, unknownEnding } from "./io.ts";
import { factsOf } from "./wait.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { exitStatus, pathsFor } from "../store.ts";
import { abortable, startTimer } from "../system/async.ts";

/** A full-screen program's last output is played, at most this much of it. */
const MAX_REPLAY_BYTES = 16 * 1024 * 1024;

/** An exchange with a session. */
export interface Exchange {
  readonly id: string;
  readonly isTerminal: boolean;
  /** Sends the input; called once the starting point is taken. */
  readonly send: (signal: AbortSignal) => Promise<void>;
  readonly condition: Condition;
  /** Bounds all of it, in milliseconds. */
  readonly timeoutMs: number | undefined;
}

/** Sends, waits, and prints what came since, also if the waiting fails. Returns the exit status. */
export async function exchange(
  { id, isTerminal, send, condition, timeoutMs = Infinity }: Exchange,
  io: Io,
): Promise<number> {
  if (condition.for === "screen" && !isTerminal) throw noScreen(id);
  const late = new AbortController();
  using _ = startTimer(timeoutMs, () => late.abort());
  const since = readLogCursor(id);
  const answer = isTerminal
    ? await newOnScreen(id, since)
    : newInStreams(id, since);
  let sent = false;
  let found: Found | undefined;
  let failure: unknown;
  try {
    await abortable(send(late.signal), late.signal);
    sent = true;
    const { waitFor } = await import("../client/wait.ts");
    found = await waitFor(id, condition, { since, signal: late.signal });
  } catch (error) {
    failure = late.signal.aborted ? timedOut(id, timeoutMs) : error;
  }
  // Where nothing could be sent, there is no answer; but a part may have been sent in time.
  if (sent || late.signal.aborted) {
    await answer.print(io, { id, sent, ...found && factsOf(found) });
  }
  if (found === undefined) throw failure;
  if (found.for !== "exit") return OK;
  if (found.state.state !== "exited") throw unknownEnding(id, found.state);
  return exitStatus(found.state.ending);
}

/** Prints what is new, or JSON with these facts. */
interface Answer {
  readonly print: (io: Io, facts: object) => Promise<void>;
}

/** The output of both streams. The logs are opened now: `--rm` may delete them. */
function newInStreams(id: string, since: LogCursor): Answer {
  const leave = new AbortController();
  const chunks = followStreams(pathsFor(id), ["stdout", "stderr"], {
    since,
    leave: leave.signal,
  });
  const first = chunks.next();
  first.catch(() => {}); // Reported by print().
  return {
    async print(io, facts) {
      leave.abort();
      const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
      const texts = { stdout: "", stderr: "" };
      for (let next = await first; !next.done; next = await chunks.next()) {
        const { stream, bytes } = next.value;
        if (io.json) {
          texts[stream] += decoders[stream].decode(bytes, { stream: true });
        } else if (stream === "stderr") io.err(bytes);
        else io.out(bytes);
      }
      if (io.json) io.out(harmlessJson({ ...facts, ...texts }) + "\n");
    },
  };
}

/** The lines of a terminal that are not there now. */
async function newOnScreen(id: string, since: LogCursor): Promise<Answer> {
  const { readScreen } = await import("../client/terminal.ts");
  const { SCROLLBACK } = await import("../screen/screen_text.ts");
  const look = () => readScreen(id, { ansi: true, scrollback: SCROLLBACK });
  const before = await look();
  return {
    async print(io, facts) {
      const after = await look().catch((error) => {
        if (!(error instanceof SessionError)) throw error;
        note(io, `The screen of session "${id}" is gone with it`);
        return before;
      });
      const lines = await linesBetween(id, since, { before, after });
      if (io.json) io.out(harmlessJson({ ...facts, lines }) + "\n");
      else io.out(lines.map((line) => `${line}\n`).join(""));
      if (after.alternate && isLong(lines, after)) {
        note(
          io,
          "What has left a full-screen program's screen is put together from its frames; lines may be missing or appear twice",
        );
      } else if (lines.length >= SCROLLBACK) {
        note(
          io,
          `These are the last lines; print all with: codex-session logs --plain ${id}`,
        );
      }
    },
  };
}

/** Tells whether more may have been on a full-screen program's screen than is on it now. */
function isLong(lines: readonly string[], { rows }: ScreenText): boolean {
  return lines.length > rows / 2;
}

/** The lines of a terminal that are new since a moment `before`. */
async function linesBetween(
  id: string,
  since: LogCursor,
  { before, after }: {
    readonly before: ScreenText;
    readonly after: ScreenText;
  },
): Promise<string[]> {
  const { newLines } = await import("../screen/new_lines.ts");
  const { unstyledText } = await import("../screen/clean_text.ts");
  const earlier = before.lines.map(unstyledText);
  const shown = after.lines.map(unstyledText);
  if (after === before || !after.alternate) return newLines(earlier, shown);
  let lines = newLines(earlier, shown);
  if (before.alternate && isLong(lines, after)) {
    const { readPlainLog } = await import("../client/plain_log.ts");
    const options = { since, screen: before, maxBytes: MAX_REPLAY_BYTES };
    const drawn = await Array.fromAsync(readPlainLog(id, options));
    // Not if the screen is another one: it was drawn in a way that only the relay knows.
    if (newLines(drawn, shown).length === 0) {
      lines = newLines(earlier.slice(before.scrollback), drawn);
    }
  }
  // Between its parts a full-screen program leaves room of any size.
  return lines.filter((line, at) => line !== "" || lines[at - 1] !== "");
}

function note(io: Io, text: string): void {
  io.err(`codex-session: ${text}\n`);
}

function timedOut(id: string, timeoutMs: number): SessionError {
  const message = `Timed out after ${timeoutMs} ms waiting for session "${id}"`;
  return new SessionError("timeout", message, { id });
}

function noScreen(id: string): SessionError {
  const message =
    `Cannot read the screen of session "${id}": it is not a terminal session; start one with run -t`;
  return new SessionError("unsupported", message, { id });
}
