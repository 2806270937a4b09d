/**
 * What to do where a session itself can't go on: errors that name `resume` or `restart`.
 *
 * Apart from hints.ts, which every call loads: this needs the agents and the sessions.
 *
 * @module
 */
import type { FinalState } from "../client/watch.ts";
import { SessionError } from "../errors.ts";
import { agentOf, recordedConversation } from "../events/conversation.ts";
import { withHint } from "./hints.ts";
import { getSession } from "../session/find.ts";
import {
  describeState,
  isLive,
  KINDS,
  type Paths,
  pathsFor,
} from "../store.ts";

/** The error for an agent whose ending is unknown. */
export function unknownEnding(id: string, state: FinalState): SessionError {
  const why = describeState(state);
  const message = `Cannot tell how the agent of session "${id}" ended: ${why}`;
  const error = new SessionError("wrong_state", message, { id });
  return state.state === "lost"
    ? withHint(error, goingOn(pathsFor(id)))
    : error;
}

/** The error of `send`, with how to ask an agent that takes no input any more, or never did. */
export async function withResume(error: unknown, id: string): Promise<unknown> {
  if (!(error instanceof SessionError) || error.code !== "wrong_state") {
    return error;
  }
  const session = await getSession(id).catch(() => undefined);
  if (!session?.meta) return error;
  const { meta, paths, state } = session;
  const agent = recordedConversation(paths)?.agent ?? agentOf(meta);
  if (!agent?.commands[meta.kind]?.resume(id, "TEXT")) return error;
  const takesInput = KINDS[meta.kind].accepts.length > 0;
  if (isLive(state) && takesInput) return error;
  const when = isLive(state) ? "once it has ended, go on" : "to go on";
  return withHint(error, `${when}: codex-session resume ${id} 'TEXT'`);
}

/** What to do about a session that is lost. */
function goingOn(paths: Paths): string {
  return recordedConversation(paths) === undefined
    ? `to run its command again: codex-session restart ${paths.id}`
    : `to go on: codex-session resume ${paths.id}`;
}
