import { readConversation } from "../../events/conversation_file.ts";
import { getSession } from "../../mod.ts";
import {
  assertEquals,
  assertStringIncludes,
  runCli,
  TestRoot,
} from "../helpers.ts";

/** A root, and programs that have the names of agents. */
class Agents extends TestRoot {
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    super();
    const bin = `${this.dir}/.bin`;
    Deno.mkdirSync(bin);
    for (const name of ["claude", "codex", "gemini", "opencode"]) {
      Deno.writeTextFileSync(`${bin}/${name}`, "#!/bin/sh\n", { mode: 0o755 });
    }
    const PATH = `${bin}:${Deno.env.get("PATH")}`;
    this.env = { PATH, CLAUDE_CONFIG_DIR: "/c" };
  }

  /** Starts a session and gives its arguments, with ID for an id that was chosen. */
  async start(words: string, env = {}): Promise<string> {
    const options = { env: { ...this.env, ...env } };
    const call = ["create", ...words.split(" ")];
    const { stdout, stderr } = await runCli(this.dir, call, options);
    assertEquals(stderr, "");
    const session = await getSession(stdout.trim(), { root: this.dir });
    const { agent = "", argv } = session.meta!;
    const id = readConversation(session.paths)?.id;
    return [agent, ...argv.map((arg) => arg === id ? "ID" : arg)].join(" ");
  }
}

Deno.test("create --agent starts each agent in its own way, and chooses ids where it can", async () => {
  await using agents = new Agents();
  const { dir } = agents;
  const opencode = { CODEX_SESSION_AGENT: "opencode" };
  const other = { CODEX_SESSION_EXEC: "/bin/echo" };
  const calls = [
    ["--agent claude exec hi", {}, "claude --session-id ID -p hi"],
    ["--agent=claude exec --resume x", other, "claude -p --resume x"],
    ["--agent gemini exec hi", {}, "gemini --session-id ID -p hi"],
    ["exec hi", opencode, "opencode run hi"],
    ["exec hi", other, "/bin/echo hi"],
  ] as const;
  const found = calls.map(([words, env]) => agents.start(words, env));
  const names = ["claude", "claude", "gemini", "opencode", "codex"];
  assertEquals(
    await Promise.all(found),
    calls.map(([, , command], at) => `${names[at]} ${command}`),
  );
  for (const name of ["clawd", "__proto__"]) {
    const wrong = ["create", "--agent", name, "exec"];
    const { code, stderr } = await runCli(dir, wrong);
    assertEquals(code, 2);
    assertStringIncludes(stderr, `Unknown agent "${name}": use codex (exec, `);
  }
  const kind = ["create", "--agent", "claude", "repl"];
  const { code, stderr } = await runCli(dir, kind);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "Agent claude has no kind repl: use codex");
});

Deno.test("run records the agent and the conversation that its command names, and leaves it untouched", async () => {
  await using agents = new Agents();
  const { dir, env } = agents;
  const id = "11111111-2222-4333-8444-555555555555";
  const command = ["npx", "@anthropic-ai/claude-code", "--resume", id];
  const own = `${dir}/.bin/npx`;
  Deno.writeTextFileSync(own, "#!/bin/sh\n", { mode: 0o755 });
  const run = ["run", "--id", "a", "-e", "CLAUDE_CONFIG_DIR=/d", "--"];
  await runCli(dir, [...run, ...command], { env });
  const { meta, paths } = await getSession("a", { root: dir });
  assertEquals([meta?.agent, meta?.argv], ["claude", command]);
  const { agent, home, how } = readConversation(paths)!;
  assertEquals([agent, home, how], ["claude", "/d", "arguments"]);
  await runCli(dir, ["run", "--id", "b", "--", "claude", "-p"], { env });
  const other = await getSession("b", { root: dir });
  assertEquals(other.meta?.agent, "claude");
  assertEquals(readConversation(other.paths), undefined);
});
