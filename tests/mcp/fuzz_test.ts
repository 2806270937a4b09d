/**
 * A sample of the fault `fuzz-mcp`, always the same: tests can't import faults, so it runs as a program.
 *
 * @module
 */
import { assert, PROJECT } from "../helpers.ts";

Deno.test({
  name:
    "mcp survives messages of any kind, and acts on nothing outside its scope",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", `${PROJECT}faults/faults.ts`],
        ...["--short", "--seed", "1", "fuzz-mcp"],
      ],
      stderr: "null",
    }).output();
    assert(success, new TextDecoder().decode(stdout));
  },
});
