/**
 * A WebSocket that is opened again whenever it is lost, until the server says that there is nothing
 * more to come.
 *
 * Attempts come less and less often, and at once when the tab is looked at or the network is back. A
 * server that was started again has another token and proof: then no attempt can help.
 *
 * @module
 */
import { type Answerer, whoAnswers } from "./api.ts";

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
  /**
   * The server has refused or failed; {@linkcode LastingSocket.reopen} tries again. Without this, it is
   * lost when the server closes it.
   */
  onError?(code: string, message: string): void;
}

/** A socket that lasts. */
export interface LastingSocket {
  /** Sends, if it is connected; tells whether it is. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
  /** Connects now, if it is lost. */
  retry(): void;
  /** Leaves, and connects anew. */
  reopen(): void;
  /** Leaves; `reopen` comes back. */
  pause(): void;
  /** Leaves for good. */
  close(): void;
}

const FIRST_DELAY_MS = 250;
/** How long attempts are apart at most, in milliseconds. */
const LAST_DELAY_MS = 10_000;

/** How long to wait before attempt `n`, counted from 0: doubled each time, a little by chance. */
function delayMs(n: number): number {
  const most = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** n);
  return most * (0.75 + Math.random() / 4);
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
      if (typeof data === "string") return take(JSON.parse(data));
      attempts = 0;
      options.onBytes?.(new Uint8Array(data));
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
    if (message.type !== "error") {
      attempts = 0;
      if (message.type === "end") leave();
      options.onMessage(message);
    } else if (options.onError !== undefined) {
      attempts = 0;
      leave();
      options.onError(String(message.code), String(message.message));
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

  function retry(): void {
    if (isWaiting) connect();
  }

  const { signal } = over;
  addEventListener("online", retry, { signal });
  addEventListener("focus", retry, { signal });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) retry();
  }, { signal });
  connect();
  return {
    send(data) {
      if (socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(data);
      return true;
    },
    retry,
    reopen: connect,
    pause: leave,
    close() {
      over.abort();
      leave();
    },
  };
}
