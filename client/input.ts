/**
 * Input: bytes into an interactive session's named pipe, and its end of file.
 *
 * Invariants: a sender holds an exclusive flock(2) on `meta.json`, which
 * nothing else locks in kind `repl`, so that the bytes of two senders never mix. The pipe is opened
 * without blocking; poll(2) waits for a full one, for a bounded time. The end
 * of file removes the pipe's name before it is sent, both under the lock: so no input
 * is accepted that the agent would never read.
 *
 *     sender ──> stdin.pipe ──> agent       holder keeps a write end of stdin.pipe
 *     sender ── "\n" ──> eof.pipe ──> holder ends: the agent reads end of file
 *
 * Needs `--allow-read` and `--allow-write` of the root, and `--allow-ffi`.
 *
 * @module
 */
import { ArgumentError, checkOptions, SessionError } from "../errors.ts";
import { appendEvent, lastEntry } from "../events/journal.ts";
import { close, factsOf, open, poll, POLLOUT, write } from "../system/libc.ts";
import {
  describeState,
  isLive,
  KINDS,
  META_BYTES,
  noSuchSession,
  parseMeta,
  type Paths,
  pathsFor,
  readState,
  type RootOptions,
} from "../store.ts";
import { openFile, textOf } from "../system/files.ts";
import { abortable, checkTimeoutMs, sleep } from "../system/async.ts";

/** Input to send: text as UTF-8, bytes, or a stream of either. */
export type Input =
  | string
  | Uint8Array
  | AsyncIterable<string | Uint8Array>;

/** Options of {@linkcode sendInput} and {@linkcode sendEof}. */
export interface SendOptions extends RootOptions {
  /**
   * The longest time to wait without progress, in milliseconds: for another sender
   * to finish, and for the agent to read.
   *
   * @default {5000}
   */
  readonly timeoutMs?: number;
  /** Stops the waiting; bytes that were written by then stay written. */
  readonly signal?: AbortSignal;
}

/** How long an agent may have no reading end because it is just starting, or just ending. */
const SETTLE_MS = 200;
/** How long one poll(2) may delay an abort. */
const POLL_MS = 50;

/**
 * Sends input to an interactive session, exactly the bytes given: a line needs its
 * newline. Returns how many bytes the pipe took. The bytes of one call stay
 * together. A stream keeps other senders out until it ends, and is cancelled if
 * sending fails.
 *
 * Needs `--allow-read` and `--allow-write` of the root, `--allow-ffi` and,
 * without `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if it has ended, takes no input, or was
 * sent an end of file; `no_reader` if its agent has closed its input; `input_full` if the agent does
 * not read; `timeout` if another sender does not finish; `unsupported` for a terminal, see
 * `sendKeys`. `written` is how many bytes were taken.
 * @throws {ArgumentError} if the id is malformed; {RangeError} if the timeout is negative.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { createSession, sendEof, sendInput } from "./mod.ts";
 * const { id } = await createSession({ kind: "repl", command: ["cat"] });
 * console.log(await sendInput(id, "hello\n")); // 6
 * await sendEof(id);
 * ```
 */
export async function sendInput(
  id: string,
  input: Input,
  options: SendOptions = {},
): Promise<number> {
  checkInput(input);
  const to = targetOf(id, options);
  using _lock = await lockInput(to);
  using pipe = await openPipe(to, to.paths.stdin);
  if (pipe === undefined) throw endOfFileSent(id);
  for await (const chunk of chunksOf(input, to.signal)) {
    noteInput(to.paths);
    await writeAll(to, pipe.fd, chunk);
  }
  return to.written;
}

/**
 * Sends end of file to the agent of an interactive session, after all earlier input.
 * Nothing can be sent to the session afterwards. Permissions as {@linkcode sendInput}.
 *
 * @throws {SessionError} as {@linkcode sendInput} does.
 *
 * @example
 * ```ts
 * import { createSession, sendEof, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ kind: "repl", command: ["cat"] });
 * await sendEof(id);
 * console.log((await waitForSession(id)).state); // … { code: 0 }
 * ```
 */
export async function sendEof(
  id: string,
  options: SendOptions = {},
): Promise<void> {
  const to = targetOf(id, options);
  using _lock = await lockInput(to);
  // Opened although nothing is written: this proves that the agent has opened it. An
  // agent that is just starting could not open it once the name is gone.
  using pipe = await openPipe(to, to.paths.stdin);
  using eof = await openPipe(to, `${to.paths.dir}/eof.pipe`);
  if (eof === undefined) {
    throw failure(id, "unsupported", "its eof.pipe is missing", 0);
  }
  if (pipe !== undefined) {
    noteInput(to.paths);
    Deno.removeSync(to.paths.stdin);
  }
  // Even if the name was gone: the sender that removed it may have died right here.
  write(eof.fd, new Uint8Array([10]));
  if (pipe === undefined) throw endOfFileSent(id);
}

/** Notes in the journal that there is input, before it is written; once until something else happens. */
function noteInput(paths: Paths): void {
  if (lastEntry(paths)?.type !== "input") appendEvent(paths, { type: "input" });
}

/** The session, how long to wait, and how many bytes were taken. */
interface Target {
  readonly paths: Paths;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  written: number;
}

function targetOf(id: string, options: SendOptions): Target {
  checkOptions(options);
  const { timeoutMs = 5000, signal } = options;
  return {
    paths: pathsFor(id, options),
    timeoutMs: checkTimeoutMs(timeoutMs),
    signal,
    written: 0,
  };
}

function endOfFileSent(id: string): SessionError {
  return failure(id, "wrong_state", "end of file was already sent", 0);
}

function failure(
  id: string,
  code: "wrong_state" | "no_reader" | "input_full" | "timeout" | "unsupported",
  why: string,
  written: number,
): SessionError {
  const taken = written > 0 ? `; ${written} bytes were taken before` : "";
  const message = `Cannot send to session "${id}": ${why}${taken}`;
  return new SessionError(code, message, { id, written });
}

/** Takes the senders' lock, if the kind of session takes input. */
async function lockInput(to: Target): Promise<Disposable> {
  const { paths: { id, meta }, timeoutMs, signal } = to;
  signal?.throwIfAborted();
  const file = openFile(meta);
  if (file === undefined) throw noSuchSession(id);
  try {
    const { kind } = parseMeta(textOf(file, META_BYTES) ?? "", id);
    if (KINDS[kind].accepts.length === 0) {
      throw failure(id, "wrong_state", `it takes no input (kind ${kind})`, 0);
    }
    if (KINDS[kind].isTerminal) {
      throw failure(
        id,
        "unsupported",
        "it is a terminal session; use sendKeys",
        0,
      );
    }
    const deadline = performance.now() + timeoutMs;
    for (let waitMs = 1; !file.tryLock("exclusive"); waitMs *= 2) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        const why = `another sender was not done within ${timeoutMs} ms`;
        throw failure(id, "timeout", why, 0);
      }
      await sleep(Math.min(waitMs, POLL_MS, leftMs), signal);
    }
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
  return file;
}

/** A descriptor of this process. */
interface Descriptor extends Disposable {
  readonly fd: number;
}

/** Opens a pipe of the session for writing; `undefined` if its name is gone. */
async function openPipe(
  to: Target,
  path: string,
): Promise<Descriptor | undefined> {
  const { paths, timeoutMs, signal } = to;
  const start = performance.now();
  for (;;) {
    const state = readState(paths);
    if (!isLive(state)) {
      const why = describeState(state);
      throw failure(paths.id, "wrong_state", why, to.written);
    }
    const waitedMs = performance.now() - start;
    if (state.state === "running") {
      try {
        return openFifo(to, path);
      } catch (error) {
        const code = errnoOf(error);
        if (code === "ENOENT") return undefined;
        if (code === "ELOOP" || code === "EISDIR") throw noPipe(to, path);
        if (code !== "ENXIO") throw error;
      }
      // The agent may be about to open it, or to end.
      if (waitedMs > SETTLE_MS) throw noReader(to);
    } else if (waitedMs > timeoutMs) {
      const why = "it has not started yet";
      throw failure(paths.id, "wrong_state", why, to.written);
    }
    await sleep(5, signal);
  }
}

/** Opens a named pipe, and nothing else that stands in its place. */
function openFifo(to: Target, path: string): Descriptor {
  // Deno checks its permission; libc does not.
  Deno.lstatSync(path);
  const fd = open(path, { access: "write", noFollow: true });
  if (factsOf(fd, path).isFifo) {
    return { fd, [Symbol.dispose]: () => close(fd) };
  }
  close(fd);
  throw noPipe(to, path);
}

function errnoOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function noPipe(to: Target, path: string): SessionError {
  const why = `"${path}" is not a pipe`;
  return failure(to.paths.id, "wrong_state", why, to.written);
}

function noReader(to: Target): SessionError {
  const why = "its agent has closed its input";
  return failure(to.paths.id, "no_reader", why, to.written);
}

async function writeAll(
  to: Target,
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { paths, timeoutMs, signal } = to;
  let progressAt = performance.now();
  let ready = false;
  for (let offset = 0; offset < bytes.length;) {
    signal?.throwIfAborted();
    try {
      const count = write(fd, bytes.subarray(offset));
      offset += count;
      to.written += count;
      progressAt = performance.now();
      ready = false;
      continue;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw await broken(to);
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
    const leftMs = timeoutMs - (performance.now() - progressAt);
    if (leftMs <= 0) {
      const why = `its agent is not reading its input (waited ${timeoutMs} ms)`;
      throw failure(paths.id, "input_full", why, to.written);
    }
    // Ready, and yet no room: some systems report less than an atomic write needs.
    if (ready) await sleep(1, signal);
    ready = await poll(fd, POLLOUT, Math.ceil(Math.min(POLL_MS, leftMs))) !== 0;
  }
}

/** The error for a pipe that was closed in the middle, mostly because the session is ending. */
async function broken(to: Target): Promise<SessionError> {
  for (let waitedMs = 0; waitedMs < SETTLE_MS; waitedMs += 5) {
    const state = readState(to.paths);
    if (!isLive(state)) {
      const why = describeState(state);
      return failure(to.paths.id, "wrong_state", why, to.written);
    }
    await sleep(5, to.signal);
  }
  return noReader(to);
}

function checkInput(input: unknown): void {
  if (typeof input === "string") return;
  const isStream = typeof input === "object" && input !== null &&
    Symbol.asyncIterator in input;
  if (input instanceof Uint8Array || isStream) return;
  throw new ArgumentError(
    "input must be a string, a Uint8Array or a stream of them",
  );
}

const encoder = new TextEncoder();

/** The bytes of any input. An abort ends the wait for a stream's next chunk. */
async function* chunksOf(
  input: Input,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  if (typeof input === "string" || input instanceof Uint8Array) {
    yield bytesOf(input);
    return;
  }
  const chunks = input[Symbol.asyncIterator]();
  let over = false;
  try {
    for (;;) {
      const { done, value } = await abortable(chunks.next(), signal);
      if (done) {
        over = true;
        return;
      }
      yield bytesOf(value);
    }
  } finally {
    // Not awaited: it may wait for a chunk that never comes.
    if (!over) chunks.return?.().catch(() => {});
  }
}

function bytesOf(chunk: string | Uint8Array): Uint8Array<ArrayBuffer> {
  if (typeof chunk === "string") return encoder.encode(chunk);
  if (!(chunk instanceof Uint8Array)) {
    throw new ArgumentError(
      "Cannot send this: give text, bytes or a stream of them",
    );
  }
  // C can't be given memory that is shared with other threads.
  return chunk.buffer instanceof ArrayBuffer
    ? chunk as Uint8Array<ArrayBuffer>
    : new Uint8Array(chunk);
}
