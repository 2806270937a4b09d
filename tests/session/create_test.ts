import { createSession } from "../../session/create.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { exists } from "../../system/files.ts";
import { getSession, listSessions } from "../../session/find.ts";
import { deleteSession } from "../../session/stop.ts";
import { readState } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  isRunning,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";

const names = (dir: string) =>
  [...Deno.readDirSync(dir)].map(({ name }) => name);

Deno.test("createSession() starts a command under a memorable id", async () => {
  await using root = new TestRoot();
  const before = Date.now();
  const { id, meta, pids } = await createSession({
    root: root.dir,
    command: ["sleep", "600"],
    labels: { task: "42" },
    cwd: "tests",
  });
  assertMatch(id, /^[a-z]+-[a-z]+$/);
  assert(isRunning(pids.agent));
  assertEquals([meta.kind, meta.cwd], ["exec", `${Deno.cwd()}/tests`]);
  assert(Date.parse(meta.createdAt) >= before - 1);
  const session = await getSession(id, { root: root.dir });
  assertEquals(session.state, { state: "running", pids });
  assertEquals(session.meta?.labels, { task: "42" });
});

Deno.test("createSession() lets exactly one of many creators have an id", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir, command: ["sleep", "600"], id: "mine" };
  const program = `import { createSession } from "${new URL(
    "../../session/create.ts",
    import.meta.url,
  )}";
    try { await createSession(${JSON.stringify(options)}); console.log("won"); }
    catch (error) { console.log(error.code); }`;
  const runs = await Promise.all(
    Array.from(
      { length: 6 },
      () =>
        new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output(),
    ),
  );
  const results = runs.map(({ stdout }) =>
    new TextDecoder().decode(stdout).trim()
  );
  assertEquals(results.toSorted(), [...Array(5).fill("exists"), "won"]);
  assertEquals(names(root.dir), ["mine"]);
});

Deno.test("createSession() leaves nothing when it can't start", async () => {
  await using root = new TestRoot();
  const cases = [
    { command: ["no-such-program"] },
    { command: ["ls"], cwd: "/no/such/directory" },
    {
      command: ["no-such-program"],
      rm: true,
      timeoutMs: 1000,
      kind: "repl" as const,
    },
  ];
  for (const options of cases) {
    await assertRejects(
      () => createSession({ root: root.dir, ...options }),
      SessionError,
    );
  }
  assertEquals(names(root.dir), []);
  assertEquals(root.strays(), []);
});

Deno.test("createSession() refuses what is malformed before it makes anything", async () => {
  await using root = new TestRoot();
  const dir = `${root.dir}/never`;
  const cases: Record<string, unknown>[] = [
    { command: [] },
    { command: ["a\0b"] },
    { command: ["ls"], id: "../x" },
    { command: ["ls"], id: "x".repeat(65) },
    { command: ["ls"], id: "0" },
    { command: ["ls"], env: { "A=B": "1" } },
    { command: ["ls"], kind: "daemon" },
    { command: ["ls"], labels: { "a b": "1" } },
  ];
  for (const options of cases) {
    await assertRejects(
      () => createSession({ root: dir, ...options } as never),
      TypeError,
    );
  }
  const command = ["ls"];
  for (const ms of [0, -1, NaN, Infinity, 1e12, 1e21]) {
    for (const time of [{ timeoutMs: ms }, { timeoutMs: 100, graceMs: ms }]) {
      await assertRejects(
        () => createSession({ root: dir, command, ...time }),
        RangeError,
        "at most ten years",
      );
    }
  }
  assertEquals(names(root.dir), []);
});

Deno.test("createSession() names the argument that has the wrong type or size", async () => {
  await using root = new TestRoot();
  const dir = `${root.dir}/never`;
  const command = ["ls"];
  const wrong: [string, Record<string, unknown>][] = [
    ["command must be an array of strings, got a string", { command: "ls" }],
    ["command must be an array", { command: null }],
    ["command[1] must be a string, got a number", { command: ["ls", 1] }],
    ["command[0] must be a string, got undefined", { command: [, "ls"] }],
    ["env must have strings as values", { command, env: { A: 1 } }],
    ["env must be an object, got an array", { command, env: ["A=1"] }],
    ["labels must have strings", { command, labels: { a: undefined } }],
    ["a value is one line", { command, labels: { a: "b\nc" } }],
    ["control characters", { command, labels: { "a\x1b": "b" } }],
    ["invisible ones", { command, labels: { a: "b\u200b" } }],
    ["signal must be an AbortSignal", { command, signal: "INT" }],
    ["1000", { command, labels: { a: "b".repeat(1001) } }],
    ["timeoutMs must be a number, got a string", { command, timeoutMs: "5" }],
    ["rm must be a boolean", { command, rm: "yes" }],
    ["id must be a string", { command, id: 7 }],
    ["root must be a string", { command, root: 7 }],
  ];
  for (const [words, options] of wrong) {
    await assertRejects(
      () => createSession({ root: dir, ...options } as never),
      ArgumentError,
      words,
    );
  }
  for (const name of ["logLimitBytes", "columns", "rows"]) {
    for (const value of [NaN, -1, 1.5, Infinity]) {
      await assertRejects(
        () => createSession({ root: dir, kind: "pty", command, [name]: value }),
        RangeError,
        `${name} must be a whole number`,
      );
    }
  }
  assertEquals(names(root.dir), []);
});

Deno.test("createSession() refuses what no reader would read", async () => {
  await using root = new TestRoot();
  const long = "\x01".repeat(100_000); // Six bytes each in JSON.
  await assertRejects(
    () => createSession({ root: root.dir, command: ["true", long, long] }),
    TypeError,
    "the limit is 1 MiB",
  );
  assertEquals([...Deno.readDirSync(root.dir)], []);
  const command = ["true", "x".repeat(100_000), "y".repeat(100_000)];
  const { id } = await createSession({ root: root.dir, command });
  const { meta } = await getSession(id, { root: root.dir });
  assertEquals(meta?.argv, command);
});

Deno.test("createSession() says what is wrong with a root", async () => {
  await using root = new TestRoot();
  const command = ["true"];
  const attempt = async (dir: string, words: string) => {
    const error = await assertRejects(
      () => createSession({ root: dir, command }),
      SessionError,
      words,
    );
    assertEquals(error.code, "root_unusable");
  };
  Deno.writeTextFileSync(`${root.dir}/file`, "");
  await attempt(`${root.dir}/file`, "Cannot use the state directory");
  Deno.mkdirSync(`${root.dir}/open`);
  Deno.chmodSync(`${root.dir}/open`, 0o777);
  await attempt(`${root.dir}/open`, "others may write to it");
  assertEquals(names(`${root.dir}/open`), []);
  await attempt("/proc/codex-session", "Cannot use the state directory");
});

Deno.test({
  name: "createSession() refuses a root of somebody else",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using root = new TestRoot();
    Deno.mkdirSync(`${root.dir}/theirs`, { mode: 0o700 });
    Deno.chownSync(`${root.dir}/theirs`, 65534, 65534);
    await assertRejects(
      () => createSession({ root: `${root.dir}/theirs`, command: ["true"] }),
      SessionError,
      "it belongs to user 65534",
    );
    assertEquals(names(`${root.dir}/theirs`), []);
  },
});

Deno.test("createSession() with a timeout ends the whole session and says so", async () => {
  await using root = new TestRoot();
  const { paths, pids } = await createSession({
    root: root.dir,
    command: [
      "sh",
      "-c",
      "trap '' TERM; setsid sleep 600 & echo $!; wait; while :; do sleep 1; done",
    ],
    timeoutMs: 300,
    graceMs: 1000,
  });
  const stray = Number(await until(() => Deno.readTextFileSync(paths.stdout)));
  await until(() => readState(paths).state === "exited", "exited", 20_000);
  assertEquals(readState(paths), {
    state: "exited",
    ending: { signal: "SIGKILL" },
  });
  await until(() => !isRunning(stray) && !isRunning(pids.reaper));
  await until(() => root.strays().length === 0);
  const stop = JSON.parse(Deno.readTextFileSync(paths.stop));
  assertEquals([stop.by, stop.signal], ["timeout", "SIGTERM"]);
});

Deno.test("createSession() with a timeout leaves no watchdog behind an agent that is quicker", async () => {
  await using root = new TestRoot();
  const { paths } = await createSession({
    root: root.dir,
    command: ["true"],
    timeoutMs: 60_000,
  });
  await until(() => readState(paths).state === "exited");
  await until(() => root.strays().length === 0);
  assertEquals(readState(paths), { state: "exited", ending: { code: 0 } });
});

Deno.test("createSession() with rm leaves nothing once it has ended, strays included", async () => {
  await using root = new TestRoot();
  const { paths } = await createSession({
    root: root.dir,
    command: ["sh", "-c", "setsid sleep 600 & exit 3"],
    rm: true,
  });
  await until(() => names(root.dir).length === 0);
  await until(() => root.strays().length === 0);
  await assertRejects(
    () => getSession(paths.id, { root: root.dir }),
    SessionError,
    "No such session",
  );
});

Deno.test("createSession() with rm moves nothing to where a link of its reaper's leads", async () => {
  await using root = new TestRoot();
  const outside = Deno.makeTempDirSync({ dir: root.dir, prefix: "outside" });
  const { paths, pids } = await createSession({
    root: root.dir,
    id: "gone",
    command: ["sh", "-c", 'until [ -e "$0" ]; do sleep 0.01; done', "go"],
    cwd: root.dir,
    rm: true,
  });
  const old = `${root.dir}/.old-gone-${pids.reaper}`;
  Deno.symlinkSync(outside, old);
  Deno.writeTextFileSync(`${root.dir}/go`, "");
  await until(() => !exists(paths.dir));
  await until(() => !isRunning(pids.reaper));
  assertEquals(names(outside), []);
  assertEquals(names(root.dir).sort(), [
    old.slice(root.dir.length + 1),
    "go",
    outside.slice(root.dir.length + 1),
  ]);
});

Deno.test("createSession() gives no process ids that the agent has recorded", async () => {
  await using root = new TestRoot();
  const script = 'echo "4194000 4194001" >"$CODEX_SESSION_DIR/pid"; sleep 60';
  for (let count = 0; count < 5; count++) {
    const command = ["sh", "-c", script];
    const { pids } = await createSession({ root: root.dir, command });
    assert(root.strays().includes(pids.reaper), `${pids.reaper}`);
  }
});

Deno.test("createSession() finds unused names among thousands", async () => {
  await using root = new TestRoot();
  const random = Math.random;
  Math.random = () => 0.5;
  try {
    await createSession({ root: root.dir, command: ["true"] });
    Math.random = () => Math.round(random()) / 2;
    const ids = new Set<string>();
    for (let i = 0; i < 8; i++) {
      ids.add((await createSession({ root: root.dir, command: ["true"] })).id);
    }
    assertEquals(ids.size, 8);
  } finally {
    Math.random = random;
  }
  assertEquals((await listSessions({ root: root.dir })).length, 9);
});

Deno.test({
  name:
    "createSession() on a full disk fails clean, and the end is recorded once there is room",
  ignore: Deno.uid() !== 0 || Deno.build.os !== "linux",
  fn: async () => {
    await using root = new TestRoot();
    const disk = `${root.dir}/disk`;
    Deno.mkdirSync(disk, { mode: 0o700 });
    const mount = new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", disk],
    });
    if (!(await mount.output()).success) return; // A container that may not mount.
    try {
      const { paths, pids } = await createSession({
        root: disk,
        command: ["sleep", "600"],
      });
      const filler = Deno.openSync(`${disk}/filler`, {
        create: true,
        write: true,
      });
      try {
        for (;;) filler.writeSync(new Uint8Array(4096));
      } catch (error) {
        assertMatch(String(error), /No space left/);
      } finally {
        filler.close();
      }
      const error = await assertRejects(
        () => createSession({ root: disk, command: ["true"] }),
        SessionError,
        "No space left",
      );
      assertEquals(error.code, "root_unusable");
      assertEquals(names(disk).toSorted(), ["filler", paths.id].toSorted());

      Deno.kill(pids.agent, "SIGKILL");
      await until(() => !isRunning(pids.agent));
      assert(
        readState(paths).state !== "exited" || isRunning(pids.reaper) === false,
      );
      Deno.removeSync(`${disk}/filler`);
      await until(() => readState(paths).state === "exited");
      assertEquals(readState(paths), {
        state: "exited",
        ending: { signal: "SIGKILL" },
      });
      await until(() => !isRunning(pids.reaper));
    } finally {
      await new Deno.Command("umount", { args: [disk] }).output();
    }
  },
});

Deno.test("a creator that fails after the start leaves no agent, and a harmless failure is none", async () => {
  await using root = new TestRoot();
  const strace = await new Deno.Command("sh", {
    args: ["-c", "command -v strace"],
  }).output();
  if (!strace.success) return console.log("Skipped: strace is not installed");
  for (
    const [call, status] of [["read", 1], ["unlink", 0], ["close", 0]] as const
  ) {
    const id = `broken-${call}`;
    const { code, stderr } = await runCli(
      root.dir,
      ["run", "--id", id, "sleep", "60"],
      {
        prefix: [
          ...["strace", "-qq", "-o", `${root.dir}/trace`],
          ...["-P", `${root.dir}/${id}/ready.pipe`, "-e", `trace=${call}`],
          ...["-e", `inject=${call}:error=EIO:when=1`],
        ],
      },
    );
    assertEquals(code, status, `${call}: ${stderr}`);
    assertEquals(root.strays().length > 0, status === 0, call);
    if (status === 0) await deleteSession(id, { root: root.dir, force: true });
  }
});

Deno.test("createSession() refuses to start in a Worker, which may do all else", async () => {
  await using root = new TestRoot();
  const { id } = await createSession({
    root: root.dir,
    command: ["sh", "-c", "echo hello; sleep 600"],
  });
  const script = `
    import * as all from "${new URL("../../mod.ts", import.meta.url)}";
    const root = "${root.dir}";
    const never = root + "/never";
    const refused = [];
    const paths = all.pathsFor("b", { root: never });
    for (const start of [
      () => all.createSession({ root: never, id: "b", command: ["true"] }),
      () => all.createSession({ root: never, command: ["true"] }),
      () => all.spawnExec(paths, []),
      () => all.spawnRepl(paths, []),
    ]) await start().catch(({ code, message }) => refused.push(code + ": " + message));
    const [found] = await all.listSessions({ root });
    await all.stopSession(found.id, { root });
    const { state } = await all.waitForSession(found.id, { root });
    await all.deleteSession(found.id, { root });
    console.log(JSON.stringify({ refused, found: found.id, state }));
    self.close();`;
  Deno.writeTextFileSync(`${root.dir}/worker.js`, script);
  const main = `new Worker("file://${root.dir}/worker.js", { type: "module" })`;
  Deno.writeTextFileSync(`${root.dir}/main.js`, main);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `${root.dir}/main.js`],
  }).output();
  const text = new TextDecoder();
  assertEquals(text.decode(stderr), "");
  const hint = "in a Worker: start it from the main thread";
  const named = `unsupported: Cannot start session "b" ${hint}`;
  const unnamed = `unsupported: Cannot start a session ${hint}`;
  assertEquals(JSON.parse(text.decode(stdout)), {
    refused: [named, unnamed, named, named],
    found: id,
    state: { state: "exited", ending: { signal: "SIGTERM" } },
  });
  assertEquals(names(root.dir).sort(), ["main.js", "worker.js"]);
});
