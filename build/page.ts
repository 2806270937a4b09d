/**
 * Makes the page that `web` serves: bundles `web/page/` for the browser and writes it, packed, into
 * two modules. They are checked in, so that every way in has the page: the sources, a URL, the
 * bundle, the binary. `web/page_files.ts` holds our own files and changes with them;
 * `web/xterm_files.ts` holds the terminal and changes with its version.
 *
 * `deno task page` writes into `web/`, or into the folder that an argument names.
 *
 * @module
 */
import { join } from "../std.ts";

const project = new URL("..", import.meta.url).pathname;
const source = join(project, "web/page");
const target = Deno.args[0] ?? join(project, "web");

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const SVG = "image/svg+xml";

/** A file of the page: its media type and its text. */
type File = readonly [type: string, text: string];

const [xterm] = /npm:@xterm\/xterm@[\d.]+/.exec(read("xterm.ts"))!;
const { default: xtermStyles } = await import(`${xterm}/css/xterm.css`, {
  with: { type: "text" },
});

Deno.writeTextFileSync(
  join(target, "xterm_files.ts"),
  `/**
 * The terminal of the page, packed by \`deno task page\`. Don't edit it.
 *
 * Holds @xterm/xterm, @xterm/addon-fit and @xterm/addon-unicode11, under the MIT license. The packed
 * files name their authors; \`build/bundle.ts\` has the text of the license.
 *
 * @module
 */
/** By the path in the URL. \`gzip\` is in base64. */
export const XTERM_FILES = ${await literal({
    "/xterm.css": [CSS, xtermStyles],
    "/xterm.js": [SCRIPT, await bundle("xterm.ts")],
  })} as const;
`,
);
const page = (await bundle("page.ts", "xterm.ts"))
  .replaceAll('"./xterm.ts"', '"./xterm.js"');

Deno.writeTextFileSync(
  join(target, "page_files.ts"),
  `/**
 * The page, packed by \`deno task page\` from \`web/page/\`. Don't edit it.
 *
 * @module
 */
import { XTERM_FILES } from "./xterm_files.ts";

/** All files of the page by the path in the URL. \`gzip\` is in base64. */
export const FILES: Readonly<
  Record<string, { readonly type: string; readonly gzip: string }>
> = {...XTERM_FILES, ...${await literal({
    "/": [HTML, read("page.html")],
    "/icon.svg": [SVG, read("icon.svg")],
    "/page.css": [CSS, read("page.css") + read("session.css")],
    "/page.js": [SCRIPT, page],
  })}};
`,
);

function read(name: string): string {
  return Deno.readTextFileSync(join(source, name));
}

/** The module and what it imports, in one; `except` stays an import. */
async function bundle(name: string, except?: string): Promise<string> {
  const output = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["bundle", "--quiet", "--minify", "--platform=browser"],
        ...except === undefined ? [] : ["--external", `*/${except}`],
        ...["-o", output, `web/page/${name}`],
      ],
      cwd: project,
    }).spawn().status;
    if (!success) Deno.exit(1);
    return await Deno.readTextFile(output);
  } finally {
    await Deno.remove(output);
  }
}

/** The files as TypeScript. */
async function literal(files: Record<string, File>): Promise<string> {
  const lines = Object.entries(files).map(async ([path, [type, text]]) =>
    `  "${path}": { type: "${type}", gzip: "${await pack(text)}" },\n`
  );
  return `{\n${(await Promise.all(lines)).join("")}}`;
}

async function pack(text: string): Promise<string> {
  const stream = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer()).toBase64();
}
