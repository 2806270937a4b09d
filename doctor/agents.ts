/**
 * Which agents are on this machine, and what of them works.
 *
 * Each is asked for its version; nothing else is executed.
 *
 * @module
 */
import type { Agent, Support } from "../agents/agent.ts";
import { AGENTS } from "../agents/agents.ts";
import { type Kind, KIND_NAMES } from "../store.ts";
import { findProgram } from "../system/files.ts";
import { ask } from "../system/shell.ts";

/** An agent that this project knows. */
export interface KnownAgent {
  /** Its name, as `create --agent` takes it. */
  readonly name: string;
  /** Where its program is; `null` if it isn't on `PATH`. */
  readonly path: string | null;
  /** Its version, as it tells; `null` if it doesn't. */
  readonly version: string | null;
  /** The kinds of sessions that it has a program for. */
  readonly kinds: readonly Kind[];
  /** Whether its own files tell what it is doing: `tried`, only `read` about, or `no`. */
  readonly status: Support;
  /** Whether its answers can be read. */
  readonly answer: Support;
  /** Whether it goes on with a conversation. */
  readonly resume: Support;
}

/** How long an agent may take to tell its version, in milliseconds. */
const VERSION_MS = 5_000;

/**
 * The agents that this project knows, with what is found of them on `PATH`. Needs `--allow-env`,
 * `--allow-read` of the directories on `PATH`, and `--allow-run=/bin/sh`.
 *
 * @example
 * ```ts
 * import { listAgents } from "./mod.ts";
 * for (const { name, path } of await listAgents()) console.log(name, path);
 * ```
 */
export async function listAgents(): Promise<KnownAgent[]> {
  const path = Deno.env.get("PATH") ?? "";
  return await Promise.all(AGENTS.map(async (agent) => {
    const program = programAt(path, agent);
    return {
      name: agent.name,
      path: program ?? null,
      version: program === undefined ? null : await versionOf(program),
      kinds: KIND_NAMES.filter((kind) => agent.commands[kind] !== undefined),
      ...agent.support,
    };
  }));
}

/** The program of an agent on a search path; the one that has all kinds, if there are several. */
export function programAt(
  path: string,
  { programs }: Pick<Agent, "programs">,
): string | undefined {
  // That one comes last.
  return programs.toReversed().map((name) => findProgram(name, { path }))
    .find((found) => found !== undefined);
}

/** The first word of an answer that looks like a version. */
async function versionOf(program: string): Promise<string | null> {
  const question = 'exec "$1" --version';
  const { output } = await ask(question, [program], VERSION_MS);
  return /(?<![\w.])\d+\.\d+[\w.+-]{0,40}/.exec(output)?.[0] ?? null;
}
