/**
 * The agents that the project knows, each from a file of its own. A new agent is a file and a
 * line here.
 *
 * @module
 */
import type { Agent } from "./agent.ts";
import { CLAUDE } from "./claude.ts";
import { CODEX } from "./codex.ts";

/** All known agents. */
export const AGENTS: readonly Agent[] = [CODEX, CLAUDE];

/** The variables that name a calling agent, without those that the user sets for the session. */
export function markersExcept(env: Readonly<Record<string, string>>): string[] {
  return AGENTS.flatMap(({ markers }) => markers)
    .filter((name) => !Object.hasOwn(env, name));
}
