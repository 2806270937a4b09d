/**
 * `deno-std` on npm is a copy of the official `@std/*` packages, compiled to JavaScript by
 * somebody else. These tests check the promises of the official documentation that the project
 * relies on, and the reasons for the code that it writes itself.
 *
 * @module
 */
import {
  abortable,
  basename,
  bold,
  dim,
  dirname,
  formatBytes,
  green,
  isAbsolute,
  join,
  red,
  resolve,
  walkSync,
  yellow,
} from "../std.ts";
import { assertEquals, assertRejects, PROJECT, TestRoot } from "./helpers.ts";

const PACKAGE = "npm:deno-std@1.3.1";

/** What a module of the package exports, without types. */
async function load(path: string): Promise<Record<string, CallableFunction>> {
  return await import(`${PACKAGE}/${path}`);
}

Deno.test("@std/path names files as its documentation says", () => {
  assertEquals(basename("/a/b.txt"), "b.txt");
  assertEquals(basename("/a/b/"), "b");
  assertEquals(["/a/b", "/a", "/", "a"].map(dirname), ["/a", "/", "/", "."]);
  assertEquals(["/a", "a", "./a", ""].map(isAbsolute), [
    true,
    false,
    false,
    false,
  ]);
  assertEquals(join("/a/", "./b", "", "../c"), "/a/c");
  assertEquals(resolve("/a", "b", "../c"), "/a/c");
  assertEquals(resolve("/a", "/b"), "/b");
  assertEquals(resolve("a"), join(Deno.cwd(), "a"));
});

Deno.test("@std/path knows the paths of Windows", async () => {
  const windows = {
    ...await load("path/windows/is_absolute.js"),
    ...await load("path/windows/resolve.js"),
    ...await load("path/windows/join.js"),
  };
  assertEquals(windows.isAbsolute!("C:\\foo"), true);
  assertEquals(windows.isAbsolute!("foo"), false);
  assertEquals(windows.resolve!("C:\\foo\\..\\bar"), "C:\\bar");
  assertEquals(windows.join!("C:\\foo", "bar"), "C:\\foo\\bar");
});

Deno.test("@std/fmt writes sizes and colours", () => {
  const sizes = [0, 999, 1340, 73_000_000_000].map((size) => formatBytes(size));
  assertEquals(sizes, ["0 B", "999 B", "1.34 kB", "73 GB"]);
  // The escape sequences only where colours are wanted: not for NO_COLOR, which tests may set.
  const code = Deno.noColor
    ? () => "x"
    : (on: number, off: number) => `\x1b[${on}mx\x1b[${off}m`;
  assertEquals(
    [bold, dim, red, green, yellow].map((color) => color("x")),
    [code(1, 22), code(2, 22), code(31, 39), code(32, 39), code(33, 39)],
  );
});

Deno.test("walkSync() of @std/fs follows no link", () => {
  using root = new TestRoot();
  const { dir } = root;
  Deno.mkdirSync(join(dir, "a", "b"), { recursive: true });
  Deno.writeTextFileSync(join(dir, "a", "b", "file"), "");
  Deno.symlinkSync(dir, join(dir, "a", "circle"));
  Deno.symlinkSync(join(dir, "a", "b", "file"), join(dir, "link"));
  const options = { includeDirs: false, includeSymlinks: false };
  assertEquals([...walkSync(dir, options)].map(({ path }) => path), [
    join(dir, "a", "b", "file"),
  ]);
});

Deno.test("abortable() of @std/async rejects with the signal's own reason", async () => {
  const { signal } = new AbortController();
  assertEquals(await abortable(Promise.resolve(1), signal), 1);
  const reason = new RangeError("enough");
  const never = new Promise<never>(() => {});
  for (const ended of [AbortSignal.abort(reason), abortSoon(reason)]) {
    await assertRejects(() => abortable(never, ended), RangeError, "enough");
  }
});

function abortSoon(reason: Error): AbortSignal {
  const controller = new AbortController();
  queueMicrotask(() => controller.abort(reason));
  return controller.signal;
}

// cli/options.ts
Deno.test("parseArgs() of @std/cli still loses what a user types", async () => {
  const { parseArgs } = await load("cli/parse_args.js");
  const stopped = parseArgs!(["run", "a", "--", "b"], { stopEarly: true });
  assertEquals(stopped._, ["run", "a", "b"]);
  const known = { string: ["env", "id"], alias: { env: "e" } };
  assertEquals(parseArgs!(["-eA=1"], known).env, "1");
  const unknown: string[] = [];
  const note = (arg: string) => void unknown.push(arg);
  parseArgs!(["--id="], { ...known, unknown: note });
  assertEquals(unknown, ["--id="]);
});

// cli/format.ts
Deno.test("unicodeWidth() of @std/cli still lacks its data in the npm copy", async () => {
  const path = "cli/unicode_width.js";
  await assertRejects(() => load(path), TypeError, "_data.json");
});

// store.ts and system/files.ts
Deno.test("ensureDirSync() and existsSync() of @std/fs are not what a state directory needs", async () => {
  using root = new TestRoot();
  const { ensureDirSync } = await load("fs/ensure_dir.js");
  const { existsSync } = await load("fs/exists.js");
  const umask = Deno.umask(0o022);
  try {
    ensureDirSync!(join(root.dir, "a", "b"));
  } finally {
    Deno.umask(umask);
  }
  const { mode } = Deno.statSync(join(root.dir, "a"));
  assertEquals((mode ?? 0) & 0o777, 0o755); // Others may look into it.
  Deno.symlinkSync("nothing", join(root.dir, "link"));
  assertEquals(existsSync!(join(root.dir, "link")), false); // It is there.
});

Deno.test("every specifier of std.ts names the same version", () => {
  const text = Deno.readTextFileSync(join(PROJECT, "std.ts"));
  const versions = [...text.matchAll(/"npm:([^/"]+)/g)].map(([, name]) => name);
  assertEquals(new Set(versions), new Set(["deno-std@1.3.1"]));
});
