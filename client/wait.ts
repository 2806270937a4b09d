/**
 * Waiting: for a session's end, for output or a screen that matches a pattern, for silence.
 *
 * Each function subscribes first and looks then, so that it misses no change.
 *
 * @module
 */
import { followLog } from "./logs.ts";
import { type EndState, watchSession } from "./watch.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import { checkTimeoutMs, startTimer } from "../system/async.ts";
import { statOptional } from "../system/files.ts";

/** Options of {@linkcode waitForSession}. */
export interface WaitOptions extends RootOptions {
  /**
   * The longest time to wait, in milliseconds; 0 only looks.
   *
   * @default {Infinity}
   */
  readonly timeoutMs?: number;
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

/** A session that is over. */
export interface WaitResult {
  /** Its id. */
  readonly id: string;
  /** How it ended: `exited` with code or signal, or `lost`. */
  readonly state: EndState;
}

/**
 * Waits until a session has ended, and returns how; at once if it already has. A session
 * that is deleted meanwhile counts as `exited` if its end was recorded. The
 * session itself is not touched. Needs `--allow-read` of the root and, without
 * `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found` if there is no such session, or it was deleted without a
 * record of its end; `timeout`.
 * @throws {ArgumentError} if the id is malformed; {RangeError} if the timeout is negative.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { pathsFor, spawnExec, waitForSession } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["-c", "exit 3"], { program: "sh" });
 * console.log(await waitForSession("demo", { root })); // … { code: 3 }
 * ```
 */
export async function waitForSession(
  id: string,
  options: WaitOptions = {},
): Promise<WaitResult> {
  const { timeoutMs = Infinity, signal } = options;
  const deadline = performance.now() + checkTimeoutMs(timeoutMs);
  using watch = watchSession(pathsFor(id, options), { signal });
  for (;;) {
    const state = watch.finalState();
    if (state?.state === "deleted") throw noSuchSession(id);
    if (state !== undefined) return { id, state };
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new SessionError(
        "timeout",
        `Timed out after ${timeoutMs} ms waiting for session "${id}": it is still running`,
        { id },
      );
    }
    await watch.next(leftMs);
  }
}

/** What {@linkcode waitFor} waits for. */
export type Condition =
  /** The session's end. */
  | { readonly for: "exit" }
  /** Standard output, from its beginning, that matches a pattern; escape sequences are left out. */
  | { readonly for: "output"; readonly pattern: RegExp }
  /** No output for so many milliseconds. */
  | { readonly for: "idle"; readonly idleMs: number }
  /** A terminal's screen, its lines joined by newlines, that matches a pattern. */
  | { readonly for: "screen"; readonly pattern: RegExp };

/**
 * Waits until a condition is true of a session. Output that was written before counts, and so
 * does silence.
 *
 * Needs `--allow-read` of the root and, without `root`, `--allow-env`; for a screen also
 * `--allow-write` of the root.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if the session ends first; `timeout`;
 * `unsupported` for the screen of a session that has none.
 * @throws {ArgumentError} if the condition or its pattern is malformed; {RangeError} for a negative time.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { createSession, waitFor } from "./mod.ts";
 * const { id } = await createSession({ command: ["sh", "-c", "echo ready; sleep 9"] });
 * await waitFor(id, { for: "output", pattern: /^ready$/m }, { timeoutMs: 5000 });
 * ```
 */
export async function waitFor(
  id: string,
  condition: Condition,
  options: WaitOptions = {},
): Promise<void> {
  checkCondition(condition);
  if (condition.for === "exit") {
    await waitForSession(id, options);
    return;
  }
  const { timeoutMs = Infinity, signal, root } = options;
  const late = new AbortController();
  using _ = startTimer(checkTimeoutMs(timeoutMs), () => late.abort());
  const over = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    switch (condition.for) {
      case "output":
        return await waitForOutput(id, condition.pattern, over, root);
      case "idle":
        return await waitForIdle(
          pathsFor(id, { root }),
          condition.idleMs,
          over,
        );
      case "screen": {
        const { waitForScreen } = await import("./terminal.ts");
        await waitForScreen(id, condition.pattern, { root, signal: over });
        return;
      }
      default:
        condition satisfies never;
    }
  } catch (error) {
    if (signal?.aborted || !late.signal.aborted) throw error;
    throw new SessionError(
      "timeout",
      `Timed out after ${timeoutMs} ms waiting for session "${id}"`,
      { id, cause: error },
    );
  }
}

function checkCondition(condition: Condition): void {
  const asked: unknown = condition?.for;
  if (asked === "exit") return;
  if (asked === "idle") {
    checkTimeoutMs((condition as { readonly idleMs: number }).idleMs);
  } else if (asked !== "output" && asked !== "screen") {
    throw new ArgumentError(
      "Unknown condition: wait for exit, output, idle or screen",
    );
  } else if (!("pattern" in condition && condition.pattern instanceof RegExp)) {
    throw new ArgumentError("pattern must be a regular expression");
  }
}

/** A match may span this much of the output, in characters; older output is forgotten. */
const WINDOW_LENGTH = 256 * 1024;

async function waitForOutput(
  id: string,
  pattern: RegExp,
  signal: AbortSignal,
  root: string | undefined,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  // Followed, not read: output between a look and a subscription would be missed.
  for await (const bytes of followLog(id, { root, signal })) {
    text += decoder.decode(bytes, { stream: true });
    pattern.lastIndex = 0;
    if (pattern.test(withoutEscapes(text))) return;
    if (text.length > 2 * WINDOW_LENGTH) text = text.slice(-WINDOW_LENGTH);
  }
  signal.throwIfAborted();
  throw endedBefore(id, `writing ${pattern}`);
}

/** Text without a terminal's control sequences (ECMA-48) and carriage returns. */
function withoutEscapes(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\x1b\r]/.test(text)) return text;
  return text.replace(
    // deno-lint-ignore no-control-regex
    /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\r/g,
    "",
  );
}

async function waitForIdle(
  paths: Paths,
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  using watch = watchSession(paths, { signal });
  // Often enough to be late by a tenth at most.
  const everyMs = Math.max(10, idleMs / 10);
  let seen: string | undefined;
  let quietSince = 0;
  for (;;) {
    if (watch.finalState() !== undefined) {
      throw endedBefore(paths.id, "being idle");
    }
    const now = performance.now();
    const output = lastOutput(paths);
    if (output.mark !== seen) {
      // The wall clock may be set, or differ from the disk's. So it only says how old the
      // output was at the first look; a time in the future counts as now.
      const isFirst = seen === undefined;
      quietSince = now - (isFirst ? Math.max(0, Date.now() - output.at) : 0);
      seen = output.mark;
    }
    const leftMs = idleMs - (now - quietSince);
    if (leftMs <= 0) return;
    await watch.next(Math.min(leftMs, everyMs));
  }
}

/** When a session was started or last wrote something, and a mark that changes with every write. */
function lastOutput(
  paths: Paths,
): { readonly at: number; readonly mark: string } {
  const files = [paths.pid, paths.stdout, paths.stderr].map(statOptional);
  const times = files.map((info) => info?.mtime?.getTime() ?? 0);
  const sizes = files.map((info) => info?.size);
  return { at: Math.max(...times), mark: [...times, ...sizes].join() };
}

function endedBefore(id: string, what: string): SessionError {
  return new SessionError(
    "wrong_state",
    `Session "${id}" has ended without ${what}`,
    { id },
  );
}
