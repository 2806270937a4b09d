/**
 * What a session answers: everything since a moment before the input was sent, until a
 * condition is true. `send --for` prints it.
 *
 * Lines and bytes of a pipe's program are its two streams, each on its own. A terminal's
 * program draws: what it has written since is played on the screen as it was, and its answer
 * are the lines that were not there.
 *
 * @module
 */
import {
  type Condition,
  type Found,
  timedOut,
  waitFor,
} from "../client/wait.ts";
import { SessionError } from "../errors.ts";
import {
  followStreams,
  type LogCursor,
  readLogCursor,
} from "../client/logs.ts";
import { harmlessJson } from "./format.ts";
import type { Io } from "./io.ts";
import { factsOf, statusOfEnd } from "./wait.ts";
import type { ReadPlainLogOptions } from "../client/plain_log.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { pathsFor } from "../store.ts";
import { abortable, startTimer } from "../system/async.ts";

/** A terminal's last output is played, at most this much of it. */
const MAX_REPLAY_BYTES = 16 * 1024 * 1024;
/** It is played so long in any case, also if the time is up: what came until then is printed. */
const LEAST_REPLAY_MS = 1000;
/** The last lines of an answer are kept, so many UTF-16 units. */
const MAX_ANSWER_LENGTH = 16 * 1024 * 1024;
/** What a line costs beside its text. */
const LINE_COST = 50;
/** How long a terminal must be silent to have been drawn, and how long that is waited for. */
const QUIET_MS = 100;
const SETTLE_MS = 1000;
/** So often a screen is read, until nothing is written meanwhile. */
const MOST_LOOKS = 20;

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
  const deadline = performance.now() + timeoutMs;
  // The error, or that the time is up.
  const reason = async (error: unknown) =>
    late.signal.aborted ? await tooLate(id, isTerminal, timeoutMs) : error;
  const { since, answer } = isTerminal
    ? await newOnScreen(id, deadline, late.signal).catch(async (error) => {
      throw await reason(error);
    })
    : newInStreams(id);
  let sent = false;
  let found: Found | undefined;
  let failure: unknown;
  try {
    await abortable(send(late.signal), late.signal);
    sent = true;
    found = await waitFor(id, condition, { since, signal: late.signal });
    if (isTerminal) await settle(id, condition);
  } catch (error) {
    failure = await reason(error);
  }
  // Where nothing could be sent, there is no answer; but a part may have been sent in time.
  if (sent || late.signal.aborted) {
    await answer.print(io, { id, sent, ...found && factsOf(found) });
  }
  if (found === undefined) throw failure;
  return statusOfEnd(id, found);
}

/** The error for what has not happened in time; a terminal's relay may be suspended. */
async function tooLate(
  id: string,
  isTerminal: boolean,
  timeoutMs: number,
): Promise<SessionError> {
  if (!isTerminal) return timedOut(id, timeoutMs);
  const { suspendedHint } = await import("../relay/connection.ts");
  return timedOut(id, timeoutMs, { hint: suspendedHint(pathsFor(id)) });
}

/** A program tells what it is doing a moment before it draws that. */
async function settle(id: string, { for: asked }: Condition): Promise<void> {
  if (asked !== "status" && asked !== "turn") return;
  try {
    const idle = { for: "idle", idleMs: QUIET_MS } as const;
    await waitFor(id, idle, { timeoutMs: SETTLE_MS });
  } catch (error) {
    // It goes on drawing, or has ended.
    if (!(error instanceof SessionError)) throw error;
  }
}

/** A starting point, and what comes since. */
interface Beginning {
  readonly since: LogCursor;
  readonly answer: Answer;
}

/** Prints what is new, or JSON with these facts. */
interface Answer {
  readonly print: (io: Io, facts: object) => Promise<void>;
}

/** The output of both streams. The logs are opened now: `--rm` may delete them. */
function newInStreams(id: string): Beginning {
  const since = readLogCursor(id);
  const leave = new AbortController();
  const chunks = followStreams(pathsFor(id), ["stdout", "stderr"], {
    since,
    leave: leave.signal,
  });
  const first = chunks.next();
  first.catch(() => {}); // Reported by print().
  const answer: Answer = {
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
  return { since, answer };
}

/** The lines of a terminal that are not there now; they are put together until `deadline`. */
async function newOnScreen(
  id: string,
  deadline: number,
  signal: AbortSignal,
): Promise<Beginning> {
  const { readScreen } = await import("../client/terminal.ts");
  const look = () => readScreen(id, { ansi: true, signal });
  // A screen that shows output behind the starting point would get it twice.
  let since = readLogCursor(id);
  let before = await look();
  for (let looks = 1; looks < MOST_LOOKS; looks++) {
    const now = readLogCursor(id);
    if (now.stdout?.offset === since.stdout?.offset) break;
    since = now;
    before = await look();
  }
  const answer: Answer = {
    async print(io, facts) {
      const after = await readScreen(id, { ansi: true }).catch((error) => {
        if (!(error instanceof SessionError)) throw error;
        if (error.code === "timeout") note(io, error.message);
        else note(io, `The screen of session "${id}" is gone with it`);
      });
      const workMs = Math.max(LEAST_REPLAY_MS, deadline - performance.now());
      const play = async () =>
        await played(id, { since, screen: before, workMs }, io);
      const lines = after ? await linesBetween(before, after, play, io) : [];
      if (io.json) io.out(harmlessJson({ ...facts, lines }) + "\n");
      else for (const line of lines) io.out(`${line}\n`);
    },
  };
  return { since, answer };
}

/** What was written since, as lines; the last ones, if they are too many. */
async function played(
  id: string,
  options: ReadPlainLogOptions,
  io: Io,
): Promise<string[]> {
  const { FULL_SCREEN, readPlainLog } = await import("../client/plain_log.ts");
  const lines: string[] = [];
  let first = 0;
  let length = 0;
  const all = readPlainLog(id, {
    ...options,
    maxBytes: MAX_REPLAY_BYTES,
    // Of what is still on the screen, nothing is put together.
    onNotice: (message) => {
      if (message !== FULL_SCREEN) note(io, message);
    },
  });
  for await (const line of all) {
    length += line.length + LINE_COST;
    lines.push(line);
    while (length > MAX_ANSWER_LENGTH) {
      length -= lines[first]!.length + LINE_COST;
      lines[first++] = "";
    }
  }
  if (first > 0) {
    note(
      io,
      `These are the last lines; print all with: codex-session logs --plain ${id}`,
    );
  }
  return lines.slice(first);
}

/** The lines of a terminal that are new since a moment `before`. */
async function linesBetween(
  before: ScreenText,
  after: ScreenText,
  play: () => Promise<string[]>,
  io: Io,
): Promise<string[]> {
  if (!before.alternate && !after.alternate) return await play();
  const { FULL_SCREEN } = await import("../client/plain_log.ts");
  const { newLines } = await import("../screen/new_lines.ts");
  const { unstyledText } = await import("../screen/clean_text.ts");
  const earlier = before.lines.map(unstyledText);
  const shown = after.lines.map(unstyledText);
  const drawn = await play();
  const known = new Set(["", ...drawn.map((line) => line.trimEnd())]);
  let lines = before.alternate ? newLines(earlier, drawn) : drawn;
  if (
    after.alternate && !shown.every((line) => known.has(line.trimEnd()))
  ) {
    // It was drawn in a way that only the relay knows.
    note(
      io,
      "Only what is on the screen now is shown: its frames don't lead to it",
    );
    lines = newLines(earlier, shown);
  } else if (lines.length > after.rows / 2) note(io, FULL_SCREEN);
  // Between its parts a full-screen program leaves room of any size.
  return lines.filter((line, at) => line !== "" || lines[at - 1] !== "");
}

function note(io: Io, text: string): void {
  io.err(`codex-session: ${text}\n`);
}

function noScreen(id: string): SessionError {
  const message =
    `Cannot read the screen of session "${id}": it is not a terminal session; start one with run -t`;
  return new SessionError("unsupported", message, { id });
}
