/**
 * Looking into a session by its id.
 *
 * @module
 */
import { terminalStatus } from "../../client/terminal_status.ts";
import { SessionError } from "../../errors.ts";
import { createSession } from "../../session/create.ts";
import { listProcesses, readTimes } from "../../session/inspect.ts";
import { assertEquals, assertThrows } from "../helpers.ts";
import { test } from "../process_helpers.ts";

test("listProcesses(), readTimes() and terminalStatus() take an id", async (root) => {
  const at = { root: root.dir };
  const { id, pids } = await createSession({ ...at, command: ["sleep", "60"] });
  assertEquals(listProcesses(id, at).map(({ pid }) => pid), [
    pids.reaper,
    pids.agent,
  ]);
  assertEquals(readTimes(id, at).startedAt instanceof Date, true);
  assertEquals(readTimes(id, at).endedAt, null);
  assertEquals(terminalStatus(id, at), undefined);
  for (const look of [listProcesses, readTimes, terminalStatus]) {
    assertThrows(() => look("none", at), SessionError, "No such session");
  }
});
