import { runToEnd } from "../../run/run_to_end.ts";
import { SessionError } from "../../errors.ts";
import { listSessions } from "../../session/find.ts";
import { assertEquals, assertRejects, TestRoot, until } from "../helpers.ts";

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
