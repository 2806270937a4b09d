/**
 * Limits for xterm.js, in the relay and in the page of `web`: a few bytes of hostile output must not
 * keep it busy for long, and none must make it throw. Both draw the same screen then.
 *
 * Pure, and without imports: the page's bundle holds it. Inner fields are used; the version is pinned.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any

/** What the limits read of a terminal. */
interface Limited {
  readonly cols: number;
  readonly rows: number;
  readonly modes: { readonly insertMode: boolean };
  readonly buffer: {
    readonly active: {
      readonly cursorX: number;
      readonly cursorY: number;
      readonly baseY: number;
      getLine(
        y: number,
      ):
        | { getCell(x: number): { getChars(): string } | undefined }
        | undefined;
    };
  };
}

/** Sets the limits of a new terminal. So many lines above the screen matter. */
export function limitEmulator(terminal: any, scrollback: number): void {
  avoidEraseError(terminal);
  avoidLongLoops(terminal, scrollback);
  limitWork(terminal, scrollback);
  limitMarks(terminal);
}

/**
 * xterm.js 6.0.0 throws at `CSI 1 J` (erase from the top to the cursor) with the cursor
 * in the last cell: it looks for the line below. That erases everything, as `CSI 2 J` does.
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

/** The sequences that xterm.js obeys in a loop, by their final character. */
const LOOPS = {
  L: "insertLines",
  M: "deleteLines",
  S: "scrollUp",
  T: "scrollDown",
  I: "cursorForwardTab",
  Z: "cursorBackwardTab",
  b: "repeatPrecedingCharacter",
} as const;

/** How often one of them can be repeated until nothing changes any more, or it is enough. */
function enough(
  final: string,
  terminal: Limited,
  scrollback: number,
): number {
  const { cols, rows } = terminal;
  if (final !== "b") return final === "I" || final === "Z" ? cols : rows;
  // In insert mode each one moves the text after it: the screen is enough.
  const kept = terminal.modes.insertMode ? rows : rows + scrollback;
  return Math.ceil(cols * kept / repeatedLength(terminal));
}

/** The length of the character that would be repeated, with its marks. */
function repeatedLength(terminal: Limited): number {
  const { active } = terminal.buffer;
  const line = active.getLine(active.baseY + active.cursorY);
  const lengths = [1, 2].map((back) =>
    line?.getCell(active.cursorX - back)?.getChars().length ?? 0
  );
  return Math.max(1, ...lengths);
}

/** xterm.js repeats these up to 2^31 times: a few bytes would keep it busy for hours. */
function avoidLongLoops(terminal: any, scrollback: number): void {
  const { _inputHandler } = terminal._core;
  for (const [final, method] of Object.entries(LOOPS)) {
    terminal.parser.registerCsiHandler(
      { final },
      ([count]: (number | number[])[]) => {
        const most = enough(final, terminal, scrollback);
        if (typeof count !== "number" || count <= most) return false;
        _inputHandler[method]({ params: [most], length: 1 });
        return true;
      },
    );
  }
}

/** The allowance of work of so many bytes can be saved up. */
const SAVED_BYTES = 16 * 1024;

/** A sequence that makes more work than its bytes, counted in moved cells of some nanoseconds each. */
interface Costly {
  readonly final: string;
  readonly prefix?: string;
  readonly intermediates?: string;
  work(terminal: Limited, parameters: readonly (number | number[])[]): number;
}

const cellsOf = ({ cols, rows }: Limited) => cols * rows;

/** Erasing costs half of moving, for the lines that are erased. */
function erasing(terminal: Limited, [what]: readonly unknown[]): number {
  const { cursorY } = terminal.buffer.active;
  const { cols, rows } = terminal;
  if (what === 3) return 0;
  const lines = what === 2 ? rows : what === 1 ? cursorY + 1 : rows - cursorY;
  return cols * lines / 2;
}

/** Switching screens makes a new one. */
function switching(
  terminal: Limited,
  modes: readonly (number | number[])[],
): number {
  const count =
    modes.filter((mode) => mode === 47 || mode === 1047 || mode === 1049)
      .length;
  return 1.5 * count * cellsOf(terminal);
}

const COSTLY: readonly Costly[] = [
  { final: "J", work: erasing },
  { final: "J", prefix: "?", work: erasing },
  { final: "h", prefix: "?", work: switching },
  { final: "l", prefix: "?", work: switching },
  { final: "@", intermediates: " ", work: cellsOf },
  { final: "A", intermediates: " ", work: cellsOf },
  { final: "}", intermediates: "'", work: cellsOf },
  { final: "~", intermediates: "'", work: cellsOf },
];

/**
 * Bounds the work of sequences that fill the screen, move its lines, or repeat a
 * character. Each byte of output allows for some work; when that is spent, such
 * sequences are ignored until more bytes have come.
 *
 * A program that clears the screen for every line needs half of the allowance, so only
 * garbage is drawn wrong. 64 KiB of it take some tens of milliseconds on a screen of usual size.
 */
function limitWork(terminal: any, scrollback: number): void {
  const { _inputHandler } = terminal._core;
  const perByte = () => Math.min(1000, Math.max(120, cellsOf(terminal) / 40));
  let left = perByte() * SAVED_BYTES;
  const parse = _inputHandler.parse.bind(_inputHandler);
  _inputHandler.parse = (bytes: Uint8Array, ...more: unknown[]) => {
    const most = perByte() * Math.max(SAVED_BYTES, bytes.length);
    left = Math.min(most, left + perByte() * bytes.length);
    return parse(bytes, ...more);
  };
  /** Spends work; tells whether the sequence must be ignored. */
  const spend = (work: number): boolean => {
    if (left <= 0) return work > 0;
    left -= work;
    return false;
  };
  const { parser } = terminal;
  for (const { work, ...sequence } of COSTLY) {
    parser.registerCsiHandler(
      sequence,
      (parameters: (number | number[])[]) => spend(work(terminal, parameters)),
    );
  }
  for (const final of Object.keys(LOOPS)) {
    const one = () => {
      if (final === "I" || final === "Z") return 1;
      if (final !== "b") return 500; // A line, with all that is below it.
      const length = repeatedLength(terminal);
      const moved = terminal.modes.insertMode ? terminal.cols : 0;
      return moved + (length === 1 ? 5 : 15 * length);
    };
    parser.registerCsiHandler({ final }, ([count]: (number | number[])[]) => {
      const most = enough(final, terminal, scrollback);
      return spend(one() * Math.min(Number(count) || 1, most));
    });
  }
  // A line end is one byte, but much work within a scroll region.
  const { _bufferService } = terminal._core;
  const scroll = _bufferService.scroll.bind(_bufferService);
  _bufferService.scroll = (...how: unknown[]) => {
    const { scrollTop, scrollBottom } = _bufferService.buffer;
    const isRegion = scrollTop > 0 || scrollBottom < terminal.rows - 1;
    if (!isRegion || !spend(250)) scroll(...how);
  };
  parser.registerEscHandler(
    { final: "c" },
    () => spend(0.75 * cellsOf(terminal)),
  );
  parser.registerEscHandler(
    { intermediates: "#", final: "8" },
    () => spend(cellsOf(terminal)),
  );
}

/** The longest text of one cell, in UTF-16 units: a character and the marks on it. */
const MAX_CELL_LENGTH = 32;
const limited = new WeakSet<object>();

/** xterm.js adds every character without a width to a cell, megabytes of them. */
function limitMarks(terminal: any): void {
  const line = terminal._core.buffers.normal.lines.get(0);
  const prototype = Object.getPrototypeOf(line);
  if (limited.has(prototype)) return; // All terminals share it.
  limited.add(prototype);
  const add = prototype.addCodepointToCell;
  prototype.addCodepointToCell = function (index: number, ...more: number[]) {
    const isFull = this.isCombined(index) &&
      this.getString(index).length >= MAX_CELL_LENGTH;
    if (!isFull) add.call(this, index, ...more);
  };
}
