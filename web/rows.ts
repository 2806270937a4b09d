/**
 * The live list over WebSockets: all rows, then what changes.
 *
 * All viewers share one watch of the sessions, which is there only while there are viewers. A viewer
 * that reads slowly gets what has changed meanwhile as one message: what waits for it is never more
 * than a row for each session.
 *
 * Messages are JSON: `{type: "hello", …}`, `{type: "rows", rows}`, `{type: "change", changed, removed}`;
 * the page sends `{type: "look", ids}`, the rows that it shows.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { isId } from "../store.ts";
import type { Row } from "../views/row.ts";
import { type WatchedRows, watchRows } from "../views/sessions.ts";
import { converse, type Message, type Peer } from "./socket.ts";

/** What a viewer is told first. */
export interface Hello {
  readonly version: string;
  readonly readOnly: boolean;
  /** Where relative paths begin. */
  readonly home: string;
  readonly root: string;
}

/** So many rows a page may show at the same time. */
const MOST_LOOKED_AT = 200;
const MAX_MESSAGE_LENGTH = 32 * 1024;

/** The list of all viewers. */
export class LiveRows {
  readonly #root: string;
  readonly #signal: AbortSignal;
  readonly #viewers = new Set<Pending>();
  #watched: WatchedRows | undefined;

  constructor(
    { root, signal }: { readonly root: string; readonly signal: AbortSignal },
  ) {
    this.#root = root;
    this.#signal = signal;
  }

  /** Serves a viewer; never rejects, resolves when its socket is closed. */
  async serve(socket: WebSocket, hello: Hello): Promise<void> {
    const viewer = new Pending();
    await converse(socket, {
      signal: this.#signal,
      receive: (message) => {
        const ids = idsIn(message);
        viewer.looksAt = ids;
        this.#watched?.look(viewer, ids);
      },
      talk: (peer) => this.#tell(viewer, peer, hello),
    });
    await this.#leave(viewer);
  }

  async #tell(viewer: Pending, peer: Peer, hello: Hello): Promise<undefined> {
    const { signal } = peer;
    const say = (message: object) => peer.send(JSON.stringify(message));
    await say({ type: "hello", ...hello });
    const watched = this.#join(viewer);
    await Promise.race([watched.ready, watched.done]);
    if (signal.aborted) return;
    viewer.take();
    await say({ type: "rows", rows: watched.rows() });
    const stop = () => viewer.wake();
    signal.addEventListener("abort", stop);
    while (!signal.aborted) {
      await Promise.race([viewer.bell, watched.done]);
      const change = viewer.take();
      if (change !== undefined) await say({ type: "change", ...change });
    }
  }

  /** The watch, begun by the first viewer. */
  #join(viewer: Pending): WatchedRows {
    this.#viewers.add(viewer);
    this.#watched ??= watchRows({
      root: this.#root,
      signal: this.#signal,
      onChange: (change) => {
        for (const one of this.#viewers) one.add(change);
      },
    });
    this.#watched.look(viewer, viewer.looksAt);
    return this.#watched;
  }

  async #leave(viewer: Pending): Promise<void> {
    if (!this.#viewers.delete(viewer)) return;
    this.#watched?.leave(viewer);
    if (this.#viewers.size > 0) return;
    const watched = this.#watched;
    this.#watched = undefined;
    try {
      await watched?.[Symbol.asyncDispose]();
    } catch {
      // It has told its viewers.
    }
  }
}

/** What has changed and a viewer doesn't know yet. */
class Pending {
  looksAt: readonly string[] = [];
  readonly #changed = new Map<string, Row>();
  readonly #removed = new Set<string>();
  #bell = Promise.withResolvers<void>();

  /** Resolves when there is something to take. */
  get bell(): Promise<void> {
    return this.#bell.promise;
  }

  wake(): void {
    this.#bell.resolve();
  }

  add(
    { changed, removed }: {
      readonly changed: readonly Row[];
      readonly removed: readonly string[];
    },
  ): void {
    for (const row of changed) {
      this.#changed.set(row.id, row);
      this.#removed.delete(row.id);
    }
    for (const id of removed) {
      this.#changed.delete(id);
      this.#removed.add(id);
    }
    this.wake();
  }

  /** What has come since the last call. */
  take():
    | { readonly changed: readonly Row[]; readonly removed: readonly string[] }
    | undefined {
    this.#bell = Promise.withResolvers();
    const changed = [...this.#changed.values()];
    const removed = [...this.#removed];
    this.#changed.clear();
    this.#removed.clear();
    if (changed.length + removed.length === 0) return undefined;
    return { changed, removed };
  }
}

/** The rows that a viewer says it shows. */
function idsIn(message: Message): readonly string[] {
  let found: Record<string, unknown> | null = null;
  try {
    const isText = typeof message === "string" &&
      message.length <= MAX_MESSAGE_LENGTH;
    if (isText) found = JSON.parse(message);
  } catch {
    // Told below.
  }
  const { type, ids } = found ?? {};
  const isFine = type === "look" && Array.isArray(ids) &&
    ids.length <= MOST_LOOKED_AT &&
    ids.every((id) => typeof id === "string" && isId(id));
  if (!isFine) {
    throw new ArgumentError("The list takes the rows that are shown");
  }
  return ids;
}
