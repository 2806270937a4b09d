/**
 * The only door to the terminal emulator: `@xterm/headless` with the character widths of
 * `@xterm/addon-unicode11`. {@linkcode loadEmulator} loads it, and nothing does so earlier.
 *
 * The imports name the `.mjs` files, because the packages' main files are CommonJS, whose
 * loader costs a Deno process some megabytes. The public API gives most of the
 * emulator's state, but not the scroll region, the saved cursor, the character
 * sets, underline styles and links; and its `write` is asynchronous. So inner
 * fields are used, typed here once, and the version is pinned.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { limitEmulator } from "./emulator_limits.ts";
import { isLink, isLinkId, MAX_LINK_LENGTH } from "./clean_text.ts";
import { Modes } from "./modes.ts";
import { SCROLLBACK } from "./screen_text.ts";

/** Colours and attributes of a cell, or of the next text. */
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

/** A screen's inner fields. */
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
  readonly modes: {
    readonly originMode: boolean;
    readonly insertMode: boolean;
  };
  readonly parser: {
    /** Handles a sequence; one that returns `false` leaves it to the emulator, too. */
    registerCsiHandler(
      id: { readonly prefix?: string; readonly final: string },
      handler: (params: readonly (number | readonly number[])[]) => boolean,
    ): unknown;
    registerEscHandler(
      id: { readonly final: string },
      handler: () => boolean,
    ): unknown;
  };
  /** Calls back after each line feed. */
  onLineFeed(listener: () => void): unknown;
  resize(columns: number, rows: number): void;
  dispose(): void;
  readonly _core: {
    readonly _inputHandler: {
      parse(data: Uint8Array): void;
      /** ED. */
      eraseInDisplay(params: {
        readonly params: readonly number[];
        readonly length: number;
      }): boolean;
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
    const { scrollback } = options as { scrollback: number };
    resetInPlace(terminal);
    limitEmulator(terminal, Math.min(scrollback, SCROLLBACK));
    keepNoStrings(terminal);
    restoreModes(terminal);
    return terminal;
  };
}

/**
 * Makes sure that {@linkcode loadEmulator} will need no network, without evaluating the
 * emulator's code: to import its `package.json`, Deno downloads a package into its
 * cache if it is not there. Takes a millisecond and next to no memory.
 *
 * @throws {TypeError} if a package is neither cached nor can be fetched.
 */
export async function fetchEmulator(): Promise<void> {
  await Promise.all([
    import("npm:@xterm/headless@6.0.0/package.json", {
      with: { type: "json" },
    }),
    import("npm:@xterm/addon-unicode11@0.9.0/package.json", {
      with: { type: "json" },
    }),
  ]);
}

/**
 * For `ESC c` (RIS), the shortest sequence of all, xterm.js makes both screens and more anew, and
 * leaves a hundred kilobytes of garbage. Here the same objects are blanked.
 */
function resetInPlace(terminal: any): void {
  const { buffers, coreService, coreMouseService, ...core } = terminal._core;
  const { _charsetService, _inputHandler } = core;
  const hasDefaultTabs = (tabs: Record<number, boolean>) => {
    for (let x = 0; x < terminal.cols; x++) {
      if ((tabs[x] === true) !== (x % 8 === 0)) return false;
    }
    return true;
  };
  terminal.parser.registerEscHandler({ final: "c" }, () => {
    _inputHandler._parser.reset();
    _inputHandler.reset();
    _charsetService.reset();
    coreService.reset();
    coreMouseService.reset();
    buffers.activateNormalBuffer();
    const { rows } = terminal;
    const { normal, alt } = buffers;
    const plain = _inputHandler._curAttrData;
    normal.lines.trimStart(normal.lines.length - rows);
    normal.ybase = normal.ydisp = 0;
    for (const buffer of [normal, alt]) {
      buffer.x =
        buffer.y =
        buffer.savedX =
        buffer.savedY =
          0;
      buffer.savedCurAttrData = plain.clone();
      buffer.savedCharset = undefined;
      buffer.scrollTop = 0;
      buffer.scrollBottom = rows - 1;
      if (!hasDefaultTabs(buffer.tabs)) buffer.setupTabStops();
    }
    const blank = normal.getNullCell(plain);
    for (let y = 0; y < rows; y++) {
      const line = normal.lines.get(y);
      line.fill(blank);
      line.isWrapped = false;
    }
    return true;
  });
}

/** xterm.js knows neither XTSAVE nor XTRESTORE: here modes.ts tells what they set. */
function restoreModes(terminal: any): void {
  const { _inputHandler } = terminal._core;
  const modes = new Modes();
  for (const final of ["h", "l", "s"]) {
    terminal.parser.registerCsiHandler(
      { prefix: "?", final },
      (numbers: (number | number[])[]) => {
        modes.apply(`\x1b[?${numbers.join(";")}${final}`);
        return false;
      },
    );
  }
  const reset = (text: string) => () => {
    modes.apply(text);
    return false;
  };
  const softReset = { intermediates: "!", final: "p" };
  terminal.parser.registerCsiHandler(softReset, reset("\x1b[!p"));
  terminal.parser.registerEscHandler({ final: "c" }, reset("\x1bc"));
  terminal.parser.registerCsiHandler(
    { prefix: "?", final: "r" },
    (numbers: (number | number[])[]) => {
      const text = `\x1b[?${numbers.join(";")}r`;
      modes.apply(text);
      const set = modes.insteadOf(text) ?? "";
      for (const [, mode, how] of set.matchAll(/(\d+)([hl])/g)) {
        const params = { params: [Number(mode)], length: 1 };
        if (how === "h") _inputHandler.setModePrivate(params);
        else _inputHandler.resetModePrivate(params);
      }
      return true;
    },
  );
}

/** How many links are kept; older ones are forgotten. */
const MAX_LINKS = 4096;
/** The longest OSC 8: an address, an id, and separators. */
const MAX_OSC_8 = MAX_LINK_LENGTH + 300;

/**
 * Keeps a bounded number of links, and no other strings. xterm.js would keep up to ten
 * megabytes of each string until its end, and every link that was ever begun.
 * modes.ts knows titles and colours; query.ts answers questions.
 */
function keepNoStrings(terminal: any): void {
  const { _inputHandler, _oscLinkService } = terminal._core;
  const parser = _inputHandler._parser;
  for (const number of [0, 1, 2, 4, 8, 10, 11, 12, 104, 110, 111, 112]) {
    parser.clearOscHandler(number);
  }
  parser.clearDcsHandler({ intermediates: "$", final: "q" });
  const links = new Map<number, Link>();
  const numbers = new Map<string, number>();
  let last = 0;
  /** The number of a link. */
  const numberOf = (link: Link): number => {
    const key = `${link.id ?? ""};${link.uri}`;
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, ++last);
    links.set(last, link);
    if (links.size > MAX_LINKS) {
      // Both maps have the oldest link first.
      const [oldest] = links.keys();
      const [oldestKey] = numbers.keys();
      links.delete(oldest!);
      numbers.delete(oldestKey!);
    }
    return last;
  };
  let text = "";
  parser.registerOscHandler(8, {
    start: () => text = "",
    put(codes: Uint32Array, start: number, end: number) {
      for (let i = start; i < end && text.length <= MAX_OSC_8; i++) {
        text += String.fromCodePoint(codes[i]!);
      }
    },
    end(isComplete: boolean): boolean {
      if (!isComplete) return true;
      const link = text.length > MAX_OSC_8 ? undefined : parseLink(text);
      const attributes = _inputHandler._curAttrData;
      attributes.extended = attributes.extended.clone();
      attributes.extended.urlId = link === undefined ? 0 : numberOf(link);
      attributes.updateExtended();
      return true;
    },
  });
  _oscLinkService.addLineToLink = () => {};
  _oscLinkService.getLinkData = (number: number) => links.get(number);
}

interface Link {
  readonly uri: string;
  readonly id?: string;
}

/** The link in the text after `OSC 8 ;`; `undefined` if there is none: that ends a link. */
function parseLink(text: string): Link | undefined {
  const at = text.indexOf(";");
  const uri = text.slice(at + 1);
  if (at < 0 || !isLink(uri)) return undefined;
  const id = text.slice(0, at).split(":")
    .find((parameter) => parameter.startsWith("id="))?.slice(3);
  return id !== undefined && isLinkId(id) ? { uri, id } : { uri };
}

/**
 * Loads the emulator's code once, and makes an emulator.
 *
 * @throws {TypeError} if the npm packages are neither cached nor can be fetched.
 */
export async function loadEmulator(options: {
  readonly columns: number;
  readonly rows: number;
  readonly scrollback: number;
  /** A line feed also goes to the first column. @default {false} */
  readonly convertEol?: boolean;
}): Promise<Terminal> {
  const { columns, rows, scrollback, convertEol = false } = options;
  loading ??= load();
  try {
    const make = await loading;
    return make({
      cols: columns,
      rows,
      scrollback,
      convertEol,
      allowProposedApi: true,
      // It would report garbage on standard output, which is the journal.
      logLevel: "off",
    });
  } catch (error) {
    loading = undefined; // The next call tries again.
    throw error;
  }
}
