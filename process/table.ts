/**
 * The process table as the system shows it.
 *
 * Reads `/proc` through libc: Deno wants `--allow-all` for most of it, and this is faster. A
 * process that ends between two reads is absent, not an error. The table is not read at one
 * instant, so a parent or session in it may be out of date.
 *
 * Without `/proc`, on macOS, ps(1) lists the processes: untested.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { getsid, poll, readLink, readSystemBytes } from "../system/libc.ts";
import { OS } from "../system/os.ts";
import { pause } from "../system/pause.ts";

/** A process as the system shows it. */
export interface Entry {
  /** Its number. */
  readonly pid: number;
  /** Its parent's number. */
  readonly ppid: number;
  /** Its kernel session. */
  readonly sid: number;
  /** Its short name. */
  readonly name: string;
  /** Whether a signal has stopped it. */
  readonly stopped: boolean;
  /** Whether it has a controlling terminal. */
  readonly hasTerminal: boolean;
  /** Its processor time, in milliseconds. */
  readonly cpuMs: number;
  /** When it started, in the kernel's ticks since boot. */
  readonly startTicks: number;
  /** The session directory in its environment; `null` if that can't be read. */
  owner: string | undefined | null;
}

const MARK = "CODEX_SESSION_DIR=";
const encoder = new TextEncoder();
const utf8 = new TextDecoder();
// One character for each byte, so that also what is not UTF-8 compares exactly.
const latin1 = new TextDecoder("latin1");

/** The ids of all processes, the youngest first: these end soonest. */
function processIds(): number[] {
  let names: string[];
  try {
    names = [...Deno.readDirSync("/proc")].map((entry) => entry.name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    // Deno 2.9 shows this directory with --allow-all only; the shell needs less.
    const list = { args: ["-c", "cd /proc && echo [0-9]*"], clearEnv: true };
    const output = new Deno.Command("/bin/sh", list).outputSync();
    names = utf8.decode(output.stdout).trim().split(" ");
  }
  return names.map(Number).filter((pid) => pid > 0).sort((a, b) => b - a);
}

/** The session directory in an environment, bytewise. The first entry counts, as in getenv(3). */
function ownerIn(environment: string): string | undefined {
  let start = MARK.length;
  if (!environment.startsWith(MARK)) {
    const at = environment.indexOf("\0" + MARK);
    if (at < 0) return undefined;
    start += at + 1;
  }
  const end = environment.indexOf("\0", start);
  return environment.slice(start, end < 0 ? undefined : end);
}

/** The owner of one process, as in {@linkcode Entry}. */
export function readOwner(pid: number): string | undefined | null {
  const bytes = readSystemBytes(`/proc/${pid}/environ`);
  return bytes && ownerIn(latin1.decode(bytes));
}

/**
 * Sets the owner of an entry; `false` in the middle of an exec(2), when a process seems to have
 * neither environment nor arguments. It must be read again, or it would escape.
 */
function setOwner(entry: Entry): boolean {
  const { pid } = entry;
  const bytes = readSystemBytes(`/proc/${pid}/environ`);
  entry.owner = bytes && ownerIn(latin1.decode(bytes));
  return bytes?.length !== 0 ||
    readSystemBytes(`/proc/${pid}/cmdline`)?.length !== 0;
}

/** A living process without its owner; `undefined` for zombies and kernel threads. proc_pid_stat(5) */
function readStat(pid: number): Omit<Entry, "owner"> | undefined {
  const bytes = readSystemBytes(`/proc/${pid}/stat`);
  if (!bytes) return undefined;
  const text = utf8.decode(bytes);
  // The name stands in parentheses and may hold some itself.
  const nameEnd = text.lastIndexOf(")");
  const [state = "", ...rest] = text.slice(nameEnd + 2).split(" ");
  const field = (number: number) => Number(rest[number - 4]);
  const PF_KTHREAD = 0x200000;
  if (field(9) & PF_KTHREAD) return undefined;
  // A process whose first thread has ended looks like a zombie while others run.
  if ("ZXx".includes(state) && !(field(20) > 1)) return undefined;
  return {
    pid,
    ppid: field(4),
    sid: field(6),
    name: text.slice(text.indexOf("(") + 1, nameEnd),
    stopped: state === "T",
    hasTerminal: field(7) !== 0,
    // USER_HZ is 100 on every Linux that Deno runs on.
    cpuMs: (field(14) + field(15)) * 10,
    startTicks: field(22),
  };
}

/**
 * Tells whether `/proc` shows another PID namespace, as after `unshare -p -f`: its numbers are
 * other processes' here. pid_namespaces(7)
 */
export function isForeignProc(): boolean {
  const self = OS.hasProc ? readLink("/proc/self") : undefined;
  return self !== undefined && self !== `${Deno.pid}`;
}

/**
 * Refuses a `/proc` that shows another PID namespace.
 *
 * @throws {SessionError} `unsupported`.
 */
export function checkProc(): void {
  if (!isForeignProc()) return;
  throw new SessionError(
    "unsupported",
    "Cannot tell which processes are a session's: /proc shows another PID namespace; mount one of its own (unshare --mount-proc)",
  );
}

/**
 * All living processes except kernel threads, the highest id first.
 *
 * @throws {SessionError} `unsupported`, see {@linkcode checkProc}.
 */
export function scan(): Entry[] {
  if (!OS.hasProc) return OS.canStart ? scanByPs() : [];
  checkProc();
  const entries: Entry[] = [];
  for (const pid of processIds()) {
    const stat = readStat(pid);
    if (stat !== undefined) entries.push({ ...stat, owner: undefined });
  }
  let unclear = entries.filter((entry) => !setOwner(entry));
  for (let tries = 0; unclear.length > 0 && tries < 10; tries++) {
    pause(1);
    unclear = unclear.filter((entry) => !setOwner(entry));
  }
  return entries;
}

/** Like {@linkcode scan}, by ps(1), which appends the environment to the command. Untested. */
function scanByPs(): Entry[] {
  const columns = "pid=,ppid=,rss=,stat=,lstart=,command=";
  const args = ["-A", "-E", "-ww", "-o", columns];
  const output = new Deno.Command("/bin/ps", { args, env: { LC_ALL: "C" } })
    .outputSync();
  const entries: Entry[] = [];
  for (const line of latin1.decode(output.stdout).split("\n")) {
    const match = /^ *(\d+) +(\d+) +(\d+) +(\S+) +((?:\S+ +){4}\d+) +(.*)$/
      .exec(line);
    if (match === null || match[4]!.startsWith("Z")) continue;
    const [, pid, ppid, , state = "", started = "", command = ""] = match;
    const owner = / CODEX_SESSION_DIR=(.*?)(?= [A-Za-z_][A-Za-z_0-9]*=|$)/
      .exec(command)?.[1];
    try {
      entries.push({
        pid: Number(pid),
        ppid: Number(ppid),
        sid: getsid(Number(pid)),
        name: command.replace(/ [A-Za-z_][A-Za-z_0-9]*=.*$/, ""),
        stopped: state.startsWith("T"),
        hasTerminal: false,
        cpuMs: 0,
        startTicks: Date.parse(started) / 1000,
        owner,
      });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return entries;
}

/** A value of `/proc/PID/status`; empty without one. */
export function statusOf(pid: number | "self", key: string): string {
  const bytes = readSystemBytes(`/proc/${pid}/status`);
  const text = bytes ? latin1.decode(bytes) : "";
  return new RegExp(`^${key}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
}

/** The real and the effective user id of a process; empty without one. */
export function readUsers(pid: number): number[] {
  let text = statusOf(pid, "Uid").split("\t").slice(0, 2).join(" ");
  if (!OS.hasProc) {
    const args = ["-o", "ruid=,uid=", "-p", `${pid}`];
    const output = new Deno.Command("/bin/ps", { args }).outputSync();
    text = utf8.decode(output.stdout).trim();
  }
  return text === "" ? [] : text.split(/ +/).map(Number);
}

/**
 * The processes that hold the flock(2) of the file with this inode, as far as their descriptors
 * can be seen. (`/proc/locks` names the process that took a lock; others may have inherited
 * it.) `undefined` if that can't be found out.
 */
export function lockHolders(inode: number): number[] | undefined {
  const script =
    'command -p grep -ls "^lock:.*FLOCK.*:$1 " /proc/[0-9]*/fdinfo/*';
  const args = ["-c", script, "sh", `${inode}`];
  const { code, stdout } = new Deno.Command("/bin/sh", { args, clearEnv: true })
    .outputSync();
  // grep(1) ends with 2 for files that it can't read, and with more if it could not be started.
  if (code > 2) return undefined;
  const found = utf8.decode(stdout).matchAll(/^\/proc\/(\d+)\//gm);
  return [...new Set([...found].map(([, pid]) => Number(pid)))];
}

/**
 * Where a path lies for a process: the file system and the path within it, by the process's table
 * of mounts. `undefined` if that can't be told. Nothing is looked up in a file system.
 * proc_pid_mountinfo(5)
 */
export function locationOf(
  pid: number | "self",
  path: string,
): string | undefined {
  const mounts = mountLines(pid).map((line) => {
    const [id, parent, device, root = "", point = ""] = line.split(" ")
      .map(unescaped);
    return { id, parent, device, root: bare(root), point: bare(point) };
  });
  const ids = new Set(mounts.map(({ id }) => id));
  const own = `${bytewise(path)}/`;
  // From a mount to the one that covers the path next, as the kernel does.
  let place: typeof mounts[number] | undefined;
  let next = mounts.find(({ id, parent, point }) =>
    point === "" && (id === parent || !ids.has(parent))
  );
  while (next !== undefined) {
    place = next;
    const { id } = next;
    next = mounts
      .filter((one) => one.parent === id && one.id !== id)
      .filter(({ point }) => own.startsWith(`${point}/`))
      .sort((a, b) => a.point.length - b.point.length)[0];
  }
  return place &&
    `${place.device} ${place.root}${own.slice(place.point.length)}`;
}

function mountLines(pid: number | "self"): string[] {
  try {
    const bytes = readSystemBytes(`/proc/${pid}/mountinfo`);
    return bytes ? latin1.decode(bytes).trim().split("\n") : [];
  } catch (error) {
    // A process that has just ended has no mounts any more.
    if ((error as { code?: unknown }).code === "EINVAL") return [];
    throw error;
  }
}

/** A field of a table of mounts, where blanks and backslashes are octal numbers. */
function unescaped(field: string): string {
  return field.replace(
    /\\([0-7]{3})/g,
    (_, octal) => String.fromCharCode(parseInt(octal, 8)),
  );
}

/** A path without the slash at its end. */
function bare(path: string): string {
  return path.replace(/\/$/, "");
}

/** The arguments of a process; `undefined` if it has none, or is gone. */
export function readArgv(pid: number): string[] | undefined {
  const bytes = readSystemBytes(`/proc/${pid}/cmdline`);
  const text = bytes ? utf8.decode(bytes).replace(/\0+$/, "") : "";
  return text === "" ? undefined : text.split("\0");
}

/** One living process; `undefined` for a zombie, or if there is none. */
export function readEntry(pid: number): Omit<Entry, "owner"> | undefined {
  return OS.hasProc ? readStat(pid) : scan().find((entry) => entry.pid === pid);
}

/** All living processes without their owners: a tenth of the cost of {@linkcode scan}. */
export function readTable(): readonly Omit<Entry, "owner">[] {
  return OS.hasProc
    ? processIds().flatMap((one) => readStat(one) ?? [])
    : scan();
}

/** A process and its descendants. */
export function familyOf(
  pid: number,
  table = readTable(),
): Omit<Entry, "owner">[] {
  const pids = new Set([pid]);
  for (let before = 0; before < pids.size;) {
    before = pids.size;
    for (const { pid, ppid } of table) if (pids.has(ppid)) pids.add(pid);
  }
  return table.filter(({ pid }) => pids.has(pid));
}

/** How long an exec may take. */
const EXEC_MS = 2_000;

/**
 * Tells whether a process that was started as a shell has become another program by exec(2);
 * `false` if it has ended. It is read again as long as it is the shell, or has no arguments as in
 * the middle of an exec. If it still lives after that time, it counts as another program. Needs
 * `/proc`.
 */
export async function hasLeftShell(
  pid: number,
  isShell: (argv: readonly string[]) => boolean,
): Promise<boolean> {
  const deadline = performance.now() + EXEC_MS;
  while (readEntry(pid) !== undefined) {
    const argv = readArgv(pid);
    if (argv !== undefined && !isShell(argv)) return true;
    if (performance.now() > deadline) return true;
    await poll(-1, 0, 1); // A pause without a timer.
  }
  return false;
}

/** Text as one character for each byte of its UTF-8: the form of an owner. */
export function bytewise(text: string): string {
  return latin1.decode(encoder.encode(text));
}

/** The reverse of {@linkcode bytewise}. */
export function fromBytes(owner: string): string {
  return utf8.decode(Uint8Array.from(owner, (char) => char.charCodeAt(0)));
}

/** Orders processes by their start, the oldest first. */
export function byAge(a: Entry, b: Entry): number {
  return a.startTicks - b.startTicks || a.pid - b.pid;
}
