/**
 * A terminal window that nobody sees: a pseudo-terminal with a program on it, which the bench reads.
 *
 * Clients of sessions and of peers run in such a window. With the bare program in it, it is the
 * floor of every terminal figure.
 *
 * @module
 */
import { endOf, signalChild } from "../process/child.ts";
import {
  close,
  open,
  poll,
  POLLIN,
  readNow,
  writeNow,
} from "../system/libc.ts";
import { openPty, setWindowSize } from "../system/pty.ts";
import { startAgent } from "../relay/agent.ts";
import type { Bench } from "./measure.ts";

/** The size of all windows and sessions; the default of this project. */
export const SIZE = { columns: 120, rows: 40 } as const;

/** A terminal type that all programs know. */
const TERM = "xterm-256color";

const encoder = new TextEncoder();

/** Output that {@linkcode Window.settle} has read. */
export interface Settled {
  /** When its last bytes came, by `performance.now()`. */
  readonly lastAt: number;
  /** All of it. */
  readonly text: string;
}

/** A program on a pseudo-terminal of its own. Disposing of it kills the program. */
export class Window implements AsyncDisposable {
  readonly #master: number;
  // Held open, since a master without a slave reports the end of the terminal.
  readonly #slave: number;
  readonly #child: Deno.ChildProcess;
  readonly #buffer = new Uint8Array(1 << 17);
  #draining: Promise<void> | undefined;
  #closed = false;

  private constructor(
    master: number,
    slave: number,
    child: Deno.ChildProcess,
  ) {
    this.#master = master;
    this.#slave = slave;
    this.#child = child;
  }

  /**
   * Starts `argv` in a new window and returns once it runs.
   *
   * @throws {Error} if it can't be started.
   */
  static async open(bench: Bench, argv: readonly string[]): Promise<Window> {
    const { master, slavePath } = openPty();
    setWindowSize(master, SIZE.columns, SIZE.rows);
    const slave = open(slavePath, { access: "both" });
    const env = { ...bench.env, TERM };
    const started = await startAgent(slavePath, argv, { env });
    if ("child" in started) return new Window(master, slave, started.child);
    close(slave);
    close(master);
    throw new Error(
      `Cannot start "${argv.join(" ")}": status ${started.failure}`,
    );
  }

  /** The process of the program. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Types. */
  type(text: string): void {
    writeNow(this.#master, encoder.encode(text));
  }

  /**
   * Types one character and returns the milliseconds until its echo. Spins, since the wake-up of a
   * sleeping bench would be measured, too.
   *
   * @throws {Error} if it does not appear.
   */
  timeEcho(character: string): number {
    const code = character.charCodeAt(0);
    const key = encoder.encode(character);
    const startedAt = performance.now();
    writeNow(this.#master, key);
    for (;;) {
      const count = readNow(this.#master, this.#buffer);
      const tookMs = performance.now() - startedAt;
      // A client may move the cursor in a write before it.
      if (count > 0 && this.#buffer.subarray(0, count).includes(code)) {
        return tookMs;
      }
      if (tookMs > 5000) throw new Error(`No echo of "${character}" in 5 s`);
    }
  }

  /** Reads until `text` has come, and then until nothing has come for `quietMs`. */
  async settle(quietMs: number, text = ""): Promise<Settled> {
    const decoder = new TextDecoder();
    const startedAt = performance.now();
    const settled = { lastAt: startedAt, text: "" };
    for (;;) {
      const ready = await poll(this.#master, POLLIN, quietMs);
      const count = ready ? readNow(this.#master, this.#buffer) : 0;
      if (count > 0) {
        settled.lastAt = performance.now();
        const bytes = this.#buffer.subarray(0, count);
        settled.text += decoder.decode(bytes, { stream: true });
      } else if (settled.text.includes(text)) {
        return settled;
      } else if (performance.now() - startedAt > 20_000) {
        throw new Error(`Waited 20 s for "${text}" in a window`);
      }
    }
  }

  /** Reads and forgets all output from now on, as a terminal does. */
  drain(): void {
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    while (!this.#closed) {
      await poll(this.#master, POLLIN, 20);
      while (readNow(this.#master, this.#buffer) > 0);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await endOf(this.#child);
    this.#closed = true;
    await this.#draining;
    close(this.#slave);
    close(this.#master);
  }
}
