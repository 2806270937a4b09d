/**
 * The bytes of a keyboard as keys and pastes.
 *
 * What was pasted is never taken for keys: keys act here. What the terminal reports by itself
 * (answers, focus, the mouse) is dropped. Sequences and characters may be cut anywhere.
 *
 * A program can't ask whether a sequence goes on, so it has to wait: a moment for the Escape
 * key, which is the beginning of all other sequences, and longer for the rest of anything else. What
 * comes later still is recognized as that rest where it can be.
 *
 * Facts: xterm's ctlseqs; rxvt and the Linux console have keys of their own.
 *
 * @module
 */
import type { Keyboard } from "../client/own_terminal.ts";
import { plainText } from "../screen/clean_text.ts";
import { within } from "../system/async.ts";
import { fromLatin1, toLatin1 } from "../system/bytes.ts";

/**
 * A key. Its name is its character, such as `j`, `J` or `é`; or `space`, `enter`, `tab`,
 * `escape`, `backspace`, `delete`, `insert`, `up`, `down`, `left`, `right`, `home`, `end`,
 * `page-up`, `page-down`, `f1` to `f12`. Before it may stand `alt-`, `ctrl-` and `shift-`, in this
 * order: `ctrl-c`, `shift-tab`, `ctrl-shift-left`, `alt-x`.
 */
export interface Key {
  /** Its name. */
  readonly name: string;
  /** The text that it types; keys with other effects have none. */
  readonly text?: string;
  /** It came together with the one before: pasted, perhaps, on a terminal that doesn't mark pastes. */
  readonly isRushed?: boolean;
}

/** Text that was pasted: without control characters but newlines (LF) and tabs. */
export interface Paste {
  /** The text. */
  readonly paste: string;
}

/** What was typed. */
export type Input = Key | Paste;

/** The name of a key; empty for a paste, which is no key. */
export function keyName(key: Input): string {
  return "paste" in key ? "" : key.name;
}

/** After so long without more bytes, in milliseconds, Escape is a key. */
const ESCAPE_MS = 50;
/** After so long without more bytes, another sequence or a paste is over. */
const OPEN_MS = 2000;
/** The rest of a longer paste is dropped, in bytes. */
const MAX_PASTE_LENGTH = 1024 * 1024;
/** A longer sequence is none. */
const MAX_SEQUENCE_LENGTH = 8192;

const PASTE_START = "\x1b[200~";
const PASTE_END = "\x1b[201~";

/** A key or a report: X10's mouse, a function key of the Linux console, CSI, SS3. */
const SEQUENCE =
  // deno-lint-ignore no-control-regex
  /\x1b(?:\[M[^]{3}|\[\[[A-Z]|\[(?!M)[0-?]*[ -/]*[@-Z\\-~]|O[ -~])/y;
/** The beginning of an answer in a string: OSC, DCS, APC. */
// deno-lint-ignore no-control-regex
const STRING = /\x1b(?:\](?=[\dlL])|P(?=[\d>!])|_(?=G))/y;
/** The beginning of any of these, cut at the end. */
// deno-lint-ignore no-control-regex
const OPEN = /\x1b(?:\[(?:M[^]{0,2}|\[|[0-?]*[ -/]*)|[O\]P_])?$/y;
// deno-lint-ignore no-control-regex
const NO_CONTROLS = /[^\x00-\x1f\x7f]*/y;
/** A sequence that is none: what follows this can't be in one. */
// deno-lint-ignore no-control-regex
const BROKEN = /\x1b\[[0-?]*[ -/]*/y;
/** The rest of a sequence that was cut behind ESC. */
const REST = /^(?:[[O][^]|\][\dlL]|P[\d>!]|_G)/;
/** No more than one key. */
const ONE_KEY =
  // deno-lint-ignore no-control-regex
  /^(?:[^]|[\xc2-\xf4][\x80-\xbf]{1,3}|\x1b(?:\[[0-?]*[ -/]*[@-~]|O[^]))$/;
/** A character of UTF-8 that is no ASCII, and the beginning of one, cut at the end. */
const CHARACTER =
  /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}/y;
const HALF_CHARACTER =
  /(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})$/y;

/** Keys by the last letter of their sequence. */
const LETTERS: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  F: "end",
  H: "home",
  P: "f1",
  Q: "f2",
  R: "f3",
  S: "f4",
};

/** Keys by the number in their sequence. */
const NUMBERS: Readonly<Record<string, string>> = {
  1: "home",
  2: "insert",
  3: "delete",
  4: "end",
  5: "page-up",
  6: "page-down",
  7: "home",
  8: "end",
  11: "f1",
  12: "f2",
  13: "f3",
  14: "f4",
  15: "f5",
  17: "f6",
  18: "f7",
  19: "f8",
  20: "f9",
  21: "f10",
  23: "f11",
  24: "f12",
};

/** Keys of one byte; those from 1 to 26 that are not here are `ctrl-` and a letter. */
const CONTROLS: Readonly<Record<string, string>> = {
  "\x00": "ctrl-space",
  "\x08": "backspace",
  "\t": "tab",
  "\r": "enter",
  "\x1b": "escape",
  "\x1c": "ctrl-\\",
  "\x1d": "ctrl-]",
  "\x1e": "ctrl-^",
  "\x1f": "ctrl-_",
  "\x7f": "backspace",
};

/** Takes bytes, and gives what was typed, one by one. */
export class KeyReader {
  /** What has come, one character for each byte, and how much of it was read. */
  #text = "";
  #at = 0;
  /** The paste so far; `undefined` between pastes. */
  #paste: string | undefined;
  /** Within a string, or what is too long: all is dropped up to its end. */
  #isSkipping = false;
  /** The last key was Escape, as nothing followed. */
  #wasEscape = false;
  /** The last paste has no end. */
  #isStalled = false;

  /** Takes the next bytes. Call {@linkcode next} until there is nothing more before the next ones. */
  feed(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    let text = toLatin1(bytes);
    // Terminals send a sequence, and a paste, in one piece, but a slow line may have cut it.
    if (this.#wasEscape && REST.test(text)) text = "\x1b" + text;
    if (this.#isStalled && !ONE_KEY.test(text)) this.#paste = "";
    this.#wasEscape = this.#isStalled = false;
    this.#text = this.#text.slice(this.#at) + text;
    this.#at = 0;
  }

  /** The next of what was typed; `undefined` if more bytes have to come first. */
  next(): Input | undefined {
    while (this.#at < this.#text.length) {
      const before = this.#at;
      const wasSkipping = this.#isSkipping;
      const input = wasSkipping
        ? this.#skip()
        : this.#paste === undefined
        ? this.#readKey()
        : this.#readPaste(this.#paste);
      if (input !== undefined) return input;
      const isStuck = this.#at === before && this.#isSkipping === wasSkipping;
      if (isStuck) return undefined;
    }
    return undefined;
  }

  /**
   * How long to wait for more bytes until {@linkcode giveUp} has to be called, in milliseconds;
   * `undefined` if nothing is open.
   */
  get waitMs(): number | undefined {
    if (this.#paste !== undefined || this.#isSkipping) return OPEN_MS;
    const open = this.#text.slice(this.#at);
    if (open === "") return undefined;
    // Escape, or with Alt one of the characters that other sequences begin with.
    // deno-lint-ignore no-control-regex
    return /^\x1b[^[]?$/.test(open) ? ESCAPE_MS : OPEN_MS;
  }

  /** Nothing more came: gives what is open if it is a key or a paste, and drops it if not. */
  giveUp(): Input | undefined {
    const paste = this.#paste;
    const open = this.#text.slice(this.#at);
    this.#at = this.#text.length;
    this.#paste = undefined;
    this.#isSkipping = false;
    if (paste !== undefined) {
      this.#isStalled = true;
      return pasteOf(paste + open);
    }
    this.#wasEscape = open === "\x1b";
    if (this.#wasEscape) return { name: "escape" };
    // deno-lint-ignore no-control-regex
    return /^\x1b[O\]P_]$/.test(open) ? { name: `alt-${open[1]}` } : undefined;
  }

  /** Reads a key, or drops what is none. Reads nothing if more has to come. */
  #readKey(): Input | undefined {
    if (this.#text[this.#at] !== "\x1b") return this.#readCharacter();
    const sequence = this.#take(SEQUENCE);
    if (sequence === PASTE_START) this.#paste = "";
    if (sequence !== undefined) {
      const name = nameOf(sequence);
      return name === undefined ? undefined : { name };
    }
    if (this.#take(STRING) !== undefined) {
      this.#isSkipping = true;
      return undefined;
    }
    OPEN.lastIndex = this.#at;
    if (OPEN.test(this.#text)) {
      if (this.#text.length - this.#at <= MAX_SEQUENCE_LENGTH) return undefined;
      this.#isSkipping = true;
      this.#at = this.#text.length;
      return undefined;
    }
    if (this.#take(BROKEN) !== undefined) return undefined;
    const start = this.#at++;
    // Escape twice: the second one may begin a sequence.
    if (this.#text[this.#at] === "\x1b") return { name: "escape" };
    const key = this.#readCharacter();
    if (this.#at === start + 1) this.#at = start; // Half a character.
    return key === undefined ? undefined : { name: `alt-${key.name}` };
  }

  /** Reads a character, or drops a byte of none. Reads nothing if more has to come. */
  #readCharacter(): Key | undefined {
    const byte = this.#text[this.#at]!;
    if (byte < "\x80") {
      this.#at++;
      if (byte === " ") return { name: "space", text: " " };
      if (byte > " " && byte < "\x7f") return { name: byte, text: byte };
      const letter = String.fromCharCode(byte.charCodeAt(0) + 0x60);
      return { name: CONTROLS[byte] ?? `ctrl-${letter}` };
    }
    const bytes = this.#take(CHARACTER);
    if (bytes !== undefined) {
      const text = decoder.decode(fromLatin1(bytes));
      const isHarmless = !text.includes("\ufffd") && plainText(text) === text;
      return isHarmless ? { name: text, text } : undefined;
    }
    HALF_CHARACTER.lastIndex = this.#at;
    if (!HALF_CHARACTER.test(this.#text)) this.#at++;
    return undefined;
  }

  /** Reads on in a paste. */
  #readPaste(paste: string): Paste | undefined {
    const end = this.#text.indexOf(PASTE_END, this.#at);
    // Its mark may be cut.
    const until = end < 0 ? this.#text.length - PASTE_END.length + 1 : end;
    const room = MAX_PASTE_LENGTH - paste.length;
    const from = this.#at;
    this.#at = Math.max(from, until);
    this.#paste = paste +
      this.#text.slice(from, Math.min(this.#at, from + room));
    if (end < 0) return undefined;
    this.#at += PASTE_END.length;
    const whole = this.#paste;
    this.#paste = undefined;
    return pasteOf(whole);
  }

  /** Drops a string up to its end: ST, or any control character. */
  #skip(): undefined {
    this.#take(NO_CONTROLS);
    const [control, next] = this.#text.slice(this.#at, this.#at + 2);
    if (control === undefined) return;
    if (control === "\x1b") {
      if (next === undefined) return;
      if (next === "\\") this.#at += 2;
    } else this.#at++;
    this.#isSkipping = false;
  }

  /** Reads what a pattern matches here. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The name of the key with this sequence; `undefined` if it is none, or a report. */
function nameOf(sequence: string): string | undefined {
  // deno-lint-ignore no-control-regex
  const ss3 = /^\x1bO(.)$/.exec(sequence)?.[1];
  if (ss3 !== undefined) return ss3 === "M" ? "enter" : LETTERS[ss3];
  if (sequence === "\x1b[Z") return "shift-tab";
  const match =
    // deno-lint-ignore no-control-regex
    /^\x1b\[(?:(\d{1,2})(?:;(\d{1,3})(?::[12])?)?)?([A-Z~])$/.exec(sequence);
  if (match === null) return undefined;
  const [, number, modifiers = "1", final] = match;
  // `CSI 1;2R` is shift-F3 or the cursor's place.
  if (final === "R" && number !== undefined) return undefined;
  const name = final === "~" ? NUMBERS[number ?? ""] : LETTERS[final!];
  if (name === undefined) return undefined;
  const bits = Number(modifiers) - 1;
  return (bits & 2 ? "alt-" : "") + (bits & 4 ? "ctrl-" : "") +
    (bits & 1 ? "shift-" : "") + name;
}

/** A paste of these bytes; `undefined` if nothing is left of it. */
function pasteOf(bytes: string): Paste | undefined {
  // A terminal sends the Enter key for a line end.
  const paste = decoder.decode(fromLatin1(bytes)).replace(/\r\n?/g, "\n")
    .split(/([\n\t])/)
    .map((part) => part === "\n" || part === "\t" ? part : plainText(part))
    .join("");
  return paste === "" ? undefined : { paste };
}

/**
 * What is typed, until the keyboard is at its end or was disposed of. Whoever leaves the loop has to
 * dispose of the keyboard then. What was read already is lost: keys that were meant for one place
 * do nothing in another.
 */
export async function* readKeys(
  keyboard: Keyboard,
): AsyncGenerator<Input, void> {
  const reader = new KeyReader();
  const buffer = new Uint8Array(65536);
  let reading: Promise<number | null> | undefined;
  for (;;) {
    let isRushed = false;
    for (let input; (input = reader.next()) !== undefined;) {
      yield isRushed ? { ...input, isRushed } : input;
      isRushed = true;
    }
    reading ??= keyboard.read(buffer);
    const { waitMs } = reader;
    const count = waitMs === undefined
      ? await reading
      : await within(waitMs, reading);
    if (count === null) return;
    if (count !== undefined) {
      reading = undefined;
      reader.feed(buffer.subarray(0, count));
      continue;
    }
    const input = reader.giveUp();
    if (input !== undefined) yield input;
  }
}
