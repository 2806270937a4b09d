/**
 * What can happen in a session, as one JSON object a line.
 *
 * Most of it is derived: `created` from `meta.json`, `started` from `pid`, `stopped` from
 * `stop.json`, `exited` from `exit`. Only what no other file records is written to `events.jsonl`.
 *
 * @module
 */
import type { BlockedKind, StatusValue } from "../screen/program_status.ts";
import type { Ending } from "../store.ts";

/**
 * Where a status is known from: `terminal`, the program's report to its terminal (OSC 7501);
 * `agent`, the agent's own files; `report`, the command; `rule`, a title or a notification that
 * this project knows the meaning of.
 */
export type StatusSource = "terminal" | "agent" | "report" | "rule";

/** Where a status is known from, the most trusted first. */
export const STATUS_SOURCES: readonly StatusSource[] = [
  "terminal",
  "agent",
  "report",
  "rule",
];

/** What a running program is doing, as it tells. All texts are one line, bounded, and harmless. */
export interface ToldStatus {
  /** What it is doing. */
  readonly value: StatusValue;
  /** What it needs, if it is blocked. */
  readonly kind?: BlockedKind;
  /** For people. */
  readonly message?: string;
  /** A short label for people. */
  readonly title?: string;
  /** From 0 to 100. */
  readonly progress?: number;
  /** Where it is known from. */
  readonly source: StatusSource;
}

/** What happened, without its time and session. */
export type EventFacts =
  /** The session appeared. */
  | { readonly type: "created" }
  /** Its program runs. */
  | { readonly type: "started" }
  /** The program tells something else than before; `null`: nothing any more. */
  | { readonly type: "status"; readonly status: ToldStatus | null }
  /** The program has notified its user. */
  | {
    readonly type: "notification";
    readonly title?: string;
    readonly body: string;
  }
  /** The terminal has another title. */
  | { readonly type: "title"; readonly title: string }
  /** A client has attached; how many there are now. */
  | { readonly type: "attached"; readonly clients: number }
  /** A client has detached; how many are left. */
  | { readonly type: "detached"; readonly clients: number }
  /** Input was given, the first since the event before. */
  | { readonly type: "input" }
  /** Somebody asked it to stop. */
  | { readonly type: "stopped"; readonly by: string; readonly signal: string }
  /** Its program has ended. */
  | { readonly type: "exited"; readonly ending: Ending }
  /** All its processes are gone, and no ending was recorded. */
  | { readonly type: "lost" }
  /** It was deleted. */
  | { readonly type: "deleted" };

/** Something that happened in a session. */
export type SessionEvent = EventFacts & {
  /** When: RFC 3339, UTC. */
  readonly at: string;
  /** The session's id. */
  readonly id: string;
};

/** The types of events, in the order of a session's life. */
export const EVENT_TYPES: readonly EventFacts["type"][] = [
  "created",
  "started",
  "status",
  "notification",
  "title",
  "attached",
  "detached",
  "input",
  "stopped",
  "exited",
  "lost",
  "deleted",
];
