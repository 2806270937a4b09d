/**
 * What a form or a tool starts: a command, or an agent with a prompt, with the user's defaults, as
 * the command line does.
 *
 * @module
 */
import { configured, parseTerminalSize } from "./config.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import type { CreateOptions } from "../session/create.ts";
import { defaultAgent, linesOf } from "./start.ts";
import { type Kind, KINDS } from "../store.ts";

/** What is asked for: a command, or an agent, its user's default, with a prompt. */
export interface Wanted {
  readonly command?: readonly string[] | undefined;
  readonly agent?: string | undefined;
  readonly prompt?: string | undefined;
  /** @default {"exec" for a command, "pty" for an agent} */
  readonly kind?: Kind | undefined;
}

/** What to start. */
type Program =
  & Pick<CreateOptions, "command" | "agent" | "prompt">
  & { readonly kind: Kind };

/**
 * The command, or that of the agent, as `create --agent` starts it.
 *
 * @throws {ArgumentError} if there is neither or both, or the agent needs a prompt.
 * @throws {SessionError} `program_not_found`.
 */
export async function programOf(
  { command, agent, prompt, kind }: Wanted,
): Promise<Program> {
  if (command !== undefined) {
    if (agent === undefined && prompt === undefined) {
      return { command, kind: kind ?? "exec" };
    }
    throw new ArgumentError(
      "Invalid arguments: give either command, or agent and prompt",
    );
  }
  if (agent === undefined && prompt === undefined) {
    throw new ArgumentError(
      "Nothing to start: give command, or agent and prompt",
    );
  }
  const name = agent ?? defaultAgent();
  const own = kind ?? "pty";
  const lines = await linesOf(name, own);
  if (prompt === undefined && lines.needsPrompt) {
    throw new ArgumentError(
      `Cannot start ${name} with kind ${own}: it needs a prompt`,
    );
  }
  const newId = crypto.randomUUID();
  const args = prompt === undefined
    ? lines.start([], newId)
    : lines.begin?.(prompt, newId) ?? lines.start(["--", prompt], newId);
  const program = await Promise.resolve(lines.program()).catch((error) => {
    const isMissing = own === "repl" && error instanceof SessionError &&
      error.code === "program_not_found";
    throw isMissing ? noRepl(name) : error;
  });
  const all = [...program, ...args];
  return { command: all, kind: own, agent: name, prompt };
}

/** No release of an agent has such a program; only a user's own. */
function noRepl(name: string): SessionError {
  return new SessionError(
    "program_not_found",
    `Cannot start ${name} with kind repl: no program for that is installed; use kind pty, or exec for one turn`,
  );
}

/** The user's defaults for terminals. */
export function terminalDefaults(kind: Kind): Partial<CreateOptions> {
  if (!KINDS[kind].isTerminal) return {};
  const size = configured("size");
  const [columns, rows] = size === undefined ? [] : parseTerminalSize(size);
  return { columns, rows, logLimitBytes: configured("logLimit") };
}
