/**
 * What a program tells its terminal it is doing: the Program Status Protocol, OSC 7501.
 *
 *     ESC ] 7501 ; state=blocked:app=claude-code:kind=permission:msg=<base64> ST
 *     ESC ] 7501 ; ? ST        the query; the terminal answers with the same sequence
 *
 * A terminal keeps one record for each `id`. A report replaces its record whole. `clear` removes
 * a record and those below it; without an `id`, all.
 *
 * Single pairs may be malformed or unknown, they are skipped. A report with an unknown state, an
 * invalid id, or anything beyond its limit is dropped whole: so a report about one record never
 * becomes one about the program.
 *
 * The text is untrusted: a file that is shown by cat(1) can report, too. It can lie about the
 * status, and nothing else.
 *
 * Facts: revision 0.4, https://www.superlogical.com/rex/docs/build/program-status, as Ghostty
 * parses it.
 *
 * @module
 */
import { toLatin1 } from "../system/bytes.ts";
import { plainText } from "./clean_text.ts";

/** What a program is doing. */
export type StatusValue = "blocked" | "error" | "working" | "done" | "idle";

/** What a program can be doing, the most urgent first. */
export const STATUS_VALUES: readonly StatusValue[] = [
  "blocked",
  "error",
  "working",
  "done",
  "idle",
];

/** What a blocked program needs from its user. */
export type BlockedKind = "permission" | "question" | "auth";

/** What a blocked program can need. */
export const BLOCKED_KINDS: readonly BlockedKind[] = [
  "permission",
  "question",
  "auth",
];

/** The status of one thing that a program reports on. */
export interface StatusRecord {
  /** Names joined by slashes; empty for the program itself. */
  readonly id: string;
  /** What it is doing. */
  readonly value: StatusValue;
  /** What it needs, if it is blocked. */
  readonly kind?: BlockedKind;
  /** How far it is, from 0 to 100, if it is working or blocked. */
  readonly progress?: number;
  /** The program's name for machines, such as `claude-code`. */
  readonly app?: string;
  /** A short label for people. */
  readonly title?: string;
  /** One line for people. */
  readonly message?: string;
  /** Since when it has had this value and kind, in milliseconds since 1970. */
  readonly since: number;
}

/** The introducer of all sequences of this protocol. */
export const STATUS_INTRODUCER = "\x1b]7501;";

/**
 * The query, with each end that it can have. The answer is the same sequence: one of these two
 * strings, never the program's own bytes.
 */
export const STATUS_QUERIES = [
  `${STATUS_INTRODUCER}?\x07`,
  `${STATUS_INTRODUCER}?\x1b\\`,
] as const;

/**
 * How many bytes at the end of some output are the beginning of one of {@linkcode STATUS_QUERIES}, or
 * could be.
 */
export function cutQueryLength(output: Uint8Array): number {
  for (let length = STATUS_QUERIES[1].length - 1; length > 0; length--) {
    const end = toLatin1(output.subarray(-length));
    const isCut = STATUS_QUERIES.some((query) => query.startsWith(end));
    if (isCut && end.length === length) return length;
  }
  return 0;
}

// Limits in bytes; all that is allowed in a name or value is ASCII.
const MAX_BODY_LENGTH = 4096 - STATUS_INTRODUCER.length - "\x1b\\".length;
const MAX_KEY_LENGTH = 16;
/** The longest name of a program. */
export const MAX_APP_LENGTH = 32;
/** The longest id of a record. */
export const MAX_ID_LENGTH = 128;
const MAX_SEGMENT_LENGTH = 32;
const MAX_SEGMENTS = 8;
/** The longest label. */
export const MAX_TITLE_BYTES = 192;
/** The longest line for people. */
export const MAX_MESSAGE_BYTES = 2048;
/** The most records. */
export const MAX_RECORDS = 256;

const NAME = /^[A-Za-z0-9_.+-]+$/;
const VALUE = /^[A-Za-z0-9_.+,/=-]*$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A report that is to be dropped. */
class Invalid extends Error {}

/** The records of one terminal. */
export class StatusRecords {
  #records = new Map<string, StatusRecord>();

  /** All records, in the order in which they were first reported. */
  get all(): readonly StatusRecord[] {
    return [...this.#records.values()];
  }

  /** All records, the most urgent first; of equals the one that has changed last. */
  get byUrgency(): readonly StatusRecord[] {
    const rank = ({ value }: StatusRecord) => STATUS_VALUES.indexOf(value);
    return this.all.toSorted((a, b) => rank(a) - rank(b) || b.since - a.since);
  }

  /** Whether something goes on, which ends with its program. */
  get isActive(): boolean {
    return this.#records.values()
      .some(({ value }) => value === "working" || value === "blocked");
  }

  /**
   * Applies the body of a report that has arrived at `now`, in milliseconds since 1970. Tells
   * whether a record has changed.
   */
  apply(body: string, now: number): boolean {
    let report: Report;
    try {
      report = parse(body);
    } catch (error) {
      if (error instanceof Invalid) return false;
      throw error;
    }
    const { id, value } = report;
    if (value === "clear") return this.#clear(id);
    const before = this.#records.get(id);
    if (before === undefined && this.#records.size >= MAX_RECORDS) return false;
    const isSame = before?.value === value && before.kind === report.kind;
    const after = { ...report, value, since: isSame ? before.since : now };
    if (JSON.stringify(before) === JSON.stringify(after)) return false;
    this.#records.set(id, after);
    return true;
  }

  /** A shell shows its prompt (OSC 133;A), or the program has ended: nothing is going on. */
  endActivity(): boolean {
    return this.#keep(({ value }) => value === "done" || value === "error");
  }

  /** The terminal was reset (RIS). */
  reset(): boolean {
    return this.#clear("");
  }

  #clear(id: string): boolean {
    return this.#keep((record) =>
      id !== "" && record.id !== id && !record.id.startsWith(`${id}/`)
    );
  }

  #keep(test: (record: StatusRecord) => boolean): boolean {
    const before = this.#records.size;
    for (const record of this.all) {
      if (!test(record)) this.#records.delete(record.id);
    }
    return this.#records.size < before;
  }
}

type Report = Omit<StatusRecord, "value" | "since"> & {
  readonly value: StatusValue | "clear";
};

/** @throws {Invalid} */
function parse(body: string): Report {
  if (body.length > MAX_BODY_LENGTH) throw new Invalid();
  const values = new Map<string, string>();
  for (const pair of body.split(":")) {
    const at = pair.indexOf("=");
    if (at < 0) continue;
    const key = pair.slice(0, at).trim();
    const value = pair.slice(at + 1).trim();
    if (key.length > MAX_KEY_LENGTH) throw new Invalid();
    if (!VALUE.test(value)) continue;
    // Also one that a later pair replaces: a limit is a limit.
    if (key === "id") checkId(value);
    if (key === "app" && value.length > MAX_APP_LENGTH) throw new Invalid();
    values.set(key, value);
  }
  const state = values.get("state");
  const value = state === "clear"
    ? state
    : STATUS_VALUES.find((one) => one === state);
  if (value === undefined) throw new Invalid();
  const isActive = value === "working" || value === "blocked";
  const app = values.get("app");
  return {
    id: values.get("id") ?? "",
    value,
    kind: value === "blocked"
      ? BLOCKED_KINDS.find((one) => one === values.get("kind"))
      : undefined,
    progress: isActive ? parseProgress(values.get("progress")) : undefined,
    app: app !== undefined && NAME.test(app) ? app : undefined,
    title: parseText(values.get("title"), MAX_TITLE_BYTES),
    message: parseText(values.get("msg"), MAX_MESSAGE_BYTES),
  };
}

function checkId(id: string): void {
  const segments = id.split("/");
  const isValid = id.length <= MAX_ID_LENGTH &&
    segments.length <= MAX_SEGMENTS &&
    segments.every((one) => one.length <= MAX_SEGMENT_LENGTH && NAME.test(one));
  if (!isValid) throw new Invalid();
}

function parseProgress(text: string | undefined): number | undefined {
  const isNumber = text !== undefined && /^\d{1,16}$/.test(text);
  return isNumber && Number(text) <= 100 ? Number(text) : undefined;
}

/** Text in base64, the padding optional. */
function parseText(
  encoded: string | undefined,
  maxBytes: number,
): string | undefined {
  if (encoded === undefined || encoded === "") return undefined;
  if (!BASE64.test(encoded) || encoded.length > Math.ceil(maxBytes / 3) * 4) {
    throw new Invalid();
  }
  let text: string;
  try {
    const bytes = Uint8Array.fromBase64(encoded);
    if (bytes.length > maxBytes) throw new Invalid();
    text = decoder.decode(bytes);
  } catch {
    throw new Invalid(); // No base64, or no UTF-8.
  }
  if (CONTROLS.test(text)) throw new Invalid();
  return plainText(text) || undefined;
}
