/**
 * The tool that starts: `start_session`. It applies the user's configuration as the command line
 * does: agent, size and log limit of terminals, notifier, grace.
 *
 * @module
 */
import { configured } from "../cli/config.ts";
import { parsePeriod } from "../cli/format.ts";
import { programOf, terminalDefaults } from "../cli/program.ts";
import { encodeCursor } from "./cursor.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { createSession } from "../session/create.ts";
import { noteStart } from "./scope.ts";
import { PARENT } from "../session/parent.ts";
import { type Kind, KIND_NAMES } from "../store.ts";
import { type Schema, type Tool } from "./tool.ts";
import { checkPrompt } from "./prompt.ts";

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
    if (args.prompt !== undefined) checkPrompt(args.prompt);
    const what = await programOf(args);
    const timeoutMs = timeout === undefined ? undefined : parsePeriod(timeout);
    const session = await createSession({
      ...what,
      ...terminalDefaults(what.kind),
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
