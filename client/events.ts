/**
 * The events of sessions: those that have happened, and following them live.
 *
 * A {@linkcode Teller} tells of one session what is new since its last look. The first look
 * gives its history, each later one what came since: so there is no seam between history and
 * live. It looks at the files that record things anyway (`meta.json`, `pid`, `stop.json`, `exit`)
 * and at the journal (`events.jsonl`).
 *
 * Following subscribes first, to the root and to each session that lives, and looks then. It
 * runs ahead of its consumer by so many events and no more. A journal is bounded, so a consumer
 * that falls behind by more than half a megabyte of a session loses events.
 *
 * Invariant: of one session the events keep their order, even if the clock was set back.
 *
 * @module
 */
import {
  ArgumentError,
  checkInstance,
  checkOptions,
  checkStrings,
  checkType,
  SessionError,
} from "../errors.ts";
import {
  EVENT_TYPES,
  type EventFacts,
  type SessionEvent,
} from "../events/event.ts";
import { KEPT_BYTES, MAX_LINE_BYTES, parseEntry } from "../events/journal.ts";
import { plainText } from "../screen/clean_text.ts";
import { join } from "../std.ts";
import {
  isLive,
  type Meta,
  META_BYTES,
  noSuchSession,
  openRoot,
  parseMeta,
  type Paths,
  pathsFor,
  pathsIn,
  readState,
  readStopRequest,
  type RootOptions,
  sessionNames,
  type Times,
  timesAt,
} from "../store.ts";
import { abortable } from "../system/async.ts";
import { concat } from "../system/bytes.ts";
import {
  exists,
  identityAt,
  readFile,
  readQuickly,
  statOptional,
} from "../system/files.ts";
import { roomForSessions } from "../system/limits.ts";
import { endOfLog, type Log, type LogPosition, openLog } from "./log_files.ts";
import {
  FILES,
  type FinalState,
  type RootWatch,
  type SessionWatch,
  watchRoot,
  watchSession,
} from "./watch.ts";

/** Options of {@linkcode readEvents}. */
export interface ReadEventsOptions extends RootOptions {
  /**
   * Only of the sessions with these ids.
   *
   * @default {all sessions}
   */
  readonly ids?: readonly string[];
  /**
   * Only of sessions whose metadata fit.
   *
   * @default {all sessions}
   */
  readonly fits?: (meta: Meta) => boolean;
  /**
   * Only events of these types.
   *
   * @default {all types}
   */
  readonly types?: readonly SessionEvent["type"][];
  /**
   * Of what has happened already, only events from this time on.
   *
   * @default {all that is kept}
   */
  readonly since?: Date;
}

/** Options of {@linkcode followEvents}. */
export interface FollowEventsOptions extends ReadEventsOptions {
  /**
   * Called once all sessions that are there are watched: what changes from then on is told.
   *
   * @default {undefined}
   */
  readonly onWatching?: () => void;
  /** Stops the following. */
  readonly signal?: AbortSignal;
}

/**
 * What has happened in sessions until now, in the order of time. A session keeps its last
 * half megabyte of events at least; those that its other files record are always there. A session of an
 * earlier version has only these. A type that this version doesn't know comes from a newer
 * one. Needs `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found` if there is no session with one of the `ids`.
 * @throws {ArgumentError} if an id or a type is malformed, or an option has the wrong type.
 *
 * @example
 * ```ts
 * import { createSession, readEvents, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["sh", "-c", "exit 3"] });
 * await waitForSession(id);
 * for (const { at, type } of await readEvents({ ids: [id] })) console.log(at, type);
 * // created, started, exited
 * ```
 */
export async function readEvents(
  options: ReadEventsOptions = {},
): Promise<SessionEvent[]> {
  const wanted = wantedBy(options);
  const batches: SessionEvent[][] = [];
  for (const paths of pathsOf(wanted)) {
    using teller = Teller.of(paths, wanted);
    if (teller === undefined) continue;
    const state = readState(paths);
    const events = await teller.look(isOver(state) ? state : undefined);
    batches.push(events.filter(wanted.isSince));
  }
  return merged(batches).filter(wanted.isOfType);
}

/**
 * What has happened in sessions, as {@linkcode readEvents} gives it, and then what happens, as
 * soon as it does. Sessions that are created meanwhile join in. It waits for events of files and
 * processes, so following idle sessions costs nothing but a look each minute; each second without
 * `--allow-ffi`, on other systems than Linux, and where too many files are open.
 *
 * With `ids`, it ends once each of these sessions has ended or was deleted and its events are
 * told; otherwise never. Leaving the loop frees all; use `signal` to leave while it waits. Needs
 * `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * A session that is created and deleted between two looks, milliseconds apart, is not noticed. If the
 * root or a directory above it is renamed, or another machine writes into it, that is noticed within a minute.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} as {@linkcode readEvents}, at the call.
 * @throws the signal's reason, once it is aborted, when iterated.
 *
 * @example
 * ```ts
 * import { createSession, followEvents } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "0.2"] });
 * for await (const { type } of followEvents({ ids: [id] })) console.log(type);
 * // created, started, exited
 * ```
 */
export function followEvents(
  options: FollowEventsOptions = {},
): AsyncIterable<SessionEvent> {
  const wanted = wantedBy(options);
  pathsOf(wanted); // A missing session is told at the call.
  checkType("onWatching", options.onWatching, "function");
  return follow(wanted, options);
}

/** Checked options. */
interface Wanted {
  readonly root: string;
  readonly ids: readonly string[] | undefined;
  readonly fits: ((meta: Meta) => boolean) | undefined;
  readonly isOfType: (event: SessionEvent) => boolean;
  readonly isSince: (event: SessionEvent) => boolean;
}

function wantedBy(options: ReadEventsOptions): Wanted {
  checkOptions(options, { fits: "function" });
  const { ids, fits, types, since } = options;
  if (ids !== undefined) checkStrings("ids", ids);
  if (types !== undefined) checkTypes(types);
  if (since !== undefined) checkInstance("since", since, Date);
  const from = since?.getTime() ?? -Infinity;
  if (Number.isNaN(from)) throw new ArgumentError("since is no valid date");
  return {
    root: openRoot(options),
    ids: ids && [...new Set(ids)],
    fits,
    isOfType: ({ type }) => types?.includes(type) ?? true,
    isSince: ({ at }) => Date.parse(at) >= from,
  };
}

function checkTypes(types: readonly string[]): void {
  checkStrings("types", types);
  for (const type of types) {
    if ((EVENT_TYPES as readonly string[]).includes(type)) continue;
    throw new ArgumentError(
      `Unknown type of event "${type}": use ${EVENT_TYPES.join(", ")}`,
    );
  }
}

/** The sessions that are wanted and there. */
function pathsOf({ root, ids }: Wanted): Paths[] {
  if (ids === undefined) {
    return sessionNames(root).map((name) => pathsIn(join(root, name), name));
  }
  return ids.map((id) => {
    const paths = pathsFor(id, { root });
    if (!exists(paths.meta) && !exists(paths.lock)) throw noSuchSession(id);
    return paths;
  });
}

function isOver(state: { readonly state: string }): state is FinalState {
  return ["exited", "lost", "deleted"].includes(state.state);
}

/** What tells a session from a later one with its id: its metadata, which are written once. */
function keyOf({ meta }: Paths): string | undefined {
  return endOfLog(meta)?.file;
}

/** How many journals are kept open. The others are opened for each look. */
let openJournals = 0;

/** Tells what is new in one session. */
class Teller implements Disposable {
  readonly paths: Paths;
  readonly key: string;
  readonly #meta: Meta | undefined;
  #hasCreated = false;
  #hasStarted = false;
  #hasStopped = false;
  #journal: Log | undefined;
  #keepsJournal = false;
  #read: LogPosition | null = null;
  /** The beginning of a line whose end is not there yet. */
  #half: Uint8Array = NOTHING;
  /** Whether there is more in the journal than the last look has read. */
  hasMore = false;
  /** Whether the journal has just been put aside, and the next one is not there yet. */
  isBetweenFiles = false;
  #hasNoJournal = false;

  /** The one of a session; `undefined` if there is none, or it doesn't fit. */
  static of(paths: Paths, { fits }: Wanted): Teller | undefined {
    const key = keyOf(paths);
    if (key === undefined) return undefined; // It is being made.
    let meta: Meta | undefined;
    try {
      meta = parseMeta(readFile(paths.meta, META_BYTES) ?? "", paths.id);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      if (fits !== undefined) return undefined; // It is damaged.
    }
    if (fits !== undefined && !fits(meta!)) return undefined;
    return new Teller(paths, key, meta);
  }

  private constructor(paths: Paths, key: string, meta?: Meta) {
    this.paths = paths;
    this.key = key;
    this.#meta = meta;
  }

  /** Keeps the journal open between looks, if there may be so many open files. */
  keepJournal(): void {
    if (this.#keepsJournal || openJournals >= roomForSessions(FILES)) return;
    this.#keepsJournal = true;
    openJournals++;
  }

  /** What is new. `final` is the state in which it was seen to be over, before this look. */
  async look(final?: FinalState): Promise<SessionEvent[]> {
    const before: SessionEvent[] = [];
    if (!this.#hasCreated && this.#meta !== undefined) {
      const at = new Date(this.#meta.createdAt);
      before.push(this.#event(at, { type: "created" }));
    }
    this.#hasCreated = true;
    const { startedAt } = this.#hasStarted ? NO_TIMES : this.#times();
    if (startedAt !== null) {
      this.#hasStarted = true;
      before.push(this.#event(startedAt, { type: "started" }));
    }
    const stopped = this.#hasStopped ? undefined : this.#stopped();
    const entries = await this.#entries();
    // All that was written before the end comes before it; there is not more than this.
    if (final !== undefined && this.hasMore) {
      entries.push(...await this.#entries());
    }
    if (stopped !== undefined) {
      this.#hasStopped = true;
      const later = entries.findIndex(({ at }) => at > stopped.at);
      entries.splice(later < 0 ? entries.length : later, 0, stopped);
    }
    return [...before, ...entries, ...final ? [this.#end(final)] : []];
  }

  /** That it was deleted, just now. */
  deleted(): SessionEvent {
    return this.#event(new Date(), { type: "deleted" });
  }

  #event(at: Date | string, facts: EventFacts): SessionEvent {
    const time = typeof at === "string" ? at : at.toISOString();
    const { type, ...rest } = facts;
    return { at: time, id: this.paths.id, type, ...rest } as SessionEvent;
  }

  /** Whether the paths still mean this session. */
  #isStill(): boolean {
    return keyOf(this.paths) === this.key;
  }

  #times(): Times {
    const times = timesAt(this.paths);
    return this.#isStill() ? times : NO_TIMES;
  }

  #stopped(): SessionEvent | undefined {
    const request = readStopRequest(this.paths);
    if (request === undefined || !this.#isStill()) return undefined;
    const at = new Date(request.at);
    if (Number.isNaN(at.getTime())) return undefined;
    const by = plainText(request.by, 80);
    return this.#event(at, {
      type: "stopped",
      by,
      signal: plainText(request.signal, 80),
    });
  }

  #end(final: FinalState): SessionEvent {
    switch (final.state) {
      case "exited": {
        const at = this.#times().endedAt ?? new Date();
        return this.#event(at, { type: "exited", ending: final.ending });
      }
      case "lost":
        return this.#event(lastSignOfLife(this.paths), { type: "lost" });
      case "deleted":
        return this.deleted();
      default:
        return final satisfies never;
    }
  }

  /** The new events of the journal. */
  async #entries(): Promise<SessionEvent[]> {
    const isStill = this.#isStill();
    if (!isStill && this.#journal === undefined) return [];
    const start = this.#read === null
      ? { bytes: KEPT_BYTES }
      : { from: this.#read };
    const journal = this.#journal ??= openLog(this.paths.events, start);
    try {
      journal.mark(() => this.#isStill()); // Else what is at the path is another session's.
      const texts: string[] = [];
      let left = KEPT_BYTES; // However fast somebody writes.
      for (let bytes; left > 0 && (bytes = await journal.read());) {
        texts.push(this.#wholeLines(bytes, journal.position!));
        left -= bytes.length;
      }
      this.hasMore = left <= 0;
      const now = statOptional(this.paths.events);
      this.isBetweenFiles = now === undefined && !this.#hasNoJournal;
      this.#hasNoJournal = now === undefined;
      if (
        (now?.size ?? 0) > (this.#read?.offset ?? Infinity) + 2 * KEPT_BYTES
      ) {
        // No journal has so much: the end of it is enough.
        this.#closeJournal();
        this.#read = null;
      }
      return texts.join("").split("\n")
        .filter((line) => line !== "" && line.length <= MAX_LINE_BYTES)
        .map(parseEntry)
        .filter((entry) => entry !== undefined)
        .map(({ at, ...facts }) => this.#event(at, facts as EventFacts));
    } finally {
      if (!this.#keepsJournal) this.#closeJournal();
    }
  }

  /** The text of the lines that end in these bytes, with what the bytes before them have begun. */
  #wholeLines(bytes: Uint8Array, end: LogPosition): string {
    const isNext = this.#read?.file === end.file &&
      this.#read.offset === end.offset - bytes.length;
    const whole = isNext ? concat([this.#half, bytes]) : bytes;
    this.#read = end;
    const length = whole.lastIndexOf(NEWLINE) + 1;
    // What is too long for a line will not become one.
    this.#half = whole.slice(length, length + MAX_LINE_BYTES + 1);
    return decoder.decode(whole.subarray(0, length));
  }

  #closeJournal(): void {
    this.#journal?.[Symbol.dispose]();
    this.#journal = undefined;
  }

  [Symbol.dispose](): void {
    this.#closeJournal();
    if (this.#keepsJournal) openJournals--;
    this.#keepsJournal = false;
  }
}

const NOTHING = new Uint8Array(0);
const NEWLINE = 10;
const NO_TIMES: Times = { startedAt: null, endedAt: null };
const decoder = new TextDecoder();

/** When a lost session last did something: nothing records its end. */
function lastSignOfLife({ meta, pid, stdout, stderr, events }: Paths): Date {
  const times = [meta, pid, stdout, stderr, events]
    .map((path) => statOptional(path)?.mtime?.getTime() ?? 0);
  return new Date(Math.max(...times));
}

/** Events of several sessions, in the order of time; those of one keep their order. */
function merged(
  batches: readonly (readonly SessionEvent[])[],
): SessionEvent[] {
  if (batches.length === 1) return [...batches[0]!];
  const timed = batches.flatMap((events) => {
    let latest = -Infinity;
    return events.map((event) => {
      latest = Math.max(latest, Date.parse(event.at));
      return { event, latest };
    });
  });
  return timed.sort((a, b) => a.latest - b.latest).map(({ event }) => event);
}

/** How soon to look for the next journal, which can't be watched before it is there. */
const BETWEEN_FILES_MS = 10;

/** How soon to try again to watch a session. */
const RETRY_MS = 1000;

/** A session that is followed. */
interface Followed {
  readonly teller: Teller;
  /** Until it is over. */
  watch?: SessionWatch;
  /** Whether it waits for its watch. */
  waits: boolean;
}

/** All sessions that are followed. */
class Following implements Disposable {
  readonly #wanted: Wanted;
  readonly #root: RootWatch | undefined;
  #rootWaits = false;
  /** At first, and whenever there may be others. */
  #rootRang = true;
  /** Whether a session could not be watched. */
  #hasFailed = false;
  readonly #sessions = new Map<string, Followed>();
  readonly #rang = new Set<Followed>();
  #bell = Promise.withResolvers<void>();

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
    if (wanted.ids === undefined) this.#root = watchRoot(wanted.root);
  }

  /** What is new of all that may have changed, in the order of time. */
  async look(): Promise<SessionEvent[]> {
    const gone: SessionEvent[][] = [];
    const batches: SessionEvent[][] = [];
    if (this.#rootRang) {
      this.#rootRang = false;
      this.#hasFailed = false;
      for (const one of [...this.#sessions.values()]) {
        if (isGone(one)) gone.push(await this.#remove(one));
      }
      for (const paths of pathsOf(this.#wanted)) {
        const one = this.#sessions.has(paths.id) ? undefined : this.#add(paths);
        if (one !== undefined) this.#rang.add(one);
      }
    }
    for (const one of [...this.#rang]) {
      this.#rang.delete(one);
      if (this.#sessions.get(one.teller.paths.id) !== one) continue;
      batches.push(await this.#lookAt(one));
    }
    // In this order, because an id may be used again already.
    return [...merged(gone), ...merged(batches)];
  }

  /** Whether nothing more can happen. */
  get isOver(): boolean {
    return this.#root === undefined &&
      ![...this.#sessions.values()].some(({ watch }) => watch !== undefined);
  }

  /** Waits until something may have changed. */
  async wait(signal?: AbortSignal): Promise<void> {
    this.#arm();
    await abortable(this.#bell.promise, signal);
    this.#bell = Promise.withResolvers();
  }

  /** Subscribes to a session; it is looked at later. */
  #add(paths: Paths): Followed | undefined {
    let watch: SessionWatch | undefined;
    if (isLive(readState(paths))) {
      try {
        const files = [paths.events, paths.pid];
        watch = watchSession(paths, { files });
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) throw error;
        // Otherwise it is being deleted, or too many files are open.
        if (!(error instanceof SessionError)) this.#hasFailed = true;
        return undefined;
      }
    }
    const teller = Teller.of(paths, this.#wanted);
    if (teller === undefined) {
      watch?.[Symbol.dispose]();
      return undefined;
    }
    if (watch !== undefined) teller.keepJournal();
    const one: Followed = { teller, watch, waits: false };
    this.#sessions.set(paths.id, one);
    return one;
  }

  async #lookAt(one: Followed): Promise<SessionEvent[]> {
    const { teller, watch } = one;
    if (watch === undefined) {
      const state = readState(teller.paths);
      const events = await teller.look(isOver(state) ? state : undefined);
      teller[Symbol.dispose]();
      return events;
    }
    const final = watch.finalState();
    const events = await teller.look(final);
    if (final !== undefined) this.#end(one);
    else if (teller.hasMore) watch.ring();
    if (final?.state === "deleted") this.#sessions.delete(teller.paths.id);
    return events;
  }

  /** The last events of a session that is gone. */
  async #remove(one: Followed): Promise<SessionEvent[]> {
    const { teller, watch } = one;
    const events: SessionEvent[] = [];
    if (watch !== undefined) {
      const final = watch.finalState();
      if (final === undefined) return events; // It is only damaged.
      if (final.state !== "deleted") events.push(...await teller.look(final));
    }
    this.#end(one);
    this.#sessions.delete(teller.paths.id);
    return [...events, teller.deleted()];
  }

  #end(one: Followed): void {
    one.watch?.[Symbol.dispose]();
    one.watch = undefined;
    one.teller[Symbol.dispose]();
  }

  /** Waits for all of them; each wait that ends rings the bell. */
  #arm(): void {
    const ring = () => this.#bell.resolve();
    const fail = (error: unknown) => this.#bell.reject(error);
    if (this.#root !== undefined && !this.#rootWaits) {
      this.#rootWaits = true;
      this.#root.next(this.#hasFailed ? RETRY_MS : undefined).then(() => {
        this.#rootWaits = false;
        this.#rootRang = true;
        ring();
      }).catch(fail);
    }
    for (const one of this.#sessions.values()) {
      if (one.watch === undefined || one.waits) continue;
      one.waits = true;
      const soonMs = one.teller.isBetweenFiles ? BETWEEN_FILES_MS : undefined;
      one.watch.next(soonMs).then(() => {
        one.waits = false;
        if (one.watch !== undefined) this.#rang.add(one);
        ring();
      }).catch(fail);
    }
  }

  [Symbol.dispose](): void {
    this.#root?.[Symbol.dispose]();
    for (const one of this.#sessions.values()) this.#end(one);
    this.#bell.promise.catch(() => {});
  }
}

/** Whether a session's directory is gone, or another session has it. */
function isGone({ teller: { paths, key } }: Followed): boolean {
  const now = keyOf(paths);
  return now !== key &&
    (now !== undefined || identityAt(paths.dir) === undefined);
}

/** How many events may wait for a slow consumer before no more are looked for. */
const AHEAD = 1000;

async function* follow(
  wanted: Wanted,
  { signal, onWatching }: FollowEventsOptions,
): AsyncGenerator<SessionEvent, void> {
  signal?.throwIfAborted();
  const left = new AbortController();
  const over = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
  readQuickly(); // Each session is looked at again and again.
  using following = new Following(wanted);
  let isFirst = true;
  const pull = async (queue: ReadableStreamDefaultController<SessionEvent>) => {
    for (let count = 0; count === 0;) {
      if (!isFirst) await following.wait(over);
      const events = await following.look();
      if (isFirst) onWatching?.();
      for (const event of events) {
        // What happens from now on counts, even if the clock is set back.
        const isNew = !isFirst || wanted.isSince(event);
        if (!isNew || !wanted.isOfType(event)) continue;
        queue.enqueue(event);
        count++;
      }
      isFirst = false;
      if (following.isOver) return queue.close();
    }
  };
  let pulling: Promise<void> | undefined;
  try {
    yield* new ReadableStream<SessionEvent>(
      { pull: (queue) => pulling = pull(queue) },
      { highWaterMark: AHEAD },
    );
  } finally {
    left.abort();
    await pulling?.catch(() => {}); // What it has opened is closed after it.
  }
}
