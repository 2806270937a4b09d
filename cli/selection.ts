/**
 * The sessions that a call names: by SEL, or by `--label`, `--state`, `--status` and `--all`.
 *
 * All commands that take several sessions choose them here. A call names them or filters them:
 * both at once is a usage error, since "and" and "or" would be equally plausible. Filters narrow
 * each other. No match is not an error.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { combine, type Io, OK, reportError } from "./io.ts";
import type { Parsed } from "./options.ts";
import { type StatusReader, statusReader } from "./status.ts";
import {
  listSessions,
  resolveSelector,
  type Session,
} from "../session/find.ts";
import { STATUS_VALUES, type StatusValue } from "../screen/program_status.ts";
import { type Meta, type StateName, STATES } from "../store.ts";
import { roomForSessions } from "../system/limits.ts";

/** A session that a call names, or the status of the failed look for it. */
export type Chosen =
  | { readonly session: Session }
  | { readonly session?: undefined; readonly status: number };

/** Tells whether a call chooses sessions by filters. */
export function isFiltered({ flags, values }: Parsed): boolean {
  return flags.has("all") ||
    ["label", "state", "status"].some((name) => values.has(name));
}

/**
 * The sessions that a call names, each once, in the order named. A selector that names none is
 * reported.
 *
 * @param fits Which sessions a filter without `--state` means: those that the command can do
 * something with.
 * @param selectors The operands that select; `send` has others.
 *
 * @throws {ArgumentError} if the call names none, or uses both ways.
 */
export async function choose(
  call: Parsed,
  io: Io,
  fits: (session: Session) => boolean,
  selectors: readonly string[] = call.operands,
): Promise<readonly Chosen[]> {
  if (isFiltered(call)) {
    if (selectors.length > 0) {
      throw new ArgumentError(
        `Unexpected argument "${
          selectors[0]
        }": name sessions, or use --label, --state, --status or --all`,
      );
    }
    let unfit = 0;
    const sessions = await filteredSessions(call, (session) => {
      if (fits(session)) return true;
      unfit++;
      return false;
    });
    if (sessions.length === 0) noteNone(call, io, unfit);
    return sessions.map((session) => ({ session }));
  }
  if (selectors.length === 0) {
    throw new ArgumentError(
      "Missing argument: expected a session, --label, --state, --status or --all",
    );
  }
  const chosen: Chosen[] = [];
  const ids = new Set<string>();
  // All before the work on one: deleting shifts the numbers.
  for (const selector of selectors) {
    try {
      const session = await resolveSelector(selector);
      if (!ids.has(session.id)) chosen.push({ session });
      ids.add(session.id);
    } catch (error) {
      chosen.push({ status: reportError(error, io) });
    }
  }
  return chosen;
}

/** The sessions that the filters of a call leave, newest first. */
export async function filteredSessions(
  call: Parsed,
  fits: (session: Session) => boolean = () => true,
  readStatus: StatusReader = statusReader(),
): Promise<Session[]> {
  const states = statesOf(call);
  const hasLabels = hasLabelsOf(call);
  const statuses = statusesOf(call);
  return (await listSessions()).filter((session) =>
    hasLabels(session.meta) &&
    (states?.has(session.state.state) ?? fits(session)) &&
    (statuses?.has(readStatus(session)?.value) ?? true)
  );
}

/** Tells of metadata whether they have the labels that a call asks for. */
export function hasLabelsOf(
  call: Parsed,
): (meta: Pick<Meta, "labels"> | null) => boolean {
  const labels = (call.values.get("label") ?? []).map(parseLabel);
  return (meta) => {
    const has = meta?.labels ?? {};
    return labels.every(([key, value]) =>
      Object.hasOwn(has, key) && (value === undefined || has[key] === value)
    );
  };
}

/** Says that there is nothing to choose, unless a program reads the results. */
export function noteNone(call: Parsed, io: Io, unfit = 0): void {
  if (io.json || call.flags.has("quiet")) return;
  if (unfit > 0) {
    const those = unfit === 1 ? "session that matches" : "sessions that match";
    io.err(`codex-session: Nothing to do for ${unfit} ${those}\n`);
  } else if (isFiltered(call)) {
    io.err("codex-session: No session matches\n");
  } else if (io.columns !== undefined) {
    io.err("No sessions yet; start one with: codex-session run -- COMMAND\n");
  }
}

function statesOf(call: Parsed): ReadonlySet<StateName> | undefined {
  const names = call.values.get("state")?.flatMap((text) => text.split(","));
  for (const name of names ?? []) {
    if ((STATES as readonly string[]).includes(name)) continue;
    throw new ArgumentError(
      `Unknown state "${name}": use starting, running, exited (stopped, too), lost or damaged`,
    );
  }
  return names && new Set(names as StateName[]);
}

function statusesOf(call: Parsed): ReadonlySet<unknown> | undefined {
  const names = call.values.get("status")?.flatMap(parseStatuses);
  return names && new Set(names);
}

/**
 * Statuses, joined by commas.
 *
 * @throws {ArgumentError} if there is no such status.
 */
export function parseStatuses(text: string): StatusValue[] {
  return text.split(",").map((name) => {
    const value = STATUS_VALUES.find((known) => known === name);
    if (value !== undefined) return value;
    throw new ArgumentError(
      `Unknown status "${name}": use ${STATUS_VALUES.join(", ")}`,
    );
  });
}

/** `KEY=VALUE`, or `KEY` for any value. */
function parseLabel(text: string): [string, string?] {
  const at = text.indexOf("=");
  if (at < 0 && text !== "") return [text];
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new ArgumentError(`Invalid label "${text}": use KEY or KEY=VALUE`);
}

/** How many sessions are worked on at the same time, if there may be enough open files. */
const BATCH = 50;
/** How many files the work on a session holds open. */
export const FILES = 4;

/**
 * Does the work for many sessions at the same time, so that grace periods don't add up, and reports
 * each failure. The status is that of the failures if they agree, else 1.
 */
export async function forEachChosen(
  chosen: readonly Chosen[],
  io: Io,
  work: (session: Session) => Promise<number | void>,
): Promise<number> {
  const attempt = async (one: Chosen): Promise<number> => {
    if (one.session === undefined) return one.status;
    try {
      return await work(one.session) ?? OK;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw error;
      return reportError(error, io);
    }
  };
  const statuses: number[] = [];
  const size = chosen.length <= 1 ? 1 : Math.min(BATCH, roomForSessions(FILES));
  for (let at = 0; at < chosen.length; at += size) {
    const batch = chosen.slice(at, at + size);
    statuses.push(...await Promise.all(batch.map(attempt)));
  }
  return combine(statuses);
}
