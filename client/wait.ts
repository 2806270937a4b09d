/**
 * Waiting for a session's end, or for what it does: output that fits a pattern, silence,
 * what a terminal shows.
 *
 * Subscribes first and looks after that, so that no edge is missed.
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
  /** Ends the waiting. */
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
 * Waits until a session has ended and tells how; at once, if it already has. One
 * that is deleted meanwhile is `exited` too, if its end had been recorded. The
 * session itself is not touched. Needs `--allow-read` of the root and, without
 * `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found` if there is no such session, or none any more and its
 * ending is not known; `timeout`.
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
  /** Standard output, from its beginning, that fits a pattern; of a terminal, without its escape sequences. */
  | { readonly for: "output"; readonly pattern: RegExp }
  /** No output for so many milliseconds. */
  | { readonly for: "idle"; readonly idleMs: number }
  /** A terminal's screen, its lines joined by newlines, that fits a pattern. */
  | { readonly for: "screen"; readonly pattern: RegExp };

/**
 * Waits until something is true of a session. What has been true before counts, as
 * long as it still is.
 *
 * Needs `--allow-read` of the root and, without `root`, `--allow-env`; for a screen also
 * `--allow-write` of the root.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if the session ends before; `timeout`;
 * `unsupported` for the screen of a session that has none.
 * @throws {ArgumentError} if the condition or its pattern is none; {RangeError} for a negative time.
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
  const { timeoutMs, signal, root } = options;
  if (timeoutMs !== undefined) checkTimeoutMs(timeoutMs);
  using deadline = new Deadline(timeoutMs, signal);
  try {
    switch (condition.for) {
      case "output":
        return await waitForOutput(
          id,
          condition.pattern,
          deadline.signal,
          root,
        );
      case "idle":
        return await waitForIdle(
          pathsFor(id, { root }),
          condition.idleMs,
          deadline.signal,
        );
      case "screen": {
        const { waitForScreen } = await import("./terminal.ts");
        await waitForScreen(id, condition.pattern, {
          root,
          signal: deadline.signal,
        });
        return;
      }
      default:
        condition satisfies never;
    }
  } catch (error) {
    if (signal?.aborted || !deadline.signal.aborted) throw error;
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
      "Cannot wait for that: use exit, output, idle or screen",
    );
  } else if (!("pattern" in condition && condition.pattern instanceof RegExp)) {
    throw new ArgumentError("pattern must be a regular expression");
  }
}

/** A timeout and the caller's signal in one; disposing of it stops its clock. */
class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: Disposable;

  constructor(timeoutMs = Infinity, signal?: AbortSignal) {
    const over = new AbortController();
    this.#timer = startTimer(timeoutMs, () => over.abort());
    this.signal = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}

/** Text that a pattern may span, in characters: what is older is no longer looked at. */
const WINDOW = 256 * 1024;

async function waitForOutput(
  id: string,
  pattern: RegExp,
  signal: AbortSignal,
  root: string | undefined,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  // Followed, not read: what comes between a look and a subscription would be missed.
  for await (const bytes of followLog(id, { root, signal })) {
    text += decoder.decode(bytes, { stream: true });
    pattern.lastIndex = 0;
    if (pattern.test(withoutEscapes(text))) return;
    if (text.length > 2 * WINDOW) text = text.slice(-WINDOW);
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
  // Looks often enough to be late by a tenth.
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
      // The clock on the wall may be set, or be another one than the disk's: it only tells
      // how old the output was at the first look, and a time to come is now.
      const isFirst = seen === undefined;
      quietSince = now - (isFirst ? Math.max(0, Date.now() - output.at) : 0);
      seen = output.mark;
    }
    const leftMs = idleMs - (now - quietSince);
    if (leftMs <= 0) return;
    await watch.next(Math.min(leftMs, everyMs));
  }
}

/** When a session has written something last, or was started, and what changes with that. */
function lastOutput(paths: Paths): { readonly at: number; mark: string } {
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
