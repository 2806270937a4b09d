/**
 * The rows of all sessions, kept up to date.
 *
 * The list is read once. From then on, an event of a session, as `followEvents()` tells it, means
 * that this session is read again; nothing is compared that nothing has happened to. So sessions
 * that are idle cost nothing.
 *
 * Not all of a row makes an event: its last line, silence, a progress, and the status of an agent
 * that only its own files tell. The rows that somebody looks at are also read when they write
 * something, every few seconds while such an agent works, and once a minute: a suspended program
 * makes no event at all.
 *
 * Invariant: what a view is told is what `rows()` gives at that moment.
 *
 * @module
 */
import { SILENCE_MS } from "../cli/status.ts";
import { followEvents } from "../client/events.ts";
import { lastTraffic } from "../client/traffic.ts";
import { watchSession } from "../client/watch.ts";
import { SessionError } from "../errors.ts";
import { lastTitle } from "../events/journal.ts";
import {
  hasKnownAgent,
  type ProcessTable,
  processTable,
  type SessionStatus,
  statusOf,
} from "../events/status.ts";
import { type Session, sessionAt, sessionsNow } from "../session/find.ts";
import { join } from "../std.ts";
import {
  isLive,
  KINDS,
  openRoot,
  pathsIn,
  type RootOptions,
  sessionNames,
} from "../store.ts";
import { sleep } from "../system/async.ts";
import { lastLineOf, lastWordsOf } from "./last_line.ts";
import { byUrgency, type Row } from "./row.ts";
import { rowOf } from "./row_of.ts";

/** How long the views have to show the first list. */
const FIRST_LIST_MS = 30;
/** The shortest time between two reads of what has changed. */
const PAUSE_MS = 100;
/** Reading takes no more than this part of the time. */
const SHARE = 1 / 5;
/** How soon a session that is looked at is read again because it has written something. */
const OUTPUT_MS = 250;
/** How soon an agent is asked again that makes no events while it works. */
const AGENT_MS = 2000;
/** How soon to try again to read a session that can't be read. */
const RETRY_MS = 1000;

/** What has changed since the last call. */
export interface Change {
  /** Rows that are new or different; with another `born`, of a later session with the id. */
  readonly changed: readonly Row[];
  /** The ids of those that are gone. */
  readonly removed: readonly string[];
}

/** Options of {@linkcode watchRows}. */
export interface WatchRowsOptions extends RootOptions {
  /** Stops the watching. */
  readonly signal?: AbortSignal;
  /** Called with what has changed since the first list, a few times a second at most. */
  readonly onChange: (change: Change) => void;
}

/** The rows of all sessions. Disposing of it ends the watching. */
export interface WatchedRows extends AsyncDisposable {
  /** Resolves once the first list is there. Rejects as `done` does. */
  readonly ready: Promise<void>;
  /** All rows, by urgency. */
  rows(): readonly Row[];
  /** The row of a session. */
  get(id: string): Row | undefined;
  /**
   * Says which rows a viewer shows now. Only these have a last line, and a status that no event
   * tells. They follow as a change if they differ.
   */
  look(viewer: unknown, ids: readonly string[]): void;
  /** Says that a viewer shows nothing any more. */
  leave(viewer: unknown): void;
  /** Resolves once it was stopped; rejects with the reason if it can't go on. */
  readonly done: Promise<void>;
}

/**
 * Watches the sessions of a root, which may not exist yet.
 *
 * @throws {SessionError} `root_unusable`.
 */
export function watchRows(options: WatchRowsOptions): WatchedRows {
  return new Watching(openRoot(options), options);
}

class Watching implements WatchedRows {
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
  readonly #root: string;
  readonly #onChange: WatchRowsOptions["onChange"];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #failed = Promise.withResolvers<never>();
  readonly #rows = new Map<string, Row>();
  #sorted: readonly Row[] | undefined;
  /** The last titles that events have told; of a session that was created then. */
  readonly #titles = new Map<string, { born: string; title: string }>();
  /** When to read which sessions again, as `performance.now()` has it. */
  readonly #due = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  /** No earlier than this. */
  #nextAt = 0;
  readonly #viewers = new Map<unknown, readonly string[]>();
  /** The sessions that somebody looks at, and how to stop following their output. */
  readonly #looked = new Map<string, AbortController | undefined>();

  constructor(root: string, { signal, onChange }: WatchRowsOptions) {
    this.#root = root;
    this.#onChange = onChange;
    const own = this.#stop.signal;
    this.#signal = signal ? AbortSignal.any([signal, own]) : own;
    this.#failed.promise.catch(() => {});
    // A moment before the list: what is missing in it makes an event after that.
    const since = new Date(Date.now() - RETRY_MS);
    this.ready = this.#readAll();
    this.done = this.#run(since);
    this.ready.catch(() => {});
    this.done.catch(() => {});
  }

  rows(): readonly Row[] {
    return this.#sorted ??= [...this.#rows.values()].sort(byUrgency);
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  look(viewer: unknown, ids: readonly string[]): void {
    this.#viewers.set(viewer, [...ids]);
    this.#lookAround();
  }

  leave(viewer: unknown): void {
    this.#viewers.delete(viewer);
    this.#lookAround();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.done.catch(() => {});
  }

  // deno-lint-ignore require-await
  async #readAll(): Promise<void> {
    const table = processTable();
    for (const session of sessionsNow({ root: this.#root })) {
      this.#rows.set(session.id, this.#rowNow(session, table));
    }
  }

  async #run(since: Date): Promise<void> {
    try {
      await this.ready;
      // To watch hundreds of sessions takes longer than to read them: the first list is shown before.
      await sleep(FIRST_LIST_MS, this.#signal);
      await Promise.race([this.#follow(since), this.#failed.promise]);
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    } finally {
      this.#stop.abort();
      clearTimeout(this.#timer);
      this.#viewers.clear();
      this.#lookAround();
    }
  }

  async #follow(since: Date): Promise<void> {
    const events = followEvents({
      root: this.#root,
      since,
      signal: this.#signal,
      onWatching: () => this.#compareNames(),
    });
    for await (const event of events) {
      if (event.type === "title") this.#noteTitle(event.id, event.title);
      this.#note(event.id);
    }
  }

  /** What was deleted before it was watched makes no event. */
  #compareNames(): void {
    const there = sessionNames(this.#root);
    for (const id of new Set([...there, ...this.#rows.keys()])) {
      const isKnown = this.#rows.has(id);
      if (!isKnown || !there.includes(id)) this.#note(id);
    }
  }

  #noteTitle(id: string, title: string): void {
    const born = this.#rows.get(id)?.born;
    if (born !== undefined) this.#titles.set(id, { born, title });
  }

  /** Has a session read again, after so many milliseconds. */
  #note(id: string, afterMs = 0): void {
    const at = performance.now() + afterMs;
    if (at >= (this.#due.get(id) ?? Infinity)) return;
    this.#due.set(id, at);
    this.#wakeAt(at);
  }

  #wakeAt(at: number): void {
    if (at >= this.#timerAt || this.#signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const ms = Math.max(at, this.#nextAt) - performance.now();
    this.#timer = setTimeout(() => {
      try {
        this.#readDue();
      } catch (error) {
        this.#failed.reject(error);
      }
    }, Math.max(0, ms));
  }

  /** Reads the sessions whose time has come, and tells what has changed. */
  #readDue(): void {
    const startedAt = performance.now();
    const changed: Row[] = [];
    const removed: string[] = [];
    const table = processTable();
    for (const [id, at] of this.#due) {
      if (at > startedAt) continue;
      this.#due.delete(id);
      const before = this.#rows.get(id);
      const row = this.#read(id, table);
      if (row === "later") continue;
      if (row === undefined) {
        if (this.#rows.delete(id)) removed.push(id);
        this.#titles.delete(id);
      } else if (before === undefined || !isSame(before, row)) {
        this.#rows.set(id, row);
        changed.push(row);
      }
    }
    const now = performance.now();
    this.#nextAt = now + Math.max(PAUSE_MS, (now - startedAt) / SHARE);
    this.#timerAt = Infinity;
    this.#wakeAt(Math.min(...this.#due.values()));
    if (changed.length + removed.length > 0) this.#sorted = undefined;
    this.#lookAround();
    if (changed.length + removed.length > 0) {
      this.#onChange({ changed, removed });
    }
  }

  /** A session as it is now; `undefined` if it is gone. */
  #read(id: string, table: ProcessTable): Row | "later" | undefined {
    try {
      const session = sessionAt(pathsIn(join(this.#root, id), id));
      return this.#rowNow(session, table);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      const isGone = error instanceof SessionError &&
        error.code === "not_found";
      if (isGone) return undefined;
      this.#note(id, RETRY_MS); // Too many files are open.
      return "later";
    }
  }

  #rowNow(session: Session, table: ProcessTable): Row {
    const { id } = session;
    const now = Date.now();
    const status = statusOf(session, table);
    const isLooked = this.#looked.has(id);
    const row = rowOf(session, {
      status,
      title: this.#titleOf(session),
      lastLine: isLooked ? lastOf(session, status) : undefined,
      now,
    });
    const againMs = this.#againMs(session, { row, status, isLooked, now });
    if (againMs !== undefined) this.#note(id, againMs);
    return row;
  }

  /** When to read a session again though nothing tells that it has changed. */
  #againMs(
    session: Session,
    { row, status, isLooked, now }: {
      readonly row: Row;
      readonly status: SessionStatus | null;
      readonly isLooked: boolean;
      readonly now: number;
    },
  ): number | undefined {
    const { meta, paths, state } = session;
    if (state.state !== "running" || meta === null) return undefined;
    const isBusy = row.urgency === "working" || row.urgency === "blocked";
    const isUntold = status === null
      ? hasKnownAgent(session)
      : status.source === "agent" || status.source === "report";
    if (isLooked && isBusy && isUntold) return AGENT_MS;
    if (status !== null || row.tone !== "working") return undefined;
    if (KINDS[meta.kind].accepts.length === 0) return undefined;
    // Then it will have been silent for so long that it is idle.
    const silentMs = Math.max(0, now - lastTraffic(paths).at); // The clock may have been set back.
    return Math.max(0, SILENCE_MS - silentMs) + 1;
  }

  #titleOf({ id, meta, paths, createdAt }: Session): string | undefined {
    if (meta === null || !KINDS[meta.kind].isTerminal) return undefined;
    const born = createdAt.toISOString();
    const known = this.#titles.get(id);
    if (known?.born === born) return known.title;
    const title = lastTitle(paths) ?? "";
    this.#titles.set(id, { born, title });
    return title;
  }

  /** Begins and ends to follow output, by what is looked at and lives. */
  #lookAround(): void {
    const ids = new Set([...this.#viewers.values()].flat());
    for (const [id, following] of this.#looked) {
      if (ids.has(id)) continue;
      following?.abort();
      this.#looked.delete(id);
    }
    for (const id of ids) {
      const row = this.#rows.get(id);
      if (row === undefined) continue;
      if (!this.#looked.has(id)) {
        this.#looked.set(id, undefined);
        this.#note(id); // For its last line.
      }
      if (isLive(row) && this.#looked.get(id) === undefined) {
        const stop = new AbortController();
        this.#looked.set(id, stop);
        this.#followOutput(id, stop);
      }
    }
  }

  /** Has a session read again whenever it has written something. */
  async #followOutput(id: string, stop: AbortController): Promise<void> {
    const paths = pathsIn(join(this.#root, id), id);
    const { signal } = stop;
    try {
      const files = [paths.stdout, paths.stderr];
      using watch = watchSession(paths, { files, signal });
      while (watch.finalState() === undefined) {
        await watch.next();
        this.#note(id);
        await sleep(OUTPUT_MS, signal);
      }
      this.#outputEnded(id, stop);
    } catch {
      // It is gone, or not looked at any more; or too many files are open.
      this.#outputEnded(id, stop, RETRY_MS);
    }
  }

  /** The session has ended; it, or another one with its id, is followed again if it runs. */
  #outputEnded(id: string, stop: AbortController, afterMs?: number): void {
    if (this.#looked.get(id) !== stop) return;
    this.#looked.set(id, undefined);
    this.#note(id, afterMs);
  }
}

/** An agent in a terminal draws; once it has answered, its answer tells its last words. */
function lastOf(
  session: Session,
  status: SessionStatus | null,
): string | undefined {
  const { meta } = session;
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  const hasAnswered = status?.value === "done" || status?.value === "idle";
  const words = isTerminal && hasAnswered ? lastWordsOf(session) : undefined;
  return words ?? lastLineOf(session);
}

function isSame(a: Row, b: Row): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
