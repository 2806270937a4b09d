/**
 * What sessions are doing, in words and as JSON.
 *
 * @module
 */
import { cut, formatAge } from "./format.ts";
import { SessionError } from "../errors.ts";
import { lastTraffic } from "../client/traffic.ts";
import {
  isSuspended,
  needOf,
  processTable,
  type SessionStatus,
  statusOf,
} from "../events/status.ts";
import type { Session } from "../session/find.ts";
import { exitStatus, KINDS, readStopRequest, type State } from "../store.ts";

/** The widest text of a status in a table, in cells. */
const MAX_CELLS = 30;
/** How long a session must be silent to be taken for idle, in milliseconds. */
export const SILENCE_MS = 10_000;

/** What a session is doing. */
export type StatusReader = (session: Session) => SessionStatus | null;

/** Returns a function that looks once for each session. It reads all processes once, if at all. */
export function statusReader(): StatusReader {
  const table = processTable();
  const known = new Map<Session, SessionStatus | null>();
  return (session) => {
    let status = known.get(session);
    if (status === undefined) {
      status = statusOf(session, table);
      known.set(session, status);
    }
    return status;
  };
}

/** What the words of a state tell, for its colour. */
export type Tone =
  | "blocked"
  | "error"
  | "working"
  | "quiet"
  | "warning"
  | "ended";

/** What a session is doing, or how it has ended. */
export interface Activity {
  /** In a word or two: `working 40%`, `blocked`, `~idle`, `exited 3`, `timed out`. */
  readonly text: string;
  /** What it needs, or what is wrong, for people. */
  readonly about?: string | undefined;
  readonly tone: Tone;
  /** Since when, if it is told; of a silent session, when it fell silent. */
  readonly since: Date | null;
}

/** What a session is doing, in words without an age. */
export function activityOf(
  session: Session,
  status: SessionStatus | null,
  now: number,
): Activity {
  const { state } = session;
  switch (state.state) {
    case "starting":
      return { text: "starting", tone: "working", since: null };
    case "running":
      return status === null
        ? untold(session, now)
        : toldActivity(status, TONES[status.value]);
    case "exited":
      return ended(session, state);
    case "lost":
    case "damaged":
      return { text: state.state, tone: "warning", since: null };
    default:
      return state satisfies never;
  }
}

const TONES: Readonly<Record<SessionStatus["value"], Tone>> = {
  blocked: "blocked",
  error: "error",
  working: "working",
  done: "quiet",
  idle: "quiet",
};

function toldActivity(status: SessionStatus, tone: Tone): Activity {
  const { value, kind, message, progress, since } = status;
  const about = value === "blocked"
    ? message ?? kind
    : value === "error"
    ? message
    : undefined;
  const text = progress === undefined || about !== undefined
    ? value
    : `${value} ${Math.round(progress)}%`;
  return { text, about, tone, since };
}

/** What a running session is doing that tells nothing. */
function untold(session: Session, now: number): Activity {
  if (isSuspended(session)) {
    return { text: "suspended", tone: "warning", since: null };
  }
  const silentMs = silenceOf(session, now);
  return silentMs < SILENCE_MS
    ? { text: "running", tone: "working", since: null }
    : { text: "~idle", tone: "quiet", since: new Date(now - silentMs) };
}

/** How a session has ended: `exited 3`, `stopped`, `timed out`, `ended by SIGKILL`. */
function ended({ paths }: Session, state: Exited): Activity {
  const { ending } = state;
  const by = readStopRequest(paths)?.by;
  const text = by === "timeout"
    ? "timed out"
    : by !== undefined
    ? "stopped"
    : "code" in ending
    ? `exited ${ending.code}`
    : `ended by ${ending.signal}`;
  const tone = exitStatus(state) === 0 ? "ended" : "error";
  return { text, tone, since: null };
}

type Exited = Extract<State, { readonly state: "exited" }>;

/** The activity as a cell of a table: `working 2m`, `blocked: approve Bash`, `~idle 40s`. */
export function activityText(
  { text, about, since }: Activity,
  now: number,
): string {
  if (about !== undefined) return cut(`${text}: ${about}`, MAX_CELLS);
  if (since === null) return text;
  return `${text} ${formatAge(Math.max(0, now - since.getTime()))}`;
}

/** The error for work that waits for its user. */
export function blocked(
  id: string,
  status: SessionStatus,
  what: string,
): SessionError {
  return new SessionError(
    "blocked",
    `${what}: it is blocked: ${
      needOf(status)
    }; to attach: codex-session attach ${id}`,
    { id },
  );
}

/** How long a program that takes input has neither written nor been given any; 0 for others. */
function silenceOf(
  { meta, paths, lastOutputAt }: Session,
  now: number,
): number {
  if (meta === null || KINDS[meta.kind].accepts.length === 0) return 0;
  // Most are not silent, or never were: no more than that need be read.
  const quietMs = now - (lastOutputAt?.getTime() ?? 0);
  return quietMs < SILENCE_MS ? 0 : now - lastTraffic(paths).at;
}

/** A status as JSON has it: times as RFC 3339; parts that aren't known are left out. */
export function statusJson(status: SessionStatus | null): object | null {
  if (status === null) return null;
  const { value, kind, message, title, progress, since, source } = status;
  const records = status.records.map(({ since, ...record }) => {
    return { ...record, since: new Date(since).toISOString() };
  });
  const at = since?.toISOString() ?? null;
  return {
    ...{ value, kind, message, title, progress, since: at, source },
    records,
  };
}
