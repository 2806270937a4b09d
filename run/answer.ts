/**
 * What the agent of a session has said last, as the agent itself has recorded it.
 *
 * Two sessions can have one conversation, one after the other: the first one's answer is what
 * was recorded until it ended, the second one's what was recorded since it began.
 *
 * @module
 */
import type { Agent } from "../agents/agent.ts";
import { AGENTS } from "../agents/agents.ts";
import { readTranscript } from "../agents/conversation.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import {
  linesFromEnd,
  MAX_BYTES,
  MAX_LINES,
  MAX_VALUES,
  messageIn,
  type Transcript,
  type Turn,
} from "../agents/transcript.ts";
import { checkOptions, SessionError } from "../errors.ts";
import {
  agentOf,
  isOneTurn,
  type KnownConversation,
  knownConversation,
} from "../events/conversation.ts";
import { getSession, listSessions, type Session } from "../session/find.ts";
import {
  describeState,
  exitStatus,
  isLive,
  KINDS,
  type Meta,
  type RootOptions,
  timesAt,
} from "../store.ts";
import { sleep } from "../system/async.ts";
import { openFile, readFile } from "../system/files.ts";

/** The last answer of a session's agent. */
export interface SessionAnswer {
  /** The session's id. */
  readonly id: string;
  /** The agent's name. */
  readonly agent: string;
  /** The conversation's id; `null` if only the agent's output tells the answer. */
  readonly conversation: string | null;
  /** The message, exactly as the agent recorded it: it may hold anything. */
  readonly text: string;
  /** The agent's own name for the turn; `null` if it isn't known. */
  readonly turn: string | null;
  /** When it was recorded; `null` if that isn't known. */
  readonly at: Date | null;
  /** What the turn has cost: all tokens that were read and written, also those from a cache. */
  readonly tokens?: { readonly input: number; readonly output: number };
  /** What the turn has cost in US dollars, as the agent has counted it. */
  readonly costUsd?: number;
  /** The last turn. Unless it is `done`, the answer is an earlier one's. */
  readonly lastTurn: LastTurn;
}

/** The last turn of a session's agent. */
export interface LastTurn {
  /** `ended`: the agent has ended in the middle of it. `unknown`: its record doesn't tell. */
  readonly state:
    | "working"
    | "done"
    | "aborted"
    | "failed"
    | "ended"
    | "unknown";
  /** Why it failed, or is unknown, for people: one line without control characters. */
  readonly message?: string;
  /** The status of the HTTP response that made it fail. */
  readonly httpStatus?: number;
}

/**
 * The last answer of a session's agent, as the agent itself has recorded it. Works for sessions
 * that run, have ended or are lost.
 *
 * Needs the permissions of `listProcesses()`, and `--allow-read` of the agent's folder.
 *
 * @throws {SessionError} `not_found`; `unsupported` if it runs no agent that is known, or one
 * whose answers can't be read; `no_conversation`; `no_answer` if it has not answered yet;
 * `turn_failed` if it has not, because its turn has failed.
 *
 * @example
 * ```ts
 * import { createSession, readAnswer, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["claude", "-p", "explain this"] });
 * await waitForSession(id);
 * console.log((await readAnswer(id)).text);
 * ```
 */
export async function readAnswer(
  id: string,
  options: RootOptions = {},
): Promise<SessionAnswer> {
  checkOptions(options);
  const session = await getSession(id, options);
  return answerIn(session, await listen(session, options));
}

/** The last turn of a session's agent, to tell a later one from it. */
export type TurnMark = Pick<Turn, "id" | "state"> | undefined;

/** The last turn of a session's agent now; `undefined` if there is none, or it isn't known. */
export async function markTurn(
  id: string,
  options: RootOptions = {},
): Promise<TurnMark> {
  const session = await getSession(id, options);
  try {
    return (await listen(session, options)).transcript.turn ?? undefined;
  } catch (error) {
    if (!isEarly(error)) throw error;
  }
}

/** Tells whether there is no record that is known: before the first prompt, there is none. */
function isEarly(error: unknown): boolean {
  return error instanceof SessionError &&
    ["no_conversation", "no_answer"].includes(error.code);
}

/** Options of {@linkcode readTurnAnswer}. */
export interface TurnAnswerOptions extends RootOptions {
  /** The last turn before the one that is asked for. */
  readonly after: TurnMark;
  /** How long the agent may take to record what it has told already, in milliseconds. @default {5000} */
  readonly patienceMs?: number;
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * The answer of the turn that has come after another one, and is over.
 *
 * @throws {SessionError} like {@linkcode readAnswer}; also if that turn has ended without answer.
 */
export async function readTurnAnswer(
  id: string,
  options: TurnAnswerOptions,
): Promise<SessionAnswer> {
  const { after, patienceMs = 5_000, signal } = options;
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const session = await getSession(id, options);
    const isLate = performance.now() > deadline;
    const heard = await listen(session, options).catch((error) => {
      if (!isEarly(error) || isLate) throw error;
    });
    if (heard) {
      const { transcript, ...rest } = heard;
      const { turn, answer } = transcript;
      // What was working before is over now.
      const isNext = turn && turn.state !== "working" &&
        (turn.id !== after?.id || after?.state === "working");
      if (isNext || isLate) {
        const isIts = isNext && answer && answer.turn === turn.id;
        const own = {
          turn: isNext ? turn : undefined,
          ...(isIts && { answer }),
          ...(!isNext && transcript.isCut && { isCut: true }),
        };
        return answerIn(session, { ...rest, transcript: own });
      }
    }
    await sleep(50, signal);
  }
}

/** What an agent has said in a session. */
interface Heard {
  readonly agent: Agent;
  readonly conversation?: KnownConversation;
  readonly transcript: Transcript;
}

/** Reads what the agent of a session has said, from its record, else from its output. */
async function listen(
  session: Session,
  options: RootOptions,
): Promise<Heard> {
  const { id, meta } = session;
  if (meta === null) {
    const message = `Cannot read what was said in session "${id}": ${
      describeState(session.state)
    }`;
    throw new SessionError("damaged", message, { id });
  }
  const conversation = knownConversation(session);
  const agent = conversation?.agent ?? agentOf(meta);
  if (agent === undefined) throw noAgent(id);
  if (agent.readLines === undefined) {
    const message =
      `Cannot read the answer of session "${id}": ${agent.name} keeps no record of it that this version can read; use logs or screen`;
    throw new SessionError("unsupported", message, { id });
  }
  const untilMs = isLive(session.state)
    ? Infinity
    : await endOf(session, options);
  const record = conversation && readTranscript(conversation, { untilMs });
  const recorded = record && sinceStart(record, agent, meta);
  const printed = readOutput(session, agent);
  const transcript = recorded?.turn || recorded?.answer
    ? withCost(recorded, printed)
    : printed ?? recorded;
  if (transcript !== undefined) {
    return { agent, ...(conversation && { conversation }), transcript };
  }
  throw conversation === undefined
    ? unknownConversation(session, agent)
    : noRecord(session, conversation);
}

/** The clock of files lags behind by some milliseconds. */
const CLOCK_MS = 20;

/** When a session ended, or at the latest: when another one went on with its conversation. */
async function endOf(
  { id, paths }: Session,
  options: RootOptions,
): Promise<number> {
  const { endedAt } = timesAt(paths);
  if (endedAt !== null) return endedAt.getTime() + CLOCK_MS;
  const next = (await listSessions(options))
    .filter(({ meta }) => meta?.resumes === id)
    .map(({ createdAt }) => createdAt.getTime());
  return Math.min(Infinity, ...next);
}

/** What was recorded before a session that goes on with a conversation is none of its own. */
function sinceStart(
  record: Transcript,
  agent: Agent,
  meta: Meta,
): Transcript {
  const { args } = recognizeAgent(meta.argv) ?? { args: [] };
  if (!meta.resumes && agent.idInArguments(args) === undefined) return record;
  const start = Date.parse(meta.createdAt);
  const { turn, answer, isCut } = record;
  const isOwn = (at: number | undefined) => at === undefined || at >= start;
  return {
    turn: turn && isOwn(turn.since) ? turn : turn && null,
    ...(answer && isOwn(answer.at) && { answer }),
    ...(isCut && { isCut }),
  };
}

/** More than an answer should have. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** What the output of one turn tells; `undefined` if that is nothing. */
function readOutput(
  { meta, paths, state }: Session,
  agent: Agent,
): Transcript | undefined {
  const { args } = recognizeAgent(meta!.argv) ?? {};
  if (!args || !isOneTurn(meta!) || !agent.readOutput) return undefined;
  using file = openFile(paths.stdout);
  const told = file && agent.readOutput(args, linesFromEnd(file));
  if (told !== "text") return told?.turn ? told : undefined;
  if (state.state !== "exited") return undefined;
  if (exitStatus(state) !== 0) {
    // Both agents end it with what went wrong, unless a signal has ended them.
    const [last] = file && "code" in state.ending ? linesFromEnd(file) : [];
    const message = messageIn(last) ??
      `${describeState(state)}; to see why: codex-session logs ${paths.id}`;
    return { turn: { state: "failed", message } };
  }
  // Both agents end it with a newline of their own.
  const text = readFile(paths.stdout, MAX_OUTPUT_BYTES)?.replace(/\n$/, "");
  if (!text) return undefined;
  const at = timesAt(paths).endedAt?.getTime();
  return { turn: { state: "done" }, answer: { text, at } };
}

/** A record with the cost that only the output tells. */
function withCost(record: Transcript, printed?: Transcript): Transcript {
  const costUsd = printed?.answer?.costUsd;
  const { turn, answer } = record;
  const isSame = answer?.text === printed?.answer?.text;
  if (!answer || !isSame || costUsd === undefined) return record;
  return { turn, answer: { ...answer, costUsd } };
}

/** The answer in what was heard, or the error for why there is none. */
function answerIn(
  session: Session,
  { agent, conversation, transcript }: Heard,
): SessionAnswer {
  const { answer } = transcript;
  const lastTurn = stateOf(transcript, session);
  if (answer === undefined) throw noAnswer(session, lastTurn);
  const { text, at, tokens, costUsd } = answer;
  return {
    id: session.id,
    agent: agent.name,
    conversation: conversation?.id ?? null,
    text,
    turn: answer.turn ?? null,
    at: at === undefined ? null : new Date(at),
    ...(tokens && { tokens }),
    ...(costUsd !== undefined && { costUsd }),
    lastTurn,
  };
}

/** What was read of a record. */
const READ = `${
  MAX_BYTES / 1024 / 1024
} MiB (or ${MAX_LINES} lines, or ${MAX_VALUES} values) of its record`;

function stateOf({ turn, isCut }: Transcript, { state }: Session): LastTurn {
  if (!turn) {
    const message = `its turn is not within the last ${READ}`;
    return { state: "unknown", ...(isCut && { message }) };
  }
  const { message, httpStatus } = turn;
  if (turn.state === "working" && !isLive(state)) return { state: "ended" };
  return {
    state: turn.state,
    ...(message !== undefined && { message }),
    ...(httpStatus !== undefined && { httpStatus }),
  };
}

/** What became of a turn that has brought no answer, in words. */
export function describeTurn(turn: LastTurn): string {
  switch (turn.state) {
    case "working":
      return "its turn is not over yet";
    case "failed": {
      const { message = "it does not say why", httpStatus } = turn;
      const isIn = httpStatus === undefined ||
        message.includes(`${httpStatus}`);
      return `its turn failed: ${message}${
        isIn ? "" : ` (HTTP ${httpStatus})`
      }`;
    }
    case "aborted":
      return "its turn was interrupted";
    case "ended":
      return "it ended in the middle of its turn";
    case "done":
      return "its turn ended without a message";
    case "unknown":
      return turn.message ?? "its record has no turn of it";
    default:
      return turn.state satisfies never;
  }
}

function noAnswer({ id }: Session, turn: LastTurn): SessionError {
  const isFailed = turn.state === "failed";
  const message = `No answer in session "${id}": ${describeTurn(turn)}`;
  return new SessionError(isFailed ? "turn_failed" : "no_answer", message, {
    id,
  });
}

function noAgent(id: string): SessionError {
  const names = AGENTS.filter(({ readLines }) => readLines)
    .map(({ name }) => name).join(" and ");
  const message =
    `Cannot read the answer of session "${id}": it runs no agent whose answers are known (${names}); use logs or screen`;
  return new SessionError("unsupported", message, { id });
}

/** The error for a conversation that nobody has seen for certain. */
function unknownConversation(session: Session, agent: Agent): SessionError {
  const { id, state } = session;
  if (isLive(state)) {
    const message =
      `No answer in session "${id}": ${agent.name} has not recorded anything yet, or it isn't known for certain where`;
    return new SessionError("no_answer", message, { id });
  }
  const message =
    `Cannot tell for certain which conversation of ${agent.name} session "${id}" has: it has not begun, or nobody looked while it ran; ${
      outputHint(session)
    }`;
  return new SessionError("no_conversation", message, { id });
}

function noRecord(
  session: Session,
  { agent, home }: KnownConversation,
): SessionError {
  const { id, state } = session;
  const where = home === undefined ? "its folder is not known" : `in ${home}`;
  const why = isLive(state)
    ? `${agent.name} has not recorded anything yet`
    : `${agent.name} has no record of its conversation, ${where}; ${
      outputHint(session)
    }`;
  const message = `No answer in session "${id}": ${why}`;
  return new SessionError("no_answer", message, { id });
}

/** Where to look instead. */
function outputHint({ id, meta }: Session): string {
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  const command = isTerminal ? "screen" : "logs";
  return `to see its output: codex-session ${command} ${id}`;
}
