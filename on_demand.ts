/**
 * Parts of the command line that most calls do without: terminals, `doctor`, completions.
 *
 * Before a program starts, Deno reads every file that its imports name, those of dynamic
 * ones too, 0.1 ms each. So the names of these files are not written out in an import: a
 * call that needs none of them starts 5 ms sooner, of 40. The price: with few permissions
 * Deno wants `--allow-read` of this directory for them; and what makes one file of all of
 * it, as `deno compile` and `deno bundle` do, begins with `standalone.ts`.
 *
 * @module
 */

/** The modules, by their files' names. */
export interface Parts {
  readonly "cli_doctor.ts": typeof import("./cli_doctor.ts");
  readonly "completions.ts": typeof import("./completions.ts");
  readonly "plain_log.ts": typeof import("./plain_log.ts");
  readonly "terminal.ts": typeof import("./terminal.ts");
  readonly "terminal_console.ts": typeof import("./terminal_console.ts");
  readonly "wait_for.ts": typeof import("./wait_for.ts");
}

/** How each part is imported. */
export type Imports = {
  readonly [Name in keyof Parts]: () => Promise<Parts[Name]>;
};

let included: Imports | undefined;

/** Says how the parts are imported where there are no files to import them from. */
export function include(imports: Imports): void {
  included = imports;
}

/**
 * Imports a part.
 *
 * @throws {Deno.errors.NotCapable} without `--allow-read` of this directory.
 */
export async function part<Name extends keyof Parts>(
  name: Name,
): Promise<Parts[Name]> {
  if (included !== undefined) return await included[name]();
  try {
    return await import(new URL(name, import.meta.url).href);
  } catch (error) {
    // From an import, Deno throws it as a TypeError.
    const message = error instanceof TypeError ? error.message : "";
    if (!/^Requires \w+ access/.test(message)) throw error;
    throw new Deno.errors.NotCapable(message, { cause: error });
  }
}
