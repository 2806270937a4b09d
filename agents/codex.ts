/**
 * Codex: its program for each kind of session, and what is special about it.
 *
 * Three facts about Codex shaped code that treats all programs alike:
 *
 * - It asks its terminal where the cursor is, and waits 2 s for each answer: `screen/query.ts`
 *   answers while nobody is attached.
 * - It hides its environment from other processes, PR_SET_DUMPABLE of prctl(2):
 *   `process/members.ts` finds it by its reaper.
 * - It takes fast typing for a paste: `relay/typing.ts` pauses before Enter.
 *
 * @module
 */
import type { Agent, AgentStatus, CommandLines } from "./agent.ts";
import { idInCodexOutput, readCodexOutput } from "./codex_output.ts";
import {
  findOpenRollout,
  findRollout,
  homeOf,
  readRollout,
} from "./codex_rollout.ts";
import { splitCommandLine } from "./command_line.ts";
import { isUuid } from "./transcript.ts";
import { SessionError } from "../errors.ts";
import { basename } from "../std.ts";
import { checkKind, type Kind, KIND_NAMES, KINDS } from "../store.ts";
import { findProgram } from "../system/files.ts";
import { ask } from "../system/shell.ts";

/** Codex. Its markers: what it sets for tool calls, seen in version 0.169.0. */
export const CODEX: Agent = {
  name: "codex",
  programs: ["codex-exec", "codex-repl", "codex"],
  packages: /codex/,
  npmPackage: "@openai/codex",
  // deno-fmt-ignore
  markers: ["CODEX_CI", "CODEX_THREAD_ID", "CODEX_TOOL_CALL_ID", "CODEX_VERSION"],
  enterAfterMs: 130,
  tellsTerminal: true,
  commands: {
    exec: commandLines("exec", { needsPrompt: true }),
    repl: commandLines("repl", { canResume: false }),
    pty: commandLines("pty"),
  },
  idInArguments,
  findConversation: findOpenRollout,
  homeOf,
  findTranscript: findRollout,
  readLines: readRollout,
  homeVariable: "CODEX_HOME",
  idInOutput: idInCodexOutput,
  readOutput: readCodexOutput,
  ownOptions: /^--no-daemon$/,
  support: { status: "tried", answer: "tried", resume: "tried" },
  statusOfTitle,
  server: {
    // Both seen in version 0.169.0.
    isServer: (argv) =>
      isCodex(argv) && argv.includes("app-server") &&
      argv.includes("--managed-daemon"),
    isClient: (argv) =>
      isCodex(argv) && !argv.some((word) => ALONE.includes(word)),
    notice: (pid) =>
      `the work may go on in Codex's background server (process ${pid}); "codex agents" shows it`,
  },
};

/** By default, the title begins with a spinner while Codex works. It blinks while Codex is blocked. */
function statusOfTitle(title: string): AgentStatus | undefined {
  if (/^\[ [!.] \] Action Required\b/.test(title)) return { value: "blocked" };
  return /^[\u2801-\u28ff](\s|$)/.test(title)
    ? { value: "working" }
    : undefined;
}

function isCodex([program = ""]: readonly string[]): boolean {
  return basename(program) === "codex";
}

/** Words in the command line of a Codex that does its work itself. */
// deno-fmt-ignore
const ALONE: readonly string[] = [
  "--no-daemon", "features.daemon_auto_start=false", "exec", "e", "review", "app-server",
  "mcp-server",
];

/** The program of a kind. */
interface Program {
  /** The variable whose command line replaces it. */
  readonly variable: string;
  /** Programs with their leading arguments, the preferred one first. */
  readonly candidates: readonly (readonly [string, ...string[]])[];
  /** What to do if none is on PATH. */
  readonly advice: string;
}

const INSTALL = "install Codex (npm install -g @openai/codex)";

const PROGRAMS: Readonly<Record<Kind, Program>> = {
  exec: {
    variable: "CODEX_SESSION_EXEC",
    candidates: [["codex-exec"], ["codex", "exec"]],
    advice: INSTALL,
  },
  repl: {
    variable: "CODEX_SESSION_REPL",
    candidates: [["codex-repl"]],
    advice: "install it, or use: codex-session run -i COMMAND",
  },
  pty: {
    variable: "CODEX_SESSION_PTY",
    candidates: [["codex"]],
    advice: INSTALL,
  },
};

/**
 * The options that keep the full interface in one process: as the client of its background server
 * it would leave the work to that, which goes on after a stop. A Codex that knows `--no-daemon`
 * accepts it with `--version`, in 20 ms. The others start no server with this feature off.
 */
async function withoutServer(program: string): Promise<readonly string[]> {
  const question = 'exec "$1" --no-daemon --version';
  const { status } = await ask(question, [program]);
  return status === 0
    ? ["--no-daemon"]
    : ["-c", "features.daemon_auto_start=false"];
}

/**
 * The Codex program of a kind with its leading arguments: the command line in
 * `CODEX_SESSION_EXEC` (`_REPL`, `_PTY`), else the first program found on `PATH`. Needs
 * `--allow-env` and `--allow-read` of the directories on `PATH`; for kind `pty` also
 * `--allow-run=/bin/sh`, to ask Codex for an option.
 *
 * @throws {SessionError} `program_not_found`, with advice.
 * @throws {ArgumentError} if the variable does not hold a command line, or there is no such kind.
 *
 * @example
 * ```ts
 * import { codexProgram } from "./mod.ts";
 * Deno.env.set("CODEX_SESSION_EXEC", "my-agent --fast");
 * console.log(await codexProgram("exec")); // ["my-agent", "--fast"]
 * ```
 */
export async function codexProgram(kind: Kind): Promise<readonly string[]> {
  checkKind(kind);
  const { variable, candidates, advice } = PROGRAMS[kind];
  const override = Deno.env.get(variable);
  if (override) return splitCommandLine(override, variable);
  const path = Deno.env.get("PATH") ?? "";
  for (const candidate of candidates) {
    if (findProgram(candidate[0], { path }) === undefined) continue;
    if (!KINDS[kind].isTerminal) return candidate;
    return [...candidate, ...await withoutServer(candidate[0])];
  }
  const names = candidates.map(([name]) => `"${name}"`).join(" or ");
  throw new SessionError(
    "program_not_found",
    `Cannot find the Codex agent of kind ${kind}: ${names} is not on PATH; ${advice}, or set ${variable} to a command line`,
  );
}

/** The command lines that replace Codex in this environment, each as `VARIABLE=COMMAND`. */
export function codexOverrides(): string[] {
  return KIND_NAMES.flatMap((kind) => {
    const { variable } = PROGRAMS[kind];
    const command = Deno.env.get(variable);
    return command ? [`${variable}=${command}`] : [];
  });
}

/** What a program of Codex can do. */
interface Abilities {
  /** Whether it goes on with a conversation. */
  readonly canResume?: boolean;
  /** Whether it does so with a prompt only. */
  readonly needsPrompt?: boolean;
}

function commandLines(kind: Kind, abilities: Abilities = {}): CommandLines {
  const { canResume = true, needsPrompt = false } = abilities;
  return {
    program: () => codexProgram(kind),
    behind: ([...words]) => behind(kind, basename(words.at(-1) ?? "")),
    needsPrompt,
    start: (args) => args,
    resume: (id, prompt) => {
      if (!canResume || (needsPrompt && prompt === undefined)) return undefined;
      // A prompt may begin with a dash.
      const rest = prompt === undefined ? [] : ["--", prompt];
      return ["resume", id, ...rest];
    },
  };
}

/** What stands behind a `codex` that the user has named, in each version. */
const BEHIND: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  exec: ["exec"],
  pty: ["-c", "features.daemon_auto_start=false"],
};

function behind(kind: Kind, name: string): readonly string[] | undefined {
  if (name === `codex-${kind}`) return [];
  return /^codex-(exec|repl)$/.test(name) ? undefined : BEHIND[kind];
}

/** Options whose value is the next argument, as the help of version 0.169 lists them. */
const VALUED =
  /^(-[Cacimops]|--(add-dir|ask-for-approval|cd|color|config|cyber-access-program|disable|enable|image|local-provider|model|output-last-message|output-schema|profile|remote|remote-auth-token-env|sandbox|thread-source))$/;

/** `resume ID` and `exec resume ID`. A name instead of an id may belong to several. */
function idInArguments(args: readonly string[]): string | undefined {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const words = args.slice(0, end).filter((arg, at) =>
    !arg.startsWith("-") && !VALUED.test(args[at - 1] ?? "")
  );
  if (["exec", "e"].includes(words[0]!)) words.shift();
  // Everywhere else it is a word of a prompt.
  if (words[0] !== "resume" || args.includes("--last")) return undefined;
  const id = words[1] ?? args[end + 1];
  return isUuid(id) ? id : undefined;
}
