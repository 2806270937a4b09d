/**
 * What an agent says, as it records it: the command `answer`, and `send --for turn --answer`.
 *
 * @module
 */
import { readLogCursor } from "../client/logs.ts";
import { timedOut, waitFor } from "../client/wait.ts";
import { SessionError } from "../errors.ts";
import { harmlessJson } from "./format.ts";
import { type Handler, type Io, OK, onlyOperand, reportError } from "./io.ts";
import {
  describeTurn,
  markTurn,
  readAnswer,
  readTurnAnswer,
  type SessionAnswer,
} from "../run/answer.ts";
import { needOf } from "../events/status.ts";
import { blocked } from "./status.ts";
import { plainText } from "../screen/clean_text.ts";
import { readStatus } from "../session/inspect.ts";
import { resolveSelector } from "../session/find.ts";
import { abortable, startTimer } from "../system/async.ts";

/** `answer`: the last message of a session's agent. */
export const answer: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "a session"));
  try {
    return printAnswer(await readAnswer(id), io);
  } catch (error) {
    const isEarly = error instanceof SessionError && error.code === "no_answer";
    const status = isEarly ? readStatus(id) : null;
    if (status?.value !== "blocked") throw error;
    throw blocked(id, status, `No answer in session "${id}" yet`);
  }
};

/** A question to a session's agent. */
export interface Question {
  readonly id: string;
  /** Sends it. */
  readonly send: (signal: AbortSignal) => Promise<void>;
  /** Bounds all of it, in milliseconds. */
  readonly timeoutMs: number | undefined;
}

/** Sends, waits until the turn is over, and prints the answer of that turn. */
export async function ask(
  { id, send, timeoutMs = Infinity }: Question,
  io: Io,
): Promise<number> {
  const late = new AbortController();
  const { signal } = late;
  using _ = startTimer(timeoutMs, () => late.abort());
  // Before it is sent: an agent without a record is refused, and a quick one missed by nobody.
  const after = await markTurn(id);
  const since = readLogCursor(id);
  try {
    await abortable(send(signal), signal);
    const { status } = await waitFor(id, { for: "turn" }, { since, signal });
    if (status?.value === "blocked") {
      throw blocked(id, status, `No answer in session "${id}" yet`);
    }
    return printAnswer(await readTurnAnswer(id, { after, signal }), io);
  } catch (error) {
    throw signal.aborted ? timedOut(id, timeoutMs) : error;
  }
}

/** Prints an answer, and says if it isn't that of the last turn. Returns the exit status. */
function printAnswer(said: SessionAnswer, io: Io): number {
  const { id, text, lastTurn } = said;
  if (io.json) io.out(harmlessJson(said) + "\n");
  else io.out(textFor(io, text));
  const { state } = lastTurn;
  if (state === "done") return OK;
  const status = state === "working" ? readStatus(id) : null;
  const why = status?.value === "blocked"
    ? `its last turn is blocked: ${
      needOf(status)
    }; to attach: codex-session attach ${id}`
    : describeTurn(lastTurn).replace(/^its turn/, "its last turn");
  if (state === "failed") {
    const message = `This is an earlier answer of session "${id}": ${why}`;
    return reportError(new SessionError("turn_failed", message, { id }), io);
  }
  if (!io.json) {
    io.err(`codex-session: ${id}: this is an earlier answer: ${why}\n`);
  }
  return OK;
}

/** The text with a newline at its end; on a terminal without control characters. */
function textFor(io: Io, text: string): string {
  const lines = text.replace(/\n$/, "").split("\n");
  const shown = io.columns === undefined
    ? lines
    : lines.map((line) => plainText(line.replaceAll("\t", "    ")));
  return shown.join("\n") + "\n";
}
