/**
 * The agents that the project knows, each from a file of its own. A new agent is a file and a
 * line here.
 *
 * @module
 */
import type { Agent } from "./agent.ts";
import { CLAUDE } from "./claude.ts";
import { CODEX } from "./codex.ts";
import { GEMINI } from "./gemini.ts";
import { OPENCODE } from "./opencode.ts";
import { isGranted } from "../system/files.ts";

/** All known agents. */
export const AGENTS: readonly Agent[] = [CODEX, CLAUDE, GEMINI, OPENCODE];

/** Their names. */
export const AGENT_NAMES: readonly string[] = AGENTS.map(({ name }) => name);

/** The agent with this name; `undefined` if this version knows none. */
export function agentNamed(name: string | undefined): Agent | undefined {
  return AGENTS.find((agent) => agent.name === name);
}

/** The variables that name a calling agent, without those that the user sets for the session. */
export function markersExcept(env: Readonly<Record<string, string>>): string[] {
  return AGENTS.flatMap(({ markers }) => markers)
    .flatMap((name) => name.endsWith("*") ? inherited(name.slice(0, -1)) : name)
    .filter((name) => !Object.hasOwn(env, name));
}

/** The variables of this process that begin so; none where Deno may not list them. */
function inherited(beginning: string): string[] {
  if (!isGranted({ name: "env" })) return [];
  // The reaper's script holds the names: none may be more than a word in it.
  return Object.keys(Deno.env.toObject())
    .filter((name) => name.startsWith(beginning) && /^\w+$/.test(name));
}
