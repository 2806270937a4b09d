/**
 * The connection to a client: messages of JSON-RPC, one on each line of standard input and output.
 * Not the library's own: that one ends with a long message, and silently drops a wrong one.
 *
 * Whatever a client writes, the server goes on. It takes a number of requests at the same time and
 * refuses more, so that the answers to a client that doesn't read them don't fill the memory, while
 * cancellations and the end of the input are still read.
 *
 * @module
 */
import type { Io } from "../cli/io.ts";
import { within } from "../system/async.ts";
import { concat } from "../system/bytes.ts";

/** A message of JSON-RPC, as far as this module looks into it. */
export interface Message {
  readonly id?: string | number | null;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** The longest message, in bytes. */
const MAX_BYTES = 10 * 1024 * 1024;
/** The most requests that are being answered, or whose answers are not read; 100 may be subscriptions. */
export const MOST_ASKED = 150;
/** With more refusals than this to be written, nothing is read. */
const MOST_REFUSED = 10_000;
/** How long what was asked before the end of the input may take to be answered, in milliseconds. */
const LAST_ANSWERS_MS = 300;

/** The transport that the library wants. */
export interface Wire {
  onmessage?: (message: Message) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly start: () => Promise<void>;
  readonly send: (message: object) => Promise<void>;
  readonly close: () => Promise<void>;
  /** Resolves when the client is gone, or the server has closed the connection. */
  readonly closed: Promise<void>;
}

/**
 * The connection to a client on standard input and output.
 *
 * @param parse Makes a message of parsed JSON, or throws.
 * @param refusalOf Tells why a request is refused, if it is.
 */
export function openWire(
  io: Pick<Io, "stdin" | "write">,
  parse: (json: unknown) => Message,
  refusalOf: (message: Message) => string | undefined = () => undefined,
): Wire {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let isClosed = false;
  let refused = 0;
  let written: Promise<void> = Promise.resolve();
  /** The ids of requests. Nothing keeps a client from using one twice. */
  const asked: unknown[] = [];
  let whenAnswered = () => {};

  /** It needs no answer any more. */
  function settle(id: unknown): void {
    const at = asked.indexOf(id);
    if (at >= 0) asked.splice(at, 1);
    if (asked.length === 0) whenAnswered();
  }

  function receive(line: Uint8Array): void {
    const text = new TextDecoder().decode(line).trim();
    if (text === "") return;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      return refuse(PARSE_ERROR, "This line is not JSON");
    }
    let message: Message;
    try {
      message = parse(json);
    } catch {
      const what = Array.isArray(json) ? "a batch" : "no message of JSON-RPC";
      return refuse(INVALID_REQUEST, `This line is ${what}`, idIn(json));
    }
    const { id, method, params } = message;
    if (method === "notifications/cancelled") settle(params?.requestId);
    else if (method !== undefined && id !== undefined) {
      if (asked.length >= MOST_ASKED) return refuse(BUSY, TOO_MANY, id);
      const why = refusalOf(message);
      if (why !== undefined) return refuse(INVALID_PARAMS, why, id);
      asked.push(id);
    }
    wire.onmessage?.(message);
  }

  function refuse(code: number, message: string, id: Message["id"] = null) {
    refused++;
    const done = () => void refused--;
    // What can't be written closes the connection.
    write({ jsonrpc: "2.0", id, error: { code, message } }).then(done, done);
  }

  async function write(message: object): Promise<void> {
    if (isClosed) throw new Error("The connection is closed");
    const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
    written = written.then(() => io.write(bytes));
    try {
      await written;
    } catch (error) {
      await wire.close();
      throw error;
    }
  }

  async function read(): Promise<void> {
    try {
      for await (const line of linesOf(io.stdin)) {
        if (isClosed) return;
        if (line) receive(line);
        else refuse(INVALID_REQUEST, `A line has at most ${MAX_BYTES} bytes`);
        if (refused > MOST_REFUSED) await Promise.race([written, closed]);
      }
    } catch (error) {
      wire.onerror?.(error as Error);
    }
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    whenAnswered = resolve;
    if (asked.length === 0) resolve();
    // What can't be written has closed the connection.
    const last = answered.then(() => written).catch(() => {});
    await within(LAST_ANSWERS_MS, last);
    await wire.close();
  }

  const wire: Wire = {
    closed,
    // deno-lint-ignore require-await
    async start() {
      read();
    },
    async send(message) {
      const { method, id } = message as Message;
      await write(message);
      if (method === undefined) settle(id);
    },
    // deno-lint-ignore require-await
    async close() {
      if (isClosed) return;
      isClosed = true;
      resolve();
      wire.onclose?.();
    },
  };
  return wire;
}

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const INVALID_PARAMS = -32602;
/** Of the codes that servers may choose. */
const BUSY = -32000;
const TOO_MANY =
  `More than ${MOST_ASKED} requests at the same time: wait for answers, or read them`;

/** The id in what is no message, so that its sender does not wait. */
function idIn(json: unknown): Message["id"] {
  const { id } = Object(json) as { readonly id?: unknown };
  return typeof id === "string" || typeof id === "number" ? id : null;
}

const NEWLINE = 10;

/** The lines of a stream; `undefined` for one that is too long. */
async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array | undefined, void> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const add = (part: Uint8Array) => {
    length += part.length;
    if (length > MAX_BYTES) parts = [];
    else parts.push(part);
  };
  const take = () => {
    const line = length > MAX_BYTES ? undefined : concat(parts);
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      add(chunk.subarray(start, end));
      yield take();
    }
    add(chunk.subarray(start));
  }
  if (length > 0) yield take();
}
