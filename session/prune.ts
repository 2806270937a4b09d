/**
 * Pruning: deleting ended sessions, and leftovers of killed creators and deleters.
 *
 * @module
 */
import { checkOptions, SessionError } from "../errors.ts";
import { processFinder } from "../process/members.ts";
import { listSessions, type Session } from "./find.ts";
import { SIGNALS } from "../system/signals.ts";
import { basename, join, walkSync } from "../std.ts";
import { deleteHeld, type Held, holdSession } from "./stop.ts";
import {
  isLockHeld,
  openRoot,
  pathsIn,
  rootError,
  type RootOptions,
  timesAt,
} from "../store.ts";
import { remove, statOptional } from "../system/files.ts";

/** Options of {@linkcode pruneSessions}. */
export interface PruneOptions extends RootOptions {
  /**
   * Only sessions that ended at least this many milliseconds ago; for lost sessions, the time
   * since their creation counts.
   *
   * @default {0}
   */
  readonly olderThanMs?: number;
  /**
   * Only report; delete nothing.
   *
   * @default {false}
   */
  readonly dryRun?: boolean;
  /** Stops pruning between two sessions. */
  readonly signal?: AbortSignal;
}

/** The result of {@linkcode pruneSessions}. */
export interface Pruned {
  /** The deleted sessions and the sizes of their files. */
  readonly deleted: readonly { readonly id: string; readonly bytes: number }[];
  /** The total size of all files, leftovers included. */
  readonly bytes: number;
  /** Sessions and hidden directories that could not be deleted, and why. */
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

/** A hidden directory this old belongs to no living creator. */
const LEFTOVER_MS = 60_000;
/** How many sessions are held open at the same time. */
const BATCH = 250;

/**
 * Deletes the sessions that have exited or are lost, with the processes that they left behind,
 * and the leftovers of killed creators and deleters.
 * Needs what {@linkcode stopSession} needs.
 *
 * @throws {SessionError} `root_unusable` if the root can't be read.
 * @throws {RangeError} if `olderThanMs` is negative.
 * @throws {ArgumentError} if it is not a number.
 *
 * @example
 * ```ts
 * import { pruneSessions } from "./mod.ts";
 * const { deleted, bytes } = await pruneSessions({ dryRun: true });
 * console.log(deleted.length, bytes);
 * ```
 */
export async function pruneSessions(
  options: PruneOptions = {},
): Promise<Pruned> {
  checkOptions(options, { olderThanMs: "number", dryRun: "boolean" });
  const { olderThanMs = 0, dryRun = false } = options;
  if (!(olderThanMs >= 0)) {
    throw new RangeError(`olderThanMs must be 0 or more, got ${olderThanMs}`);
  }
  const root = openRoot(options);
  const pruning = new Pruning(root, options);
  const due = (await listSessions({ root })).filter(pruning.isDue);
  const deleted = dryRun
    ? due.map(({ id, paths }) => ({ id, bytes: sizeOf(paths.dir) }))
    : await pruning.deleteAll(due);
  let bytes = deleted.reduce((sum, one) => sum + one.bytes, 0);
  for (const path of leftovers(root)) {
    bytes += sizeOf(path);
    const id = basename(path);
    if (!dryRun) await pruning.attempt(id, () => remove(path));
  }
  return { deleted, bytes, failed: pruning.failed };
}

/**
 * One run over all sessions that are due. It can take a while, in which any id may be deleted
 * and used again: each session is held, and read once more, before it is deleted.
 */
class Pruning {
  readonly failed: { id: string; error: unknown }[] = [];
  readonly #deleted: { id: string; bytes: number }[] = [];
  readonly #root: string;
  readonly #olderThanMs: number;
  readonly #signal: AbortSignal | undefined;

  constructor(root: string, options: PruneOptions) {
    this.#root = root;
    this.#olderThanMs = options.olderThanMs ?? 0;
    this.#signal = options.signal;
  }

  /** Whether a session ended long enough ago; a time in the future counts as now. */
  isDue = ({ state: { state }, paths, createdAt }: Session): boolean => {
    if (state !== "exited" && state !== "lost") return false;
    const at = timesAt(paths).endedAt ?? createdAt;
    return Math.max(0, Date.now() - at.getTime()) >= this.#olderThanMs;
  };

  async deleteAll(due: readonly Session[]): Promise<Pruned["deleted"]> {
    for (let at = 0; at < due.length; at += BATCH) {
      const ids = due.slice(at, at + BATCH).map(({ id }) => id);
      for (const id of await this.#deleteIdle(ids)) {
        await this.attempt(id, () => this.#deleteBusy(id));
      }
    }
    return this.#deleted;
  }

  /** Deletes the sessions without processes, after one look at all processes; returns the other ids. */
  async #deleteIdle(ids: readonly string[]): Promise<string[]> {
    using stack = new DisposableStack();
    const busy: string[] = [];
    const locked: Held[] = [];
    for (const id of ids) {
      await this.attempt(id, () => {
        const held = holdSession(id, this.#root);
        stack.use(held.hold);
        if (!this.isDue(held.session)) return;
        if (!held.hold.tryLock()) busy.push(id);
        else if (held.hold.isStill()) locked.push(held);
      });
    }
    if (locked.length === 0) return busy;
    const hasProcesses = processFinder();
    for (const { session: { id, paths }, hold } of locked) {
      if (hasProcesses(paths)) busy.push(id);
      else {
        await this.attempt(id, () => {
          const bytes = sizeOf(paths.dir);
          if (hold.remove()) this.#deleted.push({ id, bytes });
        });
      }
    }
    return busy;
  }

  /** Deletes a session that left processes behind, or that another process is deleting. */
  async #deleteBusy(id: string): Promise<void> {
    const held = holdSession(id, this.#root);
    using _ = held.hold;
    if (!this.isDue(held.session)) return;
    const bytes = sizeOf(held.session.paths.dir);
    const signal = this.#signal;
    const how = { signalNumber: SIGNALS.TERM!, graceMs: 10_000, signal };
    if (await deleteHeld(held, how)) this.#deleted.push({ id, bytes });
  }

  /** Does the work for one session; a failure doesn't stop the others. */
  async attempt(id: string, work: () => void | Promise<void>): Promise<void> {
    try {
      this.#signal?.throwIfAborted();
      await work();
    } catch (error) {
      if (
        this.#signal?.aborted || error instanceof Deno.errors.NotCapable
      ) throw error;
      if (error instanceof SessionError && error.code === "not_found") return;
      this.failed.push({ id, error });
    }
  }
}

/** The hidden directories that killed creators and deleters left in the root. */
export function leftovers(root: string): string[] {
  const paths: string[] = [];
  try {
    for (const { name, isDirectory } of Deno.readDirSync(root)) {
      const path = join(root, name);
      if (!isDirectory) continue;
      if (name.startsWith(".old-")) paths.push(path);
      if (name.startsWith(".new-") && isAbandoned(path)) paths.push(path);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw rootError(root, error);
  }
  return paths;
}

/** A creator makes its directory before it locks it: a young one may be about to be locked. */
function isAbandoned(dir: string): boolean {
  const info = statOptional(dir);
  const madeAt = info?.mtime?.getTime() ?? 0;
  // A time far in the future counts, too: the clock was set back.
  return info !== undefined && Math.abs(Date.now() - madeAt) > LEFTOVER_MS &&
    !isLockHeld(pathsIn(dir, "new"));
}

/** The sizes of all files below a directory together; links count as nothing. */
function sizeOf(dir: string): number {
  let bytes = 0;
  try {
    const options = { includeDirs: false, includeSymlinks: false };
    for (const { path, isFile } of walkSync(dir, options)) {
      if (isFile) bytes += statOptional(path)?.size ?? 0;
    }
  } catch (error) {
    // Gone meanwhile, too deep for a path, or closed to us: a sum is not worth failing for.
    if (error instanceof Deno.errors.NotCapable) throw error;
  }
  return bytes;
}
