/**
 * What sessions are doing, in words and colours and as JSON.
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
import { bold, dim, green, magenta, red, yellow } from "../std.ts";
import { KINDS } from "../store.ts";

/** The widest text of a status in a table, in cells. */
const MAX_CELLS = 30;
/** How long a session must be silent to be taken for idle. */
const SILENCE_MS = 10_000;

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

/** Text with its colour. */
export interface Colored {
  readonly text: string;
  readonly color: (text: string) => string;
}

/** What a running session is doing: `working 2m`, `blocked: approve Bash`, `~idle 40s`. */
export function activityOf(
  session: Session,
  status: SessionStatus | null,
  now: number,
): Colored {
  if (status !== null) {
    return { text: textOf(status, now), color: COLORS[status.value] };
  }
  if (isSuspended(session)) return { text: "suspended", color: yellow };
  const silentMs = silenceOf(session, now);
  return silentMs < SILENCE_MS
    ? { text: "running", color: green }
    : { text: `~idle ${formatAge(silentMs)}`, color: dim };
}

const COLORS: Readonly<Record<SessionStatus["value"], Colored["color"]>> = {
  blocked: (text) => bold(magenta(text)),
  error: red,
  working: green,
  done: green,
  idle: green,
};

function textOf(status: SessionStatus, now: number): string {
  const { value, kind, message, progress, since } = status;
  const age = since && formatAge(Math.max(0, now - since.getTime()));
  const about = value === "blocked"
    ? message ?? kind
    : value === "error"
    ? message
    : undefined;
  if (about !== undefined) return cut(`${value}: ${about}`, MAX_CELLS);
  const percent = progress === undefined ? [] : [`${Math.round(progress)}%`];
  return [value, ...percent, ...age === null ? [] : [age]].join(" ");
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
