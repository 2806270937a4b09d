/**
 * Holding a session's directory: that its name means this session, and no later one.
 *
 * An id may be deleted and used again at any moment, and paths, also the one that processes
 * carry in their environment, are names. Whoever decides by what he has seen of a session
 * holds its directory open: its inode can't be another's meanwhile, so if the name
 * still means it afterwards, the name has meant it all the time.
 *
 * Invariant: who takes a session's name away holds an exclusive flock(2) on its directory,
 * from the last look at the session until the name is gone. As a name must be gone before it
 * can be used again, nobody who holds the lock can hit a later session. (The reaper
 * of a session that removes itself takes no lock: nobody else removes a session
 * whose reaper is alive.)
 *
 * @module
 */
import { identityAt, identityOf, isAbsence, remove } from "../system/files.ts";
import {
  closeQuietly,
  factsOf,
  open,
  poll,
  tryFlock,
  unlinkAt,
} from "../system/libc.ts";
import type { Paths } from "../store.ts";

/** A session's directory, held open; disposing of it lets go. */
export class Hold implements Disposable {
  readonly #id: string;
  readonly #identity: string;
  #dir: string;
  #fd: number;

  /** Holds what `paths` mean now; `undefined` if there is no directory. Needs `--allow-ffi`. */
  static take({ id, dir }: Paths): Hold | undefined {
    try {
      const fd = open(dir, { noFollow: true, directory: true });
      return new Hold(id, dir, fd);
    } catch (error) {
      if (
        isAbsence(error) || error instanceof Deno.errors.FilesystemLoop
      ) return undefined;
      throw error;
    }
  }

  private constructor(id: string, dir: string, fd: number) {
    this.#id = id;
    this.#dir = dir;
    this.#fd = fd;
    this.#identity = identityOf(factsOf(fd, dir));
  }

  /** Tells that it was renamed, by its holder. */
  moved(dir: string): void {
    this.#dir = dir;
  }

  /** Tells whether the name still means it. */
  isStill(): boolean {
    return identityAt(this.#dir) === this.#identity;
  }

  /** Takes its lock without waiting; `false` if another has it. */
  tryLock(): boolean {
    return tryFlock(this.#fd, "exclusive");
  }

  /**
   * Takes its lock, waiting for another who has it; `false` if that takes too long, or if
   * the name does not mean it any more.
   */
  async lock(timeoutMs = 5_000, abortSignal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    for (let waitMs = 1; !this.tryLock(); waitMs = Math.min(50, waitMs * 2)) {
      abortSignal?.throwIfAborted();
      if (!this.isStill() || performance.now() > deadline) return false;
      await poll(-1, 0, waitMs); // A pause, without a timer.
    }
    return this.isStill();
  }

  /**
   * Removes it, which must be locked, and have no process any more. It is moved under a
   * hidden name first, so that who is killed in the middle leaves no half session; where
   * that can't be, as a full disk may have it, it is removed as it stands. `false`: it was
   * gone already.
   */
  remove(): boolean {
    if (!this.isStill()) return false;
    const random = Math.random().toString(36).slice(2, 10);
    const root = this.#dir.slice(0, this.#dir.lastIndexOf("/"));
    // rename(2) moves nothing to where a link leads.
    let old = `${root}/.old-${this.#id}-${Deno.pid}-${random}`;
    try {
      Deno.renameSync(this.#dir, old);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      old = this.#dir;
    }
    remove(old);
    return true;
  }

  /** Removes a file of it by its name, wherever the directory is by now, if that can be. */
  removeFile(name: string): void {
    unlinkAt(this.#fd, name);
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }
}
