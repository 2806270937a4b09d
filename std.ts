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
import { join as joinJs } from "npm:deno-std@1.3.1/path/join.js";
import { resolve as resolveJs } from "npm:deno-std@1.3.1/path/resolve.js";
import { basename as basenameJs } from "npm:deno-std@1.3.1/path/basename.js";
import { isAbsolute as isAbsoluteJs } from "npm:deno-std@1.3.1/path/is_absolute.js";

/** What {@linkcode parseArgs} is told about the options. */
export interface ParseOptions {
  /** Options that take no value. */
  readonly boolean?: readonly string[];
  /** Options that take a value. */
  readonly string?: readonly string[];
  /** Options that may be repeated. */
  readonly collect?: readonly string[];
  /** Short names. */
  readonly alias?: Readonly<Record<string, string>>;
  /** Keep everything after `--` apart, under `"--"`. */
  readonly "--"?: boolean;
  /** Everything from the first operand on is an operand. */
  readonly stopEarly?: boolean;
  /** Called for an option that nobody named; `false` drops it. */
  readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** `parseArgs` of `@std/cli`. */
export const parseArgs: (
  args: readonly string[],
  options: ParseOptions,
) => Record<string, any> & { _: (string | number)[] } = parseArgsJs as any;

/** `join` of `@std/path`. */
export const join: (first: string, ...rest: string[]) => string = joinJs as any;

/** `resolve` of `@std/path`. */
export const resolve: (...segments: string[]) => string = resolveJs as any;

/** `basename` of `@std/path`. */
export const basename: (path: string) => string = basenameJs as any;

/** `isAbsolute` of `@std/path`. */
export const isAbsolute: (path: string) => boolean = isAbsoluteJs as any;
