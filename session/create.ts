/**
 * Creating a session: an unused id, a complete directory, a running agent.
 *
 * A session is built in `.new-…` with its lock held and appears under its id by one rename(2),
 * which fails if the id is taken. Of two creators exactly one wins, and half a session is never
 * visible.
 *
 * @module
 */
import {
  ArgumentError,
  checkInstance,
  checkObject,
  checkStringRecord,
  checkStrings,
  checkType,
  checkWhole,
  SessionError,
} from "../errors.ts";
import { AGENT_NAMES, markersExcept } from "../agents/agents.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import { writeConversation } from "../events/conversation_file.ts";
import { randomName } from "./names.ts";
import { withParent } from "./parent.ts";
import { withAgent } from "../process/main_pids.ts";
import { findScope } from "../process/scope.ts";
import {
  checkId,
  checkKind,
  checkNewId,
  type Kind,
  KINDS,
  makeBuildDirectory,
  type Meta,
  newMeta,
  openRoot,
  type Paths,
  pathsIn,
  type Pids,
  rootError,
  type RootOptions,
  type Scope,
  SCOPES,
} from "../store.ts";
import { directoryOf, launch, type ProcessOptions } from "../spawn.ts";
import {
  prepare,
  type Prepared,
  requireMainThread,
} from "../process/prepare.ts";
import { join } from "../std.ts";
import { HARMFUL } from "../screen/clean_text.ts";
import { findProgram, isGranted, remove } from "../system/files.ts";

/** Options of {@linkcode createSession}. */
export interface CreateOptions extends RootOptions, ProcessOptions {
  /** The argument vector of the agent: a program, which is a path or found on its `PATH`, and arguments. */
  readonly command: readonly string[];
  /**
   * How it takes input: `exec` not at all, `repl` through a named pipe, `pty` from a
   * pseudo-terminal.
   *
   * @default {"exec"}
   */
  readonly kind?: Kind;
  /**
   * The id: 1 to 64 of `A-Z a-z 0-9 _ -`, not starting with `-`, and not digits only.
   *
   * @default {a memorable, unused one}
   */
  readonly id?: string;
  /**
   * Labels for finding it: keys without spaces and `=`, at most 100 characters; values of one
   * line, at most 1000 characters; without control characters and invisible ones. Within a session
   * of the same root, `parent` is added, its id, unless it is given, or `--allow-env` lacks
   * `CODEX_SESSION_ID` or `CODEX_SESSION_DIR`.
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * What it is to do, in a line, for programs that list sessions.
   *
   * @default {the command}
   */
  readonly prompt?: string;
  /** Stop it after this time, in milliseconds; counted in tenths of a second. */
  readonly timeoutMs?: number;
  /**
   * How long the start may take, in milliseconds; then it fails, and nothing is left behind.
   *
   * @default {30000}
   */
  readonly startTimeoutMs?: number;
  /**
   * Milliseconds from SIGTERM to SIGKILL when the timeout stops it.
   *
   * @default {10000}
   */
  readonly graceMs?: number;
  /**
   * Delete it when it ends.
   *
   * @default {false}
   */
  readonly rm?: boolean;
  /**
   * The agent that it runs, one of {@linkcode AGENT_NAMES}, for its metadata.
   *
   * @default {the one that the command starts, by the name of its program}
   */
  readonly agent?: string;
  /** The id of the session whose conversation it goes on with, for its metadata. */
  readonly resumes?: string;
  /** The id of the session whose command it repeats, for its metadata. */
  readonly restarts?: string;
  /**
   * A program, which is a path or found on `PATH`, that is run when the session becomes `blocked`,
   * `done` or `error`, or ends. It gets the event as JSON on its standard input, and has 10 s. Linux
   * only. Also needs `--allow-read` of the directories on `PATH` and of the system's programs.
   */
  readonly notify?: string;
  /**
   * The width of a terminal (kind `pty`), in characters.
   *
   * @default {120}
   */
  readonly columns?: number;
  /**
   * The height of a terminal, in lines.
   *
   * @default {40}
   */
  readonly rows?: number;
  /**
   * How much output of a terminal to keep, in bytes, at least 16 KiB; the oldest goes first.
   *
   * @default {67108864}
   */
  readonly logLimitBytes?: number;
  /**
   * Start the agent of a terminal once a client has attached, or after 5 s, so that the client
   * sees everything. Attach in `beforeStart`: until then this function waits, too.
   *
   * @default {false}
   */
  readonly awaitClient?: boolean;
  /**
   * What starts the relay of a terminal when followed by its arguments. Only a program
   * that is compiled or bundled needs it: one that calls `runRelay` with them.
   */
  readonly relayCommand?: readonly string[];
  /**
   * Start it in a systemd scope of its own, so that it outlives the login: `auto` if the login
   * would end it, `always`, or `never`.
   *
   * @default {"auto"}
   */
  readonly scope?: Scope;
  /**
   * Called when the session is complete and its agent not yet started. A subscription made
   * here, synchronously, misses nothing, even if the session is deleted at once. If the start
   * fails, the session is deleted.
   */
  readonly beforeStart?: (session: Omit<CreatedSession, "pids">) => void;
  /** Cancels the creation until the agent is started. */
  readonly signal?: AbortSignal;
}

/** A session that has just started. */
export interface CreatedSession {
  /** Its id. */
  readonly id: string;
  /** Its files. */
  readonly paths: Paths;
  /** Its metadata. */
  readonly meta: Meta;
  /** Its processes. */
  readonly pids: Pids;
}

/**
 * Starts a command as a session that outlives the caller. Resolves as soon as the program
 * runs; if it can't start, nothing is left behind.
 *
 * Needs `--allow-read` and `--allow-write` of the root, `--allow-env`, `--allow-ffi` and
 * `--allow-run=/bin/sh`; while an `LD_…` variable is set, `--allow-run` for all programs.
 *
 * @throws {SessionError} `exists` if the id is taken; `program_not_found`,
 * `not_executable`, `cwd_missing`, `spawn_failed`; `root_unusable`; `unsupported` on
 * Windows, in a Worker, and where `/proc` shows another PID namespace.
 * @throws {ArgumentError} if the id, the command, a label or a variable's name is malformed, an
 * argument has the wrong type, or all of it is more than 1 MiB as JSON.
 * @throws {RangeError} if a time is not positive or longer than ten years, or a size no whole
 * number within its bounds.
 *
 * @example
 * ```ts
 * import { createSession, readLog } from "./mod.ts";
 * const { id } = await createSession({ command: ["echo", "hello"] });
 * for await (const bytes of readLog(id)) await Deno.stdout.write(bytes);
 * ```
 */
export async function createSession(
  options: CreateOptions,
): Promise<CreatedSession> {
  checkObject("options", options);
  const { kind = "exec", command, signal } = options;
  requireMainThread(options.id);
  check(options);
  signal?.throwIfAborted();
  const root = openRoot(options);
  const cwd = directoryOf(options);
  const notify = notifierPath(options.notify);
  // Before the claim: between claim and start nothing is awaited.
  const scope = await findScope(options.scope ?? "auto");
  signal?.throwIfAborted();
  const { isTerminal } = KINDS[kind];
  const relay = isTerminal ? await import("../relay/command.ts") : undefined;
  const { paths, meta, prepared } = claim(root, {
    ...options,
    ...{ kind, cwd, notify },
    ...withParent(root, options.labels),
  });
  using _ = prepared;
  try {
    options.beforeStart?.({ id: paths.id, paths, meta });
    const launcher = options.relayCommand;
    const pids = await launch(paths, prepared, {
      ...options,
      argv: relay === undefined ? command : relay.relayCommand({
        ...options,
        dir: paths.dir,
        argv: command,
        launcher,
      }),
      program: command[0],
      relay: isTerminal,
      cwd,
      scope,
    });
    return {
      id: paths.id,
      paths,
      meta,
      // Never read again from the files, which the agent may have written by now.
      pids: isTerminal ? withAgent(paths, pids, true) : pids,
    };
  } catch (error) {
    // Unless another process has deleted it already, or uses its id again.
    if (await prepared.hold.lock()) prepared.hold.remove();
    throw error;
  }
}

/** Checks one option, which may be missing, or of any type. */
type Check = (name: string, value: unknown) => void;

const isString: Check = (name, value) => checkType(name, value, "string");
const isBoolean: Check = (name, value) => checkType(name, value, "boolean");
const isSide: Check = (name, value) => checkWhole(name, value, 1, 1000);

/** Each option's check; an option without one is a type error. */
const CHECKS: Readonly<Record<keyof CreateOptions, Check>> = {
  command: checkCommand,
  root: isString,
  kind: (_, value) => value === undefined || checkKind(value),
  id: (_, value) => value === undefined || checkNewId(value as string),
  prompt: isString,
  cwd: isString,
  scope: checkScope,
  env: checkEnv,
  clearEnv: isBoolean,
  labels: checkLabels,
  agent: checkAgent,
  resumes: checkOldId,
  restarts: checkOldId,
  timeoutMs: checkPeriod,
  startTimeoutMs: checkPeriod,
  graceMs: checkPeriod,
  rm: isBoolean,
  notify: isString,
  columns: isSide,
  rows: isSide,
  logLimitBytes: (name, value) => checkWhole(name, value, 0),
  awaitClient: isBoolean,
  relayCommand: (name, value) =>
    value === undefined || checkStrings(name, value),
  beforeStart: (name, value) => checkType(name, value, "function"),
  signal: (name, value) =>
    value === undefined || checkInstance(name, value, AbortSignal),
};

function check(options: CreateOptions): void {
  CHECKS.command("command", options.command);
  checkHow(options);
}

/** Checks how to start a session: all but its command. */
export function checkHow(options: Omit<CreateOptions, "command">): void {
  for (const [name, check] of Object.entries(CHECKS)) {
    if (name === "command") continue;
    check(name, options[name as keyof typeof options]);
  }
}

/**
 * The absolute path of the program that is told of events.
 *
 * @throws {SessionError} `program_not_found`.
 */
function notifierPath(program: string | undefined): string | undefined {
  if (program === undefined) return undefined;
  const path = program === "" || program.includes("\0")
    ? undefined
    : findProgram(program, { path: Deno.env.get("PATH") });
  if (path !== undefined) return path;
  const why = program.includes("/")
    ? "no executable file has this path"
    : "not found on PATH";
  throw new SessionError(
    "program_not_found",
    `Cannot use "${program}" as the notifier: ${why}`,
  );
}

function checkCommand(name: string, value: unknown): void {
  checkStrings(name, value);
  const command = value as readonly string[];
  if (command.length === 0 || command[0] === "") {
    throw new ArgumentError("Cannot create a session: the command is empty");
  }
  checkNoNul(command);
}

function checkNoNul(texts: readonly string[]): void {
  if (!texts.some((text) => text.includes("\0"))) return;
  throw new ArgumentError(
    "Cannot create a session: an argument or variable holds a NUL character",
  );
}

function checkScope(name: string, value: unknown): void {
  isString(name, value);
  if (value === undefined || SCOPES.includes(value as Scope)) return;
  throw new ArgumentError(
    `Unknown scope "${value}": use auto, always or never`,
  );
}

function checkAgent(name: string, value: unknown): void {
  isString(name, value);
  if (value === undefined || AGENT_NAMES.includes(value as string)) return;
  throw new ArgumentError(
    `Unknown agent "${value}": use ${AGENT_NAMES.join(", ")}`,
  );
}

function checkOldId(_: string, value: unknown): void {
  if (value !== undefined) checkId(value as string);
}

function checkEnv(name: string, value: unknown): void {
  checkStringRecord(name, value);
  const env = value as CreateOptions["env"] ?? {};
  for (const name of Object.keys(env)) {
    if (name === "" || /[=\0]/.test(name)) {
      throw new ArgumentError(`Invalid environment variable name "${name}"`);
    }
  }
  checkNoNul(Object.values(env));
}

/** Ten years, which every shell can count in fifths of a second, mksh with its 32 bits included. */
const LONGEST_MS = 10 * 365.25 * 86_400_000;

function checkPeriod(name: string, value: unknown): void {
  checkType(name, value, "number");
  if (value === undefined) return;
  const ms = value as number;
  if (ms > 0 && ms <= LONGEST_MS) return;
  const bounds = "a positive number and at most ten years";
  throw new RangeError(`${name} must be ${bounds}, got ${ms}`);
}

const LABEL_KEY_LENGTH = 100;
/** The longest value of a label, in characters. */
export const LABEL_VALUE_LENGTH = 1000;

function checkLabels(name: string, value: unknown): void {
  checkStringRecord(name, value);
  const labels = value as CreateOptions["labels"] ?? {};
  for (const [key, value] of Object.entries(labels)) {
    const isRight = /^[^\s=]+$/.test(key) && key.length <= LABEL_KEY_LENGTH &&
      value.length <= LABEL_VALUE_LENGTH &&
      `${key}=${value}`.search(HARMFUL) < 0;
    if (isRight) continue;
    throw new ArgumentError(
      `Invalid label ${
        JSON.stringify(key.slice(0, 80))
      }: a key has 1 to ${LABEL_KEY_LENGTH} characters, no space and no "="; a value is one line of at most ${LABEL_VALUE_LENGTH}; neither has control characters or invisible ones`,
    );
  }
}

interface Claim {
  readonly paths: Paths;
  readonly meta: Meta;
  readonly prepared: Prepared;
}

/** Makes the directory of an unused id, complete and locked. */
function claim(
  root: string,
  options:
    & CreateOptions
    & Pick<Meta, "kind" | "cwd" | "labels" | "ancestors">,
): Claim {
  for (let attempt = 0;; attempt++) {
    const id = options.id ?? randomName(attempt);
    const claimed = tryClaim(
      root,
      newMeta({
        ...options,
        id,
        argv: options.command,
        agent: options.agent ?? recognizeAgent(options.command)?.agent.name,
      }),
      options,
    );
    if (claimed !== undefined) return claimed;
    if (options.id !== undefined || attempt > 30) {
      throw new SessionError(
        "exists",
        `Cannot create session "${id}": the id is taken; choose another, or delete it first`,
        { id },
      );
    }
  }
}

function tryClaim(
  root: string,
  meta: Meta,
  options: Pick<CreateOptions, "graceMs" | "env" | "clearEnv">,
): Claim | undefined {
  const { graceMs, env = {} } = options;
  const paths = pathsIn(join(root, meta.id), meta.id);
  const building = makeBuildDirectory(root);
  let prepared: Prepared | undefined;
  try {
    prepared = prepare(pathsIn(building, meta.id), meta, {
      graceMs,
      unset: markersExcept(env),
    });
    noteConversation(pathsIn(building, meta.id), meta.argv, options);
    Deno.renameSync(building, paths.dir);
    prepared.hold.moved(paths.dir);
    return { paths, meta, prepared };
  } catch (error) {
    prepared?.[Symbol.dispose]();
    remove(building);
    if (prepared !== undefined && isTaken(error)) return undefined;
    throw rootError(root, error);
  }
}

/** Notes the conversation that a command names for certain. */
function noteConversation(
  paths: Paths,
  argv: readonly string[],
  { env = {}, clearEnv = false }: Pick<CreateOptions, "env" | "clearEnv">,
): void {
  const { agent, args = [] } = recognizeAgent(argv) ?? {};
  const id = agent?.idInArguments(args);
  if (agent === undefined || id === undefined) return;
  const inherited = (name: string) =>
    !clearEnv && isGranted({ name: "env", variable: name })
      ? Deno.env.get(name)
      : undefined;
  const home = agent.homeOf?.((name) =>
    Object.hasOwn(env, name) ? env[name] : inherited(name)
  );
  const seen = { agent: agent.name, id, home: home ?? null };
  writeConversation(paths, { ...seen, how: "arguments" });
}

/** Tells whether rename(2) failed because the target existed; it may be gone by now. */
function isTaken(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(String(code));
}
