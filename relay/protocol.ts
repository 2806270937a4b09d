/**
 * The attach protocol: the frames that a terminal session's relay and its clients exchange
 * over `attach.sock`.
 *
 * A frame is four bytes of length (little endian, of what follows them), one byte
 * of type, and a payload: raw bytes for input and output, JSON for the rest. Both
 * sides start with a `HELLO` that names their protocol's version. That much stays the
 * same in every version, so that a mismatch can be explained. A reader never
 * trusts a length: a frame beyond its limit is malformed, and the connection is closed.
 *
 * {@linkcode Payloads} says once which frame carries which fields. {@linkcode encode} demands
 * them; {@linkcode decode} gives them unchecked, since the other side may send anything.
 *
 * Pure: bytes only, no sockets.
 *
 * @module
 */
import type { ScreenText } from "../screen/screen_text.ts";

/** The version that this code speaks; both sides must have the same. */
export const PROTOCOL = 1;

/** The types of frames. Those to the relay are below 32, those from it 32 and above. */
export const Frame = {
  /** First frame, in both directions. */
  HELLO: 1,
  /** Starts an attachment. Answered by OUTPUT, and by REDRAW where that needs the main screen. */
  ATTACH: 2,
  /** Typed bytes. */
  INPUT: 3,
  /** The client's window changed its size. */
  RESIZE: 4,
  /** The client detaches. Answered by END. */
  DETACH: 5,
  /** Asks for the screen as text. Answered by SCREEN_REPLY. */
  SCREEN: 6,
  /** Types text and keys. Answered by SEND_REPLY. */
  SEND: 7,
  /** Asks for an ACTIVITY whenever there is output, instead of the output. */
  WATCH: 8,
  /** Asks for the whole screen: something else has drawn on the client's terminal. */
  REFRESH: 9,
  /** Output, live, or what draws the alternate screen. */
  OUTPUT: 32,
  /** The whole screen, the main one included, as bytes to write to a terminal with room for it. */
  REDRAW: 33,
  /** Answer to SCREEN. */
  SCREEN_REPLY: 34,
  /** Answer to SEND. */
  SEND_REPLY: 35,
  /** There was output; at most one every 20 ms. */
  ACTIVITY: 36,
  /** The attachment is over. */
  END: 37,
  /** The relay refuses, and closes the connection. */
  ERROR: 38,
} as const;

/** The payload of each frame: fields as JSON, bytes as they are, or nothing. */
export interface Payloads {
  [Frame.HELLO]: Hello;
  [Frame.ATTACH]: AttachRequest;
  [Frame.INPUT]: Uint8Array;
  [Frame.RESIZE]: Size;
  [Frame.DETACH]: undefined;
  [Frame.SCREEN]: ScreenRequest;
  [Frame.SEND]: SendRequest;
  [Frame.WATCH]: undefined;
  [Frame.REFRESH]: undefined;
  [Frame.OUTPUT]: Uint8Array;
  [Frame.REDRAW]: Uint8Array;
  [Frame.SCREEN_REPLY]: ScreenText;
  [Frame.SEND_REPLY]: SendReply;
  [Frame.ACTIVITY]: undefined;
  [Frame.END]: End;
  [Frame.ERROR]: Refusal;
}

/** First frame of both sides. */
interface Hello {
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

/** An attaching client's window. */
interface AttachRequest extends Size {
  /** Its input is ignored and its size does not count. */
  readonly readOnly: boolean;
  /** The directory of the session on whose terminal it shows this one. */
  readonly within?: string;
}

/** How much of the screen to send, and in which form. */
export interface ScreenRequest {
  /** Lines above the screen. */
  readonly scrollback: number;
  /** Keep colours and attributes, as escape sequences. */
  readonly ansi: boolean;
}

/** One thing to type. */
type SendPart =
  /** Text; pasted if the program understands bracketed paste. */
  | { readonly text: string }
  /** A key by name, such as `enter`. */
  | { readonly key: string }
  /** Bytes as they are, in base64. */
  | { readonly raw: string };

/** Things to type, each as a write of its own. */
export interface SendRequest {
  readonly parts: readonly SendPart[];
  /** How long the program may read nothing, in milliseconds. */
  readonly timeoutMs: number;
}

/** The result of a {@linkcode SendRequest}. */
export interface SendReply {
  /** Bytes that the terminal took. */
  readonly written: number;
  /** Bytes that there were. */
  readonly total: number;
  /** Why not all of it was taken; absent if it was. */
  readonly error?: string;
}

/** Why an attachment is over. */
interface End {
  /** `detached`: the client asked for it; `ended`: the agent has ended. */
  readonly reason: "detached" | "ended";
  /** The last screen, with styles, if the agent has ended. */
  readonly screen?: ScreenText | undefined;
  /** The last row of the main screen that is in use, counted from 1; absent if all of it may be. */
  readonly bottom?: number | undefined;
}

/** Why the relay refuses. */
interface Refusal {
  readonly code: "version" | "malformed";
  /** For people. */
  readonly message: string;
}

/** The fields of a payload as the other side has sent them: each may be missing, or anything. */
export type Unchecked<T> = { readonly [Field in KeysOf<T>]?: unknown };
/** The fields of every member of a union. */
type KeysOf<T> = T extends unknown ? keyof T : never;

/** The greatest frame that a relay accepts, in bytes: above it a client is malformed. */
export const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
/** The greatest frame that a client accepts, in bytes: a screen as text, see screen_text.ts. */
export const MAX_REPLY_BYTES = 32 * 1024 * 1024;
/** The same for one that attaches: a screen as bytes, each cell of the largest one with a style of its own. */
export const MAX_REDRAW_BYTES = 256 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The other side breaks the protocol; the stream can't be read any further. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** The other side speaks another version of the protocol. */
export class VersionError extends Error {
  override name = "VersionError";
}

/**
 * One frame as bytes.
 *
 * @example
 * ```ts
 * import { encode, Frame } from "./relay/protocol.ts";
 * console.log(encode(Frame.INPUT, new Uint8Array([97]))); // 2 0 0 0 3 97
 * console.log(encode(Frame.RESIZE, { columns: 80, rows: 24 }));
 * ```
 */
export function encode<Type extends keyof Payloads>(
  type: Type,
  ...[payload]: Payloads[Type] extends undefined ? [] : [Payloads[Type]]
): Uint8Array<ArrayBuffer> {
  return encodeFrame(type, payload);
}

/** The same without a check of types, for tests that break the protocol: text goes as it is. */
export function encodeFrame(
  type: number,
  payload: object | string = "",
): Uint8Array<ArrayBuffer> {
  const bytes = payload instanceof Uint8Array ? payload : encoder.encode(
    typeof payload === "string" ? payload : JSON.stringify(payload),
  );
  const frame = new Uint8Array(5 + bytes.length);
  new DataView(frame.buffer).setUint32(0, 1 + bytes.length, true);
  frame[4] = type;
  frame.set(bytes, 5);
  return frame;
}

/** A received frame; `payload` is a view that is valid until more is read into `room`. */
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

/** The types of frames that carry fields. */
type JsonType = {
  [Type in keyof Payloads]: Payloads[Type] extends Uint8Array | undefined
    ? never
    : Type;
}[keyof Payloads];

/**
 * The fields of a frame, unchecked.
 *
 * @throws {ProtocolError} if it is of another type, or its payload is not a JSON object.
 */
export function decode<Type extends JsonType>(
  type: Type,
  frame: Received,
): Unchecked<Payloads[Type]> {
  if (frame.type !== type) {
    throw new ProtocolError(`a frame of type ${frame.type}, not ${type}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(frame.payload));
  } catch (error) {
    throw new ProtocolError("a payload that is not JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("a payload that is not an object");
  }
  return value as Unchecked<Payloads[Type]>;
}

/**
 * Checks the first frame from the other side, which is the relay or a client.
 *
 * @throws {VersionError} if it names another version than ours.
 * @throws {ProtocolError} if it is no greeting.
 */
export function checkHello(frame: Received, from: "relay" | "client"): void {
  if (frame.type !== Frame.HELLO) throw new ProtocolError("no greeting");
  const { protocol } = decode(Frame.HELLO, frame);
  if (protocol === PROTOCOL) return;
  const theirs = Number(protocol);
  const [relay, client] = from === "relay"
    ? [theirs, PROTOCOL]
    : [PROTOCOL, theirs];
  throw new VersionError(
    `its relay speaks version ${relay} of the attach protocol, this program version ${client}: use the codex-session that created it`,
  );
}

/** A number from a frame: whole, from 1 to `max`; anything else becomes `otherwise`. */
export function clamp(
  value: unknown,
  otherwise: number,
  max = 1000,
): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 1) {
    return otherwise;
  }
  return Math.min(max, Math.floor(value));
}
