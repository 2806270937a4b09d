/**
 * The lines of a screen that were not there before: what a program has answered.
 *
 * A program that writes line by line scrolls what was there; one that draws the whole screen
 * leaves some lines alone and changes others. Both are told by the longest common subsequence
 * of the lines before and after: what is not in it is new.
 *
 * @module
 */

/** The lines of `shown` that were not there `earlier`, without blanks at their ends and around them. */
export function newLines(
  earlier: readonly string[],
  shown: readonly string[],
): string[] {
  const [before, after] = [earlier, shown].map((lines) =>
    lines.map((line) => line.trimEnd())
  ) as [string[], string[]];
  let start = 0;
  const least = Math.min(before.length, after.length);
  while (start < least && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < least - start && before.at(-1 - end) === after.at(-1 - end)
  ) end++;
  return added(
    before.slice(start, before.length - end).filter((line) => line !== ""),
    after.slice(start, after.length - end),
  );
}

/** So many pairs of lines are compared at most, from the top. What is below them is new. */
const MAX_PAIRS = 4_000_000;

/** What is left of `after` without its longest common subsequence with `before`. */
function added(before: readonly string[], after: readonly string[]): string[] {
  const compared = Math.min(
    after.length,
    Math.floor(MAX_PAIRS / (before.length + 1)),
  );
  const width = compared + 1;
  // lengths[i * width + j]: of that of before[i…] and after[j…].
  const lengths = new Uint16Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = compared - 1; j >= 0; j--) {
      const at = i * width + j;
      lengths[at] = before[i] === after[j]
        ? lengths[at + width + 1]! + 1
        : Math.max(lengths[at + width]!, lengths[at + 1]!);
    }
  }
  const lines: string[] = [];
  // A blank line belongs to the new lines that it stands between.
  let blanks: string[] | undefined;
  for (let i = 0, j = 0; j < after.length;) {
    const at = i * width + j;
    const isCompared = i < before.length && j < compared;
    if (isCompared && before[i] === after[j]) {
      blanks = undefined;
      i++;
      j++;
    } else if (
      isCompared && lengths[at + width]! > lengths[at + 1]!
    ) i++;
    else {
      const line = after[j++]!;
      if (line === "") blanks?.push(line);
      else {
        lines.push(...blanks ?? [], line);
        blanks = [];
      }
    }
  }
  return lines;
}
