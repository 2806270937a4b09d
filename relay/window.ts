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
 * A client whose window has another size does not get the output but paintings, see
 * screen/crop.ts: at a pace of their own, and only when it has drained. They never take more than
 * a fifth of the relay's time.
 *
 * @module
 */
import { sleep } from "../system/async.ts";
import { setWindowSize } from "../system/pty.ts";
import { Crop } from "../screen/crop.ts";
import type { Screen } from "../screen/screen.ts";
import type { RelayClient } from "./peer.ts";
import type { Size } from "./protocol.ts";

/** The window is resized at most this often, in milliseconds. */
const RESIZE_MS = 20;
/** Clients are drawn anew once there was no other size for so long, in milliseconds. */
const SETTLE_MS = 50;
/** A lagging client gets the screen at most this often, in milliseconds. */
const REDRAW_MS = 50;
/** How long output is gathered for a painting, in milliseconds. */
const GATHER_MS = 5;
/** A client of another size is painted at most this often, in milliseconds. */
const PAINT_MS = 50;
/** How many times as long as it took a painting is followed by none. */
const PAINT_SHARE = 4;

const encoder = new TextEncoder();

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
    if (client.isReadOnly) this.#fit();
    else this.lead(client);
    if (client.crop === undefined) this.draw(client);
  }

  /** A client has typed: it leads, and the window has its size at once. */
  lead(client: RelayClient): void {
    this.#leader = client;
    this.#wantedSize = undefined;
    if (client.size !== undefined) this.#applySize(client.size);
    this.#fit();
  }

  /** Sends a client the whole screen. */
  draw(client: RelayClient): void {
    const { screen } = this.#options;
    if (client.crop !== undefined) {
      client.crop.forget();
      return this.paint(client);
    }
    if (!client.hasMain && screen.isUnused) {
      client.blank = screen.redrawBytes();
      return;
    }
    // Its own main screen comes back if the program never shows the session's.
    const onlyAlternate = screen.modes.alternate && !client.hasMain;
    client.sendScreen(screen.redrawBytes({ onlyAlternate }), !onlyAlternate);
  }

  /** Paints a client of another size soon. */
  paint(client: RelayClient): void {
    if (client.isPaintDue) return;
    client.isPaintDue = true;
    this.#inBackground(this.#paintSoon(client));
  }

  async #paintSoon(client: RelayClient): Promise<void> {
    const leftMs = client.paintsAt - performance.now();
    await sleep(Math.max(GATHER_MS, leftMs));
    await client.drained();
    client.isPaintDue = false;
    if (!client.isAttached) return;
    const start = performance.now();
    this.paintNow(client, true);
    const now = performance.now();
    client.paintsAt = now + Math.max(PAINT_MS, PAINT_SHARE * (now - start));
  }

  /** Paints a client of another size now; `marked` where the screen ends. */
  paintNow(client: RelayClient, marked: boolean): void {
    const { crop, size } = client;
    if (crop === undefined || size === undefined) return;
    const { text, takesMain } = this.#options.screen.paint(crop, size, marked);
    if (text !== "") client.sendScreen(encoder.encode(text), takesMain);
  }

  /**
   * Decides who gets output and who gets paintings. The leader gets output even while the
   * window follows its size.
   */
  #fit(): void {
    const { screen: { columns, rows }, clients } = this.#options;
    for (const client of clients) {
      const { size } = client;
      if (!client.isAttached || size === undefined) continue;
      const isCropped = client !== this.#leader &&
        (size.columns !== columns || size.rows !== rows);
      if (isCropped === (client.crop !== undefined)) continue;
      client.crop = isCropped ? new Crop() : undefined;
      if (isCropped) client.isLagging = false;
      this.draw(client);
    }
  }

  /** A client's own window has changed its size. */
  resize(client: RelayClient, size: Size): void {
    client.size = size;
    if (!client.isAttached) return;
    client.crop?.forget();
    // Its terminal has moved its lines in its own way, whether the session follows or not.
    this.#inBackground(this.#drawAnew(client));
    if (this.#leader === client) this.#follow(size);
    this.#fit();
  }

  /** A client has detached or is gone: the client that attached last leads in its place. */
  leave(client: RelayClient): void {
    if (this.#leader !== client) return;
    this.#leader = undefined;
    for (const other of this.#options.clients) {
      if (other.isInteractive) this.#leader = other; // The last one counts.
    }
    if (this.#leader?.size) this.#follow(this.#leader.size);
    this.#fit();
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
    this.#fit();
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
    for (const other of this.#options.clients) {
      // A lagging client gets it once it has drained.
      if (other.isAttached && other.isStale && !other.isLagging) {
        this.draw(other);
      }
    }
  }

  async #redraw(client: RelayClient): Promise<void> {
    await sleep(REDRAW_MS);
    if (!client.isAttached || !client.isLagging) return;
    this.draw(client);
    if (this.#leader === undefined && !client.isReadOnly) this.lead(client);
  }
}
