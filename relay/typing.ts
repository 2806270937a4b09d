/**
 * Typing into a terminal on somebody's behalf: what was asked for as writes of their own.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { messageOf } from "../errors.ts";
import { bracketedPaste, encodeKey } from "../screen/keys.ts";
import type { Modes } from "../screen/modes.ts";
import { ProtocolError } from "./protocol.ts";

const encoder = new TextEncoder();

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

/** What the kernel keeps of a line that is being edited; it drops the rest without a word. */
export const MAX_LINE_BYTES = 4095;

/** The length of the longest line in these bytes. */
export function longestLine(bytes: Uint8Array): number {
  let longest = 0;
  let start = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x0a && bytes[i] !== 0x0d) continue;
    longest = Math.max(longest, i - start);
    start = i + 1;
  }
  return Math.max(longest, bytes.length - start);
}

/** One write to a terminal. */
export interface Write {
  readonly bytes: Uint8Array;
  readonly pauseMs: number;
}

/**
 * The writes that type these parts, as the program's modes want them.
 *
 * @throws {ProtocolError} if a part is malformed or names no key.
 */
export function writesOf(parts: unknown, modes: Modes): Write[] {
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
        const raw = Uint8Array.from(atob(part.raw), (c) => c.charCodeAt(0));
        return { bytes: raw, pauseMs: KEY_MS };
      } catch (error) {
        throw new ProtocolError("raw input that is not base64", {
          cause: error,
        });
      }
    }
    throw new ProtocolError("a part that is neither text, key nor raw");
  });
}
