/**
 * The tools that look: `list_sessions`.
 *
 * @module
 */
import { sessionsIn } from "./scope.ts";
import type { Tool } from "./tool.ts";

const listSessions: Tool = {
  name: "list_sessions",
  title: "List sessions",
  description: "Lists the background sessions in this server's scope.",
  annotations: { readOnlyHint: true },
  input: {},
  output: { sessions: { type: "array" } },
  async run(_args, { world }) {
    const sessions = await sessionsIn(world);
    return {
      sessions: sessions.map(({ id, state }) => ({ id, state: state.state })),
    };
  },
};

/** The tools. */
export const LOOKING: readonly Tool[] = [listSessions];
