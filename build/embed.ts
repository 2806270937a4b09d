/**
 * Puts the library of `mcp` into the bundle, packed. It is nearly as large as all the rest: as
 * code, it made each command start 15 ms later. As text, it costs them nothing.
 *
 * `deno bundle --external` has left `import("./sdk.ts")` in the bundle as it is; this step
 * replaces it.
 *
 * @module
 */
import { join } from "../std.ts";

const project = new URL("..", import.meta.url).pathname;
const target = join(project, "dist/codex-session.js");
const LOADING = 'import("./sdk.ts")';

const { success, stdout: code } = await new Deno.Command(Deno.execPath(), {
  args: [
    ...["bundle", "--quiet", "--minify", "--platform=deno", "--format=cjs"],
    "mcp/sdk.ts",
  ],
  cwd: project,
  stderr: "inherit",
}).output();
if (!success) Deno.exit(1);

const [before, after, ...more] = Deno.readTextFileSync(target).split(LOADING);
if (before === undefined || after === undefined || more.length > 0) {
  throw new Error(`"${target}" does not hold ${LOADING} once`);
}
const packed = await pack(code);
Deno.writeTextFileSync(target, `${before}(${unpack})("${packed}")${after}`);

async function pack(code: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([code]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer()).toBase64();
}

/**
 * Runs the packed code and returns what it exports. The text of this function goes into the
 * bundle. It makes a function of the code: Deno would keep a copy on disk of each module that it
 * imports from a `blob:` or `data:` URL.
 */
async function unpack(packed: string): Promise<unknown> {
  const stream = new Blob([Uint8Array.fromBase64(packed)]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  const code = '"use strict";' + await new Response(stream).text();
  const module = { exports: {} };
  const { getBuiltinModule } = globalThis.process;
  new Function("module", "require", code)(module, getBuiltinModule);
  return module.exports;
}
