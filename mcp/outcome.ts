/**
 * What a wait of limited time finds: the results of the tools that wait.
 *
 * Clients give a call up after 60 s, so each returns in time and hands on a cursor: a chain of
 * calls finds what one long wait would have found. Nothing is kept between two calls.
 *
 * @module
 */
import { type LogCursor, readLogCursor } from "../client/logs.ts";
import { lastInputAt } from "../client/traffic.ts";
import { type Condition, type Found, waitFor } from "../client/wait.ts";
import { SessionError } from "../errors.ts";
import { agentOf } from "../events/conversation.ts";
import {
  isSuspended,
  needOf,
  type SessionStatus,
  statusOf,
} from "../events/status.ts";
import {
  describeTurn,
  markTurn,
  readAnswer,
  readTurnAnswer,
  type SessionAnswer,
  type TurnMark,
} from "../run/answer.ts";
import { dialogOf } from "../run/dialog.ts";
import type { Session } from "../session/find.ts";
import {
  describeState,
  exitStatus,
  isLive,
  KINDS,
  noSuchSession,
  readStopRequest,
} from "../store.ts";
import { sleep } from "../system/async.ts";
import { type Cursor, encodeCursor, isOf } from "./cursor.ts";
import { stateFacts, statusFacts } from "./facts.ts";
import { sessionIn, type World } from "./scope.ts";
import { DEFAULT_MAX_BYTES, endOfText } from "./text.ts";
import type { TimeLimit } from "./time_limit.ts";
import type { Schema } from "./tool.ts";
import { briefLine, cleanText } from "../screen/clean_text.ts";

/** The results of both tools. */
export const OUTPUT: Readonly<Record<string, Schema>> = {
  id: { type: "string" },
  done: { type: "boolean", description: "false: call again with `cursor`" },
  cursor: { type: "string" },
  state: { type: "string" },
  exit_status: { type: "integer" },
  signal: { type: "string" },
  stopped_by: { type: "string" },
  status: { type: ["string", "null"] },
  status_message: { type: "string" },
  status_now: {
    type: ["string", "null"],
    description: "What it is by now, if `status` is past",
  },
  suspended: { type: "boolean" },
  match: {
    type: "array",
    items: { type: ["string", "null"] },
    description: "The text that matches, and its groups",
  },
  stream: { type: "string" },
  answer: { type: "string", description: "What the agent said, the end of it" },
  left_out_bytes: { type: "integer", description: "Of the answer" },
  reason: { type: "string", description: "Why there is no answer" },
  hint: { type: "string", description: "What to do next" },
};

/** What a call works in. */
export interface Bounds {
  readonly world: World;
  readonly limit: TimeLimit;
}

/** A wait, one of a chain. */
export interface Wait {
  /** Where the chain begins. */
  readonly begin: Cursor;
  /** Whether it is the first of a chain that has begun without a cursor. */
  readonly isFirst: boolean;
  readonly condition: Condition;
  readonly maxBytes: number | undefined;
}

/** What a call returns; `OUTPUT` names the facts. */
export interface Outcome {
  /** Whether it was found; otherwise the time is up. */
  readonly done: boolean;
  readonly [fact: string]: unknown;
}

/** What a call returns: what was found, or that the time is up. */
export async function outcomeOf(
  wait: Wait,
  { world, limit }: Bounds,
): Promise<Outcome> {
  const { begin, maxBytes } = wait;
  const { id } = begin;
  let found: Found | undefined;
  let said: Said | undefined;
  let log = begin.log;
  const onProgress = ({ stdout, stderr }: LogCursor) => {
    log = { ...begin.log, stdout, stderr };
  };
  try {
    found = await find(wait, { world, limit }, onProgress);
    await drawn(begin, found, { world, limit });
    if (isOver(found)) said = await answerOf(begin, found, { world, limit });
  } catch (error) {
    if (!limit.isUp()) throw error;
    found = undefined;
  }
  const session = await ownSession(begin, found, world);
  const now = session ? statusOf(session) : null;
  const told = found !== undefined && "status" in found ? found.status : now;
  const isPast = session !== undefined && isLive(session.state) &&
    told?.value !== now?.value;
  const hint = session && hintFor(session, { wait, found, said, told, now });
  return {
    id,
    done: found !== undefined,
    cursor: encodeCursor(
      found ? cursorBehind(wait, found, world) : { ...begin, log },
    ),
    ...stateOf(session, found),
    ...statusFacts(isPast ? told : now ?? told),
    ...(isPast && { status_now: now?.value ?? null }),
    ...(session && isSuspended(session) && { suspended: true }),
    ...(found && matchOf(found)),
    ...(said?.text !== undefined && answerFacts(said.text, maxBytes)),
    ...(said?.reason !== undefined && { reason: briefLine(said.reason, 500) }),
    ...(hint !== undefined && { hint }),
  };
}

/**
 * The session as it is now; `undefined` if it was deleted, by `--rm` for example, and its end was
 * found before.
 *
 * @throws {SessionError} `not_found`.
 */
async function ownSession(
  begin: Cursor,
  found: Found | undefined,
  world: World,
): Promise<Session | undefined> {
  const isLost = found !== undefined && "state" in found &&
    found.state?.state === "lost";
  const session = isLost
    ? await settledSession(begin, world)
    : await sameSession(begin, world);
  if (session === undefined && found === undefined) {
    throw noSuchSession(begin.id);
  }
  return session;
}

/** The session of a cursor; `undefined` if it is gone. */
async function sameSession(
  cursor: Pick<Cursor, "id" | "born">,
  world: World,
): Promise<Session | undefined> {
  try {
    const session = await sessionIn(world, cursor.id);
    return isOf(session, cursor) ? session : undefined;
  } catch (error) {
    const isGone = error instanceof SessionError && error.code === "not_found";
    if (isGone) return undefined;
    throw error;
  }
}

/** How long an end may take to be recorded, and the files of a deleted session to go. */
const ENDING_MS = 1_000;

/**
 * The same, once its end is recorded. A session that is being deleted ends first, or seems lost:
 * that is waited out.
 */
async function settledSession(
  cursor: Pick<Cursor, "id" | "born">,
  world: World,
): Promise<Session | undefined> {
  const deadline = performance.now() + ENDING_MS;
  for (;;) {
    const session = await sameSession(cursor, world);
    if (session === undefined || performance.now() >= deadline) return session;
    const isDeleted = readStopRequest(session.paths)?.by === "delete";
    if (!isLive(session.state) && !isDeleted) return session;
    await sleep(20);
  }
}

/** How long a terminal must be silent to have been drawn, and how long that is waited for. */
const QUIET_MS = 300;
const SETTLE_MS = 1_500;

/** An agent tells that it is blocked before it draws its dialog, and drops keys until then. */
async function drawn(
  { id }: Cursor,
  found: Found,
  { world: { root }, limit: { signal } }: Bounds,
): Promise<void> {
  const status = "status" in found ? found.status : null;
  if (status?.value !== "blocked") return;
  const at = status.since?.getTime();
  const since = { stdout: null, stderr: null, at };
  try {
    await waitFor(id, { for: "idle", idleMs: QUIET_MS }, {
      ...{ root, signal, timeoutMs: SETTLE_MS },
      ...(at !== undefined && { since }),
    });
  } catch (error) {
    // It goes on drawing, or has ended; or the time is up.
    if (!(error instanceof SessionError) && !signal.aborted) throw error;
  }
}

/** Waits on from where the chain is. */
async function find(
  { begin, isFirst, condition }: Wait,
  { world: { root }, limit: { signal } }: Bounds,
  onProgress: (since: LogCursor) => void,
): Promise<Found> {
  const { id, log, all } = begin;
  const isNow = condition.for === "idle" || condition.for === "screen";
  if (all && (isFirst || isNow)) {
    return await waitFor(id, condition, { root, signal, onProgress });
  }
  const takesBoth = all &&
    (condition.for === "status" || condition.for === "turn");
  if (!takesBoth) {
    const where = { root, since: log, signal, onProgress };
    return await waitFor(id, condition, where);
  }
  // What has happened between two calls, or is so now.
  const over = new AbortController();
  const where = { root, signal: AbortSignal.any([signal, over.signal]) };
  const both = [
    waitFor(id, condition, { ...where, since: log }),
    waitFor(id, condition, where),
  ];
  try {
    return await Promise.any<Found>(both);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    over.abort();
    await Promise.allSettled(both);
  }
}

/**
 * Where the next wait begins: behind what was found. Output and events that were not looked for
 * are still to come: reading on there loses nothing.
 */
function cursorBehind(
  { begin, condition }: Wait,
  found: Found,
  { root }: World,
): Cursor {
  const { id, born, turn } = begin;
  try {
    const now = readLogCursor(id, { root });
    const { stdout, stderr } = found.for === "output"
      ? found.cursor
      : found.for === "screen"
      ? now
      : begin.log;
    const { events } = "events" in found ? found : begin.log;
    const log = { stdout, stderr, events, at: now.at };
    // It is to be gone on with: the answer is still to come.
    const isHeld = condition.for === "turn" && "status" in found &&
      found.status?.value === "blocked";
    return { id, born, log, ...(isHeld && { turn }) };
  } catch (error) {
    if (error instanceof SessionError) return begin; // It is gone.
    throw error;
  }
}

/** Tells whether an agent has an answer by now. */
function isOver(found: Found): boolean {
  return found.for === "exit" ||
    (found.for === "turn" && found.status?.value !== "blocked");
}

/** What an agent has said, or why it hasn't. */
interface Said {
  readonly text?: string;
  readonly reason?: string;
}

/** What the agent has said in the turn that is over; nothing for other programs. */
async function answerOf(
  { id, turn }: Cursor,
  found: Found,
  { world: { root }, limit: { signal } }: Bounds,
): Promise<Said> {
  try {
    const said = turn !== undefined && found.for === "turn"
      ? await readTurnAnswer(id, { root, after: turn, signal })
      : await lastAnswer(id, found, { root, signal });
    const { lastTurn, text } = said;
    return lastTurn.state === "done" || lastTurn.state === "unknown"
      ? { text }
      : { reason: describeTurn(lastTurn) };
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    if (error.code === "unsupported" || error.code === "not_found") return {};
    return { reason: error.message.replace(/; to see .*$/, "") };
  }
}

/** How long an agent may take to record what it has told already. */
const PATIENCE_MS = 5_000;

/** The last answer, once the turn is over in the agent's record, too. */
async function lastAnswer(
  id: string,
  found: Found,
  { root, signal }: { readonly root: string; readonly signal: AbortSignal },
): Promise<SessionAnswer> {
  const told = "status" in found ? found.status?.value : undefined;
  const hasEnded = "state" in found && found.state !== undefined;
  const isPending = (turn: TurnMark) =>
    turn === undefined
      ? told === "done" || told === "error"
      : turn.state === "working";
  const deadline = performance.now() + PATIENCE_MS;
  while (!hasEnded && performance.now() < deadline) {
    if (!isPending(await markTurn(id, { root }))) break;
    await sleep(50, signal);
  }
  return await readAnswer(id, { root });
}

function answerFacts(text: string, maxBytes = DEFAULT_MAX_BYTES): object {
  const end = endOfText(cleanText(text), maxBytes);
  return {
    answer: end.text,
    ...(end.leftOutBytes > 0 && { left_out_bytes: end.leftOutBytes }),
  };
}

/** The longest text of a match, in UTF-16 units: more is a mistake in the pattern. */
const MAX_MATCH_LENGTH = 1000;
const MAX_GROUPS = 10;

function matchOf(found: Found): object {
  if (!("match" in found)) return {};
  // A group that takes no part in the match is undefined.
  const texts: readonly (string | undefined)[] = found.match;
  const match = texts.slice(0, MAX_GROUPS + 1).map((text) =>
    text === undefined
      ? null
      : cleanText(text.slice(0, MAX_MATCH_LENGTH).toWellFormed())
  );
  return { match, ...("stream" in found && { stream: found.stream }) };
}

function stateOf(session: Session | undefined, found: Found | undefined) {
  const end = found !== undefined && "state" in found ? found.state : undefined;
  if (session) return stateFacts(end ? { ...session, state: end } : session);
  const code = end && exitStatus(end);
  return {
    state: end?.state === "exited" ? end.state : "deleted",
    ...(code !== undefined && { exit_status: code }),
  };
}

/** What a hint is about. */
interface Seen {
  readonly wait: Wait;
  readonly found: Found | undefined;
  readonly said: Said | undefined;
  /** The status that was found, which may be past. */
  readonly told: SessionStatus | null;
  readonly now: SessionStatus | null;
}

/**
 * What to do next. No word of the program's own is in it: a model may take a hint for an
 * instruction.
 */
function hintFor(session: Session, seen: Seen): string | undefined {
  const { told, now } = seen;
  if (!isLive(session.state)) return hintForEnded(session, seen);
  if (now?.value === "blocked") return hintForBlocked(session, now);
  if (told?.value === "blocked") {
    return "It was blocked, and is so no longer: wait on with this cursor for what came after";
  }
  return seen.found === undefined ? hintForMissed(session, seen) : undefined;
}

function hintForBlocked(
  { meta }: Session,
  { kind }: SessionStatus,
): string {
  const need = `It waits for ${needOf({ kind })}`;
  if (meta !== null && KINDS[meta.kind].accepts.length === 0) {
    return `${need}, but takes no input: stop_session, and start it so that it needs none`;
  }
  const input = kind === "question" ? "text or keys" : "keys";
  return `${need}: look with read_screen, answer with send_input and ${input}, then wait on with this cursor`;
}

/** An agent that hasn't begun so long after its last input will not. */
const RESTING_MS = 10_000;

/** What has been waited for in vain, and may never come. */
function hintForMissed(
  session: Session,
  { wait: { condition }, now }: Seen,
): string | undefined {
  const { meta } = session;
  if (meta === null || KINDS[meta.kind].accepts.length === 0) return undefined;
  if (condition.for !== "turn" && condition.for !== "status") return undefined;
  const agent = agentOf(meta);
  if (now === null && agent === undefined && condition.for === "turn") {
    return 'Nothing tells when a turn of this program is over: wait for "idle=3s", output=REGEX or screen=REGEX instead';
  }
  if (now === null && agent && dialogOf(session)?.isTold === false) {
    return `It has not told yet what it is doing, and may show a dialog: look with read_screen, answer with send_input and keys, then wait on with this cursor`;
  }
  const isResting = now !== null && now.value !== "working" &&
    Date.now() - lastInputAt(session.paths) >= RESTING_MS;
  if (condition.for !== "turn" || !agent || !isResting) return undefined;
  return "It works on nothing now: ask_agent gives it a prompt";
}

function hintForEnded(
  { meta }: Session,
  { wait: { condition }, found, said, told }: Seen,
): string | undefined {
  if (told?.value === "blocked") return "It was blocked, and has ended since";
  if (said?.reason !== undefined) return "read_output shows what it wrote";
  const isAgent = meta !== null && agentOf(meta) !== undefined;
  if (condition.for !== "turn" || found === undefined || isAgent) return;
  return "It has ended, and is no agent that tells its answer: read_output shows what it wrote";
}

/** An error of the library, with what to do next by these tools. */
export async function inWordsOfTools(
  error: unknown,
  { id, createdAt }: Session,
  { world, what }: { readonly world: World; readonly what: string },
): Promise<unknown> {
  if (!(error instanceof SessionError)) return error;
  const { code } = error;
  if (code === "unsupported" && what === "turn") {
    const message =
      `Cannot tell when a turn of session "${id}" is over: an earlier version started it; wait for "idle=10s"`;
    return new SessionError(code, message, { id, cause: error });
  }
  if (code !== "wrong_state") return error;
  const session = await settledSession({ id, born: +createdAt }, world);
  if (session === undefined) return noSuchSession(id);
  const { state } = session;
  const end = isLive(state) ? "" : `: ${describeState(state)}`;
  const message = `Session "${id}" has ended without "${
    briefLine(what, 100)
  }"${end}; read_output shows what it wrote`;
  return new SessionError(code, message, { id, cause: error });
}
