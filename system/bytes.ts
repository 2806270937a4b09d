/**
 * Byte arrays: joined, and as text with one character for each byte.
 *
 * @module
 */

/** The bytes of all parts, in order. */
export function concat(
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(
    parts.reduce((length, part) => length + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A call takes only so many arguments. */
const PIECE_LENGTH = 0x2000;

/** One character for each byte. `TextDecoder("latin1")` changes those from 0x80 to 0x9f. */
export function toLatin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE_LENGTH) {
    text += String.fromCharCode(...bytes.subarray(at, at + PIECE_LENGTH));
  }
  return text;
}

/** The bytes of a text that {@linkcode toLatin1} has made. */
export function fromLatin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
