/**
 * Attaching with the terminal that this program runs in: raw mode, window size, signals.
 *
 * On SIGTSTP the program gives the terminal back before it stops. SIGSTOP can't be
 * handled: then only the modes that the shell restores are right. When it continues, it takes
 * the terminal again and draws the screen anew, since both may have changed meanwhile.
 *
 * @module
 */
import { checkOptions, messageOf } from "../errors.ts";
import { pathsFor } from "../store.ts";
import { kill, poll, POLLIN, POLLOUT } from "../system/libc.ts";
import { passOutput } from "../system/pty.ts";
import { SIGNALS } from "../system/signals.ts";
import {
  type AttachTerminalOptions,
  startAttaching,
  type TerminalResult,
} from "./attach_terminal.ts";
import { checkNoLoop, checkNoLoopRecorded, ownSession } from "./loops.ts";

/** Options of {@linkcode attachConsole}. */
export type AttachConsoleOptions = Omit<
  AttachTerminalOptions,
  "stdin" | "stdout" | "columns" | "rows"
>;

const STDIN_FD = 0;
const STDOUT_FD = 1;

/**
 * Does `io` on a descriptor, and waits for `events` as long as it would block: another program
 * that shares the terminal may have made it nonblocking.
 */
async function patiently<T>(
  fd: number,
  events: number,
  io: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await io();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await poll(fd, events, -1);
    }
  }
}

/** The signals that detach; the terminal is restored first. */
const LEAVING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/**
 * Attaches this program's terminal to a session until the session ends or the user
 * detaches: by the keys for that, by closing the window, or by a signal to this program. Takes
 * care of raw mode, the window's size, and being stopped and continued. Of a session
 * that has ended, it prints the last screen.
 *
 * Afterwards a read of standard input is still pending: call `Deno.exit`.
 *
 * Needs `--allow-read` and `--allow-write` of the root, `--allow-env` and `--allow-ffi`.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if its relay can't be reached;
 * `unsupported` if it is no terminal, its relay is of another version, or this program's
 * terminal is the session's own, directly or by way of others.
 * @throws {TypeError} if standard input or output is no terminal.
 * @throws the error of reading or writing the terminal.
 *
 * @example
 * ```ts
 * import { attachConsole, createSession } from "./mod.ts";
 * const { id } = await createSession({ kind: "pty", command: ["vim"] });
 * const result = await attachConsole(id); // ctrl-\ detaches
 * console.log("detached" in result ? "it goes on" : result.state);
 * Deno.exit();
 * ```
 */
export async function attachConsole(
  id: string,
  options: AttachConsoleOptions = {},
): Promise<TerminalResult> {
  checkOptions(options, { detachKeys: "string", readOnly: "boolean" });
  const { pid, stdin, stdout } = Deno;
  const paths = pathsFor(id, options);
  if (!stdin.isTerminal() || !stdout.isTerminal()) {
    throw new TypeError(
      `Cannot attach to session "${id}": standard input and output must be a terminal`,
    );
  }
  checkNoLoop(paths);
  const leave = new AbortController();
  const signal = options.signal
    ? AbortSignal.any([options.signal, leave.signal])
    : leave.signal;
  const attachment = startAttaching(id, {
    ...options,
    ...consoleSize(),
    stdin: {
      read: (buffer) => patiently(STDIN_FD, POLLIN, () => stdin.read(buffer)),
    },
    stdout: {
      write: (bytes) =>
        patiently(STDOUT_FD, POLLOUT, () => stdout.write(bytes)),
    },
    within: ownSession(),
    onConnected: () => checkNoLoopRecorded(paths),
    signal,
  });
  const onLeave = () => leave.abort();
  const onResize = () => {
    const { columns, rows } = consoleSize();
    attachment.resize(columns, rows);
  };
  const takeTerminal = () => {
    stdin.setRaw(true);
    passOutput(STDIN_FD); // Deno's raw mode leaves output processing on.
  };
  const onStop = () => {
    stdout.writeSync(new TextEncoder().encode(attachment.giveBack()));
    stdin.setRaw(false);
    kill(pid, SIGNALS.STOP!);
  };
  const onContinue = () => {
    takeTerminal();
    onResize();
    attachment.refresh();
  };
  using handlers = new DisposableStack();
  handlers.use(handle("SIGWINCH", onResize));
  // Until then it is an ordinary program: signals end and stop it.
  await attachment.connected;
  for (const name of LEAVING) handlers.use(handle(name, onLeave));
  handlers.use(handle("SIGTSTP", onStop));
  handlers.use(handle("SIGCONT", onContinue));
  try {
    try {
      takeTerminal();
    } catch (error) {
      const why = messageOf(error);
      throw new Error(`Cannot use the terminal: ${why}`, { cause: error });
    }
    return await attachment.done;
  } finally {
    leave.abort();
    try {
      stdin.setRaw(false);
    } catch {
      // The terminal is gone.
    }
  }
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

/** The terminal's size; 80x24 for a terminal without one, such as a serial line. */
function consoleSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // It has none.
  }
  return { columns: 80, rows: 24 };
}
