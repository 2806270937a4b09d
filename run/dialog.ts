/**
 * A dialog that typed text could answer: an agent that waits for a permission takes the Enter
 * behind the text for a yes.
 *
 * Ask after `waitUntilReady()`: an agent that has just started has told nothing yet.
 *
 * @module
 */
import { agentOf } from "../events/conversation.ts";
import { needOf, statusOf } from "../events/status.ts";
import { readTold } from "../events/status_file.ts";
import { type Session, sessionAt } from "../session/find.ts";
import { isLive } from "../store.ts";

/** A dialog on the screen of a terminal session. */
export interface Dialog {
  /** Whether the agent has told of it; otherwise there may be none. */
  readonly isTold: boolean;
  /** What it is, and what Enter would do, for messages: `it is blocked: …, and Enter …`. */
  readonly why: string;
}

/**
 * The dialog that text would answer; `undefined` if there is none. A question is none: text
 * answers it. Nor is what `report` tells. While Codex asks whether to trust a folder, it tells
 * nothing.
 *
 * @throws {SessionError} `not_found`.
 */
export function dialogOf(
  { paths }: Pick<Session, "paths">,
): Dialog | undefined {
  const session = sessionAt(paths);
  const status = statusOf(session);
  if (status?.source === "report") return undefined;
  // A suspended program has no status, but takes the text when it goes on.
  const records = status?.records ?? readTold(paths)?.records ?? [];
  const agent = agentOf(session.meta);
  const isSilent = status === null && records.length === 0;
  if (isSilent && agent?.tellsTerminal && isLive(session.state)) {
    const why =
      `${agent.name} has not told yet what it is doing, and may show a dialog, which Enter would answer`;
    return { isTold: false, why };
  }
  const need = [...status === null ? [] : [status], ...records]
    .find(({ value, kind }) => value === "blocked" && kind !== "question");
  if (need === undefined) return undefined;
  const why = `it is blocked: ${needOf(need)}, and Enter may approve that`;
  return { isTold: true, why };
}
