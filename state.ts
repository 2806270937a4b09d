/**
 * The state of a session, derived from its files: never stored.
 *
 * An `exit` record means exited; else a held lock means starting or running; else the
 * session is lost. Every record has one writer and counts once its line is complete.
 *
 * @module
 */
import { type Ending, parseEnding } from "./system/signals.ts";
import { openFile, readFile, statOptional } from "./system/files.ts";
import { type Paths } from "./store.ts";

/** Who asked a session to end, and how. */
export interface StopRequest {
  /** The command or rule that asked. */
  readonly by: "stop" | "delete" | "timeout";
  /** When, RFC 3339 in UTC. */
  readonly at: string;
  /** The first signal that was sent. */
  readonly signal: string;
}

/** The processes that supervise and are the agent. */
export interface Pids {
  /** The supervisor; also the session id, see setsid(2), of what it started. */
  readonly reaper: number;
  /** The agent. */
  readonly agent: number;
}

/** The state of a session, derived from its files; each state has its own fields. */
export type State =
  | { readonly state: "starting" }
  | { readonly state: "running"; readonly pids: Pids }
  | { readonly state: "exited"; readonly ending: Ending }
  | { readonly state: "lost"; readonly pids: Pids | null }
  | { readonly state: "damaged"; readonly reason: string };

/** The name of a state. */
export type StateName = State["state"];

/** All states, in the order of a session's life. */
export const STATES: readonly StateName[] = [
  "starting",
  "running",
  "exited",
  "lost",
  "damaged",
];

/** Reads the process ids, `undefined` until the reaper has written them. */
export function readPids(paths: Paths): Pids | undefined {
  // A record is complete once its line is: the write that ends it is its commit.
  const match = /^([1-9]\d{0,9}) ([1-9]\d{0,9})[ \d]*\n$/.exec(
    readFile(paths.pid) ?? "",
  );
  return match === null
    ? undefined
    : { reaper: Number(match[1]), agent: Number(match[2]) };
}

/** Reads who asked for the session's end, `undefined` if nobody did. */
export function readStopRequest(paths: Paths): StopRequest | undefined {
  let request: Partial<StopRequest> | null;
  try {
    request = JSON.parse(readFile(paths.stop) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { by, at, signal } = request ?? {};
  return typeof by === "string" && typeof at === "string" &&
      typeof signal === "string"
    ? { by, at, signal }
    : undefined;
}

/** Tells whether a process of the session lives: whether somebody holds its lock. flock(2). */
export function isLockHeld(paths: Paths): boolean {
  using file = openFile(paths.lock);
  // A shared lock, so that two readers never take each other for the holder.
  return file !== undefined && !file.tryLock("shared");
}

/** Derives the state of the session with these files. */
export function readState(paths: Paths): State {
  const ending = readEnding(paths);
  if (ending !== undefined) return { state: "exited", ending };
  const pids = readPids(paths);
  if (isLockHeld(paths)) {
    return pids === undefined
      ? { state: "starting" }
      : { state: "running", pids };
  }
  // It may have ended between the two looks: the record is written before the lock is freed.
  const late = readEnding(paths);
  if (late !== undefined) return { state: "exited", ending: late };
  return { state: "lost", pids: pids ?? null };
}

/** Reads how the agent ended, `undefined` as long as that is not recorded. */
export function readEnding(paths: Paths): Ending | undefined {
  return parseEnding(readFile(paths.exit) ?? "");
}

/** When the agent was started and when its end was recorded: the times of the files that say so. */
export function readTimes(
  paths: Paths,
): { readonly startedAt: Date | null; readonly endedAt: Date | null } {
  return {
    startedAt: readPids(paths) ? statOptional(paths.pid)?.mtime ?? null : null,
    endedAt: readEnding(paths) ? statOptional(paths.exit)?.mtime ?? null : null,
  };
}
