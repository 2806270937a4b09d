/**
 * Which conversation a session's agent is having, what it has answered, and what it is doing: by
 * the agent's own files.
 *
 * Nothing here is a guess. A conversation is known because the agent's process holds its record
 * open, because that process has recorded it about itself, or because the command line names it.
 * Not by directories and times: two agents may start in one directory at once.
 *
 * The agent's helpers and tool calls may be agents, too. Tool calls run in kernel sessions of their
 * own; so only the session's agent counts, and its descendants in the same kernel session:
 *
 *     reaper ── node codex.js ── codex ── bash -c 'codex exec …' ── codex
 *                    │             │                 other kernel sessions
 *                    └── one kernel session
 *
 * Other users' programs, and those with mounts of their own, can be in that kernel session, too: by
 * sudo(8), in a sandbox. `resume` gives the agent's folder to a new agent, which runs what is
 * configured there. So a process only counts if it runs as the session's user, sees the files that
 * its supervisor sees, and has the agent's folder that the session was started with.
 *
 * @module
 */
import type { Agent, AgentProcess, AgentStatus, Environment } from "./agent.ts";
import { recognizeAgent } from "./recognize.ts";
import {
  linesFromEnd,
  parseFields,
  timeIn,
  type Transcript,
} from "./transcript.ts";
import { hasMountsOf, runsAs } from "../process/carriers.ts";
import { agentVariables, unpackEnvironment } from "../process/environment.ts";
import type { SessionProcess } from "../process/members.ts";
import { familyOf, readArgv, readEntry, readTable } from "../process/table.ts";
import { isGranted, openFile } from "../system/files.ts";
import { geteuid, readSystemBytes } from "../system/libc.ts";

/** A conversation with an agent. */
export interface Conversation {
  /** The agent. */
  readonly agent: Agent;
  /** Its id, with which the agent goes on. */
  readonly id: string;
  /** The agent's folder, in which its record is or will be; `undefined` if it isn't known. */
  readonly home: string | undefined;
  /**
   * Its record; `undefined` if there is none yet. Codex goes on in another file when the user
   * undoes turns. So keep `id` and `home` instead: with them the record is found again.
   */
  readonly transcript: string | undefined;
  /** How it is known: by the process that is having it, or by the arguments of the command. */
  readonly how: "process" | "arguments";
  /** What the process told of itself at that moment. */
  readonly told?: AgentStatus;
}

/**
 * Tells whether Deno's permissions suffice to look at agents' processes and files. Without, it would
 * ask for them on a terminal.
 */
export function mayReadAgents(): boolean {
  return isGranted({ name: "ffi" }) && isGranted({ name: "read" }) &&
    isGranted({ name: "run", command: "/bin/sh" });
}

/** The process that started an agent, or is about to: a session's reaper, or its relay. */
export interface Supervisor {
  /** Its number. */
  readonly pid: number;
  /** The environment that it gives the agent. */
  readonly env: Environment;
}

/** A process of a session, as `listProcesses()` tells about it. */
type Member = Pick<SessionProcess, "pid" | "role">;

/**
 * The conversation of a session with these living processes; `undefined` if it can't be known:
 * also if they have several. Needs the permissions of `listProcesses()`, and `--allow-read` of the
 * agent's folder.
 */
export function findConversation(
  members: readonly Member[],
): Conversation | undefined {
  const pidOf = (role: Member["role"]) =>
    members.find((member) => member.role === role)?.pid;
  const [agent, reaper] = [pidOf("agent"), pidOf("reaper")];
  return agent === undefined || reaper === undefined
    ? undefined
    : conversationOf(agent, reaperAt(reaper));
}

/** A session's reaper; `undefined` if it has ended. */
export function reaperAt(pid: number): Supervisor | undefined {
  const own = environmentOf(pid);
  if (own === undefined) return undefined;
  try {
    return { pid, env: agentVariables(own, unpackEnvironment(own)) };
  } catch {
    return undefined; // No reaper has this environment.
  }
}

/**
 * The same for the session whose agent has this number, and that supervisor. `table` reads all
 * processes.
 */
export function conversationOf(
  agentPid: number,
  supervisor: Supervisor | undefined,
  table: typeof readTable = readTable,
): Conversation | undefined {
  if (supervisor === undefined) return undefined;
  const family = familyOf(agentPid, table());
  const found = agentProcesses(agentPid, family).flatMap((process) => {
    const { agent } = recognizeAgent(readArgv(process.pid) ?? []) ?? {};
    const home = agent?.homeOf?.(process.env);
    // Before anything at that path is touched.
    const isTrusted = home !== undefined &&
      home === agent?.homeOf?.(supervisor.env) &&
      runsAs(process.pid, geteuid()) &&
      hasMountsOf(process.pid, supervisor.pid);
    if (!isTrusted) return [];
    const conversation = agent?.findConversation?.(process);
    // The number may have been given to another process while its files were read.
    const isStill = readEntry(process.pid)?.startTicks === process.startTicks;
    if (!agent || !conversation || !isStill) return [];
    return [{ agent, ...conversation, home, how: "process" } as const];
  });
  return found.length === 1 ? found[0] : undefined;
}

/** The session's agent and its descendants in the same kernel session. */
function agentProcesses(
  pid: number,
  family: ReturnType<typeof familyOf>,
): AgentProcess[] {
  const sid = readEntry(pid)?.sid;
  if (sid === undefined) return [];
  return family.filter((one) => one.sid === sid)
    .flatMap(({ pid, startTicks }) => {
      const env = environmentOf(pid);
      return env ? [{ pid, startTicks, env }] : [];
    });
}

/** The environment that a process was started with; `undefined` if it can't be read. */
function environmentOf(pid: number): Environment | undefined {
  const bytes = readSystemBytes(`/proc/${pid}/environ`);
  if (!bytes) return undefined;
  const entries = new TextDecoder().decode(bytes).split("\0");
  return (name) =>
    entries.find((entry) => entry.startsWith(`${name}=`))
      ?.slice(name.length + 1);
}

/**
 * The conversation that a command line names, for an agent that may have ended. The user may have
 * gone on to another one in it since. `env` is the environment that the agent got.
 */
export function namedConversation(
  argv: readonly string[],
  env: Environment,
): Conversation | undefined {
  const { agent, args } = recognizeAgent(argv) ?? {};
  const id = args && agent?.idInArguments(args);
  if (agent === undefined || id === undefined) return undefined;
  const home = agent.homeOf?.(env);
  const transcript = home && agent.findTranscript?.(id, home);
  return { agent, id, home, transcript, how: "arguments" };
}

/** How {@linkcode readTranscript} reads a record. */
interface ReadOptions {
  /** How much of it is read at most, from its end, in bytes. @default {67108864} */
  readonly maxBytes?: number;
  /**
   * What was recorded later doesn't count, in milliseconds since 1970: another session may have
   * gone on with the conversation.
   *
   * @default {Infinity}
   */
  readonly untilMs?: number;
}

/**
 * The last turn and answer of a conversation; `undefined` if there is no record that can be read.
 * Needs `--allow-read` of the agent's folder.
 */
export function readTranscript(
  conversation:
    & Pick<Conversation, "agent" | "id" | "home">
    & Partial<Pick<Conversation, "transcript">>,
  { maxBytes, untilMs = Infinity }: ReadOptions = {},
): Transcript | undefined {
  const { agent, id, home } = conversation;
  // The agent may have begun its record meanwhile.
  const path = conversation.transcript ??
    (home && agent.findTranscript?.(id, home));
  if (!path) return undefined;
  using file = openFile(path);
  if (file === undefined) return undefined;
  let isCut = false;
  const lines = linesUntil(untilMs, linesFromEnd(file, maxBytes), () => {
    isCut = true;
  });
  const transcript = agent.readLines?.(lines);
  return transcript && isCut ? { ...transcript, isCut } : transcript;
}

/**
 * The lines from the last one on that was written until then. Calls `onCut` when all others are
 * too far from the end.
 */
function* linesUntil(
  untilMs: number,
  lines: Iterable<string | undefined>,
  onCut: () => void,
): Generator<string | undefined> {
  let isLater = untilMs !== Infinity;
  for (const line of lines) {
    if (isLater && line !== undefined) {
      const at = timeIn(parseFields(line).timestamp);
      isLater = at === undefined || at > untilMs;
    }
    if (line === undefined) onCut();
    if (!isLater || line === undefined) yield line;
  }
}

/**
 * What the living agent of a conversation is doing, by what its process told and what its record
 * holds; `undefined` if neither tells. One that waits for a permission may look `working`.
 */
export function agentStatusOf(
  told: AgentStatus | undefined,
  turn: Transcript["turn"],
): AgentStatus | undefined {
  // An agent that is idle has ended its turn somehow, which only the record tells.
  if (told && told.value !== "idle") return told;
  switch (turn?.state) {
    case "done":
      return { value: "done", since: turn.since };
    case "failed":
      return { value: "error", message: turn.message, since: turn.since };
    case "aborted":
      return told ?? { value: "idle", since: turn.since };
    case "working":
      return told ?? { value: "working", since: turn.since };
    case undefined:
      return told ?? (turn === null ? { value: "idle" } : undefined);
  }
}
