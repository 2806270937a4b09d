/**
 * The live list of sessions: one WebSocket for the page, which lasts.
 *
 * What was shown stays until the server tells it anew.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";
import { socketUrl } from "./api.ts";
import { openSocket } from "./socket.ts";

/** How the list is connected. `refused`: another server has the address now. */
export type RowsConnection = "open" | "lost" | "refused";

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
  onConnection(connection: RowsConnection): void;
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
type RowsMessage =
  | { readonly type: "hello" } & Hello
  | { readonly type: "rows"; readonly rows: readonly Row[] }
  | {
    readonly type: "change";
    readonly changed: readonly Row[];
    readonly removed: readonly string[];
  };

/** The server takes no more at once. */
const MAX_LOOKED_AT = 200;

/** Connects, and stays connected. */
export function connectRows(listener: RowsListener): Rows {
  let looked: readonly string[] = [];
  const socket = openSocket({
    url: () => socketUrl("api/rows"),
    onMessage: (message) => take(message as RowsMessage),
    onLost: (isRefused) =>
      listener.onConnection(isRefused ? "refused" : "lost"),
  });
  document.addEventListener("visibilitychange", tellLook);
  return {
    look(ids) {
      if (ids.join() === looked.join()) return;
      looked = ids.slice(0, MAX_LOOKED_AT);
      tellLook();
    },
    retry: socket.retry,
  };

  function take(message: RowsMessage): void {
    switch (message.type) {
      case "hello":
        listener.onHello(message);
        return tellLook();
      case "rows":
        listener.onRows(message.rows);
        return listener.onConnection("open");
      case "change":
        return listener.onChange(message.changed, message.removed);
    }
  }

  function tellLook(): void {
    const ids = document.hidden ? [] : looked;
    socket.send(JSON.stringify({ type: "look", ids }));
  }
}
