/**
 * Command lines: as users write them into a variable, and with another conversation.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/**
 * Splits a command line into words as a shell does, with quotes and backslashes,
 * but without expanding anything.
 *
 * @throws {ArgumentError} if a quote is not closed, or there is no word.
 */
export function splitCommandLine(text: string, what: string): string[] {
  const words: string[] = [];
  const token =
    /\s+|'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+)|([^])/g;
  let word: string | undefined;
  for (const match of text.matchAll(token)) {
    const [all, single, double, escaped, plain, stray] = match;
    if (stray !== undefined) {
      throw new ArgumentError(
        `Invalid command line in ${what}: ${stray} at position ${match.index} has no end`,
      );
    }
    const part = single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ??
      plain;
    if (part !== undefined) word = (word ?? "") + part;
    else if (/^\s/.test(all) && word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  if (words.length === 0) {
    throw new ArgumentError(`Invalid command line in ${what}: it is empty`);
  }
  return words;
}

/**
 * The same arguments with another value of `--session-id`, if they have that option: an agent
 * refuses to begin a conversation again.
 */
export function withNewId(
  args: readonly string[],
  newId: string,
): readonly string[] {
  const name = "--session-id";
  return args.map((arg, at) => {
    if (args[at - 1] === name) return newId;
    return arg.startsWith(`${name}=`) ? `${name}=${newId}` : arg;
  });
}
