/**
 * Claude Code. It is started by `run`, like any other command.
 *
 * @module
 */
import type { Agent } from "./agent.ts";

/** Claude Code. Its markers: what it sets for tool calls, seen in version 2.1.329, and the caller's editor. */
export const CLAUDE: Agent = {
  programs: ["claude"],
  packages: /claude/,
  // deno-fmt-ignore
  markers: [
    "AI_AGENT", "CLAUDECODE", "CLAUDE_CODE_CHILD_NOTES_DIR", "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN", "CLAUDE_CODE_MESSAGING_*", "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_SSE_PORT", "CLAUDE_EFFORT", "CLAUDE_PID",
  ],
};
