/**
 * Ending all processes of a session, and no other process.
 *
 * They get a signal, then a grace period. With SIGTERM, a process that ignores it and has a
 * terminal, as interactive shells do, gets SIGHUP as well, as if its window were closed. Shells
 * pass that on. So they get it only when all others have ended, in their own way, or ignore it, or
 * are stuck: a background job that wants to reset its terminal is stopped again and again, until
 * its shell has ended. What is left is stopped (SIGSTOP) before it is killed: a stopped process
 * can't fork, and its children can still be found through it. The reaper and its helpers get time
 * to record how the agent ended and to end by themselves, but no more: an agent can look like one
 * of them. After each step the processes are listed again, until none is left.
 *
 * @module
 */
import { messageOf, SessionError } from "../errors.ts";
import {
  awaitsHangup,
  hasTerminal,
  ignores,
  isAlive,
  processesAt,
  type SessionProcess,
  signalProcess,
  waitForExit,
} from "./members.ts";
import { remove, writeAtomic } from "../system/files.ts";
import { type Paths } from "../store.ts";
import { SIGNALS } from "../system/signals.ts";

/** How long killed processes may take to disappear. */
const KILLED_MS = 5_000;
/** How long a reaper and its helpers may take before the reason is looked for. */
const RECORD_MS = 500;
/** How often the processes are listed while some live. */
const LOOK_MS = 100;

const TERM = SIGNALS.TERM!;
const HUP = SIGNALS.HUP!;
const KILL = SIGNALS.KILL!;
const STOP = SIGNALS.STOP!;
const CONT = SIGNALS.CONT!;

/** How {@linkcode endProcesses} ends them. */
export interface EndingOptions {
  /** The first signal's number. */
  readonly signalNumber: number;
  /** Milliseconds between that signal and SIGKILL. */
  readonly graceMs: number;
  /** Also kill a reaper that can't record the end. @default {false} */
  readonly evenReaper?: boolean;
  /** Tells whether the directory's path still means this session, see `hold.ts`. */
  readonly isStill: () => boolean;
  /** Stops waiting. */
  readonly signal?: AbortSignal;
}

/**
 * Ends all processes of a session except this one: the first signal, a grace period, SIGKILL.
 * If this process is the agent, the reaper, which waits for it, lives on.
 *
 * @throws {SessionError} `timeout` if one survives SIGKILL, or if the reaper can't record the
 * end.
 * @throws {Deno.errors.PermissionDenied} if one runs as another user.
 */
export async function endProcesses(
  paths: Paths,
  options: EndingOptions,
): Promise<void> {
  const { signalNumber, graceMs } = options;
  const scene = sceneOf(paths, options);
  let all = scene.look();
  if (signalNumber !== KILL) {
    all = await askAll(scene, all, signalNumber, graceMs);
  }
  await killAll(scene, all);
}

/** What all steps use. */
interface Scene {
  /** All processes of the session that live now. */
  look(): readonly SessionProcess[];
  /** Sends a signal to one of them. */
  send(process: SessionProcess, signalNumber: number): void;
  /** Lets a stopped reaper go on, and kills what delays it for too long. */
  tend(all: readonly SessionProcess[]): void;
  /** Waits until all of them have ended, or `timeoutMs` are over. */
  wait(all: readonly SessionProcess[], timeoutMs: number): Promise<void>;
  /** Throws if none of these may be signalled, or if one survives SIGKILL for too long. */
  check(targets: readonly SessionProcess[], isLate: boolean): void;
}

function sceneOf(paths: Paths, options: EndingOptions): Scene {
  const { evenReaper = false, isStill, signal } = options;
  const known = new Map<number, number>();
  const earlier = new Map<number, number>();
  const denied = new Set<string>();
  const overdue = patience(paths, evenReaper);
  const send = (process: SessionProcess, signalNumber: number): void => {
    try {
      signalProcess(paths, process, signalNumber);
    } catch (error) {
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      denied.add(keyOf(process));
    }
  };
  return {
    send,
    look() {
      let all = processesAt(paths, { known, earlier });
      // After the listing: processes seen while the path still meant this session are its own.
      if (!isStill()) {
        all = all.filter(({ pid, startTicks }) =>
          known.get(pid) === startTicks
        );
      }
      for (const { pid, startTicks } of all) known.set(pid, startTicks);
      // The reaper waits for the agent. If that is us, we can't wait for the reaper.
      const waitsForUs = targetsOf(all).length === 0 &&
        all.some(({ pid, role }) => role === "reaper" && pid === Deno.ppid);
      return waitsForUs ? [] : all;
    },
    tend(all) {
      for (const process of all) {
        if (process.role === "reaper" && process.stopped) send(process, CONT);
      }
      for (const process of overdue(all)) send(process, KILL);
    },
    wait: (all, timeoutMs) => allGone(all, timeoutMs, signal),
    check(targets, isLate) {
      const [first] = targets;
      if (first === undefined) return;
      if (targets.every((one) => denied.has(keyOf(one)))) {
        throw new Deno.errors.PermissionDenied(
          `Cannot stop session "${paths.id}": process ${first.pid} (${first.command}) runs as another user`,
        );
      }
      if (isLate) throw undying(paths, first);
    },
  };
}

/** Sends each process the first signal and waits for the grace period; returns what is left. */
async function askAll(
  scene: Scene,
  first: readonly SessionProcess[],
  signal: number,
  graceMs: number,
): Promise<readonly SessionProcess[]> {
  const asked = new Set<string>();
  const shells = new Set<string>();
  const ask = (targets: readonly SessionProcess[]): void => {
    // A child that an asked process starts belongs to its way of ending: it is not asked. A relay
    // may only have started the agent before the signal reached it.
    const busy = new Set(
      targets.filter((one) => asked.has(keyOf(one))).map((one) => one.pid),
    );
    // They went on after the signal, and their terminal has stopped them again.
    const stuck = targets.filter((one) =>
      signal === TERM && one.stopped && asked.has(keyOf(one)) &&
      hasTerminal(one)
    );
    for (const process of targets) {
      const isChild = busy.has(process.ppid) && process.role !== "agent";
      if (asked.has(keyOf(process)) || isChild) continue;
      asked.add(keyOf(process));
      // Before the signal: a program may ignore more of them while it handles the first one.
      if (signal === TERM && awaitsHangup(process)) shells.add(keyOf(process));
      // A helper without its reaper has no work left, and ignores most signals.
      scene.send(process, process.role === "helper" ? KILL : signal);
      // A stopped process handles no signal but SIGKILL until it goes on.
      if (process.stopped && signal !== STOP) scene.send(process, CONT);
    }
    if (shells.size > 0) hangUp(targets.filter((one) => !stuck.includes(one)));
    for (const process of stuck) {
      scene.send(process, HUP);
      scene.send(process, CONT);
    }
  };
  const hangUp = (targets: readonly SessionProcess[]): void => {
    const isBusy = targets.some((one) =>
      one.role !== "relay" && !shells.has(keyOf(one)) && !ignores(one, HUP)
    );
    if (isBusy) return;
    for (const one of targets) {
      // It may have become another program since.
      if (shells.has(keyOf(one)) && awaitsHangup(one)) scene.send(one, HUP);
    }
    shells.clear();
  };
  const graceEnd = performance.now() + graceMs;
  let all = first;
  ask(targetsOf(all));
  while (all.length > 0 && performance.now() < graceEnd) {
    scene.tend(all);
    await scene.wait(all, Math.min(LOOK_MS, graceEnd - performance.now()));
    all = scene.look();
    ask(targetsOf(all));
  }
  return all;
}

/** Kills all processes until none is left. */
async function killAll(
  scene: Scene,
  first: readonly SessionProcess[],
): Promise<void> {
  let killEnd = performance.now() + KILLED_MS;
  for (let all = first; all.length > 0; all = scene.look()) {
    all = freeze(scene, all);
    const targets = targetsOf(all);
    for (const process of targets) scene.send(process, KILL);
    if (targets.length === 0) killEnd = performance.now() + KILLED_MS;
    scene.check(targets, performance.now() > killEnd);
    scene.tend(all);
    await scene.wait(all, LOOK_MS);
  }
}

/**
 * Stops the processes until no new one appears; returns all of them. A signal waits for the end
 * of a fork(2): the last look comes after one that saw all of them stopped.
 */
function freeze(
  scene: Scene,
  first: readonly SessionProcess[],
): readonly SessionProcess[] {
  const frozen = new Set<string>();
  let all = first;
  let stoodStill = false;
  // One that waits for its vfork(2) or for a disk does not stop: there is an end to the rounds.
  for (let round = 0; round < 50; round++) {
    const targets = targetsOf(all);
    const fresh = targets.filter((one) => !frozen.has(keyOf(one)));
    if (fresh.length === 0 && stoodStill) break;
    for (const process of fresh) {
      frozen.add(keyOf(process));
      scene.send(process, STOP);
    }
    stoodStill = targets.every(({ stopped }) => stopped);
    all = scene.look();
  }
  return all;
}

function keyOf(process: SessionProcess): string {
  return `${process.pid}:${process.startTicks}`;
}

/** The processes to end: while the reaper lives, it and its helpers end by themselves. */
function targetsOf(all: readonly SessionProcess[]): readonly SessionProcess[] {
  if (!all.some(({ role }) => role === "reaper")) return all;
  return all.filter(({ role }) => role !== "reaper" && role !== "helper");
}

/**
 * Watches how long a reaper and its helpers take once agent and children have ended. The
 * returned function tells which of them to kill: none at first, then the helpers, because the
 * reaper may wait for one, then the reaper.
 *
 * It throws {@linkcode SessionError} `timeout` if the reaper can't record the end and may not
 * be killed, or if a process survives.
 */
function patience(
  paths: Paths,
  evenReaper: boolean,
): (all: readonly SessionProcess[]) => readonly SessionProcess[] {
  let since: number | undefined;
  return (all) => {
    if (all.length === 0 || targetsOf(all).length > 0) {
      since = undefined;
      return [];
    }
    since ??= performance.now();
    const waitedMs = performance.now() - since;
    if (waitedMs < RECORD_MS) return [];
    const hindrance = hindranceIn(paths);
    if (hindrance !== undefined && !evenReaper) {
      throw new SessionError(
        "timeout",
        `Cannot stop session "${paths.id}": its processes are gone, but its end can't be recorded: ${hindrance}`,
        { id: paths.id },
      );
    }
    if (waitedMs > 3 * KILLED_MS) throw undying(paths, all[0]!);
    if (waitedMs > 2 * KILLED_MS || hindrance !== undefined) return all;
    if (waitedMs < KILLED_MS) return [];
    return all.filter(({ role }) => role === "helper");
  };
}

/** Why a session's directory can't be written; `undefined` if it can be, or is gone. */
function hindranceIn(paths: Paths): string | undefined {
  const trial = `${paths.exit}.tmp`;
  try {
    writeAtomic(trial, "code 0\n");
    remove(trial);
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (error instanceof Deno.errors.NotFound) return undefined;
    return messageOf(error).split(": ")[0]; // Without the trial's path.
  }
}

function undying(
  { id }: Paths,
  { pid, command }: SessionProcess,
): SessionError {
  const message =
    `Cannot stop session "${id}": process ${pid} (${command}) survives SIGKILL`;
  return new SessionError("timeout", message, { id });
}

/** Waits until all of these have ended, but no longer than `timeoutMs`. */
async function allGone(
  processes: readonly SessionProcess[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (const process of processes) {
    while (isAlive(process)) {
      signal?.throwIfAborted();
      const left = end - performance.now();
      if (left <= 0) return;
      await waitForExit(process, left);
    }
  }
}
