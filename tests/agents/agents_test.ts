import { AGENTS, recognizeAgent } from "../../agents/agents.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("recognizeAgent() knows an agent by its program, its package or its script", () => {
  const cases: [string, string | undefined, string?][] = [
    ["codex exec hi", "codex", "exec hi"],
    ["/usr/local/bin/codex-exec hi", "codex", "hi"],
    ["claude", "claude", ""],
    ["gemini -p hi", "gemini", "-p hi"],
    ["./opencode run", "opencode", "run"],
    ["npx @openai/codex exec", "codex", "exec"],
    ["npx -y @openai/codex@0.169.0 exec", "codex", "exec"],
    ["npm exec -- @anthropic-ai/claude-code -p", "claude", "-p"],
    ["pnpm dlx opencode-ai@latest run", "opencode", "run"],
    ["bunx @google/gemini-cli", "gemini", ""],
    ["npx -p @openai/codex codex", undefined],
    ["npx cowsay codex", undefined],
    ["npm run codex", undefined],
    ["node /usr/bin/codex exec", "codex", "exec"],
    ["node /x/node_modules/@openai/codex/bin/codex.js -v", "codex", "-v"],
    ["node --no-warnings=DEP0040 /usr/bin/gemini -p", "gemini", "-p"],
    ["node server.js codex", undefined],
    ["node -e codex", undefined],
    ["node", undefined],
    ["sh -c codex", undefined],
    ["vim codex", undefined],
    ["mycodex", undefined],
    ["codex-linux-sandbox x", undefined],
    ["", undefined],
  ];
  for (const [line, name, args] of cases) {
    const found = recognizeAgent(line.split(" "));
    assertEquals(found?.agent.name, name, line);
    assertEquals(found?.args.join(" "), args, line);
  }
  assertEquals(recognizeAgent([]), undefined);
});

Deno.test("AGENTS have names of their own, and command lines that are recognized", () => {
  assertEquals(new Set(AGENTS.map(({ name }) => name)).size, AGENTS.length);
  for (const agent of AGENTS) {
    if (agent.name === "codex") continue; // Its programs must be on PATH.
    for (const lines of Object.values(agent.commands)) {
      const found = recognizeAgent(lines.start(["hi"]));
      assertEquals(found?.agent, agent);
    }
  }
});

const ID = "11111111-2222-4333-8444-555555555555";

Deno.test("GEMINI and OPENCODE go on with the conversation that their arguments name", () => {
  const cases: [string, string][] = [["gemini", ID], ["opencode", "ses_4mGx"]];
  for (const [name, id] of cases) {
    const agent = AGENTS.find((agent) => agent.name === name)!;
    assertEquals(agent.commands.exec?.resume(id), undefined);
    for (const lines of Object.values(agent.commands)) {
      const [, ...args] = lines.resume(id, "-x") ?? [];
      assertEquals(agent.idInArguments(args), id);
      assertEquals(agent.idInArguments(["hi"]), undefined);
    }
  }
  const gemini = AGENTS.find(({ name }) => name === "gemini")!;
  const [, ...chosen] = gemini.commands.exec!.start(["hi"], ID);
  assertEquals(chosen, ["--session-id", ID, "-p", "hi"]);
  assertEquals(gemini.idInArguments(chosen), ID);
  const own = gemini.commands.pty!.start(["--resume", "latest"], ID);
  assertEquals(own, ["gemini", "--resume", "latest"]);
});
