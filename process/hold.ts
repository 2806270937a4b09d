/**
 * Holding a session's directory, to be sure that its path means this session and no later one.
 *
 * An id can be deleted and used again at any moment, and a path is only a name, also the one in
 * the environment of processes. Code that decides by what it has seen of a session holds its
 * directory open. Meanwhile no other directory can get its inode. So if the path still leads
 * to that inode afterwards, it has done so all the time.
 *
 * Invariant: code that removes or renames a session's directory holds an exclusive flock(2) on
 * it, from the last look at the session until the name is free. A name must be free before it is
 * used again, so the holder of the lock can't hit a later session. (The reaper of a session
 * that removes itself takes no lock: no other process removes a session whose reaper lives.)
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
import { dirname, join } from "../std.ts";
import type { Paths } from "../store.ts";

/** A session's directory, held open; disposing of it closes it. */
export class Hold implements Disposable {
  readonly #id: string;
  readonly #identity: string;
  #dir: string;
  #fd: number;

  /** Holds the directory that `paths` mean now; `undefined` if there is none. Needs `--allow-ffi`. */
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

  /** Notes that its holder has renamed it. */
  moved(dir: string): void {
    this.#dir = dir;
  }

  /** Tells whether its path still means it. */
  isStill(): boolean {
    return identityAt(this.#dir) === this.#identity;
  }

  /** Takes its lock without waiting; `false` if another process has it. */
  tryLock(): boolean {
    return tryFlock(this.#fd, "exclusive");
  }

  /**
   * Takes its lock, and waits if another process has it; `false` if that takes too long, or if
   * the path no longer means it.
   */
  async lock(timeoutMs = 5_000, signal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    for (let waitMs = 1; !this.tryLock(); waitMs = Math.min(50, waitMs * 2)) {
      signal?.throwIfAborted();
      if (!this.isStill() || performance.now() > deadline) return false;
      await poll(-1, 0, waitMs); // A pause without a timer.
    }
    return this.isStill();
  }

  /**
   * Removes it; it must be locked and have no process left. It gets a hidden name first, so that
   * a SIGKILL in between leaves no half session. If it can't be renamed, for example on a full
   * disk, it is removed under its own name. `false` if it was gone already.
   */
  remove(): boolean {
    if (!this.isStill()) return false;
    const random = Math.random().toString(36).slice(2, 10);
    const name = `.old-${this.#id}-${Deno.pid}-${random}`;
    // rename(2) doesn't follow a link at the new path.
    let old = join(dirname(this.#dir), name);
    try {
      Deno.renameSync(this.#dir, old);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      old = this.#dir;
    }
    remove(old);
    return true;
  }

  /** Removes one of its files, wherever the directory is by now; errors are ignored. */
  removeFile(name: string): void {
    unlinkAt(this.#fd, name);
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }
}
