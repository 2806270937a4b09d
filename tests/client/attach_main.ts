/**
 * A client as small as it gets, for tests and measurements: ROOT ID [read-only | KEYS].
 *
 * @module
 */
import { exitStatus } from "../../store.ts";
import { attachConsole } from "../../client/attach_console.ts";

const [root, id = "", option] = Deno.args;
const result = await attachConsole(id, {
  root,
  readOnly: option === "read-only",
  detachKeys: option === "read-only" ? undefined : option,
});
if ("detached" in result) {
  console.log(`[detached from ${id}]`);
  Deno.exit(0);
}
const { state } = result;
console.log(`[${id}: ${JSON.stringify(state)}]`);
Deno.exit(exitStatus(state) ?? 1);
