/**
 * What the documentation says of the code and of the tests, where a program can check it.
 *
 * @module
 */
import { MEANINGS } from "../cli/io.ts";
import { assert, assertEquals, PROJECT } from "./helpers.ts";

const PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].concat(
  [...Deno.readDirSync(`${PROJECT}docs`)]
    .filter(({ name }) => name.endsWith(".md"))
    .map(({ name }) => `docs/${name}`),
);

const read = (path: string) => Deno.readTextFileSync(PROJECT + path);

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\w\s-]/g, "").replace(/\s/g, "-");
}

Deno.test("links between the pages lead somewhere", () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    for (const [, link = ""] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = new URL(path || page.split("/").at(-1)!, `file:///${page}`)
        .pathname.slice(1);
      let text = "";
      try {
        text = read(target);
      } catch {
        broken.push(`${page}: ${link}`);
      }
      const headings = [...text.matchAll(/^#+ (.*)$/gm)]
        .map(([, heading]) => anchorOf(heading!));
      if (anchor !== undefined && !headings.includes(anchor)) {
        broken.push(`${page}: ${link}`);
      }
    }
  }
  assertEquals(broken, []);
});

Deno.test("docs/reliability.md names files of tests, and tests in them, that exist", () => {
  const rows = [...read("docs/reliability.md").matchAll(/^\| \d+ .*$/gm)];
  assert(rows.length >= 20);
  for (const [row] of rows) {
    for (
      const [, file, name = ""] of row.matchAll(
        /`(\S+_test\.ts)`(?:: ([^;|…]+))?/g,
      )
    ) {
      const text = read(`tests/${file}`);
      assert(text.includes(name.trim()), `${file} has no test: ${name}`);
    }
  }
});

Deno.test("the pages name files of the project that exist", () => {
  const exists = (path: string) => {
    try {
      return Deno.statSync(PROJECT + path).isFile;
    } catch {
      return false;
    }
  };
  const missing: string[] = [];
  for (const page of PAGES) {
    for (const [, path] of read(page).matchAll(/`([a-z_/]+\.ts)`/g)) {
      // docs/reliability.md names tests from their folder on.
      const isThere = exists(path!) ||
        page === "docs/reliability.md" && exists(`tests/${path}`);
      if (!isThere) missing.push(`${page}: ${path}`);
    }
  }
  assertEquals(missing, []);
});

Deno.test("docs/security.md lists the functions of the C library that ffi.ts has", () => {
  const page = read("docs/security.md");
  const start = page.indexOf("## What FFI is for");
  const table = page.slice(start, page.indexOf("\n## ", start + 1));
  const listed = [...table.matchAll(/^\| (`.*?) \|/gm)]
    .flatMap(([, cell]) =>
      [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!)
    );
  const functions = [
    ...read("system/ffi.ts").matchAll(/^ {2}(\w+): \{(?: parameters|$)/gm),
  ]
    .map(([, name]) => name!);
  assert(functions.length > 20);
  assertEquals([...new Set(listed)].sort(), functions.sort());
});

Deno.test("README.md has the exit statuses of the command line", () => {
  const rows = [...read("README.md").matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)]
    .map(([, status, meaning]) => [Number(status), meaning]);
  assertEquals(rows, MEANINGS);
});
