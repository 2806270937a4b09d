/**
 * A screen as the bytes that draw it, which an attaching client gets first.
 *
 * `@xterm/addon-serialize` (0.14) is not exact: it loses
 * underline styles and links, margins, tab stops, the saved cursor and the pending
 * wrap, and turns a bold cell after a dim one into a plain one. Here each row is
 * placed by itself, unless it continues the row before it: then the terminal wraps again. The
 * tests draw random output and its redraw on two emulators and compare every cell.
 *
 * @module
 */
import type {
  Attributes,
  Cell,
  InnerBuffer,
  ScreenBuffer,
  Terminal,
} from "./emulator.ts";
import { type Modes, RESET_MODES, RESET_ON_ALTERNATE } from "./modes.ts";

/** `bits`: the mode from bit 24 (1: 16 colours, 2: 256, 3: true), the value below. */
function color(kind: 3 | 4 | 5, bits: number): string {
  const mode = bits >>> 24 & 3;
  if (mode === 0) return "";
  const value = bits & (mode === 3 ? 0xffffff : 0xff);
  if (mode === 3) {
    const parts = [value >>> 16 & 255, value >>> 8 & 255, value & 255];
    // The underline's colour has no semicolon form.
    return kind === 5
      ? `;58:2::${parts.join(":")}`
      : `;${kind}8;2;${parts.join(";")}`;
  }
  if (kind === 5) return `;58:5:${value}`;
  if (mode === 2) return `;${kind}8;5;${value}`;
  if (value < 8) return `;${kind}${value}`;
  return `;${kind + 6}${value - 8}`;
}

/** The flag of a cell's foreground for an underline. */
const UNDERLINE = 0x10000000;

/** The SGR that sets exactly these attributes, independent of earlier ones. */
function sgr(cell: Attributes): string {
  let text = "\x1b[0";
  if (cell.isBold()) text += ";1";
  if (cell.isDim()) text += ";2";
  if (cell.isItalic()) text += ";3";
  // Not the public getters: they count a link's dashed underline.
  const ext = cell.hasExtendedAttrs() ? cell.extended._ext : 0;
  const style = ext >>> 26 & 7;
  if (cell.fg & UNDERLINE) text += style > 1 ? `;4:${style}` : ";4";
  text += color(5, ext);
  if (cell.isBlink()) text += ";5";
  if (cell.isInverse()) text += ";7";
  if (cell.isInvisible()) text += ";8";
  if (cell.isStrikethrough()) text += ";9";
  if (cell.isOverline()) text += ";53";
  text += color(3, cell.fg) + color(4, cell.bg);
  return text + "m";
}

/**
 * How much of one drawing may be links' addresses, in characters. Every cell can have its own
 * link, a hundred times as long as its style.
 */
export class LinkAllowance {
  #left = 1024 * 1024;

  /** Tells whether there is room for another link of this length. */
  take(length: number): boolean {
    if (length > this.#left) return false;
    this.#left -= length;
    return true;
  }
}

/** Writes cells with as few style changes as possible: it remembers the current style. */
class Pen {
  #fg = 0;
  #bg = 0;
  #ext = 0;
  #link = 0;
  readonly #terminal: Terminal;
  readonly #allowance: LinkAllowance;

  constructor(terminal: Terminal, allowance: LinkAllowance) {
    this.#terminal = terminal;
    this.#allowance = allowance;
  }

  /** The sequences that change the current style into that of `cell`. */
  change(cell: Attributes): string {
    const extended = cell.hasExtendedAttrs() !== 0;
    const ext = extended ? cell.extended._ext : 0;
    const link = extended ? cell.extended.urlId : 0;
    let text = "";
    if (cell.fg !== this.#fg || cell.bg !== this.#bg || ext !== this.#ext) {
      text = sgr(cell);
      this.#fg = cell.fg;
      this.#bg = cell.bg;
      this.#ext = ext;
    }
    if (link !== this.#link) {
      this.#link = link;
      text += this.#linkTo(link);
    }
    return text;
  }

  /** The sequence that begins or ends a link. The emulator keeps only printable links; see emulator.ts. */
  #linkTo(link: number): string {
    const { _oscLinkService } = this.#terminal._core;
    const data = link === 0 ? undefined : _oscLinkService.getLinkData(link);
    const { id, uri = "" } = data ?? {};
    return uri !== "" && this.#allowance.take(uri.length + (id?.length ?? 0))
      ? `\x1b]8;${id ? `id=${id}` : ""};${uri}\x1b\\`
      : "\x1b]8;;\x1b\\";
  }

  plain(): string {
    const link = this.#link === 0 ? "" : "\x1b]8;;\x1b\\";
    const style = this.#fg === 0 && this.#bg === 0 && this.#ext === 0
      ? ""
      : "\x1b[m";
    this.#fg =
      this.#bg =
      this.#ext =
      this.#link =
        0;
    return link + style;
  }
}

function isBlank(cell: Cell): boolean {
  // Erasing keeps only the background: underlined or inverse blanks have to be written.
  return cell.getChars() === "" && cell.getWidth() === 1 &&
    cell.fg >>> 26 === 0 && (cell.bg >>> 26 & ~4) === 0 &&
    !(cell.hasExtendedAttrs() && cell.extended.urlId);
}

/** The columns of a row that are drawn: from the first one to before the last one. */
interface Columns {
  readonly from: number;
  readonly to: number;
}

/** One row's text with styles, and whether it is full, so that the next row may wrap. */
function drawRow(
  terminal: Terminal,
  buffer: ScreenBuffer,
  y: number,
  pen: Pen,
  cell: Cell,
  { from, to }: Columns = { from: 0, to: terminal.cols },
): { readonly text: string; readonly isFull: boolean } {
  const line = buffer.getLine(y);
  if (line === undefined) return { text: "", isFull: false };
  let text = "";
  let blanks = 0;
  let blankStyle = "";
  const flush = () => {
    if (blanks === 0) return;
    text += blankStyle === ""
      ? `\x1b[${blanks}C`
      : `\x1b[${blanks}X\x1b[${blanks}C`;
    blanks = 0;
    blankStyle = "";
  };
  let end = from;
  // By widths: the cell after a wide character is its second half.
  let width = 1;
  for (let x = from; x < to; x += width) {
    const found = line.getCell(x, cell);
    width = Math.max(1, cell.getWidth());
    const isHalf = cell.getWidth() === 0 ? x === from : x + width > to;
    if (isHalf && to - from < terminal.cols) {
      // Of a wide character at the edge, only one half would be seen.
      flush();
      text += "\x1b[C";
      continue;
    }
    if (found === undefined || cell.getWidth() === 0) continue;
    if (isBlank(cell)) {
      const hasStyle = cell.bg !== 0 || cell.fg !== 0;
      const change = pen.change(cell);
      if (change !== "" || hasStyle !== (blankStyle !== "")) {
        flush();
        text += change;
      }
      blankStyle = hasStyle ? "x" : "";
      blanks++;
      continue;
    }
    flush();
    text += pen.change(cell) + (cell.getChars() || " ");
    end = x + cell.getWidth();
  }
  if (blankStyle !== "") text += `\x1b[${blanks}X`;
  return { text, isFull: end === to };
}

function drawScreen(
  terminal: Terminal,
  buffer: ScreenBuffer,
  allowance: LinkAllowance,
): string {
  const pen = new Pen(terminal, allowance);
  const cell = buffer.getNullCell();
  let text = "";
  let canWrap = false;
  for (let row = 0; row < terminal.rows; row++) {
    const y = buffer.baseY + row;
    const drawn = drawRow(terminal, buffer, y, pen, cell);
    const wraps = canWrap && buffer.getLine(y)?.isWrapped === true &&
      drawn.text !== "" &&
      (buffer.getLine(y)?.getCell(0, cell)?.getChars() ?? "") !== "";
    if (drawn.text !== "") {
      text += (wraps ? "" : `\x1b[${row + 1};1H`) + drawn.text;
    }
    canWrap = drawn.isFull;
  }
  return text + pen.plain();
}

function at(x: number, y: number): string {
  return `\x1b[${y + 1};${x + 1}H`;
}

/** The tab stops, if they are not at every eighth column. */
function tabStops(terminal: Terminal, inner: InnerBuffer): string {
  const stops: number[] = [];
  let isDefault = true;
  for (let x = 0; x < terminal.cols; x++) {
    const isSet = inner.tabs[x] === true;
    if (isSet) stops.push(x);
    if (isSet !== (x % 8 === 0)) isDefault = false;
  }
  if (isDefault) return "";
  return "\x1b[3g" + stops.map((x) => `${at(x, 0)}\x1bH`).join("");
}

function charsets(terminal: Terminal): string {
  const { glevel, _charsets } = terminal._core._charsetService;
  let text = "";
  for (const [index, introducer] of ["(", ")"].entries()) {
    const set = _charsets[index];
    if (set?.q === "─") text += `\x1b${introducer}0`;
    else if (set?.["#"] === "£") text += `\x1b${introducer}A`;
  }
  return text + (glevel === 1 ? "\x0e" : "");
}

/** Cursor, scroll region, origin mode, character sets, attributes of what is written next. */
function restoreCursor(
  terminal: Terminal,
  buffer: ScreenBuffer,
  inner: InnerBuffer,
  allowance: LinkAllowance,
): string {
  const { cursorX, cursorY } = buffer;
  const { scrollTop, scrollBottom } = inner;
  const pen = new Pen(terminal, allowance);
  const isWhole = scrollTop === 0 && scrollBottom === terminal.rows - 1;
  let text = isWhole ? "" : `\x1b[${scrollTop + 1};${scrollBottom + 1}r`;
  let row = cursorY;
  if (terminal.modes.originMode) {
    text += "\x1b[?6h";
    row -= inner.scrollTop;
  }
  if (cursorX < terminal.cols) text += at(cursorX, row);
  else {
    // After the last column: the next character wraps. Only writing a character leads there.
    const line = buffer.getLine(buffer.baseY + cursorY);
    let x = terminal.cols - 1;
    if (line?.getCell(x)?.getWidth() === 0) x--;
    const cell = line?.getCell(x);
    text += at(x, row);
    if (cell !== undefined) text += pen.change(cell) + (cell.getChars() || " ");
  }
  return text + charsets(terminal) +
    pen.change(terminal._core._inputHandler._curAttrData);
}

/** Clears the main screen line by line. Cleared at once, many terminals move its text to the scrollback. */
function erase(rows: number): string {
  return "\x1b[H" + "\x1b[2K\x1b[B".repeat(rows - 1) + "\x1b[J";
}

/**
 * A text that makes any terminal of the emulator's size look like the emulator, cursor and
 * modes included. It resets and clears the terminal first. With `onlyAlternate`, while the
 * alternate screen is shown, it does not touch the main one.
 */
export function redraw(
  terminal: Terminal,
  modes: Modes,
  { onlyAlternate = false }: { readonly onlyAlternate?: boolean } = {},
): string {
  const { normal, alternate, active } = terminal.buffer;
  const inner = terminal._core.buffers;
  const allowance = new LinkAllowance();
  const isAlternate = active.type === "alternate";
  const shown = isAlternate ? inner.alt : inner.normal;
  let text = "";
  if (!isAlternate || !onlyAlternate) {
    text += RESET_MODES + erase(terminal.rows) +
      drawScreen(terminal, normal, allowance);
  }
  if (isAlternate) {
    const { savedX, savedY, ybase } = inner.normal;
    text += onlyAlternate
      ? RESET_ON_ALTERNATE
      : at(Math.min(savedX, terminal.cols - 1), Math.max(0, savedY - ybase)) +
        modes.restoreMainSequence() + "\x1b[?1049h";
    text += "\x1b[H\x1b[2J" + drawScreen(terminal, alternate, allowance);
  }
  text += tabStops(terminal, shown);
  if (shown.savedX !== 0 || shown.savedY !== 0) {
    const pen = new Pen(terminal, allowance);
    text += pen.change(shown.savedCurAttrData) +
      at(shown.savedX, Math.max(0, shown.savedY - shown.ybase)) + "\x1b7" +
      pen.plain();
  }
  return text + modes.restoreSequence() + modes.titleSequence +
    restoreCursor(terminal, active, shown, allowance);
}

/** One line, or a part of it, with escape sequences for its styles, reset at its end. */
export function ansiLine(
  terminal: Terminal,
  buffer: ScreenBuffer,
  y: number,
  allowance: LinkAllowance,
  columns?: Columns,
): string {
  const pen = new Pen(terminal, allowance);
  const cell = buffer.getNullCell();
  return drawRow(terminal, buffer, y, pen, cell, columns).text + pen.plain();
}
