/**
 * The handshake: the report of a reaper that has just been started, and its meaning.
 *
 * The reaper reports through the named pipe `ready.pipe`: the process ids once they are
 * recorded, then the status of a failed exec, if it fails; see `reaper.ts`. It can't be a pipe
 * that the reaper inherits: a shell that waits for a child in the foreground would hold
 * it open as long as the agent lives, and the end of the pipe is the good news.
 *
 * @module
 */
import { endedWithin } from "./child.ts";
import { SessionError } from "../errors.ts";
import {
  poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  processExists,
  read,
} from "../system/libc.ts";
import { scriptCall, scriptPath } from "./reaper.ts";
import { resolve } from "../std.ts";
import { type Paths, type Pids, readEnding } from "../store.ts";
import { exists, readFile } from "../system/files.ts";
import { OS } from "../system/os.ts";
import { hasLeftShell } from "./table.ts";

/** How long to wait until a reaper has recorded the end of a dead agent: on a full disk it takes forever. */
export const RECORD_MS = 2_000;

/** The default limit of a start, in milliseconds. */
export const START_MS = 30_000;

/** The limits of a start. */
export interface StartLimits {
  /** How long it may take, in milliseconds. @default {30000} */
  readonly startTimeoutMs?: number;
  /** Cancels it. */
  readonly signal?: AbortSignal;
}

/** The report of a reaper. */
export type Handshake =
  /** It ended without a word: it may never have been a reaper. */
  | { readonly outcome: "silent" }
  /** It has taken too long. */
  | { readonly outcome: "late" }
  /** It failed, with what it said: a status, or nothing. */
  | { readonly outcome: "failed"; readonly report: string }
  /** The agent's exec has succeeded, as far as the shell can tell: it may not be sure. */
  | {
    readonly outcome: "started";
    readonly pids: Pids;
    readonly isSure: boolean;
  };

/**
 * Waits for the agent's exec to succeed or fail, or for the reaper to end.
 *
 * @param success The report of success: none from a shell, `ok` from a relay.
 * @throws the signal's reason, once it is aborted.
 */
export async function handshake(
  readyFd: number,
  isOver: () => boolean,
  success: "" | "ok",
  { startTimeoutMs = START_MS, signal }: StartLimits = {},
): Promise<Handshake> {
  const deadline = performance.now() + startTimeoutMs;
  const buffer = new Uint8Array(256);
  let text = "";
  for (;;) {
    const over = isOver();
    const bits = await poll(readyFd, POLLIN, 50);
    if (bits & POLLIN) {
      text += new TextDecoder().decode(
        buffer.subarray(0, read(readyFd, buffer)),
      );
      continue;
    }
    // Before the first writer opens the pipe, it looks hung up.
    const hungUp = (bits & (POLLHUP | POLLERR)) !== 0;
    if (over || (hungUp && text !== "")) return parseReport(text, success);
    signal?.throwIfAborted();
    if (performance.now() > deadline) return { outcome: "late" };
    // Not setTimeout(), whose first use takes 8 ms. poll(2) ignores a negative descriptor.
    if (bits !== 0) await poll(-1, 0, 1);
  }
}

function parseReport(text: string, success: "" | "ok"): Handshake {
  const [, reaper, agent, unsure, rest = ""] =
    /^(?:(\d+) (\d+)((?: \?)+)?\n)?([^]*)$/.exec(text)!;
  const report = rest.trim();
  if (agent === undefined && report === "") return { outcome: "silent" };
  if (agent === undefined || report !== success) {
    return { outcome: "failed", report };
  }
  return {
    outcome: "started",
    pids: { reaper: Number(reaper), agent: Number(agent) },
    isSure: unsure === undefined || success !== "",
  };
}

/**
 * For shells that can't report a failed exec (bash, mksh): tells whether the agent ended as such
 * a failure does, with the shell's own error message.
 */
export async function diedUnstarted(
  paths: Paths,
  pids: Pids,
  reaper: Deno.ChildProcess,
): Promise<boolean> {
  if (OS.hasProc) {
    const isShell = (argv: readonly string[]) =>
      scriptCall(argv)?.path === scriptPath(paths.dir);
    if (await hasLeftShell(pids.agent, isShell)) return false;
  } else if (processExists(pids.agent)) return false;
  await endedWithin(reaper, RECORD_MS);
  const code = exitCodeOf(paths);
  // The shell's message is in the agent's log, and begins with the path of the script.
  return (code === 126 || code === 127) &&
    (readFile(paths.stderr) ?? "").includes(scriptPath(paths.dir));
}

/** The agent's recorded exit code, -1 without one. */
export function exitCodeOf(paths: Paths): number {
  const ending = readEnding(paths);
  return ending !== undefined && "code" in ending ? ending.code : -1;
}

/** The error for a session that has not started in time. */
export function lateError(
  id: string,
  program: string,
  timeoutMs: number,
): SessionError {
  const why = `it has not started within ${timeoutMs / 1000} s`;
  const message = `Cannot start "${program}": ${why}`;
  return new SessionError("spawn_failed", message, { id });
}

/** The error for a session that did not start, by the status that its reaper has reported. */
export function startError(
  id: string,
  program: string,
  cwd: string,
  status: number,
  report: string,
): SessionError {
  const cannot = `Cannot start "${program}"`;
  if (status === 127) {
    let why = "not found on PATH";
    if (program.includes("/")) {
      why = exists(resolve(cwd, program))
        ? "the interpreter that its first line names is missing"
        : "no such file";
    }
    return new SessionError("program_not_found", `${cannot}: ${why}`, { id });
  }
  if (status === 126) {
    const why = "it is not an executable program (permission or format)";
    return new SessionError("not_executable", `${cannot}: ${why}`, { id });
  }
  const why = status === 125
    ? "its process id could not be recorded; is the disk full?"
    : `its supervisor ended early${report ? `: ${report}` : ""}`;
  return new SessionError("spawn_failed", `${cannot}: ${why}`, { id });
}
