/**
 * Which program is the Codex agent of a kind on this machine.
 *
 * @module
 */
import { ArgumentError, SessionError } from "../errors.ts";
import type { Kind } from "../store.ts";

/** What to run for each kind, most wanted first; an override comes before all. */
const PROGRAMS: Readonly<
  Record<Kind, { variable: string; candidates: readonly string[][] }>
> = {
  exec: {
    variable: "CODEX_SESSION_EXEC",
    candidates: [["codex-exec"], ["codex", "exec"]],
  },
  repl: { variable: "CODEX_SESSION_REPL", candidates: [["codex-repl"]] },
  pty: {
    variable: "CODEX_SESSION_PTY",
    // In one process: its background server would go on working after a stop.
    candidates: [["codex", "-c", "features.daemon_auto_start=false"]],
  },
};

/**
 * The Codex program of a kind with its leading arguments: the command line in
 * `CODEX_SESSION_EXEC` (`_REPL`, `_PTY`), else what is found on `PATH`. Needs
 * `--allow-env` and `--allow-read` of the directories on `PATH`.
 *
 * @throws {SessionError} `program_not_found`, with what to install.
 * @throws {ArgumentError} if the override is not a command line.
 *
 * @example
 * ```ts
 * import { codexProgram } from "./mod.ts";
 * Deno.env.set("CODEX_SESSION_EXEC", "my-agent --fast");
 * console.log(codexProgram("exec")); // ["my-agent", "--fast"]
 * ```
 */
export function codexProgram(kind: Kind): readonly string[] {
  const { variable, candidates } = PROGRAMS[kind];
  const override = Deno.env.get(variable);
  if (override) return splitCommandLine(override, variable);
  const path = Deno.env.get("PATH") ?? "";
  for (const candidate of candidates) {
    if (isExecutable(candidate[0] ?? "", { path })) return candidate;
  }
  const names = candidates.map((words) => `"${words[0]}"`).join(" nor ");
  const install = kind === "repl"
    ? `install one, or use: codex-session run -i COMMAND`
    : "install Codex (npm install -g @openai/codex)";
  throw new SessionError(
    "program_not_found",
    `Cannot find the Codex agent of kind ${kind}: no ${names} on PATH; ${install}, or set ${variable} to a command line`,
  );
}

/** Where {@linkcode isExecutable} looks. */
export interface SearchOptions {
  /** The value of `PATH`. @default {"/usr/local/bin:/usr/bin:/bin"} */
  readonly path?: string;
  /** Where a relative path starts. @default {Deno.cwd()} */
  readonly cwd?: string;
}

/**
 * Tells whether a program, a path or a name that is looked for on `PATH`, is a file that
 * somebody may execute. Needs `--allow-read` of the directories.
 */
export function isExecutable(
  program: string,
  options: SearchOptions = {},
): boolean {
  const { path = "/usr/local/bin:/usr/bin:/bin", cwd = "." } = options;
  const folders = program.includes("/") ? [""] : path.split(":");
  return folders.some((folder) => {
    const file = folder === "" ? program : `${folder}/${program}`;
    try {
      const info = Deno.statSync(
        file.startsWith("/") ? file : `${cwd}/${file}`,
      );
      return info.isFile && ((info.mode ?? 0o111) & 0o111) !== 0;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      return false;
    }
  });
}

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
