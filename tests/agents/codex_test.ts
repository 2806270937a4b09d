import { codexProgram } from "../../agents/codex.ts";
import { SessionError } from "../../errors.ts";
import { assertEquals, assertThrows, TestRoot } from "../helpers.ts";

Deno.test("codexProgram() takes the override, then what is on PATH", () => {
  using root = new TestRoot();
  const saved = { ...Deno.env.toObject() };
  const script = (name: string) =>
    Deno.writeTextFileSync(`${root.dir}/${name}`, "#!/bin/sh\n", {
      mode: 0o755,
    });
  try {
    Deno.env.delete("CODEX_SESSION_EXEC");
    Deno.env.set("PATH", root.dir);
    const error = assertThrows(
      () => codexProgram("exec"),
      SessionError,
      "npm install",
    );
    assertEquals(error.code, "program_not_found");
    assertThrows(() => codexProgram("repl"), SessionError, "codex-repl");
    script("codex");
    assertEquals(codexProgram("exec"), ["codex", "exec"]);
    script("codex-exec");
    assertEquals(codexProgram("exec"), ["codex-exec"]);
    Deno.env.set("CODEX_SESSION_EXEC", "my 'agent one' --x");
    assertEquals(codexProgram("exec"), ["my", "agent one", "--x"]);
  } finally {
    Deno.env.set("PATH", saved.PATH ?? "");
    Deno.env.delete("CODEX_SESSION_EXEC");
  }
});
