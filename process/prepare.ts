/**
 * Preparing a start: the session's files, its held lock, the pipe of the handshake.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { Hold } from "./hold.ts";
import { NO_OUTCOME, notifierOf } from "./notifier.ts";
import {
  READY,
  type ReaperOptions,
  reaperScript,
  scriptPath,
} from "./reaper.ts";
import { join } from "../std.ts";
import { KINDS, type Meta, type Paths, textOfMeta } from "../store.ts";
import { makeFile, restoreMode, writeAtomic } from "../system/files.ts";
import {
  close,
  closeQuietly,
  mkfifo,
  moveUp,
  open,
  setCloseOnExec,
  tryFlock,
} from "../system/libc.ts";
import { OS } from "../system/os.ts";
import { checkProc } from "./table.ts";

/** The creator's descriptors for a start; disposing of it closes them. */
export class Prepared implements Disposable {
  /** The session's directory. */
  readonly hold: Hold;
  /** The read end of `ready.pipe`. */
  readonly readyFd: number;
  /** The held lock. */
  #lockFd: number | undefined;

  constructor(hold: Hold, lockFd: number, readyFd: number) {
    this.hold = hold;
    this.#lockFd = lockFd;
    this.readyFd = readyFd;
  }

  /** Lets new processes inherit the lock until the result is disposed of. */
  lendLock(): Disposable {
    const set = (closeOnExec: boolean) => {
      if (this.#lockFd !== undefined) setCloseOnExec(this.#lockFd, closeOnExec);
    };
    set(false);
    return { [Symbol.dispose]: () => set(true) };
  }

  /** Closes the creator's copy of the lock: processes that have inherited it keep it. */
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

/**
 * Refuses to start a session in a Worker. While one starts, its lock can be inherited and
 * signals have other actions, both in the whole process: what another thread starts at that
 * moment gets them, too.
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
 * Makes the files of a session in its existing directory and takes its lock. The caller passes
 * the result to `launch()` and disposes of it.
 *
 * @throws {SessionError} `exists` if the directory has had a session; then nothing was made.
 */
export function prepare(
  paths: Paths,
  meta: Meta,
  options: Pick<ReaperOptions, "graceMs" | "unset"> = {},
): Prepared {
  if (!OS.canStart) {
    throw new SessionError(
      "unsupported",
      `Cannot start session "${paths.id}": kind ${meta.kind} is not supported on ${OS.name}`,
    );
  }
  checkProc();
  // First: only one process can create the lock, and that one owns the directory.
  makeLock(paths);
  // A shell may open any of the first ten itself, and the reaper does: the agent would lose the lock.
  const lockFd = moveUp(open(paths.lock, { noFollow: true }), 10);
  try {
    if (!tryFlock(lockFd, "exclusive")) {
      throw new Deno.errors.Busy(`Cannot lock "${paths.lock}"`);
    }
    writeAtomic(paths.meta, textOfMeta(meta));
    for (const name of ["pid", "stdout.log", "stderr.log", "events.jsonl"]) {
      makeFile(join(paths.dir, name), "");
    }
    // Not empty: its block has room for the shell's message about a signal, even on a full disk.
    makeFile(join(paths.dir, "reaper.log"), "reaper:\n");
    const { pipes, isTerminal } = KINDS[meta.kind];
    for (const name of pipes) makePipe(join(paths.dir, name));
    const { timeoutMs, rm } = meta;
    const notifier = notifierOf(meta);
    if (notifier) {
      makeFile(paths.notify, NO_OUTCOME);
      Deno.utimeSync(paths.notify, 0, 0); // None has been started yet: see events/notify.ts.
    }
    const script = {
      ...{ timeoutMs, rm, notifier },
      ...{ pipe: pipes.length > 0, relay: isTerminal },
    };
    makeFile(scriptPath(paths.dir), reaperScript({ ...options, ...script }));
    const ready = join(paths.dir, READY);
    makePipe(ready);
    const readyFd = open(ready, { noFollow: true });
    return new Prepared(Hold.take(paths)!, lockFd, readyFd);
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

/** The error for a directory that is not free for a session. */
export function alreadyThere(
  id: string,
  what: string,
  cause?: unknown,
): SessionError {
  const message =
    `Cannot start session "${id}": its directory already holds ${what}`;
  return new SessionError("exists", message, { id, cause });
}

/** Makes a named pipe; an existing one is fine. */
function makePipe(path: string): void {
  try {
    mkfifo(path);
    restoreMode(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if (!Deno.lstatSync(path).isFifo) throw error;
  }
}
