/**
 * Starts the agent of a terminal session on its pseudo-terminal, and ends as it did.
 *
 *     reaper ── relay ── sh ⇒ agent   (one process: a session leader, by setsid)
 *
 * A shell opens the slave, because Deno can't pass a descriptor to a child. It leads a session
 * without a terminal, so the first terminal that it opens becomes the controlling one. Then it
 * becomes the agent by exec. Its standard output is a pipe to this process at first, on which it
 * reports a failed exec; the kernel closes it at a successful one.
 *
 * @module
 */
import type { AgentEnvironment } from "../process/environment.ts";
import { type ChildStatus, endOf, spawnLeader } from "../process/child.ts";
import { disableCoreDumps, getenv, kill, resetSignal } from "../system/libc.ts";
import { OS } from "../system/os.ts";
import { pause } from "../system/pause.ts";
import { hasLeftShell } from "../process/table.ts";
import { findProgram } from "../system/files.ts";
import { signalName } from "../system/signals.ts";

/** The shell's name in its error messages. */
const NAME = "codex-session terminal";

// In dash the trap runs after a failed exec. The brace group's redirection leaves
// the shell a close-on-exec copy of 3, and the agent none.
const SCRIPT = `tty=$1; shift
exec 3>&1
trap 'echo "$?" >&3' 0
exec <>"$tty" >&0 2>&0
{ exec "$@"; } 3>&-`;

/** A started agent, or the exit status that tells why it could not be started. */
export type Started =
  | { readonly child: Deno.ChildProcess }
  | { readonly failure: number };

/**
 * Starts `argv` on the terminal at `slavePath` and waits until its exec has succeeded. A
 * variable that is `undefined` in `environment` is removed from this process's, too:
 * `Deno.Command` can't leave out a single one.
 */
export async function startAgent(
  slavePath: string,
  argv: readonly string[],
  environment: AgentEnvironment,
): Promise<Started> {
  const { clearEnv } = environment;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment.env ?? {})) {
    if (value === undefined) Deno.env.delete(name);
    else env[name] = value;
  }
  const shell = ["/bin/sh", "-c", SCRIPT, NAME, slavePath];
  const child = spawnLeader([...shell, ...argv], {
    env,
    clearEnv,
    stdout: "piped",
  });
  const report = (await new Response(child.stdout).text()).trim();
  if (report !== "") {
    await endOf(child);
    return { failure: Number(report) || 1 };
  }
  // A shell that can't report (bash, mksh) ends with that status instead.
  const isShell = (argv: readonly string[]) => argv[2] === SCRIPT;
  if (
    OS.hasProc && !await hasLeftShell(child.pid, isShell)
  ) {
    const { code, signal } = await endOf(child);
    if (signal === null && (code === 126 || code === 127)) {
      if (!hasProgram(argv, environment)) return { failure: code };
    }
  }
  return { child };
}

/** Tells whether there is an executable program to start. */
export function hasProgram(
  argv: readonly string[],
  { env = {}, clearEnv }: AgentEnvironment,
): boolean {
  const path = env.PATH ?? (clearEnv ? undefined : getenv("PATH"));
  return findProgram(argv[0] ?? "", { path }) !== undefined;
}

/** Signals whose default effect is not to end a process: they can't have ended the agent. */
const HARMLESS = new Set(["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"]);

/** Ends this process as the agent has ended: by the same code, or the same signal. */
export function endAs({ signal, code }: ChildStatus): never {
  if (signal !== null && !HARMLESS.has(signalName(signal))) {
    try {
      disableCoreDumps();
      resetSignal(signal);
      kill(Deno.pid, signal);
      // It arrives before kill() returns, or in another thread a moment later.
      pause(500);
    } catch {
      // Then the exit status must tell.
    }
  }
  Deno.exit(code);
}
