/**
 * The output that the emulator has not seen yet, kept short without losing anything visible.
 *
 *     fed | sequences, anything …      | text, colours, line ends … | now
 *         |<------- must be fed ------>|<-- only its last lines  -->|
 *
 * Plain text that is long enough scrolls everything before it off the screen and the
 * scrollback. Then the screen depends only on the last lines of that text and on the
 * colours in force where they begin (a *mark*): a line end in those colours stands for
 * all that was before. That is exact while the scroll region is the whole
 * screen. So a flood of text costs a scan, not an emulation, and at most some hundred
 * kilobytes have to be fed.
 *
 * @module
 */
import { toLatin1 } from "../system/bytes.ts";
import { Modes } from "./modes.ts";
import { STATUS_QUERIES } from "./program_status.ts";
import { Scanner } from "./scanner.ts";
import { BELL, type Told, toldIn } from "./told.ts";

/** When more than this must be fed, the emulator has to catch up before more is read. */
export const MAX_COMPLEX_BYTES = 512 * 1024;
/** When there is more text than this, it is cut at a mark. */
const CONDENSE_BYTES = 512 * 1024;
/** The distance between marks. */
const MARK_BYTES = 16 * 1024;
/** Colour sequences that are remembered since the last one that resets all, in bytes. */
const MAX_STYLE_BYTES = 16 * 1024;

/** The query of OSC 7501 without its end. */
const STATUS_QUESTION = "\x1b]7501;?";

interface Mark {
  readonly offset: number;
  readonly lines: number;
  readonly style: Uint8Array;
}

/** A sequence that not every client gets, and its place in the stream. */
export interface Query {
  /**
   * It asks the terminal something, unless there is an `instead`. One of
   * {@linkcode STATUS_QUERIES} has both: the relay itself answers it.
   */
  readonly text: string;
  /** What all clients get in its place. */
  readonly instead: string | undefined;
  readonly start: number;
  readonly end: number;
}

/** The bytes between what the emulator knows and now. */
export class Backlog {
  readonly modes: Modes = new Modes();
  /** The questions and withheld sequences since the caller last emptied this. */
  queries: Query[] = [];
  readonly #scanner: Scanner;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #length = 0;
  /** The stream's offset behind the last byte that must be fed. */
  #complexEnd = 0;
  #lines = 0;
  #marks: Mark[] = [];
  #nextMark = 0;
  #style = new Uint8Array(256);
  #styleLength = 0;
  /** The stream's offset of `#bytes[0]`, as if nothing had been left out. */
  #base = 0;

  /**
   * An empty backlog at the beginning of a stream. `onTold` is called with what the program tells
   * its user beside the screen.
   */
  constructor(onTold?: (told: Told) => void) {
    this.#scanner = new Scanner({
      bell: () => onTold?.(BELL),
      sequence: (text, start, end, byBell) => {
        this.#complex(end);
        if (text === undefined) return;
        if (onTold !== undefined) {
          const told = toldIn(text);
          if (told !== undefined) onTold(told);
        }
        if (text === STATUS_QUESTION) {
          const question = STATUS_QUERIES[byBell ? 0 : 1];
          this.queries.push({ text: question, instead: "", start, end });
          return;
        }
        const asks = this.modes.apply(text);
        const instead = this.modes.insteadOf(text);
        if (asks || instead !== undefined) {
          this.queries.push({ text, instead, start, end });
        }
      },
      control: (end) => this.#complex(end),
      style: (bytes, from, to, end) => this.#addStyle(bytes, from, to, end),
      line: (end) => {
        this.#lines++;
        if (end >= this.#nextMark) this.#mark(end);
      },
    });
  }

  /** Bytes seen since the beginning of the stream. */
  get offset(): number {
    return this.#scanner.offset;
  }

  /** Whether the stream stands between two sequences. */
  get isAtGround(): boolean {
    return this.#scanner.isAtGround;
  }

  /** Where an unfinished sequence begins; `undefined` between two sequences. */
  get openSince(): number | undefined {
    return this.#scanner.openSince;
  }

  /** How much must be fed in any case; see {@linkcode MAX_COMPLEX_BYTES}. */
  get complexBytes(): number {
    return Math.max(0, this.#complexEnd - this.#base);
  }

  /** Whether there is nothing to feed. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  #complex(end: number): void {
    this.#complexEnd = end;
    this.#styleLength = 0;
    if (this.#marks.length > 0) this.#marks = [];
    this.#nextMark = 0;
  }

  #addStyle(bytes: Uint8Array, from: number, to: number, end: number): void {
    const length = to - from;
    // ESC [ m and ESC [ 0 m reset all colours before them.
    if (length === 3 || (length === 4 && bytes[from + 2] === 0x30)) {
      this.#styleLength = 0;
    }
    if (this.#styleLength + length > this.#style.length) {
      if (!this.#makeStyleRoom()) {
        this.#complex(end);
        return;
      }
    }
    // A few bytes, millions of times: a loop is faster than a view and its copy.
    for (let i = from; i < to; i++) {
      this.#style[this.#styleLength++] = bytes[i]!;
    }
  }

  /** Drops all but the last of equal sequences: repeated, a sequence sets the same again. */
  #makeStyleRoom(): boolean {
    const text = toLatin1(this.#style.subarray(0, this.#styleLength));
    const last = new Set<string>();
    for (const style of text.split("\x1b").slice(1)) {
      last.delete(style);
      last.add(style);
    }
    const kept = [...last].map((style) => `\x1b${style}`).join("");
    if (kept.length > MAX_STYLE_BYTES / 2) return false;
    const larger = new Uint8Array(
      Math.min(MAX_STYLE_BYTES, Math.max(256, kept.length * 4)),
    );
    for (let i = 0; i < kept.length; i++) larger[i] = kept.charCodeAt(i);
    this.#style = larger;
    this.#styleLength = kept.length;
    return true;
  }

  #mark(end: number): void {
    this.#nextMark = end + MARK_BYTES;
    this.#marks.push({
      offset: end,
      lines: this.#lines,
      style: this.#style.slice(0, this.#styleLength),
    });
  }

  /** Appends output; the screen and its scrollback hold `lines` lines. */
  append(bytes: Uint8Array, lines: number): void {
    this.#scanner.scan(bytes);
    if (this.modes.hasMargins) this.#complex(this.#scanner.offset);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    if (this.#scanner.offset - this.#plainStart > CONDENSE_BYTES) {
      this.#condense(lines);
      // Lines are so long, or so few, that no mark is old enough: the emulator has to see them.
      if (this.#scanner.offset - this.#plainStart > 4 * CONDENSE_BYTES) {
        this.#complex(this.#scanner.offset);
      }
    }
  }

  get #plainStart(): number {
    return Math.max(this.#base, this.#complexEnd);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    let size = Math.max(4096, this.#bytes.length);
    while (size < this.#length + count) size *= 2;
    const larger = new Uint8Array(size);
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  /** Leaves out text that can't be seen any more. */
  #condense(lines: number): void {
    const marks = this.#marks;
    let best = marks.length - 1;
    while (best >= 0 && this.#lines - marks[best]!.lines < lines + 2) best--;
    const mark = marks[best];
    if (mark === undefined) return;
    const plain = this.complexBytes;
    const from = this.#indexOf(mark.offset);
    // A line end in the mark's colours replaces the text before it.
    const head = new Uint8Array(mark.style.length + 2);
    head.set(mark.style);
    head.set([0x0d, 0x0a], mark.style.length);
    if (from - plain < head.length) return;
    this.#bytes.set(head, plain);
    this.#bytes.copyWithin(plain + head.length, from, this.#length);
    const dropped = from - plain - head.length;
    this.#length -= dropped;
    // From the mark on, offsets of the stream stay true.
    this.#base = mark.offset - plain - head.length;
    this.#complexEnd = mark.offset;
    this.#marks = marks.slice(best + 1);
    // The head sets the colours at the mark; later ones are added to them.
  }

  #indexOf(offset: number): number {
    return offset - this.#base;
  }

  /**
   * Takes the bytes to feed to the emulator, up to an offset of the stream that is the end
   * of a sequence, or all of them.
   */
  take(lines: number, until: number = this.#scanner.offset): Uint8Array {
    if (until <= this.#base) return new Uint8Array(0);
    if (until < this.#scanner.offset) {
      const count = Math.max(0, this.#indexOf(until));
      const taken = this.#bytes.slice(0, count);
      this.#bytes.copyWithin(0, count, this.#length);
      this.#length -= count;
      this.#base = until;
      return taken;
    }
    this.#condense(lines);
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    this.#base = this.#scanner.offset;
    this.#complex(this.#scanner.offset);
    return taken;
  }
}
