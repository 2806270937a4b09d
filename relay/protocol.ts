/**
 * The attach protocol: what a terminal session's relay and its clients say to
 * each other over `attach.sock`.
 *
 * A frame is four bytes of length (little endian, of what follows them), one byte
 * of type, and a payload: raw bytes for input and output, JSON for the rest. Each
 * side starts with a `HELLO` that names its protocol's version; that much stays the
 * same in every version, so that a mismatch can be told in words. A reader never
 * trusts a length: beyond its limit the stream is malformed and gets closed.
 *
 * Pure: knows bytes, no sockets.
 *
 * @module
 */

/** The version that this code speaks; both sides must have the same. */
export const PROTOCOL = 1;

/** The types of frames. To the relay below 32, from the relay from 32 on. */
export const Frame = {
  /** Both ways, first: {@linkcode Hello}. */
  HELLO: 1,
  /** Start of an attachment: {@linkcode AttachRequest}. */
  ATTACH: 2,
  /** Typed bytes. */
  INPUT: 3,
  /** The client's window changed: {@linkcode Size}. */
  RESIZE: 4,
  /** The client leaves; answered by END. */
  DETACH: 5,
  /** Asks for the screen: {@linkcode ScreenRequest}. */
  SCREEN: 6,
  /** Types text and keys: {@linkcode SendRequest}. */
  SEND: 7,
  /** Asks to be told of output without getting it: answered by ACTIVITY. */
  WATCH: 8,
  /** Asks for the whole screen again: something else has drawn on the client's terminal. */
  REFRESH: 9,
  /** Output, live. */
  OUTPUT: 32,
  /** The whole screen, as bytes to write to a cleared terminal. */
  REDRAW: 33,
  /** Answer to SCREEN: `ScreenText` of screen.ts. */
  SCREEN_REPLY: 34,
  /** Answer to SEND: {@linkcode SendReply}. */
  SEND_REPLY: 35,
  /** There was output; at most one every 20 ms. */
  ACTIVITY: 36,
  /** The agent has ended, or the client was let go: {@linkcode End}. */
  END: 37,
  /** The relay refuses: {@linkcode Refusal}. It closes the connection then. */
  ERROR: 38,
} as const;

/** First frame of both sides. */
export interface Hello {
  /** The version of the protocol. */
  readonly protocol: number;
}

/** A size in characters. */
export interface Size {
  /** Characters in a line. */
  readonly columns: number;
  /** Lines. */
  readonly rows: number;
}

/** What an attaching client says of itself. */
export interface AttachRequest extends Size {
  /** Its input is ignored and its size does not count. */
  readonly readOnly: boolean;
}

/** What of the screen is wanted. */
export interface ScreenRequest {
  /** Lines above the screen. */
  readonly scrollback: number;
  /** With colours and attributes as escape sequences. */
  readonly ansi: boolean;
}

/** One thing to type. */
export type SendPart =
  /** Text; pasted as such if the program understands bracketed paste. */
  | { readonly text: string }
  /** A key by name, such as `enter`. */
  | { readonly key: string }
  /** Bytes as they are, in base64. */
  | { readonly raw: string };

/** What to type, each part as a write of its own. */
export interface SendRequest {
  readonly parts: readonly SendPart[];
  /** How long the program may take to read it, in milliseconds. */
  readonly timeoutMs: number;
}

/** What became of a {@linkcode SendRequest}. */
export interface SendReply {
  /** Bytes that the terminal took. */
  readonly written: number;
  /** Bytes that there were. */
  readonly total: number;
  /** Why not all of it was taken; absent if it was. */
  readonly error?: string;
}

/** Why an attachment is over. */
export interface End {
  /** `detached`: asked for; `ended`: the agent has ended. */
  readonly reason: "detached" | "ended";
}

/** Why the relay refuses. */
export interface Refusal {
  /** `version` or `malformed`. */
  readonly code: string;
  /** For people. */
  readonly message: string;
}

/** The greatest frame that a relay accepts, in bytes: above it a client is malformed. */
export const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
/** The greatest frame that a client accepts, in bytes: a screen as text, see screen_text.ts. */
export const MAX_REPLY_BYTES = 32 * 1024 * 1024;
/** The same for one that attaches: a screen as bytes, each cell of the largest one with a style of its own. */
export const MAX_REDRAW_BYTES = 256 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The stream is not one of frames; it can't be read on. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/**
 * One frame as bytes.
 *
 * @example
 * ```ts
 * import { encodeFrame, Frame } from "./relay/protocol.ts";
 * console.log(encodeFrame(Frame.INPUT, new Uint8Array([97]))); // 2 0 0 0 3 97
 * ```
 */
export function encodeFrame(
  type: number,
  payload: Uint8Array | string = "",
): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? encoder.encode(payload) : payload;
  const frame = new Uint8Array(5 + bytes.length);
  new DataView(frame.buffer).setUint32(0, 1 + bytes.length, true);
  frame[4] = type;
  frame.set(bytes, 5);
  return frame;
}

/** A frame whose payload is JSON. */
export function encodeJson(
  type: number,
  value: unknown,
): Uint8Array<ArrayBuffer> {
  return encodeFrame(type, JSON.stringify(value));
}

/** A received frame; `payload` is a view that is valid until the next `push`. */
export interface Received {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Cuts a stream of bytes into frames, whatever pieces it comes in. */
export class FrameReader {
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #start = 0;
  #end = 0;
  readonly #limit: number;

  /** A reader that refuses frames of more than `limitBytes`. */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  /** Room to read into; tell {@linkcode FrameReader.filled} how much came. */
  get room(): Uint8Array<ArrayBuffer> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#buffer.length - this.#end < 2048) {
      this.#grow(this.#buffer.length * 2);
    } else if (this.#end === 0 && this.#buffer.length > 1024 * 1024) {
      this.#buffer = new Uint8Array(65536);
    }
    return this.#buffer.subarray(this.#end);
  }

  #grow(length: number): void {
    const larger = new Uint8Array(length);
    larger.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = larger;
  }

  /** So many bytes were read into {@linkcode FrameReader.room}. */
  filled(count: number): void {
    this.#end += count;
  }

  /**
   * The next complete frame, `undefined` if it has not arrived yet.
   *
   * @throws {ProtocolError} if its length is none, or above the limit.
   */
  next(): Received | undefined {
    const have = this.#end - this.#start;
    if (have < 4) return undefined;
    const length = new DataView(this.#buffer.buffer)
      .getUint32(this.#start, true);
    if (length === 0 || length > this.#limit) {
      throw new ProtocolError(`a frame of ${length} bytes`);
    }
    if (have < 4 + length) return undefined;
    const at = this.#start + 4;
    this.#start += 4 + length;
    return {
      type: this.#buffer[at]!,
      payload: this.#buffer.subarray(at + 1, at + length),
    };
  }
}

/**
 * The payload of a JSON frame, an object.
 *
 * @throws {ProtocolError} if it is not.
 */
export function decodeJson(payload: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch (error) {
    throw new ProtocolError("a payload that is not JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("a payload that is not an object");
  }
  return value as Record<string, unknown>;
}

/** A usable size: whole, from 1 to `max`; anything else becomes `otherwise`. */
export function clampSize(
  value: unknown,
  otherwise: number,
  max = 1000,
): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 1) {
    return otherwise;
  }
  return Math.min(max, Math.floor(value));
}
