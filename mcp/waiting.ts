/**
 * The tools that … (to be written).
 *
 * @module
 */
import type { Tool } from "./tool.ts";

/** The tools. */
export const WAITING: readonly Tool[] = [];
