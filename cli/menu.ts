/**
 * The menu of `attach` without a session: asks which of the running ones.
 *
 * @module
 */
import type { Io } from "./io.ts";
import { formatTable, harmless } from "./format.ts";
import { commandText } from "./list.ts";
import { SessionError } from "../errors.ts";
import type { Session } from "../session/find.ts";

/** A longer menu is no help. */
const MAX_LINES = 20;

/**
 * Asks which of the `live` sessions. Their numbers are those of `list`, where all `sessions` are.
 *
 * @throws {SessionError} `ambiguous` if there is no answer.
 */
export async function chooseSession(
  sessions: readonly Session[],
  live: readonly Session[],
  io: Io,
): Promise<Session> {
  const numbered = live.map((session) => ({
    session,
    number: String(sessions.indexOf(session)),
  }));
  const rows = numbered.slice(0, MAX_LINES).map(({ session, number }) => {
    const { id, meta } = session;
    return [number, id, meta?.kind ?? "-", commandText(session)];
  });
  const lines = formatTable(rows, [0], io.columns);
  io.err(lines.map((line) => `${line}\n`).join(""));
  const reader = io.stdin.getReader();
  try {
    for (;;) {
      io.err(`Attach to which session? [${numbered[0]!.number}] `);
      const answer = await readLine(reader);
      if (answer === undefined) break;
      if (answer === "") return numbered[0]!.session;
      const found = numbered.filter(({ session, number }) =>
        answer === number || answer === session.id
      );
      if (found[0] !== undefined) return found[0].session;
      io.err(`There is no "${harmless(answer)}" in the list\n`);
    }
  } finally {
    reader.releaseLock();
  }
  io.err("\n");
  throw new SessionError("ambiguous", "No session was chosen", {
    candidates: live.map(({ id }) => id),
  });
}

/** A line that the user types; `undefined` at the end of the input. */
async function readLine(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let line = "";
  while (!line.includes("\n")) {
    const { value } = await reader.read();
    if (value === undefined) return undefined;
    line += decoder.decode(value, { stream: true });
  }
  return line.slice(0, line.indexOf("\n")).trim();
}
