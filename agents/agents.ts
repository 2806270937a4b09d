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

/** All known agents. */
export const AGENTS: readonly Agent[] = [CODEX, CLAUDE, GEMINI, OPENCODE];
