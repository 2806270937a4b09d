/**
 * A terminal's modes as its program has set them: what a screen's text does not show.
 *
 * Follows the sequences that the scanner finds: DEC private modes (cursor keys,
 * mouse, bracketed paste, …), the kitty keyboard's stacks, the cursor's shape, the
 * title, changed colours. Kept beside the emulator because it must be known
 * without one (keys are typed according to them), and because xterm.js knows
 * neither the kitty keyboard nor what to restore of the mouse's encoding.
 *
 * Facts: xterm's ctlseqs, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html,
 * https://sw.kovidgoyal.net/kitty/keyboard-protocol/.
 *
 * @module
 */

/** DEC private modes that are on in a fresh terminal. */
const ON_BY_DEFAULT = new Set([7, 25]);
/** Modes that are not restored: the alternate screen is drawn, others act only at once. */
const NOT_RESTORED = new Set([3, 6, 47, 1047, 1048, 1049, 2026]);
/** Mouse tracking: one at most is in force. */
const MOUSE = new Set([9, 1000, 1001, 1002, 1003]);
/** What DECSTR, the soft reset, resets among the private modes. */
const SOFT_RESET = [1, 6, 7, 25, 66];
const MAX_STACK = 16;

/** Greater than any that means something; as text it is digits only, unlike 1e33. */
const MAX_NUMBER = 99_999;

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/g;

/** A terminal's modes. */
export class Modes {
  readonly #private = new Map<number, boolean>();
  readonly #saved = new Map<number, boolean>();
  #insert = false;
  #newline = false;
  #mouse = 0;
  #kitty: [number[], number[]] = [[], []];
  #modifyOtherKeys = "";
  #cursorShape = "";
  readonly #titles: string[] = [];
  /** OSC commands that changed a colour, by what they changed. */
  readonly #colors = new Map<string, string>();
  /** The scroll regions of both screens, `undefined` if it is the whole screen. */
  #margins: [string | undefined, string | undefined] = [undefined, undefined];
  /** The title that the program has set. */
  title = "";
  /** Whether the program draws on the alternate screen. */
  alternate = false;

  /** Whether the scroll region is a part of the screen only. */
  get hasMargins(): boolean {
    return this.#margins[this.#screen] !== undefined;
  }

  /** Whether a DEC private mode is on. */
  isOn(mode: number): boolean {
    if (mode === 47 || mode === 1047 || mode === 1049) return this.alternate;
    if (MOUSE.has(mode)) return this.#mouse === mode;
    return this.#private.get(mode) ?? ON_BY_DEFAULT.has(mode);
  }

  get #screen(): 0 | 1 {
    return this.alternate ? 1 : 0;
  }

  /** The flags of the kitty keyboard protocol in force; 0 is off. */
  get kittyFlags(): number {
    return this.#kitty[this.#screen].at(-1) ?? 0;
  }

  /** Takes note of a sequence and tells whether it asks the terminal something. */
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
    this.#colors.clear();
    this.alternate = false;
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
        for (const mode of numbers) this.#saved.set(mode, this.isOn(mode));
        return false;
      case "?r":
        for (const mode of numbers) {
          const saved = this.#saved.get(mode);
          if (saved !== undefined) this.#setPrivate(mode, saved);
        }
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
          : parameters;
        return false;
      case " q":
        this.#cursorShape = first === 0 ? "" : `\x1b[${first} q`;
        return false;
      case ">u":
        this.#kittyStack.push(first);
        if (this.#kittyStack.length > MAX_STACK) this.#kittyStack.shift();
        return false;
      case "<u":
        this.#kittyStack.splice(-Math.max(1, first));
        return false;
      case "=u":
        this.#setKitty(first, second || 1);
        return false;
      case ">m":
        this.#modifyOtherKeys = first === 4 && second > 0
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

  #setPrivate(mode: number, on: boolean): void {
    if (mode === 47 || mode === 1047 || mode === 1049) this.alternate = on;
    else if (MOUSE.has(mode)) {
      if (on) this.#mouse = mode;
      else this.#mouse = 0; // Any of them turns it off, in xterm.js too.
    } else this.#private.set(mode, on);
  }

  #applyOsc(text: string): boolean {
    const semicolon = text.indexOf(";");
    const command = semicolon < 0 ? text : text.slice(0, semicolon);
    const rest = semicolon < 0 ? "" : text.slice(semicolon + 1);
    switch (command) {
      case "0":
      case "2":
        // A title with controls in it could do anything wherever it is shown.
        this.title = rest.replace(CONTROLS, "").slice(0, 1000);
        return false;
      case "4":
      case "10":
      case "11":
      case "12":
        if (/(^|;)\?($|;)/.test(rest)) return true;
        // No colour has controls in it: some end a sequence, and the rest is text then.
        if (rest.search(CONTROLS) >= 0) return false;
        if (this.#colors.size < 300) {
          const which = command === "4" ? `4;${rest.split(";")[0]}` : command;
          this.#colors.set(which, rest);
        }
        return false;
      case "104":
      case "110":
      case "111":
      case "112":
        for (const key of [...this.#colors.keys()]) {
          const own = key.split(";");
          if (own[0] !== command.slice(1).replace("04", "4")) continue;
          if (rest === "" || rest.split(";").includes(own[1] ?? "")) {
            this.#colors.delete(key);
          }
        }
        return false;
      default:
        return false;
    }
  }

  /** The colour that the program has set for `10` (text), `11` (background) or `12` (cursor). */
  colorOf(command: string): string | undefined {
    return this.#colors.get(command);
  }

  /** The parameters that set the scroll region, `undefined` if it is the whole screen. */
  get margins(): string | undefined {
    return this.#margins[this.#screen];
  }

  /** What sets a reset terminal, the screen drawn already, to these modes. */
  restoreSequence(): string {
    let text = "";
    for (const [mode, on] of this.#private) {
      if (NOT_RESTORED.has(mode) || on === ON_BY_DEFAULT.has(mode)) continue;
      text += mode === 66
        ? (on ? "\x1b=" : "\x1b>")
        : `\x1b[?${mode}${on ? "h" : "l"}`;
    }
    if (this.#mouse !== 0) text += `\x1b[?${this.#mouse}h`;
    if (this.#insert) text += "\x1b[4h";
    if (this.#newline) text += "\x1b[20h";
    text += this.#cursorShape + this.#modifyOtherKeys;
    for (const [which, color] of this.#colors) {
      text += `\x1b]${which.split(";")[0]};${color}\x1b\\`;
    }
    for (const flags of this.#kittyStack) text += `\x1b[>${flags}u`;
    return text + `\x1b]2;${this.title}\x1b\\`;
  }

  /** The kitty keyboard's stack of the main screen, while the alternate one is shown. */
  restoreMainSequence(): string {
    return this.alternate
      ? this.#kitty[0].map((flags) => `\x1b[>${flags}u`).join("")
      : "";
  }
}

/**
 * What sets a terminal to a known state before a screen is drawn on it: main screen,
 * no scroll region, plain text, every mode at its default. The screen's text stays.
 */
export const RESET_MODES = "\x1b[?2026l" + "\x1b[<16u" + // kitty keyboard: pops all
  "\x1b[?1049l" + "\x1b[<16u" + "\x1b[r" + "\x1b[m" + "\x1b(B\x1b)B\x0f" +
  "\x1b[4l\x1b[20l" +
  [1, 5, 6, 9, 12, 45, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016]
    .map((mode) => `\x1b[?${mode}l`).join("") +
  "\x1b[?2004l\x1b[?2031l\x1b[?7h\x1b[?25h\x1b[0 q\x1b[>4m\x1b>";

/**
 * What gives a terminal back to its user: {@linkcode RESET_MODES}, then the colours
 * and a line of its own below what was drawn on `rows` rows.
 */
export function farewell(rows: number): string {
  return RESET_MODES +
    "\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\" +
    `\x1b[${rows};1H\r\n`;
}
