/**
 * Ending the processes of a terminal: what gets a hangup, and what doesn't.
 *
 * @module
 */
import { waitForScreen } from "../../client/terminal.ts";
import { waitForSession } from "../../client/wait.ts";
import { createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import { pathsFor, readStopRequest } from "../../store.ts";
import { assertEquals } from "../helpers.ts";
import { test } from "../process_helpers.ts";

test("stopSession() hangs up on an interactive shell, and cuts short nothing that handles SIGTERM", async (root) => {
  const at = { root: root.dir };
  const saves =
    "trap 'sleep 0.1; exit 3' TERM; echo ready; while :; do :; done";
  const commands = [["sh", "-i"], ["sh", "-c", saves]];
  const [shell = "", saving = ""] = await Promise.all(
    commands.map(async (command) =>
      (await createSession({ ...at, kind: "pty", command })).id
    ),
  );
  await waitForScreen(shell, /[$#]/, at);
  await waitForScreen(saving, /ready/, at);
  const endings = await Promise.all(
    [shell, saving].map((id) => stopSession(id, at)),
  );
  assertEquals(endings.map(({ state }) => state), [
    { state: "exited", ending: { signal: "SIGHUP" } },
    { state: "exited", ending: { code: 3 } },
  ]);
  assertEquals(readStopRequest(pathsFor(shell, at))?.signal, "SIGTERM");
});

test("a timeout hangs up on a terminal's program that ignores SIGTERM", async (root) => {
  const at = { root: root.dir };
  const { id, paths } = await createSession({
    ...at,
    kind: "pty",
    command: ["sh", "-c", "trap '' TERM; sleep 60"],
    timeoutMs: 500,
  });
  const { state } = await waitForSession(id, { ...at, timeoutMs: 5_000 });
  assertEquals(state, { state: "exited", ending: { signal: "SIGHUP" } });
  assertEquals(readStopRequest(paths)?.signal, "SIGTERM");
});
