/**
 * Ending all processes of a session, none of them a stranger, none left.
 *
 * They are asked by a signal, given time, and then frozen before they are killed:
 * what is stopped (SIGSTOP) can't fork, and its children can still be found
 * through it. The reaper is never signalled while it can record how the agent
 * ended, nor are its helpers, which it ends itself. After each step all processes
 * are looked at again, until none is left.
 *
 * @module
 */
import { SessionError } from "./errors.ts";
import {
  isAlive,
  listProcesses,
  type SessionProcess,
  signalProcess,
  waitForExit,
} from "./processes.ts";
import { readPids } from "./state.ts";
import { type Paths } from "./store.ts";
import { SIGNALS } from "./signals.ts";

/** How long what was killed may take to be gone, and the reaper to record it. */
const KILLED_MS = 5_000;
/** How often all processes are looked at while some live on. */
const LOOK_MS = 100;

const KILL = SIGNALS.KILL!;
const STOP = SIGNALS.STOP!;
const CONT = SIGNALS.CONT!;

/** How {@linkcode endProcesses} ends them. */
export interface EndingOptions {
  /** The first signal's number. */
  readonly signalNumber: number;
  /** Milliseconds from it to SIGKILL. */
  readonly graceMs: number;
  /** Kill the reaper, too, if it can't record the end. @default {false} */
  readonly evenReaper?: boolean;
  /** Tells whether the directory's name still means this session, see `hold.ts`. */
  readonly isStill: () => boolean;
  /** Give up waiting. */
  readonly abortSignal?: AbortSignal;
}

/**
 * Ends all processes of a session but ourselves: the first signal, a grace period,
 * SIGKILL. If we are the agent, its reaper, which waits for us, lives on.
 *
 * @throws {SessionError} `timeout` if one survives SIGKILL, or the reaper can't
 * record the end.
 * @throws {Deno.errors.PermissionDenied} if one runs as another user.
 */
export async function endProcesses(
  paths: Paths,
  options: EndingOptions,
): Promise<void> {
  const { signalNumber, graceMs, evenReaper = false, isStill, abortSignal } =
    options;
  const known = new Map<number, number>();
  const denied = new Set<string>();
  const look = (): SessionProcess[] => {
    let all = listProcesses(paths, { known });
    // In this order: what was there before the name was another session's is none of that.
    if (!isStill()) {
      all = all.filter(({ pid, startTicks }) => known.get(pid) === startTicks);
    }
    for (const { pid, startTicks } of all) known.set(pid, startTicks);
    // It waits for the agent; if that is us, it waits for longer than we can.
    const waitsForUs = targetsOf(all).length === 0 &&
      readPids(paths)?.agent === Deno.pid;
    return waitsForUs ? [] : all;
  };
  const send = (process: SessionProcess, signal: number): void => {
    try {
      signalProcess(paths, process, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      denied.add(keyOf(process));
    }
  };
  const wakeReaper = (all: readonly SessionProcess[]): void => {
    for (const process of all) {
      if (process.role === "reaper" && process.stopped) send(process, CONT);
    }
  };

  let all = look();
  const graceEnd = performance.now() + (signalNumber === KILL ? 0 : graceMs);
  const asked = new Set<string>();
  const ask = (targets: readonly SessionProcess[]): void => {
    // What a living process starts after the signal is its way of ending: not asked.
    const busy = new Set(
      targets.filter((one) => asked.has(keyOf(one))).map((one) => one.pid),
    );
    for (const process of targets) {
      if (asked.has(keyOf(process)) || busy.has(process.ppid)) continue;
      asked.add(keyOf(process));
      send(process, signalNumber);
      // A stopped process takes no other signal than SIGKILL before it goes on.
      if (process.stopped && signalNumber !== STOP) send(process, CONT);
    }
  };
  if (signalNumber !== KILL) ask(targetsOf(all));
  while (all.length > 0 && performance.now() < graceEnd) {
    wakeReaper(all);
    const left = Math.min(LOOK_MS, graceEnd - performance.now());
    await allGone(all, left, abortSignal);
    all = look();
    ask(targetsOf(all));
  }

  const killEnd = performance.now() + KILLED_MS;
  while (all.length > 0) {
    const frozen = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const fresh = targetsOf(all).filter((one) => !frozen.has(keyOf(one)));
      if (fresh.length === 0) break;
      for (const process of fresh) {
        frozen.add(keyOf(process));
        send(process, STOP);
      }
      all = look();
    }
    const late = performance.now() > killEnd;
    const targets = late && evenReaper ? all : targetsOf(all);
    for (const process of targets) send(process, KILL);
    const [first] = targets;
    if (first && targets.every((one) => denied.has(keyOf(one)))) {
      throw new Deno.errors.PermissionDenied(
        `Cannot stop session "${paths.id}": process ${first.pid} (${first.command}) runs as another user`,
      );
    }
    wakeReaper(all);
    await allGone(all, LOOK_MS, abortSignal);
    if (performance.now() > killEnd + (evenReaper ? KILLED_MS : 0)) {
      throw undying(paths, all);
    }
    all = look();
  }
}

function keyOf(process: SessionProcess): string {
  return `${process.pid}:${process.startTicks}`;
}

/** Whom to end: the reaper and its helpers end by themselves, as long as it lives. */
function targetsOf(all: readonly SessionProcess[]): readonly SessionProcess[] {
  if (!all.some(({ role }) => role === "reaper")) return all;
  return all.filter(({ role }) => role === "agent" || role === "child");
}

function undying(
  paths: Paths,
  all: readonly SessionProcess[],
): SessionError {
  const { pid, command, role } = all.find((one) => one.role !== "reaper") ??
    all[0]!;
  const why = role === "reaper"
    ? "its processes are gone, but its end can't be recorded; is the disk full?"
    : `process ${pid} (${command}) does not end, even by SIGKILL`;
  const message = `Cannot stop session "${paths.id}": ${why}`;
  return new SessionError("timeout", message, { id: paths.id });
}

/** Waits until all of these have ended, or the time is over. */
async function allGone(
  processes: readonly SessionProcess[],
  timeoutMs: number,
  abortSignal?: AbortSignal,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (const process of processes) {
    while (isAlive(process)) {
      abortSignal?.throwIfAborted();
      const left = end - performance.now();
      if (left <= 0) return;
      await waitForExit(process, left);
    }
  }
}
