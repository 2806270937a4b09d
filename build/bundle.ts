/**
 * What `deno task bundle` makes one file of: the command line when it is run, the library when
 * it is imported. A file of its own, because `cli.ts` would start 13 ms later, of 31, if it
 * held the library as well.
 *
 * @module
 */
import { run } from "../cli.ts";

export * from "../mod.ts";

if (import.meta.main) await run();
