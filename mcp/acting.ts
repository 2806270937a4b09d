/**
 * The tools that act: `start_session`, `send_input`, `stop_session`, `delete_session`.
 *
 * They apply the user's configuration as the command line does: agent, size and log limit of
 * terminals, notifier, grace.
 *
 * @module
 */
import { configured, parseTerminalSize } from "../cli/config.ts";
import { parseDuration, parsePeriod } from "../cli/format.ts";
import { isEnded } from "../cli/left_over.ts";
import { defaultAgent, linesOf } from "../cli/start.ts";
import { sendEof } from "../client/input.ts";
import { cursorNow, encodeCursor } from "./cursor.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { encodeKey } from "../screen/keys.ts";
import { markTurn, type TurnMark } from "../run/answer.ts";
import { targetIn } from "./scope.ts";
import { type CreateOptions, createSession } from "../session/create.ts";
import { getSession, type Session } from "../session/find.ts";
import { PARENT } from "../session/parent.ts";
import { deleteSession, stopSession } from "../session/stop.ts";
import { exitStatus, type Kind, KIND_NAMES, KINDS } from "../store.ts";
import { startTimer } from "../system/async.ts";
import { bytesIn, fact } from "./text.ts";
import { ID, type Schema, type Tool } from "./tool.ts";
import { awaitPrompt, sendText } from "./typing.ts";

/** The longest time of a call, in milliseconds: clients give up after 60 s. */
const MOST_MS = 50_000;
/** The longest grace: SIGKILL and its record may take 15 s more. */
const MOST_GRACE_MS = 30_000;
/** The longest text. */
const MOST_TEXT_BYTES = 1024 * 1024;
/** The longest prompt, in characters: on Linux an argument has 128 KiB at most. */
const MOST_PROMPT_LENGTH = 100_000;

const TEXTS: Schema = {
  type: "object",
  additionalProperties: { type: "string" },
};

/** The arguments of `start_session`. */
interface Start {
  readonly command?: readonly string[];
  readonly agent?: string;
  readonly prompt?: string;
  readonly kind?: Kind;
  readonly id?: string;
  readonly cwd?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout?: string;
}

const startSession: Tool = {
  name: "start_session",
  title: "Start a session",
  description:
    "Starts a command, or a coding agent with a prompt, as a background session and returns at once. \
Give either command, or agent and prompt. Then wait_for_session with the id and cursor; read_output, \
or read_screen for kind pty.",
  annotations: {
    readOnlyHint: false,
    destructiveHint: false,
    idempotentHint: false,
    openWorldHint: true,
  },
  input: {
    command: {
      type: "array",
      items: { type: "string" },
      minItems: 1,
      description:
        'The program and its arguments, without a shell; for one: ["sh", "-c", "…"]',
    },
    agent: {
      type: "string",
      description:
        "codex, claude, gemini or opencode; default: the user's. codex with kind exec works in a git \
repository only, or in a directory that its user trusts",
    },
    prompt: {
      type: "string",
      minLength: 1,
      maxLength: MOST_PROMPT_LENGTH,
      description: "What the agent is to do; name a file for what is long",
    },
    kind: {
      type: "string",
      enum: KIND_NAMES,
      description:
        "exec: no input, runs to its end; an agent does one turn. repl: reads lines that send_input \
sends. pty: a terminal; an agent can be asked again with ask_agent. Default: exec for a command, pty \
for an agent",
    },
    id: {
      type: "string",
      description: "1 to 64 letters, digits, - and _. Default: a new name",
    },
    cwd: {
      type: "string",
      minLength: 1,
      description: "The directory to run in. Default: the server's",
    },
    labels: {
      ...TEXTS,
      description: "To find it with list_sessions",
    },
    env: { ...TEXTS, description: "Variables to add to the environment" },
    timeout: {
      type: "string",
      description: "Stop it after this time, such as 10m. Default: never",
    },
  },
  output: {
    id: { type: "string" },
    kind: { type: "string" },
    agent: { type: "string" },
    cursor: { type: "string" },
  },
  async run(args: Start, { world, signal }) {
    const { id, cwd, env, labels = {}, timeout } = args;
    if (Object.hasOwn(labels, PARENT)) {
      throw new ArgumentError(
        `Invalid label "${PARENT}": the server sets it; leave it out`,
      );
    }
    const what = await programOf(args);
    const timeoutMs = timeout === undefined ? undefined : parsePeriod(timeout);
    const session = await createSession({
      ...what,
      ...terminalOf(what.kind),
      root: world.root,
      id,
      cwd,
      env,
      labels: { ...labels, [PARENT]: world.parent },
      timeoutMs,
      notify: configured("notify") || undefined,
      graceMs: timeoutMs === undefined ? undefined : configured("grace"),
      signal,
    });
    const at = Date.parse(session.meta.createdAt);
    const log = { stdout: null, stderr: null, events: null, at };
    return {
      id: session.id,
      kind: what.kind,
      ...what.agent !== undefined && { agent: what.agent },
      cursor: encodeCursor({ id: session.id, log }),
    };
  },
};

/** What to start. */
type Program =
  & Pick<CreateOptions, "command" | "agent" | "prompt">
  & { readonly kind: Kind };

/** The command, or that of the agent, as `create --agent` starts it. */
async function programOf(
  { command, agent, prompt, kind }: Start,
): Promise<Program> {
  if (command !== undefined) {
    if (agent === undefined && prompt === undefined) {
      return { command, kind: kind ?? "exec" };
    }
    throw new ArgumentError(
      "Invalid arguments: give either command, or agent and prompt",
    );
  }
  if (agent === undefined && prompt === undefined) {
    throw new ArgumentError(
      "Nothing to start: give command, or agent and prompt",
    );
  }
  const name = agent ?? defaultAgent();
  const own = kind ?? "pty";
  const lines = await linesOf(name, own);
  if (prompt === undefined && lines.needsPrompt) {
    throw new ArgumentError(
      `Cannot start ${name} with kind ${own}: it needs a prompt`,
    );
  }
  const newId = crypto.randomUUID();
  const args = prompt === undefined
    ? lines.start([], newId)
    : lines.begin?.(prompt, newId) ?? lines.start(["--", prompt], newId);
  const all = [...await lines.program(), ...args];
  return { command: all, kind: own, agent: name, prompt };
}

/** The user's defaults for terminals. */
function terminalOf(kind: Kind): Partial<CreateOptions> {
  if (!KINDS[kind].isTerminal) return {};
  const size = configured("size");
  const [columns, rows] = size === undefined ? [] : parseTerminalSize(size);
  return { columns, rows, logLimitBytes: configured("logLimit") };
}

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
      const cursor = cursorNow(id, { root, turn });
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
  if (keys.length > 0 && !accepts.includes("keys")) {
    throw unsupported(
      `Cannot press keys in session "${id}": it is no terminal (kind ${meta.kind})`,
    );
  }
  if (eof && accepts.length > 0 && !accepts.includes("eof")) {
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
    const graceMs = grace === undefined ? usualGrace() : graceIn(grace);
    await targetIn(world, id);
    const what = `The stop of session "${id}"`;
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const { state } = await inTime(what, signal, async (signal) => {
      try {
        return await stopSession(id, { root, graceMs, onNotice, signal });
      } catch (error) {
        const session = await ended(id, root, error);
        if (session === undefined) throw error;
        return session;
      }
    });
    const status = exitStatus(state);
    return {
      id,
      state: state.state,
      ...status !== undefined && { exit_status: status },
      ...noticeOf(notices),
    };
  },
};

/** The session, if nothing could be stopped because all has ended. */
async function ended(
  id: string,
  root: string,
  error: unknown,
): Promise<Session | undefined> {
  if (!(error instanceof SessionError) || error.code !== "wrong_state") {
    return undefined;
  }
  const session = await getSession(id, { root });
  return isEnded(session) ? session : undefined;
}

/** The user's grace, as far as a call may take. Nothing wrong with it may keep a session from ending. */
function usualGrace(): number | undefined {
  try {
    const graceMs = configured("grace");
    return graceMs && Math.min(graceMs, MOST_GRACE_MS);
  } catch {
    return undefined;
  }
}

function graceIn(text: string): number {
  const graceMs = parseDuration(text);
  if (graceMs <= MOST_GRACE_MS) return graceMs;
  throw new ArgumentError(
    `Invalid grace "${text}": use ${MOST_GRACE_MS / 1000}s at most`,
  );
}

function noticeOf(notices: readonly string[]): { readonly notice?: string } {
  return notices.length === 0 ? {} : { notice: fact(notices.join("; "), 1000) };
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
    const graceMs = usualGrace();
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
  const late = new AbortController();
  using _ = startTimer(MOST_MS, () => late.abort());
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (error) {
    if (!late.signal.aborted) throw error;
    const message = `${what} is not done within ${MOST_MS / 1000} s`;
    throw new SessionError("timeout", message, { cause: error });
  }
}

/** The tools. */
export const ACTING: readonly Tool[] = [startSession, send, stop, remove];
