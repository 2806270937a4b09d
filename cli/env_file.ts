/**
 * The files of `--env-file`: what shells and dotenv files have in common.
 *
 *     # a comment
 *     export NAME=VALUE     # "export" may be there
 *     A='as it is'          # may span lines
 *     B="with \n and \""    # may span lines
 *
 * Nothing is expanded: a `$` is a `$`. Values are secrets: no error shows any part of a line.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** Blank lines, comments, and the white space before a name. */
const SPACE = /(?:[ \t\r\n]|#.*)*/y;
/** Narrow: a line of a secret that has lost its quotes must not become a name, which is stored. */
const NAME = /(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/y;
const SINGLE = /'([^']*)'/y;
const DOUBLE = /"((?:[^"\\]|\\[^])*)"/y;
/** Up to the end of the line, or a `#` after a blank. */
const BARE = /(?!['"])(?:[^\n#]|(?<![ \t])#)*/y;
const END = /[ \t\r]*(?:(?<=[ \t])#.*)?(?:\n|$)/y;

/** What a backslash means in double quotes; before all else, it is a backslash. */
const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: "\n", r: "\r", t: "\t" },
  ...{ '"': '"', "\\": "\\", $: "$", "`": "`", "\n": "" },
};

/**
 * The variables in the text of a file; the last of a name wins.
 *
 * @param file Its name, for errors.
 * @throws {ArgumentError} if a line is malformed; names the line by its number.
 */
export function parseEnvFile(
  text: string,
  file: string,
): Record<string, string> {
  const env: Record<string, string> = {};
  let at = text.startsWith("\ufeff") ? 1 : 0; // The mark of some editors.
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at += match[0].length;
    return match;
  };
  for (;;) {
    take(SPACE);
    if (at === text.length) return env;
    const line = text.slice(0, at).split("\n").length;
    const malformed = (why: string) =>
      new ArgumentError(`Invalid line ${line} in "${file}": ${why}`);
    const name = take(NAME)?.[1];
    if (name === undefined) throw malformed("use NAME=VALUE");
    const quote = text[at];
    const value = take(SINGLE)?.[1] ?? unescaped(take(DOUBLE)?.[1]) ??
      take(BARE)?.[0].trimEnd();
    if (value === undefined && (quote === "'" || quote === '"')) {
      throw malformed(`the quote ${quote} has no end`);
    }
    if (take(END) === null) {
      throw malformed("only a comment may follow the closing quote");
    }
    env[name] = value ?? "";
  }
}

function unescaped(text: string | undefined): string | undefined {
  return text?.replace(/\\([^])/g, (all, char) => ESCAPES[char] ?? all);
}
