/**
 * How often something may happen that a program causes as often as it likes.
 *
 * @module
 */

/** So many times within a second. No timer is needed. */
export class Allowance {
  readonly #perSecond: number;
  #since = -Infinity;
  #count = 0;

  /** Allows something so many times a second. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Tells whether it may happen now, and counts it. */
  take(): boolean {
    const now = performance.now();
    if (now - this.#since >= 1000) {
      this.#since = now;
      this.#count = 0;
    }
    return this.#count++ < this.#perSecond;
  }
}
