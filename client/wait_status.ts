/**
 * Waiting for what a program does: for one of some statuses, or for the end of a turn.
 *
 * Both follow the session's journal of events, which wakes them. The agent's own files wake
 * nobody, nor does a process that ends or that a signal stops, nor does time: `idle` must last before a turn
 * counts as over. So both look now and then, too.
 *
 * @module
 */
import { endOfLog, type Log, type LogPosition, openLog } from "./log_files.ts";
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
/** How often processes are looked at: when one that has told something ends, stops or goes on, no event tells. */
const PROCESS_LOOK_MS = 500;
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

/** A status that was waited for. */
export interface FoundStatus {
  readonly status: SessionStatus;
  /** The place in the journal behind it. */
  readonly events: LogPosition | null;
}

/** How a turn has ended. */
export interface TurnEnd {
  /** The status that has ended it; `null` if the program has stopped telling, or has ended. */
  readonly status: SessionStatus | null;
  /** How the session ended, if that has ended the turn. */
  readonly state?: EndState;
  /** The place in the journal behind that. */
  readonly events: LogPosition | null;
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
): Promise<FoundStatus> {
  const isWanted = (status: StatusEvent["status"]) =>
    status !== null && values.includes(status.value);
  const from = since === undefined ? endOfLog(paths.events) : since;
  const what = `being ${orList(values)}`;
  return await look(paths, { from, signal, what }, ({ session, read }) => {
    const now = statusOf(session, recentTable);
    if (now !== null && isWanted(now)) {
      // The journal doesn't have what only the agent's files tell.
      const isNew = now.source === "agent" && now.since !== null &&
        now.since.getTime() >= lastInputAt(paths);
      if (since === undefined || isNew) {
        return { status: now, events: read.position };
      }
    }
    for (const { event, end } of read.events) {
      if (event !== "input" && isWanted(event.status)) {
        return { status: pastStatus(event)!, events: end };
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
  let endedAt: LogPosition | null = null;
  return await look(paths, search, ({ session, read, end }) => {
    for (const { event, end } of read.events) {
      // The next turn begins before anybody has looked.
      if (isChosen && turn.isBehind(event)) {
        return { status: pastStatus(turn.end!), events: endedAt };
      }
      const before = turn.end;
      turn.add(event);
      if (turn.end !== before) endedAt = end;
    }
    isChosen = true;
    const events = turn.end ? endedAt : read.position;
    const { meta } = session;
    const takesInput = meta === null || KINDS[meta.kind].accepts.length > 0;
    const status = turn.end ? pastStatus(turn.end) : null;
    if (end !== undefined) {
      if (end.state === "deleted") throw noSuchSession(paths.id);
      // A session that has ended waits for nobody.
      const last = status?.value === "blocked" ? null : status;
      if (!takesInput) return { status: last, state: end, events };
      return last ? { status: last, events } : undefined;
    }
    if (!takesInput) {
      return status?.value === "blocked" ? { status, events } : undefined;
    }
    if (turn.end !== undefined || turn.isOpen) {
      const now = statusOf(session, recentTable);
      if (!turn.hasInput && isJustIdle(status)) return undefined;
      if (status !== null && now?.value !== "working") {
        return { status, events };
      }
      // The program has ended without a word, and its shell goes on. Or the session is about to end.
      if (status === null && now === null && isAwake(session)) {
        return { status, events };
      }
    }
    if (turn.hasTold) return undefined;
    const told = turnOfAgent(session, at);
    if (told !== undefined) return { status: told, events };
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

/** What a look sees. */
interface Sight {
  readonly session: Watched;
  /** The events since the look before. */
  readonly read: JournalPart;
  readonly end: FinalState | undefined;
}

/** Tells what was looked for, or `undefined` as long as it isn't there. */
type Check<T> = (sight: Sight) => T | undefined;

/** Looks after each event and now and then, until a check has found something or the session has ended. */
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
    const found = check({ session, read, end });
    if (found !== undefined) return found;
    if (end?.state === "deleted") throw noSuchSession(paths.id);
    if (end !== undefined) {
      const message = `Session "${paths.id}" has ended without ${what}: ${
        describeState(end)
      }`;
      throw new SessionError("wrong_state", message, { id: paths.id });
    }
    const byFiles = hasKnownAgent(session) && !readTold(paths)?.records.length;
    await watch.next(byFiles ? LOOK_MS : PROCESS_LOOK_MS);
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

const NEWLINE = 10;

/** An event in a journal. */
interface PlacedEvent {
  readonly event: TurnEvent;
  /** Where its line ends. */
  readonly end: LogPosition;
}

/** A part of a journal. */
interface JournalPart {
  readonly events: readonly PlacedEvent[];
  /** Where its last complete line ends. */
  readonly position: LogPosition | null;
}

/** The events before a position; none if its journal is gone, or there was none. */
async function eventsBefore(
  paths: Paths,
  to: LogPosition | null,
): Promise<readonly TurnEvent[]> {
  using journal = openLog(paths.events, { bytes: MAX_JOURNAL_BYTES });
  journal.mark();
  const events: TurnEvent[] = [];
  let isFound = false;
  for await (const { line, end } of linesOf(journal)) {
    const isIn = end.file === to?.file;
    if (isIn ? end.offset > to.offset : isFound) break;
    isFound ||= isIn;
    const event = turnEventIn(line);
    if (event !== undefined) events.push(event);
  }
  return isFound ? events : [];
}

/** The events in the complete lines behind a position; without one, all that are left. */
async function eventsSince(
  paths: Paths,
  from: LogPosition | null | undefined,
): Promise<JournalPart> {
  using journal = openLog(paths.events, { from, bytes: MAX_JOURNAL_BYTES });
  journal.mark();
  const events: PlacedEvent[] = [];
  let position = from ?? null;
  for await (const { line, end } of linesOf(journal)) {
    position = end;
    const event = turnEventIn(line);
    if (event !== undefined) events.push({ event, end });
  }
  return { events, position };
}

/** The complete lines that are left to read, and where each ends. */
async function* linesOf(
  journal: Log,
): AsyncGenerator<{ readonly line: string; readonly end: LogPosition }> {
  const decoder = new TextDecoder();
  let text = "";
  for (let bytes; (bytes = await journal.read());) {
    const { file, offset } = journal.position!;
    const first = offset - bytes.length;
    let start = 0;
    for (let at; (at = bytes.indexOf(NEWLINE, start)) >= 0; start = at + 1) {
      text += decoder.decode(bytes.subarray(start, at + 1), { stream: true });
      yield { line: text, end: { file, offset: first + at + 1 } };
      text = "";
    }
    text += decoder.decode(bytes.subarray(start), { stream: true });
  }
}
