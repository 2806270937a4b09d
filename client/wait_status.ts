/**
 * Waiting for what a program does: for one of some statuses, or for the end of a turn.
 *
 * Both follow the session's journal of events, which wakes them. The agent's own files wake
 * nobody: where only they tell, they are looked at now and then.
 *
 * @module
 */
import { endOfLog, type LogPosition, openLog } from "./log_files.ts";
import { lastInputAt } from "./traffic.ts";
import { type EndState, type FinalState, watchSession } from "./watch.ts";
import { SessionError } from "../errors.ts";
import {
  hasKnownAgent,
  isAwake,
  readAgent,
  type SessionStatus,
  statusOf,
  type Watched,
} from "../events/status.ts";
import { readTold } from "../events/status_file.ts";
import {
  type StatusEvent,
  type TurnEvent,
  turnEventIn,
  TurnWatch,
} from "../events/turn.ts";
import { namingAgent } from "../process/main_pids.ts";
import { readTable } from "../process/table.ts";
import type { StatusValue } from "../screen/program_status.ts";
import {
  describeState,
  KINDS,
  type Meta,
  META_BYTES,
  noSuchSession,
  parseMeta,
  type Paths,
  readState,
} from "../store.ts";
import { readFile, statOptional } from "../system/files.ts";

/** How often an agent's own files are looked at. */
const LOOK_MS = 250;
/** How long one reading of all processes serves the waits of this program. */
const TABLE_MS = 100;
/** How long a program that has just started must be idle for its turn to be over. */
const SETTLED_MS = 500;
/** How much of a journal is read at most: more than its two files hold. */
const MAX_JOURNAL_BYTES = 2 * 1024 * 1024;

/** Where a wait begins, and what stops it. */
export interface StatusSearch {
  /** The place in the journal behind which events count; without one, what is so now counts, too. */
  readonly since?: LogPosition | null;
  /** When that place was the end, in milliseconds since 1970. What agents' files tell has no place. */
  readonly at?: number;
  /** Stops the waiting. */
  readonly signal: AbortSignal;
}

/** How a turn has ended. */
export interface TurnEnd {
  /** The status that has ended it; `null` if the program has stopped telling, or has ended. */
  readonly status: SessionStatus | null;
  /** How the session ended, if that has ended the turn. */
  readonly state?: EndState;
}

/**
 * Waits until a session has one of these statuses, also for a moment.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if the session ends first.
 */
export async function waitForStatus(
  paths: Paths,
  values: readonly StatusValue[],
  { since, signal }: StatusSearch,
): Promise<SessionStatus> {
  const isWanted = (status: StatusEvent["status"]) =>
    status !== null && values.includes(status.value);
  const from = since === undefined ? endOfLog(paths.events) : since;
  const what = `being ${orList(values)}`;
  return await look(paths, { from, signal, what }, (session, events) => {
    const now = statusOf(session, recentTable);
    if (now !== null && isWanted(now)) {
      // The journal doesn't have what only the agent's files tell.
      const isNew = now.source === "agent" && now.since !== null &&
        now.since.getTime() >= lastInputAt(paths);
      if (since === undefined || isNew) return now;
    }
    for (const event of events) {
      if (event !== "input" && isWanted(event.status)) {
        return pastStatus(event)!;
      }
    }
    return undefined;
  });
}

/**
 * Waits until the turn is over that began with the last input, or at `since`. The end of a session
 * that takes no input ends its turn.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if the session ends first; `unsupported` if
 * nothing can tell.
 */
export async function waitForTurn(
  paths: Paths,
  { since, at = 0, signal }: StatusSearch,
): Promise<TurnEnd> {
  const turn = new TurnWatch();
  if (since !== undefined) {
    for (const event of await eventsBefore(paths, since)) turn.add(event);
    // No input for certain: a session that has just been created has had none.
    turn.begin();
  }
  const search = { from: since, signal, what: "finishing a turn" };
  // Without a starting point, what is in the journal tells which turn is the last one.
  let isChosen = since !== undefined;
  return await look(paths, search, (session, events, end) => {
    for (const event of events) {
      // The next turn begins before anybody has looked.
      if (event === "input" && isChosen && turn.isOver) {
        return { status: pastStatus(turn.end!) };
      }
      turn.add(event);
    }
    isChosen = true;
    const { meta } = session;
    const takesInput = meta === null || KINDS[meta.kind].accepts.length > 0;
    const status = turn.end ? pastStatus(turn.end) : null;
    if (end !== undefined) {
      if (end.state === "deleted") throw noSuchSession(paths.id);
      if (!takesInput) return { status, state: end };
      return status ? { status } : undefined;
    }
    if (!takesInput) {
      return status?.value === "blocked" ? { status } : undefined;
    }
    if (turn.end !== undefined || turn.isOpen) {
      const now = statusOf(session, recentTable);
      if (!turn.hasInput && isJustIdle(status)) return undefined;
      if (status !== null && now?.value !== "working") return { status };
      // The program has ended without a word, and its shell goes on. Or the session is about to end.
      if (status === null && now === null && isAwake(session)) {
        return { status };
      }
    }
    if (turn.hasTold) return undefined;
    const told = turnOfAgent(session, at);
    if (told !== undefined) return { status: told };
    checkTells(session);
    return undefined;
  });
}

/**
 * Tells whether a program has just become idle. Before its first input that may be a part of its start:
 * Codex tells `idle`, `working`, `idle` within 150 ms.
 */
function isJustIdle(status: SessionStatus | null): boolean {
  if (status?.value !== "idle") return false;
  const ageMs = Date.now() - (status.since?.getTime() ?? 0);
  return ageMs >= 0 && ageMs < SETTLED_MS;
}

/** The status with which an agent's own files say, behind a moment, that the turn of the last input is over. */
function turnOfAgent(
  session: Watched,
  notBefore: number,
): SessionStatus | undefined {
  const { status, turn } = readAgent(session, recentTable) ?? {};
  if (!status || !turn || status.value === "working") return undefined;
  const inputAt = lastInputAt(session.paths);
  // Codex records the beginning in whole seconds.
  const isLater = (turn.startedAt ?? 0) >= Math.floor(inputAt / 1000) * 1000;
  // In the moment after a key, the files still tell what that key has answered.
  const since = turn.state === "working"
    ? status.since?.getTime() ?? Infinity
    : turn.since ?? 0;
  return isLater && since >= Math.max(inputAt, notBefore) ? status : undefined;
}

/** Refuses to wait for what nothing will tell. */
function checkTells(session: Watched): void {
  const { id, events } = session.paths;
  if (session.state.state !== "running" || statOptional(events)) return;
  if (hasKnownAgent(session)) return;
  throw new SessionError(
    "unsupported",
    `Cannot tell when a turn of session "${id}" is over: an earlier version started it; wait for silence instead: codex-session wait --for idle=10s ${id}`,
    { id },
  );
}

/** The table of processes, which is read once for waits that look at the same time. */
function recentTable(): ReturnType<typeof readTable> {
  const now = performance.now();
  if (recent === undefined || now - recent.at > TABLE_MS) {
    recent = { at: now, table: readTable() };
  }
  return recent.table;
}
let recent:
  | { readonly at: number; readonly table: ReturnType<typeof readTable> }
  | undefined;

/** A status that was told, as it was at that moment. */
function pastStatus({ status, at }: StatusEvent): SessionStatus | null {
  return status && { ...status, since: new Date(at), records: [] };
}

function orList(values: readonly string[]): string {
  const last = values.at(-1)!;
  const others = values.slice(0, -1).join(", ");
  return others === "" ? last : `${others} or ${last}`;
}

/** Tells what was looked for, or `undefined` as long as it isn't there. */
type Check<T> = (
  session: Watched,
  events: readonly TurnEvent[],
  end: FinalState | undefined,
) => T | undefined;

/** Looks after each event, until a check has found something or the session has ended. */
async function look<T>(
  paths: Paths,
  { from, signal, what }: {
    readonly from: LogPosition | null | undefined;
    readonly signal: AbortSignal;
    readonly what: string;
  },
  check: Check<T>,
): Promise<T> {
  using watch = watchSession(paths, { files: [paths.events], signal });
  const meta = metaAt(paths);
  let position = from;
  for (;;) {
    const end = watch.finalState();
    let session: Watched = { paths, meta, state: stateAt(paths, meta) };
    let read = await eventsSince(paths, position);
    if (!watch.isStill()) { // What was read may be a later session's.
      if (end === undefined) continue;
      session = { ...session, state: { state: "lost", pids: null } };
      read = { events: [], position: position ?? null };
    }
    position = read.position;
    const found = check(session, read.events, end);
    if (found !== undefined) return found;
    if (end?.state === "deleted") throw noSuchSession(paths.id);
    if (end !== undefined) {
      const message = `Session "${paths.id}" has ended without ${what}: ${
        describeState(end)
      }`;
      throw new SessionError("wrong_state", message, { id: paths.id });
    }
    const byFiles = hasKnownAgent(session) && !readTold(paths)?.records.length;
    await watch.next(byFiles ? LOOK_MS : Infinity);
  }
}

function metaAt(paths: Paths): Meta | null {
  const text = readFile(paths.meta, META_BYTES);
  return text === undefined ? null : parseMeta(text, paths.id);
}

/** The state, with the agent of a terminal. */
function stateAt(paths: Paths, meta: Meta | null): Watched["state"] {
  const state = readState(paths);
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  return isTerminal ? namingAgent(paths, state) : state;
}

const decoder = new TextDecoder();
const NEWLINE = 10;

/** The events before a position; none if its journal is gone, or there was none. */
async function eventsBefore(
  paths: Paths,
  to: LogPosition | null,
): Promise<TurnEvent[]> {
  using journal = openLog(paths.events, { bytes: MAX_JOURNAL_BYTES });
  journal.mark();
  const decoder = new TextDecoder();
  let text = "";
  for (let bytes = await journal.read(); bytes; bytes = await journal.read()) {
    const { file, offset } = journal.position!;
    const isReached = file === to?.file && offset >= to.offset;
    const length = isReached ? bytes.length - (offset - to.offset) : undefined;
    text += decoder.decode(bytes.subarray(0, length), { stream: true });
    if (isReached) return eventsIn(text);
  }
  return [];
}

/** The events in the complete lines behind a position; without one, all that are left. */
async function eventsSince(
  paths: Paths,
  from: LogPosition | null | undefined,
): Promise<
  { readonly events: TurnEvent[]; readonly position: LogPosition | null }
> {
  using journal = openLog(paths.events, { from, bytes: MAX_JOURNAL_BYTES });
  journal.mark();
  let text = "";
  let position = from ?? null;
  // The bytes behind the last newline: a line that is being written.
  let rest = 0;
  for (let bytes = await journal.read(); bytes; bytes = await journal.read()) {
    text += decoder.decode(bytes, { stream: true });
    const newline = bytes.lastIndexOf(NEWLINE);
    rest = newline < 0 ? rest + bytes.length : bytes.length - newline - 1;
    const { file, offset } = journal.position!;
    position = { file, offset: Math.max(0, offset - rest) };
  }
  decoder.decode(); // Forgets half a character.
  return { events: eventsIn(text), position };
}

/** The events in the complete lines of a journal. */
function eventsIn(text: string): TurnEvent[] {
  return text.split("\n").slice(0, -1).map(turnEventIn)
    .filter((event) => event !== undefined);
}
