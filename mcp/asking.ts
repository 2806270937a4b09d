/**
 * The tool that asks an agent and waits for its answer: `ask_agent`.
 *
 * @module
 */
import { readLogCursor } from "../client/logs.ts";
import { SessionError } from "../errors.ts";
import { statusOf } from "../events/status.ts";
import { markTurn } from "../run/answer.ts";
import type { Session } from "../session/find.ts";
import { describeState, isLive, KINDS } from "../store.ts";
import { abortable } from "../system/async.ts";
import { type Cursor } from "./cursor.ts";
import {
  type Bounds,
  inWordsOfTools,
  outcomeOf,
  OUTPUT,
  timeLimit,
  TIMEOUT,
} from "./outcome.ts";
import { sessionIn, targetIn, type World } from "./scope.ts";
import { MAX_BYTES } from "./text.ts";
import { ID, type Tool } from "./tool.ts";
import { awaitPrompt, checkPrompt, sendText } from "./typing.ts";

/** The sessions whose answer is being waited for: the next question would get it. */
const asked = new Set<string>();

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
