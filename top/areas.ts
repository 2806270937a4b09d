/**
 * Where the parts of the dashboard stand. Up to 80 columns, the list stands above the pane; on a wider
 * terminal, beside it.
 *
 * @module
 */
import type { Size } from "./frame.ts";

/** The list stands beside the pane in more columns than these. */
const NARROW_COLUMNS = 80;
/** The list has a heading on a terminal of so many rows. */
const ROWS_WITH_HEADING = 15;

/** Where the parts of the dashboard stand. */
export interface Areas {
  /** Whether the list has a heading. */
  readonly hasHeading: boolean;
  /** The size of the list without its heading. */
  readonly list: Size;
  /** The size of the pane without its heading. */
  readonly pane: Size;
  /** Whether the pane stands beside the list. */
  readonly isWide: boolean;
}

/** Divides a terminal: a line at the top and one at the bottom, between them the list and the pane. */
export function areasOf({ columns, rows }: Size): Areas {
  const body = Math.max(0, rows - 2);
  const hasHeading = rows >= ROWS_WITH_HEADING;
  if (columns > NARROW_COLUMNS) {
    const half = Math.min(60, Math.floor(columns / 2));
    const list = Math.max(half, Math.min(100, Math.floor(columns * 0.4)));
    return {
      hasHeading,
      list: { columns: list, rows: body - Number(hasHeading) },
      pane: { columns: columns - list - 1, rows: body - 1 },
      isWide: true,
    };
  }
  const listRows = Math.max(4, Math.floor(body * 0.4));
  return {
    hasHeading,
    list: { columns, rows: listRows - Number(hasHeading) },
    pane: { columns, rows: Math.max(0, body - listRows - 1) },
    isWide: false,
  };
}

/** The rows between the top line and the bottom line. */
export function pageRows({ rows }: Size): number {
  return Math.max(1, rows - 2);
}
