/**
 * The screen of a terminal session: the emulator, which draws only on demand.
 *
 * Output is appended to the backlog, which is cheap. The emulator is loaded and
 * catches up when a client attaches, when the screen or the cursor is asked for, when the
 * window changes, or when the backlog grows too long. An answer is exact for the moment of
 * the question.
 *
 * @module
 */
import { concat } from "../system/bytes.ts";
import { Backlog, MAX_COMPLEX_BYTES, type Query } from "./backlog.ts";
import type { Crop, Painting } from "./crop.ts";
import { loadEmulator, type ScreenBuffer, type Terminal } from "./emulator.ts";
import type { Modes } from "./modes.ts";
import { ansiLine, LinkAllowance, redraw } from "./redraw.ts";
import { MAX_TEXT_LENGTH, type ScreenText, SCROLLBACK } from "./screen_text.ts";
import type { Told } from "./told.ts";

/** The emulator is fed this much at a time, in bytes. */
const PIECE_BYTES = 16 * 1024;

/** How much of an unfinished sequence is kept, in bytes: those of pictures are long. */
const MAX_CUT_BYTES = 64 * 1024;

/** The emulator supports no narrower screen. */
export const MIN_COLUMNS = 2;

/** A terminal's screen that is drawn on demand. */
export class Screen {
  #columns: number;
  #rows: number;
  #terminal: Terminal | undefined;
  readonly #backlog: Backlog;
  /** The beginning of an unfinished sequence or character. */
  #cut: Uint8Array = NOTHING;

  /**
   * A blank screen. Nothing is loaded yet. `onTold` is called with what the program tells its user
   * beside the screen.
   */
  constructor(
    columns: number,
    rows: number,
    onTold?: (told: Told) => void,
  ) {
    this.#backlog = new Backlog(onTold);
    this.#columns = columns;
    this.#rows = rows;
  }

  get columns(): number {
    return this.#columns;
  }

  get rows(): number {
    return this.#rows;
  }

  /** The modes that the program has set; they need no emulator. */
  get modes(): Modes {
    return this.#backlog.modes;
  }

  /** Whether the emulator has been needed so far. */
  get isLoaded(): boolean {
    return this.#terminal !== undefined;
  }

  /** Bytes of output so far. */
  get offset(): number {
    return this.#backlog.offset;
  }

  /** Whether the output ends between two sequences. */
  get isAtGround(): boolean {
    return this.#backlog.isAtGround;
  }

  get #lines(): number {
    return SCROLLBACK + this.#rows;
  }

  /** Takes output and returns the questions in it. */
  append(bytes: Uint8Array): readonly Query[] {
    const backlog = this.#backlog;
    const offset = backlog.offset;
    backlog.append(bytes, this.#lines);
    this.#keepCut(bytes, offset);
    if (backlog.queries.length === 0) return NONE;
    const { queries } = backlog;
    backlog.queries = [];
    return queries;
  }

  #keepCut(bytes: Uint8Array, offset: number): void {
    const start = this.#backlog.openSince;
    if (start === undefined) {
      this.#cut = cutCharacter(this.#cut, bytes);
    } else if (start >= offset) {
      this.#cut = bytes.slice(start - offset);
    } else if (this.#cut.length < MAX_CUT_BYTES) {
      this.#cut = concat([this.#cut, bytes]);
    }
  }

  /** Whether the emulator has to catch up before more output is taken. */
  get isBehind(): boolean {
    return this.#backlog.complexBytes > MAX_COMPLEX_BYTES;
  }

  /** Loads the emulator; what follows is synchronous then. */
  async load(): Promise<void> {
    if (this.#terminal !== undefined) return;
    const terminal = await loadEmulator({
      columns: this.#columns,
      rows: this.#rows,
      scrollback: SCROLLBACK,
    });
    // Meanwhile another call may have loaded one, or the window may have changed.
    if (this.#terminal !== undefined) return;
    if (terminal.cols !== this.#columns || terminal.rows !== this.#rows) {
      terminal.resize(this.#columns, this.#rows);
    }
    this.#terminal = terminal;
  }

  /** The emulator, fed with the output up to an offset, or with all of it. */
  catchUp(until?: number): Terminal {
    const terminal = this.#terminal;
    if (terminal === undefined) throw new Error("The emulator is not loaded");
    if (this.#backlog.isEmpty) return terminal;
    const bytes = this.#backlog.take(this.#lines, until);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      try {
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        terminal._core._inputHandler.parse(piece);
      } catch {
        // A fault of the emulator (emulator.ts has one that random output found). There is
        // no way back: some of the output is missing on the screen.
      }
    }
    return terminal;
  }

  /** Drops the output that the emulator has not seen, if it can't be loaded. */
  forget(): void {
    this.#backlog.take(this.#lines);
  }

  /** Changes the size. Once there is output, this is exact only if the emulator is loaded. */
  resize(columns: number, rows: number): void {
    if (this.#terminal !== undefined) this.catchUp().resize(columns, rows);
    this.#columns = columns;
    this.#rows = rows;
  }

  /** A text that draws this screen on a terminal of its size; see redraw.ts. */
  redraw(options: { readonly onlyAlternate?: boolean } = {}): string {
    return redraw(this.catchUp(), this.modes, options);
  }

  /** The same as bytes, after which the output can continue, even in the middle of a sequence. */
  redrawBytes(
    options: { readonly onlyAlternate?: boolean } = {},
  ): Uint8Array {
    return concat([
      new TextEncoder().encode(this.redraw(options)),
      this.#cut,
    ]);
  }

  /** What a window of another size gets to show this screen; see {@linkcode Crop.paint}. */
  paint(
    crop: Crop,
    window: { readonly columns: number; readonly rows: number },
    marked?: boolean,
  ): Painting {
    return crop.paint(this.catchUp(), this.modes, window, marked);
  }

  /** The last row of the main screen with text, counted from 1. */
  get bottom(): number {
    const { buffer: { normal }, cols, rows } = this.catchUp();
    for (let row = rows; row > 1; row--) {
      const line = normal.getLine(normal.baseY + row - 1);
      if (line?.translateToString(true, 0, cols)) return row;
    }
    return 1;
  }

  /** Whether the program has shown nothing yet: its output so far has no text, and it is on the main screen. */
  get isUnused(): boolean {
    const { modes } = this;
    if (modes.alternate || modes.departures > 0) return false;
    const { buffer: { normal }, cols, rows } = this.catchUp();
    if (normal.baseY > 0) return false;
    for (let row = 0; row < rows; row++) {
      if (normal.getLine(row)?.translateToString(true, 0, cols)) return false;
    }
    return true;
  }

  /** The screen as text. */
  text(options: { scrollback?: number; ansi?: boolean } = {}): ScreenText {
    const { scrollback = 0, ansi = false } = options;
    const terminal = this.catchUp();
    const buffer: ScreenBuffer = terminal.buffer.active;
    const above = Math.min(scrollback, buffer.baseY);
    const allowance = new LinkAllowance();
    const styled = (y: number) => ansiLine(terminal, buffer, y, allowance);
    // Lines of the alternate screen keep the cells that a narrower window has cut off.
    const plain = (y: number) =>
      buffer.getLine(y)?.translateToString(true, 0, terminal.cols) ?? "";
    const lines: string[] = [];
    let left = MAX_TEXT_LENGTH;
    // From the bottom up: if it is too much, the lines at the top lose their styles, then their text.
    for (let row = terminal.rows - 1; row >= -above; row--) {
      const y = buffer.baseY + row;
      let line = ansi ? styled(y) : plain(y);
      if (line.length > left) line = plain(y);
      if (line.length > left) line = "";
      left -= line.length;
      lines.push(line);
    }
    lines.reverse();
    return {
      columns: terminal.cols,
      rows: terminal.rows,
      lines,
      scrollback: above,
      cursor: {
        column: Math.min(buffer.cursorX, terminal.cols - 1),
        row: buffer.cursorY,
        visible: this.modes.isOn(25),
      },
      title: this.modes.title,
      alternate: this.modes.alternate,
    };
  }
}

const NONE: readonly Query[] = [];
const NOTHING: Uint8Array = new Uint8Array(0);

/** The beginning of an unfinished UTF-8 character at the end of these bytes, which follow `before`. */
function cutCharacter(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  if ((bytes.at(-1) ?? 0) < 0x80) return bytes.length > 0 ? NOTHING : before;
  const last = concat([before.subarray(-3), bytes.subarray(-3)]);
  for (let i = last.length - 1; i >= 0; i--) {
    const byte = last[i]!;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue; // Not its first byte.
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return last.length - i < length ? last.slice(i) : NOTHING;
  }
  return NOTHING;
}
