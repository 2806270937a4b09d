/**
 * Sessions whose agent is the client of a background server.
 *
 * @module
 */
import { readArgv } from "../../process/table.ts";
import { createSession } from "../../session/create.ts";
import {
  deleteSession,
  type EndOptions,
  stopSession,
} from "../../session/stop.ts";
import { assertEquals, until } from "../helpers.ts";
import { test } from "../process_helpers.ts";

/** A command that looks like Codex with these arguments, and sleeps. */
const codex = (...args: string[]) => [
  ...["bash", "-c", 'exec -a codex sh -c "sleep 60; :" "$@"', "bash"],
  ...args,
];

test("stopSession() and deleteSession() say that the work may go on in the agent's server", async (root) => {
  const at = { root: root.dir };
  const start = async (...args: string[]) => {
    const session = await createSession({ ...at, command: codex(...args) });
    await until(() => readArgv(session.pids.agent)?.[0] === "codex");
    return session;
  };
  const daemon = await start("app-server", "--managed-daemon");
  const { agent } = daemon.pids;
  let said = "";
  // Others may have servers, too.
  const onNotice = (notice: string) => {
    if (notice.includes(`process ${agent}`)) said = notice;
  };
  type End = (id: string, options: EndOptions) => Promise<unknown>;
  const afterwards = async (end: End, ...args: string[]) => {
    said = "";
    const { id } = await start(...args);
    await end(id, { ...at, onNotice });
    return said;
  };
  const expected =
    `the work may go on in Codex's background server (process ${agent}); "codex agents" shows it`;
  const remove: typeof deleteSession = (id, options) =>
    deleteSession(id, { ...options, force: true });
  assertEquals(await afterwards(stopSession, "resume"), expected);
  assertEquals(await afterwards(remove), expected);
  assertEquals(await afterwards(stopSession, "--no-daemon"), "");
  assertEquals(await afterwards(stopSession, "exec", "do it"), "");
  // A server that is the session's own goes with it.
  await stopSession(daemon.id, { ...at, onNotice });
  assertEquals(said, "");
  assertEquals(await afterwards(stopSession), "");
});
