import { OPENCODE } from "../../agents/opencode.ts";
import { assertEquals } from "../helpers.ts";

const ID = "ses_4mGxQ1";

Deno.test("OPENCODE.commands go on with the conversation that their arguments name", () => {
  const { exec, pty } = OPENCODE.commands;
  assertEquals(exec?.program(), ["opencode", "run"]);
  assertEquals(pty?.begin?.("-x"), ["--prompt=-x"]);
  assertEquals(exec?.resume(ID), undefined);
  assertEquals(exec?.resume(ID, "-x"), ["--session", ID, "--", "-x"]);
  assertEquals(pty?.resume(ID, "-x"), ["--session", ID, "--prompt=-x"]);
  for (const args of [pty!.resume(ID)!, ["run", "-s", ID, "hi"]]) {
    assertEquals(OPENCODE.idInArguments(args), ID);
  }
  assertEquals(OPENCODE.idInArguments(["-s", ID, "--fork"]), undefined);
  assertEquals(OPENCODE.idInArguments(["run", "hi"]), undefined);
});
