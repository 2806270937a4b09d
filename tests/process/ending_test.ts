/**
 * Ending the processes of a terminal: what gets a hangup, and what doesn't.
 *
 * @module
 */
import { sendKeys, waitForScreen } from "../../client/terminal.ts";
import { waitForSession } from "../../client/wait.ts";
import { createSession } from "../../session/create.ts";
import { processesAt } from "../../process/members.ts";
import { stopSession } from "../../session/stop.ts";
import { readStopRequest } from "../../store.ts";
import { assertEquals, assertStringIncludes, until } from "../helpers.ts";
import { test } from "../process_helpers.ts";

/** Handles SIGTERM in its own time, in which it ignores the signal. */
const SAVES =
  `sh -c 'trap "trap \\"\\" TERM; sleep 0.3; echo sav""ed; exit 3" TERM
   echo rea""dy; while :; do sleep 0.01; done'`;

/** Starts a program in a session that is an interactive shell. */
async function startShell(
  at: { root: string },
  options: object,
  program = SAVES,
) {
  const session = await createSession({
    ...at,
    ...options,
    kind: "pty",
    command: ["sh", "-i"],
  });
  await sendKeys(session.id, [{ text: program }, { key: "enter" }], at);
  await waitForScreen(session.id, /ready/, at);
  return session;
}

/** Wants to reset its terminal, as vim does. In the background, its terminal stops it for that. */
const RESETS = `sh -c 'trap "stty sane; exit 3" TERM
   echo rea""dy; while :; do sleep 0.01; done'`;

const HUNG_UP = { state: "exited", ending: { signal: "SIGHUP" } };

test("stopSession() hangs up on an interactive shell, and cuts short nothing that handles SIGTERM", async (root) => {
  const at = { root: root.dir };
  const { id, paths } = await startShell(at, {});
  const { state } = await stopSession(id, { ...at, graceMs: 5_000 });
  assertEquals(state, HUNG_UP as typeof state);
  assertStringIncludes(Deno.readTextFileSync(paths.stdout), "saved");
  assertEquals(readStopRequest(paths)?.signal, "SIGTERM");
});

test("a timeout hangs up on an interactive shell, and cuts short nothing that handles SIGTERM", async (root) => {
  const at = { root: root.dir };
  const { id, paths } = await startShell(at, { timeoutMs: 1_000 });
  const { state } = await waitForSession(id, { ...at, timeoutMs: 6_000 });
  assertEquals(state, HUNG_UP as typeof state);
  assertStringIncludes(Deno.readTextFileSync(paths.stdout), "saved");
  assertEquals(readStopRequest(paths)?.signal, "SIGTERM");
});

for (const timeoutMs of [undefined, 1_000]) {
  const what = timeoutMs ? "a timeout" : "stopSession()";
  test(`${what} hangs up on a shell whose stopped job resets the terminal`, async (root) => {
    const at = { root: root.dir };
    const session = await startShell(at, { timeoutMs }, RESETS);
    const { id, paths } = session;
    await sendKeys(id, [{ key: "ctrl-z" }], at);
    await until(() => processesAt(paths).some(({ stopped }) => stopped));
    if (!timeoutMs) await stopSession(id, { ...at, graceMs: 5_000 });
    const { state } = await waitForSession(id, { ...at, timeoutMs: 6_000 });
    assertEquals(state, HUNG_UP as typeof state);
  });
}

/** Ignores SIGTERM until its child, which takes its time to end, has got one. */
const CHANGES = `import os, signal, time
agent = os.getpid()
def change(*_):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(6))
    signal.signal(signal.SIGHUP, lambda *_: os._exit(7))
signal.signal(signal.SIGUSR1, change)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    def end(*_):
        os.kill(agent, signal.SIGUSR1)
        time.sleep(0.3)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True: signal.pause()
os.wait()
time.sleep(0.3)
os._exit(5)`;

test("stopSession() hangs up on nothing that has stopped ignoring SIGTERM", async (root) => {
  const at = { root: root.dir };
  const command = ["python3", "-c", CHANGES];
  const { id } = await createSession({ ...at, kind: "pty", command });
  await waitForScreen(id, /ready/, at);
  const { state } = await stopSession(id, { ...at, graceMs: 5_000 });
  assertEquals(state as unknown, { state: "exited", ending: { code: 5 } });
});
