/**
 * Stopping and deleting a session: when, what is recorded, what becomes of its files.
 *
 * `process/ending.ts` ends processes, `process/members.ts` finds them. A session is held from the
 * moment that it is read, see `process/hold.ts`: a later session with the same id is safe.
 *
 * @module
 */
import { checkOptions, SessionError } from "../errors.ts";
import { type EndingOptions, endProcesses } from "../process/ending.ts";
import { Hold } from "../process/hold.ts";
import { mainPids } from "../process/main_pids.ts";
import {
  isWithin,
  processesAt,
  type SessionProcess,
} from "../process/members.ts";
import { type Session, sessionAt } from "./find.ts";
import { serversOf } from "./servers.ts";
import { join } from "../std.ts";
import {
  checkId,
  describeState,
  isLive,
  noSuchSession,
  openRoot,
  parseEnding,
  type Paths,
  pathsIn,
  readEnding,
  readState,
  type RootOptions,
  type State,
  type StopRequest,
} from "../store.ts";
import { sleep } from "../system/async.ts";
import {
  exists,
  type OpenFile,
  openFile,
  textOf,
  writeAtomic,
} from "../system/files.ts";
import { signalName, signalNumber, SIGNALS } from "../system/signals.ts";

/** Options for ending a session. */
export interface EndOptions extends RootOptions {
  /**
   * The first signal: `TERM`, `SIGTERM` or `15`.
   *
   * @default {"SIGTERM"}
   */
  readonly killSignal?: string;
  /**
   * Milliseconds from this signal to SIGKILL.
   *
   * @default {10000}
   */
  readonly graceMs?: number;
  /**
   * Called after the stop with what its user should know, one line each: that the work may go
   * on in a background server of the agent.
   *
   * @default {undefined}
   */
  readonly onNotice?: (notice: string) => void;
  /**
   * When the session was created: a later one with its id is `not_found`.
   *
   * @default {whichever has the id}
   */
  readonly createdAt?: Date;
  /** Stops the waiting; signals that were sent stay sent. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode stopSession}. */
export interface StopOptions extends EndOptions {
  /**
   * The command or rule that stops it, for the record.
   *
   * @default {"stop"}
   */
  readonly by?: StopRequest["by"];
}

/** Options of {@linkcode deleteSession}. */
export interface DeleteOptions extends EndOptions {
  /**
   * Stop a running session first; delete even a damaged one.
   *
   * @default {false}
   */
  readonly force?: boolean;
}

/** How long another deleter of the same session may take, beyond our own grace period. */
const LOCK_MS = 15_000;
/** How long a new session may take from its lock to its first process. */
const STARTING_MS = 2_000;

/**
 * Stops a session: a signal to each of its processes, a grace period, SIGKILL to the rest. With
 * SIGTERM, a process on a terminal that ignores it, such as an interactive shell, gets SIGHUP too.
 * Resolves with the ended session when all its processes are gone, except the caller if it is
 * one of them. For an ended session, it ends the processes left behind. The request is recorded
 * in `stop.json` before the signal; a full disk does not prevent the stop. A process that forks
 * and exits faster than the process table can be read, with no parent in the session, may escape.
 *
 * Needs `--allow-read` and `--allow-write` of the root, `--allow-ffi`, `--allow-env`,
 * and unless all is allowed `--allow-run=/bin/sh`.
 *
 * @throws {SessionError} `wrong_state` if there is nothing to stop; `not_found`;
 * `timeout` if a process survives SIGKILL, or the ending can't be recorded.
 * @throws {Deno.errors.PermissionDenied} if a process runs as another user.
 * @throws {TypeError} if there is no such signal, or the id is malformed.
 * @throws {RangeError} if `graceMs` is negative.
 *
 * @example
 * ```ts
 * import { createSession, stopSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "100"] });
 * console.log((await stopSession(id)).state); // { state: "exited", ending: { signal: "SIGTERM" } }
 * ```
 */
export async function stopSession(
  id: string,
  options: StopOptions = {},
): Promise<Session> {
  checkOptions(options, { ...HOW, by: "string" });
  const { killSignal = "SIGTERM", graceMs = 10_000, signal } = options;
  const number = checkHow(killSignal, graceMs, signal);
  const held = holdSession(id, openRoot(options), options.createdAt);
  using _ = held.hold;
  return await stopHeld(held, {
    by: options.by ?? "stop",
    signalNumber: number,
    graceMs,
    onNotice: options.onNotice,
    signal,
  });
}

/** A session as it was read while held; the caller disposes of the hold. */
export interface Held {
  readonly session: Session;
  readonly hold: Hold;
}

/**
 * Holds a session and reads it; with `createdAt` only the one that was created then. A link in its place is not a session: it could lead out of
 * the root.
 *
 * @throws {SessionError} `not_found`.
 */
export function holdSession(
  id: string,
  root: string,
  createdAt?: Date,
): Held {
  const paths = pathsIn(join(root, checkId(id)), id);
  for (;;) {
    const hold = Hold.take(paths);
    if (hold === undefined) throw noSuchSession(id);
    try {
      const session = sessionAt(paths);
      if (hold.isStill()) {
        const isMeant = createdAt === undefined ||
          createdAt.getTime() === session.createdAt.getTime();
        if (isMeant) return { session, hold };
        throw noSuchSession(id);
      }
    } catch (error) {
      hold[Symbol.dispose]();
      throw error;
    }
    hold[Symbol.dispose](); // Another session has the id by now: hold and read that one.
  }
}

type StopHow =
  & Omit<EndingOptions, "isStill">
  & Pick<EndOptions, "onNotice">;

async function stopHeld(
  { session, hold }: Held,
  options: StopHow & { readonly by: StopRequest["by"] },
): Promise<Session> {
  const { by, signalNumber, signal } = options;
  const { paths } = session;
  const servers = serversOf(await untilThereAreProcesses(paths, signal));
  using lock = openFile(paths.lock) ?? null;
  const isStill = () => hold.isStill();
  const at = new Date().toISOString();
  const request: StopRequest = { by, at, signal: signalName(signalNumber) };
  const isRequested = session.state.state !== "lost" &&
    readEnding(paths) === undefined;
  if (isRequested && isStill()) record(paths, request);
  await endAll(paths, { ...options, isStill });
  // The disk was full, perhaps by these processes.
  if (isRequested && isStill() && !exists(paths.stop)) record(paths, request);
  for (const notice of servers()) options.onNotice?.(notice);
  return afterwards(session, hold, lock);
}

/** The types of the options for ending a session. */
const HOW = {
  killSignal: "string",
  graceMs: "number",
  onNotice: "function",
  createdAt: Date,
} as const;

/** Checks how to end a session; returns the number of the first signal. */
function checkHow(
  killSignal: string,
  graceMs: number,
  signal: AbortSignal | undefined,
): number {
  signal?.throwIfAborted();
  if (!(graceMs >= 0)) {
    throw new RangeError(`graceMs must not be negative, got ${graceMs}`);
  }
  return signalNumber(killSignal);
}

async function untilThereAreProcesses(
  paths: Paths,
  signal?: AbortSignal,
): Promise<readonly SessionProcess[]> {
  const since = performance.now();
  for (;;) {
    const processes = processesAt(paths);
    if (processes.length > 0) return processes;
    // Read after that look: it may just have ended.
    const { state } = sessionAt(paths);
    // If this process is all that is left of it, it holds the lock itself.
    const alone = state.state === "running" && isWithin(paths);
    // In the middle of an exec a process has no environment to be found by.
    const patienceMs = isLive(state) ? STARTING_MS : 0;
    if (alone || performance.now() - since > patienceMs) {
      throw nothingToStop(paths.id, state);
    }
    await sleep(10, signal);
  }
}

async function endAll(paths: Paths, options: EndingOptions): Promise<void> {
  const { signalNumber } = options;
  // Its shell, which gets a SIGHUP, passes that on, too.
  const signals = [signalNumber, SIGNALS.HUP!];
  using _ = isWithin(paths) ? keepAlive(signals) : null;
  await endProcesses(paths, options);
}

function nothingToStop(id: string, state: State): SessionError {
  const hint = isLive(state)
    ? ", but its processes are not visible from here; does it run in a container or on another machine?"
    : "";
  const message = `Cannot stop session "${id}": ${describeState(state)}${hint}`;
  return new SessionError("wrong_state", message, { id });
}

function record(paths: Paths, request: StopRequest): void {
  try {
    writeAtomic(paths.stop, JSON.stringify(request) + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    // It is gone, or the disk is full: the stop goes on without a record.
  }
}

/** Ignores signals that a signalled parent, such as npx, may pass on to this process. */
function keepAlive(numbers: readonly number[]): Disposable {
  const stack = new DisposableStack();
  const ignore = () => {};
  for (const number of numbers) {
    const name = signalName(number) as Deno.Signal;
    try {
      Deno.addSignalListener(name, ignore);
    } catch {
      continue; // It can't be caught.
    }
    stack.defer(() => Deno.removeSignalListener(name, ignore));
  }
  return stack;
}

/**
 * The session as it ended. A session with `rm` is gone by then: its lock file, which is still
 * open, also holds the ending.
 */
function afterwards(
  before: Session,
  hold: Hold,
  lock: OpenFile | null,
): Session {
  const { id, paths } = before;
  const lost: State = {
    state: "lost",
    pids: mainPids(paths, false) ?? null,
  };
  try {
    const session = sessionAt(paths);
    if (!hold.isStill()) throw noSuchSession(id);
    // A process within the session holds the inherited lock itself. Its agent really lives.
    const seemsLive = isLive(session.state) && isWithin(paths) &&
      mainPids(paths, true)?.agent !== Deno.pid;
    return seemsLive ? { ...session, state: lost } : session;
  } catch (error) {
    if (!(error instanceof SessionError && error.code === "not_found")) {
      throw error;
    }
    const ending = parseEnding(lock && textOf(lock) || "");
    return { ...before, state: ending ? { state: "exited", ending } : lost };
  }
}

/**
 * Deletes a session with all its processes and files. Needs the permissions of
 * {@linkcode stopSession}.
 *
 * @throws {SessionError} without `force`, `wrong_state` if it is running and `damaged` if it is
 * damaged; `not_found`; `timeout` like {@linkcode stopSession}.
 * @throws {Deno.errors.PermissionDenied} if a process of it runs as another user.
 *
 * @example
 * ```ts
 * import { createSession, deleteSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "100"] });
 * await deleteSession(id, { force: true });
 * ```
 */
export async function deleteSession(
  id: string,
  options: DeleteOptions = {},
): Promise<void> {
  checkOptions(options, { ...HOW, force: "boolean" });
  const { force = false, killSignal = "SIGTERM", graceMs = 10_000, signal } =
    options;
  const number = checkHow(killSignal, graceMs, signal);
  const held = holdSession(id, openRoot(options), options.createdAt);
  using hold = held.hold;
  const { paths, state } = held.session;
  if (!force && (isLive(state) || state.state === "damaged")) {
    const [code, hint] = isLive(state)
      ? ["wrong_state", "use force (-f) to stop it first"] as const
      : ["damaged", "use force (-f) to delete it anyway"] as const;
    const why = describeState(state);
    const message = `Cannot delete session "${id}": ${why}; ${hint}`;
    throw new SessionError(code, message, { id });
  }
  const { onNotice } = options;
  const how = { signalNumber: number, graceMs, onNotice, signal };
  if (isLive(state)) {
    try {
      await stopHeld(held, { ...how, by: "delete", evenReaper: true });
    } catch (error) {
      // It may have ended or deleted itself meanwhile.
      if (!(error instanceof SessionError)) throw error;
      if (error.code === "not_found" || !hold.isStill()) return;
      if (error.code !== "wrong_state") throw error;
      if (isLive(readState(paths)) && !isWithin(paths)) throw error;
    }
  }
  await deleteHeld(held, how);
}

/** Deletes an ended session and the processes it left; `false` if another process was faster. */
export async function deleteHeld(
  { session: { paths }, hold }: Held,
  options: StopHow,
): Promise<boolean> {
  const { graceMs, signal } = options;
  if (!await hold.lock(graceMs + LOCK_MS, signal)) {
    if (!hold.isStill()) return false;
    const why = "another process is deleting it and does not finish";
    const message = `Cannot delete session "${paths.id}": ${why}`;
    throw new SessionError("timeout", message, { id: paths.id });
  }
  const isStill = () => hold.isStill();
  await endAll(paths, { ...options, isStill, evenReaper: true });
  return hold.remove();
}
