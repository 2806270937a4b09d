/**
 * The tool that waits: `wait_for_session`.
 *
 * @module
 */
import { parseCondition } from "../cli/wait.ts";
import { readLogCursor } from "../client/logs.ts";
import { type Condition } from "../client/wait.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { lookForConversation } from "../events/conversation.ts";
import type { Session } from "../session/find.ts";
import { KINDS } from "../store.ts";
import { CURSOR, type Cursor, cursorOf, placeIn } from "./cursor.ts";
import { limited } from "./pattern.ts";
import { inWordsOfTools, outcomeOf, OUTPUT } from "./outcome.ts";
import { sessionIn, type World } from "./scope.ts";
import { MAX_BYTES } from "./text.ts";
import { timeLimit, TIMEOUT } from "./time_limit.ts";
import { ID, type Tool } from "./tool.ts";

/** `wait_for_session`. */
export const WAIT: Tool = {
  name: "wait_for_session",
  title: "Wait for a session",
  description:
    'Waits until something is true of a session, for 50 s at most. Then `done` is false: call again with the same `for` and the returned `cursor`; nothing is missed in between. With a cursor of start_session, send_input or ask_agent only what came after it counts, without one also what is so already. For "turn" and "exit" of an agent you get its `answer`. A turn that has failed (status error), or waits for an approval (status blocked), is `done`, too: read `status_message`, `reason` and `hint`.',
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
      ? beginningOf(session, world)
      : cursorOf(session, args.cursor);
    // What it doesn't see is only less known later.
    lookForConversation(session, limit.signal).catch(() => {});
    const isFirst = args.cursor === undefined;
    const wait = { begin, isFirst, condition, maxBytes };
    try {
      return await outcomeOf(wait, { world, limit });
    } catch (error) {
      throw await inWordsOfTools(error, session, { world, what });
    }
  },
};

/** The conditions that need a value, with one. */
const EXAMPLES: Readonly<Record<string, string>> = {
  idle: "idle=10s",
  output: "output=tests passed",
  screen: "screen=tests passed",
  status: "status=blocked,done,error",
};

async function conditionOf(text: string): Promise<Condition> {
  const name = text.replace(/=$/, "");
  if (Object.hasOwn(EXAMPLES, name)) {
    const example = `"${name}" needs a value, such as "${EXAMPLES[name]}"`;
    throw new ArgumentError(`Invalid condition "${text}": ${example}`);
  }
  if (text === "exit=" || text === "turn=") {
    throw new ArgumentError(`Invalid condition "${text}": use "${name}"`);
  }
  const condition = parseCondition(text);
  return "pattern" in condition
    ? { ...condition, pattern: await limited(condition.pattern) }
    : condition;
}

/** Where a wait without a cursor begins: all output counts, and what happens from now on. */
function beginningOf(session: Session, { root }: World): Cursor {
  const { events, at } = readLogCursor(session.id, { root });
  const log = { stdout: null, stderr: null, events, at };
  return { ...placeIn(session, log), all: true };
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
