/**
 * What a check of `doctor` has found: good, doubtful or bad, and what to do about it.
 *
 * @module
 */

/** How good something is: as sessions need it, doubtful, or in the way. */
export type FindingStatus = "ok" | "warning" | "error";

/** What one look has found. */
export interface Finding {
  /** How good it is. */
  readonly status: FindingStatus;
  /** What was found, in one line. */
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** As sessions need it. */
export function good(message: string): Finding {
  return { status: "ok", message };
}

/** Sessions work, but something can be lost. */
export function doubtful(message: string, advice: string): Finding {
  return { status: "warning", message, advice };
}

/** Sessions don't work. */
export function bad(message: string, advice: string): Finding {
  return { status: "error", message, advice };
}
