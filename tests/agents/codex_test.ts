import { codexProgram } from "../../agents/codex.ts";
import { SessionError } from "../../errors.ts";
import { assertEquals, assertRejects, TestRoot } from "../helpers.ts";

Deno.test("codexProgram() takes the override, then what is on PATH", async () => {
  using root = new TestRoot();
  const saved = { ...Deno.env.toObject() };
  const script = (name: string, body = "") =>
    Deno.writeTextFileSync(`${root.dir}/${name}`, `#!/bin/sh\n${body}`, {
      mode: 0o755,
    });
  try {
    Deno.env.delete("CODEX_SESSION_EXEC");
    Deno.env.set("PATH", root.dir);
    const error = await assertRejects(
      () => codexProgram("exec"),
      SessionError,
      "npm install",
    );
    assertEquals(error.code, "program_not_found");
    await assertRejects(() => codexProgram("repl"), SessionError, "codex-repl");
    script("codex");
    assertEquals(await codexProgram("exec"), ["codex", "exec"]);
    assertEquals(await codexProgram("pty"), ["codex", "--no-daemon"]);
    script("codex", "[ $1 != --no-daemon ]");
    const off = ["-c", "features.daemon_auto_start=false"];
    assertEquals(await codexProgram("pty"), ["codex", ...off]);
    script("codex-exec");
    assertEquals(await codexProgram("exec"), ["codex-exec"]);
    Deno.env.set("CODEX_SESSION_EXEC", "my 'agent one' --x");
    assertEquals(await codexProgram("exec"), ["my", "agent one", "--x"]);
  } finally {
    Deno.env.set("PATH", saved.PATH ?? "");
    Deno.env.delete("CODEX_SESSION_EXEC");
  }
});
