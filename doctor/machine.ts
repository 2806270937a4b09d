/**
 * Checks of the machine: its C library, shell, process table, limits, login manager, agents.
 *
 * Reads `/proc` and `/sys` through libc, as `process/table.ts` does, and asks the login manager
 * with its own commands. No agent is executed.
 *
 * @module
 */
import { bad, doubtful, type Finding, good } from "./finding.ts";
import { checkSymbols } from "../system/ffi.ts";
import { geteuid, readSystemFile } from "../system/libc.ts";
import { isForeignProc, readOwner, scan, statusOf } from "../process/table.ts";
import { limitOf } from "../system/limits.ts";
import { OS } from "../system/os.ts";
import { ask, valueIn } from "../system/shell.ts";
import {
  isKilledAtLogout,
  isLogin,
  LOGIND_SETTINGS,
  ownUnit,
} from "../process/scope.ts";
import { findProgram, readFile, statOptional } from "../system/files.ts";
import { AGENTS } from "../agents/agents.ts";
import { codexOverrides } from "../agents/codex.ts";
import { basename, dirname, join } from "../std.ts";

/** The oldest version of Deno that the tests run on. */
const OLDEST_DENO = "2.7.11";

/** Compares Deno's version with the oldest supported one. */
export function checkDeno(): Finding {
  const { deno } = Deno.version;
  const shown = Deno.build.standalone
    ? `a binary with Deno ${deno}`
    : `Deno ${deno}`;
  return isOlder(deno, OLDEST_DENO)
    ? doubtful(
      `${shown} is older than ${OLDEST_DENO}, the oldest tested version`,
      "upgrade Deno",
    )
    : good(shown);
}

/** Tells whether a version is older than another, by their numbers. */
export function isOlder(version: string, than: string): boolean {
  const a = version.split(/[.+-]/).map(Number);
  const b = than.split(".").map(Number);
  const differs = b.findIndex((part, i) => (a[i] ?? 0) !== part);
  return differs >= 0 && (a[differs] ?? 0) < b[differs]!;
}

/** Checks the functions of the C library. */
export function checkLibc(): Finding {
  const { library, count, missing, lacking } = checkSymbols();
  if (missing.length > 0) {
    return bad(
      `${library ?? "the C library"} has no ${missing.join(", ")}`,
      "use a system with glibc or musl",
    );
  }
  const without = lacking.length === 0
    ? ""
    : ` (${lacking.join(", ")} missing, but optional)`;
  return good(`${count} functions of ${library} by FFI${without}`);
}

/** Checks for the shell that supervises sessions; a trial session shows that it works. */
export function checkShell(): Finding {
  const info = statOptional("/bin/sh");
  if (info === undefined) {
    return bad("/bin/sh is missing", "install a POSIX shell such as dash");
  }
  const target = Deno.realPathSync("/bin/sh");
  const name = basename(target);
  return ["dash", "bash", "busybox", "mksh"].includes(name)
    ? good(`/bin/sh is ${target}`)
    : good(`/bin/sh is ${target}, an untested shell`);
}

/** Checks that the processes of sessions can be found. */
export function checkProcessTable(): Finding {
  if (!OS.hasProc) {
    return doubtful(
      `processes are found with ps, which is untested on ${OS.name}`,
      "report problems",
    );
  }
  if (readSystemFile("/proc/self/stat") === undefined) {
    return bad(
      "cannot read /proc, so cannot find the processes of sessions",
      "mount /proc",
    );
  }
  if (isForeignProc()) {
    return bad(
      "/proc shows another PID namespace, so its numbers are other processes here",
      "mount one of its own: unshare --mount-proc",
    );
  }
  if (readOwner(Deno.pid) === null) {
    return bad(
      "cannot read /proc/PID/environ, so cannot tell the processes of sessions from others",
      "allow this user to read the environment of its own processes",
    );
  }
  return good(`/proc shows ${scan().length} processes and their environment`);
}

/** The number at the start of a file; `Infinity` for `max`, or without a number. */
function numberIn(path: string): number {
  const text = readSystemFile(path)?.trim() ?? "";
  return /^\d+/.test(text) ? parseInt(text) : Infinity;
}

/** A limit, and how much of it is used. */
interface Room {
  readonly name: string;
  readonly limit: number;
  readonly used: number;
}

/** The limits of this process's control group and of the groups above. */
function groupRooms(): Room[] {
  const text = readSystemFile("/proc/self/cgroup") ?? "";
  const old = /^\d+:(?:[\w,]+,)?pids(?:,[\w,]+)?:(.*)$/m.exec(text)?.[1];
  const top = old === undefined ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
  let group = old ?? /^0::(.*)$/m.exec(text)?.[1] ?? "";
  const rooms: Room[] = [];
  for (;; group = group.slice(0, group.lastIndexOf("/"))) {
    const limit = numberIn(`${top}${group}/pids.max`);
    const used = numberIn(`${top}${group}/pids.current`);
    const name = `control group ${group || "/"}`;
    if (limit !== Infinity && used !== Infinity) {
      rooms.push({ name, limit, used });
    }
    if (!group.includes("/")) return rooms;
  }
}

/** The number of a user's threads: its limit counts those. */
function threadsOf(user: number): number {
  let count = 0;
  for (const { pid } of scan()) {
    if (parseInt(statusOf(pid, "Uid")) === user) {
      count += Number(statusOf(pid, "Threads")) || 0;
    }
  }
  return count;
}

/** Checks how many more processes can start. */
export function checkProcessLimits(): Finding {
  if (!OS.hasProc) {
    return good("limits not checked on this system");
  }
  const rooms = groupRooms();
  const user = geteuid();
  const own = limitOf("Max processes");
  // Root has no such limit.
  if (own !== Infinity && user !== 0) {
    rooms.push({ name: "ulimit -u", limit: own, used: threadsOf(user) });
  }
  const threads = /\/(\d+) /.exec(readSystemFile("/proc/loadavg") ?? "")?.[1];
  for (const name of ["pid_max", "threads-max"]) {
    const limit = numberIn(`/proc/sys/kernel/${name}`);
    if (threads === undefined || limit === Infinity) continue;
    rooms.push({ name: `kernel.${name}`, limit, used: Number(threads) });
  }
  rooms.sort((a, b) => a.limit - a.used - (b.limit - b.used));
  const [least] = rooms;
  if (least === undefined) return good("no limit on processes");
  const { name, limit, used } = least;
  const left = Math.max(0, limit - used);
  const message = `${left} more can start (${name}: ${used} of ${limit} used)`;
  // A terminal session takes about fifteen threads, most of them its relay's.
  const advice = "end unneeded processes, or raise that limit";
  if (left < 20) return bad(message, advice);
  return left < 200 ? doubtful(message, advice) : good(message);
}

/** Checks how many files a process may open. */
export function checkOpenFiles(): Finding {
  if (!OS.hasProc) {
    return good("limits not checked on this system");
  }
  const limit = limitOf("Max open files");
  const message = `${limit} open files per process`;
  const advice = "raise the limit: ulimit -n 1024";
  if (limit < 64) return bad(message, advice);
  return limit < 256 ? doubtful(message, advice) : good(message);
}

// Is logind there, what does it do, does this user linger, does the user manager make a scope?
const LOGIN_QUESTION = `
{ ${LOGIND_SETTINGS}; } && echo "Logind=yes"
user=$(id -un); echo "User=$user"
linger=$(loginctl show-user "$user" -p Linger --value)
[ -n "$linger" ] || { [ -e "/var/lib/systemd/linger/$user" ] && linger=yes; }
echo "Linger=$linger"
systemd-run --user --scope --quiet --collect --no-ask-password -- true && echo "Scope=yes"
:`;

/** Checks whether sessions outlive a login. */
export async function checkLogin(): Promise<Finding> {
  if (!OS.hasSystemd) return good("no systemd on this system");
  const unit = ownUnit();
  if (statOptional("/run/systemd/system") === undefined) {
    return good(
      "systemd is not running: sessions outlive a login",
    );
  }
  const { status, output } = await ask(LOGIN_QUESTION, [], 8_000);
  if (status === -1) {
    return doubtful(
      "systemd-logind did not answer within 8 s",
      "run: systemctl status systemd-logind",
    );
  }
  if (valueIn(output, "Logind") !== "yes") {
    return good(
      "systemd-logind is not running: sessions outlive a login",
    );
  }
  return judgeLogin({
    unit,
    kills: isKilledAtLogout(output, valueIn(output, "User")),
    lingers: valueIn(output, "Linger") === "yes",
    scopes: valueIn(output, "Scope") === "yes",
  });
}

/** The facts for {@linkcode judgeLogin}. */
export interface LoginFacts {
  /** The systemd unit of this process. */
  readonly unit: string;
  /** logind kills this user's processes when a login ends. */
  readonly kills: boolean;
  /** The user manager runs without a login. */
  readonly lingers: boolean;
  /** The user manager makes scopes. */
  readonly scopes: boolean;
}

/** Tells from the facts whether sessions outlive a login. */
export function judgeLogin(facts: LoginFacts): Finding {
  const { unit, kills, lingers, scopes } = facts;
  const linger = "keep your user manager running: loginctl enable-linger";
  const inManager = /\/user@\d+\.service(\/|$)/.test(unit);
  if (inManager && !lingers) {
    return doubtful(
      "this process is part of your user manager, which ends with your last login and takes sessions along",
      linger,
    );
  }
  if (inManager || !kills) {
    return good(
      `systemd-logind leaves sessions alone${
        kills
          ? ": this process is part of your user manager, which lingers"
          : ""
      }`,
    );
  }
  const ends = "systemd-logind kills the processes of a login when it ends";
  if (!scopes) {
    return doubtful(
      `${ends}, and no user manager is there to start sessions in`,
      `${linger}; or start sessions outside a login`,
    );
  }
  if (!lingers) {
    return doubtful(
      `${ends}; sessions start in a scope of your user manager, which ends with your last login`,
      linger,
    );
  }
  return good(
    `${ends}; sessions ${
      isLogin(unit) ? "start" : "of a login start"
    } in a scope of your user manager, which lingers`,
  );
}

/** Looks for known agents. */
export function checkAgents(): Finding {
  const path = Deno.env.get("PATH") ?? "";
  const programs = AGENTS.flatMap(({ programs, packages }) =>
    programs.map((name) => ({ name, packages }))
  );
  const found = programs.flatMap(({ name, packages }) => {
    const program = findProgram(name, { path });
    if (program === undefined) return [];
    return [`${program}${versionOf(program, packages)}`];
  });
  found.push(...codexOverrides());
  if (found.length > 0) return good(found.join(", "));
  const names = programs.map(({ name }) => name).join(", ");
  return doubtful(
    `no agent on PATH: ${names}`,
    "install one for `create`; `run` starts any other command",
  );
}

/** The version of a program that npm has installed, from its package. */
function versionOf(program: string, packages: RegExp): string {
  let dir = Deno.realPathSync(program);
  // Codex's own program: @openai/codex-linux-x64/vendor/TARGET/bin/codex.
  for (let depth = 0; depth < 4; depth++) {
    dir = dirname(dir);
    try {
      const { name, version } = JSON.parse(
        readFile(join(dir, "package.json"), 1024 * 1024) ?? "{}",
      );
      if (packages.test(name) && typeof version === "string") {
        return ` (${version})`;
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
    }
  }
  return "";
}
