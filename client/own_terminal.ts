/**
 * The terminal that this program runs in, for parts of one program that take turns with it: a
 * dashboard attaches to a session, and goes on after detaching.
 *
 * The keyboard has one owner at a time, and so has the terminal: dispose of yours before another part
 * takes it, `attachConsole` for example. A key is read when it has come and an owner waits for
 * it, never ahead. So no read is left behind, which would take the next key from the next owner or from a child
 * process. What an owner has read and doesn't want is lost: keys for one session are never typed
 * into another, and never taken as commands of a dashboard.
 *
 * On SIGTSTP the program gives the terminal back before it stops. SIGSTOP can't be
 * handled: then only the modes that the shell restores are right. When it continues, it takes
 * the terminal again.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { kill, poll, POLLIN, POLLOUT } from "../system/libc.ts";
import { onAbort, within } from "../system/async.ts";
import {
  dropOutput,
  isCanonical,
  makeRaw,
  setSettings,
  settingsOf,
  type TerminalSettings,
} from "../system/pty.ts";
import { SIGNALS } from "../system/signals.ts";

const STDIN_FD = 0;
const STDOUT_FD = 1;
/** How long a terminal may take for the last bytes, in milliseconds: it may be frozen. */
const LAST_MS = 500;
/** How often the output of a frozen terminal is thrown away, and how long that is waited for each time. */
const DROP_TURNS = 20;
const DROP_MS = 20;

/** The keyboard, until it is disposed of. */
export interface Keyboard extends Disposable {
  /**
   * Reads what is typed; `null` at its end, and at once when the keyboard is disposed of. One call at
   * a time. What the buffer has no room for is left to the next call, also of the next owner.
   *
   * @throws the error of reading the terminal.
   */
  read(buffer: Uint8Array): Promise<number | null>;
}

/**
 * Takes the keyboard. Dispose of the one before first. Needs `--allow-ffi`.
 *
 * A wait for the next key may remain when it is disposed of. It takes no key, and the next keyboard goes on
 * with it, but it keeps the program running: end that with `Deno.exit`.
 *
 * @example
 * ```ts
 * import { attachConsole } from "./client/attach_console.ts";
 * import { openKeyboard, takeTerminal } from "./client/own_terminal.ts";
 *
 * async function nextKey(): Promise<string> {
 *   const giveBack = () => ""; // E.g. back from the alternate screen.
 *   const onLeave = () => Deno.exit();
 *   using _terminal = takeTerminal({ onLeave, giveBack, onContinue() {} });
 *   using keyboard = openKeyboard();
 *   const buffer = new Uint8Array(1024);
 *   const count = await keyboard.read(buffer) ?? 0;
 *   return new TextDecoder().decode(buffer.subarray(0, count));
 * }
 * while (await nextKey() !== "q") await attachConsole("demo");
 * Deno.exit();
 * ```
 */
export function openKeyboard(): Keyboard {
  const { stdin } = Deno;
  let isOver = false;
  let wake: (() => void) | undefined;
  return {
    async read(buffer) {
      while (!isOver) {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        wake = resolve;
        whenTyped().then(resolve, reject);
        await promise;
        if (isOver) break;
        try {
          // At once: while a read is under way, the keyboard could be disposed of.
          return stdin.readSync(buffer);
        } catch (error) {
          // Another program that shares the terminal was quicker, and has made it nonblocking.
          if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        }
      }
      return null;
    },
    [Symbol.dispose]() {
      isOver = true;
      wake?.();
    },
  };
}

/** How long a terminal may take to answer, in milliseconds. */
const ANSWER_MS = 1000;

/** What {@linkcode dropKeys} waits for. */
export interface DropKeysOptions {
  /** Nothing has come for so long, in milliseconds. */
  readonly pauseMs: number;
  /**
   * Before that, the terminal has sent this, or a second has passed: it has been asked for it, and
   * answers in the order of the questions. So answers to an earlier program are dropped, too.
   */
  readonly answer?: string;
  readonly signal: AbortSignal;
}

/** Drops what is typed for a while. No other keyboard may be reading meanwhile. */
export async function dropKeys(
  { pauseMs, answer = "", signal }: DropKeysOptions,
): Promise<void> {
  using keyboard = openKeyboard();
  using _ = onAbort(signal, () => keyboard[Symbol.dispose]());
  const buffer = new Uint8Array(4096);
  const latest = performance.now() + ANSWER_MS;
  for (let last = "", isAnswered = answer === "";;) {
    const leftMs = latest - performance.now();
    const ms = isAnswered || leftMs < pauseMs ? pauseMs : leftMs;
    const count = await within(ms, keyboard.read(buffer));
    if (!count) return;
    last += String.fromCharCode(...buffer.subarray(0, count));
    isAnswered ||= last.includes(answer);
    last = last.slice(-answer.length);
  }
}

/** A wait for keys, which an earlier owner may have begun. */
let typed: Promise<void> | undefined;

/** Resolves when there is something to read. */
function whenTyped(): Promise<void> {
  const wait = async () => {
    try {
      while (await poll(STDIN_FD, POLLIN, -1) === 0);
    } finally {
      typed = undefined;
    }
  };
  return typed ??= wait();
}

/**
 * Writes to the terminal, and waits while it takes nothing: another program may have made it nonblocking.
 * Returns how many bytes it has taken.
 */
export async function writeConsole(bytes: Uint8Array): Promise<number> {
  const { stdout } = Deno;
  for (;;) {
    try {
      return await stdout.write(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await poll(STDOUT_FD, POLLOUT, -1);
    }
  }
}

/**
 * Writes the last sequences, behind what is being written. If the terminal takes nothing for half a
 * second, what it has not taken is thrown away, and these stand in its place.
 */
export async function writeLast(
  write: () => Promise<void>,
): Promise<void> {
  const written = write().then(() => true);
  if (await within(LAST_MS, written)) return;
  // One picture may fill the terminal's buffer several times.
  for (let turn = 0; turn < DROP_TURNS; turn++) {
    try {
      dropOutput(STDOUT_FD);
    } catch {
      return; // The terminal is gone.
    }
    if (await within(DROP_MS, written)) break;
  }
  // They may have been thrown away, too.
  await within(DROP_MS, write());
}

/** The terminal's size; 80x24 for a terminal without one, such as a serial line. */
export function consoleSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // It has none.
  }
  return { columns: 80, rows: 24 };
}

/** Calls a function when the terminal's size has changed, until the result is disposed of. */
export function whenResized(
  call: (size: { columns: number; rows: number }) => void,
): Disposable {
  return handle("SIGWINCH", () => call(consoleSize()));
}

/** The signals that end a program; the owner of the terminal restores it first. */
const LEAVING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/** What the owner of the terminal does at signals. */
export interface TakeTerminalOptions {
  /** A signal asks the program to end, or the window was closed. */
  readonly onLeave: () => void;
  /** The sequences that give the terminal back as it is now: the program is about to be stopped. */
  readonly giveBack: () => string;
  /** The program was stopped and goes on: draw everything again, the size may be another one. */
  readonly onContinue: () => void;
  /**
   * Keys such as Ctrl-C and Ctrl-\\ are signals until {@linkcode OwnTerminal.passSignalKeys}
   * is called.
   *
   * @default {false}
   */
  readonly keepsSignalKeys?: boolean;
}

/** The terminal, until it is disposed of. */
export interface OwnTerminal extends Disposable {
  /** From now on, keys such as Ctrl-C are read like all others. */
  passSignalKeys(): void;
}

/**
 * Takes the terminal until the result is disposed of: keys come as they are typed (raw mode),
 * output passes unchanged, and signals are handled. What is on the screen is the caller's: write what
 * {@linkcode TakeTerminalOptions.giveBack} returns before disposing of it, too. Needs `--allow-ffi`.
 *
 * @throws an error if standard input is no terminal any more.
 */
export function takeTerminal(options: TakeTerminalOptions): OwnTerminal {
  const { onLeave, giveBack, onContinue } = options;
  const { pid } = Deno;
  let { keepsSignalKeys = false } = options;
  let before: TerminalSettings | undefined;
  const release = () => {
    if (before !== undefined) setSettings(STDIN_FD, before);
  };
  const take = () => {
    // Continued after SIGSTOP, it may still be raw.
    if (before === undefined || isCanonical(STDIN_FD)) {
      before = settingsOf(STDIN_FD);
    }
    makeRaw(STDIN_FD, { keepsSignalKeys });
  };
  using handlers = new DisposableStack();
  for (const name of LEAVING) handlers.use(handle(name, onLeave));
  handlers.use(handle("SIGTSTP", async () => {
    const end = giveBack();
    await writeLast(() => writeAll(end)).catch(() => {});
    release();
    kill(pid, SIGNALS.STOP!);
  }));
  handlers.use(handle("SIGCONT", () => {
    take();
    onContinue();
  }));
  handlers.defer(() => { // First, as long as signals are handled.
    try {
      release();
    } catch {
      // The terminal is gone.
    }
  });
  try {
    take();
  } catch (error) {
    const why = messageOf(error);
    throw new Error(`Cannot use the terminal: ${why}`, { cause: error });
  }
  const stack = handlers.move();
  return {
    passSignalKeys() {
      keepsSignalKeys = false;
      makeRaw(STDIN_FD);
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

async function writeAll(text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await writeConsole(bytes));
}

/** Handles a signal until it is disposed of. A terminal that is gone is no error: SIGHUP follows. */
function handle(
  name: Deno.Signal,
  handler: () => void | Promise<void>,
): Disposable {
  const careful = async () => {
    try {
      await handler();
    } catch {
      // The terminal is gone.
    }
  };
  Deno.addSignalListener(name, careful);
  return {
    [Symbol.dispose]: () => Deno.removeSignalListener(name, careful),
  };
}
