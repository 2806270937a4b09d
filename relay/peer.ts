/**
 * One client of a relay: its socket, what waits to be sent to it, what it asked for.
 *
 * The relay's loop only ever puts bytes into the queue. Above its bound the queue is
 * dropped and the client *lags*: once it has drained what it was sent, it gets the
 * screen as it is then, and is live again. So a frozen client costs a queue, and a slow
 * one sees less, never something wrong.
 *
 * @module
 */
import { within } from "../system/async.ts";
import { concat } from "../system/bytes.ts";
import { encode, Frame, type Size } from "./protocol.ts";

/** Output that may wait for a client before it lags, in bytes. */
const MAX_QUEUE_BYTES = 1024 * 1024;
/** Frames that are written in one go, in bytes. */
const MAX_WRITE_BYTES = 256 * 1024;

/** A connected client. */
export class RelayClient {
  /** Whether it gets output. */
  isAttached = false;
  /** Whether it only looks on. */
  isReadOnly = false;
  /** Whether it wants to be told of output. */
  isWatching = false;
  /** Whether output was left out, so that it needs the whole screen. */
  isLagging = false;
  /** Whether its terminal may show something else: its window, or the session's, has another size. */
  isStale = false;
  /** Its window. */
  size: Size | undefined;
  readonly #conn: Deno.Conn;
  readonly #onDrained: (client: RelayClient) => void;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** `onDrained` is called when everything is sent and the client lags. */
  constructor(conn: Deno.Conn, onDrained: (client: RelayClient) => void) {
    this.#conn = conn;
    this.#onDrained = onDrained;
  }

  /** Whether it is there to answer questions and to be typed at. */
  get isInteractive(): boolean {
    return this.isAttached && !this.isReadOnly && !this.isLagging;
  }

  /** Reads from its socket; `null` at the end. */
  async read(room: Uint8Array): Promise<number | null> {
    try {
      return await this.#conn.read(room);
    } catch {
      return null; // Reset, or closed by us.
    }
  }

  /** Sends a frame after those that wait. */
  send(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.#writing ??= this.#write();
  }

  /** Sends output, unless too much waits already. */
  sendOutput(frame: Uint8Array): void {
    if (this.isLagging) return;
    if (this.#queuedBytes + frame.length > MAX_QUEUE_BYTES) {
      this.isLagging = true;
      // The redraw that follows replaces all output; answers are kept.
      this.#queue = this.#queue.filter((queued) => queued[4] !== Frame.OUTPUT);
      this.#queuedBytes = this.#queue.reduce((sum, f) => sum + f.length, 0);
      this.#writing ??= this.#write();
    } else this.send(frame);
  }

  /** Sends the whole screen; output goes on behind it. */
  sendRedraw(screen: Uint8Array): void {
    this.isLagging = this.isStale = false;
    this.send(encode(Frame.REDRAW, screen));
  }

  async #write(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const bytes = this.#nextBytes();
        for (let at = 0; at < bytes.length;) {
          at += await this.#conn.write(bytes.subarray(at));
        }
      }
    } catch {
      this.close(); // It is gone.
    }
    this.#writing = undefined;
    if (this.isLagging && !this.#closed) this.#onDrained(this);
  }

  /** The next frames, joined as far as that saves writes. */
  #nextBytes(): Uint8Array {
    const queue = this.#queue;
    let count = 0;
    let length = 0;
    while (
      count < queue.length &&
      (count === 0 || length + queue[count]!.length <= MAX_WRITE_BYTES)
    ) length += queue[count++]!.length;
    this.#queuedBytes -= length;
    const frames = queue.splice(0, count);
    return count === 1 ? frames[0]! : concat(frames);
  }

  /** Waits until everything is sent, or `timeoutMs` is over. */
  async flush(timeoutMs: number): Promise<void> {
    await within(timeoutMs, Promise.resolve(this.#writing));
  }

  /** Closes the connection. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.isAttached = false;
    this.#queue = [];
    try {
      this.#conn.close();
    } catch {
      // It was closed already.
    }
  }
}
