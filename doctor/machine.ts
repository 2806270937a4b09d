/**
 * What sessions need of the machine: its C library, shell, process table, limits,
 * login manager, programs. For `doctor.ts`.
 *
 * Reads `/proc` and `/sys` through libc, as `proc.ts` does, and asks the login manager by
 * its own commands. No agent is executed to learn what it is.
 *
 * @module
 */
import { bad, doubtful, type Finding, good } from "./finding.ts";
import { checkSymbols } from "../system/ffi.ts";
import { geteuid, readSystemFile } from "../system/libc.ts";
import { readOwner, scan, statusOf } from "../process/table.ts";
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

/** The oldest version of Deno that the tests pass on. */
const OLDEST_DENO = "2.7.11";

/** Deno's version against the oldest supported one. */
export function checkDeno(): Finding {
  const { deno } = Deno.version;
  const shown = Deno.build.standalone
    ? `a binary with Deno ${deno}`
    : `Deno ${deno}`;
  return isOlder(deno, OLDEST_DENO)
    ? doubtful(
      `${shown}, which is older than ${OLDEST_DENO}, the oldest that is tested`,
      "upgrade Deno",
    )
    : good(shown);
}

/** Compares versions by their numbers. */
export function isOlder(version: string, than: string): boolean {
  const a = version.split(/[.+-]/).map(Number);
  const b = than.split(".").map(Number);
  const differs = b.findIndex((part, i) => (a[i] ?? 0) !== part);
  return differs >= 0 && (a[differs] ?? 0) < b[differs]!;
}

/** The functions of the C library. */
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
    : ` (without ${lacking.join(", ")}, which can be done without)`;
  return good(`${count} functions of ${library} by FFI${without}`);
}

/** The shell that supervises sessions; that it does is tried elsewhere. */
export function checkShell(): Finding {
  const info = statOptional("/bin/sh");
  if (info === undefined) {
    return bad("there is no /bin/sh", "install a POSIX shell such as dash");
  }
  const target = Deno.realPathSync("/bin/sh");
  const name = basename(target);
  return ["dash", "bash", "busybox", "mksh"].includes(name)
    ? good(`/bin/sh is ${target}`)
    : good(`/bin/sh is ${target}, a shell that was never tried`);
}

/** Who sees the processes of sessions. */
export function checkProcessTable(): Finding {
  if (Deno.build.os !== "linux") {
    return doubtful(
      `the processes of sessions are found by ps, which was never tried on ${Deno.build.os}`,
      "report what goes wrong",
    );
  }
  if (readSystemFile("/proc/self/stat") === undefined) {
    return bad(
      "/proc can't be read: processes of sessions can't be found",
      "mount /proc",
    );
  }
  if (readOwner(Deno.pid) === null) {
    return bad(
      "/proc/PID/environ can't be read: processes of sessions can't be told from others",
      "allow this user to read its own processes' environment",
    );
  }
  return good(`/proc shows ${scan().length} processes and our own environment`);
}

/** A number of `/proc/self/limits`, by the name of its row; the soft one. */
function limitOf(name: string): number {
  const text = readSystemFile("/proc/self/limits") ?? "";
  const value = new RegExp(`^${name} +(\\S+)`, "m").exec(text)?.[1];
  return value === undefined || value === "unlimited"
    ? Infinity
    : Number(value);
}

/** The first number in a file; `Infinity` for `max`, or if there is none. */
function numberIn(path: string): number {
  const text = readSystemFile(path)?.trim() ?? "";
  return /^\d+/.test(text) ? parseInt(text) : Infinity;
}

/** What a limit leaves. */
interface Room {
  readonly name: string;
  readonly limit: number;
  readonly used: number;
}

/** The limits of the control groups that this process is in, its parents' too. */
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

/** The threads of a user, which is what its limit counts. */
function threadsOf(user: number): number {
  let count = 0;
  for (const { pid } of scan()) {
    if (parseInt(statusOf(pid, "Uid")) === user) {
      count += Number(statusOf(pid, "Threads")) || 0;
    }
  }
  return count;
}

/** How many more processes there can be. */
export function checkProcessLimits(): Finding {
  if (Deno.build.os !== "linux") return good("limits were not looked at");
  const rooms = groupRooms();
  const user = geteuid();
  const own = limitOf("Max processes");
  // It doesn't bind root.
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
  const message = `room for ${left} more (${name}: ${used} of ${limit})`;
  // A terminal session takes about fifteen threads, most of them its relay's.
  const advice = "end what is not needed, or raise that limit";
  if (left < 20) return bad(message, advice);
  return left < 200 ? doubtful(message, advice) : good(message);
}

/** How many files a process may open. */
export function checkOpenFiles(): Finding {
  if (Deno.build.os !== "linux") return good("limits were not looked at");
  const limit = limitOf("Max open files");
  const message = `${limit} open files a process`;
  const advice = "raise it: ulimit -n 1024";
  if (limit < 64) return bad(message, advice);
  return limit < 256 ? doubtful(message, advice) : good(message);
}

// Whether logind is there, what it does, whether this user lingers, whether a user manager
// answers and makes a scope.
const LOGIN_QUESTION = `
{ ${LOGIND_SETTINGS}; } && echo "Logind=yes"
user=$(id -un); echo "User=$user"
linger=$(loginctl show-user "$user" -p Linger --value)
[ -n "$linger" ] || { [ -e "/var/lib/systemd/linger/$user" ] && linger=yes; }
echo "Linger=$linger"
systemd-run --user --scope --quiet --collect --no-ask-password -- true && echo "Scope=yes"
:`;

/** What the end of a login does to sessions. */
export async function checkLogin(): Promise<Finding> {
  if (Deno.build.os !== "linux") return good("no systemd here");
  const unit = ownUnit();
  if (statOptional("/run/systemd/system") === undefined) {
    return good(
      "systemd does not run here: nothing ends sessions with a login",
    );
  }
  const { status, output } = await ask(LOGIN_QUESTION, [], 8_000);
  if (status === -1) {
    return doubtful(
      "systemd-logind does not answer within 8 s",
      "see: systemctl status systemd-logind",
    );
  }
  if (valueIn(output, "Logind") !== "yes") {
    return good(
      "systemd-logind does not run here: nothing ends sessions with a login",
    );
  }
  return judgeLogin({
    unit,
    kills: isKilledAtLogout(output, valueIn(output, "User")),
    lingers: valueIn(output, "Linger") === "yes",
    scopes: valueIn(output, "Scope") === "yes",
  });
}

/** What {@linkcode judgeLogin} judges by. */
export interface LoginFacts {
  /** The unit of systemd that this process belongs to. */
  readonly unit: string;
  /** logind ends this user's processes with a login. */
  readonly kills: boolean;
  /** The user manager runs without a login. */
  readonly lingers: boolean;
  /** The user manager makes scopes. */
  readonly scopes: boolean;
}

/** What the end of a login does to sessions, from the facts. */
export function judgeLogin(facts: LoginFacts): Finding {
  const { unit, kills, lingers, scopes } = facts;
  const linger = "let your user manager run on: loginctl enable-linger";
  const inManager = /\/user@\d+\.service(\/|$)/.test(unit);
  if (inManager && !lingers) {
    return doubtful(
      "this is part of your user manager, which ends with your last login, and sessions with it",
      linger,
    );
  }
  if (inManager || !kills) {
    return good(
      `systemd-logind leaves sessions alone${
        kills ? ": this is part of your user manager, which lingers" : ""
      }`,
    );
  }
  const ends = "systemd-logind ends all processes of a login with it";
  if (!scopes) {
    return doubtful(
      `${ends}, and there is no user manager to start sessions in`,
      `${linger}; or start sessions outside of a login`,
    );
  }
  if (!lingers) {
    return doubtful(
      `${ends}: sessions start in a scope of your user manager, which ends with your last login`,
      linger,
    );
  }
  return good(
    `${ends}: sessions ${
      isLogin(unit) ? "start" : "of a login start"
    } in a scope of your user manager, which lingers`,
  );
}

/** Which agents are there. */
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
    `none of ${names} is on PATH`,
    "install one for `create`; `run` starts any other command",
  );
}

/** The version in the package of a program that npm has installed. */
function versionOf(program: string, packages: RegExp): string {
  let dir = Deno.realPathSync(program);
  for (let depth = 0; depth < 3; depth++) {
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
