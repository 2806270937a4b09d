/**
 * Writes to a pseudo-terminal's master, in order, without ever holding up the relay's loop.
 *
 * Input that the program does not read fills the kernel's buffer of some kilobytes, then
 * a queue here. Each write says how long it may wait, and gets the count of bytes taken.
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

/** The kernel's line buffer takes at most this much at a time. */
const PIECE_BYTES = 4096;

/** A queue of writes to one descriptor. */
export class PtyWriter {
  readonly #fd: number;
  readonly #jobs: Job[] = [];
  /** Bytes that the kernel has taken so far. */
  takenBytes = 0;
  /** Bytes that wait in the queue. */
  waitingBytes = 0;
  #running = false;
  #closed = false;

  /** Writes to the nonblocking descriptor `fd`. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Drops what waits, and takes no more. */
  close(): void {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.done(job.written);
  }

  /**
   * Writes, and resolves to how many bytes were taken: all, or fewer once none was taken
   * for `idleMs`, neither of these nor of earlier ones.
   */
  write(bytes: Uint8Array, idleMs = 2000): Promise<number> {
    if (bytes.length === 0 || this.#closed) return Promise.resolve(0);
    if (this.#jobs.length === 0) {
      const count = writeNow(this.#fd, bytes as Uint8Array<ArrayBuffer>);
      if (count > 0) this.takenBytes += count;
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
      let seen = this.takenBytes;
      this.waitingBytes += bytes.length - written;
      // It may take up to twice as long; that is exact enough.
      const timer = setInterval(() => {
        if (this.takenBytes > seen) seen = this.takenBytes;
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
        this.takenBytes += count;
        this.waitingBytes -= count;
      }
      if (job.written === job.bytes.length) {
        this.#jobs.shift();
        job.done(job.written);
      } else if (count <= 0) {
        await poll(this.#fd, POLLOUT, 100);
        // The kernel may report room for a byte and then take none.
        await sleep(1);
      }
    }
    this.#running = false;
  }
}
