/**
 * The terminal that this program runs in, for those who take turns with it in one process: a
 * dashboard attaches to a session, and goes on after detaching.
 *
 * The keyboard has one owner at a time. Nothing is read before there is something to read and
 * somebody who wants it: a read that is left behind would take the next key, also from a child
 * process. What is read and not meant for one owner goes to the next. The terminal itself is taken
 * by one at a time, too: give it back before somebody else takes it.
 *
 * On SIGTSTP the program gives the terminal back before it stops. SIGSTOP can't be
 * handled: then only the modes that the shell restores are right. When it continues, it takes
 * the terminal again.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { concat } from "../system/bytes.ts";
import { kill, poll, POLLIN, POLLOUT } from "../system/libc.ts";
import { passOutput } from "../system/pty.ts";
import { SIGNALS } from "../system/signals.ts";

const STDIN_FD = 0;
const STDOUT_FD = 1;

/** The keyboard, until it is disposed of. */
export interface Keyboard extends Disposable {
  /** Reads what is typed; `null` at its end, and once the keyboard is disposed of. One call at a time. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Leaves bytes to the next owner: they were read, and were not meant for this one. */
  unread(bytes: Uint8Array): void;
}

/** What nobody has taken yet. */
let left: Uint8Array = new Uint8Array(0);
/** A wait for keys or a read of them, which an earlier owner may have begun. */
let pending: Promise<void> | undefined;

/** Takes the keyboard. Dispose of the one before first. Needs `--allow-ffi`. */
export function openKeyboard(): Keyboard {
  let isOver = false;
  return {
    async read(buffer) {
      while (!isOver) {
        if (left.length > 0) {
          const count = Math.min(left.length, buffer.length);
          buffer.set(left.subarray(0, count));
          left = left.slice(count);
          return count;
        }
        if (pending !== undefined) await pending;
        else if (await isTyped()) {
          if (isOver) break;
          if (!await readMore()) return null;
        }
      }
      return null;
    },
    unread(bytes) {
      left = concat([bytes, left]);
    },
    [Symbol.dispose]() {
      isOver = true;
    },
  };
}

/** Waits until there is something to read; `false` if it has to wait again. */
async function isTyped(): Promise<boolean> {
  const polled = poll(STDIN_FD, POLLIN, -1);
  await share(polled);
  return await polled !== 0;
}

/** Reads what there is to read; `false` at the end. */
async function readMore(): Promise<boolean> {
  const { stdin } = Deno;
  const buffer = new Uint8Array(65536);
  const read = stdin.read(buffer);
  await share(read);
  try {
    const count = await read;
    if (count === null) return false;
    left = concat([left, buffer.subarray(0, count)]);
  } catch (error) {
    // Another program that shares the terminal was quicker, and has made it nonblocking.
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
  }
  return true;
}

/** Lets the next owner wait for what this one has begun. */
async function share(work: Promise<unknown>): Promise<void> {
  const waiting = work.then(() => {}, () => {});
  pending = waiting;
  await waiting;
  if (pending === waiting) pending = undefined;
}

/** Writes to the terminal, and waits while it takes nothing: somebody may have made it nonblocking. */
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

/** The signals that end a program; whoever has the terminal restores it first. */
const LEAVING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/** What whoever takes the terminal does at signals. */
export interface TakeTerminalOptions {
  /** A signal asks the program to end, or the window was closed. */
  readonly onLeave: () => void;
  /** The sequences that give the terminal back as it is now: the program is about to be stopped. */
  readonly giveBack: () => string;
  /** The program was stopped and goes on: draw everything again, the size may be another one. */
  readonly onContinue: () => void;
}

/**
 * Takes the terminal until the result is disposed of: keys come as they are typed, output passes
 * unchanged, and signals are handled.
 *
 * @throws an error if standard input is no terminal any more.
 */
export function takeTerminal(options: TakeTerminalOptions): Disposable {
  const { onLeave, giveBack, onContinue } = options;
  const { pid, stdin, stdout } = Deno;
  const release = () => stdin.setRaw(false);
  const take = () => {
    stdin.setRaw(true);
    passOutput(STDIN_FD); // Deno's raw mode leaves output processing on.
  };
  using handlers = new DisposableStack();
  for (const name of LEAVING) handlers.use(handle(name, onLeave));
  handlers.use(handle("SIGTSTP", () => {
    stdout.writeSync(new TextEncoder().encode(giveBack()));
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
  return handlers.move();
}

/** Handles a signal until it is disposed of. A terminal that is gone is no error: SIGHUP follows. */
function handle(name: Deno.Signal, handler: () => void): Disposable {
  const careful = () => {
    try {
      handler();
    } catch {
      // The terminal is gone.
    }
  };
  Deno.addSignalListener(name, careful);
  return {
    [Symbol.dispose]: () => Deno.removeSignalListener(name, careful),
  };
}
