import type { AgentStatus } from "../../agents/agent.ts";
import { GEMINI } from "../../agents/gemini.ts";
import { assertEquals } from "../helpers.ts";

const ID = "11111111-2222-4333-8444-555555555555";

Deno.test("GEMINI.commands start with a chosen id, unless the arguments choose, and go on", () => {
  const { exec, pty } = GEMINI.commands;
  assertEquals(exec?.start(["hi"], ID), ["--session-id", ID, "-p", "hi"]);
  assertEquals(pty?.start(["--resume", "latest"], ID), ["--resume", "latest"]);
  const own = ["--session-id", ID];
  assertEquals(exec?.begin?.("-x", ID), [...own, "--prompt=-x"]);
  assertEquals(pty?.begin?.("-x", ID), [...own, "--prompt-interactive=-x"]);
  assertEquals(exec?.resume(ID), undefined);
  assertEquals(exec?.resume(ID, "-x"), ["--resume", ID, "--prompt=-x"]);
  assertEquals(pty?.resume(ID), ["--resume", ID]);
});

Deno.test("GEMINI.idInArguments() finds a chosen id and one to go on with", () => {
  const cases: [string, string | undefined][] = [
    [`--session-id ${ID} -p hi`, ID],
    [`--resume ${ID}`, ID],
    [`-r ${ID}`, ID],
    ["--resume latest", undefined],
    ["--resume 1", undefined],
    [`-p ${ID}`, undefined],
  ];
  for (const [line, id] of cases) {
    assertEquals(GEMINI.idInArguments(line.split(" ")), id, line);
  }
});

Deno.test("GEMINI.statusOfTitle() knows the titles that Gemini sets", () => {
  const cases: [string, AgentStatus | undefined][] = [
    ["◇  Ready (folder)", { value: "idle" }],
    ["✦  Working… (folder)", {
      value: "working",
      message: "Working… (folder)",
    }],
    ["✦  Reading  tests  ", { value: "working", message: "Reading tests" }],
    ["⏲  Working… (folder)", { value: "working" }],
    ["✋  Action Required (folder)", { value: "blocked" }],
    ["Gemini CLI (folder)", undefined],
    ["~/Ready", undefined],
    ["", undefined],
  ];
  for (const [title, status] of cases) {
    assertEquals(GEMINI.statusOfTitle?.(title), status, title);
  }
});
