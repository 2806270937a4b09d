/**
 * The command that prints what an agent has said: `answer`.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { harmlessJson } from "./format.ts";
import { type Handler, type Io, OK, onlyOperand, reportError } from "./io.ts";
import { describeTurn, readAnswer, type SessionAnswer } from "../run/answer.ts";
import { plainText } from "../screen/clean_text.ts";
import { resolveSelector } from "../session/find.ts";

/** `answer`: the last message of a session's agent. */
export const answer: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "a session"));
  return printAnswer(await readAnswer(id), io);
};

/** Prints an answer, and says if it isn't that of the last turn. Returns the exit status. */
export function printAnswer(said: SessionAnswer, io: Io): number {
  const { id, text, lastTurn } = said;
  if (io.json) io.out(harmlessJson(said) + "\n");
  else io.out(textFor(io, text));
  const { state } = lastTurn;
  if (state === "done") return OK;
  const why = describeTurn(lastTurn);
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
