/**
 * What sessions inherit from an agent that starts them.
 *
 * @module
 */
import { markersExcept } from "../../agents/agents.ts";
import { assertEquals, runCli, TestRoot } from "../helpers.ts";

Deno.test("run hands on no variable that names the caller's agent or terminal, unless asked", async () => {
  await using root = new TestRoot();
  const env = {
    CLAUDECODE: "1",
    CLAUDE_CODE_MESSAGING_TOKEN: "secret",
    CLAUDE_CODE_MESSAGING_LATER: "1",
    CLAUDE_CODE_SSE_PORT: "1",
    CLAUDE_CODE_USE_BEDROCK: "1",
    CODEX_CI: "1",
    CODEX_THREAD_ID: "7",
    INSIDE_EMACS: "30.1",
    VSCODE_INJECTION: "1",
    ZELLIJ: "0",
    WT_SESSION: "7",
  };
  const names = Object.keys(env).join("|");
  const script = `env | grep -E '^(${names})=' | sort`;
  const run = async (id: string, ...options: string[]) => {
    const command = ["--", "sh", "-c", script];
    await runCli(root.dir, ["run", "--id", id, ...options, ...command], {
      env,
    });
    await runCli(root.dir, ["wait", id]);
    const text = Deno.readTextFileSync(`${root.dir}/${id}/stdout.log`);
    return text.trim().split(/\r?\n/);
  };
  const back = ["-e", "CODEX_CI=mine", "-e", "WT_SESSION=mine"];
  const [plain, terminal] = await Promise.all([
    run("plain", ...back),
    run("terminal", "-t", ...back),
  ]);
  const both = [
    "CLAUDE_CODE_USE_BEDROCK=1",
    "CODEX_CI=mine",
    "WT_SESSION=mine",
  ];
  assertEquals(plain, [
    ...both.slice(0, 2),
    "INSIDE_EMACS=30.1",
    "VSCODE_INJECTION=1",
    ...both.slice(2),
    "ZELLIJ=0",
  ]);
  assertEquals(terminal, both);
});

Deno.test("markersExcept() gives no name that is more than a word in a script", () => {
  const names = ["CLAUDE_CODE_MESSAGING_A", "CLAUDE_CODE_MESSAGING_;echo B"];
  try {
    for (const name of names) Deno.env.set(name, "1");
    const found = names.map((name) => markersExcept({}).includes(name));
    assertEquals(found, [true, false]);
  } finally {
    for (const name of names) Deno.env.delete(name);
  }
});
