/**
 * A status in a file of a session, read strictly: any process of the session may have written it,
 * or a newer version with more fields.
 *
 * @module
 */
import type { ToldStatus } from "./event.ts";
import { type Fields, fieldsOf, textIn } from "../agents/transcript.ts";
import { plainText } from "../screen/clean_text.ts";
import {
  BLOCKED_KINDS,
  MAX_MESSAGE_BYTES,
  MAX_TITLE_BYTES,
  STATUS_VALUES,
} from "../screen/program_status.ts";

/** What a status tells, whoever tells it. */
export type StatusFacts = Omit<ToldStatus, "source">;

/** What an object tells as a status; `undefined` if it has no known value. Other fields are ignored. */
export function statusIn(object: unknown): StatusFacts | undefined {
  const fields: Fields = fieldsOf(object);
  const value = STATUS_VALUES.find((one) => one === fields.value);
  if (value === undefined) return undefined;
  const kind = BLOCKED_KINDS.find((one) => one === fields.kind);
  const { progress } = fields;
  return {
    value,
    kind: value === "blocked" ? kind : undefined,
    message: lineIn(fields.message, MAX_MESSAGE_BYTES),
    title: lineIn(fields.title, MAX_TITLE_BYTES),
    progress: typeof progress === "number" && progress >= 0 && progress <= 100
      ? progress
      : undefined,
  };
}

/** A text for people: one line, harmless, and of so many UTF-16 units; `undefined` without any. */
function lineIn(value: unknown, maxLength: number): string | undefined {
  const line = textIn(value)?.slice(0, 2 * maxLength).replace(/\s+/g, " ");
  return line && plainText(line, maxLength).trim() || undefined;
}

/** A time in milliseconds since 1970 that a `Date` can hold. */
export function momentIn(value: unknown): number | undefined {
  return typeof value === "number" && Math.abs(value) <= 8.64e15
    ? value
    : undefined;
}
