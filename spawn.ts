/**
 * Starting a session: its reaper, with the lock, and the handshake; and the two
 * Codex agents of the first kinds, in a given directory.
 *
 * The order is the point. Files and the held lock exist before the reaper, the
 * metadata before the agent, and the pids before the agent's exec, so that no
 * instant has a running agent that nobody knows of. The lock can be inherited only
 * during the call that starts the reaper. This thread starts nothing else then; another
 * thread might, and that process would keep the lock for as long as it lives. So a
 * Worker starts no session.
 *
 * Needs `--allow-read` and `--allow-write` of the session's directory and
 * `--allow-ffi`.
 *
 * @module
 */
import {
  ArgumentError,
  checkStringRecord,
  checkStrings,
  messageOf,
  SessionError,
} from "./errors.ts";
import { Child, spawnLeader } from "./process/child.ts";
import { packEnvironment } from "./process/environment.ts";
import {
  diedUnstarted,
  exitCodeOf,
  type Handshake,
  handshake,
  RECORD_MS,
  startError,
} from "./process/handshake.ts";
import { Hold } from "./process/hold.ts";
import {
  alreadyThere,
  prepare,
  Prepared,
  READY,
  requireMainThread,
} from "./process/prepare.ts";
import {
  type ReaperOptions,
  reaperScript,
  SCRIPT,
  scriptCall,
} from "./process/reaper.ts";
import {
  giveUp,
  noScope,
  scopedCommand,
  type ScopeLauncher,
} from "./process/scope.ts";
import { resolve } from "./std.ts";
import {
  checkDirectory,
  type Kind,
  makeDirectory,
  newMeta,
  type Paths,
  type Pids,
} from "./store.ts";
import { makeFile, readFile, remove } from "./system/files.ts";
import { readLink, setCloseOnExec } from "./system/libc.ts";
import { SIGNALS } from "./system/signals.ts";

/** What the agent's process gets. */
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
 * Needs `--allow-read` and `--allow-write` of the directory, `--allow-env` and
 * `--allow-ffi`.
 *
 * @throws {SessionError} `exists`, `program_not_found`, `not_executable`,
 * `cwd_missing`, `spawn_failed`, or `unsupported` on Windows and in a Worker; what was
 * made for it is gone then.
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
  return spawnAt(paths, "exec", args, { program: "codex-exec", ...options });
}

/**
 * Starts an interactive agent like {@linkcode spawnExec} starts another: program
 * `codex-repl`, standard input from the named pipe `stdin.pipe`, whose end of file
 * comes only when it is sent.
 *
 * @throws {SessionError} as {@linkcode spawnExec} does.
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
  return spawnAt(paths, "repl", args, { program: "codex-repl", ...options });
}

/** What makes a directory another session's, or would be believed of the new one. */
const RECORDS: readonly string[] = [
  ...["lock", "meta.json", "pid", "exit", "stop.json"],
  ...["stdout.log", "stderr.log", "reaper.log", "reaper.sh", "scope.log"],
];

async function spawnAt(
  paths: Paths,
  kind: Kind,
  args: readonly string[],
  options: SpawnOptions,
): Promise<Pids> {
  requireMainThread(paths.id);
  const { program = [], env = {}, ...rest } = options;
  checkStrings("args", args);
  if (typeof program !== "string") checkStrings("program", program);
  checkStringRecord("env", env);
  const cwd = resolve(options.cwd ?? Deno.cwd());
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
    );
    return await launch(paths, prepared, {
      ...rest,
      argv,
      cwd,
      env,
      pipe: kind === "repl",
    });
  } catch (error) {
    // Another was quicker, in starting or in deleting: what is there is his.
    if (error instanceof SessionError && error.code === "exists") throw error;
    if (prepared && !await prepared.hold.lock()) throw error;
    if (made) remove(paths.dir);
    else {
      for (const { name } of [...Deno.readDirSync(paths.dir)]) {
        if (!before.has(name)) remove(`${paths.dir}/${name}`);
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
/** What systemd-run had to say, until the start has succeeded or failed. */
const SCOPE_LOG = "scope.log";

/**
 * An agent of a session that creates a session has inherited the lock of its own
 * one. It must not reach the new session's processes, or the old one would seem
 * to live as long as they. Found by its name, so on Linux only.
 */
function keepOwnLock(): void {
  const own = Deno.env.get("CODEX_SESSION_DIR");
  if (own === undefined || Deno.build.os !== "linux") return;
  let dir = own;
  try {
    dir = Deno.realPathSync(own); // Earlier versions took it with links in it.
  } catch {
    // It is gone, or not ours to see.
  }
  for (let fd = 3; fd < 256; fd++) {
    if (readLink(`/proc/self/fd/${fd}`)?.startsWith(`${dir}/`)) {
      setCloseOnExec(fd);
    }
  }
}

/** What {@linkcode launch} starts. */
export interface LaunchOptions extends ProcessOptions, ReaperOptions {
  /** The agent's argument vector; its first element is found on its PATH. */
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
 * Starts the reaper and waits until the agent's exec has succeeded. Starting itself
 * happens before the first await, and the lock is left to what was started.
 *
 * @throws {SessionError} `program_not_found`, `not_executable`, `cwd_missing` or
 * `spawn_failed`; no process is left then, files are.
 */
export async function launch(
  paths: Paths,
  prepared: Prepared,
  options: LaunchOptions,
): Promise<Pids> {
  const { argv, program = argv[0] ?? "", cwd = Deno.cwd(), scope } = options;
  const children: Child[] = [];
  try {
    keepOwnLock();
    let started = start(paths, prepared, cwd, options, children);
    if (scope !== undefined) {
      const { pids, report } = await started;
      if (pids === undefined && report === "") {
        if (scope.required) throw noScope(readScopeLog(paths));
        const without = { ...options, scope: undefined };
        started = start(paths, prepared, cwd, without, children);
      }
      prepared.releaseLock();
    }
    const { pids, report, isSure, child } = await started;
    if (
      pids !== undefined && (options.relay ? report === "ok" : report === "")
    ) {
      const failed = !isSure && !options.relay &&
        await diedUnstarted(paths, pids, child);
      if (!failed) return pids;
    }
    await child.ended(RECORD_MS);
    const status = Number(report || await exitCodeOf(paths));
    const why = options.relay ? await relayError(paths) : report;
    throw startError(paths.id, program, cwd, status, why);
  } catch (error) {
    // Its files are about to go: nothing that was started may run on unknown.
    if (children.length > 0) await endStarted(paths, prepared.hold);
    throw error;
  } finally {
    for (const child of children) child.release();
    prepared.hold.removeFile(READY);
    if (scope !== undefined) prepared.hold.removeFile(SCOPE_LOG);
  }
}

/** Ends what was started of a session that could not be. */
async function endStarted(paths: Paths, hold: Hold): Promise<void> {
  const { endProcesses } = await import("./process/ending.ts");
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
  const said = readFile(`${paths.dir}/${SCOPE_LOG}`) ?? "";
  return said.trim().split("\n").at(-1) || "systemd-run failed";
}

interface Started extends Handshake {
  /** The reaper. */
  readonly child: Child;
}

/** Starts the reaper, before the first await, and waits for what it reports. */
async function start(
  paths: Paths,
  prepared: Prepared,
  cwd: string,
  options: LaunchOptions,
  children: Child[],
): Promise<Started> {
  const { scope } = options;
  let child: Child;
  try {
    child = spawnReaper(paths, prepared, cwd, options, children.length === 0);
    children.push(child);
  } finally {
    // If there can be no scope, it is needed once more.
    if (scope === undefined) prepared.releaseLock();
  }
  const isReaper = (argv: readonly string[]) =>
    scriptCall(argv)?.path === `${paths.dir}/${SCRIPT}`;
  // Without a scope there is no timer: the first one, even to clear none, costs a cold start 9 ms.
  const timer = scope &&
    setTimeout(() => giveUp(child, isReaper), scope.timeoutMs);
  try {
    const isOver = () => child.hasEnded();
    return { ...await handshake(prepared.readyFd, isOver), child };
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}

function spawnReaper(
  paths: Paths,
  prepared: Prepared,
  cwd: string,
  options: LaunchOptions,
  isFirst: boolean,
): Child {
  const { argv, scope } = options;
  // A relay's agent gets them from its relay.
  const { env, clearEnv = false }: ProcessOptions = options.relay
    ? { env: packEnvironment(options) }
    : options;
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
    const script = `${paths.dir}/${SCRIPT}`;
    if (isFirst) makeFile(script, reaperScript(options));
    const reaper = ["/bin/sh", script, ...argv];
    let command: readonly string[] = reaper;
    if (scope !== undefined) {
      const log = `${paths.dir}/${SCOPE_LOG}`;
      makeFile(log, "");
      const inherited = clearEnv ? undefined : scope.inheritedDir;
      const runtimeDir = env?.XDG_RUNTIME_DIR ?? inherited;
      const scoped = { id: paths.id, log, runtimeDir };
      command = scopedCommand(scope, reaper, scoped);
    }
    const own = { CODEX_SESSION_ID: paths.id, CODEX_SESSION_DIR: paths.dir };
    using _ = prepared.lendLock();
    return spawnLeader(command, { cwd, env: { ...env, ...own }, clearEnv });
  } catch (error) {
    if (
      error instanceof Deno.errors.NotCapable || error instanceof ArgumentError
    ) {
      throw error;
    }
    if (!isDirectory(cwd)) {
      throw new SessionError(
        "cwd_missing",
        `Cannot start session "${paths.id}": the working directory "${cwd}" does not exist`,
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

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
