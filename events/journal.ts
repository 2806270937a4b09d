/**
 * The journal of a session's events: `events.jsonl`, bounded.
 *
 *     events.jsonl.1   the older half, if there is one
 *     events.jsonl     one JSON object a line: {"at":"…","type":"input"}
 *
 * It has several writers: the relay, `report`, `send`. A writer holds an exclusive flock(2) on the
 * file and looks that the path still means that file. Only then it writes, or puts the file aside as
 * `.1` and makes a new one. So nothing is written to a file that was put aside: a follower that
 * sees a new file at the path finds its old one complete.
 *
 * A line is written by one write(2). A writer that is killed, or a disk that becomes full, can leave half a line;
 * the next writer ends that first. It is not cut off, because a follower may have read it. One that
 * is killed while it makes a new file leaves none; the next writer makes it.
 *
 * Anybody may have put something else in the file's place: no link is followed, no pipe waited
 * for, and readers check each line and read a bounded number of bytes.
 *
 * @module
 */
import type { EventFacts } from "./event.ts";
import { STATUS_SOURCES } from "./event.ts";
import { plainText } from "../screen/clean_text.ts";
import { STATUS_VALUES } from "../screen/program_status.ts";
import type { Paths } from "../store.ts";
import {
  identityOf,
  isAbsence,
  isGranted,
  makeFile,
  type OpenFile,
  openFile,
  statOptional,
} from "../system/files.ts";
import { compile } from "../system/ffi.ts";
import { pause } from "../system/pause.ts";
import {
  closeQuietly,
  factsOf,
  open,
  readAt,
  tryFlock,
  write,
} from "../system/libc.ts";

/** The size at which a journal is put aside, in bytes. */
const LIMIT_BYTES = 512 * 1024;
/** The longest line, in bytes. */
export const MAX_LINE_BYTES = 8 * 1024;
/** How much of a journal is read, in bytes: both its files, and some room. */
export const KEPT_BYTES = 2 * LIMIT_BYTES + 64 * 1024;

/** How long a writer waits for the lock. Others hold it for less than a millisecond of their time. */
const LOCK_MS = 100;
/** How long it waits no more after it has waited in vain: a relay has other work to do. */
const IMPATIENT_MS = 1000;

/** An event as it stands in a journal, without its session. */
export type JournalEntry = EventFacts & {
  /** When: RFC 3339, UTC. */
  readonly at: string;
};

/**
 * Appends an event, with the time. The event is lost if the disk is full, if the session is
 * gone, or if it is one of an earlier version, which has no journal. Tells whether it was written.
 *
 * @param limitBytes The size at which the journal is put aside.
 */
export function appendEvent(
  paths: Pick<Paths, "events">,
  facts: EventFacts,
  at: Date = new Date(),
  limitBytes = LIMIT_BYTES,
): boolean {
  const line = lineOf({ at: at.toISOString(), ...facts });
  try {
    if (++appended === MANY) {
      compile(["open", "flock", "statx", "pread", "write", "close"]);
    }
    // Again, if another writer has just put the file aside.
    for (let attempt = 0; attempt < 10; attempt++) {
      const written = appendLine(paths.events, line, limitBytes);
      if (written !== undefined) return written;
    }
  } catch {
    // A full disk, a deleted session: no event is worth an error in the middle of its cause.
  }
  return false;
}

/** From so many events on, a relay's, faster calls of the C library pay off, see system/ffi.ts. */
const MANY = 20;
let appended = 0;

const encoder = new TextEncoder();

function lineOf(entry: JournalEntry): Uint8Array<ArrayBuffer> {
  const line = encoder.encode(JSON.stringify(entry) + "\n");
  if (line.length <= MAX_LINE_BYTES) return line;
  const short = (_key: string, value: unknown) =>
    typeof value === "string" && value.length > 400
      ? value.slice(0, 399) + "…"
      : value;
  return encoder.encode(JSON.stringify(entry, short) + "\n");
}

/** Tells whether the line was written; `undefined` if another file is the journal by now. */
function appendLine(
  path: string,
  line: Uint8Array<ArrayBuffer>,
  limitBytes: number,
): boolean | undefined {
  const found = statOptional(path);
  if (found === undefined) return makeNext(path) ? undefined : false;
  if (!found.isFile || line.length > MAX_LINE_BYTES) return false;
  const fd = openToAppend(path);
  if (fd < 0) return undefined; // Another writer is just putting it aside.
  try {
    if (!lock(fd)) return false;
    const facts = factsOf(fd, path);
    const now = statOptional(path);
    if (now === undefined || identityOf(now) !== identityOf(facts)) {
      return undefined;
    }
    if (!facts.isFile) return false;
    if (facts.size > 0 && facts.size + line.length > limitBytes) {
      // `send` needs no --allow-write; Deno would ask for it on a terminal.
      if (!isGranted({ name: "write", path })) return false;
      Deno.renameSync(path, `${path}.1`);
      return makeNext(path) ? undefined : false;
    }
    const whole = endsInside(fd, facts.size) ? afterNewline(line) : line;
    return write(fd, whole) === whole.length;
  } finally {
    closeQuietly(fd);
  }
}

/** A descriptor; -1 if there is no file. */
function openToAppend(path: string): number {
  try {
    return open(path, { access: "both", noFollow: true, append: true });
  } catch (error) {
    if (isAbsence(error)) return -1;
    throw error;
  }
}

let patientFrom = 0;

/** Takes the lock of an open file; `false` if another process keeps it. */
function lock(fd: number): boolean {
  const start = performance.now();
  const end = start >= patientFrom ? start + LOCK_MS : start;
  while (!tryFlock(fd, "exclusive")) {
    if (performance.now() >= end) { // The other one is stopped, or means harm.
      patientFrom = end + IMPATIENT_MS;
      return false;
    }
    pause(0.2);
  }
  return true;
}

/** Makes the file that follows one that was put aside; `false` if there is none of those. */
function makeNext(path: string): boolean {
  if (!statOptional(`${path}.1`)?.isFile) return false;
  if (!isGranted({ name: "write", path })) return false;
  try {
    makeFile(path, "");
  } catch (error) {
    // Another writer was quicker; or has put the new one aside already.
    if (!(error instanceof Deno.errors.AlreadyExists) && !isAbsence(error)) {
      throw error;
    }
  }
  return true;
}

const lastByte = new Uint8Array(1);
const NEWLINE = 10;

/** Tells whether a file ends with half a line. */
function endsInside(fd: number, size: number): boolean {
  return size > 0 && readAt(fd, lastByte, size - 1) === 1 &&
    lastByte[0] !== NEWLINE;
}

function afterNewline(line: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(line.length + 1);
  whole[0] = NEWLINE;
  whole.set(line, 1);
  return whole;
}

/** The last event of a journal; `undefined` if it has none. */
export function lastEntry(
  paths: Pick<Paths, "events">,
): JournalEntry | undefined {
  // Right after a new file was begun, the last event is in the older one.
  for (const path of [paths.events, `${paths.events}.1`]) {
    using file = openFile(path);
    const entries = linesOf(file, 2 * MAX_LINE_BYTES).toReversed();
    for (const line of entries) {
      const entry = parseEntry(line);
      if (entry !== undefined) return entry;
    }
  }
  return undefined;
}

/** How much of a journal is read for a title. */
const TITLE_BYTES = 16 * 1024;

/** The last title of a terminal among its last events; `undefined` if there is none. */
export function lastTitle(paths: Pick<Paths, "events">): string | undefined {
  using file = openFile(paths.events);
  const line = linesOf(file, TITLE_BYTES)
    .findLast((line) => line.includes('"title"') && titleIn(line));
  return line && titleIn(line);
}

function titleIn(line: string): string | undefined {
  const entry = parseEntry(line);
  return entry?.type === "title" ? entry.title : undefined;
}

const decoder = new TextDecoder();

/** The complete lines at the end of a file. */
function linesOf(
  file: OpenFile | undefined,
  maxBytes: number,
): string[] {
  if (file === undefined) return [];
  const start = Math.max(0, file.size() - maxBytes);
  const buffer = new Uint8Array(maxBytes);
  const length = file.readNow(buffer, start);
  const end = buffer.lastIndexOf(NEWLINE, length - 1);
  return end < 0 ? [] : decoder.decode(buffer.subarray(0, end)).split("\n");
}

/**
 * The event of a line in a journal; `undefined` if it is none. Types and fields that this version
 * doesn't know are kept. Types that other files record don't belong into a journal. All
 * texts are harmless.
 */
export function parseEntry(line: string): JournalEntry | undefined {
  let entry: Readonly<Record<string, unknown>>;
  try {
    entry = JSON.parse(
      line,
      (_key, value) => typeof value === "string" ? plainText(value) : value,
    );
  } catch {
    return undefined; // Half a line, for example.
  }
  if (!isRecord(entry) || typeof entry.type !== "string") return undefined;
  const at = new Date(typeof entry.at === "string" ? entry.at : NaN);
  // Other years have another form, which is not RFC 3339: +010000-…
  const hasYear = at.getUTCFullYear() >= 0 && at.getUTCFullYear() <= 9999;
  if (!hasYear) return undefined; // It may be no time at all.
  // The session is the one whose directory it is, whatever a line says.
  const { at: _at, id: _id, type, ...rest } = entry;
  const isValid = Object.hasOwn(VALID, type) ? VALID[type]!(entry) : true;
  if (!isValid) return undefined;
  return { at: at.toISOString(), type, ...rest } as unknown as JournalEntry;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isText = (value: unknown) => typeof value === "string";
const isTextOrNone = (value: unknown) => value === undefined || isText(value);
const isCount = (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** What an event of each type must have. */
const VALID: Readonly<
  Record<string, (entry: Record<string, unknown>) => boolean>
> = {
  status: ({ status }) => status === null || isStatus(status),
  notification: ({ title, body }) => isTextOrNone(title) && isText(body),
  title: ({ title }) => isText(title),
  attached: ({ clients }) => isCount(clients),
  detached: ({ clients }) => isCount(clients),
  input: () => true,
  created: () => false,
  started: () => false,
  stopped: () => false,
  exited: () => false,
  lost: () => false,
  deleted: () => false,
};

function isStatus(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { progress } = value;
  return STATUS_VALUES.some((known) => known === value.value) &&
    STATUS_SOURCES.some((known) => known === value.source) &&
    [value.kind, value.message, value.title].every(isTextOrNone) &&
    (progress === undefined || isCount(progress));
}
