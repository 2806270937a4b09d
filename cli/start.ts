/**
 * The commands that start: `create`, `run`.
 *
 * @module
 */
import {
  type Handler,
  type Io,
  labelsOf,
  OK,
  parsedValueOf,
  streamsOf,
  valueOf,
} from "./io.ts";
import type { CommandLines } from "../agents/agent.ts";
import {
  type CreatedSession,
  type CreateOptions,
  createSession,
} from "../session/create.ts";
import { configured, parseTerminalSize } from "./config.ts";
import { parseEnvFile } from "./env_file.ts";
import { ArgumentError, messageOf, SessionError } from "../errors.ts";
import { harmlessJson, parsePeriod, parseSize, shellWord } from "./format.ts";
import { withHint } from "./hints.ts";
import type { Parsed } from "./options.ts";
import { isKind, type Kind, KINDS, type Scope } from "../store.ts";
import { isGranted } from "../system/files.ts";

/** `create`: an agent of a kind; Codex, unless another one is named. */
export const create: Handler = async (call, io) => {
  const [kind, ...rest] = call.operands;
  if (!isKind(kind)) {
    throw new ArgumentError(
      kind === undefined
        ? "Missing argument: expected a kind of agent: exec, repl or pty"
        : `Unknown kind "${kind}": use exec, repl or pty; for another command: codex-session run`,
    );
  }
  const name = valueOf(call, "agent") ?? defaultAgent();
  const lines = await linesOf(name, kind);
  const args = rest[0] === "--" ? rest.slice(1) : rest;
  if (args === rest && name === CODEX) noteOwnOption(kind, rest, io);
  const command = [
    ...await lines.program(),
    ...lines.start(args, crypto.randomUUID()),
  ];
  const prompt = args.join(" ");
  try {
    return await start(call, io, { kind, command, agent: name, prompt });
  } catch (error) {
    const isMissing = error instanceof SessionError &&
      error.message.startsWith(`Cannot start "${command[0]}": not found`);
    if (!isMissing) throw error;
    const hint = "to see which agents are here: codex-session agents";
    throw withHint(error, hint);
  }
};

const CODEX = "codex";

/**
 * The command lines of an agent for a kind of session.
 *
 * @throws {ArgumentError} if there is no such agent, or it has no such kind; it says which there are.
 */
export async function linesOf(
  name: string,
  kind: Kind,
): Promise<CommandLines> {
  const { AGENTS, agentNamed } = await import("../agents/agents.ts");
  const lines = agentNamed(name)?.commands[kind];
  if (lines !== undefined) return lines;
  const known = AGENTS.map(({ name, commands }) =>
    `${name} (${Object.keys(commands).join(", ")})`
  ).join(", ");
  throw new ArgumentError(
    agentNamed(name) === undefined
      ? `Unknown agent "${name}": use ${known}`
      : `Agent ${name} has no kind ${kind}: use ${known}`,
  );
}

/** The agent that is started if none is named. */
export function defaultAgent(): string {
  const variable = "CODEX_SESSION_AGENT";
  const own = isGranted({ name: "env", variable }) && Deno.env.get(variable);
  return own || (configured("agent") ?? CODEX);
}

/** Options of `create` that Codex doesn't have. */
// deno-fmt-ignore
const NOT_OF_CODEX = [
  "agent", "id", "label", "rm", "notify", "timeout", "scope", "size", "log-limit", "env-file",
  "attach",
];

/** Says where an option of ours goes that stands among the arguments of the agent. */
function noteOwnOption(kind: Kind, args: readonly string[], io: Io): void {
  const end = args.indexOf("--");
  const at = args.findIndex((arg, i) =>
    (end < 0 || i < end) && NOT_OF_CODEX.includes(nameOf(arg))
  );
  const option = args[at];
  if (option === undefined) return;
  const takesValue = !["rm", "attach"].includes(nameOf(option)) &&
    !option.includes("=");
  const words = args.slice(at, at + (takesValue ? 2 : 1)).map(shellWord);
  const line = ["create", ...words, kind].join(" ");
  const name = `--${nameOf(option)}`;
  io.err(
    `codex-session: ${name} after the kind goes to the agent; for codex-session put it before: ${line}\n`,
  );
}

/** The name in `--name` or `--name=value`; nothing of any other word. */
function nameOf(arg: string): string {
  return /^--([a-z-]+)(?:=|$)/.exec(arg)?.[1] ?? "";
}

/** `run`: any command. */
export const run: Handler = async (call, io) => {
  if (call.operands.length === 0) {
    throw new ArgumentError("Missing argument: expected a command to run");
  }
  const { flags } = call;
  // A terminal takes input in any case: -it is -t.
  const kind = flags.has("tty")
    ? "pty"
    : flags.has("interactive")
    ? "repl"
    : "exec";
  return await start(call, io, { kind, command: call.operands });
};

/** Starts a session with the options of a call, which come before those of `what`. */
export async function start(
  call: Parsed,
  io: Io,
  what: CreateOptions & { readonly kind: Kind },
): Promise<number> {
  const terminal = terminalOptions(call, what);
  const timeoutMs = parsedValueOf(call, "timeout", parsePeriod) ??
    what.timeoutMs;
  const attaching = call.flags.has("attach");
  checkStreams(call, attaching, what.kind);
  // Attached before the agent starts: it may have ended, and with --rm be gone, at once.
  const attachment = attaching ? await import("./attach.ts") : undefined;
  const { isTerminal, accepts } = KINDS[what.kind];
  if (isTerminal) attachment?.checkConsole(io);
  const started = Promise.withResolvers<void>();
  const attach = attachment && (isTerminal
    ? (id: string) => {
      // It is read while the session starts.
      const keys = configured("detachKeys");
      attachment.sayHowToDetach(id, io, keys);
      return attachment.attachScreen(id, io, call, keys);
    }
    : attachment.attacher(io, {
      streams: streamsOf(call),
      takesInput: accepts.length > 0,
      // A pipe holds all of the agent's input, as with `docker run -i`.
      stdinEnd: io.stdinIsTerminal ? "detach" : "eof",
      begin: started.promise,
    }));
  let attached: Promise<number> | undefined;
  let session: CreatedSession;
  try {
    session = await createSession({
      ...what,
      ...terminal,
      id: valueOf(call, "id"),
      cwd: valueOf(call, "cwd") ?? what.cwd,
      env: { ...what.env, ...environmentOf(call) },
      labels: { ...what.labels, ...labelsOf(call) },
      rm: call.flags.has("rm"),
      timeoutMs,
      notify: notifierOf(call, what.notify),
      graceMs: timeoutMs === undefined ? undefined : configured("grace"),
      scope: valueOf(call, "scope") as Scope | undefined, // createSession checks it.
      awaitClient: attaching && isTerminal,
      beforeStart: (created) => {
        what.beforeStart?.(created);
        attached = attach?.(created.id);
        attached?.catch(() => {}); // Its error is reported below.
      },
    });
  } catch (error) {
    // The user's terminal is restored first.
    if (isTerminal) await attached?.catch(() => {});
    throw error;
  }
  const { id, paths, pids } = session;
  if (attached !== undefined) {
    if (!isTerminal) attachment!.sayHowToDetach(id, io, "Ctrl-C");
    started.resolve();
    return await attached;
  }
  io.out(
    io.json
      ? harmlessJson({ id, dir: paths.dir, pid: pids.agent }) + "\n"
      : `${id}\n`,
  );
  return OK;
}

/** The notifier of `--notify`, else the one before, else the user's; an empty one is none. */
function notifierOf(call: Parsed, before?: string): string | undefined {
  const asked = valueOf(call, "notify") ?? before ?? configured("notify");
  return asked || undefined;
}

/** Refuses to choose streams where there is no effect. */
function checkStreams(call: Parsed, attaching: boolean, kind: Kind): void {
  if (!call.flags.has("stdout") && !call.flags.has("stderr")) return;
  const why = !attaching
    ? "they choose what -a shows"
    : KINDS[kind].isTerminal
    ? "a terminal has one stream"
    : undefined;
  if (why === undefined) return;
  throw new ArgumentError(`Cannot use --stdout or --stderr: ${why}`);
}

/** The options for terminals; other kinds refuse them, so that nobody waits for an effect. */
function terminalOptions(
  call: Parsed,
  { kind, columns }: Pick<CreateOptions, "columns"> & { readonly kind: Kind },
): Partial<CreateOptions> {
  const size = valueOf(call, "size");
  const limit = valueOf(call, "log-limit");
  if (!KINDS[kind].isTerminal) {
    if (size !== undefined || limit !== undefined) {
      throw new ArgumentError(
        "Cannot use --size or --log-limit: the session is not a terminal (kind pty)",
      );
    }
    return {};
  }
  const asked = size ??
    (columns === undefined ? configured("size") : undefined);
  return {
    logLimitBytes: parsedValueOf(call, "log-limit", parseSize) ??
      configured("logLimit"),
    ...(asked !== undefined && sizeOf(asked)),
  };
}

function sizeOf(size: string): Pick<CreateOptions, "columns" | "rows"> {
  try {
    const [columns, rows] = parseTerminalSize(size);
    return { columns, rows };
  } catch (error) {
    throw new ArgumentError(`Invalid size "${size}": ${messageOf(error)}`);
  }
}

function readEnvFile(file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true })
      .decode(Deno.readFileSync(file));
  } catch (error) {
    if (error instanceof TypeError) {
      throw new ArgumentError(`Cannot read "${file}": it is not UTF-8`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    const why = error instanceof Deno.errors.NotFound
      ? "the file does not exist"
      : messageOf(error).split(": ")[0];
    throw new ArgumentError(`Cannot read "${file}": ${why}`);
  }
}

/** The variables of `--env-file` and `--env`; `--env` wins. */
export function environmentOf(call: Parsed): Record<string, string> {
  const env: Record<string, string> = {};
  for (const file of call.values.get("env-file") ?? []) {
    Object.assign(env, parseEnvFile(readEnvFile(file), file));
  }
  for (const text of call.values.get("env") ?? []) {
    const at = text.indexOf("=");
    // Without the value: it may be a secret without its name.
    if (at < 1) throw new ArgumentError("Invalid --env: use KEY=VALUE");
    env[text.slice(0, at)] = text.slice(at + 1);
  }
  return env;
}
