/**
 * Claude Code. It is started by `run`, like any other command.
 *
 * @module
 */
import type { Agent } from "./agent.ts";

/** Claude Code. */
export const CLAUDE: Agent = { programs: ["claude"], packages: /claude/ };
