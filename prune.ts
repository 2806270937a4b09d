/**
 * Pruning: deleting what has ended, and what killed creators and deleters left.
 *
 * @module
 */
import { SessionError } from "./errors.ts";
import { processFinder } from "./processes.ts";
import { listSessions } from "./sessions.ts";
import { resolve } from "./std.ts";
import { deleteSession, removeSession } from "./stop.ts";
import { isLockHeld, readTimes } from "./state.ts";
import { remove } from "./files.ts";
import { defaultRoot, pathsIn, rootError, type RootOptions } from "./store.ts";

/** Options of {@linkcode pruneSessions}. */
export interface PruneOptions extends RootOptions {
  /**
   * Only sessions that ended at least so many milliseconds ago; for a lost one,
   * that were created so long ago.
   *
   * @default {0}
   */
  readonly olderThanMs?: number;
  /**
   * Delete nothing, only tell what would be deleted.
   *
   * @default {false}
   */
  readonly dryRun?: boolean;
  /** Go on no further. */
  readonly abortSignal?: AbortSignal;
}

/** What {@linkcode pruneSessions} deleted, or would. */
export interface Pruned {
  /** The sessions and the sizes of their files. */
  readonly deleted: readonly { readonly id: string; readonly bytes: number }[];
  /** The sizes of all files together, those of the leftovers included. */
  readonly bytes: number;
  /** Sessions that could not be deleted, and why. */
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

/** How old a hidden directory must be that no living creator can own. */
const LEFTOVER_MS = 60_000;
/**
 * Deletes the sessions that have exited or are lost, with the processes that they
 * left behind, and what killed creators and deleters left in the root.
 * Needs what {@linkcode stopSession} needs.
 *
 * @throws {SessionError} `root_unusable` if the root can't be read.
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
  const { olderThanMs = 0, dryRun = false, abortSignal } = options;
  const root = resolve(options.root ?? defaultRoot());
  const deleted: { id: string; bytes: number }[] = [];
  const failed: { id: string; error: unknown }[] = [];
  const latest = Date.now() - olderThanMs;
  const ended = (await listSessions({ root })).filter((session) => {
    const { state } = session.state;
    if (state !== "exited" && state !== "lost") return false;
    const { endedAt } = readTimes(session.paths);
    return (endedAt ?? session.createdAt).getTime() <= latest;
  });
  // One look for all: a look for each would make thousands of them slow.
  const hasProcesses = ended.length > 0 && !dryRun ? processFinder() : null;
  for (const { id, paths } of ended) {
    abortSignal?.throwIfAborted();
    const bytes = sizeOf(paths.dir);
    try {
      if (hasProcesses?.(paths)) {
        await deleteSession(id, { root, abortSignal });
      } else if (!dryRun) removeSession(root, id);
      deleted.push({ id, bytes });
    } catch (error) {
      if (abortSignal?.aborted || error instanceof Deno.errors.NotCapable) {
        throw error;
      }
      if (error instanceof SessionError && error.code === "not_found") continue;
      failed.push({ id, error });
    }
  }
  let bytes = deleted.reduce((sum, one) => sum + one.bytes, 0);
  for (const path of leftovers(root)) {
    bytes += sizeOf(path);
    if (!dryRun) remove(path);
  }
  return { deleted, bytes, failed };
}

/** What killed creators and deleters left: hidden directories of the root. */
export function leftovers(root: string): string[] {
  const paths: string[] = [];
  try {
    for (const { name, isDirectory } of Deno.readDirSync(root)) {
      const path = `${root}/${name}`;
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

/** A creator makes its directory first and locks it then: a young one may be about to. */
function isAbandoned(dir: string): boolean {
  try {
    const madeAt = Deno.statSync(dir).mtime?.getTime() ?? 0;
    return Date.now() - madeAt > LEFTOVER_MS &&
      !isLockHeld(pathsIn(dir, "new"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The sizes of all files in a directory together; links count as nothing. */
function sizeOf(dir: string): number {
  let bytes = 0;
  try {
    for (const { name, isFile, isDirectory } of Deno.readDirSync(dir)) {
      if (isDirectory) bytes += sizeOf(`${dir}/${name}`);
      else if (isFile) bytes += Deno.lstatSync(`${dir}/${name}`).size;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return bytes;
}
