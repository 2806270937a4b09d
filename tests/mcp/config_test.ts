/**
 * `mcp --config`: what it prints is what each client reads. That the command in it starts the
 * server is tested in `tests/ways_in_test.ts`, for each way in.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertStringIncludes,
  runCli,
  TestRoot,
} from "../helpers.ts";
import { configFor } from "../../mcp/config.ts";
import { FOLDER, Kit } from "../agents/kit.ts";

/** Everything that a string of TOML or JSON can't hold as it is, and more. */
const STRANGE = `a"b\\c'd\te\n\u{7f}\u{1b}[2J\u{9b}\u2028\\u0041€😀\u{1d173}#`;

/** Texts that break out of a string that is not written with care. */
const HOSTILE = [
  String.raw`\ud8a\udc0", LD_PRELOAD = "/tmp/evil.so" } # `,
  String.raw`\ud83d\ude00 \u0022 \\u0022 \"" \ `,
  `"""Q" }\n[evil]\r\n\0`.replace("Q", "'".repeat(3)),
  "\u{10ffff}\u{fffd}\u{e000}\u{1d173}",
  STRANGE,
];

/** The variables of the caller that count: these, and no others. */
const ENV = {
  CODEX_SESSION_AGENT: STRANGE,
  OPENAI_API_KEY: "secret",
  XDG_CONFIG_HOME: "",
};

/** What `mcp --config CLIENT` prints. */
async function configOf(
  root: TestRoot,
  client: string,
  ...args: string[]
): Promise<string> {
  const { code, stdout, stderr } = await runCli(
    root.dir,
    ["mcp", "--config", client, ...args],
    { env: ENV },
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

const PARSE =
  "import json, sys, tomllib; print(json.dumps(tomllib.load(sys.stdin.buffer)))";

/** Parses TOML as Python does: the standard library of Deno reads six digits of `\U`'s eight. */
// deno-lint-ignore no-explicit-any
async function parseToml(text: string): Promise<any> {
  const child = new Deno.Command("python3", {
    args: ["-c", PARSE],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.output();
  await new Blob([text]).stream().pipeTo(child.stdin);
  return JSON.parse(new TextDecoder().decode((await output).stdout));
}

// deno-lint-ignore no-explicit-any
const serverIn = (servers: any) => servers["codex-session"];

Deno.test("mcp --config codex prints a table that can be added to a file", async () => {
  using root = new TestRoot();
  const text = await configOf(root, "codex", "--all", "--read-only");
  const read = await parseToml(`other = 1${text}`);
  const { command, args, env, env_vars, ...more } = serverIn(read.mcp_servers);
  assertEquals(command, Deno.execPath());
  assertEquals(args.slice(-3), ["mcp", "--all", "--read-only"]);
  assertEquals(env.CODEX_SESSION_HOME, root.dir);
  assertEquals(env.CODEX_SESSION_AGENT, STRANGE);
  // Codex hands it on; the file holds no secret.
  assert(env_vars.includes("OPENAI_API_KEY"));
  assert(!text.includes("secret"), text);
  assertEquals(more, {});
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]/.test(text), text);
});

Deno.test("configFor() keeps every text in its string", async () => {
  const codex = await parseToml(configFor("codex", HOSTILE));
  const json = JSON.parse(configFor("json", HOSTILE));
  for (const { args } of [codex.mcp_servers, json.mcpServers].map(serverIn)) {
    assertEquals(args.slice(-HOSTILE.length), HOSTILE);
  }
});

Deno.test("mcp --config claude and json print a whole file", async () => {
  using root = new TestRoot();
  const [claude, json] = await Promise.all(
    ["claude", "json"].map(async (client) => {
      const { mcpServers, ...more } = JSON.parse(await configOf(root, client));
      assertEquals(more, {});
      return mcpServers["codex-session"];
    }),
  );
  assertEquals(json.command, Deno.execPath());
  assertEquals(json.args.at(-1), "mcp");
  assertEquals(json.env.CODEX_SESSION_HOME, root.dir);
  assertEquals(json.env.CODEX_SESSION_AGENT, STRANGE);
  assertEquals(json.env.OPENAI_API_KEY, undefined);
  assertEquals(claude, { type: "stdio", ...json });
});

Deno.test("mcp --config refuses a client that it doesn't know", async () => {
  using root = new TestRoot();
  for (const client of ["cursor", "toString", ""]) {
    const { code, stdout, stderr } = await runCli(root.dir, [
      ...["mcp", "--config", client],
    ]);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, "use codex, claude or json");
  }
});

Deno.test({
  name: "the real Codex and Claude Code read what mcp --config prints",
  ignore: FOLDER === undefined,
  async fn() {
    using root = new TestRoot();
    await using kit = new Kit();
    const cwd = `${kit.dir}/work`;
    const codexFile = `${kit.dir}/codex/config.toml`;
    const codexLines = await configOf(root, "codex");
    Deno.writeTextFileSync(codexFile, codexLines, { append: true });
    const claudeText = await configOf(root, "claude");
    Deno.writeTextFileSync(`${cwd}/.mcp.json`, claudeText);
    async function ask(name: string, ...args: string[]): Promise<string> {
      const { success, stdout } = await new Deno.Command(
        `${kit.bin}/${name}`,
        { args, cwd, env: kit.env, stderr: "null" },
      ).output();
      assert(success, `${name} ${args.join(" ")}`);
      return new TextDecoder().decode(stdout);
    }
    const [codex, claude] = await Promise.all([
      ask("codex", "mcp", "get", "codex-session", "--json"),
      ask("claude", "mcp", "list"),
    ]);
    const { transport } = JSON.parse(codex);
    const { command, args, env } =
      JSON.parse(claudeText).mcpServers["codex-session"];
    assertEquals(
      [transport.command, transport.args, transport.env],
      [command, args, env],
    );
    assertStringIncludes(claude, `codex-session: ${command} ${args.join(" ")}`);
  },
});
