/**
 * Attaching: a session's output to the caller's streams, the caller's input to
 * the session, until the session ends or the caller leaves.
 *
 * @module
 */
import {
  type AttachResult,
  type AttachStreamOptions,
  attachStreams,
} from "./attach_streams.ts";
import { pathsFor } from "../store.ts";
import { isTerminal } from "./terminal_status.ts";

/** Options of {@linkcode attachSession}. */
export interface AttachOptions extends AttachStreamOptions {
  /**
   * The width of the user's terminal, for a terminal session.
   *
   * @default {80}
   */
  readonly columns?: number;
  /**
   * The height of the user's terminal, for a terminal session.
   *
   * @default {24}
   */
  readonly rows?: number;
  /**
   * Keys that detach from a terminal session, such as `ctrl-p,ctrl-q`.
   *
   * @default {"ctrl-\\"}
   */
  readonly detachKeys?: string;
}

/** A session that is attached: a promise of how that ends. */
export interface Attachment extends Promise<AttachResult> {
  /** Tells a terminal session the new size of the user's terminal. */
  resize(columns: number, rows: number): void;
}

/**
 * Attaches to a session: writes its output to `stdout` from the beginning (or its last
 * lines) and follows it, and sends what comes on `stdin`, each line as it is
 * complete. Resolves when the session is over and its output is written, or when the caller
 * detaches: by the end of `stdin`, after a last look at the output, or at once by `signal`.
 * Either way the streams are released as they are. What was read from `stdin` but not
 * taken by the agent is dropped then.
 *
 * A read of `stdin` that is still pending is given up by this function but not by the stream: with
 * `Deno.stdin.readable` it keeps a program alive until the next input, so a command
 * line should call `Deno.exit` when it is done.
 *
 * Of a terminal session (kind `pty`) it shows the screen exactly as it is, then goes on
 * live; `stdin` is what a terminal in raw mode gives, and `stdout` is restored at the end.
 *
 * Needs `--allow-read` of the root, without `root` `--allow-env`, and to send what
 * `sendInput` needs; for a terminal `--allow-write` of the root.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed; {TypeError} if a stream is locked; {RangeError}
 * for a negative number.
 * @throws what `stdout` or `stderr` throws when written to; the session runs on.
 *
 * @example
 * ```ts
 * import { attachSession, pathsFor, spawnExec } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["hello"], { program: "echo" });
 * const stdout = Deno.stdout.writable;
 * console.log(await attachSession("demo", { root, stdout })); // { state: … }
 * ```
 */
export function attachSession(
  id: string,
  options: AttachOptions,
): Attachment {
  let size = { columns: options.columns ?? 80, rows: options.rows ?? 24 };
  let onResize = () => {};
  const attach = async (): Promise<AttachResult> => {
    if (!isTerminal(pathsFor(id, { root: options.root }))) {
      return await attachStreams(id, options);
    }
    const { attachTerminal } = await import("./attach_terminal.ts");
    const terminal = await attachTerminal(id, { ...options, ...size });
    onResize = () => terminal.resize(size.columns, size.rows);
    return await terminal.done;
  };
  return Object.assign(attach(), {
    resize(columns: number, rows: number) {
      size = { columns, rows };
      onResize();
    },
  });
}
