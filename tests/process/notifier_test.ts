/**
 * `notifier.ts`: the program that the reaper starts when its session has ended, and that it
 * harms nothing.
 *
 * @module
 */
import { createSession } from "../../session/create.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import { readOutcome } from "../../events/notify.ts";
import { notifierCommand, notifierOf } from "../../process/notifier.ts";
import { processesAt } from "../../process/members.ts";
import { reaperScript } from "../../process/reaper.ts";
import { newMeta, pathsFor, readState } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  PROJECT,
  SmallDisk,
  TestRoot,
  until,
} from "../helpers.ts";
import { SessionError } from "../../errors.ts";
import { hostileEnvironment, runIn, SHELLS, shellTest } from "../shells.ts";
import { exists } from "../../system/files.ts";

const isLinux = Deno.build.os === "linux";

/** Makes a notifier below a test root, which isn't a session's process: it must end by itself. */
function program(root: TestRoot, script: string, name = "notifier"): string {
  const dir = `${root.dir}/.notifier`;
  Deno.mkdirSync(dir, { recursive: true });
  const path = `${dir}/${name}`;
  Deno.writeTextFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

/** A notifier that keeps what it is told, and its environment, in one file for each event. */
const RECORDS = `
  dir=\${0%/*} name=$CODEX_SESSION_ID.$CODEX_SESSION_EVENT
  { cat; env | grep ^CODEX_SESSION_; pwd; } >"$dir/$name.new"
  mv "$dir/$name.new" "$dir/$name"`;

/** What such a notifier was told. */
async function told(root: TestRoot, name: string) {
  const path = `${root.dir}/.notifier/${name}`;
  await until(() => exists(path), name);
  const [json = "", ...lines] = Deno.readTextFileSync(path).trim().split("\n");
  const variables = Object.fromEntries(
    lines.slice(0, -1).map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
  return { event: JSON.parse(json), variables, cwd: lines.at(-1) };
}

Deno.test("createSession() tells its notifier how the session has ended", async () => {
  await using root = new TestRoot();
  const notify = program(root, `${RECORDS}; exit 7`);
  const labels = { "k'$(x)": 'v"\\`é\u{1f600}' };
  const options = { root: root.dir, notify, labels, cwd: "/" };
  const prompt = "what 'is' \"this\" $(id)";
  await createSession({ ...options, id: "a", prompt, command: ["false"] });
  const { event, variables, cwd } = await told(root, "a.exited");
  const { at, ...rest } = event;
  assertMatch(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const session = { kind: "exec", prompt, cwd: "/", labels, argv: ["false"] };
  const ending = { code: 1 };
  assertEquals(rest, { id: "a", type: "exited", ending, session });
  delete variables.CODEX_SESSION_HOME;
  assertEquals(variables, {
    CODEX_SESSION_ID: "a",
    CODEX_SESSION_EVENT: "exited",
    CODEX_SESSION_EXIT_STATUS: "1",
  });
  assertEquals(cwd, "/");
  const outcome = await until(() => readOutcome(pathsFor("a", options)));
  assertEquals({ ...outcome, at }, { at, event: "exited", exitStatus: 7 });
});

Deno.test("createSession() tells its notifier of sessions of each kind, by each end", async () => {
  await using root = new TestRoot();
  const notify = program(root, RECORDS);
  const options = { root: root.dir, notify };
  const sleep = ["sleep", "600"];
  const repl = { ...options, id: "repl", kind: "repl" } as const;
  const pty = { ...options, id: "pty", kind: "pty" } as const;
  await Promise.all([
    createSession({ ...options, id: "late", command: sleep, timeoutMs: 100 }),
    createSession({ ...options, id: "rm", command: ["true"], rm: true }),
    createSession({ ...pty, command: ["sh", "-c", "exit 5"] }),
    createSession({ ...repl, command: sleep }),
  ]);
  await stopSession("repl", { root: root.dir, killSignal: "KILL" });
  const endings = ["late", "rm", "pty", "repl"].map(async (id) =>
    (await told(root, `${id}.exited`)).event.ending
  );
  assertEquals(await Promise.all(endings), [
    { signal: "SIGTERM" },
    { code: 0 },
    { code: 5 },
    { signal: "SIGKILL" },
  ]);
  assert(!exists(`${root.dir}/rm`));
  const { variables } = await told(root, "late.exited");
  assertEquals(variables.CODEX_SESSION_EXIT_STATUS, "143");
});

Deno.test("createSession() runs a notifier of any name, and interprets nothing", async () => {
  await using root = new TestRoot();
  const names = ["-x", " a'b\"c ", "$(touch x)`id`\\n", "new\nline", "é\x81日"];
  await Promise.all(names.map(async (name, i) => {
    const notify = program(root, RECORDS, name);
    const id = `s${i}`;
    await createSession({ root: root.dir, id, notify, command: ["true"] });
    await told(root, `${id}.exited`);
  }));
});

Deno.test("createSession() refuses a notifier that it can't find", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir, command: ["true"] };
  for (
    const [notify, why] of [
      ["no-such-program", "not found on PATH"],
      ["", "not found on PATH"],
      [`${root.dir}/missing`, "no executable file"],
      [root.dir, "no executable file"],
    ] as const
  ) {
    await assertRejects(
      () => createSession({ ...options, notify }),
      SessionError,
      why,
    );
  }
  assertEquals([...Deno.readDirSync(root.dir)], []);
});

Deno.test("createSession() tells nobody of a start that fails", async () => {
  await using root = new TestRoot();
  const notify = program(root, RECORDS);
  const command = ["/no/such/program"];
  for (const kind of ["exec", "pty"] as const) {
    await assertRejects(
      () => createSession({ root: root.dir, id: kind, kind, notify, command }),
      SessionError,
      "no such file",
    );
  }
  // One that is told, after them.
  await createSession({ root: root.dir, id: "z", notify, command: ["true"] });
  await told(root, "z.exited");
  const names = [...Deno.readDirSync(`${root.dir}/.notifier`)];
  assertEquals(names.map(({ name }) => name).sort(), ["notifier", "z.exited"]);
});

Deno.test("reaperScript() holds nothing of notifiers without one", () => {
  for (const rm of [false, true]) {
    const script = reaperScript({ rm, timeoutMs: 1000, pipe: true });
    assertEquals(/tell|notif/.exec(script), null);
  }
});

Deno.test("a hanging notifier delays neither stop nor delete, and brings no directory back", async () => {
  await using root = new TestRoot();
  const notify = program(
    root,
    `echo $$ >"\${0%/*}/pid.new"; mv "\${0%/*}/pid.new" "\${0%/*}/pid"
     while [ ! -e "\${0%/*}/go" ]; do sleep 0.01; done; exec touch "\${0%/*}/gone"`,
  );
  const options = { root: root.dir };
  const { paths } = await createSession({
    ...options,
    notify,
    id: "a",
    command: ["sleep", "600"],
  });
  const before = performance.now();
  await stopSession("a", options);
  assertEquals(processesAt(paths), []);
  await until(() => exists(`${root.dir}/.notifier/pid`));
  assertEquals(processesAt(paths), []);
  assertEquals(readState(paths).state, "exited");
  await deleteSession("a", options);
  assert(performance.now() - before < 5000, "it waited for the notifier");
  Deno.writeTextFileSync(`${root.dir}/.notifier/go`, "");
  await until(() => exists(`${root.dir}/.notifier/gone`));
  const names = [...Deno.readDirSync(root.dir)].map(({ name }) => name);
  assertEquals(names, [".notifier"]);
});

Deno.test({
  name:
    "processesAt() lists what looks like a notifier and carries the session's directory",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    const command = ["sh", "-c", "sleep 600; :", "codex-session-notifier"];
    const { paths } = await createSession({ root: root.dir, command });
    const roles = processesAt(paths).map(({ role }) => role);
    assertEquals(roles.slice(0, 2), ["reaper", "agent"]);
  },
});

Deno.test({
  name: "a notifier's outcome is recorded on a full disk",
  ignore: !isLinux || Deno.uid() !== 0,
  async fn() {
    await using root = new TestRoot();
    await using disk = await SmallDisk.mount(`${root.dir}/disk`, "256k");
    if (disk === undefined) return; // In a container that may not mount.
    assertEquals(await outcomeOf(root, "exit 5", { disk }), 5);
  },
});

/** Runs a notifier as the relay does, with another limit and in another shell; until it has ended. */
async function outcomeOf(
  root: TestRoot,
  script: string,
  { seconds = "10", disk, shell }: {
    seconds?: string;
    disk?: SmallDisk;
    shell?: string;
  } = {},
) {
  const notify = program(root, script);
  const dir = Deno.makeTempDirSync({ dir: disk?.dir ?? root.dir });
  Deno.writeTextFileSync(`${dir}/notify.json`, "null".padEnd(127) + "\n");
  disk?.fill();
  const meta = newMeta({ id: "a", kind: "exec", argv: [], cwd: "/", notify });
  const command = notifierCommand(notifierOf(meta)!, { at: "now" })
    .map((word) => word.replace("sleep 10", `sleep ${seconds}`));
  // It ends by killing its group: not that of this `sh`, since setsid(1) leads none.
  const start = 'cd "$1"; shift; CODEX_SESSION_EVENT=done "$@"; true';
  const words = ["sh", "-c", start, "sh", dir, ...command];
  await (shell === undefined
    ? new Deno.Command(words[0]!, { args: words.slice(1) }).output()
    : runIn(shell, words));
  const path = `${dir}/notify.json`;
  const outcome = readOutcome({ notify: path })!;
  assertEquals(Deno.statSync(path).size, 128);
  return "timedOut" in outcome ? "timed out" : outcome.exitStatus;
}

Deno.test({
  name: "a notifier that fails, hangs, stops itself or floods is ended",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    assertEquals(await outcomeOf(root, "exit 3"), 3);
    assertEquals(await outcomeOf(root, "yes | head -c 1000000; exit 4"), 4);
  },
});

for (const shell of SHELLS) {
  shellTest(
    shell,
    "a notifier's program is killed in time, and nothing is after its end",
    async () => {
      await using root = new TestRoot();
      const limit = { shell, seconds: "0.2" };
      const stray = `${root.dir}/.notifier/stray`;
      const strays = `sleep 600 & echo $! >"${stray}"; sleep 600`;
      assertEquals(await outcomeOf(root, strays, limit), "timed out");
      await until(() => hasEnded(Deno.readTextFileSync(stray).trim()));
      assertEquals(await outcomeOf(root, "kill -STOP $$", limit), "timed out");
      // As after SIGKILL. No timer may wait and then kill the next process of its number.
      const before = performance.now();
      assertEquals(await outcomeOf(root, "exit 137", { shell }), 137);
      await until(() => !isNamed(`${root.dir}/.notifier/notifier`));
      assert(performance.now() - before < 8000, "it waited for its timer");
    },
  );
}

/** Tells whether a process has an argument. */
function isNamed(argument: string): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    try {
      return Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0")
        .includes(argument);
    } catch {
      return false; // It is no process, or has ended.
    }
  });
}

function hasEnded(pid: string): boolean {
  return !exists(`/proc/${pid}`) || isZombie(pid);
}

function isZombie(pid: string): boolean {
  return /\) Z /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
}

for (const shell of SHELLS) {
  shellTest(
    shell,
    "the notifier does the same whatever is in the agent's environment",
    async () => {
      await using root = new TestRoot();
      const trap = `${root.dir}/.trap`;
      Deno.mkdirSync(trap);
      const notify = program(root, `PATH=/usr/bin:/bin; ${RECORDS}; exit 9`);
      const script = `
        import { createSession, waitForSession } from "${PROJECT}mod.ts";
        const root = ${JSON.stringify(root.dir)};
        const env = JSON.parse(Deno.args[0]);
        const notify = ${JSON.stringify(notify)};
        const start = (id, command, more) => createSession({ root, id, command, env, notify, ...more });
        await start("done", ["/bin/sh", "-c", "exit 6"]);
        await start("gone", ["/bin/true"], { rm: true });
        await start("late", ["/bin/sleep", "600"], { timeoutMs: 100 });
        for (const id of ["done", "late"]) await waitForSession(id, { root });`;
      Deno.writeTextFileSync(`${trap}/start.ts`, script);
      await runIn(shell, [
        ...[Deno.execPath(), "run", "-A", "--quiet", `${trap}/start.ts`],
        JSON.stringify(hostileEnvironment(trap)),
      ]);
      for (
        const [id, ending] of [
          ["done", { code: 6 }],
          ["gone", { code: 0 }],
          ["late", { signal: "SIGTERM" }],
        ] as const
      ) {
        const { event } = await told(root, `${id}.exited`);
        assertEquals(event.ending, ending);
      }
      const paths = pathsFor("done", { root: root.dir });
      const outcome = await until(() => readOutcome(paths));
      assert("exitStatus" in outcome && outcome.exitStatus === 9);
      const touched = [...Deno.readDirSync(trap)].map(({ name }) => name);
      assertEquals(touched.sort(), ["bin", "rc", "start.ts"]);
    },
  );
}
