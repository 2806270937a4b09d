/**
 * `report.json`: what the `report` command has last told, which is its only writer.
 *
 * @module
 */
import { momentIn, type StatusFacts, statusIn } from "./status_facts.ts";
import { fieldsOf } from "../agents/transcript.ts";
import type { Paths } from "../store.ts";
import { readJsonFile, remove, writeAtomic } from "../system/files.ts";

/** The largest one, in bytes. */
const MAX_BYTES = 32 * 1024;

/** A status that was reported. */
export interface Report extends StatusFacts {
  /** Since when it is so, in milliseconds since 1970. */
  readonly since: number;
  /** The process whose status it is: its number, and when it started in ticks since boot. */
  readonly process: { readonly pid: number; readonly start: number };
}

/** Writes a report; `null` removes it. */
export function writeReport(
  paths: Pick<Paths, "report">,
  report: Report | null,
): void {
  if (report === null) remove(paths.report);
  else writeAtomic(paths.report, JSON.stringify(report) + "\n");
}

/** Reads the last report; `undefined` without one, or if it is damaged. */
export function readReport(paths: Pick<Paths, "report">): Report | undefined {
  const value = readJsonFile(paths.report, MAX_BYTES);
  const told = statusIn(value);
  const fields = fieldsOf(value);
  const { pid, start } = fieldsOf(fields.process);
  const since = momentIn(fields.since);
  if (told === undefined || since === undefined) return undefined;
  if (!isCount(pid) || !isCount(start)) return undefined;
  return { ...told, since, process: { pid, start } };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}
