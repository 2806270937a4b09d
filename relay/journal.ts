/**
 * The journal of a terminal session: `stdout.log`, bounded.
 *
 * The relay is its one writer. When `stdout.log` has reached half of the limit, it is
 * renamed to `stdout.log.1`, in place of an older one, and a new `stdout.log` begins,
 * if possible between two escape sequences. So there are two plain files at most,
 * never more than the limit together; `cat stdout.log.1 stdout.log` is all that is
 * kept, and no byte is ever rewritten (holes would read as zeros, and collapsing a range works
 * on two file systems only).
 *
 * Who follows it keeps the file open that he reads: at its end he looks whether
 * `stdout.log` is still the same file (its inode); if not, he reads his to the end
 * once more and goes on with the new one from its beginning. A follower that is slower
 * than half a limit of output loses some, which is what the bound means.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { restoreMode } from "../system/files.ts";

/** The default of how much output is kept, in bytes. */
export const LOG_LIMIT_BYTES = 64 * 1024 * 1024;
/** How far beyond its size a file may grow in search of a good place to end. */
const SLACK_BYTES = 64 * 1024;

/** A bounded log. */
export class Journal {
  #file: Deno.FsFile;
  #sizeBytes: number;
  readonly #path: string;
  readonly #limitBytes: number;
  readonly #complain: (message: string) => void;
  #failed = false;
  /** Whether old output has been dropped, so that the journal doesn't begin at the beginning. */
  hasDropped = false;

  /** Appends to `path`, keeping at most `limitBytes`. Failures to write go to `complain`. */
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
   * Appends. A full disk costs the log some output, and never the session its life.
   * `canEnd` tells whether the file may end behind these bytes.
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
    }
  }

  #rotate(): void {
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
      // Anew or not at all: a link or a pipe in its place would be written through, or waited for.
      file = this.#open({ createNew: true });
    } catch (error) {
      Deno.renameSync(old, this.#path); // Tried again at the next write.
      throw error;
    }
    this.#file.close();
    this.#file = file;
    this.#sizeBytes = 0;
  }
}
