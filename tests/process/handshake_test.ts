/**
 * Starts that don't come to an end.
 *
 * @module
 */
import { SessionError } from "../../errors.ts";
import { createSession } from "../../session/create.ts";
import { assertEquals, assertRejects, runCli, TestRoot } from "../helpers.ts";

Deno.test("createSession() leaves nothing when a start takes too long, or is cancelled", async () => {
  await using root = new TestRoot();
  const hangs = {
    root: root.dir,
    kind: "pty",
    command: ["vim"],
    relayCommand: ["sh", "-c", "sleep 60 & sleep 60"],
  } as const;
  const late = await assertRejects(
    () => createSession({ ...hangs, startTimeoutMs: 200 }),
    SessionError,
    'Cannot start "vim": it has not started within 0.2 s',
  );
  assertEquals(late.code, "spawn_failed");
  const signal = AbortSignal.timeout(200);
  const cancelled = () => createSession({ ...hangs, signal });
  const reason = await assertRejects(cancelled, DOMException);
  assertEquals(reason.name, "TimeoutError");
  assertEquals([...Deno.readDirSync(root.dir)], []);
  assertEquals(root.strays(), []);
});

const canUnshare = Deno.build.os === "linux" && new Deno.Command("unshare", {
  args: ["-p", "-f", "true"],
  stderr: "null",
}).outputSync().success;

Deno.test({
  name: `run and stop refuse a /proc of another PID namespace${
    canUnshare ? "" : " (skipped: it takes root)"
  }`,
  ignore: !canUnshare,
  async fn() {
    await using root = new TestRoot();
    const { id } = await createSession({
      root: root.dir,
      command: ["sleep", "60"],
    });
    const prefix = ["unshare", "-p", "-f", "--kill-child"];
    const calls = [["run", "true"], ["run", "-t", "true"], ["stop", id]];
    await Promise.all(calls.map(async (args) => {
      const { code, stderr } = await runCli(root.dir, args, { prefix });
      const said = /^codex-session: .*another PID namespace.*\n$/.test(stderr);
      assertEquals([code, said], [4, true], stderr);
    }));
    assertEquals([...Deno.readDirSync(root.dir)].length, 1);
  },
});
