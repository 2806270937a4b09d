/**
 * The journal of a terminal session: `stdout.log`, bounded.
 *
 * The relay is its only writer. When `stdout.log` has reached half of the limit, it is
 * renamed to `stdout.log.1`, replacing an older one, and a new `stdout.log` begins,
 * if possible between two escape sequences. So there are at most two plain files, together
 * never larger than the limit. `cat stdout.log.1 stdout.log` prints everything that is
 * kept. No byte is ever rewritten: holes would read as zeros, and collapsing a range works
 * on two file systems only.
 *
 * A follower keeps the file open that it reads. At the end of that file it looks whether
 * `stdout.log` is still the same (its inode). If not, it reads its own file to the end
 * once more, and continues at the beginning of the new one. A follower that falls behind by
 * half of the limit loses output.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { identityAt, identityOf, restoreMode } from "../system/files.ts";

/** How much output is kept by default, in bytes. */
export const LOG_LIMIT_BYTES = 64 * 1024 * 1024;
/** How early a file may end, before half of the limit, at a good place. */
const SLACK_BYTES = 64 * 1024;

/** A bounded log. */
export class Journal {
  #file: Deno.FsFile;
  #sizeBytes: number;
  readonly #path: string;
  readonly #limitBytes: number;
  readonly #complain: (message: string) => void;
  #failed = false;
  /** Whether the first output has been dropped. */
  hasDropped = false;

  /** Appends to `path`, keeping at most `limitBytes`. Calls `complain` when it can't write. */
  constructor(
    path: string,
    limitBytes: number,
    complain: (message: string) => void,
  ) {
    this.#path = path;
    this.#limitBytes = Math.max(16 * 1024, limitBytes);
    this.#complain = complain;
    this.#file = this.#open({ create: true });
    this.#sizeBytes = this.#file.statSync().size;
  }

  #open(how: { create: true } | { createNew: true }): Deno.FsFile {
    const options = { append: true, mode: 0o600, ...how };
    const file = Deno.openSync(this.#path, options);
    restoreMode(this.#path);
    return file;
  }

  /**
   * Appends. On a full disk the log loses output; the session goes on, and the log's time still
   * tells when there was output. `canEnd` tells whether the file may end after these bytes.
   */
  write(bytes: Uint8Array, canEnd: boolean): void {
    try {
      let rest = bytes;
      while (rest.length > 0) rest = rest.subarray(this.#file.writeSync(rest));
      this.#sizeBytes += bytes.length;
      const half = this.#limitBytes / 2;
      if (
        this.#sizeBytes >= half - Math.min(SLACK_BYTES, half / 4) &&
        (canEnd || this.#sizeBytes >= half)
      ) {
        this.#rotate();
      }
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) {
        this.#complain(`Cannot write "${this.#path}": ${messageOf(error)}`);
      }
      this.#failed = true;
      this.#touch();
    }
  }

  #touch(): void {
    try {
      const now = new Date();
      this.#file.utimeSync(now, now);
    } catch {
      // The file system is read-only, for example.
    }
  }

  #rotate(): void {
    // Another session's log, if the directory was moved away, is not put aside.
    const isOwn = identityAt(this.#path) === identityOf(this.#file.statSync());
    if (!isOwn) return;
    const old = `${this.#path}.1`;
    try {
      Deno.lstatSync(old);
      this.hasDropped = true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    Deno.renameSync(this.#path, old);
    let file: Deno.FsFile;
    try {
      // Only if there is no such file: a link would be followed, a pipe waited for.
      file = this.#open({ createNew: true });
    } catch (error) {
      Deno.renameSync(old, this.#path); // The next write tries again.
      throw error;
    }
    this.#file.close();
    this.#file = file;
    this.#sizeBytes = 0;
  }
}
