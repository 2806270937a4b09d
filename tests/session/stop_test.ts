/** Ending sessions: real ones, that resist in every way that agents do. */
import { createSession } from "../../session/create.ts";
import { SessionError } from "../../errors.ts";
import { processesAt } from "../../process/members.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import { pruneSessions } from "../../session/prune.ts";
import { getSession } from "../../session/find.ts";
import {
  type Paths,
  pathsFor,
  type Pids,
  readState,
  readStopRequest,
} from "../../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  isRunning,
  PROJECT,
  type TestRoot,
  until,
} from "../helpers.ts";
import { LONG, sleeper, test } from "../process_helpers.ts";

interface Started {
  readonly paths: Paths;
  readonly pids: Pids;
}

/** Starts a shell that runs `script` and waits until that has said "ready". */
async function start(
  root: TestRoot,
  id: string,
  script: string,
): Promise<Started> {
  const paths = pathsFor(id, { root: root.dir });
  const pids = await spawnExec(paths, ["-c", script], { program: "sh" });
  await until(() => Deno.readTextFileSync(paths.stdout).includes("ready\n"));
  return { paths, pids };
}

/** How many processes of this command line run, anywhere. */
function countOf(commandLine: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      if (text === commandLine.replaceAll(" ", "\0") + "\0") count++;
    } catch {
      // It has ended.
    }
  }
  return count;
}

/** Starts a session whose agent is dead with its reaper; a child without the lock lives on. */
async function startLost(root: TestRoot, id: string): Promise<number> {
  // Only some shells can close a descriptor above 9, as the lock's may be.
  const script = `
    (for fd in /proc/self/fd/*; do fd=\${fd##*/}; [ $fd -le 2 ] || eval "exec $fd>&-"; done
     exec setsid sleep 101) & exec sleep 102`;
  const paths = pathsFor(id, { root: root.dir });
  const pids = await spawnExec(paths, ["-c", script], { program: "bash" });
  const { pid: stray } = await sleeper(paths, 101);
  await sleeper(paths, 102);
  Deno.kill(pids.reaper, "SIGKILL");
  Deno.kill(pids.agent, "SIGKILL");
  await until(() => readState(paths).state === "lost");
  assert(isRunning(stray));
  return stray;
}

const exists = (path: string) => {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
};

test("stopSession() returns when all processes are gone and the end is recorded", async (root) => {
  const paths = pathsFor("a", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  const before = Date.now();
  const session = await stopSession("a", { root: root.dir });
  assertEquals(root.strays(), []);
  assert(!isRunning(pids.reaper));
  assertEquals(session.state, {
    state: "exited",
    ending: { signal: "SIGTERM" },
  });
  const request = readStopRequest(paths)!;
  assertEquals([request.by, request.signal], ["stop", "SIGTERM"]);
  assert(Math.abs(Date.parse(request.at) - before) < 10_000);
});

test("stopSession() records the request after the stop when it could not before", async (root) => {
  // The record finds no room until the agent ends, as on a disk that the agent has filled.
  const { paths } = await start(
    root,
    "full",
    `trap 'rmdir "$CODEX_SESSION_DIR/stop.json"; exit' TERM; mkdir "$CODEX_SESSION_DIR/stop.json"
     echo ready; while :; do sleep 0.05; done`,
  );
  const before = Date.now();
  await stopSession("full", { root: root.dir });
  const request = readStopRequest(paths);
  assertEquals([request?.by, request?.signal], ["stop", "SIGTERM"]);
  assert(Date.parse(request!.at) >= before);
});

test("stopSession() sends the signal that it is told", async (root) => {
  const { paths } = await start(
    root,
    "a",
    "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done",
  );
  const options = {
    root: root.dir,
    killSignal: "usr1",
    by: "timeout",
  } as const;
  const { state } = await stopSession("a", options);
  assertEquals(state, { state: "exited", ending: { code: 7 } });
  const request = readStopRequest(paths)!;
  assertEquals([request.by, request.signal], ["timeout", "SIGUSR1"]);
});

test("stopSession() kills an agent that ignores the signal", async (root) => {
  await start(
    root,
    "a",
    "trap '' TERM; echo ready; while :; do sleep 101; done",
  );
  const options = { root: root.dir, graceMs: 50 };
  const { state } = await stopSession("a", options);
  assertEquals(state, { state: "exited", ending: { signal: "SIGKILL" } });
  assertEquals(root.strays(), []);
});

test("stopSession() kills at once when the signal is SIGKILL", async (root) => {
  await start(root, "a", "echo ready; sleep 101; :");
  const { state } = await stopSession("a", { root: root.dir, killSignal: "9" });
  assertEquals(state, { state: "exited", ending: { signal: "SIGKILL" } });
  assertEquals(root.strays(), []);
});

test("stopSession() leaves an agent the time to end in its own way", async (root) => {
  const { paths } = await start(
    root,
    "a",
    `trap 'sleep 0.15; setsid sh -c "sleep 0.15; echo cleaned"; exit 3' TERM
     echo ready; while :; do sleep 0.01; done`,
  );
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "exited", ending: { code: 3 } });
  assertStringIncludes(Deno.readTextFileSync(paths.stdout), "cleaned");
});

for (const hours of [-1, 1]) {
  test(`stopSession() gives its grace period when the clock is set ${hours} h meanwhile`, async (root) => {
    const ends = 'trap "sleep 0.1; exit 7" TERM; echo ready';
    await start(root, "ends", `${ends}; while :; do sleep 0.01; done`);
    await start(root, "stays", 'trap "" TERM; echo ready; exec sleep 105');
    const { now } = Date;
    const options = { root: root.dir };
    const stopping = Promise.all([
      stopSession("ends", { ...options, graceMs: 5_000 }),
      stopSession("stays", { ...options, graceMs: 300 }),
    ]);
    Date.now = () => now() + hours * 3_600_000;
    try {
      const [ends, stays] = await stopping;
      assertEquals(ends.state, { state: "exited", ending: { code: 7 } });
      const killed = { state: "exited", ending: { signal: "SIGKILL" } };
      assertEquals(stays.state, killed);
    } finally {
      Date.now = now;
    }
  });
}

test("stopSession() ends children in sessions of their own and without environment", async (root) => {
  const { paths } = await start(
    root,
    "a",
    `setsid sleep 101 & env -i setsid sleep 102 & (env -i sleep 103 &)
     env -i setsid sh -c 'trap "" TERM; sleep 104; :' & echo ready; sleep 105; :`,
  );
  const pids: number[] = [];
  for (const seconds of [101, 102, 103, 104, 105]) {
    pids.push((await sleeper(paths, seconds)).pid);
  }
  await stopSession("a", { root: root.dir, graceMs: 100 });
  assertEquals(pids.filter(isRunning), []);
});

test("stopSession() asks an agent that its relay starts at that moment", async (root) => {
  const relay = "trap 'setsid sleep 60 & wait; exit' TERM; " +
    "echo ok >&9; exec 9>&-; while :; do sleep 0.05; done";
  const { id } = await createSession({
    ...{ root: root.dir, kind: "pty", command: ["agent"] },
    relayCommand: ["sh", "-c", relay],
  });
  const since = performance.now();
  await stopSession(id, { root: root.dir, graceMs: 3000 });
  assert(performance.now() - since < 2500);
});

test("stopSession() ends a stopped agent by the signal", async (root) => {
  const { paths, pids } = await start(
    root,
    "a",
    "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
  );
  Deno.kill(pids.agent, "SIGSTOP");
  await until(() => processesAt(paths).some((one) => one.stopped));
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "exited", ending: { code: 3 } });
  assertStringIncludes(Deno.readTextFileSync(paths.stdout), "bye");
});

test("stopSession() wakes a stopped reaper, which records the end", async (root) => {
  const { paths, pids } = await start(root, "a", "echo ready; exec sleep 101");
  Deno.kill(pids.reaper, "SIGSTOP");
  await until(() => processesAt(paths)[0]!.stopped);
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "exited", ending: { signal: "SIGTERM" } });
  assert(!isRunning(pids.reaper));
});

test("stopSession() does not touch a session made by the agent", async (root) => {
  const script = `
    import { createSession } from "${PROJECT}session/create.ts";
    await createSession({ id: "inner", command: ["sh", "-c", "sleep 101; :"] });
    console.log("ready");
    await new Promise((wake) => setTimeout(wake, 100_000));`;
  Deno.writeTextFileSync(`${root.dir}/inner.ts`, script);
  await start(
    root,
    "outer",
    `CODEX_SESSION_HOME="${root.dir}" "${Deno.execPath()}" run -A "${root.dir}/inner.ts"; :`,
  );
  const inner = pathsFor("inner", { root: root.dir });
  const { pid } = await sleeper(inner, 101);
  const { state } = await stopSession("outer", { root: root.dir });
  assertEquals(state.state, "exited");
  assertEquals(processesAt(pathsFor("outer", { root: root.dir })), []);
  assert(isRunning(pid));
  assertEquals(readState(inner).state, "running");
  assertEquals(processesAt(inner).length, 3);
});

const STOP_OWN = (root: TestRoot) => `
  import { stopSession } from "${PROJECT}session/stop.ts";
  const { state } = await stopSession("a", { root: "${root.dir}", graceMs: 100 });
  Deno.writeTextFileSync("${root.dir}/said.tmp", JSON.stringify(state));
  Deno.renameSync("${root.dir}/said.tmp", "${root.dir}/said");`;

test("stopSession() ends the session that it is called in", async (root) => {
  Deno.writeTextFileSync(`${root.dir}/own.ts`, STOP_OWN(root));
  // The shell in the middle does as npx does: it passes the signal on.
  const { paths } = await start(
    root,
    "a",
    `trap '' TERM; setsid sleep 101 & echo ready
     sh -c '"$0" run -A "$1" & trap "kill $!" TERM; wait; wait' "${Deno.execPath()}" "${root.dir}/own.ts"; :`,
  );
  const said = await until(() => exists(`${root.dir}/said`));
  assert(said);
  const state = { state: "exited", ending: { signal: "SIGKILL" } };
  const text = Deno.readTextFileSync(`${root.dir}/said`);
  assertEquals(JSON.parse(text), state);
  assertEquals(readState(paths) as unknown, state);
  await until(() => root.strays().length === 0);
});

test("stopSession() called by the agent itself ends all others", async (root) => {
  Deno.writeTextFileSync(`${root.dir}/own.ts`, STOP_OWN(root));
  const { paths } = await start(
    root,
    "a",
    `setsid sleep 101 & echo ready
     exec "${Deno.execPath()}" run -A "${root.dir}/own.ts"`,
  );
  await until(() => exists(`${root.dir}/said`));
  const text = Deno.readTextFileSync(`${root.dir}/said`);
  assertEquals(JSON.parse(text).state, "running");
  await until(() => root.strays().length === 0);
  assertEquals(readState(paths), { state: "exited", ending: { code: 0 } });
});

for (
  const [how, fork] of [["", ""], [" without environment", "env -i setsid "]]
) {
  test(`stopSession() ends an agent that keeps forking${how}`, async (root) => {
    const seconds = fork ? LONG : LONG + 1;
    await start(
      root,
      "a",
      `trap '' TERM; echo ready
       n=0; while [ $n -lt 1000 ]; do ${fork}sleep ${seconds} & n=$((n + 1)); done; wait`,
    );
    await until(() => countOf(`sleep ${seconds}`) > 20);
    const { state } = await stopSession("a", { root: root.dir, graceMs: 20 });
    assertEquals(state, { state: "exited", ending: { signal: "SIGKILL" } });
    assertEquals(countOf(`sleep ${seconds}`), 0);
  });
}

test("stopSession() ends what an ended session left behind, without a record", async (root) => {
  const { paths } = await start(
    root,
    "a",
    "setsid sleep 101 & echo ready; exit 4",
  );
  const { pid } = await sleeper(paths, 101);
  await until(() => readState(paths).state === "exited");
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "exited", ending: { code: 4 } });
  assert(!isRunning(pid));
  assertEquals(readStopRequest(paths), undefined);
  const error = await assertRejects(
    () => stopSession("a", { root: root.dir }),
    SessionError,
    'Cannot stop session "a": it exited with code 4',
  ) as SessionError;
  assertEquals(error.code, "wrong_state");
});

test("stopSession() ends an agent whose reaper was killed", async (root) => {
  const { paths, pids } = await start(
    root,
    "a",
    "(env -i sleep 103 &); echo ready; exec sleep 101",
  );
  const { pid: orphan } = await sleeper(paths, 103);
  await sleeper(paths, 101);
  Deno.kill(pids.reaper, "SIGKILL");
  await until(() => !isRunning(pids.reaper));
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "lost", pids });
  assert(!isRunning(pids.agent));
  assert(!isRunning(orphan));
});

test("stopSession() tells how a deleted-once-ended session ended", async (root) => {
  const { paths } = await createSession({
    id: "a",
    root: root.dir,
    command: ["sleep", "101"],
    rm: true,
  });
  const { state } = await stopSession("a", { root: root.dir });
  assertEquals(state, { state: "exited", ending: { signal: "SIGTERM" } });
  assert(!exists(paths.dir));
  assertEquals(root.strays(), []);
});

test("stopSession() gives up waiting when it is aborted", async (root) => {
  const { pids } = await start(
    root,
    "a",
    "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done",
  );
  const abort = new AbortController();
  const stopping = stopSession("a", {
    root: root.dir,
    signal: abort.signal,
  });
  const { stdout } = pathsFor("a", { root: root.dir });
  await until(() => Deno.readTextFileSync(stdout).includes("asked"));
  abort.abort(new Error("enough"));
  await assertRejects(() => stopping, Error, "enough");
  assert(isRunning(pids.agent));
  assert(isRunning(pids.reaper));
});

test("stopSession() rejects what it can't do", async (root) => {
  const at = { root: root.dir };
  await assertRejects(() => stopSession("none", at), SessionError, "No such");
  const { pids } = await start(root, "a", "echo ready; exec sleep 101");
  const bad = { ...at, killSignal: "NOPE" };
  await assertRejects(() => stopSession("a", bad), TypeError, "NOPE");
  const mixedUp = { ...at, signal: "INT" } as never;
  await assertRejects(() => stopSession("a", mixedUp), TypeError, "signal");
  const negative = { ...at, graceMs: -1 };
  await assertRejects(() => stopSession("a", negative), RangeError, "graceMs");
  assert(isRunning(pids.agent));
});

test("several stopSession() of one session end it together", async (root) => {
  await start(
    root,
    "a",
    "trap '' TERM; setsid sleep 101 & echo ready; while :; do sleep 102; done",
  );
  const options = { root: root.dir, graceMs: 50 };
  const stops = [1, 2, 3].map(() => stopSession("a", options));
  for (const { state } of await Promise.all(stops)) {
    assertEquals(state, { state: "exited", ending: { signal: "SIGKILL" } });
  }
});

test("deleteSession() refuses a live session and says how to force it", async (root) => {
  const { paths, pids } = await start(root, "a", "echo ready; exec sleep 101");
  const error = await assertRejects(
    () => deleteSession("a", { root: root.dir }),
    SessionError,
    "it is running; use force (-f)",
  ) as SessionError;
  assertEquals(error.code, "wrong_state");
  assert(isRunning(pids.agent));
  assert(exists(paths.meta));
});

test("deleteSession() by force leaves no process and no file", async (root) => {
  const { pids } = await start(
    root,
    "a",
    "trap '' TERM; setsid sleep 101 & echo ready; while :; do sleep 102; done",
  );
  await deleteSession("a", { root: root.dir, force: true, graceMs: 50 });
  assertEquals([...Deno.readDirSync(root.dir)], []);
  assertEquals(root.strays(), []);
  assert(!isRunning(pids.reaper));
  await assertRejects(
    () => getSession("a", { root: root.dir }),
    SessionError,
    "No such session",
  );
});

test("deleteSession() ends what an ended session left behind", async (root) => {
  const { paths } = await start(root, "a", "setsid sleep 101 & echo ready");
  const { pid } = await sleeper(paths, 101);
  await until(() => readState(paths).state === "exited");
  await deleteSession("a", { root: root.dir });
  assert(!isRunning(pid));
  assertEquals([...Deno.readDirSync(root.dir)], []);
});

test("deleteSession() ends what a lost session left behind", async (root) => {
  const stray = await startLost(root, "a");
  await deleteSession("a", { root: root.dir });
  assert(!isRunning(stray));
  assertEquals([...Deno.readDirSync(root.dir)], []);
});

test("deleteSession() removes a damaged session by force only", async (root) => {
  const { paths, pids } = await start(root, "a", "echo ready; exec sleep 101");
  Deno.writeTextFileSync(paths.meta, "{");
  const error = await assertRejects(
    () => deleteSession("a", { root: root.dir }),
    SessionError,
    "is damaged",
  ) as SessionError;
  assertEquals(error.code, "damaged");
  assert(isRunning(pids.agent));
  await deleteSession("a", { root: root.dir, force: true });
  assert(!isRunning(pids.agent));
  assert(!exists(paths.dir));
});

test("deleteSession() follows no link, neither to a session nor in one", async (root) => {
  const other = `${root.dir}/other`;
  Deno.mkdirSync(other);
  Deno.writeTextFileSync(`${other}/precious`, "");
  const { paths } = await start(root, "a", "echo ready");
  await until(() => readState(paths).state === "exited");
  Deno.symlinkSync(other, `${paths.dir}/link`);
  Deno.symlinkSync(paths.dir, `${root.dir}/b`);
  const error = await assertRejects(
    () => deleteSession("b", { root: root.dir, force: true }),
    SessionError,
  ) as SessionError;
  assertEquals(error.code, "not_found");
  assert(exists(paths.meta));
  await deleteSession("a", { root: root.dir });
  assert(exists(`${other}/precious`));
});

test("deleteSession() succeeds once when called twice at the same time", async (root) => {
  await start(root, "a", "echo ready; exec sleep 101");
  const options = { root: root.dir, force: true };
  const results = await Promise.allSettled([
    deleteSession("a", options),
    deleteSession("a", options),
  ]);
  assert(results.some(({ status }) => status === "fulfilled"));
  assertEquals([...Deno.readDirSync(root.dir)], []);
});

test("pruneSessions() deletes what ended long enough ago, and nothing on a dry run", async (root) => {
  const at = { root: root.dir };
  const { paths: old } = await start(root, "old", "echo ready");
  const { paths: young } = await start(root, "young", "echo ready");
  const { paths: live } = await start(
    root,
    "live",
    "echo ready; exec sleep 109",
  );
  const stray = await startLost(root, "lost");
  await until(() => readState(old).state === "exited");
  await until(() => readState(young).state === "exited");
  const hourAgo = new Date(Date.now() - 3_600_000);
  Deno.utimeSync(old.exit, hourAgo, hourAgo);

  const planned = await pruneSessions({ ...at, dryRun: true });
  const ids = planned.deleted.map(({ id }) => id).sort();
  assertEquals(ids, ["lost", "old", "young"]);
  assert(planned.deleted.every(({ bytes }) => bytes > 100));
  assert(exists(old.dir) && isRunning(stray));

  const first = await pruneSessions({ ...at, olderThanMs: 1_800_000 });
  assertEquals(first.deleted.map(({ id }) => id), ["old"]);
  assertEquals(first.bytes, first.deleted[0]!.bytes);
  assert(!exists(old.dir) && exists(young.dir));

  const second = await pruneSessions(at);
  const rest = second.deleted.map(({ id }) => id).sort();
  assertEquals(rest, ["lost", "young"]);
  assertEquals(second.failed, []);
  assert(!isRunning(stray));
  const names = [...Deno.readDirSync(root.dir)].map(({ name }) => name);
  assertEquals(names, ["live"]);
  assertEquals(readState(live).state, "running");
});

test("pruneSessions() clears what killed creators and deleters left", async (root) => {
  const longAgo = new Date(Date.now() - 120_000);
  const make = (name: string, age?: Date) => {
    const dir = `${root.dir}/${name}`;
    Deno.mkdirSync(dir);
    Deno.writeTextFileSync(`${dir}/lock`, "");
    Deno.writeTextFileSync(`${dir}/log`, "12345");
    if (age !== undefined) Deno.utimeSync(dir, age, age);
    return dir;
  };
  const toCome = new Date(Date.now() + 86_400_000);
  make(".old-a-1-x");
  make(".new-4-of-another-clock", toCome);
  make(".new-1-abandoned", longAgo);
  make(".new-2-young");
  const busy = make(".new-3-busy", longAgo);
  make("foreign");
  Deno.removeSync(`${root.dir}/foreign/lock`);
  Deno.symlinkSync(`${root.dir}/foreign`, `${root.dir}/.old-link`);
  using lock = Deno.openSync(`${busy}/lock`);
  await lock.lock(true);
  const planned = await pruneSessions({ root: root.dir, dryRun: true });
  const { deleted, bytes } = await pruneSessions({ root: root.dir });
  assertEquals([deleted, bytes, planned.bytes], [[], 15, 15]);
  const names = [...Deno.readDirSync(root.dir)].map(({ name }) => name).sort();
  assertEquals(names, [".new-2-young", ".new-3-busy", ".old-link", "foreign"]);
});

test("pruneSessions() deletes what ended at a time to come, and what is too deep for a path", async (root) => {
  const { paths } = await start(root, "later", "echo ready");
  const { paths: deep } = await start(root, "deep", "echo ready");
  await until(() => readState(paths).state === "exited");
  await until(() => readState(deep).state === "exited");
  const toCome = new Date(Date.now() + 86_400_000);
  Deno.utimeSync(paths.exit, toCome, toCome);
  const below = new Array(15).fill("x".repeat(200)).join("/");
  for (const name of ["a", "b"]) {
    Deno.mkdirSync(`${deep.dir}/${name}/${below}`, { recursive: true });
  }
  Deno.renameSync(`${deep.dir}/b`, `${deep.dir}/a/${below}/b`);
  const hour = { root: root.dir, olderThanMs: 3_600_000 };
  assertEquals((await pruneSessions(hour)).deleted, []);
  const { deleted, failed } = await pruneSessions({ root: root.dir });
  assertEquals(deleted.map(({ id }) => id).sort(), ["deep", "later"]);
  assertEquals([failed, [...Deno.readDirSync(root.dir)]], [[], []]);
});

test("pruneSessions() of a root that does not exist deletes nothing", async (root) => {
  const pruned = await pruneSessions({ root: `${root.dir}/none` });
  assertEquals(pruned, { deleted: [], bytes: 0, failed: [] });
  for (const olderThanMs of [-1, NaN, "7d" as never]) {
    const work = () => pruneSessions({ root: root.dir, olderThanMs });
    await assertRejects(work, Error, "olderThanMs must be");
  }
});

test("stopSession() ends an agent whose pid's record is lost", async (root) => {
  const options = { root: root.dir };
  const { paths } = await createSession({
    ...options,
    kind: "repl",
    command: ["cat"],
  });
  Deno.removeSync(paths.pid);
  const { state } = await stopSession(paths.id, { ...options, graceMs: 1000 });
  const ending = { signal: "SIGTERM" };
  assertEquals(state as unknown, { state: "exited", ending });
});

const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;

/** Runs a shell command; whether it worked. */
async function sh(script: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", ...args],
    stderr: "null",
  }).output();
  return success;
}

for (
  const [why, how, undo, error] of [
    [
      "the disk is full",
      'dd if=/dev/zero of="$1/filler" bs=4096; true',
      'rm "$1/filler"',
      "No space left on device",
    ],
    [
      "the disk is read-only",
      'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"',
      'umount "$1"',
      "Read-only file system",
    ],
  ] as const
) {
  const name = `stopSession() says that the end can't be recorded when ${why}`;
  if (!isRoot) {
    Deno.test({ name: `${name} (skipped: root)`, ignore: true, fn() {} });
    continue;
  }
  test(name, async (root) => {
    const disk = `${root.dir}/disk`;
    Deno.mkdirSync(disk, { mode: 0o700 });
    const tmpfs = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"';
    if (!await sh(tmpfs, disk)) return; // A container that may not mount.
    try {
      const id = "a";
      const command = ["sleep", "101"];
      const { paths } = await createSession({ root: disk, id, command });
      assert(await sh(how, disk));
      const start = performance.now();
      await assertRejects(
        () => stopSession(id, { root: disk }),
        SessionError,
        `its processes are gone, but its end can't be recorded: ${error}`,
      );
      assert(performance.now() - start < 3_000);
      assertEquals(processesAt(paths)[0]?.role, "reaper");
      assert(await sh(undo, disk));
      await until(() => readState(paths).state === "exited");
      await until(() => processesAt(paths).length === 0);
    } finally {
      await sh('umount -l "$1"', disk);
    }
  });
}

test("stopSession() ends an agent that has recorded that it is another process", async (root) => {
  const { paths } = await start(
    root,
    "a",
    'echo "1 1" >"$CODEX_SESSION_DIR/pid"; echo ready; exec sleep 101',
  );
  const { state } = await stopSession("a", { root: root.dir });
  const ending = { signal: "SIGTERM" };
  assertEquals(state as unknown, { state: "exited", ending });
  assertEquals(processesAt(paths), []);
});

test("stopSession() ends a watchdog without its reaper at once", async (root) => {
  const options = { root: root.dir, timeoutMs: 99_000, graceMs: 10_000 };
  const command = ["sleep", "101"];
  const { id, pids, paths } = await createSession({ ...options, command });
  await sleeper(paths, 99);
  Deno.kill(pids.reaper, "SIGKILL");
  await until(() => !isRunning(pids.reaper));
  const startedAt = performance.now();
  await stopSession(id, { root: root.dir });
  assert(performance.now() - startedAt < 3_000);
  assertEquals(root.strays(), []);
});

test("stopSession() leaves the processes of a removed session with the same id alone", async (root) => {
  const script = "setsid sleep 101 & echo ready; exec sleep 102";
  const old = await start(root, "a", script);
  const child = await sleeper(old.paths, 101);
  await sleeper(old.paths, 102);
  Deno.removeSync(old.paths.dir, { recursive: true });
  const { paths, pids } = await start(root, "a", script);
  await sleeper(paths, 101);
  const all = processesAt(paths);
  assertEquals(all.map(({ role }) => role), ["reaper", "agent", "child"]);
  assertEquals([all[0]!.pid, all[1]!.pid], [pids.reaper, pids.agent]);
  const { state } = await stopSession("a", { root: root.dir, graceMs: 500 });
  const ending = { signal: "SIGTERM" };
  assertEquals(state as unknown, { state: "exited", ending });
  for (const pid of [old.pids.reaper, old.pids.agent, child.pid]) {
    assert(isRunning(pid));
  }
});

test("stopSession() and deleteSession() with createdAt end that session, and no later one", async (root) => {
  const at = { root: root.dir };
  const { id } = await createSession({ ...at, command: ["sleep", "101"] });
  const { createdAt } = await getSession(id, at);
  const earlier = { ...at, createdAt: new Date(createdAt.getTime() - 1) };
  for (const end of [stopSession, deleteSession]) {
    const error = await assertRejects(
      async () => await end(id, { ...earlier, force: true }),
      SessionError,
    );
    assertEquals((error as SessionError).code, "not_found");
  }
  assertEquals((await getSession(id, at)).state.state, "running");
  await stopSession(id, { ...at, createdAt });
  await deleteSession(id, { ...at, createdAt });
});
