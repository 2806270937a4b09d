/**
 * `status.json`: what a terminal's program tells its terminal. Its relay is the only writer.
 *
 * @module
 */
import { momentIn, statusIn } from "./status_facts.ts";
import { fieldsOf, textIn } from "../agents/transcript.ts";
import { plainText } from "../screen/clean_text.ts";
import {
  type BlockedKind,
  MAX_APP_LENGTH,
  MAX_ID_LENGTH,
  MAX_RECORDS,
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

/**
 * Reads what a program has told; `undefined` if it has told nothing, or the file is damaged. What
 * is malformed in it is left out.
 */
export function readTold(
  paths: Pick<Paths, "status">,
): TerminalTold | undefined {
  const { records, rule, group } = fieldsOf(
    readJsonFile(paths.status, MAX_BYTES),
  );
  if (!Array.isArray(records)) return undefined;
  return {
    records: records.slice(0, MAX_RECORDS).flatMap((one) =>
      recordIn(one) ?? []
    ),
    rule: ruleIn(rule),
    // Numbers below 2 mean all processes, or none.
    group: Number.isSafeInteger(group) && Number(group) > 1
      ? Number(group)
      : undefined,
  };
}

function recordIn(value: unknown): StatusRecord | undefined {
  const told = statusIn(value);
  const { id, app, since } = fieldsOf(value);
  const at = momentIn(since);
  if (told === undefined || typeof id !== "string" || at === undefined) {
    return undefined;
  }
  const name = plainText(textIn(app) ?? "", MAX_APP_LENGTH);
  return {
    id: plainText(id, MAX_ID_LENGTH),
    ...told,
    app: name === "" ? undefined : name,
    since: at,
  };
}

function ruleIn(value: unknown): RuleStatus | undefined {
  const told = statusIn(value);
  const since = momentIn(fieldsOf(value).since);
  return told && since !== undefined ? { ...told, since } : undefined;
}
