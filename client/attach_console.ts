/**
 * Attaching with the terminal that this program runs in: raw mode, window size, signals.
 *
 * Who is stopped (SIGTSTP) gives the terminal back first; after SIGSTOP, which nobody can
 * see coming, only what the shell restores is right. Continued, it takes the terminal again
 * and has the screen drawn anew: anything may have been done to both.
 *
 * @module
 */
import { kill } from "../system/libc.ts";
import { passOutput } from "../system/pty.ts";
import { farewell } from "../screen/modes.ts";
import { SIGNALS } from "../system/signals.ts";
import {
  attachTerminal,
  type AttachTerminalOptions,
  type TerminalResult,
} from "./attach_terminal.ts";

/** Options of {@linkcode attachConsole}. */
export type AttachConsoleOptions = Omit<
  AttachTerminalOptions,
  "stdin" | "stdout" | "columns" | "rows"
>;

const STDIN_FD = 0;

/** The signals that end a client; its terminal is restored first. */
const LEAVING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/**
 * Attaches this program's terminal to a session until the session ends or the user
 * leaves: by the keys that detach, by a closed window, or by a signal to this program. Afterwards
 * a read of standard input is still pending: call `Deno.exit`.
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
  const { columns, rows } = consoleSize();
  const attachment = await attachTerminal(id, {
    ...options,
    stdin,
    stdout,
    columns,
    rows,
    signal,
  });
  const onLeave = () => leave.abort();
  const onResize = () => {
    const { columns, rows } = consoleSize();
    attachment.resize(columns, rows);
  };
  const takeTerminal = () => {
    stdin.setRaw(true);
    passOutput(STDIN_FD); // Deno leaves that as it was.
  };
  const onStop = () => {
    stdout.writeSync(new TextEncoder().encode(farewell(consoleSize().rows)));
    stdin.setRaw(false);
    kill(pid, SIGNALS.STOP!);
  };
  const onContinue = () => {
    takeTerminal();
    onResize();
    attachment.refresh();
  };
  const handlers: [Deno.Signal, () => void][] = [
    ...LEAVING.map((name) => [name, onLeave] as [Deno.Signal, () => void]),
    ["SIGWINCH", onResize],
    ["SIGTSTP", onStop],
    ["SIGCONT", onContinue],
  ];
  const listen = handlers.map(([name, handler]) => {
    const careful = () => {
      try {
        handler();
      } catch {
        // The terminal is gone, of which SIGHUP tells, too.
      }
    };
    Deno.addSignalListener(name, careful);
    return () => Deno.removeSignalListener(name, careful);
  });
  try {
    takeTerminal();
    return await attachment.done;
  } finally {
    for (const unlisten of listen) unlisten();
    try {
      stdin.setRaw(false);
    } catch {
      // The terminal is gone.
    }
  }
}

/** A terminal that tells no size, such as a serial line, has the classical one. */
function consoleSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // It can't tell.
  }
  return { columns: 80, rows: 24 };
}
