/**
 * The window of a terminal session: which client leads, the window's size, and when
 * clients get the whole screen anew.
 *
 * One client at a time leads, the one that typed last. The window has its size, and its
 * terminal alone gets the program's questions, so that each is answered once.
 *
 * Sizes and screens have a pace of their own. A user who drags a window's corner sends a
 * storm of sizes, and every size costs the program a redraw. Terminals break lines anew each
 * in its own way, so every client gets the screen once no more sizes come. A client that
 * lags gets it once it has drained.
 *
 * @module
 */
import { sleep } from "../system/async.ts";
import { setWindowSize } from "../system/pty.ts";
import type { Screen } from "../screen/screen.ts";
import type { RelayClient } from "./peer.ts";
import type { Size } from "./protocol.ts";

/** The window is resized at most this often, in milliseconds. */
const RESIZE_MS = 20;
/** Clients are drawn anew once there was no other size for so long, in milliseconds. */
const SETTLE_MS = 50;
/** A lagging client gets the screen at most this often, in milliseconds. */
const REDRAW_MS = 50;

/** A window and what it reports to. */
export interface WindowOptions {
  /** The descriptor of the terminal's master. */
  readonly master: number;
  readonly screen: Screen;
  /** All clients, which come and go. */
  readonly clients: ReadonlySet<RelayClient>;
  /** Called when the size has changed. */
  readonly onChange: () => void;
  /** Called with an error of work that nobody waits for. */
  readonly onFailure: (error: unknown) => void;
}

/** The window that a terminal's clients share. */
export class Window {
  readonly #options: WindowOptions;
  #leader: RelayClient | undefined;
  #isResizing = false;
  #wantedSize: Size | undefined;
  #settlesAt = 0;
  #isSettling = false;

  /** A window without a leader, as large as the screen. */
  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** The client that typed last, or attached after that. */
  get leader(): RelayClient | undefined {
    return this.#leader;
  }

  /** A client has attached, and is to get the screen: it leads unless it is read-only. */
  enter(client: RelayClient): void {
    if (!client.isReadOnly) this.lead(client);
    client.sendRedraw(this.#options.screen.redrawBytes());
  }

  /** A client has typed: it leads, and the window has its size at once. */
  lead(client: RelayClient): void {
    this.#leader = client;
    this.#wantedSize = undefined;
    if (client.size !== undefined) this.#applySize(client.size);
  }

  /** A client's own window has changed its size. */
  resize(client: RelayClient, size: Size): void {
    client.size = size;
    if (!client.isAttached) return;
    // Its terminal has moved its lines in its own way, whether the session follows or not.
    this.#inBackground(this.#drawAnew(client));
    if (this.#leader === client) this.#follow(size);
  }

  /** A client has detached or is gone: the client that attached last leads in its place. */
  leave(client: RelayClient): void {
    if (this.#leader !== client) return;
    this.#leader = undefined;
    for (const other of this.#options.clients) {
      if (other.isInteractive) this.#leader = other; // The last one counts.
    }
    if (this.#leader?.size) this.#follow(this.#leader.size);
  }

  /** A lagging client has drained: it gets the screen as it is in a moment. */
  drained(client: RelayClient): void {
    this.#inBackground(this.#redraw(client));
  }

  #inBackground(work: Promise<void>): void {
    work.catch(this.#options.onFailure);
  }

  /** Takes the leader's new size, at once if there was none for a while. */
  #follow(size: Size): void {
    if (this.#isResizing) this.#wantedSize = size;
    else if (this.#applySize(size)) this.#inBackground(this.#resizeOn());
  }

  /** Follows a storm of sizes at its pace; the last size counts. */
  async #resizeOn(): Promise<void> {
    this.#isResizing = true;
    try {
      for (;;) {
        await sleep(RESIZE_MS);
        const size = this.#wantedSize;
        if (size === undefined) break;
        this.#wantedSize = undefined;
        this.#applySize(size);
      }
    } finally {
      this.#isResizing = false;
    }
  }

  /** Sets the size; `false` if the window has it already. With a client attached, the screen is loaded. */
  #applySize({ columns, rows }: Size): boolean {
    const { screen, master, clients, onChange } = this.#options;
    if (columns === screen.columns && rows === screen.rows) return false;
    screen.resize(columns, rows);
    setWindowSize(master, columns, rows);
    for (const client of clients) this.#inBackground(this.#drawAnew(client));
    onChange();
    return true;
  }

  /** Draws a client's screen once no more sizes come. */
  async #drawAnew(client: RelayClient): Promise<void> {
    client.isStale = true;
    this.#settlesAt = performance.now() + SETTLE_MS;
    if (this.#isSettling) return;
    this.#isSettling = true;
    for (;;) {
      const leftMs = this.#settlesAt - performance.now();
      if (leftMs <= 0) break;
      await sleep(leftMs);
    }
    this.#isSettling = false;
    let drawing: Uint8Array | undefined;
    for (const other of this.#options.clients) {
      // A lagging client gets it once it has drained.
      if (!other.isAttached || !other.isStale || other.isLagging) continue;
      drawing ??= this.#options.screen.redrawBytes();
      other.sendRedraw(drawing);
    }
  }

  async #redraw(client: RelayClient): Promise<void> {
    await sleep(REDRAW_MS);
    if (!client.isAttached || !client.isLagging) return;
    client.sendRedraw(this.#options.screen.redrawBytes());
    if (this.#leader === undefined && !client.isReadOnly) this.#leader = client;
  }
}
