/**
 * A sample of the faults `fuzz-mcp-…`, always the same: tests can't import faults, so they run as
 * programs, at the same time.
 *
 * @module
 */
import { assert, PROJECT } from "../helpers.ts";

Deno.test({
  name:
    "mcp survives messages of any kind, and acts on nothing outside its scope",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const names = ["fuzz-mcp-scope", "fuzz-mcp-all", "fuzz-mcp-read-only"];
    await Promise.all(names.map(async (name) => {
      const { success, stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--no-check", `${PROJECT}faults/faults.ts`],
          ...["--short", "--seed", "1", name],
        ],
        stderr: "null",
      }).output();
      assert(success, new TextDecoder().decode(stdout));
    }));
  },
});
