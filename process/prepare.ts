/**
 * What a reaper needs before it starts: the session's files, its held lock, the pipe of the
 * handshake.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { Hold } from "./hold.ts";
import { KINDS, type Meta, type Paths, textOfMeta } from "../store.ts";
import { makeFile, restoreMode, writeAtomic } from "../system/files.ts";
import {
  close,
  closeQuietly,
  mkfifo,
  open,
  setCloseOnExec,
  tryFlock,
} from "../system/libc.ts";

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

/** The pipe of the handshake. A `SIGKILL`ed creator leaves this file behind; nothing reads it then. */
export const READY = "ready.pipe";

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
    for (const name of KINDS[meta.kind].pipes) makePipe(`${paths.dir}/${name}`);
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
