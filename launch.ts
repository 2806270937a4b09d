/**
 * Starting: the files that a session needs, its lock, the reaper, the handshake.
 *
 * The order is the point. Files and the held lock exist before the reaper, the
 * metadata before the agent, and the pids before the agent's exec, so that no
 * instant has a running agent that nobody knows of. Between opening the lock
 * and closing our copy nothing is awaited: no other start of this program can
 * inherit it in between.
 *
 * Needs `--allow-read` and `--allow-write` of the session's directory,
 * `--allow-run=/bin/sh` (with `env`, `--allow-run` in full), `--allow-ffi`.
 *
 * @module
 */
import { ArgumentError, messageOf, SessionError } from "./errors.ts";
import {
  close,
  getsid,
  mkfifo,
  open,
  poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  processExists,
  read,
  readLink,
  setCloseOnExec,
  tryFlock,
} from "./libc.ts";
import { readArgv, readEntry } from "./proc.ts";
import { type ReaperOptions, reaperScript } from "./reaper.ts";
import { SIGNALS } from "./signals.ts";
import {
  exists,
  FORMAT,
  type Kind,
  type Meta,
  type Paths,
  type Pids,
  readEnding,
  writeAtomic,
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
  /** The reading side of `ready.pipe`. */
  readonly readyFd: number;
  /** The held lock: inherited by what is started while it is open. */
  #lockFd: number | undefined;

  constructor(lockFd: number, readyFd: number) {
    this.#lockFd = lockFd;
    this.readyFd = readyFd;
  }

  /** Leaves the lock to those who have inherited it. */
  releaseLock(): void {
    if (this.#lockFd !== undefined) closeQuietly(this.#lockFd);
    this.#lockFd = undefined;
  }

  [Symbol.dispose](): void {
    this.releaseLock();
    closeQuietly(this.readyFd);
  }
}

/** A `SIGKILL`ed creator leaves this file behind; nothing reads it then. */
const READY = "ready.pipe";
/** How long a reaper may take to record the end of an agent that is dead. */
const RECORD_MS = 2_000;
/** What the reaper runs. */
const SCRIPT = "reaper.sh";

/**
 * Makes the files of a session in its existing directory and takes its lock.
 * What it returns is the caller's to pass to {@linkcode launch}, without an await
 * between, and to dispose of.
 *
 * @throws {Deno.errors.AlreadyExists} if a session has lived in this directory.
 */
export function prepare(paths: Paths, meta: Meta): Prepared {
  if (Deno.build.os === "windows") {
    throw new SessionError(
      "unsupported",
      `Cannot start session "${paths.id}": kind ${meta.kind} is not supported on Windows`,
    );
  }
  // The lock comes first: `createNew` makes it decide who owns the directory.
  const lock = { createNew: true, write: true, mode: 0o600 };
  Deno.openSync(paths.lock, lock).close();
  const lockFd = open(paths.lock, { inherit: true });
  try {
    if (!tryFlock(lockFd, "exclusive")) {
      throw new Deno.errors.Busy(`Cannot lock "${paths.lock}"`);
    }
    writeAtomic(paths.meta, JSON.stringify(meta, null, 2) + "\n");
    const file = { create: true, append: true, mode: 0o600 };
    for (const name of ["pid", "stdout.log", "stderr.log"]) {
      Deno.openSync(`${paths.dir}/${name}`, file).close();
    }
    // Not empty, so that on a full disk it has room left for what the shell says of a signal.
    Deno.writeTextFileSync(`${paths.dir}/reaper.log`, "reaper:\n", file);
    if (meta.kind === "repl") {
      makePipe(paths.stdin);
      makePipe(`${paths.dir}/eof.pipe`);
    }
    makePipe(`${paths.dir}/${READY}`);
    return new Prepared(lockFd, open(`${paths.dir}/${READY}`));
  } catch (error) {
    close(lockFd);
    throw error;
  }
}

/** Makes a named pipe; one that is there already, whoever made it, is fine. */
function makePipe(path: string): void {
  try {
    mkfifo(path);
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
  for (let fd = 3; fd < 256; fd++) {
    if (readLink(`/proc/self/fd/${fd}`)?.startsWith(`${own}/`)) {
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
  const { argv, program = argv[0] ?? "", cwd = Deno.cwd() } = options;
  let child: Deno.ChildProcess | undefined;
  try {
    try {
      keepOwnLock();
      child = spawnReaper(paths, cwd, options);
    } finally {
      prepared.releaseLock();
    }
    let over = false;
    const ended = child.status.finally(() => over = true);
    const { pids, report } = await handshake(prepared.readyFd, () => over);
    if (
      pids !== undefined && (options.relay ? report === "ok" : report === "")
    ) {
      const failed = !options.relay &&
        await diedUnstarted(paths, pids, ended, options);
      if (!failed) return pids;
    }
    await soon(ended);
    const status = Number(report || exitCodeOf(paths));
    throw startError(paths.id, program, cwd, status, report);
  } catch (error) {
    // Its files are about to go: nothing that was started may run on unknown.
    if (child !== undefined) await endStarted(paths);
    throw error;
  } finally {
    child?.unref(); // Only now: what is unreferenced is not waited for.
    removeReady(paths);
  }
}

/** The agent runs: a file that nothing reads any more, and that can't be removed, changes nothing. */
function removeReady(paths: Paths): void {
  try {
    Deno.removeSync(`${paths.dir}/${READY}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
  }
}

/** Ends what was started of a session that could not be. */
async function endStarted(paths: Paths): Promise<void> {
  const { endProcesses } = await import("./ending.ts");
  const kill = { signalNumber: SIGNALS.KILL!, graceMs: 0, evenReaper: true };
  await endProcesses(paths, kill);
}

/** close(2) frees a descriptor whatever it says, and nothing can be done about that. */
function closeQuietly(fd: number): void {
  try {
    close(fd);
  } catch {
    // See above.
  }
}

function spawnReaper(
  paths: Paths,
  cwd: string,
  options: LaunchOptions,
): Deno.ChildProcess {
  const { argv, env, clearEnv = false } = options;
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
    Deno.writeTextFileSync(script, reaperScript(options), { mode: 0o600 });
    // detached: setsid(2), before the exec. The shell then ignores SIGHUP itself.
    const child = new Deno.Command("/bin/sh", {
      args: [script, ...argv],
      cwd,
      env: {
        ...env,
        CODEX_SESSION_ID: paths.id,
        CODEX_SESSION_DIR: paths.dir,
      },
      clearEnv,
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    if (getsid(child.pid) !== child.pid) {
      child.kill("SIGKILL");
      throw new Error("setsid had no effect");
    }
    return child;
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

interface Handshake {
  /** The processes, if they came into being. */
  readonly pids?: Pids;
  /** What was reported after them; see {@linkcode reaperScript}. */
  readonly report: string;
}

/** Waits for the agent's exec to succeed or fail, or the reaper to end. */
async function handshake(
  readyFd: number,
  isOver: () => boolean,
): Promise<Handshake> {
  const buffer = new Uint8Array(256);
  let text = "";
  for (;;) {
    const over = isOver();
    const bits = await poll(readyFd, POLLIN, 50);
    if (bits & POLLIN) {
      text += new TextDecoder().decode(
        buffer.subarray(0, read(readyFd, buffer)),
      );
      continue;
    }
    // A hang-up without a word is one from before the pipe's first writer.
    const hungUp = (bits & (POLLHUP | POLLERR)) !== 0;
    if (over || (hungUp && text !== "")) {
      const [, reaper, agent, report] = /^(?:(\d+) (\d+)\n)?([^]*)$/.exec(
        text,
      )!;
      return {
        pids: agent === undefined
          ? undefined
          : { reaper: Number(reaper), agent: Number(agent) },
        report: report!.trim(),
      };
    }
    if (bits !== 0) await new Promise((wake) => setTimeout(wake, 1));
  }
}

/**
 * Some shells (bash, mksh) can't report a failed exec of their own: tells whether
 * the agent has ended as such a failure does, and would fail if tried again.
 */
async function diedUnstarted(
  paths: Paths,
  pids: Pids,
  ended: Promise<unknown>,
  options: LaunchOptions,
): Promise<boolean> {
  if (Deno.build.os === "linux") {
    const argv = readArgv(pids.agent);
    if (argv !== undefined && argv[1] !== `${paths.dir}/${SCRIPT}`) {
      return false;
    }
    // No arguments: it has ended, or a script's own exec is under way at this instant.
    if (argv === undefined && readEntry(pids.agent) !== undefined) return false;
  } else if (processExists(pids.agent)) return false;
  await soon(ended);
  const code = exitCodeOf(paths);
  return (code === 126 || code === 127) && !await canExecute(options);
}

/** Waits for the reaper's end, but not for one that can't record how the agent ended: on a full disk. */
async function soon(ended: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((wake) => timer = setTimeout(wake, RECORD_MS));
  await Promise.race([ended, late]);
  clearTimeout(timer);
}

function exitCodeOf(paths: Paths): number {
  const ending = readEnding(paths);
  return ending !== undefined && "code" in ending ? ending.code : -1;
}

/** Tells whether the program is a file on the agent's PATH that may be executed. */
async function canExecute(options: LaunchOptions): Promise<boolean> {
  const { resolve } = await import("./std.ts");
  const { argv, cwd = Deno.cwd(), env, clearEnv } = options;
  const program = argv[0] ?? "";
  const inherited = clearEnv ? undefined : Deno.env.get("PATH");
  const path = env?.PATH ?? inherited ?? "/usr/local/bin:/usr/bin:/bin";
  const folders = program.includes("/") ? [""] : path.split(":");
  return folders.some((folder) => {
    try {
      const info = Deno.statSync(resolve(cwd, folder, program));
      return info.isFile && ((info.mode ?? 0) & 0o111) !== 0;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      return false;
    }
  });
}

function startError(
  id: string,
  program: string,
  cwd: string,
  status: number,
  report: string,
): SessionError {
  const cannot = `Cannot start "${program}"`;
  if (status === 127) {
    let why = "not found on PATH";
    if (program.includes("/")) {
      why = exists(program.startsWith("/") ? program : `${cwd}/${program}`)
        ? "the interpreter that its first line names is missing"
        : "no such file";
    }
    return new SessionError("program_not_found", `${cannot}: ${why}`, { id });
  }
  if (status === 126) {
    const why = "it is not an executable program (permission or format)";
    return new SessionError("not_executable", `${cannot}: ${why}`, { id });
  }
  const why = status === 125
    ? "its process id could not be recorded; is the disk full?"
    : `its supervisor ended early${report ? `: ${report}` : ""}`;
  return new SessionError("spawn_failed", `${cannot}: ${why}`, { id });
}

/** Metadata for a session that is about to start. */
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
  return {
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
}
