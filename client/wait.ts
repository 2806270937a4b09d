/**
 * Waiting: for a session's end, for output or a screen that matches a pattern, for silence, for a
 * status or the end of a turn. Silence means neither output nor input.
 *
 * Each function subscribes first and looks then, so that it misses no change.
 *
 * @module
 */
import {
  checkCursor,
  existingPaths,
  followStreams,
  type LogCursor,
  type LogStream,
  readLogCursor,
} from "./logs.ts";
import type { LogPosition } from "./log_files.ts";
import { OutputSearch } from "./output_search.ts";
import { lastTraffic } from "./traffic.ts";
import { waitForStatus, waitForTurn } from "./wait_status.ts";
import { type EndState, type FinalState, watchSession } from "./watch.ts";
import {
  ArgumentError,
  checkInstance,
  checkObject,
  checkOptions,
  checkStrings,
  SessionError,
} from "../errors.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import type { SessionStatus } from "../events/status.ts";
import { STATUS_VALUES, type StatusValue } from "../screen/program_status.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import { checkTimeoutMs, startTimer } from "../system/async.ts";

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
  checkOptions(options);
  const { timeoutMs = Infinity, signal } = options;
  const deadline = performance.now() + checkTimeoutMs(timeoutMs);
  using watch = watchSession(pathsFor(id, options), { signal });
  for (;;) {
    const state = watch.finalState();
    if (state?.state === "deleted") throw noSuchSession(id);
    if (state !== undefined) return { id, state };
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw timedOut(id, timeoutMs, { hint: ": it is still running" });
    }
    await watch.next(leftMs);
  }
}

/** The error of a wait that has taken too long. */
export function timedOut(
  id: string,
  timeoutMs: number,
  { hint = "", cause }: { readonly hint?: string; readonly cause?: unknown } =
    {},
): SessionError {
  const time = timeoutMs < 1000 ? `${timeoutMs} ms` : `${timeoutMs / 1000} s`;
  const message = `Timed out after ${time} waiting for session "${id}"${hint}`;
  return new SessionError("timeout", message, { id, cause });
}

/** What {@linkcode waitFor} waits for. */
export type Condition =
  /** The session's end. */
  | { readonly for: "exit" }
  /** Output of either stream, each from its beginning, that matches a pattern; escape sequences are left out. */
  | { readonly for: "output"; readonly pattern: RegExp }
  /** Neither output nor input for so many milliseconds. */
  | { readonly for: "idle"; readonly idleMs: number }
  /** A terminal's screen, its lines joined by newlines, that matches a pattern. */
  | { readonly for: "screen"; readonly pattern: RegExp }
  /** What the program does, as `readStatus` tells it: one of these, also for a moment. */
  | { readonly for: "status"; readonly values: readonly StatusValue[] }
  /**
   * The end of the turn that began with the last input: the program is done, has failed, is blocked,
   * or idle after work. The end of a session that takes no input ends its turn.
   */
  | { readonly for: "turn" };

/** What {@linkcode waitFor} has found. */
export type Found =
  | {
    readonly for: "exit";
    /** How the session ended. */
    readonly state: EndState;
  }
  | {
    readonly for: "output";
    /** The match and its groups. */
    readonly match: RegExpExecArray;
    /** The stream that holds it. */
    readonly stream: LogStream;
    /** Where it begins: bytes from the beginning of the stream's log file. */
    readonly offset: number;
    /** Right behind the match: the starting point for the next one. */
    readonly cursor: LogCursor;
  }
  | {
    readonly for: "idle";
    /** The end of the output. */
    readonly cursor: LogCursor;
  }
  | {
    readonly for: "screen";
    /** The match and its groups. */
    readonly match: RegExpExecArray;
    /** The screen that matches. */
    readonly screen: ScreenText;
  }
  | {
    readonly for: "status";
    /** The status. */
    readonly status: SessionStatus;
    /** The place in the journal of events behind it. */
    readonly events: LogPosition | null;
  }
  | {
    readonly for: "turn";
    /** The status that has ended the turn; `null` if the program has stopped telling, or has ended. */
    readonly status: SessionStatus | null;
    /** How the session ended, if that has ended the turn. */
    readonly state?: EndState;
    /** The place in the journal of events behind that. */
    readonly events: LogPosition | null;
  };

/** Options of {@linkcode waitFor}. */
export interface WaitForOptions extends WaitOptions {
  /**
   * A starting point, see `readLogCursor`. Only output behind it can match; a screen counts
   * once there was output behind it, silence from its time on, a status if it was told behind it.
   *
   * @default {all that there was counts}
   */
  readonly since?: LogCursor;
  /**
   * Told while it waits for output, again and again: a later wait that starts there goes on with
   * this one, without the output that can't be a part of a match any more.
   */
  readonly onProgress?: (since: LogCursor) => void;
}

/**
 * Waits until a condition is true of a session, and returns what has made it true. Without
 * `since`, output that was written before counts, and so do silence, a status, and the end of a turn.
 *
 * Needs `--allow-read` of the root and, without `root`, `--allow-env`; for a screen also
 * `--allow-write` of the root.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if the session ends first; `timeout`;
 * `unsupported` for the screen of a session that has none, or a turn that nothing can tell of.
 * @throws {ArgumentError} if the condition or its pattern is malformed; {RangeError} for a negative time.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { createSession, waitFor } from "./mod.ts";
 * const { id } = await createSession({ command: ["sh", "-c", "echo port 80; sleep 9"] });
 * const { match } = await waitFor(id, { for: "output", pattern: /port (\d+)/ });
 * console.log(match[1]); // 80
 * ```
 */
export async function waitFor<C extends Condition>(
  id: string,
  condition: C,
  options: WaitForOptions = {},
): Promise<Extract<Found, { readonly for: C["for"] }>> {
  checkCondition(condition);
  checkOptions(options, { onProgress: "function" });
  checkCursor(options.since);
  const { timeoutMs = Infinity, signal } = options;
  const late = new AbortController();
  using _ = startTimer(checkTimeoutMs(timeoutMs), () => late.abort());
  const over = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    // The type follows from the condition, which TypeScript can't see.
    const where = { ...options, signal: over };
    return await find(id, condition, where) as never;
  } catch (error) {
    if (signal?.aborted || !late.signal.aborted) throw error;
    const hint = condition.for === "screen"
      ? (await import("../relay/connection.ts"))
        .suspendedHint(pathsFor(id, options))
      : "";
    throw timedOut(id, timeoutMs, { hint, cause: error });
  }
}

/** Where and how long {@linkcode find} looks. */
interface Search extends RootOptions {
  readonly since?: LogCursor;
  /** See {@linkcode WaitForOptions}. */
  readonly onProgress?: (since: LogCursor) => void;
  /** See {@linkcode WaitOptions}. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

async function find(
  id: string,
  condition: Condition,
  { root, since, onProgress, timeoutMs, signal }: Search,
): Promise<Found> {
  switch (condition.for) {
    case "exit": {
      const { state } = await waitForSession(id, { root, signal });
      return { for: "exit", state };
    }
    case "output": {
      const where = { root, since, onProgress, signal };
      return await findOutput(id, condition.pattern, where);
    }
    case "idle":
      await waitForIdle(pathsFor(id, { root }), condition.idleMs, {
        countsFrom: since === undefined ? 0 : since.at ?? Date.now(),
        signal,
      });
      return { for: "idle", cursor: readLogCursor(id, { root }) };
    case "screen": {
      const { matchIn, waitForScreen } = await import("./terminal.ts");
      const { pattern } = condition;
      const where = { root, since, timeoutMs, signal };
      const screen = await waitForScreen(id, pattern, where);
      return { for: "screen", match: matchIn(screen, pattern)!, screen };
    }
    case "status": {
      const where = { since: since?.events, signal };
      const paths = pathsFor(id, { root });
      const found = await waitForStatus(paths, condition.values, where);
      return { for: "status", ...found };
    }
    case "turn": {
      const where = { since: since?.events, at: since?.at, signal };
      const end = await waitForTurn(pathsFor(id, { root }), where);
      return { for: "turn", ...end };
    }
    default:
      condition satisfies never;
      throw new TypeError("unreachable");
  }
}

function checkCondition(condition: Condition): void {
  checkObject("condition", condition);
  const asked: unknown = condition.for;
  if (asked === "exit" || asked === "turn") return;
  if (asked === "idle") {
    const { idleMs } = condition as { readonly idleMs: number };
    checkTimeoutMs(idleMs, "idleMs");
  } else if (asked === "status") {
    const { values } = condition as { readonly values?: unknown };
    checkStrings("values", values);
    checkStatuses(values as readonly string[]);
  } else if (asked !== "output" && asked !== "screen") {
    throw new ArgumentError(
      "Unknown condition: wait for exit, turn, status, output, idle or screen",
    );
  } else {
    const { pattern } = condition as { readonly pattern?: unknown };
    checkInstance("pattern", pattern, RegExp);
  }
}

function checkStatuses(values: readonly string[]): void {
  if (values.length === 0) throw new ArgumentError("values must not be empty");
  for (const value of values) {
    if ((STATUS_VALUES as readonly string[]).includes(value)) continue;
    throw new ArgumentError(
      `Unknown status "${value}": use ${STATUS_VALUES.join(", ")}`,
    );
  }
}

async function findOutput(
  id: string,
  pattern: RegExp,
  { root, since, onProgress, signal }: Search,
): Promise<Found> {
  const searches = {
    stdout: new OutputSearch(pattern),
    stderr: new OutputSearch(pattern),
  };
  let cursor: LogCursor = since ?? { stdout: null, stderr: null };
  // Followed, not read: output between a look and a subscription would be missed.
  const streams = ["stdout", "stderr"] as const;
  const chunks = followStreams(existingPaths(id, { root }), streams, {
    since,
    signal,
  });
  try {
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) throw endedBefore(id, value, `writing ${pattern}`);
      const { stream, bytes, end } = value;
      const found = searches[stream].add(bytes, end);
      cursor = { ...cursor, [stream]: found?.end ?? end };
      if (found === undefined) {
        const { stdout, stderr } = searches;
        onProgress?.({
          ...cursor,
          stdout: stdout.start ?? cursor.stdout,
          stderr: stderr.start ?? cursor.stderr,
        });
        continue;
      }
      const { match, offset } = found;
      return { for: "output", match, stream, offset, cursor };
    }
  } finally {
    await chunks.return(undefined);
  }
}

async function waitForIdle(
  paths: Paths,
  idleMs: number,
  options: { readonly countsFrom: number; readonly signal: AbortSignal },
): Promise<void> {
  const { countsFrom, signal } = options;
  using watch = watchSession(paths, { signal });
  // Often enough to be late by a tenth at most.
  const everyMs = Math.max(10, idleMs / 10);
  let seen: string | undefined;
  let quietSince = 0;
  for (;;) {
    const now = performance.now();
    const last = lastTraffic(paths);
    // After the look: what it saw may be a later session's.
    const end = watch.finalState();
    if (end !== undefined) throw endedBefore(paths.id, end, "being idle");
    if (last.mark !== seen) {
      // The wall clock may be set, or differ from the disk's. So it only says how old the
      // traffic was at the first look; a time in the future counts as now.
      const ageMs = Date.now() - Math.max(last.at, countsFrom);
      quietSince = now - (seen === undefined ? Math.max(0, ageMs) : 0);
      seen = last.mark;
    }
    const leftMs = idleMs - (now - quietSince);
    if (leftMs <= 0) return;
    await watch.next(Math.min(leftMs, everyMs));
  }
}

function endedBefore(
  id: string,
  end: FinalState | undefined,
  what: string,
): SessionError {
  if (end?.state === "deleted") return noSuchSession(id);
  return new SessionError(
    "wrong_state",
    `Session "${id}" has ended without ${what}`,
    { id },
  );
}
