/**
 * Outliving the login manager: which sessions start in a scope of their own, and how.
 *
 * setsid(2) is not enough where systemd-logind ends, with a login, every process of the
 * login's control group (`KillUserProcesses=yes`). `systemd-run --user --scope` moves
 * itself into a new scope of the user manager and then becomes, by execve(2), the command
 * that it is given: the same process, kernel session, parent, descriptors. So the reaper's
 * held lock, its id and everything else about it stay as they are.
 *
 * Whether logind kills depends on its settings and on the user, never on lingering
 * (`manager_shall_kill` in its source, logind.conf(5)). Lingering decides how long the user
 * manager lives, and with it the scope: without it, until the user's last login ends.
 *
 * A wrong guess must cost nothing: where this process is in no login's control group, one
 * read of `/proc/self/cgroup` settles it. Only then the login manager is asked.
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

/** What starts a command in a scope of its own. */
export interface ScopeLauncher {
  /** The path of systemd-run(1). */
  readonly systemdRun: string;
  /** Its version. */
  readonly version: number;
  /** Where the user manager listens. */
  readonly runtimeDir: string;
  /** The caller's `XDG_RUNTIME_DIR`. */
  readonly inheritedDir: string | undefined;
  /** Failing to make the scope is an error; else the session starts without one. */
  readonly required: boolean;
  /** How long making it may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** How long making a scope may take. */
const SCOPE_TIMEOUT_MS = 10_000;

/** The properties of logind that tell whom it kills, and the command that shows them. */
export const LOGIND_SETTINGS =
  "loginctl show-session -p KillUserProcesses -p KillOnlyUsers -p KillExcludeUsers";

// Exits with 1 without a user manager, with 2 without systemd-run, with 3 without logind.
const QUESTION = `
dir=\${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
[ -S "$dir/systemd/private" ] || [ -S "$dir/bus" ] || exit 1
run=$(command -v systemd-run) || exit 2
[ "$1" = always ] || ${LOGIND_SETTINGS} || exit 3
echo "User=$(id -un)"; echo "Dir=$dir"; echo "Run=$run"
[ -z "\${XDG_RUNTIME_DIR+set}" ] || echo "Inherited=$XDG_RUNTIME_DIR"
"$run" --version`;

/**
 * Tells from {@linkcode LOGIND_SETTINGS} whether logind ends the processes of a user's
 * login with it. logind.conf(5): the excluded first, root among them unless they are named;
 * then the only ones; then everybody.
 */
export function isKilledAtLogout(settings: string, user: string): boolean {
  const listed = (key: string) =>
    valueIn(settings, key).split(" ").filter(Boolean);
  const excluded = listed("KillExcludeUsers");
  // Named or by default: loginctl shows an empty list for both.
  if (excluded.length === 0 ? user === "root" : excluded.includes(user)) {
    return false;
  }
  const only = listed("KillOnlyUsers");
  if (only.length > 0) return only.includes(user);
  return valueIn(settings, "KillUserProcesses") === "yes";
}

/** The unit of systemd that this process belongs to, as a path of control groups; empty without one. */
export function ownUnit(): string {
  const text = readSystemFile("/proc/self/cgroup") ?? "";
  return /^\d+:name=systemd:(.*)$/m.exec(text)?.[1] ??
    /^0::(.*)$/m.exec(text)?.[1] ?? "";
}

/** Tells whether a unit is that of a login, which is what logind ends. */
export function isLogin(unit: string): boolean {
  return /\/session-[^/]+\.scope(\/|$)/.test(unit);
}

/**
 * Decides whether a session that is about to start needs a scope of its own, and what
 * makes it; `undefined`: it starts without. Needs `--allow-run=/bin/sh` and `--allow-ffi`.
 *
 * @throws {SessionError} `spawn_failed` if it is to have one always and can't.
 */
export async function findScope(
  scope: Scope,
): Promise<ScopeLauncher | undefined> {
  const required = scope === "always";
  if (scope === "never") return undefined;
  if (!OS.hasSystemd) {
    if (!required) return undefined;
    throw noScope("it takes systemd, and so Linux");
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
    // Without the permission to ask, a session starts as it would without systemd.
    if (required || !(error instanceof Deno.errors.NotCapable)) throw error;
    return undefined;
  }
}

/** That there can be no scope, as an error. */
export function noScope(why: string): SessionError {
  return new SessionError(
    "spawn_failed",
    `Cannot start the session in a scope of its own: ${why}; with --scope auto it starts without one`,
  );
}

// No variable of its own: each would reach the agent. systemd-run tells of a failure in the
// file $1 and finds its manager by $2; the second shell undoes what that has changed.
const ENTER = `exec 2>"$1"; export XDG_RUNTIME_DIR="$2"; shift 2; exec "$@"`;
const ENTERED = `unset INVOCATION_ID XDG_RUNTIME_DIR; exec "$@"`;
const ENTERED_WITH_DIR =
  `unset INVOCATION_ID; export XDG_RUNTIME_DIR="$1"; shift; exec "$@"`;

/** How a command becomes one that enters a scope first. */
export interface ScopedOptions {
  /** The session's id, which the scope's description names. */
  readonly id: string;
  /** A file for what systemd-run has to say. */
  readonly log: string;
  /** The `XDG_RUNTIME_DIR` that the command is to have. */
  readonly runtimeDir: string | undefined;
}

/** The argument vector that enters a scope of its own and becomes `command` there. */
export function scopedCommand(
  launcher: ScopeLauncher,
  command: readonly string[],
  options: ScopedOptions,
): string[] {
  const { id, log, runtimeDir } = options;
  const flags = ["--user", "--scope", "--quiet", "--collect"];
  // The default is the whole command line, prompt included, and goes to the system's journal.
  flags.push("--no-ask-password", `--description=codex-session ${id}`);
  // Later versions would replace ${NAME} in the agent's arguments; earlier ones don't know this.
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
 * Kills what should have become the reaper, unless it has: `isReaper` tells by its
 * arguments. Stopped before it is looked at, so that it can't change in between.
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
