/**
 * The only door to the standard library: every external import of the project.
 *
 * The specifiers are full ones, so that a module fetched from a URL, which has
 * no import map, resolves them. `deno-std` on npm holds the modules of `@std/*`
 * as JavaScript without types; each name gets its type here, once.
 *
 * On the way to a cold start's result it is imported dynamically, where it is
 * needed at all: the first npm import costs 4 ms of a bare start's 20.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { join as joinJs } from "npm:deno-std@1.3.1/path/join.js";
import { resolve as resolveJs } from "npm:deno-std@1.3.1/path/resolve.js";

/** `join` of `@std/path`. */
export const join: (first: string, ...rest: string[]) => string = joinJs as any;

/** `resolve` of `@std/path`. */
export const resolve: (...segments: string[]) => string = resolveJs as any;
