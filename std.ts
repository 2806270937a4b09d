/**
 * The only door to the standard library: every external import of the project.
 *
 * The specifiers are full ones, so that a module fetched from a URL, which has no import
 * map, resolves them. `deno-std` on npm is a copy of the official `@std/*` packages, compiled
 * to JavaScript without types by a third party: it is pinned here and in
 * `deno.lock`, each name gets its type once, and `tests/std_test.ts` checks that the functions
 * keep the official promises that the project relies on.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { abortable as abortableJs } from "npm:deno-std@1.3.1/async/abortable.js";
import { parseArgs as parseArgsJs } from "npm:deno-std@1.3.1/cli/parse_args.js";
import { format as formatBytesJs } from "npm:deno-std@1.3.1/fmt/bytes.js";
import * as colors from "npm:deno-std@1.3.1/fmt/colors.js";
import { walkSync as walkSyncJs } from "npm:deno-std@1.3.1/fs/walk.js";
import { basename as basenameJs } from "npm:deno-std@1.3.1/path/basename.js";
import { dirname as dirnameJs } from "npm:deno-std@1.3.1/path/dirname.js";
import { isAbsolute as isAbsoluteJs } from "npm:deno-std@1.3.1/path/is_absolute.js";
import { join as joinJs } from "npm:deno-std@1.3.1/path/join.js";
import { resolve as resolveJs } from "npm:deno-std@1.3.1/path/resolve.js";

/** `basename` of `@std/path`. */
export const basename: (path: string) => string = basenameJs as any;

/** `dirname` of `@std/path`. */
export const dirname: (path: string) => string = dirnameJs as any;

/** `isAbsolute` of `@std/path`. */
export const isAbsolute: (path: string) => boolean = isAbsoluteJs as any;

/** `join` of `@std/path`. */
export const join: (first: string, ...rest: string[]) => string = joinJs as any;

/** `resolve` of `@std/path`. */
export const resolve: (...segments: string[]) => string = resolveJs as any;

/** `format` of `@std/fmt/bytes`: `1.34 kB`. */
export const formatBytes: (bytes: number) => string = formatBytesJs as any;

/** `bold` of `@std/fmt/colors`, and so on: text between escape sequences. */
export const bold: (text: string) => string = colors.bold as any;
/** Faint text. */
export const dim: (text: string) => string = colors.dim as any;
/** Green text. */
export const green: (text: string) => string = colors.green as any;
/** Magenta text. */
export const magenta: (text: string) => string = colors.magenta as any;
/** Red text. */
export const red: (text: string) => string = colors.red as any;
/** Yellow text. */
export const yellow: (text: string) => string = colors.yellow as any;

/** `walkSync` of `@std/fs`: the files below `root`, without following links. */
export const walkSync: (
  root: string,
  options?: {
    readonly includeDirs?: boolean;
    readonly includeSymlinks?: boolean;
  },
) => IterableIterator<Deno.DirEntry & { readonly path: string }> =
  walkSyncJs as any;

/** `abortable` of `@std/async`: rejects with the signal's reason once that is aborted. */
export const abortable: <T>(
  promise: Promise<T>,
  signal: AbortSignal,
) => Promise<T> = abortableJs as any;
/** Options of {@linkcode parseArgs}: those that the project uses. */
export interface ParseArgsOptions {
  /** Options, and `_` for the operands, whose values are never taken for numbers. */
  readonly string?: readonly string[];
  /** Options without a value. */
  readonly boolean?: readonly string[];
  /** Gives all that follows `--` by itself, verbatim. */
  readonly "--"?: true;
  /** Is called with each argument that is no option of the above. */
  readonly unknown?: (arg: string, name?: string) => void;
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
