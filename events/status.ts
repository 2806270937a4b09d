/**
 * What a running session is doing, from the first source that knows.
 *
 * @module
 */
import type { StatusSource, ToldStatus } from "./event.ts";
import { readTold } from "./status_file.ts";
import type { StatusRecord } from "../screen/program_status.ts";
import { KINDS, type Meta, type Paths, type State } from "../store.ts";

/** What a running session is doing. */
export interface SessionStatus extends ToldStatus {
  /** Since when; `null` if that isn't known. */
  readonly since: Date | null;
  /** Where it is known from. */
  readonly source: StatusSource;
  /** All that the program reports on, the foremost first; empty for other sources. */
  readonly records: readonly StatusRecord[];
}

/** What {@linkcode statusOf} needs to know of a session. */
export interface Watched {
  readonly paths: Paths;
  readonly meta: Meta | null;
  readonly state: State;
}

/** What a session is doing; `null` if it doesn't run, or doesn't tell. */
export function statusOf(
  { paths, meta, state }: Watched,
): SessionStatus | null {
  if (state.state !== "running" || meta === null) return null;
  if (!KINDS[meta.kind].isTerminal) return null;
  const told = readTold(paths);
  const record = told?.records[0];
  if (!told || !record) return null;
  const { value, kind, message, title, progress, since } = record;
  return {
    ...{ value, kind, message, title, progress, since: new Date(since) },
    source: "terminal",
    records: told.records,
  };
}
