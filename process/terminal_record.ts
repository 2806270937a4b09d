/**
 * `terminal.json`: what the relay of a terminal session has noted about it. Any process of the
 * session may have written it instead: readers check each value.
 *
 * @module
 */
import { readJsonFile } from "../system/files.ts";

/** More than the greatest one: a hundred bytes, and the paths of the sessions that show it. */
const MAX_BYTES = 64 * 1024;

/** The unchecked fields of the record in a session's directory; `undefined` without one. */
export function readTerminalRecord(
  dir: string,
): Readonly<Record<string, unknown>> | undefined {
  const record = readJsonFile(`${dir}/terminal.json`, MAX_BYTES);
  return typeof record === "object" && record !== null
    ? record as Readonly<Record<string, unknown>>
    : undefined;
}
