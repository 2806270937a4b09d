/**
 * The tools that wait: `wait_for_session` and `ask_agent`.
 *
 * Clients give a call up after 60 s, so each returns in time and hands on a cursor: a chain of
 * calls finds what one long wait would have found. Nothing is kept between two calls.
 *
 * @module
 */
import { parseDuration } from "../cli/format.ts";
import { parseCondition } from "../cli/wait.ts";
import { type LogCursor, readLogCursor } from "../client/logs.ts";
import { type Condition, type Found, waitFor } from "../client/wait.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { agentOf, lookForConversation } from "../events/conversation.ts";
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
import type { Session } from "../session/find.ts";
import {
  describeState,
  exitStatus,
  isLive,
  KINDS,
  readState,
} from "../store.ts";
import { abortable, sleep, startTimer } from "../system/async.ts";
import { CURSOR, type Cursor, decodeCursor, encodeCursor } from "./cursor.ts";
import { stateFacts, statusFacts } from "./facts.ts";
import { limited } from "./pattern.ts";
import { sessionIn, targetIn, type World } from "./scope.ts";
import {
  cleanText,
  DEFAULT_MAX_BYTES,
  endOfText,
  fact,
  MAX_BYTES,
} from "./text.ts";
import { ID, type Schema, type Tool } from "./tool.ts";
import { awaitPrompt, sendText } from "./typing.ts";

/** Clients give up after 60 s. */
const MOST_MS = 50_000;
const LEAST_MS = 100;

const TIMEOUT: Schema = {
  type: "string",
  maxLength: 20,
  description: "The longest time to wait, up to 50s. Default: 50s",
};

/** The results of both tools. */
const OUTPUT: Readonly<Record<string, Schema>> = {
  id: { type: "string" },
  done: { type: "boolean", description: "false: call again with `cursor`" },
  cursor: { type: "string" },
  state: { type: "string" },
  exit_status: { type: "integer" },
  signal: { type: "string" },
  stopped_by: { type: "string" },
  status: { type: ["string", "null"] },
  status_message: { type: "string" },
  suspended: { type: "boolean" },
  match: {
    type: "array",
    items: { type: ["string", "null"] },
    description: "The text that matches, and its groups",
  },
  stream: { type: "string" },
  answer: { type: "string", description: "What the agent said, the end of it" },
  left_out_bytes: { type: "integer", description: "Of the answer" },
  hint: { type: "string", description: "What to do next" },
};

const WAIT: Tool = {
  name: "wait_for_session",
  title: "Wait for a session",
  description:
    'Waits until something is true of a session, for 50 s at most. Then `done` is false: call again with the same `for` and the returned `cursor`; nothing is missed in between. With a cursor of start_session, send_input or ask_agent only what came after it counts, without one also what is so already. For "turn" and "exit" of an agent you get its `answer`. A turn that has failed (status error), or waits for an approval (status blocked), is `done`, too: read `status_message` and `hint`.',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: {
    id: ID,
    for: {
      type: "string",
      maxLength: 1000,
      description:
        "exit: it has ended. turn: its agent has finished what it was asked. status=blocked,done,error: one of these (also working, idle). output=REGEX: it writes that. screen=REGEX: its terminal shows that. idle=10s: neither output nor input for so long. Default: exit",
    },
    cursor: CURSOR,
    timeout: TIMEOUT,
    max_bytes: MAX_BYTES,
  },
  required: ["id"],
  output: OUTPUT,
  async run(args, { world, signal }) {
    const { id, for: what = "exit", max_bytes: maxBytes } = args;
    const condition = await conditionOf(what);
    using limit = timeLimit(args.timeout, signal);
    const session = await sessionIn(world, id);
    checkScreen(session, condition);
    const begin = args.cursor === undefined
      ? beginningOf(id, world)
      : decodeCursor(id, args.cursor);
    // What it doesn't see is only less known later.
    lookForConversation(session, limit.signal).catch(() => {});
    const isFirst = args.cursor === undefined;
    const wait = { begin, isFirst, condition, maxBytes };
    try {
      return await outcomeOf(wait, { world, limit });
    } catch (error) {
      throw inWordsOfTools(error, session, what);
    }
  },
};

/** The sessions whose answer is being waited for: the next question would get it. */
const asked = new Set<string>();

const ASK: Tool = {
  name: "ask_agent",
  title: "Ask an agent",
  description:
    'Sends a prompt to an agent in a running session (of kind pty), waits until its turn is over, and gives its `answer`. After 50 s at most `done` is false: go on with wait_for_session, for "turn", and the returned `cursor`; don\'t send the prompt again. Refused while the agent works or waits for an approval. A turn that has failed (status error), or waits for an approval (status blocked), is `done` without an answer: read `status_message` and `hint`.',
  annotations: {
    readOnlyHint: false,
    destructiveHint: true,
    openWorldHint: true,
  },
  input: {
    id: ID,
    prompt: { type: "string", minLength: 1, description: "What to tell it" },
    timeout: TIMEOUT,
    max_bytes: MAX_BYTES,
  },
  required: ["id", "prompt"],
  output: OUTPUT,
  async run(args, { world, signal }) {
    const { id, prompt, max_bytes: maxBytes } = args;
    using limit = timeLimit(args.timeout, signal);
    const session = await targetIn(world, id);
    checkTakesPrompts(session);
    const key = session.paths.dir;
    if (asked.has(key)) throw busy(id);
    asked.add(key);
    using _ = { [Symbol.dispose]: () => asked.delete(key) };
    const begin = await ask(session, prompt, { world, limit });
    const condition = { for: "turn" } as const;
    const wait = { begin, isFirst: false, condition, maxBytes };
    try {
      return await outcomeOf(wait, { world, limit });
    } catch (error) {
      throw inWordsOfTools(error, session, "turn");
    }
  },
};

/** The tools. */
export const WAITING: readonly Tool[] = [WAIT, ASK];

/** How long a call may take. */
interface TimeLimit extends Disposable {
  /** Aborted when the time is up, the client has cancelled the call or is gone, or it is over. */
  readonly signal: AbortSignal;
  /** Tells whether only the time is up. */
  readonly isUp: () => boolean;
}

function timeLimit(
  timeout: string | undefined,
  cancelled: AbortSignal,
): TimeLimit {
  const ms = timeout === undefined ? MOST_MS : parseDuration(timeout);
  if (!(ms >= LEAST_MS && ms <= MOST_MS)) {
    throw new ArgumentError(
      `Invalid timeout "${timeout}": use 100ms to 50s, and call again with the returned cursor`,
    );
  }
  const late = new AbortController();
  const timer = startTimer(ms, () => late.abort());
  return {
    signal: AbortSignal.any([cancelled, late.signal]),
    isUp: () => late.signal.aborted && !cancelled.aborted,
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      late.abort();
    },
  };
}

/** What a call works in. */
interface Bounds {
  readonly world: World;
  readonly limit: TimeLimit;
}

async function conditionOf(text: string): Promise<Condition> {
  const condition = parseCondition(text);
  return "pattern" in condition
    ? { ...condition, pattern: await limited(condition.pattern) }
    : condition;
}

/** Where a wait without a cursor begins: all output counts, and what happens from now on. */
function beginningOf(id: string, { root }: World): Cursor {
  const { events, at } = readLogCursor(id, { root });
  return { id, log: { stdout: null, stderr: null, events, at }, all: true };
}

/** A wait, one of a chain. */
interface Wait {
  /** Where the chain begins. */
  readonly begin: Cursor;
  /** Whether it is the first of a chain that has begun without a cursor. */
  readonly isFirst: boolean;
  readonly condition: Condition;
  readonly maxBytes: number | undefined;
}

/** What a call returns: what was found, or that the time is up. */
async function outcomeOf(
  wait: Wait,
  { world, limit }: Bounds,
): Promise<object> {
  const { begin, condition, maxBytes } = wait;
  const { id } = begin;
  let found: Found | undefined;
  let said: Said | undefined;
  let log = begin.log;
  const onProgress = ({ stdout, stderr }: LogCursor) => {
    log = { ...begin.log, stdout, stderr };
  };
  try {
    found = await find(wait, { world, limit }, onProgress);
    if (isOver(found)) said = await answerOf(begin, found, { world, limit });
  } catch (error) {
    if (!limit.isUp()) throw error;
    found = undefined;
  }
  const session = await sessionIn(world, id).catch((error) => {
    // Deleted, by --rm for example.
    if (found !== undefined) return undefined;
    throw error;
  });
  const status = found !== undefined && "status" in found
    ? found.status
    : session
    ? statusOf(session)
    : null;
  const cursor = found === undefined
    ? { ...begin, log }
    : cursorBehind(wait, found, world);
  const hint = said?.hint ??
    hintFor(session, status, found === undefined ? condition : undefined);
  return {
    id,
    done: found !== undefined,
    cursor: encodeCursor(cursor),
    ...stateOf(session, found),
    ...statusFacts(status),
    ...(session && isSuspended(session) && { suspended: true }),
    ...(found && matchOf(found)),
    ...(said?.text !== undefined && answerFacts(said.text, maxBytes)),
    ...(hint !== undefined && { hint }),
  };
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

/** Where the next wait begins: behind what was found. */
function cursorBehind(
  { begin, condition }: Wait,
  found: Found,
  { root }: World,
): Cursor {
  const { id, turn } = begin;
  try {
    const log = readLogCursor(id, { root });
    if (found.for === "output") {
      const { events } = begin.log;
      return { id, log: { ...found.cursor, events, at: log.at } };
    }
    // It is to be gone on with: the answer is still to come.
    const isHeld = condition.for === "turn" && "status" in found &&
      found.status?.value === "blocked";
    return { id, log, ...(isHeld && { turn }) };
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
  readonly hint?: string;
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
      : { hint: `There is no answer: ${describeTurn(lastTurn)}` };
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    if (error.code === "unsupported" || error.code === "not_found") return {};
    const why = error.message.replace(/; to see .*$/, "");
    return { hint: `${fact(why, 500)}; read_output and read_screen show more` };
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
    state: end?.state ?? "deleted",
    ...(code !== undefined && { exit_status: code }),
  };
}

/** What to do about a program that waits for its user, or one that will never tell. */
function hintFor(
  session: Session | undefined,
  status: SessionStatus | null,
  missed: Condition | undefined,
): string | undefined {
  if (!session?.meta || !isLive(session.state)) return undefined;
  if (status?.value === "blocked") {
    const need = `It waits for ${fact(needOf(status), 500)}`;
    if (KINDS[session.meta.kind].accepts.length === 0) {
      return `${need}, but takes no input: stop_session, and start it so that it needs none`;
    }
    const input = status.kind === "question" ? "text or keys" : "keys";
    return `${need}: look with read_screen, answer with send_input and ${input}, then wait on with this cursor`;
  }
  const isSilent = missed?.for === "turn" && status === null &&
    agentOf(session.meta) === undefined;
  if (!isSilent || KINDS[session.meta.kind].accepts.length === 0) return;
  return 'Nothing tells when a turn of this program is over: wait for "idle=3s", output=REGEX or screen=REGEX instead';
}

function checkScreen({ id, meta }: Session, condition: Condition): void {
  if (condition.for !== "screen" || meta === null) return;
  if (KINDS[meta.kind].isTerminal) return;
  throw new SessionError(
    "unsupported",
    `Cannot wait for the screen of session "${id}": it is no terminal; wait for output=REGEX`,
    { id },
  );
}

/** An error of the library, with what to do next by these tools. */
function inWordsOfTools(
  error: unknown,
  { id, paths }: Session,
  what: string,
): unknown {
  if (!(error instanceof SessionError)) return error;
  const { code } = error;
  if (code === "unsupported" && what === "turn") {
    const message =
      `Cannot tell when a turn of session "${id}" is over: an earlier version started it; wait for "idle=10s"`;
    return new SessionError(code, message, { id, cause: error });
  }
  if (code !== "wrong_state") return error;
  const message = `Session "${id}" has ended without "${fact(what, 100)}": ${
    describeState(readState(paths))
  }; read_output shows what it wrote`;
  return new SessionError(code, message, { id, cause: error });
}

/** Sends a prompt; returns where its turn begins. */
async function ask(
  session: Session,
  prompt: string,
  { world, limit }: Bounds,
): Promise<Cursor> {
  const { id } = session;
  const { root } = world;
  const { signal } = limit;
  let isSending = false;
  try {
    await awaitPrompt(session, { signal });
    const turn = await turnBefore(session, world);
    const log = readLogCursor(id, { root });
    isSending = true;
    await abortable(sendText(session, prompt, { signal }), signal);
    return { id, log, turn };
  } catch (error) {
    if (!limit.isUp()) throw error;
    const sent = isSending
      ? "a part of the prompt may have been sent; look with read_screen"
      : "nothing was sent";
    const message = `Timed out sending to session "${id}": ${sent}`;
    throw new SessionError("timeout", message, { id, cause: error });
  }
}

/** The agent's last turn, which must be over: its answer would be taken for that of the next. */
async function turnBefore({ id }: Session, world: World) {
  const { root } = world;
  const turn = await markTurn(id, { root }).catch((error) => {
    const isNone = error instanceof SessionError &&
      error.code === "unsupported";
    throw isNone ? noAnswers(id) : error;
  });
  const status = statusOf(await sessionIn(world, id));
  const isWorking = status === null
    ? turn?.state === "working"
    : status.value === "working";
  if (isWorking) throw busy(id);
  return turn;
}

/** Refuses to ask what takes no prompt, and says what to do instead. */
function checkTakesPrompts({ id, meta, state }: Session): void {
  if (!isLive(state)) {
    const message = `Cannot ask session "${id}": ${
      describeState(state)
    }; start a new one with start_session`;
    throw new SessionError("wrong_state", message, { id });
  }
  if (meta === null || KINDS[meta.kind].accepts.length > 0) return;
  throw new SessionError(
    "wrong_state",
    `Cannot ask session "${id}": it has one turn and takes no input (kind ${meta.kind}); wait_for_session gives its answer; to ask more, start_session with kind pty`,
    { id },
  );
}

function busy(id: string): SessionError {
  return new SessionError(
    "wrong_state",
    `Cannot ask session "${id}": its agent still works on what it was asked before; wait_for_session, for "turn", first; to steer what it does, use send_input`,
    { id },
  );
}

function noAnswers(id: string): SessionError {
  return new SessionError(
    "unsupported",
    `Cannot ask session "${id}": it runs no agent whose answers can be read; use send_input, then wait_for_session with its cursor, for "idle=3s" or output=REGEX, then read_output or read_screen`,
    { id },
  );
}
