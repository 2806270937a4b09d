/**
 * Outliving a login: which sessions start in a systemd scope of their own, and how.
 *
 * With `KillUserProcesses=yes`, systemd-logind kills every process in a login's control group
 * when the login ends, and setsid(2) doesn't help. `systemd-run --user --scope` moves itself into
 * a new scope of the user manager and then becomes the given command by execve(2): the same
 * process, kernel session, parent and descriptors. So the reaper keeps its lock and its id.
 *
 * logind decides by its settings and by the user, never by lingering (`manager_shall_kill` in
 * its source, logind.conf(5)). Lingering decides how long the user manager lives, and with it
 * the scope: without lingering, until the user's last login ends.
 *
 * A process outside of every login's control group needs one read of `/proc/self/cgroup` to
 * know that. Only a process inside one asks the login manager.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { signalChild } from "./child.ts";
import type { Scope } from "../store.ts";
import { readArgv, readEntry } from "./table.ts";
import { poll, readSystemFile } from "../system/libc.ts";
import { OS } from "../system/os.ts";
import { ask, valueIn } from "../system/shell.ts";

/** How to start a command in a scope of its own. */
export interface ScopeLauncher {
  /** The path of systemd-run(1). */
  readonly systemdRun: string;
  /** Its version. */
  readonly version: number;
  /** The directory of the user manager's sockets. */
  readonly runtimeDir: string;
  /** The caller's `XDG_RUNTIME_DIR`. */
  readonly inheritedDir: string | undefined;
  /** Without a scope, fail; else start without one. */
  readonly required: boolean;
  /** How long it may take to make the scope, in milliseconds. */
  readonly timeoutMs: number;
}

/** How long it may take to make a scope. */
const SCOPE_TIMEOUT_MS = 10_000;

/** The command that shows which users' processes logind kills. */
export const LOGIND_SETTINGS =
  "loginctl show-session -p KillUserProcesses -p KillOnlyUsers -p KillExcludeUsers";

// Exits with 1 without a user manager, 2 without systemd-run, 3 without logind.
const QUESTION = `
dir=\${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
[ -S "$dir/systemd/private" ] || [ -S "$dir/bus" ] || exit 1
run=$(command -v systemd-run) || exit 2
[ "$1" = always ] || ${LOGIND_SETTINGS} || exit 3
echo "User=$(id -un)"; echo "Dir=$dir"; echo "Run=$run"
[ -z "\${XDG_RUNTIME_DIR+set}" ] || echo "Inherited=$XDG_RUNTIME_DIR"
"$run" --version`;

/**
 * Tells from {@linkcode LOGIND_SETTINGS} whether logind kills a user's processes when the login
 * ends. logind.conf(5): `KillExcludeUsers` comes first, and has root by default; then
 * `KillOnlyUsers`; then `KillUserProcesses`.
 */
export function isKilledAtLogout(settings: string, user: string): boolean {
  const listed = (key: string) =>
    valueIn(settings, key).split(" ").filter(Boolean);
  const excluded = listed("KillExcludeUsers");
  // loginctl shows an empty list for the default.
  if (excluded.length === 0 ? user === "root" : excluded.includes(user)) {
    return false;
  }
  const only = listed("KillOnlyUsers");
  if (only.length > 0) return only.includes(user);
  return valueIn(settings, "KillUserProcesses") === "yes";
}

/** The control group of this process, which names its systemd unit; empty without one. */
export function ownUnit(): string {
  const text = readSystemFile("/proc/self/cgroup") ?? "";
  return /^\d+:name=systemd:(.*)$/m.exec(text)?.[1] ??
    /^0::(.*)$/m.exec(text)?.[1] ?? "";
}

/** Tells whether a unit is a login's, which logind ends. */
export function isLogin(unit: string): boolean {
  return /\/session-[^/]+\.scope(\/|$)/.test(unit);
}

/**
 * Finds out whether a new session needs a scope of its own, and how to make it; `undefined` if
 * it needs none. Needs `--allow-run=/bin/sh` and `--allow-ffi`.
 *
 * @throws {SessionError} `spawn_failed` if `scope` is `always` and there can be none.
 */
export async function findScope(
  scope: Scope,
): Promise<ScopeLauncher | undefined> {
  const required = scope === "always";
  if (scope === "never") return undefined;
  if (!OS.hasSystemd) {
    if (!required) return undefined;
    throw noScope("it needs systemd");
  }
  try {
    if (!required && !isLogin(ownUnit())) return undefined;
    const { status, output } = await ask(QUESTION, [scope]);
    if (status !== 0) {
      if (!required) return undefined;
      throw noScope(
        status === 2
          ? "systemd-run is not on PATH"
          : status === -1
          ? "systemd does not answer"
          : "no user manager answers (systemctl --user)",
      );
    }
    if (!required && !isKilledAtLogout(output, valueIn(output, "User"))) {
      return undefined;
    }
    return {
      systemdRun: valueIn(output, "Run"),
      version: Number(/^systemd (\d+)/m.exec(output)?.[1] ?? 0),
      runtimeDir: valueIn(output, "Dir"),
      inheritedDir: valueIn(output, "Inherited") || undefined,
      required,
      timeoutMs: SCOPE_TIMEOUT_MS,
    };
  } catch (error) {
    // Without the permission to ask, start as on a machine without systemd.
    if (required || !(error instanceof Deno.errors.NotCapable)) throw error;
    return undefined;
  }
}

/** The error for a scope that can't be made. */
export function noScope(why: string): SessionError {
  return new SessionError(
    "spawn_failed",
    `Cannot start the session in a scope of its own: ${why}; with --scope auto it starts without one`,
  );
}

// These shells set no variables of their own: the agent would get them. systemd-run writes its
// errors to the file $1 and finds its manager by $2; the second shell undoes that.
const ENTER = `exec 2>"$1"; export XDG_RUNTIME_DIR="$2"; shift 2; exec "$@"`;
const ENTERED = `unset INVOCATION_ID XDG_RUNTIME_DIR; exec "$@"`;
const ENTERED_WITH_DIR =
  `unset INVOCATION_ID; export XDG_RUNTIME_DIR="$1"; shift; exec "$@"`;

/** Options of {@linkcode scopedCommand}. */
export interface ScopedOptions {
  /** The session's id, for the scope's description. */
  readonly id: string;
  /** A file for systemd-run's errors. */
  readonly log: string;
  /** The command's `XDG_RUNTIME_DIR`. */
  readonly runtimeDir: string | undefined;
}

/** The argument vector that enters a new scope and becomes `command` there. */
export function scopedCommand(
  launcher: ScopeLauncher,
  command: readonly string[],
  options: ScopedOptions,
): string[] {
  const { id, log, runtimeDir } = options;
  const flags = ["--user", "--scope", "--quiet", "--collect"];
  // The default is the whole command line with the prompt, which would go to the system's journal.
  flags.push("--no-ask-password", `--description=codex-session ${id}`);
  // From version 254 on, systemd-run replaces ${NAME} in arguments unless told not to.
  if (launcher.version >= 254) flags.push("--expand-environment=no");
  const entered = runtimeDir === undefined
    ? [ENTERED, "sh"]
    : [ENTERED_WITH_DIR, "sh", runtimeDir];
  return [
    ...["/bin/sh", "-c", ENTER, "sh", log, launcher.runtimeDir],
    ...[launcher.systemdRun, ...flags, "--"],
    ...["/bin/sh", "-c", ...entered, ...command],
  ];
}

/**
 * Kills a process that should have become the reaper, unless it has: `isReaper` tells by its
 * arguments. It is stopped first, so that it can't change in between.
 */
export async function giveUp(
  child: Deno.ChildProcess,
  isReaper: (argv: readonly string[]) => boolean,
): Promise<void> {
  signalChild(child, "SIGSTOP");
  for (let tries = 0; tries < 1000; tries++) {
    if (readEntry(child.pid)?.stopped !== false) break;
    await poll(-1, 0, 1);
  }
  const argv = readArgv(child.pid) ?? [];
  signalChild(child, isReaper(argv) ? "SIGCONT" : "SIGKILL");
}
