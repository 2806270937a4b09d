/**
 * Watching a session: learning without polling that something has changed.
 *
 * Events come from `system/file_events.ts`, within a millisecond: of the lock file, of the files that the
 * caller names and, with inotify, of the directory's entries, so of files that appear. With the end of the
 * reaper (`system/process_events.ts`) that is all that happens to a session on this machine, unless a
 * directory above the session's is renamed or another machine writes into it: a tick once a minute
 * covers these. Without inotify, or if the reaper can't be watched, the tick comes each second. It also does
 * after the reaper was killed, because other processes may hold the lock. If there can be no watcher
 * at all (inotify's limit), a faster tick replaces it.
 *
 * Without `--allow-ffi`, files are watched and not the session's directory: Deno opens every file that an
 * event names. A named pipe in the directory would block its watcher thread for good, or make it a
 * reader of the agent's input. With inotify nothing is opened, and the output of an agent wakes only
 * those who read it.
 *
 * Invariants: the lock file is open from the subscription on. The reaper writes
 * the ending into it first, so the ending is known even if the directory is gone at
 * once. While the file is open its inode can't be reused, which tells this
 * session from a later one with the same id.
 * Where a program may not open enough files for all of its sessions, those above the limit are only
 * looked at by the slow tick: then a session that ends and is deleted in between is gone
 * without a word.
 * Subscribe first, then look, then wait: so no change is missed.
 *
 * @module
 */
import { isReaper } from "../process/carriers.ts";
import {
  type Ending,
  noSuchSession,
  parseEnding,
  type Paths,
  readPids,
  readState,
  type State,
} from "../store.ts";
import {
  exists,
  identityAt,
  isAbsence,
  type OpenFile,
  openFile,
  statOptional,
  textOf,
} from "../system/files.ts";
import {
  type FileEvents,
  hasInotify,
  watchEntries,
  watchFile,
} from "../system/file_events.ts";
import { roomForSessions } from "../system/limits.ts";
import { whenEnded } from "../system/process_events.ts";

/** The state of a session that is over. */
export type EndState = Extract<State, { state: "exited" | "lost" }>;

/** How the watch of a session ends; `deleted`: gone without a record of its ending. */
export type FinalState = EndState | { readonly state: "deleted" };

/** How often to look where all that happens here makes an event. */
const RARE_TICK_MS = 60_000;
/** How often to look where something may happen without one. */
const TICK_MS = 1000;
/** How often to look where there are no events. */
const TICK_WITHOUT_EVENTS_MS = 100;
/** How often to look between the ending's record in `lock` and the one in `exit`, which is not watched. */
const TICK_WHILE_ENDING_MS = 10;

/**
 * How many files a watched session keeps open: its lock, its reaper, and two logs for those that follow
 * them.
 */
export const FILES = 4;
/** The lock files that are open. */
const held = new Set<OpenFile>();

/** A subscription to one session, until it is disposed of. */
export interface SessionWatch extends Disposable {
  /**
   * Resolves once something may have changed since the last call, at the latest after a
   * minute. One call at a time.
   *
   * @param timeoutMs Resolve after so many milliseconds at the latest.
   * @throws the signal's reason, once it is aborted.
   */
  next(timeoutMs?: number): Promise<void>;
  /** Makes {@linkcode next} resolve. */
  ring(): void;
  /** Looks whether the session is over: its final state, or `undefined` while it runs. */
  finalState(): FinalState | undefined;
  /**
   * Looks whether the paths still mean this session. If so, then all that was read there since
   * the subscription is its own, and no later session's with its id.
   */
  isStill(): boolean;
}

/** Options of {@linkcode watchSession}. */
export interface WatchOptions {
  /**
   * Files of the session to watch besides the lock file. Those that don't exist are found when they
   * appear; without inotify by the tick.
   *
   * @default {[]}
   */
  readonly files?: readonly string[];
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * Subscribes to a session. Look (at {@linkcode SessionWatch.finalState}, at
 * files) after subscribing, then wait for {@linkcode SessionWatch.next}, and look
 * again. Needs `--allow-read` of the root.
 *
 * @throws {SessionError} `not_found`.
 * @throws the signal's reason, if it is aborted.
 *
 * @example
 * ```ts
 * import { createSession } from "./mod.ts";
 * import { watchSession } from "./client/watch.ts";
 * const { paths } = await createSession({ command: ["sleep", "0.1"] });
 * using watch = watchSession(paths);
 * while (watch.finalState() === undefined) await watch.next();
 * console.log(watch.finalState()); // { state: "exited", ending: { code: 0 } }
 * ```
 */
export function watchSession(
  paths: Paths,
  options: WatchOptions = {},
): SessionWatch {
  const { files = [], signal } = options;
  signal?.throwIfAborted();
  const opened = openLock(paths);
  const key = opened?.identity;
  const lock = hold(opened);
  let final: FinalState | undefined;
  let ending = false;
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    rung = true;
    wake?.();
  };
  const events = new Map<string, Subscription>();
  let reaper: ReaperWatch | undefined;
  const dispose = () => {
    wake?.(); // Ends a pending next() and its timer.
    reaper?.[Symbol.dispose]();
    for (const subscription of events.values()) subscription.close();
    if (lock !== undefined) held.delete(lock);
    lock?.[Symbol.dispose]();
  };
  const hasEntries = hasInotify();
  // The directory first: what appears from then on makes an event.
  const watchedPaths = lock === undefined
    ? []
    : [...hasEntries ? [paths.dir] : [], paths.lock, ...files];
  /** Whether there are no events, for example because of inotify's limits. */
  let isDeaf = false;
  const watchFiles = () => {
    try {
      for (const file of watchedPaths) {
        const identity = identityAt(file);
        const before = events.get(file);
        if (before?.identity === identity && before !== undefined) continue;
        before?.close();
        const subscription = file === paths.dir
          ? subscribeEntries(file, identity, key!, ring)
          : subscribe(file, identity, key!, ring);
        events.set(file, subscription);
        rung = true; // It may have changed before it was watched.
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) {
        dispose();
        throw error;
      }
      isDeaf = true;
    }
    if (lock !== undefined && hasEntries) {
      reaper ??= watchReaper(paths, ring);
    }
  };
  watchFiles();
  rung = false; // The caller looks after this.

  function tickMs(): number {
    if (ending) return TICK_WHILE_ENDING_MS;
    if (isDeaf) return TICK_WITHOUT_EVENTS_MS;
    const isSure = reaper?.lives &&
      [...events.values()].every(({ isComplete }) => isComplete);
    return isSure ? RARE_TICK_MS : TICK_MS;
  }

  const isStill = () => key === undefined || identityAt(paths.lock) === key;

  function look(): FinalState | undefined {
    const state = readState(paths);
    // A session without a lock file has no processes: nothing will change. The identity is
    // checked last: if it is still this session's, so is all of the state above.
    if (isStill()) {
      if (state.state === "exited" || state.state === "lost") return state;
      ending = lock !== undefined && readRecord(lock) !== undefined;
      return undefined;
    }
    const recorded = lock && readRecord(lock);
    if (recorded === undefined) return { state: "deleted" };
    return { state: "exited", ending: recorded };
  }

  return {
    ring,
    finalState: () => final ??= look(),
    isStill,
    async next(timeoutMs = Infinity) {
      signal?.throwIfAborted();
      watchFiles();
      if (!rung) {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        for (const subscription of events.values()) {
          if (!subscription.ask()) isDeaf = true;
        }
        const timer = setTimeout(resolve, Math.min(tickMs(), timeoutMs));
        const onAbort = () => reject(signal!.reason);
        signal?.addEventListener("abort", onAbort);
        wake = resolve;
        try {
          await promise;
        } finally {
          wake = undefined;
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
        }
      }
      rung = false;
    },
    [Symbol.dispose]: dispose,
  };
}

/** A subscription to the appearing and vanishing of sessions, until it is disposed of. */
export interface RootWatch extends Disposable {
  /**
   * Resolves once a session may have appeared or gone, at the latest after a minute, or after
   * `timeoutMs`. One call at a time.
   */
  next(timeoutMs?: number): Promise<void>;
}

/**
 * Subscribes to the sessions in a root, which may not exist yet. Only its entries are watched: it holds
 * directories, and no named pipe. Needs `--allow-read` of the root.
 */
export function watchRoot(root: string): RootWatch {
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    rung = true;
    wake?.();
  };
  let subscription: Subscription | undefined;
  const watchIt = () => {
    const identity = identityAt(root);
    if (subscription?.identity === identity) return;
    subscription?.close();
    subscription = undefined;
    if (identity === undefined) return; // The tick finds it.
    try {
      const shared = watchPath(root, identity, watchEntries);
      subscription = share(shared, root, identity, ring);
      rung = true; // It may have changed before it was watched.
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
    }
  };
  watchIt();
  rung = false; // The caller looks after this.
  return {
    async next(timeoutMs = Infinity) {
      watchIt();
      if (!rung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const hasEvents = subscription?.ask() ?? false;
        const tickMs = !hasEvents
          ? TICK_WITHOUT_EVENTS_MS
          : hasInotify()
          ? RARE_TICK_MS
          : TICK_MS;
        const timer = setTimeout(resolve, Math.min(tickMs, timeoutMs));
        wake = resolve;
        await promise;
        wake = undefined;
        clearTimeout(timer);
      }
      rung = false;
    },
    [Symbol.dispose]() {
      wake?.();
      subscription?.close();
    },
  };
}

/** Opens the lock file; `undefined` if a session has none any more. */
function openLock(paths: Paths): OpenFile | undefined {
  const lock = openFile(paths.lock);
  if (lock === undefined && !exists(paths.meta)) throw noSuchSession(paths.id);
  return lock;
}

/** Keeps a lock file open, unless so many are open that too few files are left for others. */
function hold(lock: OpenFile | undefined): OpenFile | undefined {
  if (lock === undefined) return undefined;
  if (held.size > 0 && held.size >= roomForSessions(FILES)) {
    lock[Symbol.dispose]();
    return undefined;
  }
  held.add(lock);
  return lock;
}

/** A watch of the process that records the ending. */
interface ReaperWatch extends Disposable {
  /** Whether it lives, surely. */
  readonly lives: boolean;
}

/** Calls `ring` when the reaper ends; `undefined` before it is known. */
function watchReaper(paths: Paths, ring: () => void): ReaperWatch | undefined {
  const pids = readPids(paths);
  if (pids === undefined) return undefined;
  let ends: Disposable | undefined;
  const watch = (pid: number, onEnded: () => void) => {
    try {
      ends = whenEnded(pid, onEnded);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  const reaper = {
    lives: true,
    [Symbol.dispose]: () => ends?.[Symbol.dispose](),
  };
  watch(pids.reaper, () => {
    reaper.lives = false;
    ends = undefined;
    ring();
    // Without its reaper, the agent is most likely the last one that holds the lock. If it is
    // another process by now, the tick is enough.
    watch(pids.agent, ring);
  });
  // After that: the process that is checked is the one that is watched.
  if (ends === undefined || !isReaper(paths, pids.reaper)) reaper.lives = false;
  return reaper;
}

/** The ending that an open lock file holds. */
function readRecord(lock: OpenFile): Ending | undefined {
  return parseEnding(textOf(lock) ?? "");
}

/** The watcher of a file, or of the root, shared by all its subscriptions in this program. */
interface Shared {
  /** The identities of the file and of its session's lock file. */
  readonly key: string;
  readonly events: FileEvents;
  readonly listeners: Set<() => void>;
  /** Whether it is waiting for an event. */
  asked: boolean;
  /** Whether there will be no more events. */
  over: boolean;
}

// Shared, because Deno has one inotify watch per file in the whole program: with two
// watchers on a file, closing one of them deafens the other.
const watched = new Map<string, Shared>();

/** A share in a file's watcher. */
interface Subscription {
  /** The file that is watched; `undefined` if there was none. */
  readonly identity: string | undefined;
  /** Whether it misses nothing but what a watch of the directory tells. */
  readonly isComplete: boolean;
  /** Asks for the next event; `false` if there will be none. */
  ask(): boolean;
  close(): void;
}

function subscribe(
  file: string,
  identity: string | undefined,
  lock: string,
  listener: () => void,
): Subscription {
  // No link, whose target others write to, and no pipe: the tick is enough.
  const facts = statOptional(file);
  if (!facts?.isFile) return noEvents(identity, facts === undefined);
  return subscribePath(file, identity, { lock, watch: watchFile }, listener);
}

function subscribeEntries(
  dir: string,
  identity: string | undefined,
  lock: string,
  listener: () => void,
): Subscription {
  return subscribePath(dir, identity, { lock, watch: watchEntries }, listener);
}

function subscribePath(
  file: string,
  identity: string | undefined,
  how: { readonly lock: string; readonly watch: (path: string) => FileEvents },
  listener: () => void,
): Subscription {
  let path: string;
  let shared: Shared;
  try {
    path = Deno.realPathSync(file);
    shared = watchPath(path, `${how.lock} ${identity}`, how.watch);
  } catch (error) {
    // It is missing, or being deleted: an event of the directory or the tick is enough.
    if (isAbsence(error)) return noEvents(identity, true);
    throw error;
  }
  return share(shared, path, identity, listener);
}

function noEvents(
  identity: string | undefined,
  isComplete: boolean,
): Subscription {
  return { identity, isComplete, ask: () => true, close() {} };
}

function share(
  shared: Shared,
  path: string,
  identity: string | undefined,
  listener: () => void,
): Subscription {
  shared.listeners.add(listener);
  return {
    identity,
    isComplete: true,
    ask() {
      if (!shared.over && !shared.asked) ask(shared);
      return !shared.over;
    },
    close() {
      shared.listeners.delete(listener);
      if (shared.listeners.size > 0) return;
      if (watched.get(path) === shared) watched.delete(path);
      closeWatcher(shared);
    },
  };
}

function watchPath(
  path: string,
  key: string,
  watch: (path: string) => FileEvents,
): Shared {
  const existing = watched.get(path);
  if (existing?.key === key && !existing.over) return existing;
  // Another session has this path now, or another file. Deno watches the new file only once the old watcher
  // is closed.
  if (existing !== undefined) closeWatcher(existing);
  const shared: Shared = {
    key,
    events: watch(path),
    listeners: new Set(),
    asked: false,
    over: false,
  };
  watched.set(path, shared);
  return shared;
}

function closeWatcher(shared: Shared): void {
  if (shared.over) return;
  shared.over = true;
  shared.events.close();
}

/** Waits for one event only, so that a busy consumer causes no work. */
async function ask(shared: Shared): Promise<void> {
  shared.asked = true;
  try {
    if (!await shared.events.next()) closeWatcher(shared);
  } catch {
    closeWatcher(shared); // The tick is left.
  }
  shared.asked = false;
  for (const listener of [...shared.listeners]) listener();
}
