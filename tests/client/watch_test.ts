import { abortable, sleep } from "../../system/async.ts";
import { mkfifo } from "../../system/libc.ts";
import { OS } from "../../system/os.ts";
import { watchSession } from "../../client/watch.ts";
import { SessionError } from "../../errors.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { type Paths, pathsFor } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertThrows,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";

const sh = (paths: Paths, script: string) =>
  spawnExec(paths, ["-c", script], { program: "sh" });

/** Waits until the watch says so; every step is woken by the watch itself. */
async function finalOf(paths: Paths) {
  using watch = watchSession(paths);
  for (;;) {
    const final = watch.finalState();
    if (final !== undefined) return final;
    await watch.next();
  }
}

Deno.test("watchSession() wakes by an event, long before the tick", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 60");
  using watch = watchSession(paths, { files: [paths.stdout] });
  assertEquals(watch.finalState(), undefined);
  const delays: number[] = [];
  for (let i = 0; i < 20; i++) {
    const woken = watch.next();
    const start = performance.now();
    Deno.writeTextFileSync(paths.stdout, "x\n", { append: true });
    await woken;
    delays.push(performance.now() - start);
  }
  delays.sort((a, b) => a - b);
  assert(delays[10]! < 200, `median ${delays[10]} ms`);
});

Deno.test("watchSession() tells how the session ended", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 0.1; exit 7");
  assertEquals(await finalOf(paths), { state: "exited", ending: { code: 7 } });
});

Deno.test("watchSession() learns the ending of a session that is deleted at once", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  const { reaper } = await sh(paths, "sleep 0.1; exit 7");
  using watch = watchSession(paths);
  await until(() => !isRunning(reaper));
  Deno.renameSync(paths.dir, `${root.dir}/.old-a`);
  Deno.removeSync(`${root.dir}/.old-a`, { recursive: true });
  const final = { state: "exited" as const, ending: { code: 7 } };
  assertEquals(watch.finalState(), final);
  // Another session in its place changes nothing.
  await sh(paths, "exit 8");
  assertEquals(watch.finalState(), final);
  assertEquals((await finalOf(paths)).state, "exited");
});

Deno.test("watchSession() wakes a waiter when the directory is renamed away or deleted", async () => {
  await using root = new TestRoot();
  for (const way of ["rename", "remove"]) {
    const paths = pathsFor(way, { root: root.dir });
    await sh(paths, "sleep 60");
    const final = finalOf(paths);
    if (way === "rename") Deno.renameSync(paths.dir, `${root.dir}/away`);
    else Deno.removeSync(paths.dir, { recursive: true });
    assertEquals(await final, { state: "deleted" });
  }
});

Deno.test("watchSession() tells sessions apart that had the same id", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 60");
  using old = watchSession(paths, { files: [paths.stdout] });
  Deno.renameSync(paths.dir, `${root.dir}/away`);
  await sh(paths, "sleep 60");
  using young = watchSession(paths, { files: [paths.stdout] });
  assertEquals(old.finalState(), { state: "deleted" });
  assertEquals(young.finalState(), undefined);
  // The young one's events arrive although the path was watched before.
  const woken = young.next();
  const start = performance.now();
  Deno.writeTextFileSync(paths.stdout, "x\n", { append: true });
  await woken;
  assert(performance.now() - start < 500);
});

Deno.test("watchSession() goes on when another watch of the session is disposed of", async () => {
  await using root = new TestRoot();
  Deno.symlinkSync(root.dir, `${root.dir}/link`);
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 60");
  using watch = watchSession(paths, { files: [paths.stdout] });
  const linked = pathsFor("a", { root: `${root.dir}/link` });
  for (const other of [linked, paths]) {
    watchSession(other, { files: [other.stdout] })[Symbol.dispose]();
  }
  const delays: number[] = [];
  for (let i = 0; i < 5; i++) {
    const woken = watch.next();
    const start = performance.now();
    Deno.writeTextFileSync(paths.stdout, "x\n", { append: true });
    await woken;
    delays.push(performance.now() - start);
  }
  assert(Math.min(...delays) < 200, `${delays}`);
});

Deno.test("watchSession() says lost when all processes are killed", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  const pids = await sh(paths, "exec sleep 60");
  const final = finalOf(paths);
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  assertEquals(await final, { state: "lost", pids });
});

/** Timers of a second or more don't fire until this is disposed of; their delays are noted. */
function withoutTicks(): { readonly delays: number[] } & Disposable {
  const { setTimeout } = globalThis;
  const delays: number[] = [];
  const stub = (call: () => void, ms = 0) => {
    if (ms < 1000) return setTimeout(call, ms);
    delays.push(ms);
    return undefined as unknown as ReturnType<typeof setTimeout>;
  };
  globalThis.setTimeout = stub as typeof setTimeout;
  return {
    delays,
    [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout),
  };
}

Deno.test({
  name: "watchSession() wakes at all that happens when no tick comes",
  ignore: !OS.hasInotify,
  async fn() {
    await using root = new TestRoot();
    const ids = ["killed", "files", "renamed"] as const;
    const made = await Promise.all(ids.map(async (id) => {
      const paths = pathsFor(id, { root: root.dir });
      return { paths, pids: await sh(paths, "exec sleep 60") };
    }));
    const [killed, files, renamed] = made as [Made, Made, Made];
    type Made = typeof made[number];
    using timers = withoutTicks();
    const lost = finalOf(killed.paths);
    Deno.kill(killed.pids.reaper, "SIGKILL");
    await until(() => timers.delays.includes(1000)); // It has woken, and finds the lock held.
    Deno.kill(killed.pids.agent, "SIGKILL");
    assertEquals(await lost, { state: "lost", pids: killed.pids });

    using watch = watchSession(files.paths, { files: [files.paths.events] });
    for (const change of ["appears", "grows", "is replaced", "grows again"]) {
      const woken = watch.next();
      if (change === "is replaced") {
        Deno.writeTextFileSync(`${root.dir}/new`, "x\n");
        Deno.renameSync(`${root.dir}/new`, files.paths.events);
      } else Deno.writeTextFileSync(files.paths.events, "x", { append: true });
      await woken;
    }

    const deleted = finalOf(renamed.paths);
    Deno.renameSync(renamed.paths.dir, `${root.dir}/away`);
    assertEquals(await deleted, { state: "deleted" });
  },
});

Deno.test({
  name: "watchSession() ticks each second unless all makes an event",
  ignore: !OS.hasInotify,
  async fn() {
    await using root = new TestRoot();
    const paths = pathsFor("a", { root: root.dir });
    const pids = await sh(paths, "sleep 60");
    const tickOf = (files: readonly string[] = []) => {
      using timers = withoutTicks();
      using watch = watchSession(paths, { files });
      watch.next();
      return timers.delays;
    };
    assertEquals(tickOf([paths.stdout, paths.events]), [60_000]);
    // Others write to the target of a link, and no pipe is watched.
    Deno.symlinkSync(paths.stdout, `${paths.dir}/link`);
    mkfifo(`${paths.dir}/pipe`);
    for (const name of ["link", "pipe"]) {
      assertEquals(tickOf([`${paths.dir}/${name}`]), [1000]);
    }
    // Not its reaper: a process of this number after a restart, or of another container.
    for (const pid of [pids.agent, Deno.pid, 999_999_999]) {
      Deno.writeTextFileSync(paths.pid, `${pid} ${pids.agent}\n`);
      assertEquals(tickOf(), [1000]);
    }
  },
});

Deno.test("watchSession() never opens the named pipes of the session", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  // The pipes' last writers and readers close them: events for who watches the directory.
  const final = finalOf(paths);
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  await until(() => root.strays().length === 0);
  assertEquals(await final, { state: "lost", pids });
  // Watching works still; a blocked watcher thread would not even let go.
  const next = pathsFor("b", { root: root.dir });
  await sh(next, "sleep 60");
  using watch = watchSession(next, { files: [next.stdout] });
  const woken = watch.next();
  const start = performance.now();
  Deno.writeTextFileSync(next.stdout, "x\n", { append: true });
  await woken;
  assert(performance.now() - start < 500);
});

Deno.test("watchSession() ticks when files can't be watched", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 0.3; exit 7");
  const { watchFs } = Deno;
  try {
    Deno.watchFs = () => {
      throw new Error("No space left on device (os error 28)");
    };
    const final = { state: "exited" as const, ending: { code: 7 } };
    assertEquals(await finalOf(paths), final);
  } finally {
    Deno.watchFs = watchFs;
  }
});

Deno.test("watchSession() reads a session without a lock file as it stands", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "exit 7");
  await finalOf(paths);
  Deno.removeSync(paths.lock);
  assertEquals(await finalOf(paths), { state: "exited", ending: { code: 7 } });
});

Deno.test("watchSession() throws when there is no session", () => {
  using root = new TestRoot();
  const missing = pathsFor("nobody", { root: root.dir });
  const error = assertThrows(() => watchSession(missing), SessionError);
  assertEquals((error as SessionError).code, "not_found");
  Deno.mkdirSync(missing.dir);
  assertThrows(() => watchSession(missing), SessionError, "No such session");
});

Deno.test("watchSession() ends its waiting on abort, with the reason", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await sh(paths, "sleep 60");
  const controller = new AbortController();
  const { signal } = controller;
  using watch = watchSession(paths, { signal });
  const woken = watch.next();
  controller.abort(new TypeError("enough"));
  await assertRejects(() => woken, TypeError, "enough");
  await assertRejects(() => watch.next(), TypeError, "enough");
  assertThrows(() => watchSession(paths, { signal }), TypeError, "enough");
});

Deno.test("abortable() and sleep() end on abort and leave nothing behind", async () => {
  const never = new Promise<void>(() => {});
  const signal = AbortSignal.abort(new TypeError("enough"));
  await assertRejects(() => abortable(never, signal), TypeError, "enough");
  await assertRejects(() => sleep(60_000, signal), TypeError, "enough");
  assertEquals(await abortable(Promise.resolve(3)), 3);
  // More than a timer takes is no less; for ever is no timer at all.
  for (const ms of [2 ** 31, 1e15, Infinity]) {
    const controller = new AbortController();
    const over = sleep(ms, controller.signal).then(() => "over");
    const first = await Promise.race([over, sleep(20).then(() => "waits")]);
    assertEquals(first, "waits");
    controller.abort(new TypeError("enough"));
    await assertRejects(() => over, TypeError, "enough");
  }
});
