/**
 * A terminal's modes as its program has set them: the state that the text does not show.
 *
 * Follows the sequences that the scanner finds: DEC private modes (cursor keys,
 * mouse, bracketed paste, …), the kitty keyboard's stacks, the cursor's shape, the
 * title, changed colours. They are kept apart from the emulator because typing needs
 * them without one, and because xterm.js tracks neither the kitty keyboard nor all of
 * the mouse's encoding.
 *
 * Facts: xterm's ctlseqs, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html,
 * https://sw.kovidgoyal.net/kitty/keyboard-protocol/.
 *
 * @module
 */
import { plainText } from "./clean_text.ts";
import { type Color, parseColor, printColor } from "./colors.ts";
import { MAX_TITLE_LENGTH } from "./screen_text.ts";

/** DEC private modes that are off in a fresh terminal. */
// deno-fmt-ignore
const OFF_BY_DEFAULT = [
  1, 4, 5, 6, 12, 40, 45, 66, 69, 80, 1004, 1005, 1006, 1015, 1016, 1050, 1051, 1052, 1053, 1060, 1061,
  2004, 2026, 2031, 2048, 5522, 7727, 9001,
];
/** DEC private modes that are on in a fresh terminal. */
const ON_BY_DEFAULT = new Set([7, 8, 25]);
/**
 * DEC private modes whose default differs from terminal to terminal: the wheel as cursor keys,
 * Alt as ESC, grapheme clusters. Resetting them would change the user's own. So a client saves
 * them before it draws, and restores them; terminals without XTSAVE ignore both.
 */
const OWN_DEFAULT = new Set([1007, 1036, 2027]);
/** The modes that are tracked. */
const KEPT = new Set([...OFF_BY_DEFAULT, ...ON_BY_DEFAULT, ...OWN_DEFAULT]);
/** Modes that are not restored: they act only at once, or go with the screen. */
const NOT_RESTORED = new Set([4, 6, 40, 2026]);
/** Modes that show the alternate screen. */
const ALTERNATE = 1049;
const SCREENS = new Set([47, 1047, ALTERNATE]);
/** Modes that change the width of the user's window. */
const WIDTHS = new Set(["3", "40"]);
/** Mouse tracking: at most one of them is on. */
const MOUSE = new Set([9, 1000, 1001, 1002, 1003]);
/** The private modes that DECSTR, the soft reset, resets. */
const SOFT_RESET = [1, 6, 7, 25, 66];
const MAX_STACK = 16;
/** The flags of the kitty keyboard protocol. */
const KITTY_FLAGS = 31;

/** Greater than every meaningful number. Its text is digits only, unlike that of 1e33. */
export const MAX_NUMBER = 99_999;

/** The OSC commands that set colours: of text, background, cursor, pointer, selection. */
const DYNAMIC_COLORS = new Set([10, 11, 12, 13, 14, 17, 19]);
/** Those of them that answer questions. */
const TOLD_COLORS = new Set([10, 11, 12]);

/** A scroll region as its program has set it, counted from 1; a `bottom` of 0 is the last line. */
export interface Margins {
  readonly top: number;
  readonly bottom: number;
}

/** A terminal's modes. */
export class Modes {
  readonly #private = new Map<number, boolean>();
  /** What the program has saved; `undefined` stands for the terminal's own. */
  readonly #saved = new Map<number, boolean | undefined>();
  /** What the latest XTRESTORE has set. */
  #restored = "";
  #insert = false;
  #newline = false;
  #mouse = 0;
  #kitty: [number[], number[]] = [[], []];
  #modifyOtherKeys = "";
  #cursorShape = "";
  readonly #titles: string[] = [];
  /** The palette's colours that were changed. */
  readonly #palette = new Map<number, Color>();
  /** Other colours, by the number of their OSC command. */
  readonly #dynamic = new Map<number, Color>();
  /** The scroll regions of both screens; `undefined` stands for the whole screen. */
  #margins: [Margins | undefined, Margins | undefined] = [undefined, undefined];
  /** The title that the program has set. */
  title = "";
  /** Whether the program draws on the alternate screen. */
  alternate = false;
  /** How often the program has left the alternate screen. */
  departures = 0;

  /** Whether the scroll region is only a part of the screen. */
  get hasMargins(): boolean {
    return this.#margins[this.#screen] !== undefined;
  }

  /** Whether a DEC private mode is on. */
  isOn(mode: number): boolean {
    if (SCREENS.has(mode)) return this.alternate;
    if (MOUSE.has(mode)) return this.#mouse === mode;
    return this.#private.get(mode) ?? ON_BY_DEFAULT.has(mode);
  }

  get #screen(): 0 | 1 {
    return this.alternate ? 1 : 0;
  }

  /** The current flags of the kitty keyboard protocol; 0 is off. */
  get kittyFlags(): number {
    return this.#kitty[this.#screen].at(-1) ?? 0;
  }

  /** Applies a sequence, and tells whether it asks the terminal something. */
  apply(text: string): boolean {
    switch (text[1]) {
      case "[":
        return this.#applyCsi(text);
      case "]":
        return this.#applyOsc(text.slice(2));
      case "P":
        return text.startsWith("\x1bP+q") || text.startsWith("\x1bP$q");
      case "=":
        this.#private.set(66, true);
        return false;
      case ">":
        this.#private.set(66, false);
        return false;
      case "c":
        this.#reset();
    }
    return false;
  }

  #reset(): void {
    this.#softReset();
    this.#private.clear();
    this.#margins = [undefined, undefined];
    this.#mouse = 0;
    this.#newline = false;
    this.#kitty = [[], []];
    this.#modifyOtherKeys = this.#cursorShape = "";
    this.#palette.clear();
    this.#dynamic.clear();
    this.#show(false);
  }

  #show(alternate: boolean): void {
    if (this.alternate && !alternate) this.departures++;
    this.alternate = alternate;
  }

  #softReset(): void {
    for (const mode of SOFT_RESET) this.#private.delete(mode);
    this.#insert = false;
    this.#margins[this.#screen] = undefined;
  }

  #applyCsi(text: string): boolean {
    // deno-lint-ignore no-control-regex
    const match = /^\x1b\[([<=>?]?)([\d;:]*)([ -/]*)([@-~])$/.exec(text);
    if (match === null) return false;
    const [, prefix = "", parameters = "", intermediate = "", final = ""] =
      match;
    const numbers = parameters.split(";")
      .map((item) => Math.min(parseInt(item) || 0, MAX_NUMBER));
    const [first = 0, second = 0] = numbers;
    switch (prefix + intermediate + final) {
      case "?h":
      case "?l":
        for (const mode of numbers) this.#setPrivate(mode, final === "h");
        return false;
      case "?s":
        for (const mode of numbers) this.#save(mode);
        return false;
      case "?r":
        this.#restored = numbers.map((mode) => this.#restore(mode)).join("");
        return false;
      case "h":
      case "l":
        if (numbers.includes(4)) this.#insert = final === "h";
        if (numbers.includes(20)) this.#newline = final === "h";
        return false;
      case "!p":
        this.#softReset();
        return false;
      case "r":
        this.#margins[this.#screen] = first <= 1 && second === 0
          ? undefined
          : { top: Math.max(1, first), bottom: second };
        return false;
      case " q":
        if (first > 6) return false;
        this.#cursorShape = first === 0 ? "" : `\x1b[${first} q`;
        return false;
      case ">u":
        this.#kittyStack.push(first & KITTY_FLAGS);
        if (this.#kittyStack.length > MAX_STACK) this.#kittyStack.shift();
        return false;
      case "<u":
        this.#kittyStack.splice(-Math.max(1, first));
        return false;
      case "=u":
        this.#setKitty(first & KITTY_FLAGS, second || 1);
        return false;
      case ">m":
        this.#modifyOtherKeys = first === 4 && second > 0 && second < 4
          ? `\x1b[>4;${second}m`
          : "";
        return false;
      case "t":
        if (first === 22 && second !== 1) {
          this.#titles.push(this.title);
          if (this.#titles.length > MAX_STACK) this.#titles.shift();
        }
        if (first === 23 && second !== 1) {
          this.title = this.#titles.pop() ?? this.title;
        }
        return first === 14 || first === 16 || first === 18;
      case "c":
      case ">c":
      case "=c":
      case ">q":
        return first === 0;
      case "n":
        return first === 5 || first === 6;
      case "?n":
        return first === 6 || first === 15 || first === 25 || first === 26 ||
          first === 53 || first === 996;
      case "?u":
      case "$p":
      case "?$p":
        return true;
      default:
        return false;
    }
  }

  get #kittyStack(): number[] {
    return this.#kitty[this.#screen];
  }

  #setKitty(flags: number, how: number): void {
    const stack = this.#kittyStack;
    const now = stack.pop() ?? 0;
    stack.push(how === 2 ? now | flags : how === 3 ? now & ~flags : flags);
  }

  #save(mode: number): void {
    if (OWN_DEFAULT.has(mode)) this.#saved.set(mode, this.#private.get(mode));
    else if (SCREENS.has(mode)) this.#saved.set(ALTERNATE, this.alternate);
    else if (KEPT.has(mode) || MOUSE.has(mode)) {
      this.#saved.set(mode, this.isOn(mode));
    }
  }

  /** Restores a mode as the program has saved it. Returns the sequence that does so on a terminal. */
  #restore(mode: number): string {
    if (SCREENS.has(mode)) mode = ALTERNATE;
    if (!this.#saved.has(mode)) return "";
    const on = this.#saved.get(mode);
    if (on === undefined) {
      this.#private.delete(mode);
      return `\x1b[?${mode}r`; // The client has saved it.
    }
    if (!on && MOUSE.has(mode)) mode = this.#mouse;
    if (this.isOn(mode) === on) return ""; // Setting some again moves the cursor.
    this.#setPrivate(mode, on);
    return WIDTHS.has(`${mode}`) ? "" : `\x1b[?${mode}${on ? "h" : "l"}`;
  }

  #setPrivate(mode: number, on: boolean): void {
    if (SCREENS.has(mode)) this.#show(on);
    else if (MOUSE.has(mode)) {
      if (on) this.#mouse = mode;
      else this.#mouse = 0; // Any of them turns it off, in xterm.js too.
    } else if (KEPT.has(mode)) this.#private.set(mode, on);
  }

  #applyOsc(text: string): boolean {
    const [command = "", ...parameters] = text.split(";");
    switch (command) {
      case "0":
      case "2":
        this.title = plainText(parameters.join(";"), MAX_TITLE_LENGTH);
        return false;
      case "4":
        return this.#setPalette(parameters);
      case "104":
        if (parameters.join("") === "") this.#palette.clear();
        for (const index of parameters) this.#palette.delete(Number(index));
        return false;
    }
    if (!/^1[01]?\d$/.test(command)) return false;
    const number = Number(command);
    if (number >= 110) this.#dynamic.delete(number - 100);
    return number < 20 && this.#setDynamic(number, parameters);
  }

  /** OSC 4: pairs of an index and a colour or a question. Tells whether it asks. */
  #setPalette(parameters: readonly string[]): boolean {
    let asks = false;
    for (let i = 0; i + 1 < parameters.length; i += 2) {
      const index = paletteIndex(parameters[i]!);
      const color = parseColor(parameters[i + 1]!);
      if (index === undefined) continue;
      if (color !== undefined) this.#palette.set(index, color);
      else if (parameters[i + 1] === "?") asks = true;
    }
    return asks;
  }

  /** OSC 10 to 19: each further colour or question belongs to the next number. */
  #setDynamic(first: number, parameters: readonly string[]): boolean {
    let asks = false;
    for (const [i, parameter] of parameters.slice(0, 20 - first).entries()) {
      const number = first + i;
      const color = parseColor(parameter);
      if (color === undefined) {
        asks ||= parameter === "?" && TOLD_COLORS.has(number);
      } else if (DYNAMIC_COLORS.has(number)) this.#dynamic.set(number, color);
    }
    return asks;
  }

  /** The colour that the program has set for 10 (text), 11 (background), 12 (cursor), … */
  colorOf(command: number): Color | undefined {
    return this.#dynamic.get(command);
  }

  /** The colour that the program has set for an index of the palette. */
  paletteColorOf(index: number): Color | undefined {
    return this.#palette.get(index);
  }

  /** The scroll region; `undefined` stands for the whole screen. */
  get margins(): Margins | undefined {
    return this.#margins[this.#screen];
  }

  /**
   * What clients' terminals get in place of the sequence that was applied last; `undefined` if
   * they get the sequence. Their stack of titles and their saved modes are the user's own, and
   * the width of their windows is not the program's to change.
   */
  insteadOf(text: string): string | undefined {
    // deno-lint-ignore no-control-regex
    const match = /^\x1b\[(?:2([23])(?:;[\d;]*)?t|\?([\d;:]*)([hlsr]))$/.exec(
      text,
    );
    if (match === null) return undefined;
    const [, title, parameters = "", final] = match;
    if (title === "2") return "";
    if (title === "3") return this.titleSequence;
    if (final === "s") return "";
    if (final === "r") return this.#restored;
    const all = parameters.split(";");
    const rest = all.filter((mode) => !WIDTHS.has(mode.replace(/^0+/, "")));
    if (rest.length === all.length) return undefined;
    return rest.length === 0 ? "" : `\x1b[?${rest.join(";")}${final}`;
  }

  /** The sequence that sets the title; without one, the user's own, which the client has saved. */
  get titleSequence(): string {
    return this.title === ""
      ? RESTORE_TITLE + SAVE_TITLE
      : `\x1b]2;${this.title}\x1b\\`;
  }

  /** The sequences that set these modes on a terminal that was reset and drawn. */
  restoreSequence(): string {
    let text = "";
    for (const [mode, on] of this.#private) {
      if (NOT_RESTORED.has(mode)) continue;
      if (on === ON_BY_DEFAULT.has(mode) && !OWN_DEFAULT.has(mode)) continue;
      text += mode === 66
        ? (on ? "\x1b=" : "\x1b>")
        : `\x1b[?${mode}${on ? "h" : "l"}`;
    }
    if (this.#mouse !== 0) text += `\x1b[?${this.#mouse}h`;
    if (this.#insert) text += "\x1b[4h";
    if (this.#newline) text += "\x1b[20h";
    text += this.#cursorShape + this.#modifyOtherKeys;
    for (const [index, color] of this.#palette) {
      text += `\x1b]4;${index};${printColor(color)}\x1b\\`;
    }
    for (const [command, color] of this.#dynamic) {
      text += `\x1b]${command};${printColor(color)}\x1b\\`;
    }
    for (const flags of this.#kittyStack) text += `\x1b[>${flags}u`;
    return text;
  }

  /** The kitty keyboard's stack of the main screen, while the alternate one is shown. */
  restoreMainSequence(): string {
    return this.alternate
      ? this.#kitty[0].map((flags) => `\x1b[>${flags}u`).join("")
      : "";
  }
}

/** An index of the palette; `undefined` if the text is none. */
export function paletteIndex(text: string): number | undefined {
  return /^\d{1,3}$/.test(text) && Number(text) < 256
    ? Number(text)
    : undefined;
}

const SAVE_TITLE = "\x1b[22;0t";
const RESTORE_TITLE = "\x1b[23;0t";
const OWN_MODES = [...OWN_DEFAULT].join(";");

/** End anything unfinished: a sequence (CAN), a string (ST), VT52 mode, printing, a synchronized update. */
const END_ANYTHING = "\x18\x1b\\" + "\x1b<" + "\x1b[4i\x1b[?4i" +
  "\x1b[?2026l";
/** The kitty keyboard, of which each screen has its own: pops all. */
const POP_KEYBOARD = "\x1b[<16u";
const LEAVE_ALTERNATE = "\x1b[?1049l" + POP_KEYBOARD;
/** Every other mode at its default. */
const RESET_REST = "\x1b[0$}\x1b[0$~" + // No status line.
  "\x1b]8;;\x1b\\" + // No link.
  "\x1b%G\x1b(B\x1b)B\x0f" + // UTF-8, ASCII.
  "\x1b[2l\x1b[4l\x1b[12h\x1b[20l" + // Keyboard unlocked, no insertion, no local echo, no new line mode.
  [...OFF_BY_DEFAULT, ...MOUSE].map((mode) => `\x1b[?${mode}l`).join("") +
  [...ON_BY_DEFAULT].map((mode) => `\x1b[?${mode}h`).join("") +
  // No scroll region, plain cursor, plain keys, a tab stop at every eighth column, plain text.
  "\x1b[r" + "\x1b[0 q" + "\x1b[>1m\x1b[>2m\x1b[>4m" + "\x1b>" + "\x1b[?5W" +
  '\x1b[0"q' + "\x1b[m";

/**
 * The sequences that put a terminal into a known state before drawing: main screen,
 * no scroll region, plain text, every mode at its default. Its text stays.
 */
export const RESET_MODES = END_ANYTHING + POP_KEYBOARD + LEAVE_ALTERNATE +
  RESET_REST;

/** The same on the alternate screen; the main one stays as it is. */
export const RESET_ON_ALTERNATE = END_ANYTHING + POP_KEYBOARD +
  "\x1b[?1049h" + POP_KEYBOARD + RESET_REST;

/**
 * The sequences that take a user's terminal: they save its title, the modes that are to be
 * restored, and its main screen with the cursor. {@linkcode farewell} is the counterpart.
 */
export const GREETING = SAVE_TITLE + `\x1b[?${OWN_MODES}s` + "\x1b[?1049h";

/**
 * The sequences that make the main screen free after {@linkcode GREETING}: its `rows` rows move
 * up into the scrollback.
 */
export function makeRoom(rows: number): string {
  return END_ANYTHING + "\x1b[?6l\x1b[?69l\x1b[r" + "\x1b[?1049l" +
    `\x1b[${rows};1H${"\n".repeat(rows)}`;
}

/**
 * The sequences that give a terminal back to its user: every mode as before, the default
 * colours, the title. If something was drawn on the main screen, the cursor goes to a new line
 * below the row `bottom`; otherwise that screen comes back as it was.
 */
export function farewell(bottom: number | undefined): string {
  const colors = [104, ...[...DYNAMIC_COLORS].map((number) => number + 100)]
    .map((command) => `\x1b]${command}\x1b\\`).join("");
  const own = `\x1b[?${OWN_MODES}r`;
  const modes = bottom === undefined
    // Leaving comes last: it restores the cursor, and some of the others move it. A terminal
    // without a second screen needs a free line.
    ? END_ANYTHING + POP_KEYBOARD + own + RESET_REST + colors +
      "\x1b[999;1H\x1b[?1049l"
    : own + RESET_MODES + colors + `\x1b[${bottom};1H\r\n`;
  return modes + RESTORE_TITLE;
}
