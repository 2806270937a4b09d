/**
 * Makes `dist/npm/`, an npm package that gives the command `codex-session` to machines with only
 * Node and npm. It holds the bundle, and depends on the npm package `deno`, which brings
 * Deno's executable.
 *
 * @module
 */
import { join } from "../std.ts";

/** The version that the tests pass on and the package depends on. */
const DENO_VERSION = "2.9.6";

const project = new URL("..", import.meta.url).pathname;
const target = join(project, "dist/npm");
const { name, version, license } = JSON.parse(
  Deno.readTextFileSync(join(project, "deno.json")),
);

Deno.mkdirSync(join(target, "bin"), { recursive: true });
for (
  const [from, to] of [
    ["README.md", "README.md"],
    ["LICENSE", "LICENSE"],
    ["dist/codex-session.js", "codex-session.js"],
    ["build/codex-session.sh", "bin/codex-session"],
  ] as const
) Deno.copyFileSync(join(project, from), join(target, to));
Deno.chmodSync(join(target, "bin/codex-session"), 0o755);
Deno.writeTextFileSync(
  join(target, "package.json"),
  JSON.stringify(
    {
      name,
      version,
      description: "Background sessions for coding agents, without a daemon",
      license,
      type: "module",
      exports: "./codex-session.js",
      bin: { "codex-session": "bin/codex-session" },
      os: ["linux", "darwin"],
      dependencies: { deno: DENO_VERSION },
    },
    null,
    2,
  ) + "\n",
);
