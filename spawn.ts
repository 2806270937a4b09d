/**
 * Starting a session: its reaper, with the lock, and the handshake; and the two original Codex
 * agents, in a given directory.
 *
 * The order matters. Files and the held lock exist before the reaper, the metadata before the
 * agent, and the pids before the agent's exec, so that no agent ever runs unknown. The lock can
 * be inherited only during the call that starts the reaper. This thread starts nothing else
 * then. A process that another thread starts at that moment would keep the lock as long as it
 * lives, and ignore SIGHUP. So a Worker starts no session.
 *
 * Needs `--allow-read` and `--allow-write` of the session's directory,
 * `--allow-run=/bin/sh` and `--allow-ffi`.
 *
 * @module
 */
import {
  ArgumentError,
  checkObject,
  checkOptions,
  checkString,
  checkStringRecord,
  checkStrings,
  checkType,
  messageOf,
  SessionError,
} from "./errors.ts";
import { markersExcept } from "./agents/agents.ts";
import { endedWithin, endOf, spawnLeader } from "./process/child.ts";
import { endProcesses } from "./process/ending.ts";
import { packEnvironment } from "./process/environment.ts";
import {
  diedUnstarted,
  exitCodeOf,
  type Handshake,
  handshake,
  lateError,
  RECORD_MS,
  START_MS,
  startError,
  type StartLimits,
} from "./process/handshake.ts";
import { Hold } from "./process/hold.ts";
import { keepInheritedLocks } from "./process/inherited_locks.ts";
import {
  alreadyThere,
  prepare,
  Prepared,
  requireMainThread,
} from "./process/prepare.ts";
import { READY, scriptCall, scriptPath } from "./process/reaper.ts";
import {
  giveUp,
  noScope,
  scopedCommand,
  type ScopeLauncher,
} from "./process/scope.ts";
import { join, resolve } from "./std.ts";
import {
  checkDirectory,
  checkNewId,
  type Kind,
  makeDirectory,
  newMeta,
  type Paths,
  type Pids,
} from "./store.ts";
import { exists, makeFile, readFile, remove } from "./system/files.ts";
import { SIGNALS } from "./system/signals.ts";

/** The agent's working directory and environment. */
export interface ProcessOptions {
  /**
   * The working directory.
   *
   * @default {Deno.cwd()}
   */
  readonly cwd?: string;
  /** Environment variables, added to the caller's. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Start from an empty environment instead of the caller's.
   *
   * @default {false}
   */
  readonly clearEnv?: boolean;
}

/** Options of {@linkcode spawnExec} and {@linkcode spawnRepl}. */
export interface SpawnOptions extends ProcessOptions {
  /**
   * The program, a name or path, alone or with leading arguments.
   *
   * @default {"codex-exec"} or `"codex-repl"`
   */
  readonly program?: string | readonly string[];
}

/**
 * Starts a non-interactive agent in the directory of `paths`: `codex-exec` with
 * `args` verbatim, standard input from `/dev/null`, output appended to
 * `stdout.log` and `stderr.log`, in a session of its own with SIGHUP ignored.
 * Returns the process ids as soon as the program runs.
 *
 * Needs `--allow-read` and `--allow-write` of the directory, `--allow-env`, `--allow-ffi` and
 * `--allow-run=/bin/sh`; while an `LD_…` variable is set, `--allow-run` for all programs.
 *
 * @throws {SessionError} `exists`, `program_not_found`, `not_executable`,
 * `cwd_missing`, `spawn_failed`, or `unsupported` on Windows and in a Worker; nothing is left
 * behind then.
 *
 * @example
 * ```ts
 * import { pathsFor, spawnExec } from "./mod.ts";
 * const paths = pathsFor("hello", { root: Deno.makeTempDirSync() });
 * const { agent } = await spawnExec(paths, ["hello"], { program: "echo" });
 * console.log(agent > 0);
 * ```
 */
export function spawnExec(
  paths: Paths,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Pids> {
  return spawnAt(paths, "exec", args, "codex-exec", options);
}

/**
 * Starts an interactive agent, otherwise like {@linkcode spawnExec}: program `codex-repl`,
 * standard input from the named pipe `stdin.pipe`, which reaches its end of file only when that
 * is sent.
 *
 * @throws {SessionError} like {@linkcode spawnExec}.
 *
 * @example
 * ```ts
 * import { pathsFor, spawnRepl } from "./mod.ts";
 * const paths = pathsFor("talk", { root: Deno.makeTempDirSync() });
 * const { agent } = await spawnRepl(paths, [], { program: "cat" });
 * Deno.kill(agent);
 * ```
 */
export function spawnRepl(
  paths: Paths,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Pids> {
  return spawnAt(paths, "repl", args, "codex-repl", options);
}

/**
 * The working directory of an agent, absolute.
 *
 * @throws {SessionError} `cwd_missing` if the caller's own is needed and was deleted.
 */
export function directoryOf({ cwd }: Pick<ProcessOptions, "cwd">): string {
  checkType("cwd", cwd, "string");
  if (cwd === "") throw new ArgumentError("cwd must not be empty");
  try {
    return resolve(cwd ?? Deno.cwd());
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const why = "the current directory was deleted; change to another one";
    const message = `Cannot start a session: ${why}`;
    throw new SessionError("cwd_missing", message, { cause: error });
  }
}

/** Files of another session, which the new one must not be judged by. */
const RECORDS: readonly string[] = [
  ...["lock", "meta.json", "pid", "exit", "stop.json"],
  ...["stdout.log", "stderr.log", "reaper.log", "reaper.sh", "scope.log"],
];

async function spawnAt(
  paths: Paths,
  kind: Kind,
  args: readonly string[],
  codex: string,
  options: SpawnOptions,
): Promise<Pids> {
  checkObject("paths", paths);
  checkString("paths.id", paths.id);
  checkString("paths.dir", paths.dir);
  requireMainThread(paths.id);
  checkNewId(paths.id);
  checkOptions(options, { cwd: "string", clearEnv: "boolean" });
  const { program = codex, env = {}, ...rest } = options;
  checkStrings("args", args);
  if (typeof program !== "string") checkStrings("program", program);
  checkStringRecord("env", env);
  const cwd = directoryOf(options);
  const argv = [
    ...(typeof program === "string" ? [program] : program),
    ...args,
  ];
  const made = makeDirectory(paths.dir);
  checkDirectory(paths.dir);
  const before = new Set([...Deno.readDirSync(paths.dir)].map((e) => e.name));
  const taken = RECORDS.find((name) => before.has(name));
  if (taken !== undefined) {
    const what = taken === "lock" ? "a session" : `the file ${taken}`;
    throw alreadyThere(paths.id, what);
  }
  let prepared: Prepared | undefined;
  try {
    prepared = prepare(
      paths,
      newMeta({ id: paths.id, kind, argv, cwd, env }),
      { unset: markersExcept(env) },
    );
    return await launch(paths, prepared, {
      ...rest,
      argv,
      cwd,
      env,
    });
  } catch (error) {
    // Another process was quicker to start or delete: the files are not ours.
    if (error instanceof SessionError && error.code === "exists") throw error;
    if (prepared && !await prepared.hold.lock()) throw error;
    if (made) remove(paths.dir);
    else {
      for (const { name } of [...Deno.readDirSync(paths.dir)]) {
        if (!before.has(name)) remove(join(paths.dir, name));
      }
    }
    throw error;
  } finally {
    prepared?.[Symbol.dispose]();
  }
}

/** How much of a failed relay's error output is searched, in bytes. */
const MAX_ERROR_BYTES = 64 * 1024;
/** The longest error of a relay that is passed on, in characters. */
const MAX_ERROR_LENGTH = 300;
/** The errors of systemd-run, until the start has succeeded or failed. */
const SCOPE_LOG = "scope.log";

/** Options of {@linkcode launch}. */
export interface LaunchOptions extends ProcessOptions, StartLimits {
  /** The program is the relay of a terminal. @default {false} */
  readonly relay?: boolean;
  /** The agent's argument vector; its program is found on the agent's PATH. */
  readonly argv: readonly string[];
  /**
   * The program's name in messages.
   *
   * @default {argv[0]}
   */
  readonly program?: string;
  /**
   * Starts it in a scope of its own.
   *
   * @default {undefined}
   */
  readonly scope?: ScopeLauncher;
}

/**
 * Starts the reaper, before the first await, and waits until the agent's exec has succeeded. The
 * started processes keep the lock.
 *
 * @throws {SessionError} `program_not_found`, `not_executable`, `cwd_missing` or
 * `spawn_failed`; then no process is left, but the files are.
 */
export async function launch(
  paths: Paths,
  prepared: Prepared,
  options: LaunchOptions,
): Promise<Pids> {
  const reapers: Deno.ChildProcess[] = [];
  try {
    keepInheritedLocks();
    return await start(paths, prepared, { ...options, reapers });
  } catch (error) {
    // The caller removes its files next: no process may run on unknown.
    if (reapers.length > 0) await endStarted(paths, prepared.hold);
    throw error;
  } finally {
    for (const reaper of reapers) reaper.unref();
    prepared.hold.removeFile(READY);
    if (options.scope !== undefined) prepared.hold.removeFile(SCOPE_LOG);
  }
}

/** One try to start. */
interface Attempt extends LaunchOptions {
  /** The reapers of all tries: this try's comes last. */
  readonly reapers: Deno.ChildProcess[];
}

/** Starts the reaper, without a scope if there can be none, and checks that the agent runs. */
async function start(
  paths: Paths,
  prepared: Prepared,
  attempt: Attempt,
): Promise<Pids> {
  const { argv, program = argv[0] ?? "", cwd = Deno.cwd(), scope } = attempt;
  let result = await startReaper(paths, prepared, attempt);
  if (scope !== undefined) {
    if (result.outcome === "silent") {
      if (scope.required) throw noScope(readScopeLog(paths));
      const without = { ...attempt, scope: undefined };
      result = await startReaper(paths, prepared, without);
    }
    prepared.releaseLock();
  }
  const reaper = attempt.reapers.at(-1)!;
  if (result.outcome === "started") {
    const { pids, isSure } = result;
    if (isSure || !await diedUnstarted(paths, pids, reaper)) return pids;
  }
  if (result.outcome === "late") {
    const { startTimeoutMs = START_MS } = attempt;
    throw lateError(paths.id, program, startTimeoutMs);
  }
  await endedWithin(reaper, RECORD_MS);
  const report = result.outcome === "failed" ? result.report : "";
  const status = Number(report || exitCodeOf(paths));
  if (status < 0) checkUnstopped(paths, prepared.hold, program);
  const why = attempt.relay ? await relayError(paths) : report;
  throw startError(paths.id, program, cwd, status, why);
}

/**
 * Tells why a start has failed without a status.
 *
 * @throws {SessionError} if the session was stopped or deleted before its program ran.
 */
function checkUnstopped(paths: Paths, hold: Hold, program: string): void {
  const isDeleted = !hold.isStill();
  if (!isDeleted && !exists(paths.stop)) return;
  const message = `Cannot start "${program}": session "${paths.id}" was ${
    isDeleted ? "deleted" : "stopped"
  } before it ran`;
  throw new SessionError("spawn_failed", message, { id: paths.id });
}

/** Ends the processes of a session that failed to start. */
async function endStarted(paths: Paths, hold: Hold): Promise<void> {
  await endProcesses(paths, {
    signalNumber: SIGNALS.KILL!,
    graceMs: 0,
    evenReaper: true,
    isStill: () => hold.isStill(),
  });
}

/** The first line of the error with which Deno, or the relay, has ended instead of starting. */
async function relayError(paths: Paths): Promise<string> {
  const { plainText, unstyledText } = await import("./screen/clean_text.ts");
  const said = unstyledText(readFile(paths.stderr, MAX_ERROR_BYTES) ?? "");
  const [, line = ""] = /^(?:error|codex-session relay): (.*)$/m.exec(said) ??
    [];
  return plainText(line, MAX_ERROR_LENGTH);
}

/** The last line that systemd-run has left. */
function readScopeLog(paths: Paths): string {
  const said = readFile(join(paths.dir, SCOPE_LOG)) ?? "";
  return said.trim().split("\n").at(-1) || "systemd-run failed";
}

/** Starts the reaper, before the first await, and waits for its report. */
async function startReaper(
  paths: Paths,
  prepared: Prepared,
  attempt: Attempt,
): Promise<Handshake> {
  const { reapers, relay, scope } = attempt;
  let reaper: Deno.ChildProcess;
  try {
    reaper = spawnReaper(paths, prepared, attempt);
    reapers.push(reaper);
  } finally {
    // A try with a scope may be followed by one without.
    if (scope === undefined) prepared.releaseLock();
  }
  let isOver = false;
  const over = () => isOver = true;
  endOf(reaper).then(over, over);
  const isReaper = (argv: readonly string[]) =>
    scriptCall(argv)?.path === scriptPath(paths.dir);
  // Only with a scope: the first timer, even clearing none, takes 9 ms.
  const timer = scope &&
    setTimeout(() => giveUp(reaper, isReaper), scope.timeoutMs);
  try {
    return await handshake(
      prepared.readyFd,
      () => isOver,
      relay ? "ok" : "",
      attempt,
    );
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}

function spawnReaper(
  paths: Paths,
  prepared: Prepared,
  attempt: Attempt,
): Deno.ChildProcess {
  const { argv, cwd = Deno.cwd(), scope } = attempt;
  // A relay passes them on to its agent.
  const { env, clearEnv = false }: ProcessOptions = attempt.relay
    ? { env: packEnvironment(attempt) }
    : attempt;
  const [program] = argv;
  if (program === undefined || program === "") {
    throw new ArgumentError("Cannot start a session: the command is empty");
  }
  if (program.startsWith("-")) {
    throw new ArgumentError(
      `Cannot start "${program}": a program's name can't start with "-"; use "./${program}"`,
    );
  }
  try {
    if (!prepared.hold.isStill()) {
      throw new Deno.errors.NotFound("its directory was deleted meanwhile");
    }
    const script = scriptPath(paths.dir);
    const reaper = ["/bin/sh", script, ...argv];
    let command: readonly string[] = reaper;
    if (scope !== undefined) {
      const log = join(paths.dir, SCOPE_LOG);
      makeFile(log, "");
      const inherited = clearEnv ? undefined : scope.inheritedDir;
      const runtimeDir = env?.XDG_RUNTIME_DIR ?? inherited;
      const scoped = { id: paths.id, log, runtimeDir };
      command = scopedCommand(scope, reaper, scoped);
    }
    const own = { CODEX_SESSION_ID: paths.id, CODEX_SESSION_DIR: paths.dir };
    using _ = prepared.lendLock();
    return spawnLeader(command, {
      cwd,
      env: { ...env, ...own },
      clearEnv,
      ignoreHangup: true,
    });
  } catch (error) {
    if (
      error instanceof Deno.errors.NotCapable || error instanceof ArgumentError
    ) {
      throw error;
    }
    const fault = directoryFault(cwd);
    if (fault !== undefined) {
      throw new SessionError(
        "cwd_missing",
        `Cannot start session "${paths.id}": the working directory "${cwd}" ${fault}`,
        { id: paths.id, cause: error },
      );
    }
    throw new SessionError(
      "spawn_failed",
      `Cannot start session "${paths.id}": ${messageOf(error)}`,
      { id: paths.id, cause: error },
    );
  }
}

/** Why a path is no directory; `undefined` if it is one. */
function directoryFault(path: string): string | undefined {
  try {
    return Deno.statSync(path).isDirectory ? undefined : "is not a directory";
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return error instanceof Deno.errors.PermissionDenied
      ? "can't be reached: permission denied"
      : "does not exist";
  }
}
