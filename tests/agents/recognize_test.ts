import { AGENTS } from "../../agents/agents.ts";
import { recognizeAgent } from "../../agents/recognize.ts";
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
    ["npx codex exec", "codex", "exec"],
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
      const program = lines.program() as readonly string[];
      assertEquals(recognizeAgent(program)?.agent, agent);
    }
  }
});
