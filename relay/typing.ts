/**
 * Typing into the terminal: what clients type, and what `send` asks for.
 *
 * A client's bytes are passed on as they come. What is to be sent is typed part by part, each
 * as a write of its own that the program reads alone: what comes in one read is one thing
 * to many programs. Requests take {@linkcode Turns}: each is typed whole, and people type between
 * two of them. Bytes go to the terminal by {@linkcode PtyWriter}, so nothing here ever
 * holds up the relay's loop.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { messageOf } from "../errors.ts";
import { sleep, within } from "../system/async.ts";
import { fromLatin1 } from "../system/bytes.ts";
import { isCanonical, unreadInput } from "../system/pty.ts";
import { bracketedPaste, encodeKey } from "../screen/keys.ts";
import type { Modes } from "../screen/modes.ts";
import {
  clamp,
  ProtocolError,
  type SendReply,
  type SendRequest,
  type Unchecked,
} from "./protocol.ts";
import type { PtyWriter } from "./writer.ts";

/**
 * Pauses behind what was typed and read, in milliseconds, for the program to act on it: what
 * comes in one read is one thing to many. Some agents also take fast typing for a paste, and
 * Enter right behind it for a part of that, unless it was marked as a paste.
 */
const KEY_MS = 10;
const TEXT_MS = Math.max(
  KEY_MS,
  ...AGENTS.map(({ enterAfterMs = 0 }) => enterAfterMs),
);

/** How long the program may take to read a part before the next one is typed all the same. */
const READ_MS = 500;
/** How long the program may read nothing before a client's input is dropped, in milliseconds. */
const INPUT_MS = 10_000;
/** How long a request may hold up what people type: a long one must not keep Ctrl-C from a program. */
const PERSON_MS = 1000;
/** Input that may wait for the program, in bytes; above that, clients are not read from. */
const MAX_INPUT_BYTES = 4 * 1024 * 1024;
/** The kernel keeps this much of a line that is being edited, and drops the rest silently. */
const MAX_LINE_BYTES = 4095;

/** The terminal to type into. */
export interface TypedTerminal {
  /** The master's descriptor. */
  readonly master: number;
  /** The slave's. */
  readonly slave: number;
  readonly screen: { readonly modes: Modes };
  readonly writer: PtyWriter;
  readonly turns: Turns;
  /** Called before something is typed. */
  readonly beforeInput: () => void;
  /** Called when something was typed. */
  readonly onInput: () => void;
}

/** Who may type now: one after the other, in the order in which they came. */
export class Turns {
  #takenAt: number | undefined;
  readonly #waiting: (() => void)[] = [];

  /** How long the present turn has taken, in milliseconds; `undefined` if it is nobody's. */
  get takenForMs(): number | undefined {
    return this.#takenAt && performance.now() - this.#takenAt;
  }

  /** Resolves to the caller's turn, which ends when it is disposed of; `isNext`: before all who wait. */
  async take(isNext = false): Promise<Disposable> {
    if (this.#takenAt !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (isNext) this.#waiting.unshift(resolve);
      else this.#waiting.push(resolve);
      await promise;
    }
    this.#takenAt = performance.now();
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#takenAt = undefined;
        else next();
      },
    };
  }
}

/** Ends a turn once it comes: its owner waits no longer. */
function decline(turn: Promise<Disposable>): void {
  turn.then((late) => late[Symbol.dispose]());
}

/**
 * Types a client's bytes; what a person has typed not in the middle of a request. Waits for
 * the program only while too many bytes wait for it.
 */
export async function passInput(
  { writer, turns }: TypedTerminal,
  bytes: Uint8Array,
  isTyped: boolean,
): Promise<void> {
  const { takenForMs } = turns;
  if (isTyped && takenForMs !== undefined && takenForMs < PERSON_MS) {
    const turn = turns.take(true);
    await within(PERSON_MS - takenForMs, turn);
    decline(turn); // The bytes are written before anybody else gets it.
  }
  const taken = writer.write(bytes, INPUT_MS);
  if (writer.waitingBytes > MAX_INPUT_BYTES) await taken;
}

/**
 * Types the parts of a request in its turn, one after the other, and tells how far it got. It
 * gives up its turn if the program reads nothing meanwhile, for as long as the request allows,
 * or if its sender is gone (`isGone`) when its turn comes.
 *
 * @throws {ProtocolError} if a part is malformed or names no key; nothing is typed then.
 */
export async function typeParts(
  terminal: TypedTerminal,
  request: Unchecked<SendRequest>,
  isGone: () => boolean,
): Promise<SendReply> {
  const { slave, screen } = terminal;
  const idleMs = clamp(request.timeoutMs, 2000, 600_000);
  const turn = await awaitTurn(terminal, idleMs);
  let pauseMs = 0;
  try {
    // In the program's modes of now: it may have changed them while this waited.
    const writes = writesOf(request.parts, screen.modes);
    if (turn === undefined || isGone()) return unread(0, sizeOf(writes));
    const reply = await typeWrites(terminal, writes, idleMs);
    if (reply.error === undefined) pauseMs = writes.at(-1)?.pauseMs ?? 0;
    return reply;
  } finally {
    // The program reads what comes next on its own; the reply doesn't wait for that.
    if (pauseMs === 0) turn?.[Symbol.dispose]();
    else untilRead(slave, pauseMs).finally(() => turn?.[Symbol.dispose]());
  }
}

/** Waits for a turn, and no longer once the program has read nothing for `idleMs`. */
async function awaitTurn(
  { writer, turns }: TypedTerminal,
  idleMs: number,
): Promise<Disposable | undefined> {
  const turn = turns.take();
  for (;;) {
    const { takenBytes } = writer;
    const mine = await within(idleMs, turn);
    if (mine !== undefined) return mine;
    if (writer.takenBytes > takenBytes) continue;
    decline(turn);
    return undefined;
  }
}

async function typeWrites(
  { master, slave, writer, beforeInput, onInput }: TypedTerminal,
  writes: readonly Write[],
  idleMs: number,
): Promise<SendReply> {
  const total = sizeOf(writes);
  let written = 0;
  let pauseMs = 0;
  for (const { bytes, ...write } of writes) {
    if (pauseMs > 0) await untilRead(slave, pauseMs);
    if (longestLine(bytes) > MAX_LINE_BYTES && isCanonical(master)) {
      const error = `the terminal takes lines of ${MAX_LINE_BYTES} bytes`;
      return { written, total, error };
    }
    beforeInput();
    const count = await writer.write(bytes, idleMs);
    written += count;
    if (count > 0) onInput();
    if (count < bytes.length) return unread(written, total);
    pauseMs = write.pauseMs;
  }
  return { written, total };
}

function unread(written: number, total: number): SendReply {
  return { written, total, error: "the program does not read its terminal" };
}

function sizeOf(writes: readonly Write[]): number {
  return writes.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** A pause after the program has read what was typed, or seems not to want it. */
async function untilRead(slave: number, pauseMs: number): Promise<void> {
  const deadline = performance.now() + READ_MS;
  // The kernel passes it on a moment later: only after a pause does 0 mean read.
  await sleep(pauseMs);
  if (unreadInput(slave) === 0) return;
  while (unreadInput(slave) > 0 && performance.now() < deadline) {
    await sleep(2);
  }
  await sleep(pauseMs);
}

/** The length of the longest line in these bytes. */
function longestLine(bytes: Uint8Array): number {
  let longest = 0;
  let start = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x0a && bytes[i] !== 0x0d) continue;
    longest = Math.max(longest, i - start);
    start = i + 1;
  }
  return Math.max(longest, bytes.length - start);
}

/** One write to a terminal, and the pause after it. */
interface Write {
  readonly bytes: Uint8Array;
  readonly pauseMs: number;
}

const encoder = new TextEncoder();

/** The writes that type these parts, as the program's modes want them. */
function writesOf(parts: unknown, modes: Modes): Write[] {
  if (!Array.isArray(parts)) throw new ProtocolError("parts are missing");
  const keyModes = {
    applicationCursor: modes.isOn(1),
    kittyFlags: modes.kittyFlags,
  };
  return parts.map((part) => {
    if (typeof part?.text === "string") {
      const text: string = part.text.replaceAll("\n", "\r");
      const isPaste = modes.isOn(2004);
      const bytes = encoder.encode(isPaste ? bracketedPaste(text) : text);
      return { bytes, pauseMs: isPaste ? KEY_MS : TEXT_MS };
    }
    if (typeof part?.key === "string") {
      try {
        const bytes = encoder.encode(encodeKey(part.key, keyModes));
        return { bytes, pauseMs: KEY_MS };
      } catch (error) {
        throw new ProtocolError(messageOf(error));
      }
    }
    if (typeof part?.raw === "string") {
      try {
        return { bytes: fromLatin1(atob(part.raw)), pauseMs: KEY_MS };
      } catch (error) {
        throw new ProtocolError("raw input that is not base64", {
          cause: error,
        });
      }
    }
    throw new ProtocolError("a part that is neither text, key nor raw");
  });
}
