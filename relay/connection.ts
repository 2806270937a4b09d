/**
 * A client's connection to the relay of a terminal session: it connects, greets, and
 * exchanges frames.
 *
 * It attempts first. If there is no socket, the session's files tell why not: no such session,
 * no terminal, ended, or a relay that is about to start.
 *
 * @module
 */
import { concat } from "../system/bytes.ts";
import { onAbort, sleep, startTimer } from "../system/async.ts";
import { plainText } from "../screen/clean_text.ts";
import { messageOf, SessionError } from "../errors.ts";
import {
  checkHello,
  decode,
  encode,
  Frame,
  FrameReader,
  MAX_REPLY_BYTES,
  PROTOCOL,
  ProtocolError,
  type Received,
  VersionError,
} from "./protocol.ts";
import { connectIn } from "./socket.ts";
import {
  isTerminal,
  noSuchSession,
  type Paths,
  readState,
  type StateName,
} from "../store.ts";
import { readEntry } from "../process/table.ts";
import { exists, readsProc } from "../system/files.ts";

/** A connection whose versions match. */
export interface RelayConnection extends Disposable {
  /** The next frame, `undefined` at the end; its payload is valid until the next call. */
  next(): Promise<Received | undefined>;
  /** Sends whole frames, in the order of the calls. */
  send(bytes: Uint8Array): Promise<void>;
  /**
   * Closes the connection after so long: then {@linkcode next} throws `timeout`. Disposing of the
   * result stops that.
   */
  giveUpAfter(ms: number): Disposable;
}

/** How long a relay may take to answer, unless the caller says so. */
export const ANSWER_MS = 5000;
/** What it gets at least: it answers within milliseconds, but the machine may be busy. */
const LEAST_MS = 500;
/** How long a session that is starting may take until it has a relay. */
const STARTING_MS = 30_000;
/** How long the relay of a running session may take to listen, or to end. */
const RUNNING_MS = 2000;
/** How often to look for it, in milliseconds. */
const RETRY_MS = 10;
/** The longest message of a relay that is passed on, in characters. */
const MAX_MESSAGE_LENGTH = 300;

/** How to connect. */
export interface ConnectOptions {
  /** A longer frame is an error, in bytes. @default {MAX_REPLY_BYTES} */
  readonly maxFrameBytes?: number;
  /** How long the relay may take to greet, in milliseconds; half a second at least. @default {5000} */
  readonly timeoutMs?: number | undefined;
  /** Stops the connecting. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects to the relay of a session and exchanges versions. The caller's first frames
 * are sent along with the greeting.
 *
 * @throws {SessionError} `not_found`; `unsupported` if the session is no terminal, or its relay
 * speaks another version; `wrong_state` if it has no relay that listens; `timeout` if that
 * doesn't answer.
 * @throws the signal's reason, once it is aborted.
 */
export async function connectRelay(
  paths: Paths,
  first: Uint8Array = new Uint8Array(0),
  options: ConnectOptions = {},
): Promise<RelayConnection> {
  const { maxFrameBytes = MAX_REPLY_BYTES, timeoutMs, signal } = options;
  const greetingMs = Math.max(LEAST_MS, timeoutMs ?? ANSWER_MS);
  const conn = await connect(paths, timeoutMs ?? STARTING_MS, signal);
  const reader = new FrameReader(maxFrameBytes);
  const next = async (): Promise<Received | undefined> => {
    for (;;) {
      const frame = reader.next();
      if (frame?.type === Frame.ERROR) throw refusal(paths.id, frame);
      if (frame !== undefined) return frame;
      let count: number | null;
      try {
        count = await conn.read(reader.room);
      } catch (error) {
        if (isSilent) throw silent(paths);
        if (isGone(error)) return undefined;
        throw error;
      }
      if (count === null) return undefined;
      reader.filled(count);
    }
  };
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      at += await conn.write(bytes.subarray(at));
    }
  };
  // One after the other: the socket may take a frame in parts, and no other may come between.
  let sending = Promise.resolve();
  const send = (bytes: Uint8Array): Promise<void> => {
    const sent = sending.then(() => write(bytes));
    sending = sent.catch(() => {});
    return sent;
  };
  const close = () => {
    try {
      conn.close();
    } catch {
      // It was closed before.
    }
  };
  let isSilent = false;
  const giveUpAfter = (ms: number): Disposable =>
    startTimer(ms, () => {
      isSilent = true;
      close();
    });
  try {
    using _ = giveUpAfter(greetingMs);
    using _closing = onAbort(signal, close);
    await send(concat([encode(Frame.HELLO, { protocol: PROTOCOL }), first]));
    const frame = await next();
    signal?.throwIfAborted();
    if (frame === undefined) throw unreachable(paths.id, "exited");
    checkHello(frame, "relay");
  } catch (error) {
    close();
    signal?.throwIfAborted();
    if (error instanceof VersionError) {
      throw versionError(paths.id, error.message);
    }
    if (!isGone(error)) throw error;
    throw isSilent ? silent(paths) : unreachable(paths.id, "exited");
  }
  return { next, send, giveUpAfter, [Symbol.dispose]: close };
}

/** Tells whether an error only means that one of both sides has closed the connection. */
export function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted;
}

/** Tells whether an error means that no relay listens, or that it has just died. */
function isNobody(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.ConnectionReset;
}

/** Connects to the socket, and waits for it while the session starts. */
async function connect(
  paths: Paths,
  startingMs: number,
  signal: AbortSignal | undefined,
): Promise<Deno.Conn> {
  const begin = performance.now();
  for (;;) {
    try {
      return await connectIn(paths.dir);
    } catch (error) {
      if (!isNobody(error)) throw error;
      const { state } = readState(paths);
      // A session that is starting has no terminal.json yet.
      if (state !== "starting") checkIsTerminal(paths, error);
      // Its relay may be about to listen, or about to end.
      const longestMs = state === "starting"
        ? startingMs
        : state === "running"
        ? RUNNING_MS
        : 0;
      if (performance.now() > begin + longestMs) {
        throw unreachable(paths.id, state, error);
      }
    }
    await sleep(RETRY_MS, signal);
  }
}

/** Throws unless the session exists and is a terminal: its relay or its metadata says so. */
function checkIsTerminal(paths: Paths, cause: unknown): void {
  const { id } = paths;
  if (exists(`${paths.dir}/terminal.json`) || isTerminal(paths)) return;
  if (!exists(paths.lock)) throw noSuchSession(id, cause);
  throw new SessionError(
    "unsupported",
    `Session "${id}" has no screen: it is not a terminal session; start one with run -t`,
    { id, cause },
  );
}

/** The error for a terminal whose relay can't be reached; the session's state tells why. */
export function unreachable(
  id: string,
  state: StateName,
  cause?: unknown,
): SessionError {
  const why = state === "exited"
    ? "it has ended"
    : state === "lost"
    ? "it is lost"
    : "its relay does not answer";
  return new SessionError(
    "wrong_state",
    `Cannot reach the terminal of session "${id}": ${why}`,
    { id, cause },
  );
}

/** The error for a relay that listens, and doesn't answer. */
function silent(paths: Paths): SessionError {
  const { id } = paths;
  const why = suspendedHint(paths) || ": its relay does not answer";
  const message = `Cannot reach the terminal of session "${id}"${why}`;
  return new SessionError("timeout", message, { id });
}

/**
 * The end of an error's message: what to do if a signal such as SIGSTOP has stopped the relay of a
 * session. Empty if none has, or if that isn't known.
 */
export function suspendedHint(paths: Paths): string {
  const state = readState(paths);
  if (state.state !== "running" || !readsProc()) return "";
  const { agent: relay } = state.pids; // The record names the relay in the agent's place.
  if (!readEntry(relay)?.stopped) return "";
  return `: its relay is suspended; to continue: kill -CONT ${relay}; to end it: codex-session stop ${paths.id}`;
}

function versionError(id: string, why: string): SessionError {
  return new SessionError(
    "unsupported",
    `Cannot reach the terminal of session "${id}": ${why}`,
    { id },
  );
}

function refusal(id: string, frame: Received): Error {
  const { code, message } = decode(Frame.ERROR, frame);
  const said = plainText(messageOf(message), MAX_MESSAGE_LENGTH);
  if (code === "version") return versionError(id, said);
  return new ProtocolError(`The relay of session "${id}" refused: ${said}`);
}
