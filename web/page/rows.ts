/**
 * The live list of sessions: one WebSocket for the page, connected again whenever it ends.
 *
 * What was shown stays until the server tells it anew. Attempts come less and less often, and at
 * once when the tab is looked at or the network is back. A server that was started again has another
 * token and proof: then no attempt can help, and the page says so.
 *
 * @module
 */
import { type Answerer, socketUrl, whoAnswers } from "./api.ts";
import type { Row } from "../../views/row.ts";

/** `refused`: another server has the address now. */
export type Connection = "connecting" | "open" | "lost" | "refused";

/** What the server says of itself. */
export interface Hello {
  readonly version: string;
  readonly readOnly: boolean;
  /** The directory that new sessions start in. */
  readonly home: string;
  /** The directory of the sessions. */
  readonly root: string;
}

/** Who is told. */
export interface RowsListener {
  onConnection(connection: Connection): void;
  onHello(hello: Hello): void;
  /** All sessions, anew. */
  onRows(rows: readonly Row[]): void;
  onChange(changed: readonly Row[], removed: readonly string[]): void;
}

/** The connection. */
export interface Rows {
  /** Says which sessions are on the screen: only their last lines are kept current. */
  look(ids: readonly string[]): void;
  /** Connects now, if it isn't. */
  retry(): void;
}

/** A message of the server. */
type Message =
  | { readonly type: "hello" } & Hello
  | { readonly type: "rows"; readonly rows: readonly Row[] }
  | {
    readonly type: "change";
    readonly changed: readonly Row[];
    readonly removed: readonly string[];
  };

const FIRST_DELAY_MS = 250;
/** How long attempts are apart at most, in milliseconds. */
export const LAST_DELAY_MS = 10_000;
/** The server takes no more at once. */
const MAX_LOOKED_AT = 200;

/** How long to wait before attempt `n`, counted from 0: doubled each time, a little by chance. */
export function delayMs(n: number, chance = Math.random()): number {
  const most = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** n);
  return most * (0.75 + chance / 4);
}

/** Connects, and stays connected. */
export function connectRows(listener: RowsListener): Rows {
  let socket: WebSocket | null = null;
  let isAsking = false;
  let attempts = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looked: readonly string[] = [];

  connect();
  addEventListener("online", retry);
  addEventListener("focus", retry);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) retry();
    tellLook();
  });
  return {
    look(ids) {
      if (ids.join() === looked.join()) return;
      looked = ids.slice(0, MAX_LOOKED_AT);
      tellLook();
    },
    retry,
  };

  async function connect(): Promise<void> {
    clearTimeout(timer);
    isAsking = true;
    const answerer = await whoAnswers();
    isAsking = false;
    if (answerer !== "own") return lose(answerer);
    socket = new WebSocket(socketUrl("api/rows"));
    socket.onmessage = ({ data }) => take(JSON.parse(data));
    socket.onclose = () => {
      socket = null;
      lose("none");
    };
  }

  function lose(answerer: Answerer): void {
    const isRefused = answerer === "other";
    listener.onConnection(isRefused ? "refused" : "lost");
    timer = setTimeout(
      connect,
      isRefused ? LAST_DELAY_MS : delayMs(attempts),
    );
    attempts++;
  }

  function take(message: Message): void {
    switch (message.type) {
      case "hello":
        attempts = 0;
        listener.onHello(message);
        return tellLook();
      case "rows":
        listener.onRows(message.rows);
        return listener.onConnection("open");
      case "change":
        return listener.onChange(message.changed, message.removed);
    }
  }

  function retry(): void {
    if (socket === null && !isAsking) connect();
  }

  function tellLook(): void {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const ids = document.hidden ? [] : looked;
    socket.send(JSON.stringify({ type: "look", ids }));
  }
}
