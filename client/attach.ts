/**
 * Attaching: a session's output goes to the caller's streams, the caller's input to
 * the session, until the session ends or the caller detaches.
 *
 * The caller's streams are locked meanwhile, and never closed or cancelled. Input that
 * can't be delivered makes a notice, and ends nothing.
 *
 * @module
 */
import { sendEof, sendInput, type SendOptions } from "./input.ts";
import { checkTailLines, followStreams } from "./logs.ts";
import { startAttaching, type StartedAttachment } from "./attach_terminal.ts";
import { type FinalState, watchSession } from "./watch.ts";
import {
  checkInstance,
  checkOptions,
  messageOf,
  SessionError,
} from "../errors.ts";
import {
  isTerminal,
  noSuchSession,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import { concat } from "../system/bytes.ts";
import {
  abortable,
  checkTimeoutMs,
  startTimer,
  within,
} from "../system/async.ts";

/** The streams to attach, and how. */
export interface AttachStreamOptions extends RootOptions {
  /** Where the session's output goes, at the pace of this stream. */
  readonly stdout: WritableStream<Uint8Array>;
  /** Where its error output goes; without this stream it is left out. */
  readonly stderr?: WritableStream<Uint8Array>;
  /** The input for the session, sent in whole lines where possible. */
  readonly stdin?: ReadableStream<Uint8Array>;
  /**
   * What the end of `stdin` does. `detach`: what is there of the output is shown, then the caller
   * detaches. `eof`: it is also the end of the agent's input, and the output is followed on; for
   * a terminal session it is the same as `detach`.
   *
   * @default {"detach"}
   */
  readonly stdinEnd?: "detach" | "eof";
  /**
   * Leave `stdin` alone.
   *
   * @default {false}
   */
  readonly readOnly?: boolean;
  /**
   * Start with the last so many lines.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
  /** Called with a line of text when input can't be delivered. */
  readonly onNotice?: (message: string) => void;
  /**
   * Give a notice when input has waited for so long, in milliseconds. It goes on waiting.
   *
   * @default {5000}
   */
  readonly noticeAfterMs?: number;
  /** Detaches. */
  readonly signal?: AbortSignal;
}

/** How attaching ended: the caller detached and the session goes on, or the session is over. */
export type AttachResult =
  | { readonly detached: true }
  | { readonly state: FinalState };

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

/** An attached session: a promise that resolves once it is over. */
export interface Attachment extends Promise<AttachResult> {
  /** Tells a terminal session the new size of the user's terminal. */
  resize(columns: number, rows: number): void;
}

/**
 * Attaches to a session: writes its output to `stdout` from the beginning (or its last
 * lines), follows it, and sends each line from `stdin` once it is complete. Resolves when
 * the session is over and its output is written, or when the caller detaches: by the end of
 * `stdin`, after a last look at the output (see `stdinEnd`), or at once by `signal`. Either way the
 * streams are released as they are. Input that the agent has not taken by then is dropped.
 *
 * A pending read of `stdin` stays pending in the stream. With `Deno.stdin.readable` it keeps
 * the program alive until the next input, so a command line should call `Deno.exit` when
 * it is done.
 *
 * A terminal session (kind `pty`) is shown exactly as it is, then live; of one that has ended,
 * the last screen. `stdin` must give the
 * bytes of a terminal in raw mode; the terminal behind `stdout` is restored at the end.
 *
 * Needs `--allow-read` of the root, without `root` `--allow-env`, and to send what
 * `sendInput` needs; for a terminal `--allow-write` of the root.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed; {TypeError} if a stream is locked; {RangeError}
 * for a negative number.
 * @throws the error of a failed write to `stdout` or `stderr`; the session goes on.
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
  let terminal: StartedAttachment | undefined;
  const attach = async (): Promise<AttachResult> => {
    checkAttach(options);
    checkInstance("stdout", options.stdout, WritableStream);
    const { columns = 80, rows = 24, root } = options;
    if (!isTerminal(pathsFor(id, { root }))) {
      return await attachStreams(id, options);
    }
    terminal = startAttaching(id, { ...options, columns, rows });
    return await terminal.done;
  };
  return Object.assign(attach(), {
    resize(columns: number, rows: number) {
      terminal?.resize(columns, rows);
    },
  });
}

function checkAttach(options: Partial<AttachOptions>): void {
  checkOptions(options, {
    stdin: ReadableStream,
    stdout: WritableStream,
    stderr: WritableStream,
    stdinEnd: "string",
    readOnly: "boolean",
    onNotice: "function",
    columns: "number",
    rows: "number",
    detachKeys: "string",
  });
  const { tailLines, noticeAfterMs } = options;
  if (tailLines !== undefined) checkTailLines(tailLines);
  if (noticeAfterMs !== undefined) {
    checkTimeoutMs(noticeAfterMs, "noticeAfterMs");
  }
}

/** Attaches to a session without a terminal; see {@linkcode attachSession}. */
export async function attachStreams(
  id: string,
  options:
    & Omit<AttachStreamOptions, "stdout">
    & Partial<Pick<AttachStreamOptions, "stdout">>,
): Promise<AttachResult> {
  checkAttach(options);
  const {
    stdin,
    stdinEnd = "detach",
    stdout,
    stderr,
    readOnly = false,
    tailLines,
    onNotice = () => {},
    noticeAfterMs = 5000,
    root,
    signal,
  } = options;
  const streams = (["stdout", "stderr"] as const).filter((stream) =>
    stream === "stdout" ? stdout : stderr
  );
  const over = new AbortController();
  const leave = new AbortController();
  const chunks = followStreams(pathsFor(id, { root }), streams, {
    tailLines,
    signal,
    leave: leave.signal,
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => void await chunks.return(undefined));
  const lockWriter = (stream: WritableStream<Uint8Array>) => {
    const writer = stream.getWriter();
    stack.defer(() => writer.releaseLock());
    return writer;
  };
  const writers = {
    stdout: stdout && lockWriter(stdout),
    stderr: stderr && lockWriter(stderr),
  };
  if (stdin !== undefined && !readOnly) {
    const reader = stdin.getReader();
    const watch = stack.use(watchSession(pathsFor(id, { root })));
    const forwarding = forwardLines(reader, {
      send: async (bytes) => {
        if (!watch.isStill()) throw noSuchSession(id);
        return await sendInput(id, bytes, {
          root,
          timeoutMs: Infinity,
          signal: over.signal,
        });
      },
      over: over.signal,
      onNotice,
      noticeAfterMs,
    }).then(async () => {
      if (stdinEnd === "detach") leave.abort();
      else if (watch.isStill()) {
        await endInput(id, { root, signal: over.signal }, onNotice);
      }
    });
    stack.defer(async () => {
      over.abort();
      reader.releaseLock(); // This rejects a pending read.
      await forwarding;
    });
  }
  try {
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) return value ? { state: value } : { detached: true };
      await abortable(writers[value.stream]!.write(value.bytes), signal);
    }
  } catch (error) {
    if (signal?.aborted) return { detached: true };
    throw error;
  }
}

/** Ends the agent's input. Never rejects. */
async function endInput(
  id: string,
  options: SendOptions,
  onNotice: (message: string) => void,
): Promise<void> {
  try {
    await sendEof(id, { ...options, timeoutMs: Infinity });
  } catch (error) {
    if (options.signal?.aborted) return;
    // It has no input any more.
    const isOver = error instanceof SessionError &&
      (error.code === "wrong_state" || error.code === "no_reader");
    if (!isOver) onNotice(messageOf(error));
  }
}

/** Where {@linkcode forwardLines} sends lines and notices. */
interface Forwarding {
  readonly send: (bytes: Uint8Array) => Promise<number>;
  readonly over: AbortSignal;
  readonly onNotice: (message: string) => void;
  readonly noticeAfterMs: number;
}

/** A longer line is sent in parts; other senders' lines may come between them. */
const LINE_BYTES = 1024 * 1024;
/** An unfinished line is sent after so long without more of it: a pipe's end, Ctrl-D in a line. */
const PARTIAL_LINE_MS = 100;

/** Sends the input in whole lines, until it ends or the attachment is over. Never rejects. */
async function forwardLines(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  forwarding: Forwarding,
): Promise<void> {
  const { over, onNotice } = forwarding;
  let rest = new Uint8Array();
  let last: string | undefined;
  const deliver = async (bytes: Uint8Array) => {
    const message = await tryToSend(bytes, forwarding);
    // One notice for the same trouble, not one for every line.
    if (message !== undefined && message !== last) onNotice(message);
    last = message;
  };
  try {
    let reading = reader.read();
    for (;;) {
      const result = rest.length > 0
        ? await within(PARTIAL_LINE_MS, reading)
        : await reading;
      if (over.aborted) return;
      if (result === undefined) {
        await deliver(rest);
        rest = new Uint8Array();
        continue;
      }
      if (result.done) break;
      const end = result.value.lastIndexOf(10) + 1;
      if (end > 0) {
        await deliver(concat([rest, result.value.subarray(0, end)]));
        rest = result.value.slice(end);
      } else rest = concat([rest, result.value]);
      if (rest.length > LINE_BYTES) {
        await deliver(rest);
        rest = new Uint8Array();
      }
      if (over.aborted) return;
      reading = reader.read();
    }
    if (rest.length > 0) await deliver(rest);
  } catch (error) {
    if (!over.aborted) onNotice(`Cannot read the input: ${messageOf(error)}`);
  }
}

/** Sends; returns the error's message if that fails. */
async function tryToSend(
  bytes: Uint8Array,
  { send, over, onNotice, noticeAfterMs }: Forwarding,
): Promise<string | undefined> {
  using _ = startTimer(noticeAfterMs, () => {
    onNotice(
      "Input is waiting: the agent is not reading it, or another sender is not done",
    );
  });
  try {
    await send(bytes);
  } catch (error) {
    if (!over.aborted) return messageOf(error);
  }
}
