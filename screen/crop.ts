/**
 * A screen in a window of another size: cut off where the window is smaller, with the rest marked
 * where it is larger.
 *
 * Such a window can't take the program's output, which is meant for another width: lines would
 * wrap, and scroll what is below them. So it is painted from the emulator, row by row, and
 * only the rows that have changed. As in tmux, a smaller window follows the cursor, and a larger
 * one has the screen in its upper left corner.
 *
 * @module
 */
import type { Terminal } from "./emulator.ts";
import { type Modes, RESET_MODES, RESET_ON_ALTERNATE } from "./modes.ts";
import { ansiLine, LinkAllowance } from "./redraw.ts";

/** What a window gets to show a screen. */
export interface Painting {
  /** The sequences to write; empty if nothing has changed. */
  readonly text: string;
  /** Whether they take over the main screen of the window's terminal. */
  readonly takesMain: boolean;
}

/** A window, in characters. */
interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Where a view of `room` cells begins in a screen of `size` cells, so that it shows the cell `at`. */
export function viewStart(at: number, size: number, room: number): number {
  if (at < room || size <= room) return 0;
  return at > size - room ? size - room : at - Math.floor(room / 2);
}

/** The view of one window; remembers what the window shows. */
export class Crop {
  #settings = "";
  #title = "";
  #cursor = "";
  #rows: string[] = [];
  #left = 0;
  #top = 0;

  /** The window may show something else now: the next painting is a whole one. */
  forget(): void {
    this.#settings = "";
  }

  /** The screen's first row that the window shows, counted from 0. */
  get top(): number {
    return this.#top;
  }

  /** What a window of this size gets to show the screen as it is, `marked` where it ends. */
  paint(
    terminal: Terminal,
    modes: Modes,
    window: Size,
    marked = true,
  ): Painting {
    const { columns, rows } = window;
    // What changes often is set by itself: other settings make a whole painting.
    const settings = (modes.alternate ? RESET_ON_ALTERNATE : RESET_MODES) +
      modes.restoreSequence().replaceAll("\x1b[?25l", "") +
      // Rows are painted as they stand, and the window's size is not the session's.
      "\x1b[4l\x1b[?7l\x1b[?69l\x1b[?2048l";
    const isWhole = settings !== this.#settings ||
      rows !== this.#rows.length;
    let text = "";
    if (isWhole) {
      text += settings;
      this.#settings = settings;
      this.#title = this.#cursor = "";
      this.#rows = Array(rows).fill("");
    }
    this.#follow(terminal, modes, window);
    let painted = "";
    const lines = this.#draw(terminal, columns, rows, marked);
    for (const [row, line] of lines.entries()) {
      if (line === this.#rows[row] && !isWhole) continue;
      this.#rows[row] = line;
      painted += `\x1b[${row + 1};1H\x1b[2K${line}`;
    }
    const title = modes.titleSequence;
    if (title !== this.#title) text += this.#title = title;
    const cursor = this.#place(terminal, modes, window);
    if (painted === "" && cursor === this.#cursor) {
      return { text, takesMain: false };
    }
    this.#cursor = cursor;
    text += `\x1b[?2026h\x1b[?25l${painted}${cursor}\x1b[?2026l`;
    return { text, takesMain: isWhole && !modes.alternate };
  }

  /** Moves the view so that it shows the cursor; one that is hidden may be anywhere. */
  #follow(terminal: Terminal, modes: Modes, { columns, rows }: Size): void {
    const { cols, rows: height, buffer: { active } } = terminal;
    const isVisible = modes.isOn(25);
    const follow = (at: number, size: number, room: number, now: number) =>
      isVisible
        ? viewStart(at, size, room)
        : Math.min(now, Math.max(0, size - room));
    this.#left = follow(active.cursorX, cols, columns, this.#left);
    this.#top = follow(active.cursorY, height, rows, this.#top);
  }

  /** The sequences that place the cursor. */
  #place(terminal: Terminal, modes: Modes, { columns, rows }: Size): string {
    const { cursorX, cursorY } = terminal.buffer.active;
    const x = Math.min(cursorX, terminal.cols - 1) - this.#left;
    const y = cursorY - this.#top;
    const isShown = modes.isOn(25) && x >= 0 && x < columns && y >= 0 &&
      y < rows;
    return isShown ? `\x1b[${y + 1};${x + 1}H\x1b[?25h` : "\x1b[?25l";
  }

  /** The rows of a window, each with its styles, plain at its end. */
  #draw(
    terminal: Terminal,
    columns: number,
    rows: number,
    marked: boolean,
  ): string[] {
    const { cols, rows: height, buffer: { active } } = terminal;
    const allowance = new LinkAllowance();
    const from = this.#left;
    const to = Math.min(cols, from + columns);
    const part = { from, to };
    const width = to - from;
    const isNarrower = marked && width < columns;
    const rest = "·".repeat(Math.max(0, columns - width - 1));
    return Array.from({ length: rows }, (_, row) => {
      const y = this.#top + row;
      if (y < height) {
        const line = active.baseY + y;
        const text = ansiLine(terminal, active, line, allowance, part);
        const border = `\x1b[${row + 1};${width + 1}H\x1b[2m│${rest}\x1b[m`;
        return text + (isNarrower ? border : "");
      }
      if (!marked) return "";
      const [line, end] = y === height ? ["─", "┘"] : ["·", "·"];
      return `\x1b[2m${line.repeat(width)}${
        isNarrower ? end + rest : ""
      }\x1b[m`;
    });
  }
}
