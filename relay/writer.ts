/**
 * Writes to a pseudo-terminal's master, in order, without ever waiting in the relay's loop.
 *
 * What a program does not read stays in the kernel's buffer of some kilobytes, and
 * then in here; whoever wrote it says how long it may take, and gets the count.
 *
 * @module
 */
import { sleep } from "../system/async.ts";
import { poll, POLLOUT, writeNow } from "../system/libc.ts";

interface Job {
  bytes: Uint8Array<ArrayBuffer>;
  written: number;
  readonly done: (written: number) => void;
}

/** The kernel's own line buffer takes no more than this at a time. */
const PIECE_BYTES = 4096;

/** A queue of writes to one descriptor. */
export class PtyWriter {
  readonly #fd: number;
  readonly #jobs: Job[] = [];
  /** Bytes that were ever taken. */
  #taken = 0;
  /** Bytes that have not been taken yet. */
  waitingBytes = 0;
  #running = false;
  #closed = false;

  /** Writes to the nonblocking descriptor `fd`. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Takes no more; what is left is given up. */
  close(): void {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.done(job.written);
  }

  /**
   * Writes and resolves to how many bytes were taken: all, or fewer if for
   * `idleMs` none was, of these or of what was written before.
   */
  write(bytes: Uint8Array, idleMs = 2000): Promise<number> {
    if (bytes.length === 0 || this.#closed) return Promise.resolve(0);
    if (this.#jobs.length === 0) {
      const count = writeNow(this.#fd, bytes as Uint8Array<ArrayBuffer>);
      if (count === bytes.length) return Promise.resolve(count);
      if (count > 0) return this.#enqueue(bytes, count, idleMs);
    }
    return this.#enqueue(bytes, 0, idleMs);
  }

  #enqueue(
    bytes: Uint8Array,
    written: number,
    idleMs: number,
  ): Promise<number> {
    return new Promise((resolve) => {
      let seen = this.#taken;
      this.waitingBytes += bytes.length - written;
      // A look now and then is enough: the time is a bound, not a measure.
      const timer = setInterval(() => {
        if (this.#taken > seen) seen = this.#taken;
        else {
          const at = this.#jobs.indexOf(job);
          if (at >= 0) this.#jobs.splice(at, 1);
          job.done(job.written);
        }
      }, idleMs);
      const job: Job = {
        bytes: bytes.slice(),
        written,
        done: (count) => {
          clearInterval(timer);
          this.waitingBytes -= bytes.length - count;
          resolve(count);
        },
      };
      this.#jobs.push(job);
      if (!this.#running) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#closed) {
      const job = this.#jobs[0];
      if (job === undefined) break;
      const piece = job.bytes.subarray(job.written, job.written + PIECE_BYTES);
      const count = writeNow(this.#fd, piece);
      if (count === -2) break;
      if (count > 0) {
        job.written += count;
        this.#taken += count;
        this.waitingBytes -= count;
      }
      if (job.written === job.bytes.length) {
        this.#jobs.shift();
        job.done(job.written);
      } else if (count <= 0) {
        await poll(this.#fd, POLLOUT, 100);
        // The kernel may say that there is room for a byte and then take none.
        await sleep(1);
      }
    }
    this.#running = false;
  }
}
