/**
 * One end of a WebSocket, bounded in both directions.
 *
 * `send` of a WebSocket never waits, and no event tells that its buffer is empty again: so sending
 * here waits while `bufferedAmount` is high. A viewer that reads nothing keeps what it has buffered
 * even after `close`, until its peer goes: nothing drops it. So it costs a bounded amount of memory,
 * and it counts as a viewer until then.
 *
 * Nothing here throws into the server: an exception between `Deno.upgradeWebSocket` and the response
 * would end it.
 *
 * @module
 */
import { withoutCommands } from "../cli/hints.ts";
import { describeError } from "../cli/io.ts";
import { plainText } from "../screen/clean_text.ts";
import { sleep } from "../system/async.ts";

/** So much may wait in a socket for its viewer, in bytes; and one message more. */
const MAX_BUFFERED_BYTES = 256 * 1024;
/** How often to look whether a viewer has read: first, and at last when it takes its time. */
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 250;
/** The longest error that a viewer is told, in characters. */
const MAX_ERROR_LENGTH = 1000;

/** What the other end has sent. */
export type Message = string | Uint8Array<ArrayBuffer>;

/** What a conversation over a socket can do. */
export interface Peer {
  /** Aborted when the socket is closed, or the server stops. */
  readonly signal: AbortSignal;
  /** Sends; resolves once there is room for more. Without effect on a socket that is closed. */
  send(message: string | Uint8Array): Promise<void>;
}

/** How a conversation ends: the last message, or undefined if only its signal has ended it. */
type LastMessage = Readonly<Record<string, unknown>> | undefined;

/** Both sides of a conversation. */
export interface Conversation {
  /** Stops it, for example because the server stops. */
  readonly signal: AbortSignal;
  /** Called for each message; an error ends the conversation. */
  receive(message: Message): void;
  /** Runs once the socket is open. */
  talk(peer: Peer): Promise<LastMessage>;
}

/**
 * Holds a conversation over a socket that is being opened. It ends with the last message and a code:
 * 1000 if it is over, 1011 after an error, 1001 if the server stops. Never throws and never
 * rejects; resolves when the socket is closed, which may be long after the conversation's end.
 *
 * Call it before the response of the upgrade is returned.
 */
export async function converse(
  socket: WebSocket,
  { signal, receive, talk }: Conversation,
): Promise<void> {
  const closed = Promise.withResolvers<void>();
  const over = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {}); // Perhaps nobody waits for it any more.
  const peer: Peer = {
    signal: AbortSignal.any([signal, over.signal]),
    send: (message) => sendTo(socket, message, peer.signal),
  };
  const finish = (code: number, last: LastMessage) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (last !== undefined) socket.send(JSON.stringify(last));
    socket.close(code);
  };
  const run = async () => {
    try {
      const last = await Promise.race([talk(peer), failed.promise]);
      finish(last === undefined ? 1001 : 1000, last);
    } catch (error) {
      if (signal.aborted) finish(1001, undefined);
      else finish(1011, { type: "error", ...factsOf(error) });
    }
    over.abort();
  };
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (over.signal.aborted) return;
    try {
      receive(typeof data === "string" ? data : new Uint8Array(data));
    } catch (error) {
      failed.reject(error);
    }
  };
  socket.onerror = () => over.abort(); // `close` follows. Its words are not for users.
  socket.onclose = () => {
    over.abort();
    closed.resolve();
  };
  socket.onopen = run;
  await closed.promise;
  // Deno keeps a socket whose peer left without a word, and with it whatever its handlers know.
  socket.onopen =
    socket.onmessage =
    socket.onerror =
    socket.onclose =
      null;
}

async function sendTo(
  socket: WebSocket,
  message: string | Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || socket.readyState !== WebSocket.OPEN) return;
  socket.send(message as Message);
  let waitMs = FIRST_LOOK_MS;
  while (
    !signal.aborted && socket.readyState === WebSocket.OPEN &&
    socket.bufferedAmount > MAX_BUFFERED_BYTES
  ) {
    await sleep(waitMs, signal).catch(() => {});
    waitMs = Math.min(LAST_LOOK_MS, waitMs * 2);
  }
}

/** What a viewer is told of an error. */
function factsOf(
  error: unknown,
): { readonly code: string; readonly message: string } {
  const { code, message } = describeError(error);
  return {
    code,
    message: plainText(withoutCommands(message), MAX_ERROR_LENGTH),
  };
}
