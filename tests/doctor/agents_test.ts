import { AGENTS } from "../../agents/agents.ts";
import { listAgents } from "../../doctor/agents.ts";
import { assertEquals, PROJECT, runCli, TestRoot } from "../helpers.ts";

Deno.test("agents lists the known ones, with the versions that they tell", async () => {
  await using root = new TestRoot();
  const dir = `${root.dir}/bin`;
  Deno.mkdirSync(dir);
  const program = (name: string, script: string) =>
    Deno.writeTextFileSync(`${dir}/${name}`, `#!/bin/sh\n${script}\n`, {
      mode: 0o755,
    });
  program("codex-exec", "exit 1");
  program("codex", "echo codex-cli 0.169.0");
  program("claude", "echo '2.1.329 (Claude Code)'");
  program("gemini", "printf 'none\\033[2J'; exit 1");
  const env = { PATH: dir };
  const { stdout } = await runCli(root.dir, ["agents", "--json"], { env });
  const found = JSON.parse(stdout) as Awaited<ReturnType<typeof listAgents>>;
  assertEquals(
    found.map(({ name, path, version }) => [name, path, version]),
    [
      ["codex", `${dir}/codex`, "0.169.0"],
      ["claude", `${dir}/claude`, "2.1.329"],
      ["gemini", `${dir}/gemini`, null],
      ["opencode", null, null],
    ],
  );
  assertEquals(found[1]?.kinds, ["exec", "pty"]);
});

Deno.test("docs/agents.md has the same table of what works", () => {
  const page = Deno.readTextFileSync(`${PROJECT}docs/agents.md`);
  const rows = [
    ...page.matchAll(/^\| (\w+) +\| (\w+) +\| (\w+) +\| (\w+) +\|$/gm),
  ]
    .map(([, ...cells]) => cells)
    .filter(([name]) => AGENTS.some((agent) => agent.name === name));
  const known = AGENTS.map(({ name, support }) => {
    return [name, support.status, support.answer, support.resume];
  });
  assertEquals(rows, known);
});
