/**
 * What is known of an agent program: the shape of an entry in {@linkcode AGENTS}.
 *
 * An entry holds only what the project uses. Facts that shaped the code below this floor, which
 * treats every program alike, stand in the agent's file as comments.
 *
 * @module
 */

/** An agent program, as this project knows it. */
export interface Agent {
  /** Its programs, as they are found on PATH. */
  readonly programs: readonly string[];
  /** Fits the names of its npm packages. */
  readonly packages: RegExp;
  /**
   * How long to wait between typed text and Enter, in milliseconds: an agent that takes fast
   * typing for a paste would paste a faster Enter, too.
   *
   * @default {0}
   */
  readonly enterAfterMs?: number;
}
