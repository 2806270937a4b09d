/**
 * A WebSocket for one session, opened again whenever it is lost, until the server says that there is
 * nothing more to come.
 *
 * Attempts come less and less often, and at once when the tab is looked at or the network is back.
 *
 * @module
 */
import { type Answerer, whoAnswers } from "./api.ts";
import { delayMs, LAST_DELAY_MS } from "./rows.ts";

/** A message of the server. */
export type Message =
  & { readonly type: string }
  & Readonly<
    Record<string, unknown>
  >;

/** What a socket is opened for. */
export interface SocketOptions {
  /** Where to connect now; asked before each attempt. */
  url(): string;
  onOpen?(): void;
  onMessage(message: Message): void;
  onBytes?(bytes: Uint8Array): void;
  /** It is lost, and will be opened again; `isRefused` if another server has the address now. */
  onLost(isRefused: boolean): void;
  /** The server has refused or failed; {@linkcode LastingSocket.reopen} tries again. */
  onError(code: string, message: string): void;
}

/** A socket that lasts. */
export interface LastingSocket {
  /** Sends, if it is connected; tells whether it is. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
  /** Leaves, and connects anew. */
  reopen(): void;
  /** Leaves; `reopen` comes back. */
  pause(): void;
  /** Leaves for good. */
  close(): void;
}

/** Connects, and stays connected. */
export function openSocket(options: SocketOptions): LastingSocket {
  const over = new AbortController();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempts = 0;
  let attempt = 0;
  let isWaiting = false;

  async function connect(): Promise<void> {
    leave();
    const current = attempt;
    const answerer = await whoAnswers();
    if (attempt !== current) return;
    if (answerer !== "own") return lose(answerer);
    const own = socket = new WebSocket(options.url());
    own.binaryType = "arraybuffer";
    own.onopen = () => options.onOpen?.();
    own.onmessage = ({ data }) => {
      if (socket !== own) return;
      attempts = 0;
      if (typeof data === "string") take(JSON.parse(data));
      else options.onBytes?.(new Uint8Array(data));
    };
    own.onclose = () => {
      if (socket !== own) return;
      socket = undefined;
      lose("none");
    };
  }

  function lose(answerer: Answerer): void {
    const isRefused = answerer === "other";
    isWaiting = true;
    timer = setTimeout(
      connect,
      isRefused ? LAST_DELAY_MS : delayMs(attempts),
    );
    attempts++;
    options.onLost(isRefused);
  }

  function take(message: Message): void {
    if (message.type === "error") {
      leave();
      options.onError(String(message.code), String(message.message));
    } else {
      if (message.type === "end") leave();
      options.onMessage(message);
    }
  }

  function leave(): void {
    clearTimeout(timer);
    attempt++;
    isWaiting = false;
    const own = socket;
    socket = undefined;
    own?.close();
  }

  function wake(): void {
    if (isWaiting && !document.hidden) connect();
  }

  const { signal } = over;
  addEventListener("online", wake, { signal });
  addEventListener("focus", wake, { signal });
  document.addEventListener("visibilitychange", wake, { signal });
  connect();
  return {
    send(data) {
      if (socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(data);
      return true;
    },
    reopen: connect,
    pause: leave,
    close() {
      over.abort();
      leave();
    },
  };
}
