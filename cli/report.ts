/**
 * The command that tells what a session is doing, from inside of it: `report`.
 *
 * @module
 */
import { reportStatus } from "../events/report.ts";
import { ArgumentError } from "../errors.ts";
import { harmlessJson } from "./format.ts";
import { type Handler, OK, onlyOperand, parsedValueOf, valueOf } from "./io.ts";
import type { BlockedKind, StatusValue } from "../screen/program_status.ts";

/** `report`: tells it, and prints nothing. */
export const report: Handler = async (call, io) => {
  const value = onlyOperand(call, "a status");
  const reported = await reportStatus(value as StatusValue | "clear", {
    kind: valueOf(call, "kind") as BlockedKind | undefined,
    message: valueOf(call, "message"),
    title: valueOf(call, "title"),
    progress: parsedValueOf(call, "progress", parseProgress),
    pid: parsedValueOf(call, "pid", parsePid),
  });
  if (io.json) io.out(harmlessJson(reported) + "\n");
  return OK;
};

function parseProgress(text: string): number {
  const [, digits] = /^(\d{1,3})%?$/.exec(text) ?? [];
  if (digits !== undefined && Number(digits) <= 100) return Number(digits);
  throw new ArgumentError(
    `Invalid progress "${text}": use a whole number from 0 to 100`,
  );
}

function parsePid(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new ArgumentError(`Invalid process id "${text}": use a whole number`);
}
