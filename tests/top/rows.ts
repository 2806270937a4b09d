/**
 * Rows for tests of the dashboard.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";

/** The time of these tests, in milliseconds. */
export const NOW = Date.parse("2026-01-02T03:04:05Z");

/** A time so many seconds ago, as rows have it. */
export function ago(seconds: number): string {
  return new Date(NOW - seconds * 1000).toISOString();
}

/** A running terminal session, and what is different about this one. */
export function rowOf(id: string, different: Partial<Row> = {}): Row {
  return {
    id,
    born: ago(3600),
    kind: "pty",
    state: "running",
    urgency: "working",
    text: "working",
    tone: "working",
    since: ago(90),
    message: null,
    title: null,
    line: "",
    command: "cat -n",
    prompt: null,
    agent: null,
    cwd: "/src",
    labels: {},
    clients: 0,
    createdAt: ago(3600),
    lastOutputAt: null,
    isTerminal: true,
    can: ["send", "keys", "stop", "delete"],
    ...different,
  };
}

/** A session that has ended. */
export function endedRow(id: string, different: Partial<Row> = {}): Row {
  return rowOf(id, {
    state: "exited",
    urgency: "ended",
    text: "exited 0",
    tone: "ended",
    can: ["resume", "restart", "delete"],
    ...different,
  });
}

/** A session that waits for its user. */
export function blockedRow(id: string, different: Partial<Row> = {}): Row {
  return rowOf(id, {
    urgency: "blocked",
    text: "blocked: approve Bash",
    tone: "blocked",
    ...different,
  });
}
