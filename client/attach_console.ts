/**
 * Attaching with the terminal that this program runs in: raw mode, window size, signals.
 *
 * On SIGTSTP the program gives the terminal back before it stops. SIGSTOP can't be
 * handled: then only the modes that the shell restores are right. When it continues, it takes
 * the terminal again and draws the screen anew, since both may have changed meanwhile.
 *
 * @module
 */
import { kill } from "../system/libc.ts";
import { passOutput } from "../system/pty.ts";
import { SIGNALS } from "../system/signals.ts";
import {
  type AttachTerminalOptions,
  startAttaching,
  type TerminalResult,
} from "./attach_terminal.ts";

/** Options of {@linkcode attachConsole}. */
export type AttachConsoleOptions = Omit<
  AttachTerminalOptions,
  "stdin" | "stdout" | "columns" | "rows"
>;

const STDIN_FD = 0;

/** The signals that detach; the terminal is restored first. */
const LEAVING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/**
 * Attaches this program's terminal to a session until the session ends or the user
 * detaches: by the keys for that, by closing the window, or by a signal to this program.
 * Afterwards a read of standard input is still pending: call `Deno.exit`.
 *
 * Needs what {@linkcode attachTerminal} needs.
 *
 * @throws {SessionError} as {@linkcode attachTerminal}.
 * @throws {TypeError} if standard input or output is no terminal.
 */
export async function attachConsole(
  id: string,
  options: AttachConsoleOptions = {},
): Promise<TerminalResult> {
  const { pid, stdin, stdout } = Deno;
  if (!stdin.isTerminal() || !stdout.isTerminal()) {
    throw new TypeError(
      `Cannot attach to session "${id}": standard input and output must be a terminal`,
    );
  }
  const leave = new AbortController();
  const signal = options.signal
    ? AbortSignal.any([options.signal, leave.signal])
    : leave.signal;
  const attachment = startAttaching(id, {
    ...options,
    ...consoleSize(),
    stdin,
    stdout,
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
    takeTerminal();
    return await attachment.done;
  } finally {
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
