import { CODEX, codexProgram } from "../../agents/codex.ts";
import { SessionError } from "../../errors.ts";
import { assertEquals, assertRejects, TestRoot } from "../helpers.ts";

const FIRST = "01a1ffb2-4ae8-7cc1-a7b8-41b8936030ac";

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

Deno.test("CODEX.idInArguments() finds the id behind resume, and nowhere else", () => {
  const cases: [string, boolean][] = [
    [`resume ${FIRST}`, true],
    [`-c features.x=false resume ${FIRST} -- prompt`, true],
    [`-c=features.x=false resume ${FIRST} -- prompt`, true],
    [`exec resume ${FIRST} prompt`, true],
    [`exec --json resume --json ${FIRST} prompt`, true],
    [`resume -m model -- ${FIRST} prompt`, true],
    [`exec resume --last ${FIRST}`, false],
    [`-m resume ${FIRST}`, false],
    ["resume a-name", false],
    [`exec prompt resume ${FIRST}`, false],
    [`exec -- resume ${FIRST}`, false],
    [`fork ${FIRST}`, false],
    [FIRST, false],
  ];
  for (const [line, isFound] of cases) {
    const id = CODEX.idInArguments(line.split(" "));
    assertEquals(id, isFound ? FIRST : undefined, line);
  }
});

Deno.test("CODEX.commands go on with a conversation", () => {
  const { exec, repl, pty } = CODEX.commands;
  assertEquals(exec?.start(["hi"], FIRST), ["hi"]);
  assertEquals(exec?.resume(FIRST), undefined);
  assertEquals(exec?.resume(FIRST, "-x"), ["resume", FIRST, "--", "-x"]);
  assertEquals(repl?.resume(FIRST, "hi"), undefined);
  assertEquals(pty?.resume(FIRST), ["resume", FIRST]);
  assertEquals(pty?.resume(FIRST, "-x"), ["resume", FIRST, "--", "-x"]);
});

Deno.test("CODEX.statusOfTitle() knows the spinner and the question of older versions", () => {
  const cases: [string, string | undefined][] = [
    ["⠋ project", "working"],
    ["⠸", "working"],
    ["[ ! ] Action Required | project", "blocked"],
    ["[ . ] Action Required", "blocked"],
    ["project", undefined],
    ["vim Action Required", undefined],
    ["⠋project", undefined],
    ["", undefined],
  ];
  for (const [title, value] of cases) {
    assertEquals(CODEX.statusOfTitle?.(title)?.value, value, title);
  }
});
