import { runToEnd } from "../../run/run_to_end.ts";
import { SessionError } from "../../errors.ts";
import { listSessions } from "../../session/find.ts";
import {
  assertEquals,
  assertRejects,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";

Deno.test("runToEnd() gives ending and output, and leaves nothing behind unless asked", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sh", "-c", "sleep 600 & echo hé; echo bad >&2; exit 3"];
  const { id: _, ...result } = await runToEnd({ ...at, command });
  const expected = { ending: { code: 3 }, stdout: "hé\n", stderr: "bad\n" };
  assertEquals(result, expected);
  assertEquals([...Deno.readDirSync(root.dir)], []);
  assertEquals(root.strays(), []);
  const kept = await runToEnd({ ...at, command: ["true"], keep: true });
  const sessions = await listSessions(at);
  assertEquals(sessions.map(({ id }) => id), [kept.id]);
});

Deno.test("runToEnd() ends with the error of the start, and stops when aborted", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const missing = runToEnd({ ...at, command: ["no-such-program"] });
  const error = await assertRejects(() => missing, SessionError);
  assertEquals((error as SessionError).code, "program_not_found");

  for (const keep of [false, true]) {
    const stop = new AbortController();
    const command = ["sleep", "600"];
    const { signal } = stop;
    const running = runToEnd({ ...at, id: "a", command, keep, signal });
    await until(async () =>
      (await listSessions(at))[0]?.state.state === "running"
    );
    stop.abort(new TypeError("enough"));
    await assertRejects(() => running, TypeError, "enough");
    assertEquals(root.strays(), []);
    assertEquals((await listSessions(at)).length, keep ? 1 : 0);
  }
});

Deno.test("runToEnd() ends with the signal's reason when the command has just ended", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const stop = new AbortController();
  const { signal } = stop;
  const command = ["sleep", "600"];
  const running = runToEnd({ ...at, id: "a", command, keep: true, signal });
  const state = await until(async () => {
    const state = (await listSessions(at))[0]?.state;
    return state?.state === "running" ? state : undefined;
  });
  // In one go, so that it can't have noticed the end before the abort.
  Deno.kill(state.pids.agent, "SIGKILL");
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; isRunning(state.pids.reaper) && tries < 5000; tries++) {
    Atomics.wait(pause, 0, 0, 1);
  }
  stop.abort(new TypeError("enough"));
  await assertRejects(() => running, TypeError, "enough");
});

Deno.test("runToEnd() says that a string can't hold the output when it is too long", async () => {
  await using root = new TestRoot();
  const script = 'truncate -s 600M "$CODEX_SESSION_DIR/stderr.log"';
  await assertRejects(
    () => runToEnd({ root: root.dir, command: ["sh", "-c", script] }),
    RangeError,
    "Cannot return the stderr of session",
  );
  assertEquals([...Deno.readDirSync(root.dir)], []);
});
