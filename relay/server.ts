/**
 * The relay's clients: accepts connections, greets, dispatches their frames, and sends them
 * the terminal's output.
 *
 *     client = socket = RelayClient    peer.ts: its queue, one for each client
 *                           |
 *                      RelayServer       greets, dispatches frames, broadcasts output
 *                       |       |
 *                typing.ts    Window     window.ts: leader, size, redraws
 *                       |       |
 *                PtyWriter    Screen and the size of the terminal's master
 *
 * relay.ts reads the master: output goes to the Screen, to the journal, and to
 * {@linkcode RelayServer.broadcast}.
 *
 * Invariants: between drawing the screen for a client and making it live nothing is
 * awaited, so no byte of output is lost or doubled. Malformed input closes the client that
 * sent it, and affects no other.
 *
 * @module
 */
import type { Query } from "../screen/backlog.ts";
import { MIN_COLUMNS, type Screen } from "../screen/screen.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { messageOf } from "../errors.ts";
import { sleep } from "../system/async.ts";
import { concat } from "../system/bytes.ts";
import {
  checkHello,
  clamp,
  decode,
  encode,
  Frame,
  FrameReader,
  MAX_REQUEST_BYTES,
  PROTOCOL,
  ProtocolError,
  type Received,
  type ScreenRequest,
  type SendRequest,
  type Size,
  type Unchecked,
  VersionError,
} from "./protocol.ts";
import { isMouse } from "../screen/typed.ts";
import { RelayClient } from "./peer.ts";
import { passInput, type TypedTerminal, typeParts } from "./typing.ts";
import { Window } from "./window.ts";

/** Watchers are told of output at most this often, in milliseconds. */
const ACTIVITY_MS = 20;
/** How long to wait before accepting again after a failure, in milliseconds. */
const ACCEPT_MS = 50;
/** How long the rest of a report may take that was cut, in milliseconds. */
const ESCAPE_MS = 100;
/**
 * The longest path that a client may name, and how many are recorded. A client that is not
 * recorded does not show this session, see client/loops.ts.
 */
const MAX_PATH_LENGTH = 1000;
const MAX_SHOWN_IN = 32;
/** How long a client that is let go may take its last frames, in milliseconds. */
const FLUSH_MS = 1000;

/** The terminal that clients share, and the relay's interest in them. */
export interface ServerOptions extends TypedTerminal {
  readonly screen: Screen;
  /** Called when the number of clients or the size has changed; `isUrgent`: a client waits for the record. */
  readonly onChange: (isUrgent?: boolean) => void;
  /** Called when a client that may type has attached or detached, with how many are attached now. */
  readonly onClients: (what: "attached" | "detached", count: number) => void;
  /** Called with an error of work that nobody waits for. */
  readonly onFailure: (error: unknown) => void;
  /** Called when a client has asked for something, which may have taken memory. */
  readonly onWork: () => void;
}

/** Serves the clients of one terminal. */
export class RelayServer {
  readonly #options: ServerOptions;
  readonly #clients = new Set<RelayClient>();
  /** Those that were told to be attached; one whose connection has failed is still among them. */
  readonly #attached = new Set<RelayClient>();
  readonly #window: Window;
  readonly #hasClient = Promise.withResolvers<void>();
  #isTelling = false;
  /** How often the program had left the alternate screen before the latest output. */
  #departures = 0;

  /** A server without clients. */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.#window = new Window({ ...options, clients: this.#clients });
  }

  /** How many clients are attached. */
  get attachedCount(): number {
    let count = 0;
    for (const client of this.#clients) if (client.isAttached) count++;
    return count;
  }

  /** The directories of the sessions on whose terminals this one is shown. */
  get shownIn(): string[] {
    const dirs = new Set<string>();
    for (const { isAttached, within } of this.#clients) {
      if (isAttached && within !== undefined) dirs.add(within);
    }
    return [...dirs].slice(0, MAX_SHOWN_IN);
  }

  /** Whether a client's terminal answers the questions in the output. */
  get isAnswered(): boolean {
    return this.#window.leader?.isInteractive ?? false;
  }

  /** Resolves once a client has attached, for the first time. */
  get hasClient(): Promise<void> {
    return this.#hasClient.promise;
  }

  /** Accepts clients for as long as the listener lives. */
  async serve(listener: Deno.Listener): Promise<void> {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // Closed.
        await sleep(ACCEPT_MS); // Too many open files, or a client that left at once.
        continue;
      }
      const client = new RelayClient(
        conn,
        (lagging) => this.#window.drained(lagging),
      );
      this.#clients.add(client);
      this.#inBackground(this.#talk(client));
    }
  }

  /** Nobody waits for this work, and its error must not end the process. */
  #inBackground(work: Promise<void>): void {
    work.catch(this.#options.onFailure);
  }

  async #talk(client: RelayClient): Promise<void> {
    try {
      client.send(encode(Frame.HELLO, { protocol: PROTOCOL }));
      const reader = new FrameReader(MAX_REQUEST_BYTES);
      let hasGreeted = false;
      for (;;) {
        const count = await client.read(reader.room);
        if (count === null) break;
        reader.filled(count);
        for (let frame = reader.next(); frame; frame = reader.next()) {
          if (!hasGreeted) {
            checkHello(frame, "client");
            hasGreeted = true;
          } else await this.#handle(client, frame);
        }
      }
    } catch (error) {
      await this.#refuse(client, error);
    } finally {
      client.close(); // It may have closed itself, at a failed write.
      this.#clients.delete(client);
      this.#detach(client);
    }
  }

  async #handle(client: RelayClient, frame: Received): Promise<void> {
    this.#options.onWork();
    switch (frame.type) {
      case Frame.ATTACH: {
        const { readOnly, within, ...size } = decode(Frame.ATTACH, frame);
        if (isShort(within)) client.within = within;
        return await this.#attach(client, size, readOnly === true);
      }
      case Frame.INPUT:
        if (!client.isAttached || client.isReadOnly) return;
        return await this.#pass(client, frame.payload);
      case Frame.RESIZE:
        return this.#window.resize(
          client,
          this.#sizeIn(decode(Frame.RESIZE, frame)),
        );
      case Frame.DETACH:
        client.send(encode(Frame.END, {
          reason: "detached",
          bottom: this.#bottomFor(client),
        }));
        client.isAttached = false;
        return this.#detach(client);
      case Frame.SCREEN:
        return await this.#sendScreen(client, decode(Frame.SCREEN, frame));
      case Frame.SEND:
        // Not waited for: so it is noticed if the sender leaves before its turn has come.
        return this.#inBackground(
          this.#type(client, decode(Frame.SEND, frame)),
        );
      case Frame.WATCH:
        client.isWatching = true;
        return client.send(encode(Frame.ACTIVITY));
      case Frame.REFRESH:
        client.hasMain = false; // Its user's own is shown there.
        if (client.isAttached) this.#window.draw(client);
        return;
      default:
        throw new ProtocolError(`a frame of unknown type ${frame.type}`);
    }
  }

  /** A client is attached no longer, if it was. */
  #detach(client: RelayClient): void {
    this.#window.leave(client);
    this.#options.onChange();
    if (!this.#attached.delete(client)) return;
    if (!client.isReadOnly) this.#tellClients("detached");
  }

  /** Not of those who only look: who may change nothing must not fill the journal. */
  #tellClients(what: "attached" | "detached"): void {
    this.#options.onClients(what, this.#attached.size);
  }

  /**
   * Passes a client's input on. A client that has typed leads, and must before the program reads
   * that: it may look at its size because of it. Reports of its terminal don't count: two windows
   * whose terminals report their focus at each redraw would resize each other for ever.
   *
   * A mouse in a window of another size points at something else: a click there only leads.
   */
  async #pass(client: RelayClient, bytes: Uint8Array): Promise<void> {
    const isLost = client.crop !== undefined && isMouse(bytes);
    client.inputCount++;
    const isTyped = client.typed.feed(bytes);
    if (isTyped) this.#personTyped(client);
    else if (client.typed.isOpen) this.#inBackground(this.#awaitMore(client));
    if (isLost) return;
    // What may be the Escape key is noted too: the program may tell that it has ended its turn.
    if (isTyped || client.typed.isOpen) this.#options.beforeInput();
    await passInput(this.#options, bytes, isTyped || client.typed.isOpen);
  }

  /** What looks like the beginning of a report is the Escape key if nothing follows. */
  async #awaitMore(client: RelayClient): Promise<void> {
    const { inputCount } = client;
    await sleep(ESCAPE_MS);
    if (client.inputCount !== inputCount || !client.isAttached) return;
    client.typed.giveUp();
    this.#personTyped(client);
  }

  #personTyped(client: RelayClient): void {
    this.#window.lead(client);
    this.#options.onInput();
  }

  /** Types what a client sends, unless it leaves before its turn. */
  async #type(
    client: RelayClient,
    request: Unchecked<SendRequest>,
  ): Promise<void> {
    try {
      const isGone = () => client.isClosed;
      const reply = await typeParts(this.#options, request, isGone);
      client.send(encode(Frame.SEND_REPLY, reply));
    } catch (error) {
      await this.#refuse(client, error);
      client.close();
    }
  }

  /** Tells a client what is wrong with what it has sent. */
  async #refuse(client: RelayClient, error: unknown): Promise<void> {
    const code = error instanceof VersionError ? "version" : "malformed";
    client.send(encode(Frame.ERROR, { code, message: messageOf(error) }));
    await client.flush(FLUSH_MS);
  }

  /** A size that a client asks for, within what a terminal can have. */
  #sizeIn({ columns, rows }: Unchecked<Size>): Size {
    const { screen } = this.#options;
    return {
      columns: Math.max(MIN_COLUMNS, clamp(columns, screen.columns)),
      rows: clamp(rows, screen.rows),
    };
  }

  async #attach(
    client: RelayClient,
    size: Unchecked<Size>,
    isReadOnly: boolean,
  ): Promise<void> {
    if (client.isAttached) throw new ProtocolError("a second attachment");
    await this.#options.screen.load();
    client.size = this.#sizeIn(size);
    client.isReadOnly = isReadOnly;
    // It may have been attached before, on another terminal.
    client.crop = undefined;
    client.hasMain = false;
    // From here to the end nothing is awaited: the cut between screen and live output.
    client.isAttached = true;
    // To the end, so that it takes no other's place in the record.
    this.#clients.delete(client);
    this.#clients.add(client);
    // Before it gets anything: it looks whether two sessions show each other now.
    this.#options.onChange(client.within !== undefined);
    this.#window.enter(client);
    this.#options.onChange();
    this.#attached.add(client);
    if (!isReadOnly) this.#tellClients("attached");
    this.#hasClient.resolve();
  }

  async #sendScreen(
    client: RelayClient,
    { scrollback, ansi }: Unchecked<ScreenRequest>,
  ): Promise<void> {
    const { screen } = this.#options;
    await screen.load();
    const text = screen.text({
      scrollback: clamp(scrollback, 0, 1_000_000),
      ansi: ansi === true,
    });
    client.send(encode(Frame.SCREEN_REPLY, text));
  }

  /** Sends output to all clients that are attached; the questions in it to the leader alone. */
  broadcast(
    bytes: Uint8Array,
    offset: number,
    queries: readonly Query[],
  ): void {
    const { screen } = this.#options;
    const { modes } = screen;
    const hasLeft = modes.departures !== this.#departures;
    this.#departures = modes.departures;
    if (this.#clients.size === 0) return;
    const { leader } = this.#window;
    let asking: Uint8Array | undefined;
    let mute: Uint8Array | undefined;
    for (const client of this.#clients) {
      if (client.isWatching) this.#inBackground(this.#tell());
      if (!client.isAttached || client.isLagging) continue;
      const { blank } = client;
      const isUnused = blank !== undefined && screen.isUnused;
      // All of the output follows: what scrolls off is the user's to keep.
      if (blank && !isUnused && !modes.alternate) {
        client.sendScreen(blank, true);
      }
      if (client.crop !== undefined) this.#window.paint(client);
      else if (client.blank && !isUnused || hasLeft && !client.hasMain) {
        // The first output, full-screen; or it goes on on the main screen, where its user's own is.
        this.#window.draw(client);
        if (client === leader) client.sendOutput(questionsIn(queries));
      } else if (client === leader || queries.length === 0) {
        asking ??= encode(Frame.OUTPUT, without(bytes, offset, queries, true));
        client.sendOutput(asking);
      } else {
        mute ??= encode(Frame.OUTPUT, without(bytes, offset, queries, false));
        client.sendOutput(mute);
      }
      // Questions and modes don't take the user's screen: a full-screen program begins with them.
      if (isUnused && client.blank) client.blank = screen.redrawBytes();
    }
  }

  /** Tells watchers that there was output. */
  async #tell(): Promise<void> {
    if (this.#isTelling) return;
    this.#isTelling = true;
    await sleep(ACTIVITY_MS);
    this.#isTelling = false;
    for (const client of this.#clients) {
      if (client.isWatching) client.send(encode(Frame.ACTIVITY));
    }
  }

  #lastScreen(): ScreenText | undefined {
    const { screen } = this.#options;
    // It is loaded as soon as one client has attached.
    return this.attachedCount === 0
      ? undefined
      : screen.text({ scrollback: 0, ansi: true });
  }

  /** Paints a client of another size for the last time, without marks. Returns the last row of its main screen in use. */
  #bottomFor(client: RelayClient): number | undefined {
    const { screen } = this.#options;
    if (!client.isAttached) return undefined;
    if (!screen.modes.alternate) this.#window.paintNow(client, false);
    return Math.max(1, screen.bottom - (client.crop?.top ?? 0));
  }

  /** Tells all clients that the agent has ended, and lets them go, the frozen ones too. */
  async end(): Promise<void> {
    const clients = [...this.#clients];
    const screen = this.#lastScreen();
    for (const client of clients) {
      const bottom = this.#bottomFor(client);
      client.send(encode(Frame.END, { reason: "ended", bottom, screen }));
    }
    await Promise.all(clients.map((client) => client.flush(FLUSH_MS)));
  }
}

function isShort(path: unknown): path is string {
  return typeof path === "string" && path.length <= MAX_PATH_LENGTH;
}

/** Calls off a sequence. ECMA-48. */
const CAN = Uint8Array.of(0x18);

const encoder = new TextEncoder();

/** Output without the sequences that a client must not get: those withheld and, unless it asks, questions. */
function without(
  bytes: Uint8Array,
  offset: number,
  queries: readonly Query[],
  asks: boolean,
): Uint8Array {
  const left = asks
    ? queries.filter(({ instead }) => instead !== undefined)
    : queries;
  if (left.length === 0) return bytes;
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const { start, end, instead = "" } of left) {
    pieces.push(bytes.subarray(from, Math.max(0, start - offset)));
    // Its beginning was sent before: call it off.
    if (start < offset) pieces.push(CAN);
    pieces.push(encoder.encode(instead));
    from = end - offset;
  }
  pieces.push(bytes.subarray(from));
  return concat(pieces);
}

/** A frame with nothing but questions. */
function questionsIn(queries: readonly Query[]): Uint8Array {
  const texts = queries.filter(({ instead }) => instead === undefined)
    .map(({ text }) => text[1] === "[" ? text : `${text}\x1b\\`);
  return encode(Frame.OUTPUT, encoder.encode(texts.join("")));
}
