/**
 * Who is told: starting a session's notifier when its program becomes `blocked`, `done` or `error`,
 * and reading how the last one has ended. The reaper starts the one for the session's end, see
 * `process/notifier.ts`.
 *
 * The relay has read the notifier's path before it started the agent, which could write the metadata.
 *
 * @module
 */
import type { EventFacts, ToldStatus } from "./event.ts";
import { spawnLeader } from "../process/child.ts";
import { keepInheritedLocks } from "../process/inherited_locks.ts";
import { notifierCommand, notifierOf } from "../process/notifier.ts";
import { type Meta, META_BYTES, parseMeta, type Paths } from "../store.ts";
import { readFile, readJsonFile, statOptional } from "../system/files.ts";

/** The shortest time between two notifiers of one process, in milliseconds. */
const PAUSE_MS = 1000;

/** What the notifier is told of. */
const TOLD: readonly string[] = ["blocked", "done", "error"];

/** Variables with which bash would define functions or change its options. */
const OF_SHELLS = /^BASH_FUNC_|^(SHELLOPTS|BASHOPTS|POSIXLY_CORRECT)$/;
/** Variables of the session's own processes, and those of an earlier notifier. */
const OF_SESSION =
  /^CODEX_SESSION_(DIR|EVENT|MESSAGE|EXIT_STATUS|AGENT_ENV_\d+)$/;

/** Tells the notifier of an event, if it is one that it is told of. */
export type Notify = (facts: EventFacts, at?: Date) => void;

/** An event that waits for its time. */
interface Pending {
  readonly status: ToldStatus;
  readonly at: Date;
}

/**
 * What tells the notifier of a session of the events that this process sees; `undefined` if it has
 * none. It is told once when the status becomes `blocked`, `done` or `error`, and of a later status only
 * if that has another value, or is blocked for another reason. Between two starts lies a second; of
 * what comes before that, the last one is told if it is still true then.
 *
 * @param start Starts a notifier.
 */
export function notifyOf(
  meta: Meta,
  paths: Paths,
  start: typeof startNotifier = startNotifier,
): Notify | undefined {
  if (meta.notify === undefined) return undefined;
  let last = "";
  let pending: Pending | undefined;
  let startedAt = -Infinity;
  let isWaiting = false;
  const tell = (): void => {
    isWaiting = false;
    if (pending === undefined) return;
    const { status, at } = pending;
    pending = undefined;
    startedAt = performance.now();
    start(meta, paths, status, at);
  };
  return (facts, at = new Date()) => {
    if (facts.type !== "status") return;
    const { status } = facts;
    const key = keyOf(status);
    if (key === last) return;
    last = key;
    pending = isTold(status) ? { status, at } : undefined;
    if (pending === undefined || isWaiting) return;
    const waitMs = startedAt + PAUSE_MS - performance.now();
    if (waitMs <= 0) return tell();
    isWaiting = true;
    setTimeout(tell, waitMs);
  };
}

/** The same as {@linkcode notifyOf}, by the metadata in the session's directory. */
export function notifyAt(paths: Paths): Notify | undefined {
  const meta = metaAt(paths);
  return meta && notifyOf(meta, paths);
}

/** A notifier that has to wait. */
export interface LaterNotice {
  /** For how long, in milliseconds. */
  readonly waitMs: number;
  /** Tells it then. Never throws. */
  tell(): void;
}

/**
 * Tells the notifier of a status that `report` has just told, and that is another one than before. If
 * the last start was less than a second ago, the caller has to do that later. Never throws.
 */
export function notifyReport(
  paths: Paths,
  status: ToldStatus,
): LaterNotice | undefined {
  if (!isTold(status)) return undefined;
  const meta = metaAt(paths);
  if (meta?.notify === undefined) return undefined;
  const at = new Date();
  const tell = () => void startNotifier(meta, paths, status, at);
  // The time of the file: when the last one has started, or has ended.
  const last = statOptional(paths.notify)?.mtime?.getTime() ?? 0;
  const waitMs = last + PAUSE_MS - at.getTime();
  // The clock may have been set back.
  if (waitMs > 0) return { waitMs: Math.min(waitMs, PAUSE_MS), tell };
  tell();
  return undefined;
}

/** The metadata in a session's directory; `undefined` if they can't be read. */
function metaAt(paths: Paths): Meta | undefined {
  try {
    return parseMeta(readFile(paths.meta, META_BYTES) ?? "", paths.id);
  } catch {
    // They are damaged: then it has no notifier.
    return undefined;
  }
}

function keyOf(status: Pick<ToldStatus, "value" | "kind"> | null): string {
  return status === null ? "" : `${status.value} ${status.kind ?? ""}`;
}

function isTold(status: ToldStatus | null): status is ToldStatus {
  return status !== null && TOLD.includes(status.value);
}

/** Starts the notifier. If that fails, nobody is told; tells whether it was started. */
function startNotifier(
  meta: Meta,
  paths: Paths,
  status: ToldStatus,
  at: Date,
): boolean {
  try {
    const notifier = notifierOf(meta);
    if (notifier === undefined) return false;
    keepInheritedLocks();
    const { id } = paths;
    const event = { at: at.toISOString(), id, type: "status", status };
    // Without it, or with a link to another session's in its place, no outcome is written.
    const isThere = statOptional(paths.dir)?.isDirectory;
    if (isThere) touch(paths, at);
    spawnLeader(notifierCommand(notifier, event), {
      cwd: isThere ? paths.dir : "/",
      env: environmentFor(id, status),
      clearEnv: true,
      ignoreHangup: true,
    }).unref();
    return true;
  } catch {
    // The process table may be full.
    return false;
  }
}

/** Notes when a notifier has started. */
function touch(paths: Paths, at: Date): void {
  try {
    if (statOptional(paths.notify)?.isFile) {
      Deno.utimeSync(paths.notify, at, at);
    }
  } catch {
    // The session was deleted, or belongs to a read-only disk.
  }
}

/** The notifier's environment: that of this process, and what the event is. */
function environmentFor(
  id: string,
  { value, message }: ToldStatus,
): Record<string, string> {
  const own = Object.entries(Deno.env.toObject())
    .filter(([name]) => !OF_SHELLS.test(name) && !OF_SESSION.test(name));
  return {
    ...Object.fromEntries(own),
    CODEX_SESSION_ID: id,
    CODEX_SESSION_EVENT: value,
    ...(message === undefined ? {} : { CODEX_SESSION_MESSAGE: message }),
  };
}

/** How a notifier has ended. */
export type NotifierOutcome =
  & {
    /** When it was started: RFC 3339, UTC. */
    readonly at: string;
    /** What it was told of: `blocked`, `done`, `error` or `exited`. */
    readonly event: string;
  }
  & (
    /** It ended by itself, with this status. */
    | { readonly exitStatus: number }
    /** It was killed after 10 s. */
    | { readonly timedOut: true }
  );

/** The largest `notify.json`, in bytes. */
const MAX_BYTES = 4096;

/** How the last notifier of a session has ended; `null` if none has. */
export function readOutcome(
  paths: Pick<Paths, "notify">,
): NotifierOutcome | null {
  const value = readJsonFile(paths.notify, MAX_BYTES) as
    | {
      at?: unknown;
      event?: unknown;
      exitStatus?: unknown;
      timedOut?: unknown;
    }
    | null
    | undefined;
  const { at, event, exitStatus, timedOut } = value ?? {};
  if (typeof at !== "string" || Number.isNaN(Date.parse(at))) return null;
  if (event !== "exited" && !TOLD.includes(String(event))) return null;
  const told = { at, event: String(event) };
  if (timedOut === true) return { ...told, timedOut };
  const isStatus = Number.isInteger(exitStatus);
  return isStatus ? { ...told, exitStatus: Number(exitStatus) } : null;
}
