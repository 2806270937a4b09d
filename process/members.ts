/**
 * The processes of a session: finding them, and signalling no others.
 *
 * An agent's tool calls run in kernel sessions and groups of their own, clear their environment
 * and lose their parents, so no single mark finds them all. A process belongs to the session if
 *
 * - it has `CODEX_SESSION_DIR=<the directory>` in its environment and runs as the directory's
 *   user: other users can set the variable, too;
 * - or it descends from such a process;
 * - or it is in a kernel session, setsid(2), that such a process leads, or that has lost its
 *   leader and holds a process with that variable.
 *
 * A process with another session's directory belongs to that session, with its descendants,
 * unless a process of ours leads its kernel session: a new session begins with setsid(2).
 * Never listed: zombies, process 1, this process, its ancestors without the variable, and a notifier
 * that is being started. The session's files prove nothing about a process: the agent can write them.
 *
 * @module
 */
import {
  close,
  kill,
  pidfdOpen,
  pidfdSendSignal,
  poll,
  POLLIN,
} from "../system/libc.ts";
import {
  isForeign,
  ownerTest,
  runsAs,
  scriptArgsOf,
  sees,
  userOf,
} from "./carriers.ts";
import { type Role, rolesOf } from "./roles.ts";
import {
  byAge,
  bytewise,
  type Entry,
  lockHolders,
  readArgv,
  readEntry,
  readOwner,
  scan,
  statusOf,
} from "./table.ts";
import { isNotifier } from "./notifier.ts";
import { isLockHeld, type Paths, readEnding, readPids } from "../store.ts";
import { statOptional } from "../system/files.ts";
import { OS } from "../system/os.ts";
import { SIGNALS } from "../system/signals.ts";

/** A living process of a session, at the moment of reading. */
export interface SessionProcess {
  /** Its number. */
  readonly pid: number;
  /** Its parent's number. */
  readonly ppid: number;
  /** Its role. */
  readonly role: Role;
  /** Its arguments, unchanged and joined by spaces; without any, its name. */
  readonly command: string;
  /** Its resident memory, in bytes. */
  readonly rssBytes: number;
  /** Its processor time, in milliseconds. */
  readonly cpuMs: number;
  /** When it started, in the kernel's ticks since boot: with the pid, its identity. */
  readonly startTicks: number;
  /** Whether a signal such as SIGSTOP has stopped it. */
  readonly stopped: boolean;
}

/** Options of {@linkcode processesAt}. */
interface ProcessesOptions {
  /**
   * Processes found earlier, start times by pid: they still belong to the session when the link
   * that showed it, such as a parent, is gone.
   *
   * @default {new Map()}
   */
  readonly known?: ReadonlyMap<number, number>;
  /**
   * Reapers of earlier sessions with the same path, start times by pid: they and their processes
   * are left out. Those that are found are added.
   *
   * @default {new Map()}
   */
  readonly earlier?: Map<number, number>;
}

/** The processes that {@linkcode processesAt} has found, with their session's directory. */
const found = new WeakMap<object, string>();

/** Tells whether this process itself belongs to the session, by its environment. */
export function isWithin(paths: Paths): boolean {
  const dir = Deno.env.get("CODEX_SESSION_DIR");
  return dir !== undefined &&
    ownerTest(paths)({ pid: Deno.pid, owner: bytewise(dir) });
}

/** The members among all processes, by pid. */
function membersOf(
  paths: Paths,
  table: readonly Entry[],
  known: ReadonlyMap<number, number>,
  earlier: Map<number, number>,
): Map<number, Entry> {
  const user = userOf(paths);
  const isOwn = ownerTest(paths, user);
  const byPid = new Map(table.map((entry) => [entry.pid, entry]));
  const members = new Map<number, Entry>();
  const orphanedSids = new Set<number>();
  const hidden = hiddenAgent(paths, byPid, user);
  const isApart = (entry: Entry) =>
    !isOwn(entry) && isNotifier(readArgv(entry.pid) ?? []);
  for (const entry of table) {
    const { pid, owner, startTicks } = entry;
    const isKnown = known.get(pid) === startTicks && !isApart(entry);
    const isSeed = isOwn(entry)
      ? isKnown || runsAs(pid, user) && sees(pid, paths.dir)
      : typeof owner !== "string" && (isKnown || entry === hidden);
    if (isSeed && pid !== 1) members.set(pid, entry);
  }
  const isReaper = ({ pid, sid }: Entry) =>
    pid === sid &&
    scriptArgsOf(pid, readArgv(pid) ?? [], isOwn) !== undefined;
  removeEarlier(members, byPid, isReaper, paths, earlier);
  for (const { sid } of members.values()) {
    // 0: its leader is outside of this process's pid namespace, and not dead.
    if (sid > 0 && !byPid.has(sid)) orphanedSids.add(sid);
  }
  // A parent or leader is older than its descendants. A younger process has only got the
  // number of one while the table was read.
  const isOf = (entry: Entry, elder: Entry | undefined) =>
    elder !== undefined && elder.startTicks <= entry.startTicks;
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const entry of table) {
      const { pid, ppid, sid } = entry;
      if (members.has(pid) || pid === 1) continue;
      const isInside = isOf(entry, members.get(sid));
      const isRelated = isInside || isOf(entry, members.get(ppid)) ||
        orphanedSids.has(sid);
      if (!isRelated || isApart(entry)) continue;
      if (isInside || !isForeign(entry, isOwn, user)) members.set(pid, entry);
    }
  }
  members.delete(Deno.pid);
  for (let pid = byPid.get(Deno.pid)?.ppid; pid !== undefined;) {
    const entry = byPid.get(pid);
    if (entry === undefined || !isOwn(entry)) members.delete(pid);
    byPid.delete(pid); // A snapshot that was not taken at once may hold a circle.
    pid = entry?.ppid;
  }
  return members;
}

/**
 * Removes the processes of an earlier session with the same path, whose directory was removed while
 * it ran, and notes its reaper in `earlier`. That reaper is older than this session's, which holds
 * the lock, as each reaper holds its own session's all its life. With it goes what is in its
 * kernel session or descends from it. Once this session's reaper has ended, nothing tells the
 * sessions apart but that note.
 */
function removeEarlier(
  members: Map<number, Entry>,
  byPid: ReadonlyMap<number, Entry>,
  isReaper: (entry: Entry) => boolean,
  paths: Paths,
  earlier: Map<number, number>,
): void {
  const reapers = [...members.values()].filter(isReaper).sort(byAge);
  let own: number | undefined;
  if (reapers.length > 1) {
    const holders = lockHolders(statOptional(paths.lock)?.ino ?? 0) ?? [];
    const first = reapers.findIndex(({ pid }) => holders.includes(pid));
    own = reapers[first]?.pid;
    for (const { pid, startTicks } of reapers.slice(0, Math.max(0, first))) {
      earlier.set(pid, startTicks);
    }
  }
  if (earlier.size === 0) return;
  const isEarlier = (pid: number) =>
    earlier.has(pid) &&
    [undefined, earlier.get(pid)].includes(byPid.get(pid)?.startTicks);
  for (const entry of [...members.values()]) {
    for (const { pid, sid } of withAncestors(entry, byPid)) {
      if (sid === own) break;
      if (isEarlier(pid) || isEarlier(sid)) members.delete(entry.pid);
    }
  }
}

/** A process, its parent, and so on. */
function* withAncestors(
  entry: Entry,
  byPid: ReadonlyMap<number, Entry>,
): Generator<Entry> {
  const seen = new Set<number>(); // The table may hold a circle.
  let at: Entry | undefined = entry;
  while (at !== undefined && !seen.has(at.pid)) {
    yield at;
    seen.add(at.pid);
    at = byPid.get(at.ppid);
  }
}

/**
 * The agent, if it hides its environment (Codex does, see PR_SET_DUMPABLE in prctl(2)) and its
 * reaper is dead. The record only names a candidate, because any process of the session may
 * have written it. The kernel must agree: the process runs as the session's user, in the
 * kernel session of the recorded reaper, which is dead; the lock is held; and every visible
 * holder of it descends from this process. (The kernel shows no descriptors of processes that
 * hide, `/proc/PID/fdinfo`.)
 */
function hiddenAgent(
  paths: Paths,
  byPid: ReadonlyMap<number, Entry>,
  user: number,
): Entry | undefined {
  const pids = readPids(paths);
  const agent = pids && byPid.get(pids.agent);
  if (agent?.owner !== null || agent.sid !== pids?.reaper) return undefined;
  if (byPid.has(pids.reaper) || !runsAs(agent.pid, user)) return undefined;
  if (readEnding(paths) !== undefined || !isLockHeld(paths)) return undefined;
  const holders = lockHolders(statOptional(paths.lock)?.ino ?? 0);
  return holders?.every((pid) =>
      !byPid.has(pid) ||
      withAncestors(byPid.get(pid)!, byPid).some((one) => one === agent)
    )
    ? agent
    : undefined;
}

/**
 * The living processes of the session with these files: see `listProcesses`.
 *
 * @throws {Deno.errors.NotFound} if `/proc` is not mounted.
 */
export function processesAt(
  paths: Paths,
  options: ProcessesOptions = {},
): SessionProcess[] {
  const { known = new Map<number, number>(), earlier = new Map() } = options;
  const members = membersOf(paths, scan(), known, earlier);
  if (members.size === 0) return [];
  const argvs = new Map<number, readonly string[]>();
  for (const pid of members.keys()) argvs.set(pid, readArgv(pid) ?? []);
  const roles = rolesOf(members, argvs, paths);
  const processes = [...members.values()].map((entry): SessionProcess => ({
    pid: entry.pid,
    ppid: entry.ppid,
    role: roles.get(entry.pid)!,
    command: argvs.get(entry.pid)!.join(" ") || entry.name,
    rssBytes: parseInt(statusOf(entry.pid, "VmRSS") || "0") * 1024,
    cpuMs: entry.cpuMs,
    startTicks: entry.startTicks,
    stopped: entry.stopped,
  }));
  for (const process of processes) found.set(process, paths.dir);
  const order: readonly Role[] = [
    ...["reaper", "relay", "agent", "child", "helper"] as const,
  ];
  return processes.sort((a, b) =>
    order.indexOf(a.role) - order.indexOf(b.role) || a.pid - b.pid
  );
}

/**
 * Reads all processes once and returns a function that tells whether a session can have any:
 * at least one of them must carry its directory. A process that hides its environment can be any
 * session's whose lock is held; `visibleOnly` ignores it, which is faster. Needs the permissions of
 * {@linkcode processesAt}.
 */
export function processFinder(visibleOnly = false): (paths: Paths) => boolean {
  const entries = scan();
  const hides = !visibleOnly && entries.some(({ owner }) => owner === null);
  // By the last name of the directory that a process carries.
  const carriers = Map.groupBy(
    entries.filter(({ owner }) => owner),
    ({ owner }) => owner!.slice(owner!.lastIndexOf("/") + 1),
  );
  return (paths) =>
    carriers.get(paths.id)?.some(ownerTest(paths)) ||
    hides && isLockHeld(paths);
}

/** Tells whether exactly this process still lives; a zombie doesn't. */
export function isAlive(
  process: Pick<SessionProcess, "pid" | "startTicks">,
): boolean {
  const { pid, startTicks } = process;
  return readEntry(pid)?.startTicks === startTicks;
}

/**
 * Sends a signal to a process of a session, after checking that the pid still means that process
 * and that it hasn't become another session's. Tells whether it was sent. Needs
 * `--allow-ffi` and `--allow-read`.
 *
 * @throws {Deno.errors.PermissionDenied} if it runs as another user.
 *
 * @example
 * ```ts
 * import { createSession } from "./mod.ts";
 * import { processesAt, signalProcess } from "./process/members.ts";
 * const { paths } = await createSession({ command: ["sleep", "100"] });
 * const agent = processesAt(paths).find(({ role }) => role === "agent");
 * if (agent) signalProcess(paths, agent, 2);
 * ```
 */
export function signalProcess(
  paths: Paths,
  process: Pick<SessionProcess, "pid" | "startTicks">,
  signalNumber: number,
): boolean {
  const { pid } = process;
  if (pid === Deno.pid || pid <= 1) return false;
  let pidfd: number | undefined;
  try {
    // The descriptor first, so that the checked process is the one that is signalled.
    pidfd = pidfdOpen(pid);
    if (!isAlive(process)) return false;
    const user = userOf(paths);
    const isOwn = ownerTest(paths, user);
    const carrier = (pid: number) => ({ pid, owner: readOwner(pid) });
    if (isForeign(carrier(pid), isOwn, user)) {
      const leader = readEntry(pid)?.sid;
      if (leader === undefined || !isOwn(carrier(leader))) return false;
    }
    if (found.get(process) !== paths.dir) {
      // Not from processesAt(): the caller may be wrong.
      if (!membersOf(paths, scan(), new Map(), new Map()).has(pid)) {
        return false;
      }
    }
    if (pidfd === undefined) kill(pid, signalNumber);
    else pidfdSendSignal(pidfd, signalNumber);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}

/**
 * Tells whether a process ignores a signal, one of the first 31; `false` without `/proc`.
 * proc_pid_status(5)
 */
export function ignores(
  { pid }: Pick<SessionProcess, "pid">,
  signalNumber: number,
): boolean {
  if (!OS.hasProc) return false;
  const ignored = parseInt(statusOf(pid, "SigIgn").slice(-8), 16);
  return (ignored & (1 << (signalNumber - 1))) !== 0;
}

/**
 * Tells whether a process waits for a hangup of its terminal: it has one, and ignores SIGTERM, as
 * interactive shells do. `false` without `/proc`.
 */
export function awaitsHangup(process: Pick<SessionProcess, "pid">): boolean {
  return ignores(process, SIGNALS.TERM!) && hasTerminal(process);
}

/** Tells whether a process has a controlling terminal; `false` without `/proc`. */
export function hasTerminal({ pid }: Pick<SessionProcess, "pid">): boolean {
  return readEntry(pid)?.hasTerminal === true;
}

/** Waits until a process has ended, but no longer than `timeoutMs`; the caller checks which. */
export async function waitForExit(
  process: Pick<SessionProcess, "pid" | "startTicks">,
  timeoutMs: number,
): Promise<void> {
  let pidfd: number | undefined;
  try {
    pidfd = pidfdOpen(process.pid);
    if (!isAlive(process)) return;
    if (pidfd !== undefined) await poll(pidfd, POLLIN, Math.ceil(timeoutMs));
    else await new Promise((wake) => setTimeout(wake, Math.min(timeoutMs, 10)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}
