/**
 * `conversation.json`: the conversation that a session's agent was last seen to have.
 *
 * Whoever has seen it for certain writes it: the creator, which has chosen the id; the relay; a
 * command that has looked. Any program of the session may have put something else in its place.
 * So each field is checked when it is read: the id becomes an argument of the agent.
 *
 * @module
 */
import { plainText } from "../screen/clean_text.ts";
import { isAbsolute } from "../std.ts";
import type { Paths } from "../store.ts";
import { readJsonFile, writeAtomic } from "../system/files.ts";

/** The largest `conversation.json`, in bytes. */
const MAX_BYTES = 16 * 1024;

/** How a conversation is known, see {@linkcode ConversationRecord}. */
const WAYS = ["process", "arguments", "output"] as const;

/** A conversation, as a session's directory records it. */
export interface ConversationRecord {
  /** The agent's name, which this version may not know. */
  readonly agent: string;
  /** Its id, with which the agent goes on: letters, digits, `_` and `-`. */
  readonly id: string;
  /** The agent's folder, absolute; `null` if it isn't known. */
  readonly home: string | null;
  /**
   * How it is known: by the process that was having it, by the arguments of the command, or by the
   * agent's own output.
   */
  readonly how: typeof WAYS[number];
  /** When it was seen: RFC 3339, UTC. */
  readonly at: string;
}

/**
 * Writes which conversation was seen, unless that is known already. Tells whether it was written.
 *
 * @throws {Deno.errors} if the file can't be written.
 */
export function writeConversation(
  paths: Pick<Paths, "conversation">,
  seen: Omit<ConversationRecord, "at">,
  at: Date = new Date(),
): boolean {
  const known = readConversation(paths);
  const isKnown = known?.agent === seen.agent && known.id === seen.id &&
    known.home === seen.home && known.how === seen.how;
  if (isKnown) return false;
  const { agent, id, home, how } = seen;
  const record = { agent, id, home, how, at: at.toISOString() };
  writeAtomic(paths.conversation, JSON.stringify(record) + "\n");
  return true;
}

/** Reads which conversation was seen; `undefined` if none was, or the file is malformed. */
export function readConversation(
  paths: Pick<Paths, "conversation">,
): ConversationRecord | undefined {
  const value = readJsonFile(paths.conversation, MAX_BYTES);
  if (typeof value !== "object" || value === null) return undefined;
  const { agent, id, home = null, how, at } = value as Record<string, unknown>;
  const way = WAYS.find((one) => one === how);
  const isOk = isText(agent) && /^[a-z][a-z0-9-]{0,31}$/.test(agent) &&
    isText(id) && /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(id) &&
    isText(at) && /^\d{4}-\d\d-\d\dT[\d:.]{8,16}Z$/.test(at) &&
    !Number.isNaN(Date.parse(at)) && way !== undefined;
  if (!isOk) return undefined;
  if (home !== null && !isFolder(home)) return undefined;
  return { agent, id, home, how: way, at };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isFolder(value: unknown): value is string {
  return isText(value) && isAbsolute(value) && plainText(value) === value;
}
