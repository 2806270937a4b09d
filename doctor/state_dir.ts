/**
 * Checks of the state directory: owner, mode, free space, locks, pipes, events, sessions.
 *
 * Each check that can be a trial is one, in a hidden directory of the root that is removed
 * afterwards: on a network file system a function may exist and not work.
 *
 * @module
 */
import { OS } from "../system/os.ts";
import { bad, doubtful, type Finding, good } from "./finding.ts";
import { dirname, formatBytes, join } from "../std.ts";
import {
  close,
  mkfifo,
  open,
  read,
  readSystemFile,
  tryFlock,
  write,
} from "../system/libc.ts";
import { leftovers } from "../session/prune.ts";
import { type FileEvents, watchFile } from "../system/file_events.ts";
import { ask } from "../system/shell.ts";
import { listSessions } from "../session/find.ts";
import { SOCKET } from "../relay/socket.ts";
import { makeBuildDirectory, STATES } from "../store.ts";
import { remove, statOptional } from "../system/files.ts";

/** A hidden directory of the root for trials; disposing of it leaves the root as it was. */
export class TrialPlace implements Disposable {
  /** The directory. */
  readonly dir: string;
  /** The directories that were missing on the root's path, the innermost first. */
  readonly #made: readonly string[];

  /** @throws {SessionError} `root_unusable`. */
  constructor(root: string) {
    const missing: string[] = [];
    let path = root;
    while (path !== dirname(path) && !statOptional(path)) {
      missing.push(path);
      path = dirname(path);
    }
    this.#made = missing;
    this.dir = makeBuildDirectory(root);
  }

  [Symbol.dispose](): void {
    remove(this.dir);
    try {
      for (const path of this.#made) Deno.removeSync(path);
    } catch {
      // It is in use already.
    }
  }
}

/** Checks the owner of the root, and that nobody else can write to it or replace it. */
export function checkRoot(root: string, isNew: boolean): Finding[] {
  const findings: Finding[] = [];
  const { mode } = Deno.statSync(root);
  if (((mode ?? 0) & 0o077) !== 0) {
    const shown = ((mode ?? 0) & 0o777).toString(8);
    findings.push(doubtful(
      `${root} has mode ${shown}: other users may see the names of your sessions`,
      `chmod go-rwx "${root}"`,
    ));
  }
  const real = Deno.realPathSync(root);
  for (let path = real; path !== dirname(path);) {
    path = dirname(path);
    const { mode } = Deno.statSync(path);
    const writable = ((mode ?? 0) & 0o022) !== 0;
    const sticky = ((mode ?? 0) & 0o1000) !== 0;
    if (writable && !sticky) {
      findings.push(doubtful(
        `a group may write to ${path} and replace its contents`,
        `chmod go-w "${path}"; or choose another directory in CODEX_SESSION_HOME`,
      ));
    }
  }
  if (findings.length > 0) return findings;
  const where = real === root ? root : `${root}, which is ${real},`;
  return [good(
    isNew
      ? `${where} does not exist yet and can be created`
      : `${where} is writable only by you`,
  )];
}

const NETWORK =
  /^(nfs\d?|cifs|smb\w*|9p|ceph|glusterfs|lustre|afs|fuse\.(sshfs|rclone|s3fs\w*|glusterfs))$/;

/** The type of the file system at a path, if known. proc_pid_mountinfo(5). */
function fileSystemOf(path: string): string | undefined {
  let best = "";
  let type: string | undefined;
  for (
    const line of (readSystemFile("/proc/self/mountinfo") ?? "").split("\n")
  ) {
    const [before = "", after = ""] = line.split(" - ");
    const mounted = (before.split(" ")[4] ?? "")
      .replace(
        /\\(\d{3})/g,
        (_, code) => String.fromCharCode(parseInt(code, 8)),
      );
    const within = path === mounted || mounted === "/" ||
      path.startsWith(`${mounted}/`);
    // Of several at one place, the last is on top.
    if (mounted !== "" && within && mounted.length >= best.length) {
      best = mounted;
      type = after.split(" ")[0];
    }
  }
  return type;
}

/** Tries locks, pipes and renames. */
export function checkFileSystem(place: TrialPlace): Finding {
  const type = fileSystemOf(Deno.realPathSync(place.dir));
  const shown = type === undefined ? "the file system" : type;
  const broken = tryLocks(place.dir) ?? tryPipe(place.dir) ??
    tryRename(place.dir);
  const advice =
    "use a directory on a local disk: CODEX_SESSION_HOME=DIRECTORY";
  if (broken !== undefined) return bad(`${shown}: ${broken}`, advice);
  if (NETWORK.test(type ?? "")) {
    return doubtful(
      `${type} is a network file system: sessions of other machines may seem lost or running`,
      advice,
    );
  }
  return good(`${shown}: locks, pipes and renames work`);
}

function tryLocks(dir: string): string | undefined {
  const path = join(dir, "lock-trial");
  Deno.writeTextFileSync(path, "");
  const fds = [open(path), open(path)] as const;
  try {
    if (!tryFlock(fds[0], "exclusive")) return "cannot lock a file";
    if (tryFlock(fds[1], "shared")) return "a locked file can be locked again";
    close(fds[0]);
    return tryFlock(fds[1], "shared")
      ? undefined
      : "a lock is not released when its file is closed";
  } finally {
    close(fds[1]);
  }
}

function tryPipe(dir: string): string | undefined {
  const path = join(dir, "pipe-trial");
  mkfifo(path);
  const fd = open(path, { access: "both" });
  try {
    write(fd, new Uint8Array([42]));
    const byte = new Uint8Array(1);
    return read(fd, byte) === 1 && byte[0] === 42
      ? undefined
      : "a named pipe does not return what was written to it";
  } finally {
    close(fd);
  }
}

/** Renames a directory to a taken name, which must fail: of two creators of one id one wins. rename(2). */
function tryRename(dir: string): string | undefined {
  Deno.mkdirSync(join(dir, "a/taken"), { recursive: true });
  Deno.mkdirSync(join(dir, "b"));
  try {
    Deno.renameSync(join(dir, "b"), join(dir, "a"));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
  return "a rename replaces a directory that is not empty";
}

/** How long an event may take, in milliseconds. */
const EVENT_MS = 3_000;

/** Tries file events; without them, followers look at their sessions at intervals. */
export async function checkEvents(place: TrialPlace): Promise<Finding> {
  const path = join(place.dir, "event-trial");
  Deno.writeTextFileSync(path, "");
  const limit = ["instances", "watches"].map((name) => {
    const file = `/proc/sys/fs/inotify/max_user_${name}`;
    return `${readSystemFile(file)?.trim() ?? "?"} ${name}`;
  }).join(", ");
  const shown = OS.hasProc ? ` (inotify: ${limit})` : "";
  const slower = "following works without, by ten looks per second; ";
  const raise =
    `${slower}raise fs.inotify.max_user_instances and max_user_watches`;
  let events: FileEvents;
  try {
    events = watchFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return doubtful(`cannot watch files${shown}`, raise);
  }
  const timer = setTimeout(() => events.close(), EVENT_MS);
  // The watcher's thread may take a moment to start: write until it reports.
  const again = setInterval(() => Deno.writeTextFileSync(path, "x"), 20);
  let hasEvents: boolean;
  try {
    hasEvents = await events.next();
  } finally {
    clearTimeout(timer);
    clearInterval(again);
    events.close();
  }
  if (hasEvents) return good(`file events arrive at once${shown}`);
  return doubtful(
    `no event for a changed file within 3 s${shown}`,
    `${slower}use a directory on a local disk`,
  );
}

/** Checks the free space of the root's file system. */
export async function checkSpace(place: TrialPlace): Promise<Finding> {
  const df = `export LC_ALL=C; command -p df -Pk -- "$1" | tail -n 1
command -p df -Pi -- "$1" 2>/dev/null | tail -n 1`;
  const { status, output } = await ask(df, [place.dir], 5_000);
  const [space = "", inodes = ""] = output.split("\n");
  const free = Number(/\s(-?\d+)\s+\d+%\s/.exec(space)?.[1] ?? NaN) * 1024;
  if (status === -1 || Number.isNaN(free)) {
    return doubtful("df does not report the free space", "check it yourself");
  }
  const files = Number(/\s(\d+)\s+\d+%\s/.exec(inodes)?.[1] ?? NaN);
  const some = Number.isNaN(files)
    ? ""
    : `, ${formatBytes(files).slice(0, -1)} inodes free`;
  const message = `${formatBytes(free)} free${some}`;
  const advice = "free some space, for example with: codex-session prune";
  // A session has about ten files, and whatever the agent writes.
  if (free < 1024 ** 2 || files < 20) return bad(message, advice);
  return free < 100 * 1024 ** 2 || files < 1000
    ? doubtful(message, advice)
    : good(message);
}

/** Checks that the paths of terminals' sockets are short enough. unix(7). */
export function checkSocketPath(root: string): Finding {
  const length = new TextEncoder().encode(`${root}//${SOCKET}`).length;
  const left = OS.socketPathBytes - length;
  if (left >= 64) return good("the paths of terminal sockets are short enough");
  return good(
    `the paths of terminal sockets are too long for ids of more than ${
      Math.max(0, left)
    } characters; those are reached through their directory`,
  );
}

/** Counts the sessions and looks for lost and damaged ones. */
export async function checkSessions(root: string): Promise<Finding[]> {
  const sessions = await listSessions({ root });
  const findings: Finding[] = [];
  const named = (state: string) => {
    const ids = sessions.filter((session) => session.state.state === state)
      .map(({ id }) => id);
    return ids.length > 5 ? [...ids.slice(0, 5), "…"] : ids;
  };
  const lost = named("lost");
  if (lost.length > 0) {
    findings.push(doubtful(
      `lost because their supervisor was killed or the machine went down: ${
        lost.join(", ")
      }`,
      "read their logs, then run: codex-session prune",
    ));
  }
  const damaged = named("damaged");
  if (damaged.length > 0) {
    findings.push(doubtful(
      `damaged: ${damaged.join(", ")}`,
      "see why with: codex-session list; then run: codex-session delete -f ID",
    ));
  }
  const left = leftovers(root).length;
  if (left > 0) {
    findings.push(doubtful(
      `${left} left over from killed commands: ${root}/.new-*, .old-*`,
      "run: codex-session prune",
    ));
  }
  if (findings.length > 0) return findings;
  const counts = STATES.map((state) => {
    const count = sessions.filter((one) => one.state.state === state).length;
    return count === 0 ? "" : `${count} ${state}`;
  }).filter(Boolean);
  return [good(counts.join(", ") || "none yet")];
}
