/**
 * Which conversation a session's agent is having, or had: from the first that knows it for certain,
 *
 * 1. the living process that is having it,
 * 2. what was seen of it earlier, `conversation.json`,
 * 3. the arguments of the command,
 * 4. what the agent itself has written at the beginning of its output.
 *
 * What is seen is recorded, since the processes and files that tell it go away.
 *
 * @module
 */
import type { Agent, Environment } from "../agents/agent.ts";
import { agentNamed } from "../agents/agents.ts";
import {
  findConversation,
  mayReadAgents,
  namedConversation,
} from "../agents/conversation.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import {
  type ConversationRecord,
  readConversation,
  writeConversation,
} from "./conversation_file.ts";
import { processesAt, type SessionProcess } from "../process/members.ts";
import { KINDS, type Meta, type Paths, type State } from "../store.ts";
import { sleep } from "../system/async.ts";
import { isGranted, statOptional } from "../system/files.ts";

/** What {@linkcode knownConversation} needs to know of a session. */
export interface Speaker {
  readonly paths: Paths;
  readonly meta: Meta | null;
  readonly state: State;
  /** Its living processes. @default {looked for} */
  readonly processes?: readonly SessionProcess[];
}

/** A conversation that is known for certain. */
export interface KnownConversation {
  /** The agent. */
  readonly agent: Agent;
  /** Its id, with which the agent goes on. */
  readonly id: string;
  /** The agent's folder; `undefined` if it isn't known. */
  readonly home: string | undefined;
  /** How it is known. */
  readonly how: ConversationRecord["how"];
}

/** The agent of a session, by the name of its program or as its creator has named it. */
export function agentOf(meta: Meta | null): Agent | undefined {
  return meta === null
    ? undefined
    : recognizeAgent(meta.argv)?.agent ?? agentNamed(meta.agent);
}

/**
 * The conversation of a session; `undefined` if it isn't known for certain. Records what it has
 * seen. Needs the permissions of `listProcesses()`, and `--allow-read` of the agent's folder.
 */
export function knownConversation(
  session: Speaker,
): KnownConversation | undefined {
  const { paths, state, meta, processes } = session;
  if (meta === null) return undefined;
  const living = state.state === "running"
    ? findConversation(processes ?? processesAt(paths))
    : undefined;
  if (living === undefined) {
    const recorded = recordedConversation(paths);
    if (recorded !== undefined) return recorded;
  }
  const seen = living ?? inArguments(meta) ?? inOutput(meta, paths);
  if (seen === undefined) return undefined;
  const { agent, id, home, how } = seen;
  recordSeen(paths, seen);
  return { agent, id, home, how };
}

/** Records a conversation that was seen, if it isn't recorded already. Never throws, nor asks. */
export function recordSeen(
  paths: Paths,
  { agent, id, home, how }: KnownConversation,
): void {
  if (!isGranted({ name: "write", path: paths.dir })) return;
  try {
    const record = { agent: agent.name, id, home: home ?? null, how };
    writeConversation(paths, record);
  } catch {
    // The session is gone, or the disk is full: it is known all the same.
  }
}

/**
 * The same where the permissions suffice, else what was seen earlier. Deno would ask for the
 * missing ones on a terminal.
 */
export function visibleConversation(
  session: Speaker,
): KnownConversation | undefined {
  return mayReadAgents()
    ? knownConversation(session)
    : recordedConversation(session.paths);
}

/** So often a conversation is looked for, and after this time again, in milliseconds. */
const LOOKS = 20;
const PAUSE_MS = 500;

/**
 * Looks for the conversation of one turn until it is seen: an agent tells it some time after its
 * start, and nothing may tell it after its end. A terminal's relay looks by itself.
 */
export async function lookForConversation(
  session: Speaker,
  signal: AbortSignal,
): Promise<void> {
  const { meta, paths, state } = session;
  const canBeSeen = meta !== null && isOneTurn(meta) &&
    state.state === "running" && agentOf(meta)?.findConversation;
  if (!canBeSeen || recordedConversation(paths)) return;
  for (let look = 0; look < LOOKS && !signal.aborted; look++) {
    if (visibleConversation(session)) return;
    await sleep(PAUSE_MS, signal).catch(() => {}); // The loop ends, too.
  }
}

/** What was seen earlier. Costs a small file, and needs only `--allow-read` of the root. */
export function recordedConversation(
  paths: Paths,
): KnownConversation | undefined {
  const record = readConversation(paths);
  const agent = agentNamed(record?.agent);
  if (record === undefined || agent === undefined) return undefined;
  const { id, home, how } = record;
  return { agent, id, home: home ?? undefined, how };
}

/** What the command line names: the user may have gone on to another one in it since. */
function inArguments(meta: Meta): KnownConversation | undefined {
  const named = namedConversation(meta.argv, ownEnvironment);
  return named && { ...named, home: named.transcript && named.home };
}

/** Tells whether a session takes no input: its agent has one turn, and writes its answer. */
export function isOneTurn({ kind }: Meta): boolean {
  return KINDS[kind].accepts.length === 0;
}

/** What one turn has written before anything of its model. */
function inOutput(meta: Meta, paths: Paths): KnownConversation | undefined {
  const { agent, args } = recognizeAgent(meta.argv) ?? {};
  if (agent === undefined || !isOneTurn(meta)) return undefined;
  const id = agent.idInOutput?.(args ?? [], paths);
  if (id === undefined) return undefined;
  // The id is made by the agent and unique: a record of it, written since, is the proof.
  const found = homeWith(agent, id);
  const writtenAt = found && statOptional(found.transcript)?.mtime?.getTime();
  const isProved = (writtenAt ?? 0) >= Date.parse(meta.createdAt) - CLOCK_MS;
  return isProved ? { agent, id, home: found?.home, how: "output" } : undefined;
}

/** The kernel's clock for files lags behind by some milliseconds. */
const CLOCK_MS = 100;

/** The agent's folder of this environment, if it holds a record of the conversation. */
function homeWith(
  agent: Agent,
  id: string,
): { home: string; transcript: string } | undefined {
  const home = agent.homeOf?.(ownEnvironment);
  const transcript = home && agent.findTranscript?.(id, home);
  return home && transcript ? { home, transcript } : undefined;
}

const ownEnvironment: Environment = (name) =>
  isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
