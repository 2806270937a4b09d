/**
 * Attaching with the terminal that this program runs in: raw mode, window size, signals.
 *
 * @module
 */
import {
  attachTerminal,
  type AttachTerminalOptions,
  type TerminalResult,
} from "./terminal_client.ts";

/** Options of {@linkcode attachConsole}. */
export type AttachConsoleOptions = Omit<
  AttachTerminalOptions,
  "stdin" | "stdout" | "columns" | "rows"
>;

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
  const { stdin, stdout } = Deno;
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
  for (const name of LEAVING) Deno.addSignalListener(name, onLeave);
  Deno.addSignalListener("SIGWINCH", onResize);
  try {
    stdin.setRaw(true);
    return await attachment.done;
  } finally {
    for (const name of LEAVING) Deno.removeSignalListener(name, onLeave);
    Deno.removeSignalListener("SIGWINCH", onResize);
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
