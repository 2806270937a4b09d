/**
 * Starts the agent of a terminal session on its pseudo-terminal, and ends as it did.
 *
 *     reaper ── relay ── sh ⇒ agent   (one process: a session leader, by setsid)
 *
 * A shell opens the slave, because Deno can't hand a descriptor to a child: it leads
 * a session without a terminal, so its first terminal becomes the controlling one
 * (Linux; on macOS too). Then it becomes the agent by exec. Whether that succeeded
 * comes through a pipe that the kernel closes at a successful exec.
 *
 * @module
 */
import type { AgentEnvironment } from "../process/environment.ts";
import { type Child, type ChildStatus, spawnLeader } from "../process/child.ts";
import {
  close,
  disableCoreDumps,
  getenv,
  kill,
  pipe,
  poll,
  POLLIN,
  read,
  resetSignal,
} from "../system/libc.ts";
import { hasLeftShell } from "../process/table.ts";
import { findProgram } from "../system/files.ts";
import { signalName } from "../system/signals.ts";

/** The shell's name in what it says. */
const NAME = "codex-session terminal";

// In dash the trap runs after a failed exec. The brace group's redirection leaves
// the shell a close-on-exec copy of 3, and the agent none.
const SCRIPT = `tty=$1; shift
trap 'echo "$?" >&3' 0
exec <>"$tty" >&0 2>&0
{ exec "$@"; } 3>&-`;

/** A started agent, or the exit status that stands for why it could not be. */
export type Started =
  | { readonly child: Child }
  | { readonly failure: number };

/**
 * Starts `argv` on the terminal at `slavePath`, in this process's environment as changed,
 * and waits until its exec has succeeded.
 */
export async function startAgent(
  slavePath: string,
  argv: readonly string[],
  environment: AgentEnvironment,
): Promise<Started> {
  const { env = {}, clearEnv = false } = environment;
  const { reader, writer } = pipe();
  let child: Child;
  let report: string;
  try {
    try {
      child = spawnLeader(["/bin/sh", "-c", SCRIPT, NAME, slavePath, ...argv], {
        env,
        clearEnv,
        third: writer,
      });
    } finally {
      close(writer);
    }
    report = await readToEnd(reader);
  } finally {
    close(reader);
  }
  if (report !== "") {
    await child.status;
    return { failure: Number(report) || 1 };
  }
  // A shell that can't report (bash, mksh) has ended with the status instead.
  const isShell = (argv: readonly string[]) => argv[2] === SCRIPT;
  if (
    Deno.build.os === "linux" && !await hasLeftShell(child.pid, isShell)
  ) {
    const { code, signal } = await child.status;
    if (signal === null && (code === 126 || code === 127)) {
      const path = env.PATH ?? (clearEnv ? undefined : getenv("PATH"));
      if (findProgram(argv[0] ?? "", { path }) === undefined) {
        return { failure: code };
      }
    }
  }
  return { child };
}

/** What a pipe gives until all who write to it have closed it. */
async function readToEnd(fd: number): Promise<string> {
  const buffer = new Uint8Array(256);
  let text = "";
  for (;;) {
    await poll(fd, POLLIN, -1);
    const count = read(fd, buffer);
    if (count === 0) return text.trim();
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
}

/** Signals whose default effect is not death: they can't have ended the agent. */
const HARMLESS = new Set(["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"]);

/** Ends this process as the agent has ended: by the same code, or the same signal. */
export function endAs({ signal, code }: ChildStatus): never {
  if (signal !== null && !HARMLESS.has(signalName(signal))) {
    try {
      disableCoreDumps();
      resetSignal(signal);
      kill(Deno.pid, signal);
      // Delivered before kill returns, or to another thread in the next instant.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    } catch {
      // Then the status has to say it.
    }
  }
  Deno.exit(code);
}
