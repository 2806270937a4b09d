/**
 * The only door to the standard library: every external import of the project.
 *
 * The specifiers are full ones, so that a module fetched from a URL, which has
 * no import map, resolves them. `deno-std` on npm holds the modules of `@std/*`
 * as JavaScript without types; each name gets its type here, once.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { parseArgs as parseArgsJs } from "npm:deno-std@1.3.1/cli/parse_args.js";
import { format as formatBytesJs } from "npm:deno-std@1.3.1/fmt/bytes.js";
import { basename as basenameJs } from "npm:deno-std@1.3.1/path/basename.js";
import { dirname as dirnameJs } from "npm:deno-std@1.3.1/path/dirname.js";
import { join as joinJs } from "npm:deno-std@1.3.1/path/join.js";
import { resolve as resolveJs } from "npm:deno-std@1.3.1/path/resolve.js";

/** `basename` of `@std/path`. */
export const basename: (path: string) => string = basenameJs as any;

/** `dirname` of `@std/path`. */
export const dirname: (path: string) => string = dirnameJs as any;

/** `join` of `@std/path`. */
export const join: (first: string, ...rest: string[]) => string = joinJs as any;

/** `resolve` of `@std/path`. */
export const resolve: (...segments: string[]) => string = resolveJs as any;

/** `format` of `@std/fmt/bytes`: `1.34 kB`. */
export const formatBytes: (bytes: number) => string = formatBytesJs as any;

/** Options of {@linkcode parseArgs}: those that the project uses. */
export interface ParseArgsOptions {
  /** Options, and `_` for the operands, whose values are never taken for numbers. */
  readonly string?: readonly string[];
  /** Gives all that follows `--` by itself, verbatim. */
  readonly "--": true;
}

/** Arguments that {@linkcode parseArgs} has parsed. */
export interface ParsedArgs {
  /** The operands. */
  readonly _: readonly (string | number)[];
  readonly "--": readonly string[];
  readonly [option: string]: unknown;
}

/** `parseArgs` of `@std/cli`. */
export const parseArgs: (
  args: readonly string[],
  options: ParseArgsOptions,
) => ParsedArgs = parseArgsJs as any;
