/**
 * A command line as somebody types it in a view, split into words. Pure: the page in the browser
 * uses it, too.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** A quoted part, an escaped character, or plain text. */
const PARTS = /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+)|(\s+)/gy;

/**
 * The words of a command line, with quotes and backslashes as in sh(1). Nothing is expanded: `$HOME`,
 * `*` and `;` are text. For those, run a shell: `sh -c '…'`.
 *
 * @throws {ArgumentError} if a quote isn't closed, or nothing follows a backslash.
 *
 * @example
 * ```ts
 * import { splitCommand } from "./views/split_command.ts";
 * console.log(splitCommand(`echo 'a b' "c\\"d" e\\ f`)); // ["echo", "a b", 'c"d', "e f"]
 * ```
 */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let end = 0;
  for (const match of line.matchAll(PARTS)) {
    end = match.index + match[0].length;
    const [, single, double, escaped, plain, blank] = match;
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    // In double quotes a backslash stays before any other character; before a newline both go.
    const part = single ??
      double?.replace(/\\(?:\n|([$`"\\]))/g, "$1") ??
      (escaped === "\n" ? "" : escaped) ??
      plain!;
    if (escaped !== "\n") word = (word ?? "") + part;
  }
  if (end < line.length) {
    throw new ArgumentError(
      line[end] === "\\"
        ? "Invalid command: nothing follows the backslash at its end"
        : `Invalid command: the quote ${line[end]} is not closed`,
    );
  }
  if (word !== undefined) words.push(word);
  return words;
}
