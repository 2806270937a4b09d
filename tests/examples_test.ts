/**
 * The examples in comments and pages: code that a reader can paste into a file beside `mod.ts`.
 *
 * @module
 */
import { join } from "../std.ts";
import { assert, assertEquals, MODULES, PROJECT } from "./helpers.ts";

const PAGES = ["README.md", "docs/terminal.md"];

/** The code between fences. */
function examplesOf(name: string): string[] {
  const text = Deno.readTextFileSync(join(PROJECT, name));
  const plain = name.endsWith(".md") ? text : text.replace(/^ *\* ?/gm, "");
  return [...plain.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code!);
}

// The names only: a check of the types takes 4 s.
Deno.test("every example imports what the named module exports", async () => {
  const missing: string[] = [];
  let count = 0;
  for (const name of [...MODULES, ...PAGES]) {
    for (const code of examplesOf(name)) {
      count++;
      const imports = code.matchAll(/^import \{([^}]*)\} from "\.\/(.*)";$/gm);
      for (const [, names, module] of imports) {
        const exported = await import(`file://${PROJECT}${module}`);
        for (const wanted of names!.split(",").map((one) => one.trim())) {
          if (wanted === "" || wanted in exported) continue;
          missing.push(`${name}: ${wanted} of ${module}`);
        }
      }
    }
  }
  assertEquals(missing, []);
  assert(count > 30, `${count} examples`);
});
