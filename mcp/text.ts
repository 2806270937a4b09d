/**
 * Text that a model reads: without control characters and characters that hide or reorder text,
 * and never longer than its bound. What is left out is told in numbers, outside of the text: in it,
 * a program could claim the same.
 *
 * @module
 */
import type { Schema } from "./tool.ts";

/** So much text is given unless the client says otherwise: about 4,000 tokens. */
export const DEFAULT_MAX_BYTES = 16 * 1024;
/** More than this no call gives. */
const MOST_BYTES = 256 * 1024;

/** The argument `max_bytes`. */
export const MAX_BYTES: Schema = {
  type: "integer",
  minimum: 256,
  maximum: MOST_BYTES,
  description:
    `At most so many bytes of text, the end of it. Default: ${DEFAULT_MAX_BYTES}`,
};

/** The end of a text. */
export interface BoundedText {
  readonly text: string;
  /** The bytes of clean text before it that are left out. */
  readonly leftOutBytes: number;
}

const ENCODER = new TextEncoder();

/** The bytes of a text in UTF-8. */
export function bytesIn(text: string): number {
  return ENCODER.encode(text).length;
}

/**
 * The end of a clean text, at most so many bytes of UTF-8. It begins at a line if one begins in
 * its first half, else at a character.
 */
export function endOfText(text: string, maxBytes: number): BoundedText {
  const all = ENCODER.encode(text);
  if (all.length <= maxBytes) return { text, leftOutBytes: 0 };
  let start = all.length - maxBytes;
  const isInLine = all[start - 1] !== 10;
  const next = isInLine ? all.indexOf(10, start) + 1 : start;
  const isNear = next > 0 && next < all.length &&
    next - start <= maxBytes / 2;
  if (isNear) start = next;
  // A byte in a character: 10xxxxxx.
  while (all[start]! >> 6 === 0b10) start++;
  const end = new TextDecoder("utf-8", { ignoreBOM: true })
    .decode(all.subarray(start));
  return { text: end, leftOutBytes: start };
}
