/**
 * Which session's directory a process carries, and which user's process it is.
 *
 * A process carries the directory in its environment, as `CODEX_SESSION_DIR`. Everybody can set
 * that variable, also to a path that never answers, so no path of another user's process is touched.
 *
 * @module
 */
import { geteuid, readLink } from "../system/libc.ts";
import {
  bytewise,
  type Entry,
  fromBytes,
  isForeignProc,
  locationOf,
  readArgv,
  readEntry,
  readOwner,
  readUsers,
} from "./table.ts";
import { SCRIPT, scriptCall } from "./reaper.ts";
import { dirname } from "../std.ts";
import type { Paths } from "../store.ts";
import { exists, readsProc, statOptional } from "../system/files.ts";
import { OS } from "../system/os.ts";

/** A process and the directory that it carries, bytewise. */
type Carrier = Pick<Entry, "pid" | "owner">;

/** Tells whether a process carries the session's directory. */
type OwnerTest = (process: Carrier) => boolean;

/**
 * All code uses one path for a session's directory. Earlier versions used the path that they were
 * given, with links or double slashes: such an owner is resolved, if its process runs as the
 * session's user. Other users may name a path that never answers, such as a dead network disk.
 */
export function ownerTest(paths: Paths, user = userOf(paths)): OwnerTest {
  const { dir, id } = paths;
  const own = bytewise(dir);
  const known = new Map<string, boolean>();
  return ({ pid, owner }) => {
    if (owner === own) return true;
    if (typeof owner !== "string" || !owner.endsWith(`/${id}`)) return false;
    if (!runsAs(pid, user)) return false;
    if (!known.has(owner)) known.set(owner, realPathOf(owner) === dir);
    return known.get(owner)!;
  };
}

/** The real path of a directory that is given bytewise; `undefined` if it can't be found out. */
function realPathOf(owner: string): string | undefined {
  try {
    return Deno.realPathSync(fromBytes(owner));
  } catch {
    return undefined; // Gone, forbidden, or no text.
  }
}

/**
 * Tells whether a process sees the session's directory at its path. In a container, or with
 * mounts of its own, the same path may name another session. The path is not looked up there: a
 * process can mount a file system over it that never answers.
 */
export function sees(pid: number, dir: string): boolean {
  if (!OS.hasProc) return true;
  if (hasMountsOf(pid, "self")) return true;
  const seen = locationOf(pid, dir);
  return seen !== undefined && seen === locationOf("self", dir);
}

/**
 * Tells whether a process has the mount namespace of another one, and this process's root
 * directory. `false` if that can't be seen.
 */
export function hasMountsOf(pid: number, other: number | "self"): boolean {
  const namespace = readLink(`/proc/${pid}/ns/mnt`);
  return namespace !== undefined &&
    namespace === readLink(`/proc/${other}/ns/mnt`) &&
    readLink(`/proc/${pid}/root`) === "/";
}

/**
 * Tells whether a process carries the directory of a session that is not this one. Of another
 * user's process, the path is not touched: any other directory counts as a session's.
 */
export function isForeign(
  process: Carrier,
  isOwn: OwnerTest,
  user: number,
): boolean {
  const { pid, owner } = process;
  if (typeof owner !== "string" || isOwn(process)) return false;
  if (!runsAs(pid, user)) return true;
  try {
    return exists(`${fromBytes(owner)}/${SCRIPT}`);
  } catch {
    return true; // Without the permission to see it.
  }
}

/**
 * The session's user: the owner of its directory. A program that changes its user, such as
 * sudo(8), is found by its parents.
 */
export function userOf(paths: Paths): number {
  return statOptional(paths.dir)?.uid ?? geteuid();
}

/**
 * The session directories that this process and its ancestors carry, the nearest first, also by way
 * of the leaders of their kernel sessions. What other users' processes carry doesn't count, nor a
 * directory that is another one for them. None without `/proc` or `--allow-ffi`.
 */
export function* carriedAround(): Generator<string> {
  if (!readsProc() || isForeignProc()) return;
  const user = geteuid();
  const way = new Set<number>(); // What is read at different times may hold a circle.
  for (let pid = Deno.pid; !way.has(pid);) {
    way.add(pid);
    const entry = readEntry(pid);
    if (entry === undefined) return;
    for (const carrier of new Set([pid, entry.sid])) {
      const owner = readOwner(carrier);
      if (!owner || !runsAs(carrier, user)) continue;
      const dir = fromBytes(owner);
      if (sees(carrier, dir)) yield dir;
    }
    pid = entry.ppid;
  }
}

/** Tells whether both the real and the effective user id of a process are this user. */
export function runsAs(pid: number, user: number): boolean {
  const users = readUsers(pid);
  return users.length > 0 && users.every((one) => one === user);
}

/** The arguments of the session's own script, if the process runs it; otherwise `undefined`. */
export function scriptArgsOf(
  pid: number,
  argv: readonly string[],
  isOwn: OwnerTest,
): readonly string[] | undefined {
  const call = scriptCall(argv.map(bytewise));
  return call && isOwn({ pid, owner: dirname(call.path) })
    ? call.args
    : undefined;
}

/** Tells whether a process is the session's reaper. `false` also where `/proc` can't tell. */
export function isReaper(paths: Paths, pid: number): boolean {
  if (isForeignProc() || readEntry(pid)?.sid !== pid) return false;
  const argv = readArgv(pid) ?? [];
  return scriptArgsOf(pid, argv, ownerTest(paths)) !== undefined;
}
