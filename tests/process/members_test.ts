/** The processes of sessions: real ones, that hide in every way that agents do. */
import {
  processesAt,
  processFinder,
  type SessionProcess,
  signalProcess,
} from "../../process/members.ts";
import { locationOf } from "../../process/table.ts";
import { mkfifo } from "../../system/libc.ts";
import { spawnExec, spawnRepl } from "../../spawn.ts";
import { stopSession } from "../../session/stop.ts";
import { type Paths, pathsFor, pathsIn, readState } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  isRunning,
  PROJECT,
  runCli,
  type TestRoot,
  until,
} from "../helpers.ts";
import { LONG, sleeper, test } from "../process_helpers.ts";

/** Starts a shell that runs `script`, `$0` being a file to say something in. */
async function start(
  root: TestRoot,
  id: string,
  script: string,
): Promise<{ paths: Paths; said: string }> {
  const paths = pathsFor(id, { root: root.dir });
  const said = `${root.dir}/${id}.said`;
  await spawnExec(paths, ["-c", script, said], { program: "sh" });
  return { paths, said };
}

const rolesOf = (paths: Paths) =>
  processesAt(paths).map(({ role }) => role).join(" ");

test("processesAt() gives the reaper, the agent and the holder a role", async (root) => {
  const paths = pathsFor("talk", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  const [reaper, agent, helper] = await until(() => {
    const all = processesAt(paths);
    // Right after its exec it has next to nothing in memory.
    const isThere = all.length === 3 && all[1]!.rssBytes > 100_000;
    return isThere ? all : undefined;
  });
  assertEquals(
    [reaper, agent, helper].map((one) => one?.role),
    ["reaper", "agent", "helper"],
  );
  assertEquals(reaper!.pid, pids.reaper);
  assertEquals(agent!.pid, pids.agent);
  assertEquals(agent!.ppid, pids.reaper);
  assertEquals(helper!.ppid, pids.reaper);
  assertEquals(agent!.command, "cat");
  assert(agent!.rssBytes < 100_000_000);
  assert(agent!.cpuMs >= 0 && agent!.cpuMs < 10_000);
  assertEquals(agent!.stopped, false);
});

test("processesAt() takes what the watchdog starts for a helper", async (root) => {
  const { createSession } = await import("../../session/create.ts");
  const { paths } = await createSession({
    command: ["sleep", "101"],
    timeoutMs: 99_000,
    root: root.dir,
  });
  assertEquals((await sleeper(paths, 99)).role, "helper");
  assertEquals((await sleeper(paths, 101)).role, "agent");
});

test("processesAt() finds a child in a kernel session of its own", async (root) => {
  const { paths } = await start(
    root,
    "a",
    "setsid sleep 101 & exec sleep 102",
  );
  const child = await sleeper(paths, 101);
  assertEquals(child.role, "child");
  assertEquals((await sleeper(paths, 102)).role, "agent");
});

test("processesAt() finds a child without environment through its parent", async (root) => {
  const { paths } = await start(
    root,
    "a",
    "env -i setsid sh -c 'sleep 101; :' & sleep 102; :",
  );
  const child = await sleeper(paths, 101);
  assertEquals(child.role, "child");
  assert(!root.strays().includes(child.pid));
});

test("processesAt() finds an orphan without environment by its kernel session", async (root) => {
  const { paths } = await start(
    root,
    "a",
    "(env -i sleep 101 &); exec sleep 102",
  );
  const orphan = await sleeper(paths, 101);
  const { reaper, agent } = await until(() => {
    const [reaper, agent] = processesAt(paths);
    return reaper && agent ? { reaper, agent } : undefined;
  });
  assert(![reaper.pid, agent.pid].includes(orphan.ppid));
  // Its leader dead, the session is still known by the agent in it.
  Deno.kill(reaper.pid, "SIGKILL");
  await until(() => !isRunning(reaper.pid));
  assertEquals((await sleeper(paths, 101)).pid, orphan.pid);
  assertEquals((await sleeper(paths, 102)).role, "agent");
  // Once that is gone nothing tells; but who has seen it knows it.
  Deno.kill(agent.pid, "SIGKILL");
  await until(() => processesAt(paths).length === 0);
  const known = new Map([[orphan.pid, orphan.startTicks]]);
  const [found] = processesAt(paths, { known });
  assertEquals(found?.pid, orphan.pid);
  const other = new Map([[orphan.pid, orphan.startTicks - 1]]);
  assertEquals(processesAt(paths, { known: other }), []);
  assert(signalProcess(paths, found!, 9));
  await until(() => !isRunning(orphan.pid));
});

test("processesAt() leaves a session made by an agent to itself", async (root) => {
  const inner = pathsFor("inner", { root: root.dir });
  const script = `
      import { pathsFor } from "${PROJECT}store.ts";
      import { spawnExec } from "${PROJECT}spawn.ts";
      const paths = pathsFor("inner", { root: "${root.dir}" });
      await spawnExec(paths, ["-c", "env -i sleep 101 & sleep 102; :"], { program: "sh" });
      await new Promise((wake) => setTimeout(wake, 100_000));`;
  Deno.writeTextFileSync(`${root.dir}/inner.ts`, script);
  const outer = pathsFor("outer", { root: root.dir });
  await spawnExec(
    outer,
    ["run", "-A", `${root.dir}/inner.ts`],
    { program: Deno.execPath() },
  );
  await sleeper(inner, 101);
  await sleeper(inner, 102);
  await until(() => rolesOf(outer) === "reaper agent");
  assertEquals(rolesOf(inner), "reaper agent child child");
  const [reaper] = processesAt(inner);
  assertEquals(signalProcess(outer, reaper!, 9), false);
  assert(isRunning(reaper!.pid));
});

test("processesAt() finds an agent that names a directory of no session, or of another", async (root) => {
  const other = await start(root, "other", "exec sleep 101");
  for (const dir of ["/nowhere", "", other.paths.dir]) {
    const id = `a${dir.length}`;
    const { paths } = await start(
      root,
      id,
      `CODEX_SESSION_DIR='${dir}' exec sleep 102`,
    );
    await sleeper(paths, 102);
    assertEquals(rolesOf(paths), "reaper agent");
    const agent = processesAt(paths)[1]!;
    assertEquals(signalProcess(paths, agent, 9), true);
    await until(() => rolesOf(paths) === "");
  }
});

test("processesAt() gives commands as they are, with control characters", async (root) => {
  const { paths } = await start(root, "a", "sleep 101; : '\u001b[31m\n'");
  const { ppid } = await sleeper(paths, 101);
  const agent = processesAt(paths).find(({ pid }) => pid === ppid);
  assertStringIncludes(agent!.command, "'\u001b[31m\n'");
});

test("processesAt() never lists the caller, nor zombies", async (root) => {
  const script = `
      import { processesAt } from "${PROJECT}process/members.ts";
      import { pathsFor } from "${PROJECT}store.ts";
      const all = processesAt(pathsFor("a", { root: "${root.dir}" }));
      console.log(JSON.stringify([Deno.pid, all]));`;
  Deno.writeTextFileSync(`${root.dir}/self.ts`, script);
  const { paths } = await start(
    root,
    "a",
    // The shell becomes a program that never waits for its child.
    `sleep 0 & "${Deno.execPath()}" run -A "${root.dir}/self.ts" >"$0.tmp" 2>&1
       mv "$0.tmp" "$0"; exec sleep 101`,
  );
  const said = await until(() => {
    try {
      return Deno.readTextFileSync(`${root.dir}/a.said`);
    } catch {
      return undefined;
    }
  });
  const [self, all] = JSON.parse(said) as [number, SessionProcess[]];
  assert(!all.some(({ pid }) => pid === self));
  assertEquals(all.map(({ role }) => role), ["reaper", "agent"]);
  await sleeper(paths, 101);
  assertEquals(rolesOf(paths), "reaper agent");
});

test("processesAt() takes a directory whose name only begins alike for another", async (root) => {
  const { paths } = await start(root, "ab", "exec sleep 101");
  await sleeper(paths, 101);
  assertEquals(processesAt(pathsFor("a", { root: root.dir })), []);
  assertEquals(processesAt(pathsFor("abc", { root: root.dir })), []);
  const has = processFinder();
  assert(has(paths));
  assert(!has(pathsFor("a", { root: root.dir })));
});

test("signalProcess() signals no stranger, whatever facts are given for it", async (root) => {
  const { paths } = await start(root, "a", "exec sleep 101");
  const agent = await sleeper(paths, 101);
  const stranger = new Deno.Command("sleep", { args: ["103"] }).spawn();
  try {
    const stat = Deno.readTextFileSync(`/proc/${stranger.pid}/stat`);
    const startTicks = Number(stat.split(") ")[1]!.split(" ")[19]);
    // Right in all but the membership; the agent's facts with its pid; and older.
    const facts = { ...agent, pid: stranger.pid };
    assertEquals(signalProcess(paths, { ...facts, startTicks }, 9), false);
    assertEquals(signalProcess(paths, facts, 9), false);
    const earlier = { ...agent, startTicks: agent.startTicks - 1 };
    assertEquals(signalProcess(paths, earlier, 9), false);
    assertEquals(signalProcess(paths, { ...agent, pid: Deno.pid }, 9), false);
    assertEquals(signalProcess(paths, { ...agent, pid: 1 }, 0), false);
    assert(isRunning(stranger.pid));
    assert(isRunning(agent.pid));
    // The same facts, not from a list, are right for a member.
    assert(signalProcess(paths, { ...agent }, 9));
    await until(() => !isRunning(agent.pid));
    assertEquals(signalProcess(paths, agent, 9), false);
  } finally {
    stranger.kill("SIGKILL");
    await stranger.status;
  }
});

test("processesAt() needs no --allow-all", async (root) => {
  const { paths } = await start(root, "a", "exec sleep 101");
  await sleeper(paths, 101);
  const script = `
      import { processesAt } from "${PROJECT}process/members.ts";
      import { pathsFor } from "${PROJECT}store.ts";
      const all = processesAt(pathsFor("a", { root: "${root.dir}" }));
      console.log(all.map(({ role }) => role).join(" "));`;
  Deno.writeTextFileSync(`${root.dir}/list.ts`, script);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-env",
      "--allow-sys=uid",
      "--allow-ffi",
      "--allow-run=/bin/sh",
      `${root.dir}/list.ts`,
    ],
  }).output();
  const text = new TextDecoder();
  assertEquals(text.decode(stdout), "reaper agent\n", text.decode(stderr));
});

const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;
const needsRoot = isRoot ? "" : " (skipped: it takes root)";

/** Defines a test that takes root. */
function rootTest(name: string, fn: (root: TestRoot) => Promise<void>): void {
  if (isRoot) test(name, fn);
  else Deno.test({ name: `${name}${needsRoot}`, ignore: true, fn() {} });
}

rootTest(
  "processesAt() leaves out other users' processes that carry the directory",
  async (root) => {
    const { paths } = await start(root, "a", "exec sleep 101");
    await sleeper(paths, 101);
    // Wholly theirs; and a program of theirs that runs as the owner, as setuid ones do.
    const users = [["--reuid"], ["--ruid"]];
    const strangers = users.map(([option], index) =>
      new Deno.Command("setpriv", {
        args: [option!, "54321", "sleep", `20${index}`],
        env: { CODEX_SESSION_DIR: paths.dir },
      }).spawn()
    );
    try {
      const named = (pid: number) =>
        Deno.readTextFileSync(`/proc/${pid}/comm`) === "sleep\n";
      await until(() => strangers.every(({ pid }) => named(pid)));
      assertEquals(rolesOf(paths), "reaper agent");
      const startTicks = Number(
        Deno.readTextFileSync(`/proc/${strangers[0]!.pid}/stat`).split(" ")[21],
      );
      for (const { pid } of strangers) {
        assertEquals(signalProcess(paths, { pid, startTicks }, 9), false);
      }
    } finally {
      for (const stranger of strangers) stranger.kill("SIGKILL");
      await Promise.all(strangers.map(({ status }) => status));
    }
  },
);

rootTest(
  "processesAt() keeps a child that has become another user",
  async (root) => {
    const { paths } = await start(
      root,
      "a",
      "setsid setpriv --reuid 54321 --clear-groups sleep 101 & exec sleep 102",
    );
    assertEquals((await sleeper(paths, 101)).role, "child");
  },
);

rootTest(
  "processesAt() and processFinder() touch no path that another user's process names",
  async (root) => {
    // Reading a link changes its time of access, which is old here.
    const link = `${root.dir}/link`;
    Deno.symlinkSync(root.dir, link);
    const day = 86_400_000;
    const longAgo = new Date(Date.now() - 9 * day);
    const touch = ["-h", "-a", "-d", longAgo.toISOString(), link];
    assert((await new Deno.Command("touch", { args: touch }).output()).success);
    const theirs = [
      ...["setpriv", "--reuid", "54321", "--clear-groups"],
      ...["env", `CODEX_SESSION_DIR=${link}/a`, "sleep", "101"],
    ];
    const stranger = new Deno.Command(theirs[0]!, { args: theirs.slice(1) })
      .spawn();
    const { paths } = await start(
      root,
      "a",
      `setsid ${theirs.join(" ")} & echo $!; exec sleep 102`,
    );
    await sleeper(paths, 102);
    const pids = [stranger.pid, Number(Deno.readTextFileSync(paths.stdout))];
    try {
      const named = (pid: number) =>
        Deno.readTextFileSync(`/proc/${pid}/comm`) === "sleep\n";
      await until(() => pids.every(named));
      assertEquals(processFinder(true)(paths), true);
      const [reaper, ...rest] = processesAt(paths);
      const { atime } = Deno.lstatSync(link);
      assert(Date.now() - atime!.getTime() > 8 * day);
      assertEquals(rest.map(({ role }) => role), ["agent"]);
      assertEquals(
        signalProcess(paths, { ...reaper!, pid: pids[1]! }, 9),
        false,
      );
    } finally {
      for (const pid of pids) Deno.kill(pid, "SIGKILL");
      await stranger.status;
    }
  },
);

// Covers its session's directory, in mounts of its own, by a file system that nobody serves.
const COVER = `import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
options = f"fd={os.open('/dev/fuse', os.O_RDWR)},rootmode=40000,user_id=0,group_id=0"
covered = libc.mount(b"x", os.environb[b"CODEX_SESSION_DIR"], b"fuse", 0, options.encode())
print("covered" if covered == 0 else "no FUSE here", flush=True)
signal.pause()
`;

rootTest(
  "processesAt() and the reaper wait for no file system that covers the directory elsewhere",
  async (root) => {
    const { createSession } = await import("../../session/create.ts");
    const command = ["python3", "-c", COVER];
    const start = (id: string, timeoutMs?: number) =>
      createSession({ root: root.dir, id, command, timeoutMs, graceMs: 100 });
    const { paths, pids } = await start("a");
    const said = () => Deno.readTextFileSync(paths.stdout);
    await until(() => said() !== "");
    try {
      if (said() !== "covered\n") return;
      const { paths: late } = await start("late", 300);
      const prefix = ["timeout", "-s", "KILL", "5"];
      const { stdout, stderr } = await runCli(root.dir, ["stop", "a"], {
        prefix,
      });
      assertEquals([stdout, stderr], ["a\n", ""]);
      await until(() => readState(late).state === "exited");
    } finally {
      // Its death ends the waiting for that file system.
      if (isRunning(pids.agent)) Deno.kill(pids.agent, "SIGKILL");
    }
  },
);

rootTest(
  "processesAt() finds a process with mounts of its own that sees the directory",
  async (root) => {
    const script =
      `mount -t tmpfs none "$1/.m t" && env -i CODEX_SESSION_DIR="$1/a" setsid -f sleep 101`;
    Deno.mkdirSync(`${root.dir}/.m t`);
    const paths = pathsFor("a", { root: root.dir });
    const args = [
      "-c",
      `unshare -m sh -c "$0" sh "$1"; exec sleep 102`,
      script,
      root.dir,
    ];
    await spawnExec(paths, args, { program: "sh" });
    await sleeper(paths, 102);
    const { ppid } = await sleeper(paths, 101);
    assert(!processesAt(paths).some(({ pid }) => pid === ppid));
  },
);

test("locationOf() tells nothing of a process that has just ended", async (root) => {
  const { paths } = await start(root, "a", "sleep 0 & echo $!; exec sleep 101");
  await sleeper(paths, 101);
  const pid = Number(Deno.readTextFileSync(paths.stdout));
  await until(() => !isRunning(pid));
  assertEquals(locationOf(pid, paths.dir), undefined);
  assertEquals(locationOf("self", paths.dir)?.endsWith("/a/"), true);
});

test("processesAt() takes no role from the record", async (root) => {
  const paths = pathsFor("a", { root: root.dir });
  const pids = await spawnRepl(paths, [], { program: "cat" });
  await until(() => rolesOf(paths) === "reaper agent helper");
  const holder = processesAt(paths)[2]!.pid;
  for (const record of ["1 1", `${holder} ${holder}`, `${pids.agent} 1`]) {
    Deno.writeTextFileSync(paths.pid, `${record}\n`);
    assertEquals(rolesOf(paths), "reaper agent helper");
  }
});

test("processesAt() takes a child that looks like the reaper for a child", async (root) => {
  const paths = pathsFor("a", { root: root.dir });
  const pipe = `${root.dir}/pipe`;
  mkfifo(pipe);
  // They wait for somebody who opens the pipe; one of them without its parent.
  const like = 'setsid cat "$CODEX_SESSION_DIR/reaper.sh" "$0"';
  const script = `${like} & (${like} &); exec cat`;
  await spawnRepl(paths, ["-c", script, pipe], { program: "sh" });
  const alike = ({ command }: SessionProcess) => command.startsWith("cat /");
  await until(() => processesAt(paths).filter(alike).length === 2);
  assertEquals(rolesOf(paths), "reaper agent child child helper");
});

// Hides as Codex does; leads a kernel session, or starts a child in one, if it is told to.
const HIDER = `import ctypes, os, sys, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
if "lead" in sys.argv: os.setsid()
if "child" in sys.argv and os.fork() == 0:
    os.setsid()
    os.execvp("env", ["env", "-i", "sleep", "1000"])
print("ready", flush=True)
time.sleep(1000)
`;

// Root looks into hidden processes: this is run without the capabilities for it.
const HIDDEN = `
import { spawnExec } from "${PROJECT}spawn.ts";
import { pathsFor } from "${PROJECT}store.ts";
import { processesAt, signalProcess } from "${PROJECT}process/members.ts";
import { isRunning, until } from "${PROJECT}tests/helpers.ts";
const root = Deno.args[0];
const hider = root + "/hider.py";
const hidden = pathsFor("hidden", { root });
const { agent, reaper } = await spawnExec(hidden, [hider, "child"], { program: "python3" });
const seen = pathsFor("seen", { root });
const visible = await spawnExec(seen, ["101"], { program: "sleep" });
await until(() => Deno.readTextFileSync(hidden.stdout) !== "");
for (const pid of [reaper, visible.reaper]) {
  Deno.kill(pid, "SIGKILL");
  await until(() => !isRunning(pid));
}
const told = {};
const tell = (what, paths) =>
  told[what] = processesAt(paths).map(({ role, command }) => role + ": " + command.split(" ").at(-1));
tell("its own", hidden);
// The lock is held in plain sight, by a process that does not descend from the recorded one.
Deno.writeTextFileSync(seen.pid, reaper + " " + agent + "\\n");
tell("another session's", seen);
const said = root + "/said";
Deno.writeTextFileSync(said, "");
const lead = 'exec python3 "$0" lead >"$1"';
const leader = new Deno.Command("sh", { args: ["-c", lead, hider, said] }).spawn();
await until(() => isRunning(leader.pid) && Deno.readTextFileSync(said) !== "");
Deno.writeTextFileSync(hidden.pid, leader.pid + " " + leader.pid + "\\n");
tell("a leader", hidden);
leader.kill("SIGKILL");
Deno.writeTextFileSync(hidden.pid, reaper + " " + agent + "\\n");
for (const paths of [hidden, seen]) {
  for (const one of processesAt(paths)) signalProcess(paths, one, 9);
}
console.log(JSON.stringify(told));
`;

rootTest(
  "processesAt() believes the record of a hidden agent if the kernel agrees",
  async (root) => {
    Deno.writeTextFileSync(`${root.dir}/hider.py`, HIDER);
    Deno.writeTextFileSync(`${root.dir}/hidden.ts`, HIDDEN);
    const { stdout, stderr } = await new Deno.Command("setpriv", {
      args: [
        "--bounding-set=-sys_ptrace,-perfmon,-sys_admin",
        ...[Deno.execPath(), "run", "-A", "--no-check"],
        ...[`${root.dir}/hidden.ts`, root.dir],
      ],
    }).output();
    const text = new TextDecoder();
    assertEquals(text.decode(stderr), "");
    assertEquals(JSON.parse(text.decode(stdout)), {
      // Its child holds the lock in plain sight, and is known by it alone.
      "its own": ["agent: child", "child: 1000"],
      "another session's": ["child: 101"],
      "a leader": [],
    });
  },
);

test("processesAt() finds what an earlier version has started through a link", async (root) => {
  const dir = Deno.realPathSync(root.dir);
  Deno.mkdirSync(`${dir}/h`, { mode: 0o700 });
  Deno.symlinkSync("h", `${dir}/link`);
  for (const [i, written] of [`${dir}/link`, `${dir}/h/`].entries()) {
    const old = pathsIn(`${written}/s${i}`, `s${i}`);
    const { agent, reaper } = await spawnExec(old, [`${LONG}`], {
      program: "sleep",
    });
    const paths = pathsFor(`s${i}`, { root: `${dir}/h` });
    const found = processesAt(paths).map(({ pid, role }) => [pid, role]);
    assertEquals(found, [[reaper, "reaper"], [agent, "agent"]]);
    await stopSession(`s${i}`, { root: `${dir}/link/` });
    assertEquals([isRunning(agent), isRunning(reaper)], [false, false]);
  }
});
