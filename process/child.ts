/**
 * Starting the leader of a session, and waiting for it.
 *
 * posix_spawn(3) and not `Deno.Command`: a shell can't undo that a signal is ignored,
 * as Deno ignores SIGPIPE and a shell's background job SIGINT, so all are given their
 * defaults; a `detached` command of Deno clears root's supplementary groups; and it
 * costs a cold start 6 ms more, for a module and for a fork that copies page tables.
 *
 * A child that has ended stays a zombie until its parent waits for it: whoever lets go
 * of a {@linkcode Child} has that done by a listener for SIGCHLD.
 *
 * All of it needs `--allow-ffi`, and nothing else.
 *
 * @module
 */
import {
  cString,
  cStrings,
  environ,
  symbol,
  systemError,
} from "../system/ffi.ts";
import { getsid, kill, O_RDWR, poll } from "../system/libc.ts";
import { OS } from "../system/os.ts";
import { SIGNALS } from "../system/signals.ts";

// spawn.h and sys/wait.h of Linux (glibc, musl) and macOS.
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
const POSIX_SPAWN_SETSID = OS.name === "macOS" ? 0x400 : 0x80;
const WNOHANG = 1;

/** How often {@linkcode Child.ended} looks. */
const LOOK_MS = 2;

/** How a process ended: with a code, or by a signal, whose code is then 128 and its number. */
export interface ChildStatus {
  /** The exit code. */
  readonly code: number;
  /** The signal's number. */
  readonly signal: number | null;
}

/** A process that this one has started. */
export class Child {
  readonly #pid: number;
  #end: ChildStatus | undefined;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Its process id: nobody else's until {@linkcode hasEnded} has told that it has ended. */
  get pid(): number {
    return this.#pid;
  }

  /** Tells whether it has ended, and lets go of its process id if so. waitpid(2). */
  hasEnded(): boolean {
    if (this.#end !== undefined) return true;
    const status = new Int32Array(1);
    const pid = symbol("waitpid")(this.#pid, status, WNOHANG);
    if (pid === 0) return false;
    const signal = status[0]! & 0x7f;
    const code = (status[0]! >> 8) & 0xff;
    // -1: somebody else has waited for it, and knows.
    if (pid < 0) this.#end = { code: 255, signal: null };
    else if (signal === 0) this.#end = { code, signal: null };
    else this.#end = { code: 128 + signal, signal };
    return true;
  }

  /** Waits until it has ended, or `timeoutMs` are over. For a short time: it looks again and again. */
  async ended(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    // Not a timer: the first one costs a cold start 8 ms.
    while (!this.hasEnded() && performance.now() < deadline) {
      await poll(-1, 0, LOOK_MS);
    }
  }

  /** How it ended, once it has. Waiting for this does not keep a program alive. */
  get status(): Promise<ChildStatus> {
    return new Promise((resolve) => listenFor(this, () => resolve(this.#end!)));
  }

  /** Sends it a signal by number, if it has not ended. */
  kill(signal: number): void {
    if (!this.hasEnded()) kill(this.#pid, signal);
  }

  /** Leaves it to itself: this process need not live on for it, and waits for it if it does. */
  release(): void {
    // A moment later, when a command line has exited: 0.4 ms that it need not spend.
    poll(-1, 0, 0).then(() => listenFor(this, () => {}));
  }
}

/** Who is to be called when one has ended. */
const awaited = new Map<Child, (() => void)[]>();

function listenFor(child: Child, onEnd: () => void): void {
  if (awaited.size === 0) Deno.addSignalListener("SIGCHLD", lookAtAll);
  awaited.set(child, [...awaited.get(child) ?? [], onEnd]);
  lookAtAll(); // It may have ended before there was a listener.
}

function lookAtAll(): void {
  if (awaited.size === 0) return;
  for (const [child, callbacks] of awaited) {
    if (!child.hasEnded()) continue;
    awaited.delete(child);
    for (const callback of callbacks) callback();
  }
  if (awaited.size === 0) Deno.removeSignalListener("SIGCHLD", lookAtAll);
}

/** Options of {@linkcode spawnLeader}. */
export interface LeaderOptions {
  /** The working directory. @default {the caller's} */
  readonly cwd?: string;
  /** Environment variables, added to the caller's; `undefined` takes one away. @default {{}} */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Start from an empty environment instead of the caller's. @default {false} */
  readonly clearEnv?: boolean;
  /** A descriptor that it gets as number 3. @default {undefined} */
  readonly third?: number;
}

/**
 * Starts the program at the path `argv[0]` as the leader of a session of its own: no
 * terminal, all signals at their defaults and none blocked, standard streams on
 * `/dev/null`. It inherits what this process has open without close-on-exec.
 * posix_spawn(3), setsid(2).
 *
 * @throws {Deno.errors.NotFound} and others, by errno, if the program or the working
 * directory is not there; which of them, the errno doesn't tell.
 */
export function spawnLeader(
  argv: readonly string[],
  options: LeaderOptions,
): Child {
  const { cwd, env = {}, clearEnv = false, third } = options;
  const what = `Cannot start "${argv[0]}"`;
  const check = (number: number) => {
    if (number !== 0) throw systemError(number, what);
  };
  const inherited = clearEnv ? [] : environ();
  const own = Object.entries(env)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const { block, places } = cStrings([...argv, ...own]);
  const variables = inherited.filter(({ name }) => !Object.hasOwn(env, name))
    .map(({ at }) => at);
  const args = new BigUint64Array([...places.slice(0, argv.length), 0n]);
  const environment = new BigUint64Array([
    ...variables,
    ...places.slice(argv.length),
    0n,
  ]);
  // Larger than each system's structure; zero is no valid content before its `init`.
  const attributes = new Uint8Array(512);
  const actions = new Uint8Array(128);
  const pid = new Int32Array(1);
  check(symbol("posix_spawnattr_init")(attributes));
  check(symbol("posix_spawn_file_actions_init")(actions));
  try {
    const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
      POSIX_SPAWN_SETSIGMASK; // The mask is empty after `init`.
    check(symbol("posix_spawnattr_setflags")(attributes, flags));
    const all = new Uint8Array(128).fill(0xff);
    check(symbol("posix_spawnattr_setsigdefault")(attributes, all));
    const open = symbol("posix_spawn_file_actions_addopen");
    check(open(actions, 0, cString("/dev/null"), O_RDWR, 0));
    const dup2 = symbol("posix_spawn_file_actions_adddup2");
    for (const fd of [1, 2]) check(dup2(actions, 0, fd));
    if (third !== undefined) check(dup2(actions, third, 3));
    if (cwd !== undefined) {
      const chdir = symbol("posix_spawn_file_actions_addchdir_np");
      check(chdir(actions, cString(cwd)));
    }
    // The block begins with the path; as an argument it stays alive during the call.
    const spawn = symbol("posix_spawn");
    check(spawn(pid, block, actions, attributes, args, environment));
  } finally {
    symbol("posix_spawn_file_actions_destroy")(actions);
    symbol("posix_spawnattr_destroy")(attributes);
  }
  const child = new Child(pid[0]!);
  if (getsid(child.pid) !== child.pid) {
    child.kill(SIGNALS.KILL!);
    throw new Error(`${what}: setsid had no effect`);
  }
  return child;
}
