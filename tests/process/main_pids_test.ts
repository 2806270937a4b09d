/**
 * The processes of a terminal session: the relay is the relay, the agent the agent.
 *
 * @module
 */
import { processesAt } from "../../process/members.ts";
import { createSession } from "../../session/create.ts";
import { getSession } from "../../session/find.ts";
import { stopSession } from "../../session/stop.ts";
import { assertEquals, runCli, until } from "../helpers.ts";
import { test } from "../process_helpers.ts";

test("a terminal's agent is its agent, and its relay has a role of its own", async (root) => {
  const at = { root: root.dir };
  const { id, paths, pids } = await createSession({
    ...at,
    kind: "pty",
    command: ["sh", "-c", "sleep 60; :"],
  });
  const all = await until(() => {
    const all = processesAt(paths);
    return all.length === 4 ? all : undefined;
  });
  assertEquals(
    all.map(({ role, ppid }) => [role, ppid]).slice(1),
    [["relay", pids.reaper], ["agent", pids.relay], ["child", pids.agent]],
  );
  assertEquals(all[2]!.pid, pids.agent);
  assertEquals((await getSession(id, at)).state, { state: "running", pids });
  const { stdout } = await runCli(root.dir, ["show", id]);
  const [shown] = JSON.parse(stdout);
  assertEquals([shown.pid, shown.relayPid], [pids.agent, pids.relay]);
  // A terminal that is shown in many sessions has a long record.
  const shownIn = Array.from({ length: 200 }, () => "/a/path/of/a/session");
  const long = JSON.stringify({ agent: pids.agent, shownIn });
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, long);
  assertEquals((await getSession(id, at)).state, { state: "running", pids });
  // What the agent can write: only the relay's own child is believed.
  for (const agent of [all[3]!.pid, Deno.pid, -1, "x"]) {
    Deno.writeTextFileSync(`${paths.dir}/terminal.json`, `{"agent":${agent}}`);
    const { state } = await getSession(id, at);
    const fallback = { ...pids, agent: pids.relay };
    assertEquals(state, { state: "running", pids: fallback });
  }
  await stopSession(id, at);
});
