/**
 * What a relay does for its clients: attach, input, sizes, screens, questions.
 *
 * Invariants: between drawing the screen for a client and making it live nothing is
 * awaited, so no byte of output is lost or doubled. One client at a time leads: the one
 * that typed last. The window has its size, and its terminal alone gets the
 * program's questions, so that they are answered once. Malformed input closes the
 * client that sent it and concerns nobody else.
 *
 * @module
 */
import type { Query } from "../screen/backlog.ts";
import { messageOf } from "../errors.ts";
import { isCanonical, setWindowSize, unreadInput } from "../system/pty.ts";
import {
  clampSize,
  decodeJson,
  encodeFrame,
  encodeJson,
  Frame,
  FrameReader,
  MAX_REQUEST_BYTES,
  PROTOCOL,
  ProtocolError,
  type Received,
  type Size,
} from "./protocol.ts";
import type { PtyWriter } from "./writer.ts";
import { RelayClient } from "./peer.ts";
import { MIN_COLUMNS, type Screen } from "../screen/screen.ts";
import { longestLine, MAX_LINE_BYTES, writesOf } from "./typing.ts";

/** At most so often a window is resized, in milliseconds. */
const RESIZE_MS = 20;
/** After so long in which a program reads nothing, what was typed is given up, in milliseconds. */
const INPUT_MS = 10_000;
/** Typed input that may wait for the program, in bytes. */
const MAX_INPUT_BYTES = 4 * 1024 * 1024;
/** After so long without another size everybody is drawn anew, in milliseconds. */
const SETTLE_MS = 50;
/** At most so often a lagging client gets the screen, in milliseconds. */
const REDRAW_MS = 50;
/** How long the program may take to read one thing that is typed before the next one comes. */
const READ_MS = 500;
/** At most so often watchers are told of output, in milliseconds. */
const ACTIVITY_MS = 20;

/** What the clients of one terminal share. */
export interface TerminalEnds {
  /** The master's descriptor. */
  readonly master: number;
  /** The slave's. */
  readonly slave: number;
  readonly screen: Screen;
  readonly writer: PtyWriter;
  /** Called when the number of clients or the size has changed. */
  readonly onChange: () => void;
  /** Called with an error of what nobody waits for. */
  readonly onFailure: (error: unknown) => void;
  /** Called when something was done for a client that may have taken memory. */
  readonly onWork: () => void;
}

const wait = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Serves the clients of one terminal. */
export class RelayServer {
  readonly #ends: TerminalEnds;
  readonly #clients = new Set<RelayClient>();
  #leader: RelayClient | undefined;
  #isResizing = false;
  #wantedSize: Size | undefined;
  #settlesAt = 0;
  #isSettling = false;
  #telling = false;

  /** A server without clients. */
  constructor(ends: TerminalEnds) {
    this.#ends = ends;
  }

  /** How many are attached. */
  get attachedCount(): number {
    let count = 0;
    for (const client of this.#clients) if (client.isAttached) count++;
    return count;
  }

  /** Whether somebody's terminal answers the questions that were broadcast last. */
  get isAnswered(): boolean {
    return this.#leader?.isInteractive ?? false;
  }

  /** Accepts clients for as long as the listener lives. */
  async serve(listener: Deno.Listener): Promise<void> {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // Closed.
        await wait(50); // Too many open files, or a client that left at once.
        continue;
      }
      const client = new RelayClient(conn, (lagging) => {
        this.#inBackground(this.#redraw(lagging));
      });
      this.#clients.add(client);
      this.#inBackground(this.#talk(client));
    }
  }

  /** Work that nobody waits for must not end the process by an error that nobody handles. */
  #inBackground(work: Promise<void>): void {
    work.catch(this.#ends.onFailure);
  }

  async #talk(client: RelayClient): Promise<void> {
    try {
      client.send(encodeJson(Frame.HELLO, { protocol: PROTOCOL }));
      const reader = new FrameReader(MAX_REQUEST_BYTES);
      let hasGreeted = false;
      for (;;) {
        const count = await client.read(reader.room);
        if (count === null) break;
        reader.filled(count);
        for (let frame = reader.next(); frame; frame = reader.next()) {
          if (!hasGreeted) {
            checkHello(frame);
            hasGreeted = true;
          } else await this.#handle(client, frame);
        }
      }
    } catch (error) {
      const code = error instanceof VersionError ? "version" : "malformed";
      client.send(encodeJson(Frame.ERROR, { code, message: messageOf(error) }));
      await client.flush(1000);
    } finally {
      this.#remove(client);
    }
  }

  #remove(client: RelayClient): void {
    client.close(); // It may have closed itself, at a failed write.
    this.#clients.delete(client);
    if (this.#leader === client) this.#chooseLeader();
    this.#ends.onChange();
  }

  #chooseLeader(): void {
    this.#leader = undefined;
    for (const client of this.#clients) {
      if (client.isInteractive) this.#leader = client; // The latest.
    }
    if (this.#leader) this.#lead(this.#leader);
  }

  async #handle(client: RelayClient, frame: Received): Promise<void> {
    const { type, payload } = frame;
    this.#ends.onWork();
    switch (type) {
      case Frame.ATTACH:
        return await this.#attach(client, decodeJson(payload));
      case Frame.INPUT:
        if (!client.isAttached || client.isReadOnly) return;
        // Before it is read: the program may look at its size because of it.
        this.#leader = client;
        this.#wantedSize = undefined;
        if (client.size !== undefined) this.#applySize(client.size);
        return await this.#input(payload);
      case Frame.RESIZE: {
        const size = this.#sizeOf(decodeJson(payload));
        client.size = size;
        if (!client.isAttached) return;
        // Its terminal has moved its lines in its own way, whether the session follows or not.
        this.#inBackground(this.#drawAnew(client));
        if (this.#leader === client) this.#lead(client);
        return;
      }
      case Frame.DETACH:
        client.isAttached = false;
        if (this.#leader === client) this.#chooseLeader();
        client.send(encodeJson(Frame.END, { reason: "detached" }));
        return this.#ends.onChange();
      case Frame.SCREEN:
        return await this.#sendScreen(client, decodeJson(payload));
      case Frame.SEND:
        return await this.#type(client, decodeJson(payload));
      case Frame.WATCH:
        client.isWatching = true;
        return client.send(encodeFrame(Frame.ACTIVITY));
      case Frame.REFRESH:
        if (client.isAttached) {
          client.sendRedraw(this.#ends.screen.redrawBytes());
        }
        return;
      default:
        throw new ProtocolError(`a frame of unknown type ${type}`);
    }
  }

  /** Types without waiting for the program, so that a client is heard whatever it has pasted. */
  async #input(bytes: Uint8Array): Promise<void> {
    const { writer } = this.#ends;
    const taken = writer.write(bytes, INPUT_MS);
    if (writer.waitingBytes > MAX_INPUT_BYTES) await taken;
  }

  #sizeOf(request: Record<string, unknown>): Size {
    const { screen } = this.#ends;
    return {
      columns: Math.max(
        MIN_COLUMNS,
        clampSize(request.columns, screen.columns),
      ),
      rows: clampSize(request.rows, screen.rows),
    };
  }

  async #attach(
    client: RelayClient,
    request: Record<string, unknown>,
  ): Promise<void> {
    if (client.isAttached) throw new ProtocolError("a second attachment");
    const { screen } = this.#ends;
    await screen.load();
    client.size = this.#sizeOf(request);
    client.isReadOnly = request.readOnly === true;
    // From here to the end nothing is awaited: the cut between screen and live output.
    client.isAttached = true;
    if (!client.isReadOnly) {
      this.#leader = client;
      this.#applySize(client.size);
    }
    client.sendRedraw(screen.redrawBytes());
    this.#ends.onChange();
  }

  /** The window becomes that of the client that typed last. */
  #lead(client: RelayClient): void {
    this.#leader = client;
    const { size } = client;
    if (size === undefined) return;
    if (this.#isResizing) this.#wantedSize = size;
    else if (this.#applySize(size)) this.#inBackground(this.#resizeOn());
  }

  /** Follows a storm of sizes at a bearable pace; the last one counts. */
  async #resizeOn(): Promise<void> {
    this.#isResizing = true;
    try {
      for (;;) {
        await wait(RESIZE_MS);
        const size = this.#wantedSize;
        if (size === undefined) break;
        this.#wantedSize = undefined;
        this.#applySize(size);
      }
    } finally {
      this.#isResizing = false;
    }
  }

  /** Sets the size, at once, and tells whether it is another one. An attached client's screen is loaded. */
  #applySize(size: Size): boolean {
    const { columns, rows } = size;
    const { screen, master } = this.#ends;
    if (columns === screen.columns && rows === screen.rows) return false;
    screen.resize(columns, rows);
    setWindowSize(master, columns, rows);
    for (const client of this.#clients) {
      this.#inBackground(this.#drawAnew(client));
    }
    this.#ends.onChange();
    return true;
  }

  /** Has a client's screen drawn once no more sizes come: terminals break lines anew in many ways. */
  async #drawAnew(client: RelayClient): Promise<void> {
    client.isStale = true;
    this.#settlesAt = performance.now() + SETTLE_MS;
    if (this.#isSettling) return;
    this.#isSettling = true;
    for (;;) {
      const left = this.#settlesAt - performance.now();
      if (left <= 0) break;
      await wait(left);
    }
    this.#isSettling = false;
    let drawing: Uint8Array | undefined;
    for (const other of this.#clients) {
      // One that lags gets it once it has drained.
      if (!other.isAttached || !other.isStale || other.isLagging) continue;
      drawing ??= this.#ends.screen.redrawBytes();
      other.sendRedraw(drawing);
    }
  }

  async #redraw(client: RelayClient): Promise<void> {
    await wait(REDRAW_MS);
    if (!client.isAttached || !client.isLagging) return;
    client.sendRedraw(this.#ends.screen.redrawBytes());
    if (this.#leader === undefined && !client.isReadOnly) this.#leader = client;
  }

  async #sendScreen(
    client: RelayClient,
    request: Record<string, unknown>,
  ): Promise<void> {
    const { screen } = this.#ends;
    await screen.load();
    const text = screen.text({
      scrollback: clampSize(request.scrollback, 0, 1_000_000),
      ansi: request.ansi === true,
    });
    client.send(encodeJson(Frame.SCREEN_REPLY, text));
  }

  async #type(
    client: RelayClient,
    request: Record<string, unknown>,
  ): Promise<void> {
    const { master, screen, writer } = this.#ends;
    const writes = writesOf(request.parts, screen.modes);
    const total = writes.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const idleMs = clampSize(request.timeoutMs, 2000, 600_000);
    const fail = (error: string) =>
      client.send(encodeJson(Frame.SEND_REPLY, { written, total, error }));
    let written = 0;
    let pauseMs = 0;
    for (const write of writes) {
      if (pauseMs > 0) await this.#waitUntilRead(pauseMs);
      if (longestLine(write.bytes) > MAX_LINE_BYTES && isCanonical(master)) {
        return fail(`the terminal takes lines of ${MAX_LINE_BYTES} bytes`);
      }
      const count = await writer.write(write.bytes, idleMs);
      written += count;
      if (count < write.bytes.length) {
        return fail("the program does not read its terminal");
      }
      pauseMs = write.pauseMs;
    }
    client.send(encodeJson(Frame.SEND_REPLY, { written, total }));
  }

  /** A pause after the program has read what was typed, or seems not to want it. */
  async #waitUntilRead(pauseMs: number): Promise<void> {
    const deadline = performance.now() + READ_MS;
    // The kernel passes it on a moment later: only after a pause does 0 mean read.
    await wait(pauseMs);
    if (unreadInput(this.#ends.slave) === 0) return;
    while (unreadInput(this.#ends.slave) > 0 && performance.now() < deadline) {
      await wait(2);
    }
    await wait(pauseMs);
  }

  /** Sends output to all who are attached; the questions in it to the leader alone. */
  broadcast(
    bytes: Uint8Array,
    offset: number,
    queries: readonly Query[],
  ): void {
    if (this.#clients.size === 0) return;
    let whole: Uint8Array | undefined;
    let mute: Uint8Array | undefined;
    for (const client of this.#clients) {
      if (client.isWatching) this.#inBackground(this.#tell());
      if (!client.isAttached) continue;
      if (queries.length > 0 && client !== this.#leader) {
        mute ??= encodeFrame(
          Frame.OUTPUT,
          withoutQueries(bytes, offset, queries),
        );
        client.sendOutput(mute);
      } else {
        whole ??= encodeFrame(Frame.OUTPUT, bytes);
        client.sendOutput(whole);
      }
    }
  }

  async #tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    await wait(ACTIVITY_MS);
    this.#telling = false;
    for (const client of this.#clients) {
      if (client.isWatching) client.send(encodeFrame(Frame.ACTIVITY));
    }
  }

  /** Tells all that the agent has ended and lets them go, the frozen ones too. */
  async end(): Promise<void> {
    const clients = [...this.#clients];
    for (const client of clients) {
      client.send(encodeJson(Frame.END, { reason: "ended" }));
    }
    await Promise.all(clients.map((client) => client.flush(1000)));
  }
}

class VersionError extends Error {}

function checkHello(frame: Received): void {
  if (frame.type !== Frame.HELLO) {
    throw new ProtocolError("a client that does not greet");
  }
  const { protocol } = decodeJson(frame.payload);
  if (protocol === PROTOCOL) return;
  throw new VersionError(
    `the session's relay speaks version ${PROTOCOL} of the attach protocol, you speak ${
      Number(protocol)
    }: use the codex-session that created it`,
  );
}

/** Calls off a sequence. ECMA-48. */
const CAN = 0x18;

/** Output without the questions in it. */
function withoutQueries(
  bytes: Uint8Array,
  offset: number,
  queries: readonly Query[],
): Uint8Array {
  const rest = new Uint8Array(bytes.length);
  let length = 0;
  let from = 0;
  for (const { start, end } of queries) {
    const piece = bytes.subarray(from, Math.max(0, start - offset));
    rest.set(piece, length);
    length += piece.length;
    // Its beginning is sent already: it is called off.
    if (start < offset) rest[length++] = CAN;
    from = end - offset;
  }
  rest.set(bytes.subarray(from), length);
  return rest.subarray(0, length + bytes.length - from);
}
