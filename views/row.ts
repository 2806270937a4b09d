/**
 * A session as the dashboard and the page show it.
 *
 * Plain data without effects, and no imports but types: the page in the browser uses it, too.
 *
 * @module
 */
import type { Tone } from "../cli/status.ts";
import type { Kind, StateName } from "../store.ts";

export type { Tone };

/** What one can do in a view; see `actions.ts`. */
export type ActionName =
  | "agents"
  | "answer"
  | "delete"
  | "keys"
  | "restart"
  | "resume"
  | "send"
  | "start"
  | "stop";

/** How much a session needs its user, the most urgent first. */
export const URGENCIES = [
  "blocked",
  "error",
  "working",
  "idle",
  "ended",
] as const;

/** How much a session needs its user. */
export type Urgency = typeof URGENCIES[number];

/** A session in a view. All texts are harmless, one line, and bounded; times are RFC 3339, UTC. */
export interface Row {
  readonly id: string;
  /** When it was created: with the id, this names it and no later session with its id. */
  readonly born: string;
  readonly kind: Kind | null;
  readonly state: StateName;
  readonly urgency: Urgency;
  /** Its state or what it is doing, without an age: `blocked: approve Bash`, `exited 3`. */
  readonly text: string;
  readonly tone: Tone;
  /** Since when. */
  readonly since: string | null;
  /** What it tells of its status. */
  readonly message: string | null;
  /** The title of its terminal. */
  readonly title: string | null;
  /** Its last line: of its output, or what tells more. */
  readonly line: string;
  readonly command: string;
  readonly prompt: string | null;
  readonly agent: string | null;
  readonly cwd: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** How many clients are attached to its terminal. */
  readonly clients: number | null;
  readonly createdAt: string;
  readonly lastOutputAt: string | null;
  readonly isTerminal: boolean;
  /** What can be done with it now. */
  readonly can: readonly ActionName[];
}

/**
 * The order of a view: by urgency; of those that have ended the failed ones first; then what has
 * changed last.
 */
export function byUrgency(a: Row, b: Row): number {
  return rankOf(a) - rankOf(b) ||
    changedAt(b) - changedAt(a) ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function rankOf({ urgency, tone }: Row): number {
  const hasEndedWell = urgency === "ended" && tone === "ended";
  return URGENCIES.indexOf(urgency) + (hasEndedWell ? 1 : 0);
}

function changedAt({ since, createdAt }: Row): number {
  return Date.parse(since ?? createdAt);
}

/**
 * Whether a row has all words of a filter: in its id, state, title, last line, prompt, command,
 * agent, directory or labels (`key=value`), in capitals or not.
 */
export function fits(row: Row, words: string): boolean {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (wanted.length === 0) return true;
  const { id, state, text, title, message, line, prompt, command } = row;
  const labels = Object.entries(row.labels).map((pair) => pair.join("="));
  const texts = [
    ...[id, state, text, title, message, line, prompt, command],
    ...[row.kind, row.agent, row.cwd, ...labels],
  ];
  const all = texts.filter((one) => one !== null).join("\n").toLowerCase();
  return wanted.every((word) => all.includes(word));
}
