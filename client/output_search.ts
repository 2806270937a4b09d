/**
 * Searching a stream of output for a pattern, as it comes.
 *
 * The pattern is tried on text: UTF-8 decoded, without escape sequences. A match is told in
 * bytes, so that reading can go on right behind it. Text that is cut between two pieces of
 * output, in a match or in a character, is put together again.
 *
 * @module
 */
import type { LogPosition } from "./log_files.ts";
import { concat } from "../system/bytes.ts";

/** A match may span this much of the output, in characters; older output is forgotten. */
const WINDOW_LENGTH = 256 * 1024;

/** A match in the output. */
export interface OutputMatch {
  readonly match: RegExpExecArray;
  /** Where it begins in its file, in bytes. */
  readonly offset: number;
  /** Where it ends. */
  readonly end: LogPosition;
}

/** Output in whole characters. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly end: LogPosition;
}

/** Searches one stream. */
export class OutputSearch {
  readonly #pattern: RegExp;
  #pieces: Piece[] = [];
  #text = "";
  /** The beginning of a character whose end is still to come. */
  #rest = new Uint8Array();

  /** A search for this pattern. */
  constructor(pattern: RegExp) {
    this.#pattern = pattern;
  }

  /** Adds output that ends at `end`; returns the first match in all of it, if there is one. */
  add(bytes: Uint8Array, end: LogPosition): OutputMatch | undefined {
    // Reading may begin in the middle of a character.
    const isFirst = this.#pieces.length === 0;
    const from = isFirst ? bytes.findIndex((byte) => !isInside(byte)) : 0;
    const all = concat([
      this.#rest,
      0 < from && from < 4 ? bytes.subarray(from) : bytes,
    ]);
    const length = wholeLength(all);
    this.#rest = all.slice(length);
    const piece = all.subarray(0, length);
    const text = decode(piece);
    const offset = end.offset - this.#rest.length;
    this.#pieces.push({ bytes: piece, text, end: { ...end, offset } });
    this.#text += text;
    this.#pattern.lastIndex = 0;
    const match = this.#pattern.exec(this.#text.replace(ESCAPES, ""));
    if (match !== null) {
      const { index } = match;
      const start = this.#positionOf(index, "behind escapes");
      const after = this.#positionOf(index + match[0].length, "before escapes");
      return { match, offset: start.offset, end: after };
    }
    this.#forget();
  }

  /** What is before this place is forgotten; `undefined` before the first output. */
  get start(): LogPosition | undefined {
    const [first] = this.#pieces;
    if (first === undefined) return undefined;
    const { bytes, end } = first;
    return { ...end, offset: Math.max(0, end.offset - bytes.length) };
  }

  /** Where in the log a character of the text without escape sequences is. */
  #positionOf(
    index: number,
    side: "before escapes" | "behind escapes",
  ): LogPosition {
    let at = index;
    for (const escape of this.#text.matchAll(ESCAPES)) {
      if (escape.index > at) break;
      if (escape.index === at && side === "before escapes") break;
      at += escape[0].length;
    }
    for (const { bytes, text, end } of this.#pieces) {
      if (at <= text.length) {
        const behind = bytes.length - bytesBefore(bytes, at);
        return { ...end, offset: Math.max(0, end.offset - behind) };
      }
      at -= text.length;
    }
    return this.#pieces.at(-1)!.end;
  }

  #forget(): void {
    let length = 0;
    if (this.#text.length <= 2 * WINDOW_LENGTH) return;
    while (this.#text.length - length > WINDOW_LENGTH) {
      length += this.#pieces.shift()!.text.length;
    }
    this.#text = this.#text.slice(length);
  }
}

/** Control sequences (ECMA-48) and carriage returns; at the end also one that is not complete. */
export const ESCAPES: RegExp =
  // deno-lint-ignore no-control-regex
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\x1b(?:\[[0-?]*)?[ -/]*$|\r/g;

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Tells whether a byte continues a character of UTF-8. */
function isInside(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The number of bytes without a UTF-8 character at the end that is not complete. */
export function wholeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes.at(-back)!;
    if (isInside(byte)) continue;
    const length = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** How many bytes the first `count` UTF-16 units of the text have. */
function bytesBefore(bytes: Uint8Array, count: number): number {
  let least = 0;
  let most = bytes.length;
  while (least < most) {
    const middle = (least + most) >> 1;
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const text = decoder.decode(bytes.subarray(0, middle), { stream: true });
    if (text.length < count) least = middle + 1;
    else most = middle;
  }
  return least;
}
