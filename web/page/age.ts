/**
 * How long ago something was, in the words of `codex-session list`.
 *
 * @module
 */

/** The units, the smallest first: its letter and its length. */
const UNITS = [["s", 1000], ["m", 60_000], ["h", 3_600_000], [
  "d",
  86_400_000,
]] as const;

/** `now`, `40s`, `2m`, `3h`, `4d`. */
export function ageText(ms: number): string {
  const unit = UNITS.findLast(([, length]) => ms >= length);
  return unit === undefined ? "now" : `${Math.floor(ms / unit[1])}${unit[0]}`;
}

/** When the text of an age is another one, in milliseconds from now. */
export function ageChangesIn(ms: number): number {
  const length = UNITS.findLast(([, length]) => ms >= length)?.[1] ?? 1000;
  return length - Math.max(0, ms) % length;
}
