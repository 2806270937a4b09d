/**
 * The processes of a session: who they are, and a signal that hits no stranger.
 *
 * An agent's tool calls run in kernel sessions and groups of their own, clear
 * their environment, are orphaned: no single mark finds them all. So three do:
 *
 * - a process with `CODEX_SESSION_DIR=<the directory>` in its environment is ours, if
 *   it runs as the directory's user: anybody can put it there;
 * - so is what descends from one of ours, through its parents;
 * - so is a kernel session, setsid(2), that one of ours leads, or, its leader being
 *   dead, that holds a process with that environment.
 *
 * What carries another session's directory is that session's, with all below it.
 * Never listed: zombies, process 1, ourselves, and our ancestors without the mark.
 * The session's files prove nothing of a process: the agent can write them.
 *
 * @module
 */
import {
  close,
  geteuid,
  kill,
  pidfdOpen,
  pidfdSendSignal,
  poll,
  POLLIN,
} from "../system/libc.ts";
import {
  bytewise,
  type Entry,
  fromBytes,
  lockHolders,
  readArgv,
  readEntry,
  readOwner,
  readUsers,
  scan,
  statusOf,
} from "./table.ts";
import { scriptCall } from "./reaper.ts";
import { dirname } from "../std.ts";
import { isLockHeld, type Paths, readEnding, readPids } from "../store.ts";
import { statOptional } from "../system/files.ts";

/**
 * What a process is to its session: the supervisor, the user's program, one of
 * the supervisor's own helpers, or anything that the agent started.
 */
export type Role = "reaper" | "agent" | "helper" | "child";

/** A living process of a session, as it was at the moment of reading. */
export interface SessionProcess {
  /** Its number. */
  readonly pid: number;
  /** Its parent's number. */
  readonly ppid: number;
  /** What it is to the session. */
  readonly role: Role;
  /** Its arguments, joined by spaces, as they are; without any, its name. */
  readonly command: string;
  /** The memory that it has resident, in bytes. */
  readonly rssBytes: number;
  /** The processor time that it has used, in milliseconds. */
  readonly cpuMs: number;
  /** When it started, in the kernel's ticks since boot: with the pid, its identity. */
  readonly startTicks: number;
  /** Whether a signal has stopped it, see SIGSTOP. */
  readonly stopped: boolean;
}

/** Options of {@linkcode listProcesses}. */
export interface ListProcessesOptions {
  /**
   * Processes found earlier, start times by pid: the same process is still ours
   * when the link that told so, such as its parent, is gone.
   *
   * @default {new Map()}
   */
  readonly known?: ReadonlyMap<number, number>;
}

/** What {@linkcode listProcesses} found, and whose it was. */
const found = new WeakMap<object, string>();

/** Tells whether a process that carries this directory, bytewise, is the session's. */
type OwnerTest = (owner: string | undefined | null) => boolean;

/**
 * A directory has one path for all who start and look for sessions. Earlier versions took it as
 * it was written, with a link in it or a slash too many: such an owner is looked at.
 */
function ownerTest({ dir, id }: Paths): OwnerTest {
  const own = bytewise(dir);
  const known = new Map<unknown, boolean>();
  return (owner) => {
    if (owner === own) return true;
    if (typeof owner !== "string" || !owner.endsWith(`/${id}`)) return false;
    if (!known.has(owner)) known.set(owner, realPathOf(owner) === dir);
    return known.get(owner)!;
  };
}

/** Tells whether this very process is one of the session's, by what it has inherited. */
export function isWithin(paths: Paths): boolean {
  const dir = Deno.env.get("CODEX_SESSION_DIR");
  return dir !== undefined && ownerTest(paths)(bytewise(dir));
}

/** The real path of a directory that is given bytewise; `undefined` if there is none to see. */
function realPathOf(owner: string): string | undefined {
  try {
    return Deno.realPathSync(fromBytes(owner));
  } catch {
    return undefined; // Gone, not ours to see, or no text.
  }
}

/**
 * Tells whether a process has a number of its own in a container: there the same
 * path may name another session, so that only its parents tell whose it is.
 */
function isContained(pid: number): boolean {
  if (Deno.build.os !== "linux") return false;
  const depth = (of: number | "self") => statusOf(of, "NSpid").split("\t");
  return depth(pid).length > depth("self").length;
}

/**
 * The user whose processes are the session's: whoever owns the directory. A program
 * that changes its user, such as sudo(8), is found by its parents.
 */
function userOf(paths: Paths): number {
  return statOptional(paths.dir)?.uid ?? geteuid();
}

/** Tells whether a process runs as this user, by its real and its effective user id. */
function runsAs(pid: number, user: number): boolean {
  const users = readUsers(pid);
  return users.length > 0 && users.every((one) => one === user);
}

/** The members among all processes, by pid. */
function membersOf(
  paths: Paths,
  table: readonly Entry[],
  known: ReadonlyMap<number, number>,
): Map<number, Entry> {
  const isOwn = ownerTest(paths);
  const user = userOf(paths);
  const byPid = new Map(table.map((entry) => [entry.pid, entry]));
  const members = new Map<number, Entry>();
  const orphanedSids = new Set<number>();
  const hidden = hiddenAgent(paths, byPid, user);
  for (const entry of table) {
    const { pid, sid, owner, startTicks } = entry;
    const isKnown = known.get(pid) === startTicks;
    const isSeed = isOwn(owner)
      ? isKnown || runsAs(pid, user) && !isContained(pid)
      : typeof owner !== "string" && (isKnown || entry === hidden);
    if (!isSeed || pid === 1) continue;
    members.set(pid, entry);
    if (!byPid.has(sid)) orphanedSids.add(sid);
  }
  // A parent, and a kernel session's leader, is older than what it has started:
  // a younger one has only been given the number while we were reading.
  const isOf = (entry: Entry, elder: Entry | undefined) =>
    elder !== undefined && elder.startTicks <= entry.startTicks;
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const entry of table) {
      const { pid, ppid, sid, owner } = entry;
      if (members.has(pid) || pid === 1) continue;
      if (typeof owner === "string" && !isOwn(owner)) continue;
      if (
        isOf(entry, members.get(ppid)) || isOf(entry, members.get(sid)) ||
        orphanedSids.has(sid)
      ) members.set(pid, entry);
    }
  }
  members.delete(Deno.pid);
  for (let pid = byPid.get(Deno.pid)?.ppid; pid !== undefined;) {
    const entry = byPid.get(pid);
    if (!isOwn(entry?.owner)) members.delete(pid);
    byPid.delete(pid); // A snapshot that was not taken at once may hold a circle.
    pid = entry?.ppid;
  }
  return members;
}

/**
 * The agent, if it hides its environment (Codex does, see PR_SET_DUMPABLE of
 * prctl(2)) and its reaper is dead. The record only says where to look: any process of
 * the session may have written it. What the kernel says has to agree. The process runs
 * as the session's user, in the kernel session of the recorded reaper, which is dead; the
 * lock is held, and every holder that can be seen descends from this process: the kernel
 * shows the holders of a lock (`/proc/PID/fdinfo`) of no process that hides.
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
  const descends = (pid: number): boolean => {
    const seen = new Set<number>(); // The table may hold a circle.
    for (let at = byPid.get(pid); at && !seen.has(at.pid);) {
      if (at === agent) return true;
      seen.add(at.pid);
      at = byPid.get(at.ppid);
    }
    return false;
  };
  return holders?.every((pid) => !byPid.has(pid) || descends(pid))
    ? agent
    : undefined;
}

/**
 * The living processes of a session: the reaper, the agent, then the others by
 * pid. Empty on Windows. Needs `--allow-ffi`, `--allow-read`, and unless all is
 * allowed `--allow-run=/bin/sh`.
 *
 * @throws {Deno.errors.NotFound} if `/proc` is not mounted.
 *
 * @example
 * ```ts
 * import { listProcesses, pathsFor } from "./mod.ts";
 * for (const { pid, role, command } of listProcesses(pathsFor("demo"))) {
 *   console.log(pid, role, command);
 * }
 * ```
 */
export function listProcesses(
  paths: Paths,
  options: ListProcessesOptions = {},
): SessionProcess[] {
  const { known = new Map<number, number>() } = options;
  const members = membersOf(paths, scan(), known);
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
  const order: readonly Role[] = ["reaper", "agent", "child", "helper"];
  return processes.sort((a, b) =>
    order.indexOf(a.role) - order.indexOf(b.role) || a.pid - b.pid
  );
}

/**
 * What each member is, by how they are related and what they run. A role gives a process
 * time to end by itself, and nothing more: an agent can look like a helper.
 *
 * Of the record only the agent's name is taken, once its reaper is dead.
 */
function rolesOf(
  members: ReadonlyMap<number, Entry>,
  argvs: ReadonlyMap<number, readonly string[]>,
  paths: Paths,
): Map<number, Role> {
  const recorded = readPids(paths);
  const isOwn = ownerTest(paths);
  const told = (pid: number) => {
    const call = scriptCall(argvs.get(pid)!.map(bytewise));
    return call && isOwn(dirname(call.path)) ? call.args : undefined;
  };
  // Without arguments it is in the middle of an exec: the next look tells.
  const isScript = (pid: number) =>
    argvs.get(pid)!.length === 0 || told(pid) !== undefined;
  // All others descend from it, so it is the oldest.
  const reaper = [...members.values()]
    .filter(({ pid, ppid, sid }) =>
      pid === sid && !members.has(ppid) && isScript(pid)
    )
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid)[0];
  // It removes the session, and has no agent any more.
  const isRemoving = reaper && told(reaper.pid)?.[0] === "-r";
  const roles = new Map<number, Role>();
  const roleOf = ({ pid, ppid, sid }: Entry): Role => {
    const before = roles.get(pid);
    if (before !== undefined) return before;
    roles.set(pid, "child"); // Ends a circle.
    const parent = members.get(ppid);
    let role: Role = "child";
    if (pid === reaper?.pid) role = "reaper";
    else if (reaper !== undefined && ppid === reaper.pid) {
      role = isScript(pid) || isRemoving ? "helper" : "agent";
    } else if (parent !== undefined && roleOf(parent) === "helper") {
      role = "helper";
    } else if (reaper === undefined && isScript(pid)) role = "helper";
    else if (
      reaper === undefined && pid === recorded?.agent && sid === recorded.reaper
    ) role = "agent";
    roles.set(pid, role);
    return role;
  };
  for (const entry of members.values()) roleOf(entry);
  return roles;
}

/**
 * Looks once at all processes and returns a function that tells whether a session
 * can have any: without one that carries its directory there is nothing to link to.
 * Needs what {@linkcode listProcesses} needs.
 */
export function processFinder(): (paths: Paths) => boolean {
  const found = new Set(scan().map((entry) => entry.owner));
  const owners = new Set<string>();
  for (const owner of found) {
    if (owner) owners.add(realPathOf(owner) ?? fromBytes(owner));
  }
  const hides = found.has(null);
  return (paths) => owners.has(paths.dir) || hides && isLockHeld(paths);
}

/** Tells whether this very process still lives; a zombie does not. */
export function isAlive(
  process: Pick<SessionProcess, "pid" | "startTicks">,
): boolean {
  const { pid, startTicks } = process;
  return readEntry(pid)?.startTicks === startTicks;
}

/**
 * Sends a signal to a process of a session, after having made sure that the pid
 * is still that process, and that it has not become another session's. Tells
 * whether it was sent. Needs `--allow-ffi` and `--allow-read`.
 *
 * @throws {Deno.errors.PermissionDenied} if it runs as another user.
 *
 * @example
 * ```ts
 * import { pathsFor } from "./store.ts";
 * import { listProcesses, signalProcess } from "./process/members.ts";
 * const paths = pathsFor("demo");
 * const agent = listProcesses(paths).find(({ role }) => role === "agent");
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
    // First the descriptor, then the look: what was seen is what is signalled.
    pidfd = pidfdOpen(pid);
    if (!isAlive(process)) return false;
    const owner = readOwner(pid);
    if (typeof owner === "string" && !ownerTest(paths)(owner)) return false;
    if (found.get(process) !== paths.dir) {
      // Not from our list: whoever says that it is the session's may be wrong.
      if (!membersOf(paths, scan(), new Map()).has(pid)) return false;
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

/** Waits until a process has ended or the time is over; the caller looks which. */
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
