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
import { sleep, startTimer } from "../system/async.ts";
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
import { exists } from "../system/files.ts";

/** A connection whose versions match. */
export interface RelayConnection extends Disposable {
  /** The next frame, `undefined` at the end; its payload is valid until the next call. */
  next(): Promise<Received | undefined>;
  /** Sends whole frames, in the order of the calls. */
  send(bytes: Uint8Array): Promise<void>;
  /** Closes the connection after so long, as if the relay had. Disposing of the result stops that. */
  giveUpAfter(ms: number): Disposable;
}

/** How long a relay may take to greet. A stopped relay (SIGSTOP) greets once it continues. */
const GREETING_MS = 30_000;
/** How long to wait for the socket of a relay that is about to start, in milliseconds. */
const START_MS = 2000;
/** How often to look for it, in milliseconds. */
const RETRY_MS = 10;
/** The longest message of a relay that is passed on, in characters. */
const MAX_MESSAGE_LENGTH = 300;

/**
 * Connects to the relay of a session and exchanges versions. The caller's first frames
 * are sent along with the greeting. A frame of more than `maxFrameBytes` is an error.
 *
 * @throws {SessionError} `not_found`; `unsupported` if the session is no terminal, or its relay
 * speaks another version; `wrong_state` if it has no relay that listens.
 */
export async function connectRelay(
  paths: Paths,
  first: Uint8Array = new Uint8Array(0),
  maxFrameBytes = MAX_REPLY_BYTES,
): Promise<RelayConnection> {
  const conn = await connect(paths);
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
  const lost = () => unreachable(paths.id, isSilent ? "running" : "exited");
  try {
    using _ = giveUpAfter(GREETING_MS);
    await send(concat([encode(Frame.HELLO, { protocol: PROTOCOL }), first]));
    const frame = await next();
    if (frame === undefined) throw lost();
    checkHello(frame, "relay");
  } catch (error) {
    close();
    if (error instanceof VersionError) {
      throw versionError(paths.id, error.message);
    }
    throw isGone(error) ? lost() : error;
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

/** Connects to the socket, and waits for it while the session starts. */
async function connect(paths: Paths): Promise<Deno.Conn> {
  const begin = performance.now();
  for (;;) {
    try {
      return await connectIn(paths.dir);
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.ConnectionRefused)
      ) throw error;
      const { state } = readState(paths);
      // A session that is starting has no terminal.json yet.
      if (state !== "starting") checkIsTerminal(paths, error);
      // Its relay may be about to listen, or about to end.
      const longestMs = state === "starting"
        ? GREETING_MS
        : state === "running"
        ? START_MS
        : 0;
      if (performance.now() > begin + longestMs) {
        throw unreachable(paths.id, state, error);
      }
    }
    await sleep(RETRY_MS);
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
