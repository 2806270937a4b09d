/**
 * Waiting that can be ended: by a signal, or by a timer that takes any number of milliseconds.
 *
 * @module
 */
import { checkType } from "../errors.ts";

/**
 * Waits for `promise`, but no longer than `signal` allows; the promise itself goes on.
 *
 * @throws the signal's reason, once it is aborted.
 */
export async function abortable<T>(
  promise: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The longest time that setTimeout() takes, 24.8 days: for more it fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `fire` once so many milliseconds are over, `Infinity` never; disposing of it stops that. */
export function startTimer(ms: number, fire: () => void): Disposable {
  const end = performance.now() + ms;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wind = () => {
    const leftMs = end - performance.now();
    if (leftMs > 0) timer = setTimeout(wind, Math.min(leftMs, LONGEST_MS));
    else fire();
  };
  if (ms !== Infinity) timer = setTimeout(wind, Math.min(ms, LONGEST_MS));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Waits so long. Rejects with the signal's reason, once it is aborted. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = startTimer(ms, resolve);
  await abortable(promise, signal);
}

/** Waits for `promise`, but no longer than so: then for `undefined`. The promise itself goes on. */
export async function within<T>(
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  using _ = startTimer(ms, () => resolve(undefined));
  return await Promise.race([promise, late]);
}

/** Checks a number of milliseconds to wait; `Infinity` is one. */
export function checkTimeoutMs(timeoutMs: number): number {
  checkType("timeoutMs", timeoutMs, "number");
  if (timeoutMs >= 0) return timeoutMs;
  throw new RangeError(`Cannot wait for ${timeoutMs} ms: give 0 or more`);
}
