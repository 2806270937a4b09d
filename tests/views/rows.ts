/**
 * Rows and sessions for the tests of views.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";
import {
  type Change,
  type WatchedRows,
  watchRows,
} from "../../views/sessions.ts";

/** A row of a running session; `rest` replaces parts of it. */
export function row(rest: Partial<Row> = {}): Row {
  const createdAt = "2026-01-02T03:04:05.000Z";
  return {
    id: "a",
    born: createdAt,
    kind: "exec",
    state: "running",
    urgency: "working",
    text: "running",
    tone: "working",
    since: null,
    message: null,
    title: null,
    line: "",
    command: "sleep 100",
    prompt: null,
    agent: null,
    cwd: "/tmp",
    labels: {},
    clients: null,
    createdAt,
    lastOutputAt: null,
    isTerminal: false,
    can: ["stop", "delete"],
    ...rest,
  };
}

/** Rows that are watched, and what they have told. */
export interface Watched {
  readonly rows: WatchedRows;
  readonly changes: Change[];
}

/** Watches the rows of a root, once the first list is there. */
export async function watching(root: string): Promise<Watched> {
  const changes: Change[] = [];
  const onChange = (change: Change) => changes.push(change);
  const rows = watchRows({ root, onChange });
  await rows.ready;
  return { rows, changes };
}
