/**
 * The rows of a full screen, written to a terminal: only those that have changed.
 *
 * The rows are text of the caller's own with SGR, no wider than the screen; see styled.ts. The
 * terminal may see another width than that: automatic wrapping is off while rows are written, so a
 * row never goes on in the next one. It is on again after each drawing, also when the program is
 * killed. A terminal that knows synchronized output shows a drawing in one go.
 *
 * @module
 */

/** A size in characters. */
export interface Size {
  /** Characters in a row. */
  readonly columns: number;
  /** Rows. */
  readonly rows: number;
}

/** A place on the screen, counted from 0. */
export interface Place {
  /** From the left. */
  readonly column: number;
  /** From above. */
  readonly row: number;
}

/** What a terminal shows; remembers it from one drawing to the next. */
export class Frame {
  /** The rows as the terminal shows them; `undefined`: nobody knows. */
  #rows: readonly string[] | undefined;
  #columns = 0;
  #cursor = "";

  /**
   * The sequences that make the terminal show these rows, and blank rows below them; empty if
   * it does so already. The cursor is hidden, unless it has a place.
   */
  draw(rows: readonly string[], size: Size, cursor?: Place): string {
    // A terminal of another size has moved its rows.
    const isSame = size.columns === this.#columns &&
      size.rows === this.#rows?.length;
    const before = isSame ? this.#rows : undefined;
    const shown = Array.from({ length: size.rows }, (_, y) => rows[y] ?? "");
    let painted = "";
    for (const [y, row] of shown.entries()) {
      // Erased before: the end of a full row can't be erased without its last character.
      if (row !== before?.[y]) painted += `\x1b[${y + 1};1H\x1b[2K${row}`;
    }
    const place = cursor === undefined
      ? ""
      : `\x1b[${cursor.row + 1};${cursor.column + 1}H\x1b[?25h`;
    if (painted === "" && place === this.#cursor) return "";
    this.#rows = shown;
    this.#columns = size.columns;
    this.#cursor = place;
    return `\x1b[?2026h\x1b[?25l\x1b[?7l\x1b[m${painted}\x1b[?7h${place}\x1b[?2026l`;
  }

  /** The terminal may show anything now: the next drawing is a whole one. */
  forget(): void {
    this.#rows = undefined;
  }
}
