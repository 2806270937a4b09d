/**
 * The tool that starts: `start_session`. It applies the user's configuration as the command line
 * does: agent, size and log limit of terminals, notifier, grace.
 *
 * @module
 */
import { configured, parseTerminalSize } from "../cli/config.ts";
import { parsePeriod } from "../cli/format.ts";
import { defaultAgent, linesOf } from "../cli/start.ts";
import { encodeCursor } from "./cursor.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { type CreateOptions, createSession } from "../session/create.ts";
import { noteStart } from "./scope.ts";
import { PARENT } from "../session/parent.ts";
import { type Kind, KIND_NAMES, KINDS } from "../store.ts";
import { type Schema, type Tool } from "./tool.ts";
import { checkPrompt } from "./typing.ts";

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

/** `start_session`. */
export const START: Tool = {
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
      description:
        "What the agent is to do, beginning with a word; name a file for what is long",
    },
    kind: {
      type: "string",
      enum: KIND_NAMES,
      description:
        "exec: no input, runs to its end; an agent does one turn. repl: a command that reads lines, which \
send_input sends. pty: a terminal; an agent can be asked again with ask_agent. Default: exec for a command, pty \
for an agent",
    },
    id: {
      type: "string",
      description:
        "1 to 64 letters, digits, - and _; not digits only, nor beginning with -. Default: a new name",
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
    }).catch((error) => {
      throw failureFor(id, error);
    });
    noteStart(world, session.id);
    const at = Date.parse(session.meta.createdAt);
    const log = { stdout: null, stderr: null, events: null, at };
    return {
      id: session.id,
      kind: what.kind,
      ...what.agent !== undefined && { agent: what.agent },
      cursor: encodeCursor({ id: session.id, born: at, log }),
    };
  },
};

/**
 * The error of a start that has failed, for who has given this id: no session has an id that was
 * made up, and one with a taken id may be out of the scope.
 */
function failureFor(id: string | undefined, error: unknown): unknown {
  if (!(error instanceof SessionError)) return error;
  const { code, message } = error;
  const own = code === "exists" ? message.split("; ")[0]! : message;
  return new SessionError(code, own, { id, cause: error });
}

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
  if (prompt !== undefined) checkPrompt(prompt);
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
  const program = await Promise.resolve(lines.program()).catch((error) => {
    const isMissing = own === "repl" && error instanceof SessionError &&
      error.code === "program_not_found";
    throw isMissing ? noRepl(name) : error;
  });
  const all = [...program, ...args];
  return { command: all, kind: own, agent: name, prompt };
}

/** No release of an agent has such a program; only a user's own. */
function noRepl(name: string): SessionError {
  return new SessionError(
    "program_not_found",
    `Cannot start ${name} with kind repl: no program for that is installed; use kind pty, or exec for one turn`,
  );
}

/** The user's defaults for terminals. */
function terminalOf(kind: Kind): Partial<CreateOptions> {
  if (!KINDS[kind].isTerminal) return {};
  const size = configured("size");
  const [columns, rows] = size === undefined ? [] : parseTerminalSize(size);
  return { columns, rows, logLimitBytes: configured("logLimit") };
}
