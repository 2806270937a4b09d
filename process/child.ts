/**
 * Starting the leader of a session: `Deno.Command`, and by FFI what it can't do.
 *
 * A signal that the caller ignores stays ignored in what it starts, and a shell can't undo
 * that. So, while the leader starts, such signals have their default effect, and SIGHUP is
 * ignored if the leader is to survive hangups from its first instant. `Deno.Command` itself
 * resets SIGPIPE, calls setsid(2), and passes on environment variables of any bytes.
 *
 * Signal actions belong to the whole process: a signal that arrives in these one or two
 * milliseconds takes the changed effect. This is one reason why a Worker starts no session.
 *
 * Limitation: `Deno.Command` with `detached` also clears the supplementary groups of what
 * root starts (denoland/deno#36433).
 *
 * Needs `--allow-run` of the program and `--allow-ffi`.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { startTimer } from "../system/async.ts";
import {
  actionWith,
  getsid,
  setSignalAction,
  SIG_DFL,
  SIG_IGN,
  signalAction,
} from "../system/libc.ts";
import { SIGNALS } from "../system/signals.ts";

/** How a process ended: with a code, or by a signal, whose code is then 128 and its number. */
export interface ChildStatus {
  /** The exit code. */
  readonly code: number;
  /** The signal's number. */
  readonly signal: number | null;
}

/** How a child ended, once it has. */
export async function endOf(child: Deno.ChildProcess): Promise<ChildStatus> {
  try {
    const { code, signal } = await child.status;
    return { code, signal: signal === null ? null : code - 128 };
  } catch (error) {
    // Deno has no names for real-time signals, and throws.
    const number = /^Invalid signal: (\d+)$/.exec(messageOf(error))?.[1];
    if (number === undefined) throw error;
    return { code: 128 + Number(number), signal: Number(number) };
  }
}

/** Waits until a child has ended, but no longer than `timeoutMs`. */
export async function endedWithin(
  child: Deno.ChildProcess,
  timeoutMs: number,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = startTimer(timeoutMs, resolve);
  // Where the host ignores SIGCHLD nobody can tell how it ended: it has.
  await Promise.race([endOf(child).catch(() => {}), promise]);
}

/** Sends a signal to a child, if it has not ended. */
export function signalChild(
  child: Deno.ChildProcess,
  signal: Deno.Signal,
): void {
  try {
    child.kill(signal);
  } catch (error) {
    // Deno knows of its end already, or will in a moment.
    const hasEnded = error instanceof TypeError ||
      error instanceof Deno.errors.NotFound;
    if (!hasEnded) throw error;
  }
}

/** Options of {@linkcode spawnLeader}. */
export interface LeaderOptions {
  /** The working directory. @default {the caller's} */
  readonly cwd?: string;
  /** Environment variables, added to the caller's. @default {{}} */
  readonly env?: Readonly<Record<string, string>>;
  /** Start from an empty environment instead of the caller's. @default {false} */
  readonly clearEnv?: boolean;
  /** Start with SIGHUP ignored. @default {false} */
  readonly ignoreHangup?: boolean;
  /** Its standard output. @default {"null"} */
  readonly stdout?: "null" | "piped";
}

/**
 * Starts the program at the path `argv[0]` as the leader of a session of its own: no terminal,
 * standard streams on `/dev/null`, no standard signal ignored but SIGHUP on demand, none blocked.
 * It inherits every descriptor that this process has open without close-on-exec.
 *
 * @throws {Deno.errors.NotFound} and others if the program or the working directory is missing.
 * @throws {Deno.errors.NotCapable} without the permission, or if only some programs may run and
 * an `LD_…` variable is set.
 */
export function spawnLeader(
  argv: readonly string[],
  options: LeaderOptions = {},
): Deno.ChildProcess {
  const { cwd, env, clearEnv, ignoreHangup = false, stdout = "null" } = options;
  const [program = "", ...args] = argv;
  let child: Deno.ChildProcess;
  try {
    using _ = lendSignals(ignoreHangup);
    child = new Deno.Command(program, {
      args,
      cwd,
      env,
      clearEnv,
      detached: true,
      stdin: "null",
      stdout,
      stderr: "null",
    }).spawn();
  } catch (error) {
    throw explainLoader(error, program);
  }
  // It may throw, see endOf(), and the caller need not wait for it.
  child.status.catch(() => {});
  if (getsid(child.pid) !== child.pid) {
    signalChild(child, "SIGKILL");
    throw new Error(`Cannot start "${program}": setsid had no effect`);
  }
  return child;
}

/** Deno resets SIGPIPE itself; the other two can't be changed. */
const UNTOUCHED: readonly string[] = ["PIPE", "KILL", "STOP"];

/** Gives signals the actions that a leader is to start with, until disposed of. sigaction(2) */
function lendSignals(ignoreHangup: boolean): Disposable {
  const undo: (() => void)[] = [];
  for (const [name, signal] of Object.entries(SIGNALS)) {
    if (UNTOUCHED.includes(name)) continue;
    const before = signalAction(signal);
    const isIgnored = before[0] === SIG_IGN;
    const ignore = ignoreHangup && name === "HUP";
    if (isIgnored === ignore) continue;
    const handler = ignore ? SIG_IGN : SIG_DFL;
    setSignalAction(signal, actionWith(handler));
    undo.push(() => {
      // The first start of a child has Deno handle SIGCHLD: that must stay.
      const isOurs = signalAction(signal)[0] === handler;
      if (isOurs) setSignalAction(signal, before);
    });
  }
  return { [Symbol.dispose]: () => undo.forEach((restore) => restore()) };
}

/** Says what to do if Deno refuses to start a program because of `LD_…` variables. */
function explainLoader(error: unknown, program: string): unknown {
  if (!(error instanceof Deno.errors.NotCapable)) return error;
  const names = error.message.match(/\b(LD|DYLD)_\w*/g);
  if (names === null) return error;
  return new Deno.errors.NotCapable(
    `Cannot start "${program}" with ${
      names.join(", ")
    } in the environment: Deno wants --allow-run for all programs then; allow that, or unset ${
      names.length > 1 ? "them" : "it"
    }`,
    { cause: error },
  );
}
