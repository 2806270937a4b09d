/**
 * A sample of the faults `fuzz-web-…`, always the same: tests can't import faults, so they run as
 * programs, at the same time.
 *
 * @module
 */
import { assert, PROJECT } from "../helpers.ts";

Deno.test({
  name: "web survives requests of any kind, and gives nothing without a token",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const names = ["fuzz-web-stranger", "fuzz-web-looker", "fuzz-web-owner"];
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
