/**
 * The only door to the terminal emulator: `@xterm/headless` with the character widths of
 * `@xterm/addon-unicode11`, loaded by {@linkcode loadEmulator} and not before.
 *
 * The `.mjs` files are named, because the packages' main files are CommonJS, whose
 * loader costs a Deno process some megabytes. What the emulator holds is read through
 * its public API where that has it; the scroll region, the saved cursor, the character
 * sets, underline styles and links it has not, and its own `write` is asynchronous. So
 * the inner fields are typed here, once, and the version is an exact one.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any

/** Colours and attributes of a cell, or of what is written next. */
export interface Attributes {
  /** Colours (value, mode from bit 24) with flags: equal numbers mean equal looks. */
  readonly fg: number;
  readonly bg: number;
  /** `_ext`: underline colour in the low bits, its mode from bit 24, style from 26. */
  readonly extended: { readonly _ext: number; readonly urlId: number };
  hasExtendedAttrs(): number;
  isInverse(): number;
  isBold(): number;
  isOverline(): number;
  isBlink(): number;
  isInvisible(): number;
  isItalic(): number;
  isDim(): number;
  isStrikethrough(): number;
}

/** A cell of the screen. */
export interface Cell extends Attributes {
  getChars(): string;
  getWidth(): number;
}

/** A line of the screen or of the scrollback. */
export interface Line {
  readonly isWrapped: boolean;
  readonly length: number;
  getCell(x: number, cell?: Cell): Cell | undefined;
  translateToString(trimRight?: boolean, from?: number, to?: number): string;
}

/** One of the two screens. */
export interface ScreenBuffer {
  readonly cursorX: number;
  readonly cursorY: number;
  readonly baseY: number;
  readonly length: number;
  getLine(y: number): Line | undefined;
  getNullCell(): Cell;
}

/** What stands in a screen's inner fields. */
export interface InnerBuffer {
  readonly scrollTop: number;
  readonly scrollBottom: number;
  readonly savedX: number;
  readonly savedY: number;
  readonly ybase: number;
  readonly savedCurAttrData: Attributes;
  readonly tabs: Readonly<Record<number, boolean>>;
}

type Charset = Readonly<Record<string, string>> | undefined;

/** The emulator. */
export interface Terminal {
  readonly cols: number;
  readonly rows: number;
  readonly buffer: {
    readonly active: ScreenBuffer & { readonly type: "normal" | "alternate" };
    readonly normal: ScreenBuffer;
    readonly alternate: ScreenBuffer;
  };
  readonly modes: { readonly originMode: boolean };
  resize(columns: number, rows: number): void;
  dispose(): void;
  readonly _core: {
    readonly _inputHandler: {
      parse(data: Uint8Array): void;
      readonly _curAttrData: Attributes;
    };
    readonly buffers: {
      readonly normal: InnerBuffer;
      readonly alt: InnerBuffer;
    };
    readonly _charsetService: {
      readonly glevel: number;
      readonly _charsets: readonly Charset[];
    };
    readonly _oscLinkService: {
      getLinkData(id: number): { uri: string; id?: string } | undefined;
    };
  };
}

let loading: Promise<(options: object) => Terminal> | undefined;

async function load(): Promise<(options: object) => Terminal> {
  const [headless, widths]: any[] = await Promise.all([
    // @ts-ignore: this file has no types of its own.
    import("npm:@xterm/headless@6.0.0/lib-headless/xterm-headless.mjs"),
    // @ts-ignore: this file has no types of its own.
    import("npm:@xterm/addon-unicode11@0.9.0/lib/addon-unicode11.mjs"),
  ]);
  return (options) => {
    const terminal = new headless.Terminal(options);
    terminal.loadAddon(new widths.Unicode11Addon());
    terminal.unicode.activeVersion = "11";
    avoidEraseError(terminal);
    avoidLongLoops(terminal, (options as { scrollback: number }).scrollback);
    return terminal;
  };
}

/**
 * xterm.js 6.0.0 throws at `CSI 1 J` (erase from the top to the cursor) with the cursor
 * in the last cell: it looks for the line below. All is erased then, so `CSI 2 J` is meant.
 */
function avoidEraseError(terminal: any): void {
  const { _inputHandler } = terminal._core;
  for (const prefix of [undefined, "?"]) {
    terminal.parser.registerCsiHandler(
      { final: "J", prefix },
      (params: (number | number[])[]) => {
        const { cursorX, cursorY } = terminal.buffer.active;
        const isLast = cursorY === terminal.rows - 1 &&
          cursorX + 1 >= terminal.cols;
        if (params[0] !== 1 || !isLast) return false;
        _inputHandler.eraseInDisplay(
          { params: [2], length: 1 },
          prefix === "?",
        );
        return true;
      },
    );
  }
}

/** Sequences that xterm.js obeys by a loop, by their final character. */
const LOOPS = {
  L: "insertLines",
  M: "deleteLines",
  S: "scrollUp",
  T: "scrollDown",
  I: "cursorForwardTab",
  Z: "cursorBackwardTab",
  b: "repeatPrecedingCharacter",
} as const;

/**
 * xterm.js does these as often as it is told, up to 2^31 times: a few bytes of output would
 * keep it busy for hours. What is more than fills the screen, or the scrollback, changes nothing.
 */
function avoidLongLoops(terminal: any, scrollback: number): void {
  const { _inputHandler } = terminal._core;
  for (const [final, method] of Object.entries(LOOPS)) {
    terminal.parser.registerCsiHandler(
      { final },
      ([count]: (number | number[])[]) => {
        const { cols, rows } = terminal;
        const enough = final === "b"
          ? cols * (rows + scrollback)
          : Math.max(cols, rows);
        if (typeof count !== "number" || count <= enough) return false;
        _inputHandler[method]({ params: [enough], length: 1 });
        return true;
      },
    );
  }
}

/**
 * Loads the emulator's code, once, and makes one.
 *
 * @throws {TypeError} if the npm packages are neither cached nor can be fetched.
 */
export async function loadEmulator(options: {
  readonly columns: number;
  readonly rows: number;
  readonly scrollback: number;
}): Promise<Terminal> {
  const { columns, rows, scrollback } = options;
  loading ??= load();
  try {
    const make = await loading;
    return make({
      cols: columns,
      rows,
      scrollback,
      allowProposedApi: true,
      // Garbage is no news, and the relay's standard output is the journal.
      logLevel: "off",
    });
  } catch (error) {
    loading = undefined; // It may be there at the next try.
    throw error;
  }
}
