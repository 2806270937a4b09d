/**
 * What a model is told of a session: every text in it is an agent's, or may be, so it is one clean,
 * short line.
 *
 * @module
 */
import { shellWord } from "../cli/format.ts";
import { agentOf } from "../events/conversation.ts";
import type { SessionStatus } from "../events/status.ts";
import type { Session } from "../session/find.ts";
import { exitStatus, readStopRequest } from "../store.ts";
import type { Schema } from "./tool.ts";
import { briefLine } from "../screen/clean_text.ts";

/** The longest command, prompt or path, in characters. */
const LONG = 300;
/** Labels of a session that a list tells. */
const LISTED_LABELS = 5;

const NULLABLE: Schema = { type: ["string", "null"] };

/** The facts that {@linkcode factsIn} gives, by name. */
export const FACTS: Readonly<Record<string, Schema>> = {
  id: { type: "string" },
  kind: NULLABLE,
  state: { type: "string" },
  status: NULLABLE,
  status_message: { type: "string" },
  agent: NULLABLE,
  prompt: { type: "string" },
  command: { type: "string" },
  labels: { type: "object", additionalProperties: { type: "string" } },
  labels_left_out: { type: "integer" },
  cwd: NULLABLE,
  created_at: { type: "string" },
  last_output_at: NULLABLE,
  exit_status: { type: "integer" },
  signal: { type: "string" },
  stopped_by: { type: "string" },
  reason: { type: "string" },
};

/** What a list tells of a session. What doesn't apply is left out. */
export function factsIn(
  session: Session,
  status: SessionStatus | null,
  mostLabels = LISTED_LABELS,
): Record<string, unknown> {
  const { id, meta, state, createdAt, lastOutputAt } = session;
  const agent = agentOf(meta)?.name ?? meta?.agent ?? null;
  return {
    id,
    kind: meta?.kind ?? null,
    ...stateFacts(session),
    ...statusFacts(status),
    agent: agent && briefLine(agent),
    ...meta &&
      (agent === null
        ? { command: commandIn(meta.argv) }
        : { prompt: briefLine(meta.prompt, LONG) }),
    ...(state.state === "damaged" && { reason: briefLine(state.reason, LONG) }),
    ...(meta && labelFacts(meta.labels, mostLabels)),
    cwd: meta && briefLine(meta.cwd, LONG),
    created_at: createdAt.toISOString(),
    last_output_at: lastOutputAt?.toISOString() ?? null,
  };
}

/** A session's state, and how it has ended if it has. */
export function stateFacts({ paths, state }: Session): {
  readonly state: string;
  readonly exit_status?: number;
  readonly signal?: string;
  readonly stopped_by?: string;
} {
  if (state.state !== "exited") return { state: state.state };
  const by = readStopRequest(paths)?.by;
  return {
    state: state.state,
    exit_status: exitStatus(state),
    ...("signal" in state.ending && { signal: briefLine(state.ending.signal) }),
    ...(by !== undefined && { stopped_by: briefLine(by) }),
  };
}

/** What a session is doing, in a word, and what it says of it. */
export function statusFacts(status: SessionStatus | null): {
  readonly status: string | null;
  readonly status_message?: string;
} {
  if (status === null) return { status: null };
  const { value, kind, message, title } = status;
  const about = message ?? title ?? kind;
  return {
    status: value,
    ...(about !== undefined && { status_message: briefLine(about) }),
  };
}

/** A command as a shell reads it. */
export function commandIn(argv: readonly string[]): string {
  const words = argv.slice(0, LONG).map((word) => {
    return shellWord(word.slice(0, 2 * LONG));
  });
  return briefLine(words.join(" "), LONG);
}

/** The first labels, and how many are left out; `parent` tells who has started it, so it stays. */
function labelFacts(
  labels: Readonly<Record<string, string>>,
  most: number,
): {
  readonly labels?: Readonly<Record<string, string>>;
  readonly labels_left_out?: number;
} {
  const all = Object.entries(labels)
    .sort(([a], [b]) => Number(b === "parent") - Number(a === "parent"));
  if (all.length === 0) return {};
  const shown = all.slice(0, most)
    .map(([key, value]) => [briefLine(key, 80), briefLine(value)]);
  const left = all.length - shown.length;
  return {
    labels: Object.fromEntries(shown),
    ...(left > 0 && { labels_left_out: left }),
  };
}
