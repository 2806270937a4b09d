/**
 * A session's terminal over a WebSocket: a real client, attached.
 *
 * Binary messages are the bytes of the terminal, both ways. Text messages are JSON: the page sends
 * `{type: "resize", columns, rows}`; a viewer that only looks is told `{type: "size", columns, rows}`,
 * the window's size, which it is to have, too; the server ends with `{type: "end", state}` or
 * `{type: "error", code, message}`. A session that has ended is shown as its last screen, then its
 * end. The first binary message says that the viewer is attached, and may be empty: a program that
 * has drawn nothing yet can be typed to, too.
 *
 * A viewer that doesn't read is left behind by the session's relay and drawn anew when it reads
 * again: it never slows the agent or other viewers.
 *
 * @module
 */
import { startAttaching } from "../client/attach_terminal.ts";
import { windowSize } from "../client/terminal_status.ts";
import { watchSession } from "../client/watch.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { noSuchSession, type Paths, pathsFor } from "../store.ts";
import { type Born, watchBorn } from "./born.ts";
import { converse, type Message } from "./socket.ts";

/** Typed input that may wait for the session, in bytes; a longer message is none that was typed. */
const MAX_TYPED_BYTES = 4 * 1024 * 1024;
/** A message about the terminal is shorter than this, in characters. */
const MAX_MESSAGE_LENGTH = 1000;

/** Which terminal to show, and how. */
export interface Viewer extends Born {
  /** The size of the viewer's terminal. */
  readonly columns: number;
  readonly rows: number;
  /** Only look: nothing that the viewer types reaches the session. */
  readonly look: boolean;
  /** Detaches. */
  readonly signal: AbortSignal;
}

/**
 * Shows a terminal until the session ends or the viewer leaves; call it before the response of the
 * upgrade is returned. Never throws and never rejects; resolves when the socket is closed.
 */
export function serveViewer(socket: WebSocket, viewer: Viewer): Promise<void> {
  const { id, root, look } = viewer;
  let { columns, rows } = viewer;
  const typed = new Typed(id);
  let attached: ReturnType<typeof startAttaching> | undefined;
  return converse(socket, {
    signal: viewer.signal,
    receive(message) {
      if (typeof message !== "string") {
        if (!look) typed.push(message);
        return;
      }
      const size = sizeInMessage(message);
      if (look) return;
      ({ columns, rows } = size);
      attached?.resize(columns, rows);
    },
    async talk({ send, signal }) {
      using watch = await watchBorn(viewer);
      let isSure = false;
      const check = () => {
        // It has been reached or read by now, and it is still there: so it was this session.
        isSure ||= watch.isStill();
        if (!isSure) throw noSuchSession(id);
      };
      const stdout = {
        async write(bytes: Uint8Array): Promise<number> {
          check();
          if (bytes.length > 0) await send(bytes);
          return bytes.length;
        },
      };
      const tellSize = async (size: Size) => {
        ({ columns, rows } = size);
        await send(JSON.stringify({ type: "size", columns, rows }));
        attached?.resize(columns, rows);
      };
      const paths = pathsFor(id, { root });
      if (look) {
        await tellSize(windowSize(paths));
        followSize(paths, { columns, rows, tell: tellSize, signal })
          .catch(() => {}); // The session is gone: that is told elsewhere.
      }
      const options = { columns, rows, root, signal, readOnly: look };
      attached = startAttaching(id, {
        ...{ ...options, stdin: typed.stream, stdout, detachKeys: "" },
      });
      await attached.connected;
      check();
      typed.begin();
      await send(new Uint8Array());
      const result = await attached.done;
      return "state" in result
        ? { type: "end", state: result.state.state }
        : undefined;
    },
  });
}

/** The size of a window, in characters. */
interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Tells the size of the window whenever it has changed. */
async function followSize(
  paths: Paths,
  { columns, rows, tell, signal }: Size & {
    readonly tell: (size: Size) => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const files = [`${paths.dir}/terminal.json`];
  using watch = watchSession(paths, { files, signal });
  while (watch.finalState() === undefined) {
    const size = windowSize(paths);
    if (size.columns !== columns || size.rows !== rows) {
      ({ columns, rows } = size);
      await tell(size);
    }
    await watch.next();
  }
}

/** The size that a page tells. @throws {ArgumentError} */
function sizeInMessage(message: string): { columns: number; rows: number } {
  let found: Record<string, unknown> | undefined;
  try {
    if (message.length <= MAX_MESSAGE_LENGTH) found = JSON.parse(message);
  } catch {
    // Told below.
  }
  const { type, columns, rows } = found ?? {};
  if (type !== "resize" || !isSize(columns) || !isSize(rows)) {
    throw new ArgumentError("A terminal takes bytes and its size only");
  }
  return { columns, rows };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** What the viewer has typed and the session has not got yet. */
class Typed {
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #bell = Promise.withResolvers<void>();
  readonly #begun = Promise.withResolvers<void>();

  constructor(readonly id: string) {}

  /** @throws {SessionError} `input_full`. */
  push(bytes: Message & Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_TYPED_BYTES) {
      throw new SessionError(
        "input_full",
        `Cannot type into session "${this.id}": it takes no input, and too much waits already`,
        { id: this.id },
      );
    }
    if (bytes.length > 0) this.#waiting.push(bytes);
    this.#bell.resolve();
  }

  /** Lets the session have it: it is the right one. */
  begin(): void {
    this.#begun.resolve();
  }

  /** Gives all of it, once it has begun. */
  readonly stream: ReadableStream<Uint8Array> = new ReadableStream({
    pull: async (controller) => {
      await this.#begun.promise;
      while (this.#waiting.length === 0) {
        this.#bell = Promise.withResolvers();
        await this.#bell.promise;
      }
      const bytes = this.#waiting.shift()!;
      this.#bytes -= bytes.length;
      controller.enqueue(bytes);
    },
  }, { highWaterMark: 0 });
}
