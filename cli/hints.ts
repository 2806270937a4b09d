/**
 * What was probably meant by a wrong word, and what to do instead of what is not possible.
 *
 * A suggestion is only text, but people follow it without thinking. So a command or option that
 * destroys is never suggested for its spelling, only for a word that means the same.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { shellWord } from "./format.ts";

const DESTROYS: ReadonlySet<string> = new Set([
  ...["stop", "delete", "rm", "prune", "force", "all"],
]);

/** Words of other programs, by the command that they mean. */
const SYNONYMS: Readonly<Record<string, string>> = {
  run: "start new new-session spawn launch up",
  create: "codex",
  list: "status stat sessions top jobs list-sessions ls-sessions",
  show: "info inspect describe get",
  logs: "log tail cat output",
  attach: "connect resume reattach attach-session a open join watch",
  screen: "view capture capture-pane snapshot",
  send: "input type write say send-keys",
  events: "event monitor follow history",
  web: "serve browser ui gui",
  wait: "wait-for",
  stop: "kill terminate kill-session",
  delete: "remove del",
  doctor: "check diagnose",
  completions: "completion",
};

/** The command that was probably meant, of these names and aliases. */
export function nearestCommand(
  word: string,
  names: readonly string[],
): string | undefined {
  const same = Object.keys(SYNONYMS)
    .find((name) => SYNONYMS[name]!.split(" ").includes(word));
  return same ?? nearest(word, names);
}

/** The option that was probably meant, of these long names, as it is written. */
export function nearestOption(
  given: string,
  names: readonly string[],
): string | undefined {
  const near = given.startsWith("--")
    ? nearest(given.slice(2), names)
    : undefined;
  return near && `--${near}`;
}

/** The most similar name that is similar enough and doesn't destroy. */
function nearest(word: string, names: readonly string[]): string | undefined {
  if (word.length < 2) return undefined;
  const most = Math.max(1, Math.floor(word.length / 3));
  return names.filter((name) => !DESTROYS.has(name)).map((name) => {
    const isBeginning = name.startsWith(word) || word.startsWith(`${name}-`);
    return { name, edits: isBeginning ? 0 : editDistance(word, name) };
  }).filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits)[0]?.name;
}

/** How many letters to insert, delete, replace, or swap with their neighbour. */
export function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] &&
        from[i - 2] === to[j - 1];
      row[j] = Math.min(
        rows[i - 1]![j]! + 1,
        row[j - 1]! + 1,
        rows[i - 1]![j - 1]! + (isSame ? 0 : 1),
        isSwapped ? rows[i - 2]![j - 2]! + 1 : Infinity,
      );
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}

/** The error of `run` for a whole command line in one word, with how to give it. */
export function withWords(
  error: unknown,
  [line = "", more]: readonly string[],
): unknown {
  if (
    !(error instanceof SessionError && error.code === "program_not_found") ||
    more !== undefined || !/\S\s+\S/.test(line)
  ) return error;
  const isPlain = /^[\w\s@%+=:,./-]+$/.test(line);
  const words = isPlain ? line.trim() : `sh -c ${shellWord(line)}`;
  return withHint(error, `did you mean: codex-session run -- ${words}`);
}

/** The same error with a hint at the end of its line. */
export function withHint(error: SessionError, hint: string): SessionError {
  const { code, message, id, candidates, written } = error;
  const facts = { id, candidates, written, cause: error };
  return new SessionError(code, `${message}; ${hint}`, facts);
}

/**
 * The message of an error, or a notice, without the parts that name commands and options: for
 * models, which have tools, and for pages, which have buttons.
 */
export function withoutCommands(message: string): string {
  return message.split("; ")
    .filter((part, at) => at === 0 || !/\bcodex-session [a-z]/.test(part))
    .join("; ")
    .replace("use force (-f)", "use force")
    .replace(/, or use --[\w=-]+/, "")
    .replace(/: (?:give|set) them with -\S+$/, "");
}
