/**
 * The shape of an entry in `agents.ts`. It holds only what the project uses; other facts about
 * an agent are comments in its file.
 *
 * @module
 */
import type { Transcript } from "./transcript.ts";
import type { BlockedKind, StatusValue } from "../screen/program_status.ts";
import type { Kind } from "../store.ts";

/** A background server of an agent: a session that is its client leaves the work to it. */
export interface AgentServer {
  /** Tells whether this is the command line of such a server. */
  readonly isServer: (argv: readonly string[]) => boolean;
  /** Tells whether this is the command line of what is its client while there is one. */
  readonly isClient: (argv: readonly string[]) => boolean;
  /** What to say when a client has been stopped, and the server goes on. */
  readonly notice: (serverPid: number) => string;
}

/** An agent program, as this project knows it. */
export interface Agent {
  /** Its name for users and in records: small letters. */
  readonly name: string;
  /** Its programs, as they are found on PATH. */
  readonly programs: readonly string[];
  /** Fits the names of its npm packages. */
  readonly packages: RegExp;
  /** The npm package that holds its program. */
  readonly npmPackage: string;
  /**
   * Variables by which its tool calls know their agent, and by which a nested agent would take
   * itself for a part of it. Sessions don't inherit them. Not the user's settings. `NAME_*` means
   * all that begin so.
   */
  readonly markers: readonly string[];
  /**
   * How long to wait between typed text and Enter, in milliseconds: an agent that takes fast
   * typing for a paste would paste a faster Enter, too.
   *
   * @default {0}
   */
  readonly enterAfterMs?: number;
  /**
   * Whether it tells its terminal its status as soon as it takes input (OSC 7501).
   *
   * @default {false}
   */
  readonly tellsTerminal?: boolean;
  /**
   * Its background server.
   *
   * @default {undefined}
   */
  readonly server?: AgentServer;
  /** How it is started, for each kind of session that it has a program for. */
  readonly commands: Readonly<Partial<Record<Kind, CommandLines>>>;
  /** The conversation that its arguments name for certain: a new one's chosen id, or an old one. */
  readonly idInArguments: (args: readonly string[]) => string | undefined;
  /**
   * The conversation that a living process is having, by what that process holds open or has
   * recorded about itself.
   */
  readonly findConversation?: (process: AgentProcess) => Found | undefined;
  /** The folder in which it keeps its records, by its environment; absolute. */
  readonly homeOf?: (env: Environment) => string | undefined;
  /** The record of a conversation in such a folder, found by its id. */
  readonly findTranscript?: (id: string, home: string) => string | undefined;
  /** The variable that names this folder. */
  readonly homeVariable?: string;
  /**
   * What the title of its terminal means, for versions that don't report by OSC 7501; `undefined`
   * if nothing. The title is harmless and bounded.
   */
  readonly statusOfTitle?: (title: string) => AgentStatus | undefined;
  /** What the lines of a record tell; the last line comes first, see `linesFromEnd()`. */
  readonly readLines?: (lines: Iterable<string | undefined>) => Transcript;
  /**
   * The conversation that its output of one turn (kind `exec`) names, in what it writes itself
   * before anything of its model.
   */
  readonly idInOutput?: (
    args: readonly string[],
    files: OutputFiles,
  ) => string | undefined;
  /**
   * What its standard output of one turn (kind `exec`) tells, the last line first; `text` if it
   * holds the answer alone.
   */
  readonly readOutput?: (
    args: readonly string[],
    lines: Iterable<string | undefined>,
  ) => Transcript | "text" | undefined;
  /** The options that this project gives itself, or instead of which it gives others. */
  readonly ownOptions: RegExp;
  /** The same arguments for another new conversation, if they name one. */
  readonly withNewId?: (
    args: readonly string[],
    newId: string,
  ) => readonly string[];
  /** What of it works with this project: `docs/agents.md` has the same table. */
  readonly support: Readonly<Record<"status" | "answer" | "resume", Support>>;
}

/**
 * How it is known that something works: `tried` with the real program, only `read` in its
 * documents; `no` if it doesn't.
 */
export type Support = "tried" | "read" | "no";

/** The files that hold the output of a session, by their paths. */
export interface OutputFiles {
  /** Its standard output. */
  readonly stdout: string;
  /** Its standard error. */
  readonly stderr: string;
}

/** The command lines of an agent for one kind of session. */
export interface CommandLines {
  /** Its program with leading arguments. It may have to be looked for. */
  program(): readonly string[] | Promise<readonly string[]>;
  /**
   * What stands behind the program to start it with these arguments. An agent that lets its
   * caller choose the id of a new conversation gets `newId`, unless the arguments decide that.
   */
  start(args: readonly string[], newId?: string): readonly string[];
  /**
   * The same with a prompt, whatever that begins with: it must not become an option.
   *
   * @default {what starts it with `--` and the prompt}
   */
  begin?(prompt: string, newId?: string): readonly string[];
  /**
   * What stands between a program that the user has named, such as `/opt/codex` or
   * `npx @openai/codex`, and the arguments; `undefined` if that program has not this kind.
   *
   * @default {nothing}
   */
  behind?(program: readonly string[]): readonly string[] | undefined;
  /** Whether it goes on with a conversation only if it gets a prompt. @default {false} */
  readonly needsPrompt?: boolean;
  /**
   * What stands behind the program to go on with a conversation; `undefined` if this kind can't,
   * or not without a prompt.
   */
  resume(id: string, prompt?: string): readonly string[] | undefined;
}

/** A variable of an environment. */
export type Environment = (name: string) => string | undefined;

/** A living process that may be an agent. */
export interface AgentProcess {
  /** Its number. */
  readonly pid: number;
  /** When it started, in the kernel's ticks since boot. */
  readonly startTicks: number;
  /** The environment that it was started with. */
  readonly env: Environment;
}

/** The conversation of a process. */
export interface Found {
  /** Its id, with which the agent goes on. */
  readonly id: string;
  /** Its record; `undefined` before the agent has written one: after the first prompt. */
  readonly transcript: string | undefined;
  /** What the process tells of itself now; `undefined` if it tells nothing. */
  readonly told?: AgentStatus;
}

/** What an agent is doing. */
export interface AgentStatus {
  /** What it is doing. */
  readonly value: StatusValue;
  /** What it needs, if it is blocked. */
  readonly kind?: BlockedKind;
  /** For people: one line without control characters. */
  readonly message?: string;
  /** Since when, in milliseconds since 1970. */
  readonly since?: number;
}
