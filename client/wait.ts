/**
 * Waiting for a session's end.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { noSuchSession, pathsFor, type RootOptions } from "../store.ts";
import { checkTimeoutMs, type EndState, watchSession } from "./watch.ts";

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
        `Session "${id}" has not ended within ${timeoutMs} ms: it runs on`,
        { id },
      );
    }
    await watch.next(leftMs);
  }
}
