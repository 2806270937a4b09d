/**
 * The finding of a check: good, doubtful or bad, and what to do about it.
 *
 * @module
 */

/** `ok`; `warning`: sessions work, but something can be lost; `error`: sessions don't work. */
export type FindingStatus = "ok" | "warning" | "error";

/** The finding of a check. */
export interface Finding {
  /** How good it is. */
  readonly status: FindingStatus;
  /** What was found, in one line. */
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** All is well. */
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
