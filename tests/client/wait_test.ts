import { waitFor, waitForSession } from "../../client/wait.ts";
import { SessionError } from "../../errors.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { pathsFor } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";

function start(root: TestRoot, id: string, script: string) {
  const paths = pathsFor(id, { root: root.dir });
  return spawnExec(paths, ["-c", script], { program: "sh" });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, SessionError);
  return (error as SessionError).code;
}

Deno.test("waitForSession() tells code and signal, for many waiters at once", async () => {
  await using root = new TestRoot();
  await start(root, "code", "sleep 0.2; exit 3");
  await start(root, "signal", "sleep 0.2; kill -TERM $$");
  const options = { root: root.dir };
  const waits = ["code", "signal", "code", "signal", "code"];
  const ended = waits.map((id) => waitForSession(id, options));
  const code = { state: "exited" as const, ending: { code: 3 } };
  const signal = { state: "exited" as const, ending: { signal: "SIGTERM" } };
  const states = { code, signal } as Record<string, unknown>;
  for (const [i, result] of (await Promise.all(ended)).entries()) {
    assertEquals(result, { id: waits[i], state: states[waits[i]!] } as never);
  }
  // At once, if it is over already.
  assertEquals((await waitForSession("code", options)).state, code);
});

Deno.test("waitForSession() misses no end, however short the session", async () => {
  await using root = new TestRoot();
  for (let i = 0; i < 20; i++) {
    await start(root, `s${i}`, "");
    const { state } = await waitForSession(`s${i}`, { root: root.dir });
    assertEquals(state.state, "exited");
  }
});

Deno.test("waitForSession() throws timeout, and only looks with 0", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 60");
  for (const timeoutMs of [0, 50]) {
    const options = { root: root.dir, timeoutMs };
    assertEquals(await codeOf(waitForSession("a", options)), "timeout");
  }
  const bad = { root: root.dir, timeoutMs: -1 };
  await assertRejects(() => waitForSession("a", bad), RangeError);
});

Deno.test("waitForSession() throws the reason when aborted", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 60");
  const controller = new AbortController();
  const { signal } = controller;
  const ended = waitForSession("a", { root: root.dir, signal });
  controller.abort(new TypeError("enough"));
  await assertRejects(() => ended, TypeError, "enough");
});

Deno.test("waitForSession() says lost when reaper and agent are killed", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  const ended = waitForSession("a", { root: root.dir });
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  assertEquals((await ended).state, { state: "lost", pids });
});

Deno.test("waitForSession() knows the ending of a session that is deleted at once", async () => {
  await using root = new TestRoot();
  const { reaper } = await start(root, "a", "sleep 0.1; exit 7");
  const ended = waitForSession("a", { root: root.dir });
  // As `--rm` does, before the waiter comes to look: everything here is synchronous.
  while (isRunning(reaper));
  Deno.renameSync(`${root.dir}/a`, `${root.dir}/.old`);
  Deno.removeSync(`${root.dir}/.old`, { recursive: true });
  const state = { state: "exited" as const, ending: { code: 7 } };
  assertEquals(await ended, { id: "a", state });
});

Deno.test("waitForSession() throws not_found when there is none, or none any more", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  assertEquals(await codeOf(waitForSession("nobody", options)), "not_found");
  await start(root, "a", "sleep 60");
  const ended = waitForSession("a", options);
  Deno.removeSync(`${root.dir}/a`, { recursive: true });
  assertEquals(await codeOf(ended), "not_found");
});

Deno.test("waitFor() idle counts output of a time to come as new, and is not fooled by a clock that is set", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const quiet = pathsFor("quiet", at);
  await spawnExec(quiet, ["600"], { program: "sleep" });
  const toCome = new Date(Date.now() + 86_400_000);
  Deno.utimeSync(quiet.stdout, toCome, toCome);
  const start = performance.now();
  const idle = { for: "idle", idleMs: 200 } as const;
  await waitFor("quiet", idle, { ...at, timeoutMs: 5000 });
  assert(performance.now() - start >= 200);

  const busy = pathsFor("busy", at);
  const script = "while :; do echo x; sleep 0.02; done";
  await spawnExec(busy, ["-c", script], { program: "sh" });
  await until(() => Deno.statSync(busy.stdout).size > 0);
  const { now } = Date;
  const waiting = waitFor("busy", idle, { ...at, timeoutMs: 700 });
  Date.now = () => now() + 3_600_000;
  try {
    await assertRejects(() => waiting, SessionError, "Timed out after");
  } finally {
    Date.now = now;
  }
});

Deno.test("waitFor() waits as long as it is told, also for longer than a timer takes", async () => {
  await using root = new TestRoot();
  await start(root, "a", "sleep 0.1; echo ready; sleep 600");
  const output = { for: "output", pattern: /ready/ } as const;
  const timeoutMs = 25 * 86_400_000;
  await waitFor("a", output, { root: root.dir, timeoutMs });
  const within = (timeoutMs: unknown) => () =>
    waitFor("a", output, { root: root.dir, timeoutMs: timeoutMs as number });
  await assertRejects(within("5"), TypeError, "timeoutMs must be a number");
  await assertRejects(within(NaN), RangeError, "NaN");
  const text = { for: "output", pattern: "ready" } as never;
  await assertRejects(
    () => waitFor("a", text, { root: root.dir }),
    TypeError,
    "regular expression",
  );
  assertEquals(
    await codeOf(waitFor("a", { for: "output", pattern: /never/ }, {
      root: root.dir,
      timeoutMs: 20,
    })),
    "timeout",
  );
});
