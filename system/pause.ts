/**
 * A pause that blocks the thread, for code that can't wait otherwise.
 *
 * @module
 */

/** Blocks for so many milliseconds. It sets no timer: the first one costs 9 ms. */
export function pause(ms: number): void {
  // Nothing ever wakes this.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
