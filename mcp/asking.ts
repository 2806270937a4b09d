/**
 * The tool that asks an agent and waits for its answer: `ask_agent`.
 *
 * @module
 */
import { readLogCursor } from "../client/logs.ts";
import { waitFor } from "../client/wait.ts";
import { SessionError } from "../errors.ts";
import { statusOf } from "../events/status.ts";
import { markTurn } from "../run/answer.ts";
import type { Session } from "../session/find.ts";
import { describeState, isLive, KINDS, noSuchSession } from "../store.ts";
import { abortable } from "../system/async.ts";
import { openFile } from "../system/files.ts";
import { type Cursor, placeIn } from "./cursor.ts";
import { type Bounds, inWordsOfTools, outcomeOf, OUTPUT } from "./outcome.ts";
import { sessionIn, targetIn, type World } from "./scope.ts";
import { MAX_BYTES } from "./text.ts";
import { type TimeLimit, timeLimit, TIMEOUT } from "./time_limit.ts";
import { ID, type Tool } from "./tool.ts";
import { checkPrompt } from "./prompt.ts";
import { awaitPrompt, sendText } from "../run/typing.ts";

/** How long an agent may take to tell that it works on its prompt, in milliseconds. */
const BEGIN_MS = 3000;
/** What it tells then, of a short turn perhaps only the end. */
const BEGUN = ["working", "blocked", "error", "done"] as const;

/** `ask_agent`. */
export const ASK: Tool = {
  name: "ask_agent",
  title: "Ask an agent",
  description:
    'Sends a prompt to an agent in a running session (of kind pty), waits until its turn is over, and gives its `answer`. After 50 s at most `done` is false: go on with wait_for_session, for "turn", and the returned `cursor`; don\'t send the prompt again. Refused while the agent works or waits for an approval. A turn that has failed (status error), or waits for an approval (status blocked), is `done` without an answer: read `status_message`, `reason` and `hint`.',
  annotations: {
    readOnlyHint: false,
    destructiveHint: true,
    openWorldHint: true,
  },
  input: {
    id: ID,
    prompt: {
      type: "string",
      minLength: 1,
      description: "What to tell it, beginning with a word",
    },
    timeout: TIMEOUT,
    max_bytes: MAX_BYTES,
  },
  required: ["id", "prompt"],
  output: OUTPUT,
  async run(args, { world, signal }) {
    const { id, prompt, max_bytes: maxBytes } = args;
    checkPrompt(prompt);
    using limit = timeLimit(args.timeout, signal);
    const session = await targetIn(world, id);
    checkTakesPrompts(session);
    using _ = lockQuestions(session);
    const bounds = { world, limit };
    const begin = await beginIn(session, bounds);
    const condition = { for: "turn" } as const;
    const wait = { begin, isFirst: false, condition, maxBytes };
    let isDone = false;
    try {
      await tell(session, prompt, limit);
      const outcome = await outcomeOf(wait, bounds).catch(async (error) => {
        throw await inWordsOfTools(error, session, { world, what: "turn" });
      });
      isDone = outcome.done;
      return outcome;
    } finally {
      if (!isDone) await untilBegun(begin, world);
    }
  },
};

/**
 * Keeps other questions out, also those of other servers: they would get this one's answer. Nothing
 * else locks the metadata of a terminal session; the death of this process frees it.
 */
function lockQuestions({ id, paths }: Session): Disposable {
  const file = openFile(paths.meta);
  if (file === undefined) throw noSuchSession(id);
  if (file.tryLock("exclusive")) return file;
  file[Symbol.dispose]();
  throw busy(id);
}

/** Where the next turn begins, once the agent takes a prompt. */
async function beginIn(
  session: Session,
  { world, limit }: Bounds,
): Promise<Cursor> {
  const { id } = session;
  const { root } = world;
  try {
    await awaitPrompt(session, limit);
    const turn = await turnBefore(session, world);
    const log = readLogCursor(id, { root });
    return { ...placeIn(session, log), turn };
  } catch (error) {
    throw limit.isUp() ? timedOut(id, "nothing was sent", error) : error;
  }
}

/** Sends a prompt. */
async function tell(
  session: Session,
  prompt: string,
  { signal, isUp }: TimeLimit,
): Promise<void> {
  try {
    await abortable(sendText(session, prompt, { signal }), signal);
  } catch (error) {
    if (!isUp()) throw error;
    const sent =
      "a part of the prompt may have been sent; look with read_screen";
    throw timedOut(session.id, sent, error);
  }
}

function timedOut(id: string, sent: string, cause: unknown): SessionError {
  const message = `Timed out sending to session "${id}": ${sent}`;
  return new SessionError("timeout", message, { id, cause });
}

/** Waits until the agent tells of its turn: before, nothing in its status refuses another question. */
async function untilBegun(
  { id, log }: Cursor,
  { root }: World,
): Promise<void> {
  const condition = { for: "status", values: BEGUN } as const;
  const options = { root, since: log, timeoutMs: BEGIN_MS };
  try {
    await waitFor(id, condition, options);
  } catch (error) {
    // It tells nothing, has not taken the prompt, or has ended.
    if (!(error instanceof SessionError)) throw error;
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
  if (meta === null || KINDS[meta.kind].isTerminal) return;
  if (KINDS[meta.kind].accepts.length > 0) throw noAnswers(id);
  throw new SessionError(
    "unsupported",
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
    `Cannot ask session "${id}": it is no terminal (kind pty) with an agent whose answers can be read; use send_input, then wait_for_session with its cursor, for "idle=3s" or output=REGEX, then read_output or read_screen`,
    { id },
  );
}
