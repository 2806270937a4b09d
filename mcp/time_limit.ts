/**
 * How long a call may take: clients give one up after 60 s.
 *
 * @module
 */
import { parseDuration } from "../cli/format.ts";
import { ArgumentError } from "../errors.ts";
import { startTimer } from "../system/async.ts";
import type { Schema } from "./tool.ts";

/** The longest time of a call, in milliseconds. */
export const MOST_MS = 50_000;
const LEAST_MS = 100;

/** The argument `timeout`. */
export const TIMEOUT: Schema = {
  type: "string",
  maxLength: 20,
  description: "The longest time to wait, up to 50s. Default: 50s",
};

/** How long a call may take. */
export interface TimeLimit extends Disposable {
  /** Aborted when the time is up, the client has cancelled the call or is gone, or it is over. */
  readonly signal: AbortSignal;
  /** Tells whether only the time is up. */
  readonly isUp: () => boolean;
}

/**
 * The time limit of a call, 50 s unless it asks for less.
 *
 * @param timeout The argument.
 * @param cancelled Aborted when the client cancels the call, or is gone.
 * @throws {ArgumentError} if it asks for another one.
 */
export function timeLimit(
  timeout: string | undefined,
  cancelled: AbortSignal,
): TimeLimit {
  const ms = timeout === undefined ? MOST_MS : parseDuration(timeout);
  if (!(ms >= LEAST_MS && ms <= MOST_MS)) {
    throw new ArgumentError(
      `Invalid timeout "${timeout}": use 100ms to 50s, and call again with the returned cursor`,
    );
  }
  const late = new AbortController();
  const timer = startTimer(ms, () => late.abort());
  return {
    signal: AbortSignal.any([cancelled, late.signal]),
    isUp: () => late.signal.aborted && !cancelled.aborted,
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      late.abort();
    },
  };
}
