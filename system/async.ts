/**
 * Waiting: cancelled by an `AbortSignal`, or ended by a timer of any length.
 *
 * @module
 */
import { checkType } from "../errors.ts";
import { abortable as abortableOf } from "../std.ts";

/**
 * Waits for `promise` until `signal` is aborted; the promise itself goes on.
 *
 * @throws the signal's reason, once it is aborted.
 */
export async function abortable<T>(
  promise: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (signal === undefined) return await promise;
  // A caller's thenable that is not a Promise would be taken for an iterator.
  return await abortableOf(Promise.resolve(promise), signal);
}

/** The longest delay of setTimeout(), 24.8 days: with a longer one it fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `fire` after `ms` milliseconds, for `Infinity` never; disposing of it cancels that. */
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

/** Calls a function when the signal is aborted, until the result is disposed of. */
export function onAbort(
  signal: AbortSignal | undefined,
  call: () => void,
): Disposable {
  if (signal?.aborted) call();
  signal?.addEventListener("abort", call);
  return { [Symbol.dispose]: () => signal?.removeEventListener("abort", call) };
}

/** Waits for `ms` milliseconds. Rejects with the signal's reason when it is aborted. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = startTimer(ms, resolve);
  await abortable(promise, signal);
}

/** So long work may go on before other work gets its turn. */
const TURN_MS = 50;

/**
 * For long work: returns a function that waits a moment for other work, if that has had no turn for
 * a while. It rejects with the signal's reason once it is aborted.
 */
export function turnTaker(signal?: AbortSignal): () => Promise<void> {
  let since = performance.now();
  return async () => {
    signal?.throwIfAborted();
    if (performance.now() - since < TURN_MS) return;
    await sleep(0, signal);
    since = performance.now();
  };
}

/** Waits for `promise`, for `ms` at most: then gives `undefined`. The promise itself goes on. */
export async function within<T>(
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  using _ = startTimer(ms, () => resolve(undefined));
  return await Promise.race([promise, late]);
}

/** Checks a number of milliseconds; `Infinity` is allowed. */
export function checkTimeoutMs(timeoutMs: number, name = "timeoutMs"): number {
  checkType(name, timeoutMs ?? null, "number");
  if (timeoutMs >= 0) return timeoutMs;
  throw new RangeError(`Cannot wait for ${timeoutMs} ms: give 0 or more`);
}
