/**
 * Parts of the command line, imported when they are called for.
 *
 * Before a program starts, Deno reads every file that its imports name, those of dynamic
 * ones too, 0.1 ms each. So the names of these files are not written out in an import:
 * a command starts without the files of all others, 6 ms sooner of 41. The price: with few
 * permissions Deno wants `--allow-read` of this directory for them; and what makes one
 * file of all, as `deno compile` and `deno bundle` do, begins with `standalone.ts`.
 *
 * @module
 */
import { SessionError } from "./errors.ts";

/** How each part is imported, by the name of its file. */
export type Imports = Readonly<Record<string, () => Promise<unknown>>>;

let included: Imports | undefined;

/** Says how the parts are imported where there are no files to import them from. */
export function include(imports: Imports): void {
  included = imports;
}

/**
 * Imports a part: `part<typeof import("./terminal.ts")>("terminal.ts")`.
 *
 * @throws {Deno.errors.NotCapable} without `--allow-read` of this directory.
 * @throws {SessionError} `unsupported` in a binary that was not made of `standalone.ts`.
 */
export async function part<Module>(name: string): Promise<Module> {
  if (included !== undefined) return await included[name]!() as Module;
  if (Deno.build.standalone) {
    throw new SessionError(
      "unsupported",
      `This binary was made of cli.ts and holds no ${name}: make it of standalone.ts (deno task compile)`,
    );
  }
  try {
    return await import(new URL(name, import.meta.url).href);
  } catch (error) {
    // From an import, Deno throws it as a TypeError.
    const message = error instanceof TypeError ? error.message : "";
    if (!/^Requires \w+ access/.test(message)) throw error;
    throw new Deno.errors.NotCapable(message, { cause: error });
  }
}
