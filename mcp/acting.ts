/**
 * The tools that act on sessions: `send_input`, `stop_session`, `delete_session`.
 *
 * @module
 */
import { stopOrEnded, usualGrace } from "../cli/ending.ts";
import { parseDuration } from "../cli/format.ts";
import { sendEof } from "../client/input.ts";
import { cursorNow } from "./cursor.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { encodeKey } from "../screen/keys.ts";
import { markTurn, type TurnMark } from "../run/answer.ts";
import { targetIn } from "./scope.ts";
import type { Session } from "../session/find.ts";
import { deleteSession } from "../session/stop.ts";
import { exitStatus, KINDS } from "../store.ts";
import { bytesIn } from "./text.ts";
import { MOST_MS, timeLimit } from "./time_limit.ts";
import { ID, type Tool } from "./tool.ts";
import { awaitPrompt, sendText } from "../run/typing.ts";
import { briefLine } from "../screen/clean_text.ts";

/** The longest grace: SIGKILL and its record may take 15 s more. */
const MOST_GRACE_MS = 30_000;
/** The longest text. */
const MOST_TEXT_BYTES = 1024 * 1024;

/** The arguments of `send_input`. */
interface Send {
  readonly id: string;
  readonly text?: string;
  readonly enter?: boolean;
  readonly keys?: readonly string[];
  readonly eof?: boolean;
  readonly force?: boolean;
}

const send: Tool = {
  name: "send_input",
  title: "Send input",
  description:
    "Types text, or presses keys, in a session of kind pty; sends a line to one of kind repl. To ask an \
agent, use ask_agent. Text is refused while the agent waits for a permission, since Enter would \
approve it: read_screen, then answer with keys. The cursor is from before the input: for \
wait_for_session, or for read_output.",
  annotations: {
    readOnlyHint: false,
    destructiveHint: true,
    idempotentHint: false,
    openWorldHint: true,
  },
  input: {
    id: ID,
    text: {
      type: "string",
      maxLength: MOST_TEXT_BYTES,
      description: "The text, as it is",
    },
    enter: {
      type: "boolean",
      description:
        "Press Enter, or end the line, after the text. Default: true without keys",
    },
    keys: {
      type: "array",
      items: { type: "string", maxLength: 30 },
      minItems: 1,
      maxItems: 100,
      description:
        "Keys to press, after the text: enter, escape, tab, up, pagedown, f1, ctrl-c (or C-c), alt-x, y, …",
    },
    eof: {
      type: "boolean",
      description: "End the input of a session of kind repl, after the text",
    },
    force: {
      type: "boolean",
      description: "Type the text even if it would answer a dialog",
    },
  },
  required: ["id"],
  output: { id: { type: "string" }, cursor: { type: "string" } },
  async run(args: Send, { world, signal }) {
    const { id, text, keys = [], eof = false, force } = args;
    const enter = args.enter ?? (text !== undefined && keys.length === 0);
    if (text === undefined && keys.length === 0 && !enter && !eof) {
      throw new ArgumentError("Nothing to send: give text, keys or eof");
    }
    if (text !== undefined && bytesIn(text) > MOST_TEXT_BYTES) {
      throw new ArgumentError(
        `Invalid text: it has more than ${MOST_TEXT_BYTES} bytes`,
      );
    }
    keys.forEach((key) => encodeKey(key)); // Before anything is typed.
    const session = await targetIn(world, id);
    checkAccepts(session, { keys, eof });
    return await inTime(`Input of session "${id}"`, signal, async (signal) => {
      const isText = text !== undefined || enter;
      if (isText) await awaitPrompt(session, { force, signal });
      const { root } = world;
      const turn = await turnOf(id, root);
      const cursor = cursorNow(session, { root, turn });
      if (isText || keys.length > 0) {
        await sendText(session, text ?? "", { enter, keys, signal });
      }
      if (eof) await sendEof(id, { root, signal });
      return { id, cursor };
    });
  },
};

/** The last turn of a session's agent, to tell the next one's answer from; none of other programs. */
async function turnOf(id: string, root: string): Promise<TurnMark> {
  try {
    return await markTurn(id, { root });
  } catch (error) {
    if (error instanceof SessionError) return undefined;
    throw error;
  }
}

/** Refuses what a session of this kind can't be sent; the library refuses the rest. */
function checkAccepts(
  { id, meta }: Session,
  { keys, eof }: { readonly keys: readonly string[]; readonly eof: boolean },
): void {
  if (meta === null) return;
  const { accepts } = KINDS[meta.kind];
  const unsupported = (message: string) =>
    new SessionError("unsupported", message, { id });
  if (accepts.length === 0) {
    throw unsupported(
      `Cannot send to session "${id}": it takes no input (kind ${meta.kind}); start_session with kind repl or pty starts one that does`,
    );
  }
  if (keys.length > 0 && !accepts.includes("keys")) {
    throw unsupported(
      `Cannot press keys in session "${id}": it is no terminal (kind ${meta.kind})`,
    );
  }
  if (eof && !accepts.includes("eof")) {
    throw unsupported(
      `Cannot end the input of terminal session "${id}": press ctrl-d with keys instead`,
    );
  }
}

const stop: Tool = {
  name: "stop_session",
  title: "Stop a session",
  description:
    "Ends all processes of a session: SIGTERM, then SIGKILL after the grace. Returns when they are gone; \
also if it has ended already. Its output is kept.",
  annotations: {
    readOnlyHint: false,
    destructiveHint: true,
    idempotentHint: true,
    openWorldHint: false,
  },
  input: {
    id: ID,
    grace: {
      type: "string",
      description: `At most ${
        MOST_GRACE_MS / 1000
      }s. Default: the user's, or 10s`,
    },
  },
  required: ["id"],
  output: {
    id: { type: "string" },
    state: { type: "string" },
    exit_status: { type: "integer" },
    notice: { type: "string" },
  },
  async run({ id, grace }: { id: string; grace?: string }, { world, signal }) {
    const { root } = world;
    const graceMs = grace === undefined ? shortGrace() : graceIn(grace);
    await targetIn(world, id);
    const what = `The stop of session "${id}"`;
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const { state } = await inTime(
      what,
      signal,
      (signal) => stopOrEnded(id, { root, graceMs, onNotice, signal }),
    );
    const status = exitStatus(state);
    return {
      id,
      state: state.state,
      ...status !== undefined && { exit_status: status },
      ...noticeOf(notices),
    };
  },
};

/** The user's grace, as far as a call may take. */
function shortGrace(): number | undefined {
  const graceMs = usualGrace();
  return graceMs && Math.min(graceMs, MOST_GRACE_MS);
}

function graceIn(text: string): number {
  const graceMs = parseDuration(text);
  if (graceMs <= MOST_GRACE_MS) return graceMs;
  throw new ArgumentError(
    `Invalid grace "${text}": use ${MOST_GRACE_MS / 1000}s at most`,
  );
}

function noticeOf(notices: readonly string[]): { readonly notice?: string } {
  return notices.length === 0
    ? {}
    : { notice: briefLine(notices.join("; "), 1000) };
}

const remove: Tool = {
  name: "delete_session",
  title: "Delete a session",
  description:
    "Deletes an ended session with its output, for good. With force, it stops a running one first.",
  annotations: {
    readOnlyHint: false,
    destructiveHint: true,
    idempotentHint: false,
    openWorldHint: false,
  },
  input: {
    id: ID,
    force: { type: "boolean", description: "Delete it even if it runs" },
  },
  required: ["id"],
  output: {
    id: { type: "string" },
    deleted: { type: "boolean" },
    notice: { type: "string" },
  },
  async run(
    { id, force }: { id: string; force?: boolean },
    { world, signal },
  ) {
    const { root } = world;
    await targetIn(world, id);
    const graceMs = shortGrace();
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    await inTime(
      `The deletion of session "${id}"`,
      signal,
      (signal) => deleteSession(id, { root, force, graceMs, onNotice, signal }),
    );
    return { id, deleted: true, ...noticeOf(notices) };
  },
};

/**
 * Gives up work that takes too long for a client.
 *
 * @throws {SessionError} `timeout`.
 */
async function inTime<T>(
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = timeLimit(undefined, signal);
  try {
    return await work(limit.signal);
  } catch (error) {
    if (!limit.isUp()) throw error;
    const message = `${what} is not done within ${MOST_MS / 1000} s`;
    throw new SessionError("timeout", message, { cause: error });
  }
}

/** The tools. */
export const ACTING: readonly Tool[] = [send, stop, remove];
