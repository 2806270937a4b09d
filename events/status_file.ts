/**
 * `status.json`: what a terminal's program tells its terminal. Its relay is the only writer.
 *
 * @module
 */
import {
  type BlockedKind,
  STATUS_VALUES,
  type StatusRecord,
  type StatusValue,
} from "../screen/program_status.ts";
import type { Paths } from "../store.ts";
import { readJsonFile, writeAtomic } from "../system/files.ts";

/** The largest `status.json`, in bytes. */
const MAX_BYTES = 64 * 1024;

/** A status that a title or a notification has told, by a rule. */
export interface RuleStatus {
  readonly value: StatusValue;
  readonly kind?: BlockedKind;
  readonly message?: string;
  /** In milliseconds since 1970. */
  readonly since: number;
}

/** What a terminal's program has told its terminal. */
export interface TerminalTold {
  /** The records of OSC 7501, the foremost first. */
  readonly records: readonly StatusRecord[];
  /** What a title or notification means; `undefined` if nothing. */
  readonly rule?: RuleStatus;
  /**
   * The process group that was in the foreground at the last report. Once it is gone, what was
   * `working` or `blocked` is over.
   */
  readonly group?: number;
}

/** The largest one that is written. */
const MAX_WRITTEN_BYTES = 32 * 1024;
const encoder = new TextEncoder();

/** Writes what a program has told, without the last records if it is too much. */
export function writeTold(
  paths: Pick<Paths, "status">,
  told: TerminalTold,
): void {
  let left = MAX_WRITTEN_BYTES -
    sizeOf({ ...told, records: [] }) - "\n".length;
  const end = told.records.findIndex((record) => {
    left -= sizeOf(record) + ",".length;
    return left < 0;
  });
  const records = end < 0 ? told.records : told.records.slice(0, end);
  writeAtomic(paths.status, JSON.stringify({ ...told, records }) + "\n");
}

function sizeOf(value: unknown): number {
  return encoder.encode(JSON.stringify(value)).length;
}

/** Reads what a program has told; `undefined` if it has told nothing. */
export function readTold(
  paths: Pick<Paths, "status">,
): TerminalTold | undefined {
  const told = readJsonFile(paths.status, MAX_BYTES) as
    | TerminalTold
    | undefined;
  const isOk = Array.isArray(told?.records) &&
    told.records.every(({ value }) => STATUS_VALUES.includes(value));
  return isOk ? told : undefined;
}
