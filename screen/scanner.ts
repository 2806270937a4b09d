/**
 * Follows a terminal's output byte by byte without drawing it: where the escape
 * sequences are, and which part of the output is plain text.
 *
 * It runs on the relay's hot path instead of the emulator, and costs a tenth. It finds the
 * sequences that must be answered or remembered, and reports everything else that is not
 * text, a line end or a colour: of a long stretch of those only the last lines can still
 * be seen, so the emulator can skip the rest (see backlog.ts).
 *
 * The grammar is that of ECMA-48 as xterm.js reads it (UTF-8, so C1 controls are
 * C2 80 to C2 9F). A sequence that is cut at the end of a chunk continues in the next one.
 * When the scanner is between two sequences, so is the emulator. The reverse is not true: the
 * scanner may wait for the end of a sequence that the emulator has abandoned.
 *
 * Terminals treat control characters within a string differently: some drop
 * them, some take them for its end. So such a string asks nothing and sets nothing.
 *
 * @module
 */

/** Called by a {@linkcode Scanner}. Offsets count from the start of the stream. */
export interface ScannerEvents {
  /**
   * A complete sequence in `[start, end)` that is not a mere colour. `text` is all of it, with the
   * introducer as `ESC [`, `ESC ]`, … and without its terminator; `undefined` if it is
   * ignored: it is too long, or a string with control characters. `byBell`: it is a string that
   * BEL has ended.
   */
  sequence(
    text: string | undefined,
    start: number,
    end: number,
    byBell: boolean,
  ): void;
  /** A control that moves the cursor or shifts the character set. */
  control(end: number): void;
  /** A complete SGR (colours and attributes): `bytes` from `from` to `to`; it ends at `end`. */
  style(bytes: Uint8Array, from: number, to: number, end: number): void;
  /** A line end (CR LF) after which the cursor is in the first column. */
  line(end: number): void;
  /** The bell, which draws nothing. */
  bell?(): void;
}

const GROUND = 0;
const ESCAPE = 1;
const CSI = 2;
const STRING = 3;
const STRING_ESCAPE = 4;
/** Behind C2, which may begin a C1 control, in any of the states above. */
const C2 = 5;

/** Longest sequence that is kept, in bytes. */
const MAX_SEQUENCE = 4096;

/** 1: a byte that ends a run of text. */
const SPECIAL = new Uint8Array(256);
for (const byte of [0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0e, 0x0f, 0x1b, 0xc2]) {
  SPECIAL[byte] = 1;
}
/** The C1 controls that begin something, as the second byte of their ESC form. */
const C1_STARTS = new Set([0x90, 0x98, 0x9b, 0x9d, 0x9e, 0x9f]);
const STRING_STARTS = new Set([0x50, 0x58, 0x5d, 0x5e, 0x5f]);

const decoder = new TextDecoder();

/** The text of so many bytes; mostly a few of ASCII, hence the loop. */
function decode(bytes: Uint8Array, length: number): string {
  if (length > 16) return decoder.decode(bytes.subarray(0, length));
  let text = "";
  for (let i = 0; i < length; i++) {
    if (bytes[i]! >= 0x80) return decoder.decode(bytes.subarray(0, length));
    text += String.fromCharCode(bytes[i]!);
  }
  return text;
}

/** Scans a stream of output. */
export class Scanner {
  #state = GROUND;
  /** The state before {@linkcode C2}. */
  #outer = GROUND;
  /** Whether the sequence holds bytes for which it is ignored. */
  #isTainted = false;
  /** How many bytes of a character within a sequence are still to come. */
  #expected = 0;
  #previous = 0;
  #sequence = new Uint8Array(64);
  #length = 0;
  #start = 0;
  /** Bytes scanned so far. */
  offset = 0;

  readonly #events: ScannerEvents;

  /** A scanner at the beginning of a stream. */
  constructor(events: ScannerEvents) {
    this.#events = events;
  }

  /** Whether the stream stands between two sequences. */
  get isAtGround(): boolean {
    return this.#state === GROUND;
  }

  /** Where an unfinished sequence begins; `undefined` between two sequences. */
  get openSince(): number | undefined {
    return this.#state === GROUND ? undefined : this.#start;
  }

  /** Scans the next bytes of the stream. */
  scan(bytes: Uint8Array): void {
    const length = bytes.length;
    const base = this.offset;
    let i = 0;
    while (i < length) {
      if (this.#state === GROUND) {
        while (i < length && SPECIAL[bytes[i]!] === 0) i++;
        if (i === length) break;
        i = this.#special(bytes, i, base);
      } else {
        this.#step(bytes[i]!, base + i);
        i++;
      }
    }
    if (length > 0) this.#previous = bytes[length - 1]!;
    this.offset = base + length;
  }

  /** Handles `bytes[i]`, which is special, in ground state; returns where to go on. */
  #special(bytes: Uint8Array, i: number, base: number): number {
    const byte = bytes[i]!;
    switch (byte) {
      case 0x0a:
        if ((i > 0 ? bytes[i - 1] : this.#previous) === 0x0d) {
          this.#events.line(base + i + 1);
        } else this.#events.control(base + i + 1);
        return i + 1;
      case 0x1b: {
        // By far the most common sequence, and mostly in one piece: ESC [ … m.
        if (bytes[i + 1] === 0x5b) {
          let j = i + 2;
          while (j < bytes.length && bytes[j]! >= 0x30 && bytes[j]! <= 0x3b) {
            j++;
          }
          if (bytes[j] === 0x6d && j - i < 60) {
            this.#events.style(bytes, i, j + 1, base + j + 1);
            return j + 1;
          }
        }
        this.#begin(base + i);
        this.#state = ESCAPE;
        return i + 1;
      }
      case 0xc2:
        this.#start = base + i;
        this.#enterC2(GROUND);
        return i + 1;
      case 0x07:
        this.#events.bell?.();
        return i + 1;
      default:
        this.#events.control(base + i + 1);
        return i + 1;
    }
  }

  #begin(start: number): void {
    this.#start = start;
    this.#sequence[0] = 0x1b;
    this.#length = 1;
    this.#isTainted = false;
    this.#expected = 0;
  }

  #enterC2(outer: number): void {
    this.#outer = outer;
    this.#state = C2;
  }

  #keep(byte: number): void {
    if (this.#length === this.#sequence.length) {
      if (this.#length >= MAX_SEQUENCE) {
        this.#length = MAX_SEQUENCE + 1; // Too long: only its end matters from now on.
        return;
      }
      const larger = new Uint8Array(this.#length * 2);
      larger.set(this.#sequence);
      this.#sequence = larger;
    } else if (this.#length > MAX_SEQUENCE) return;
    this.#sequence[this.#length++] = byte;
  }

  #finish(end: number, byBell = false): void {
    this.#state = GROUND;
    const text = this.#length > MAX_SEQUENCE || this.#isTainted
      ? undefined
      : decode(this.#sequence, this.#length);
    if (this.#sequence.length > 256) this.#sequence = new Uint8Array(64);
    this.#events.sequence(text, this.#start, end, byBell);
  }

  /** One byte within a sequence. */
  #step(byte: number, at: number): void {
    const end = at + 1;
    switch (this.#state) {
      case C2:
        return byte >= 0x80 && byte <= 0x9f
          ? this.#c1(byte, at)
          : this.#noC1(byte, at);
      case ESCAPE:
        if (this.#isAbort(byte, at)) return;
        // The control acts at once; the sequence goes on.
        if (byte < 0x20) this.#events.control(end);
        else if (byte >= 0x7f) this.#noAscii(byte);
        else this.#escape(byte, end);
        return;
      case CSI:
        if (this.#isAbort(byte, at)) return;
        if (byte < 0x20) this.#events.control(end);
        else if (byte >= 0x7f) this.#noAscii(byte);
        else {
          this.#keep(byte);
          if (byte >= 0x40) this.#finish(end);
        }
        return;
      case STRING:
        if (byte === 0x1b) this.#state = STRING_ESCAPE;
        else if (byte === 0x18 || byte === 0x1a) this.#abandon(end);
        else if (byte === 0x07 && this.#sequence[1] === 0x5d) {
          this.#finish(end, true);
        } else if (byte === 0xc2) this.#enterC2(STRING);
        else {
          if (byte < 0x20 || byte === 0x7f) this.#isTainted = true;
          this.#keep(byte);
        }
        return;
      case STRING_ESCAPE:
        // Any ESC ends the string; ESC \ is the proper end.
        this.#finish(byte === 0x5c ? end : at);
        if (byte !== 0x5c) {
          this.#begin(at - 1);
          this.#state = ESCAPE;
          this.#step(byte, at);
        }
        return;
    }
  }

  /** A byte behind ESC, or behind its intermediate bytes. */
  #escape(byte: number, end: number): void {
    this.#keep(byte);
    if (byte === 0x5b && this.#length === 2) this.#state = CSI;
    else if (STRING_STARTS.has(byte) && this.#length === 2) {
      this.#state = STRING;
    } else if (byte >= 0x30) this.#finish(end);
  }

  /** A C1 control aborts any sequence and may begin one; ST ends a string. */
  #c1(byte: number, at: number): void {
    if (byte === 0x9c && this.#outer === STRING) return this.#finish(at + 1);
    this.#begin(at - 1);
    this.#keep(byte - 0x40);
    if (byte === 0x9b) this.#state = CSI;
    else if (C1_STARTS.has(byte)) this.#state = STRING;
    else this.#finish(at + 1);
  }

  /** C2 began another character, or none if no continuation follows. */
  #noC1(byte: number, at: number): void {
    this.#state = this.#outer;
    if (byte >= 0xa0 && byte <= 0xbf) {
      this.#isTainted ||= this.#outer !== STRING;
      if (this.#outer !== STRING) return;
      this.#keep(0xc2);
      this.#keep(byte);
    } else if (this.#outer !== GROUND) this.#step(byte, at);
    else if (SPECIAL[byte] === 1) {
      this.#previous = 0xc2;
      this.#special(new Uint8Array([byte]), 0, at);
    }
  }

  /** DEL and half a character change nothing. A character aborts the sequence in most terminals. */
  #noAscii(byte: number): void {
    if (byte === 0xc2) return this.#enterC2(this.#state);
    if (byte >= 0xc0) this.#expected = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    else if (byte >= 0x80 && this.#expected > 0) {
      this.#expected--;
      if (this.#expected === 0) this.#isTainted = true;
    }
  }

  /** Ends a sequence that was aborted. */
  #abandon(end: number): void {
    this.#state = GROUND;
    this.#events.control(end);
  }

  /** CAN and SUB abort a sequence, ESC begins another one. */
  #isAbort(byte: number, at: number): boolean {
    if (byte === 0x1b) {
      this.#begin(at);
      this.#state = ESCAPE;
      this.#events.control(at + 1);
    } else if (byte === 0x18 || byte === 0x1a) this.#abandon(at + 1);
    else return false;
    return true;
  }
}
