/**
 * One client of a relay: its socket, the frames that wait to be sent, its wishes.
 *
 * The relay's loop only puts bytes into the queue and never waits. When the queue is full, its
 * output is dropped and the client *lags*: once it has read everything that was sent, it gets
 * the screen as it is then, and is live again. So a frozen client costs a queue, and a slow
 * client sees fewer steps, never a wrong screen.
 *
 * @module
 */
import { within } from "../system/async.ts";
import { concat } from "../system/bytes.ts";
import type { Crop } from "../screen/crop.ts";
import { TypedInput } from "../screen/typed.ts";
import { encode, Frame, type Size } from "./protocol.ts";

/** Output that may wait for a client before it lags, in bytes. */
const MAX_QUEUE_BYTES = 1024 * 1024;
/** Frames that are written in one go, in bytes. */
const MAX_WRITE_BYTES = 256 * 1024;

/** A connected client. */
export class RelayClient {
  /** Whether it gets output. */
  isAttached = false;
  /** Whether its input is ignored. */
  isReadOnly = false;
  /** The directory of the session on whose terminal it shows this one. */
  within: string | undefined;
  /** Whether it wants to know of output without getting it. */
  isWatching = false;
  /** Whether output was dropped, so that it needs the whole screen. */
  isLagging = false;
  /** Whether its terminal may show something else, since its size or the session's has changed. */
  isStale = false;
  /** Its window. */
  size: Size | undefined;
  /** Paints its window, which has another size than the session's. */
  crop: Crop | undefined;
  /** Whether a painting is due. */
  isPaintDue = false;
  /** When the next painting may come, by `performance.now()`. */
  paintsAt = 0;
  /** Whether the main screen of its terminal shows the session's; the user's own otherwise. */
  hasMain = false;
  /**
   * The blank screen of a program that has written nothing yet: it waits for the first output,
   * which may go to the alternate screen and leave the user's own as it is.
   */
  blank: Uint8Array | undefined;
  /** Which of its input was typed. */
  readonly typed: TypedInput = new TypedInput();
  /** How often it has sent input. */
  inputCount = 0;
  readonly #conn: Deno.Conn;
  readonly #onDrained: (client: RelayClient) => void;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** `onDrained` is called when the client lags and has got everything that was sent. */
  constructor(conn: Deno.Conn, onDrained: (client: RelayClient) => void) {
    this.#conn = conn;
    this.#onDrained = onDrained;
  }

  /** Whether its terminal sees the program's questions and can answer them. */
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

  /** Sends a frame after those that are waiting. */
  send(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.#writing ??= this.#write();
  }

  /** Sends output, unless too much is waiting already. */
  sendOutput(frame: Uint8Array): void {
    if (this.isLagging) return;
    if (this.#queuedBytes + frame.length > MAX_QUEUE_BYTES) {
      this.isLagging = true;
      // A redraw will replace all output; answers stay.
      this.#queue = this.#queue.filter((queued) => queued[4] !== Frame.OUTPUT);
      this.#queuedBytes = this.#queue.reduce((sum, f) => sum + f.length, 0);
      this.#writing ??= this.#write();
    } else this.send(frame);
  }

  /**
   * Sends the whole screen, or what its window shows of it; the output after it goes on. If it
   * `takesMain`, the client makes room for it on the main screen of its terminal.
   */
  sendScreen(screen: Uint8Array, takesMain: boolean): void {
    this.isLagging = this.isStale = false;
    this.blank = undefined;
    this.hasMain ||= takesMain;
    this.send(encode(takesMain ? Frame.REDRAW : Frame.OUTPUT, screen));
  }

  /** Waits until everything is sent. */
  async drained(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
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

  /** The next frames, joined into one write. */
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

  /** Waits until everything is sent, at most so long. */
  async flush(timeoutMs: number): Promise<void> {
    await within(timeoutMs, Promise.resolve(this.#writing));
  }

  /** Whether the connection is closed. */
  get isClosed(): boolean {
    return this.#closed;
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
