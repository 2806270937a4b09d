/**
 * What a running session is doing, from the first source that knows: the program's report to its
 * terminal, the agent's own files, the `report` command, a title or notification.
 *
 * A status never outlives its truth. It counts while the session runs, its relay and agent live
 * and no signal has stopped them; a report while its process lives; `working` and `blocked` of a
 * terminal while the process group lives that was in the foreground.
 *
 * Lists ask this for each running session: where nothing is told, it costs a file or two that
 * can't be opened.
 *
 * @module
 */
import type { StatusSource, ToldStatus } from "./event.ts";
import { recordSeen } from "./conversation.ts";
import { readReport } from "./report_file.ts";
import { readTold, type TerminalTold } from "./status_file.ts";
import type { StatusFacts } from "./status_facts.ts";
import {
  agentStatusOf,
  conversationOf,
  mayReadAgents,
  readTranscript,
  reaperAt,
} from "../agents/conversation.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import type { Turn } from "../agents/transcript.ts";
import {
  isForeignProc,
  readArgv,
  readEntry,
  readTable,
} from "../process/table.ts";
import type { StatusRecord } from "../screen/program_status.ts";
import { KINDS, type Meta, type Paths, type State } from "../store.ts";
import { isGranted, readsProc } from "../system/files.ts";
import { hasGroup } from "../system/libc.ts";
import { OS } from "../system/os.ts";

/** What a running session is doing. */
export interface SessionStatus extends ToldStatus {
  /** Since when; `null` if that isn't known. */
  readonly since: Date | null;
  /** Where it is known from. */
  readonly source: StatusSource;
  /** All that the program reports on, the foremost first; empty for other sources. */
  readonly records: readonly StatusRecord[];
}

/** What {@linkcode statusOf} needs to know of a session. */
export interface Watched {
  readonly paths: Paths;
  readonly meta: Meta | null;
  /** With the agent of a terminal, and not its relay in its place. */
  readonly state: State;
}

/** Reads all processes. */
export type ProcessTable = typeof readTable;

/** A table that is read once, when it is needed, for several sessions. */
export function processTable(): ProcessTable {
  let table: ReturnType<ProcessTable> | undefined;
  return () => table ??= readTable();
}

/**
 * What a session is doing; `null` if it doesn't run, or doesn't tell. Without `--allow-ffi`, or
 * `/proc`, what the processes are doing isn't checked. The agent's own files need `--allow-read`
 * and `--allow-run=/bin/sh`.
 */
export function statusOf(
  session: Watched,
  table: ProcessTable = readTable,
): SessionStatus | null {
  const { paths, meta, state } = session;
  if (state.state !== "running" || meta === null) return null;
  const told = KINDS[meta.kind].isTerminal ? readTold(paths) : undefined;
  const status = recordStatus(told) ?? agentStatus(session, table) ??
    reportedStatus(paths) ?? ruleStatus(told);
  return status && isAwake(session) ? status : null;
}

/** What a blocked program waits for: `approve Bash: rm x (permission)`. */
export function needOf(
  { kind, message }: Pick<ToldStatus, "kind" | "message">,
): string {
  if (kind === undefined) return message ?? "its user";
  if (message !== undefined) return `${message} (${kind})`;
  return kind === "auth" ? "an authentication" : `a ${kind}`;
}

/**
 * Whether a signal has stopped the agent of a running session, or its relay. `false` if that isn't
 * known.
 */
export function isSuspended({ state }: Pick<Watched, "state">): boolean {
  if (state.state !== "running" || !readsProc()) return false;
  return mainProcesses(state.pids).some((pid) => readEntry(pid)?.stopped);
}

type RunningPids = Extract<State, { state: "running" }>["pids"];

function mainProcesses({ relay, agent }: RunningPids): number[] {
  return relay === undefined || relay === agent ? [agent] : [relay, agent];
}

/** Tells whether the main processes of a session live, and none is stopped. */
export function isAwake({ state }: Pick<Watched, "state">): boolean {
  if (state.state !== "running") return false;
  if (!readsProc()) return true;
  return mainProcesses(state.pids)
    .every((pid) => readEntry(pid)?.stopped === false);
}

/** What a program reports to its terminal. */
function recordStatus(
  told: TerminalTold | undefined,
): SessionStatus | undefined {
  const records = told?.records.filter((one) => isGoingOn(one, told)) ?? [];
  const [record] = records;
  if (record === undefined) return undefined;
  return { ...withSince(record, record.since), source: "terminal", records };
}

/** What a title or a notification means. */
function ruleStatus(told: TerminalTold | undefined): SessionStatus | undefined {
  const rule = told?.rule;
  if (told === undefined || rule === undefined || !isGoingOn(rule, told)) {
    return undefined;
  }
  return { ...withSince(rule, rule.since), source: "rule", records: [] };
}

/** `done`, `error` and `idle` stay when the program goes back to its shell. */
function isGoingOn(
  { value }: Pick<StatusFacts, "value">,
  { group }: TerminalTold,
): boolean {
  const isActive = value === "working" || value === "blocked";
  if (!isActive || group === undefined || !isGranted({ name: "ffi" })) {
    return true;
  }
  return hasGroup(group);
}

/** What the `report` command has told, and whether its process still stands behind it. */
function reportedStatus(paths: Paths): SessionStatus | undefined {
  const report = readReport(paths);
  if (report === undefined) return undefined;
  const { process: { pid, start }, since, ...told } = report;
  if (readsProc()) {
    const entry = readEntry(pid);
    if (entry?.startTicks !== start || entry.stopped) return undefined;
  }
  return { ...withSince(told, since), source: "report", records: [] };
}

function withSince(
  { value, kind, message, title, progress }: StatusFacts,
  since: number | undefined,
): StatusFacts & Pick<SessionStatus, "since"> {
  const at = since === undefined ? null : new Date(since);
  return { value, kind, message, title, progress, since: at };
}

/** How much of an agent's record is read for its last turn: a list must not take seconds. */
const MAX_RECORD_BYTES = 4 * 1024 * 1024;

/** What an agent's own files tell. */
export interface AgentTells {
  /** What it is doing. */
  readonly status: SessionStatus | undefined;
  /** Its last turn: `null` before the first one, `undefined` if that isn't known. */
  readonly turn: Turn | null | undefined;
}

/** What the files of a session's agent tell; `undefined` if it is none that is known. */
export function readAgent(
  session: Watched,
  table: ProcessTable,
): AgentTells | undefined {
  const { state } = session;
  if (state.state !== "running" || !hasKnownAgent(session)) return undefined;
  const { agent, reaper } = state.pids;
  const conversation = conversationOf(agent, reaperAt(reaper), table);
  if (conversation === undefined) return undefined;
  // Once this process has ended, nothing may tell it any more.
  recordSeen(session.paths, conversation);
  const { told } = conversation;
  const turn = readTranscript(conversation, {
    maxBytes: MAX_RECORD_BYTES,
  })?.turn;
  const known = agentStatusOf(told, turn);
  if (known === undefined) return { status: undefined, turn };
  const status = withSince(known, known.since);
  return { status: { ...status, source: "agent", records: [] }, turn };
}

function agentStatus(
  session: Watched,
  table: ProcessTable,
): SessionStatus | undefined {
  return readAgent(session, table)?.status;
}

/** Tells whether a session's own files may be asked: its agent has some, and they may be read. */
export function hasKnownAgent({ meta, state }: Watched): boolean {
  if (meta === null || state.state !== "running") return false;
  if (!OS.hasProc || !mayReadAgents() || isForeignProc()) return false;
  // A terminal's command is often a shell that becomes the agent.
  const agent = recognizeAgent(meta.argv)?.agent ??
    (KINDS[meta.kind].isTerminal
      ? recognizeAgent(readArgv(state.pids.agent) ?? [])?.agent
      : undefined);
  return agent?.findConversation !== undefined;
}
