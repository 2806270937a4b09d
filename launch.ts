/**
 * Starting: the files that a session needs, its lock, the reaper, the handshake.
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
import { packEnvironment } from "./process/environment.ts";
import { type Child, spawnLeader } from "./process/child.ts";
import { ArgumentError, messageOf, SessionError } from "./errors.ts";
import {
  close,
  closeQuietly,
  mkfifo,
  open,
  readLink,
  setCloseOnExec,
  tryFlock,
} from "./system/libc.ts";
import {
  diedUnstarted,
  exitCodeOf,
  type Handshake,
  handshake,
  RECORD_MS,
  startError,
} from "./process/handshake.ts";
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
import { SIGNALS } from "./system/signals.ts";
import type { Pids } from "./state.ts";
import {
  makeFile,
  readFile,
  restoreMode,
  writeAtomic,
} from "./system/files.ts";
import { Hold } from "./process/hold.ts";
import {
  FORMAT,
  type Kind,
  type Meta,
  META_BYTES,
  type Paths,
} from "./store.ts";

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

/** What a reaper needs of its creator: disposing of it gives it all back. */
export class Prepared implements Disposable {
  /** The session's directory. */
  readonly hold: Hold;
  /** The reading side of `ready.pipe`. */
  readonly readyFd: number;
  /** The held lock. */
  #lockFd: number | undefined;

  constructor(hold: Hold, lockFd: number, readyFd: number) {
    this.hold = hold;
    this.#lockFd = lockFd;
    this.readyFd = readyFd;
  }

  /** Lets what is started inherit the lock until the result is disposed of. */
  lendLock(): Disposable {
    const set = (closeOnExec: boolean) => {
      if (this.#lockFd !== undefined) setCloseOnExec(this.#lockFd, closeOnExec);
    };
    set(false);
    return { [Symbol.dispose]: () => set(true) };
  }

  /** Leaves the lock to those who have inherited it. */
  releaseLock(): void {
    if (this.#lockFd !== undefined) closeQuietly(this.#lockFd);
    this.#lockFd = undefined;
  }

  [Symbol.dispose](): void {
    this.releaseLock();
    closeQuietly(this.readyFd);
    this.hold[Symbol.dispose]();
  }
}

/** A `SIGKILL`ed creator leaves this file behind; nothing reads it then. */
const READY = "ready.pipe";
/** What systemd-run had to say, until the start has succeeded or failed. */
const SCOPE_LOG = "scope.log";

/**
 * Refuses to start a session in a Worker: a thread can't keep what another one starts
 * from inheriting its session's lock, and a Worker that is terminated waits for no child.
 *
 * @throws {SessionError} `unsupported` in a Worker.
 */
export function requireMainThread(id?: string): void {
  if (!("WorkerGlobalScope" in globalThis)) return;
  const session = id === undefined ? "a session" : `session "${id}"`;
  const message =
    `Cannot start ${session} in a Worker: start it from the main thread`;
  throw new SessionError("unsupported", message, { id });
}

/**
 * Makes the files of a session in its existing directory and takes its lock.
 * What it returns is the caller's to pass to {@linkcode launch} and to dispose of.
 *
 * @throws {SessionError} `exists` if a session has lived in this directory: nothing was made then.
 */
export function prepare(paths: Paths, meta: Meta): Prepared {
  if (Deno.build.os === "windows") {
    throw new SessionError(
      "unsupported",
      `Cannot start session "${paths.id}": kind ${meta.kind} is not supported on Windows`,
    );
  }
  // The lock comes first: `createNew` makes it decide who owns the directory.
  makeLock(paths);
  const lockFd = open(paths.lock, { noFollow: true });
  try {
    if (!tryFlock(lockFd, "exclusive")) {
      throw new Deno.errors.Busy(`Cannot lock "${paths.lock}"`);
    }
    writeAtomic(paths.meta, textOfMeta(meta));
    for (const name of ["pid", "stdout.log", "stderr.log"]) {
      makeFile(`${paths.dir}/${name}`, "");
    }
    // Not empty, so that on a full disk it has room left for what the shell says of a signal.
    makeFile(`${paths.dir}/reaper.log`, "reaper:\n");
    if (meta.kind === "repl") {
      makePipe(paths.stdin);
      makePipe(`${paths.dir}/eof.pipe`);
    }
    makePipe(`${paths.dir}/${READY}`);
    const ready = open(`${paths.dir}/${READY}`, { noFollow: true });
    return new Prepared(Hold.take(paths)!, lockFd, ready);
  } catch (error) {
    close(lockFd);
    throw error;
  }
}

function makeLock(paths: Paths): void {
  try {
    makeFile(paths.lock, "");
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw alreadyThere(paths.id, "a session", error);
  }
}

/** That a directory is not free for a session, as an error. */
export function alreadyThere(
  id: string,
  what: string,
  cause?: unknown,
): SessionError {
  const message =
    `Cannot start session "${id}": its directory holds ${what} already`;
  return new SessionError("exists", message, { id, cause });
}

/** Makes a named pipe; one that is there already, whoever made it, is fine. */
function makePipe(path: string): void {
  try {
    mkfifo(path);
    restoreMode(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if (!Deno.lstatSync(path).isFifo) throw error;
  }
}

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
    throw startError(paths.id, program, cwd, status, report);
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

function textOfMeta(meta: Meta): string {
  return JSON.stringify(meta, null, 2) + "\n";
}

/**
 * Metadata for a session that is about to start.
 *
 * @throws {ArgumentError} if it is more than readers read.
 */
export function newMeta(facts: {
  readonly id: string;
  readonly kind: Kind;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly prompt?: string;
  readonly timeoutMs?: number;
  readonly rm?: boolean;
}): Meta {
  const { argv, env = {}, labels = {}, timeoutMs, rm } = facts;
  const meta: Meta = {
    format: FORMAT,
    id: facts.id,
    kind: facts.kind,
    argv,
    cwd: facts.cwd,
    env: Object.keys(env).sort(),
    labels,
    prompt: (facts.prompt ?? argv.join(" ")).replace(/\s+/g, " ").slice(0, 200),
    createdAt: new Date().toISOString(),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(rm ? { rm } : {}),
  };
  const sizeBytes = new TextEncoder().encode(textOfMeta(meta)).length;
  if (sizeBytes <= META_BYTES) return meta;
  throw new ArgumentError(
    `Cannot create a session: arguments, labels and names of variables take ${sizeBytes} bytes in meta.json, 1 MiB at most`,
  );
}
