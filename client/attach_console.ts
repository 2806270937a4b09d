/**
 * Attaching with the terminal that this program runs in, see own_terminal.ts.
 *
 * When the program continues after it was stopped, it draws the screen anew: the session and the
 * terminal may both have changed meanwhile.
 *
 * @module
 */
import { checkOptions } from "../errors.ts";
import { pathsFor } from "../store.ts";
import {
  type AttachTerminalOptions,
  startAttaching,
  type TerminalResult,
} from "./attach_terminal.ts";
import {
  consoleSize,
  openKeyboard,
  takeTerminal,
  whenResized,
  writeConsole,
} from "./own_terminal.ts";
import { checkNoLoop, checkNoLoopRecorded, ownSession } from "./loops.ts";

/** Options of {@linkcode attachConsole}. */
export interface AttachConsoleOptions
  extends Omit<AttachTerminalOptions, "stdin" | "stdout" | "columns" | "rows"> {
  /**
   * Takes the terminal before the session is reached, for a program that has keys of its own: what is
   * typed until then isn't shown. Ctrl-C, Ctrl-\\ and signals give up the attempt.
   *
   * @default {false: until then, signals end and stop the program}
   */
  readonly atOnce?: boolean;
}

/**
 * Attaches this program's terminal to a session until the session ends or the user
 * detaches: by the keys for that, by closing the window, or by a signal to this program. Takes
 * care of raw mode, the window's size, and being stopped and continued. Of a session
 * that has ended, it prints the last screen.
 *
 * Afterwards the program may read keys itself, or attach again: no read is pending, only a wait for the
 * next key, which takes none. To end the program, call `Deno.exit`. Keys that are typed in one go with those
 * that detach, or before this resolves, are lost.
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
  checkOptions(options, {
    detachKeys: "string",
    readOnly: "boolean",
    atOnce: "boolean",
  });
  const { atOnce = false } = options;
  const paths = pathsFor(id, options);
  const { stdin, stdout } = Deno;
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
  using keyboard = openKeyboard();
  const attachment = startAttaching(id, {
    ...options,
    ...consoleSize(),
    stdin: keyboard,
    stdout: { write: writeConsole },
    within: ownSession(),
    onConnected: () => checkNoLoopRecorded(paths),
    signal,
  });
  const resize = ({ columns, rows } = consoleSize()) =>
    attachment.resize(columns, rows);
  try {
    using _resized = whenResized(resize);
    using stack = new DisposableStack();
    const take = (keepsSignalKeys: boolean) =>
      stack.use(takeTerminal({
        onLeave: () => leave.abort(),
        giveBack: attachment.giveBack,
        onContinue() {
          resize();
          attachment.refresh();
        },
        keepsSignalKeys,
      }));
    const terminal = atOnce ? take(true) : undefined;
    await attachment.connected;
    if (terminal === undefined) take(false);
    else terminal.passSignalKeys();
    return await attachment.done;
  } finally {
    leave.abort();
  }
}
