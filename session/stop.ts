/**
 * Ending: stop a session, delete it, clear away the ended ones.
 *
 * How processes are ended stands in `ending.ts`, and which are meant in
 * `processes.ts`. Here: when, what is recorded of it, and what becomes of the files.
 *
 * What is stopped and deleted is what was looked at, see `hold.ts`: not a later session with
 * the same id.
 *
 * @module
 */
import { checkType, SessionError } from "../errors.ts";
import { type EndingOptions, endProcesses } from "../process/ending.ts";
import { isWithin, listProcesses } from "../process/members.ts";
import { Hold } from "../process/hold.ts";
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
  readPids,
  readState,
  type RootOptions,
  type State,
  type StopRequest,
} from "../store.ts";
import {
  type OpenFile,
  openFile,
  textOf,
  writeAtomic,
} from "../system/files.ts";
import { signalName, signalNumber } from "../system/signals.ts";
import { type Session, sessionAt } from "./find.ts";
import { sleep } from "../system/async.ts";

/** How a session is ended. */
export interface EndOptions extends RootOptions {
  /**
   * The first signal: `TERM`, `SIGTERM` or `15`.
   *
   * @default {"SIGTERM"}
   */
  readonly signal?: string;
  /**
   * Milliseconds from it to SIGKILL.
   *
   * @default {10000}
   */
  readonly graceMs?: number;
  /** Give up waiting; what was signalled stays so. */
  readonly abortSignal?: AbortSignal;
}

/** Options of {@linkcode stopSession}. */
export interface StopOptions extends EndOptions {
  /**
   * Who asks, for the record.
   *
   * @default {"stop"}
   */
  readonly by?: StopRequest["by"];
}

/** Options of {@linkcode deleteSession}. */
export interface DeleteOptions extends EndOptions {
  /**
   * Stop a live session first; remove a damaged one.
   *
   * @default {false}
   */
  readonly force?: boolean;
}

/** How long another who deletes the same session may take, beyond the time that we give ourselves. */
const LOCK_MS = 15_000;
/** How long a new session may take from its lock to its first process. */
const STARTING_MS = 2_000;
/**
 * Stops a session: the signal to each of its processes, a grace period, SIGKILL to
 * what is left. Resolves with the session as it ended once all its processes are
 * gone, but for the caller, if that is one of them. Of an ended session it ends the
 * processes left behind. The request is recorded in `stop.json` before the signal;
 * a full disk does not prevent the stop. A process that forks and exits faster than
 * it can be looked at, and that nothing of the session waits for, may escape.
 *
 * Needs `--allow-read` and `--allow-write` of the root, `--allow-ffi`, `--allow-env`,
 * and unless all is allowed `--allow-run=/bin/sh`.
 *
 * @throws {SessionError} `wrong_state` if there is nothing to stop; `not_found`;
 * `timeout` if a process does not die of SIGKILL, or the end can't be recorded.
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
  const { signal = "SIGTERM", graceMs = 10_000, abortSignal } = options;
  const number = checkSignal(signal, graceMs);
  abortSignal?.throwIfAborted();
  const held = holdSession(id, openRoot(options));
  using _ = held.hold;
  return await stopHeld(held, {
    by: options.by ?? "stop",
    signalNumber: number,
    graceMs,
    abortSignal,
  });
}

/** A session as it was read while held; the caller disposes of the hold. */
export interface Held {
  readonly session: Session;
  readonly hold: Hold;
}

/**
 * Holds a session and reads it. A link in its place is not a session: it could lead out of
 * the root.
 *
 * @throws {SessionError} `not_found`.
 */
export function holdSession(id: string, root: string): Held {
  const paths = pathsIn(join(root, checkId(id)), id);
  for (;;) {
    const hold = Hold.take(paths);
    if (hold === undefined) throw noSuchSession(id);
    try {
      const session = sessionAt(paths);
      if (hold.isStill()) return { session, hold };
    } catch (error) {
      hold[Symbol.dispose]();
      throw error;
    }
    hold[Symbol.dispose](); // Another session has the id by now: hold and read that one.
  }
}

type StopHow = Omit<EndingOptions, "isStill">;

async function stopHeld(
  { session, hold }: Held,
  options: StopHow & { readonly by: StopRequest["by"] },
): Promise<Session> {
  const { by, signalNumber, abortSignal } = options;
  const { paths } = session;
  await untilThereAreProcesses(paths, abortSignal);
  using lock = openFile(paths.lock) ?? null;
  if (
    session.state.state !== "lost" && readEnding(paths) === undefined &&
    hold.isStill()
  ) record(paths, by, signalName(signalNumber));
  await endAll(paths, { ...options, isStill: () => hold.isStill() });
  return afterwards(session, hold, lock);
}

function checkSignal(signal: string, graceMs: number): number {
  checkType("signal", signal, "string");
  checkType("graceMs", graceMs, "number");
  if (!(graceMs >= 0)) {
    throw new RangeError(`graceMs must not be negative, got ${graceMs}`);
  }
  return signalNumber(signal);
}

async function untilThereAreProcesses(
  paths: Paths,
  abortSignal?: AbortSignal,
): Promise<void> {
  const end = performance.now() + STARTING_MS;
  while (listProcesses(paths).length === 0) {
    // Read after that look: it may just have ended.
    const { state } = sessionAt(paths);
    // We hold its lock ourselves if we are all that is left of it.
    const alone = state.state === "running" && isWithin(paths);
    if (alone || state.state !== "starting" || performance.now() > end) {
      throw nothingToStop(paths.id, state);
    }
    await sleep(10, abortSignal);
  }
}

async function endAll(paths: Paths, options: EndingOptions): Promise<void> {
  using _ = isWithin(paths) ? keepAlive(options.signalNumber) : null;
  await endProcesses(paths, options);
}

function nothingToStop(id: string, state: State): SessionError {
  const hint = isLive(state)
    ? ", but its processes can't be seen from here; does it run in a container or on another machine?"
    : "";
  const message = `Cannot stop session "${id}": ${describeState(state)}${hint}`;
  return new SessionError("wrong_state", message, { id });
}

function record(paths: Paths, by: StopRequest["by"], signal: string): void {
  const request: StopRequest = { by, at: new Date().toISOString(), signal };
  try {
    writeAtomic(paths.stop, JSON.stringify(request) + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    // Gone meanwhile, or the disk is full: who wants it stopped wants it even so.
  }
}

/** A parent that we signal, npx for one, may pass the signal on: we have yet to finish. */
function keepAlive(number: number): Disposable {
  const name = signalName(number) as Deno.Signal;
  const ignore = () => {};
  try {
    Deno.addSignalListener(name, ignore);
  } catch {
    return { [Symbol.dispose]() {} }; // Not one that can be caught.
  }
  return {
    [Symbol.dispose]: () => Deno.removeSignalListener(name, ignore),
  };
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
  const lost: State = { state: "lost", pids: readPids(paths) ?? null };
  try {
    const session = sessionAt(paths);
    if (!hold.isStill()) throw noSuchSession(id);
    // We hold the inherited lock ourselves if we are within; as its agent, we also live.
    const seemsLive = isLive(session.state) && isWithin(paths) &&
      readPids(paths)?.agent !== Deno.pid;
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
 * Deletes a session: no process and no file of it is left. Needs what
 * {@linkcode stopSession} needs.
 *
 * @throws {SessionError} `wrong_state` if it is live, `damaged` if it is, both
 * only without `force`; `not_found`; `timeout` as {@linkcode stopSession} does.
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
  const { force = false, signal = "SIGTERM", graceMs = 10_000, abortSignal } =
    options;
  const number = checkSignal(signal, graceMs);
  abortSignal?.throwIfAborted();
  const held = holdSession(id, openRoot(options));
  using hold = held.hold;
  const { paths, state } = held.session;
  if (!force && (isLive(state) || state.state === "damaged")) {
    const [code, hint] = isLive(state)
      ? ["wrong_state", "use force (-f) to stop it first"] as const
      : ["damaged", "use force (-f) to delete it even so"] as const;
    const why = describeState(state);
    const message = `Cannot delete session "${id}": ${why}; ${hint}`;
    throw new SessionError(code, message, { id });
  }
  const how = { signalNumber: number, graceMs, abortSignal };
  if (isLive(state)) {
    try {
      await stopHeld(held, { ...how, by: "delete", evenReaper: true });
    } catch (error) {
      // It may have ended, or deleted itself, since we looked.
      if (!(error instanceof SessionError)) throw error;
      if (error.code === "not_found" || !hold.isStill()) return;
      if (error.code !== "wrong_state") throw error;
      if (isLive(readState(paths)) && !isWithin(paths)) throw error;
    }
  }
  await deleteHeld(held, how);
}

/** Deletes a session that has ended, with what it has left behind; `false` if another was quicker. */
export async function deleteHeld(
  { session: { paths }, hold }: Held,
  options: StopHow,
): Promise<boolean> {
  const { graceMs, abortSignal } = options;
  if (!await hold.lock(graceMs + LOCK_MS, abortSignal)) {
    if (!hold.isStill()) return false;
    const why = "another process is deleting it, and comes to no end";
    const message = `Cannot delete session "${paths.id}": ${why}`;
    throw new SessionError("timeout", message, { id: paths.id });
  }
  const isStill = () => hold.isStill();
  await endAll(paths, { ...options, isStill, evenReaper: true });
  return hold.remove();
}
