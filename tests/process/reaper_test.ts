/**
 * `reaper.ts`: the script in the hands of an agent's environment, of strangers that look
 * like the session, of a machine that can't fork; in every shell that is installed.
 *
 * @module
 */
import { createSession } from "../../session/create.ts";
import { getSession } from "../../session/find.ts";
import { pathsFor, readState, readStopRequest } from "../../store.ts";
import { processesAt } from "../../process/members.ts";
import { reaperScript } from "../../process/reaper.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  isRunning,
  PROJECT,
  TestRoot,
  until,
} from "../helpers.ts";
import {
  FORKER,
  hostileEnvironment,
  runIn,
  SHELLS,
  shellTest,
} from "../shells.ts";

const isLinux = Deno.build.os === "linux";
const isRoot = isLinux && Deno.uid() === 0;

for (const shell of SHELLS) {
  shellTest(
    shell,
    "the reaper does the same whatever is in the agent's environment",
    async () => {
      await using root = new TestRoot();
      const trap = `${root.dir}/.trap`;
      Deno.mkdirSync(trap);
      const env = hostileEnvironment(trap);
      const script = `
        import { createSession, waitForSession } from "${PROJECT}mod.ts";
        const root = ${JSON.stringify(root.dir)};
        const env = JSON.parse(Deno.args[0]);
        const start = (id, command, more) => createSession({ root, id, command, env, ...more });
        await start("told", ["/usr/bin/env", "-0"]);
        await createSession({ root, id: "posix", command: ["env", "-0"], env: { POSIXLY_CORRECT: "y" } });
        await start("late", ["/usr/bin/setsid", "/bin/sleep", "600"], { timeoutMs: 100 });
        await start("gone", ["/usr/bin/setsid", "-f", "/bin/sleep", "600"], { rm: true });
        for (const id of ["told", "posix", "late"]) await waitForSession(id, { root });`;
      Deno.writeTextFileSync(`${trap}/start.ts`, script);
      await runIn(shell, [
        ...[Deno.execPath(), "run", "-A", "--quiet", `${trap}/start.ts`],
        JSON.stringify(env),
      ]);
      const late = pathsFor("late", { root: root.dir });
      assertEquals(readState(late), {
        state: "exited",
        ending: { signal: "SIGTERM" },
      });
      assertEquals(readStopRequest(late)?.by, "timeout");
      await until(() => root.strays().length === 0);
      const names = [...Deno.readDirSync(root.dir)].map(({ name }) => name);
      assertEquals(names.sort(), [".trap", "late", "posix", "told"]);
      const told = (id: string) =>
        new Map(
          Deno.readTextFileSync(`${root.dir}/${id}/stdout.log`).split("\0")
            .map((line) => [line.split("=")[0]!, line] as const),
        );
      assertEquals(told("posix").get("POSIXLY_CORRECT"), "POSIXLY_CORRECT=y");
      const seen = told("told");
      for (const [name, value] of Object.entries(env)) {
        // Shells set their own anew, and all but bash drop what is no name for a variable.
        if (["IFS", "PS4", "BASH_VERSION"].includes(name)) continue;
        if (shell !== "bash" && !/^\w+$/.test(name)) continue;
        const expected = `${name}=${value}`;
        const bare = (text?: string) => text?.replaceAll(/\s+/g, " ");
        assertEquals(bare(seen.get(name)), bare(expected));
      }
      const touched = [...Deno.readDirSync(trap)].map(({ name }) => name);
      assertEquals(touched.sort(), ["bin", "rc", "start.ts"]);
    },
  );
}

/** A process with such an environment, which is no session's. */
function stranger(env: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command("sleep", { args: ["600"], env }).spawn();
}

Deno.test({
  name:
    "the reaper ends no process that has the session's directory in another variable",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    const dir = `${root.dir}/late`;
    const mark = `CODEX_SESSION_DIR=${dir}`;
    const environments: Record<string, string>[] = [
      { SAVED: `A=1\n${mark}\nB=2` },
      { SAVED: `\n${mark}` },
      { [`X${mark.split("=")[0]}`]: dir },
      { CODEX_SESSION_DIR: `${dir}\nmore` },
      { CODEX_SESSION_DIR: `${dir}/more` },
    ];
    const strangers = environments.map(stranger);
    try {
      const options = { root: root.dir, timeoutMs: 100, rm: true };
      await createSession({
        ...options,
        id: "late",
        command: ["sleep", "600"],
      });
      await until(() => [...Deno.readDirSync(root.dir)].length === 0);
      assertEquals(
        strangers.map(({ pid }) => isRunning(pid)),
        Array(5).fill(true),
      );
    } finally {
      for (const child of strangers) child.kill("SIGKILL");
      await Promise.all(strangers.map(({ status }) => status));
    }
  },
});

Deno.test({
  name:
    "the reaper finds the session's processes whatever its directory is called",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    const names = [" a ", "a*[b]?", "a\\nb\\", "'\"$(x)`", "é\u{1f600}", "-e"];
    await Promise.all(names.map(async (name) => {
      const dir = `${root.dir}/${name}`;
      const { paths } = await createSession({
        root: dir,
        command: ["setsid", "sleep", "600"],
        timeoutMs: 100,
      });
      await until(() => readState(paths).state === "exited", name);
    }));
    await until(() => root.strays().length === 0);
  },
});

Deno.test({
  name:
    "the reaper finds the session's processes in a directory that is no text",
  ignore: !isLinux,
  async fn() {
    using root = new TestRoot();
    Deno.writeTextFileSync(`${root.dir}/reaper.sh`, reaperScript({ rm: true }));
    const script = `cd "$1" && dir="$1/$(printf 'a\\377b')" && mkdir "$dir" &&
      cp reaper.sh "$dir" && mkfifo "$dir/ready.pipe" && echo reaper: >"$dir/reaper.log" || exit
      CODEX_SESSION_DIR=$dir setsid -w /bin/sh "$dir/reaper.sh" setsid -f sleep 600 3<>"$dir/ready.pipe"
      ls -d a*; grep -ls CODEX_SESSION_DIR="$dir" /proc/[0-9]*/environ`;
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", script, "sh", root.dir],
      stderr: "null",
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "");
  },
});

/** Ignores SIGTERM, under a name that looks like the end of a line of proc_pid_stat(5). */
const ODD_NAME = `import ctypes, os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ctypes.CDLL(None).prctl(15, b"a\\nb) Z 1 1", 0, 0, 0)
print(os.getpid(), flush=True)
signal.pause()`;

Deno.test({
  name:
    "the reaper ends descendants without environment, in kernel sessions of their own, by any name",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    const script = `env -i setsid sleep 600 & echo $!
      env -i setsid sh -c 'sleep 600 & echo $!; wait' &
      env -i python3 -c "$0" & wait`;
    for (const rm of [false, true]) {
      const { paths } = await createSession({
        root: root.dir,
        command: ["sh", "-c", script, ODD_NAME],
        timeoutMs: 1_000,
        graceMs: 200,
        rm,
      });
      const said = () =>
        Deno.readTextFileSync(paths.stdout).trim().split("\n").map(Number);
      await until(() => said().length === 3);
      const pids = said();
      await until(() => !pids.some((pid) => isRunning(pid)));
      await until(() => root.strays().length === 0);
    }
  },
});

Deno.test("the watchdog goes on when the agent sends its group the signal that ends it", async () => {
  await using root = new TestRoot();
  const { paths } = await createSession({
    root: root.dir,
    command: ["sh", "-c", "trap '' USR2; sleep 0.1; kill -s USR2 0; sleep 600"],
    timeoutMs: 600,
  });
  await until(() => readState(paths).state === "exited");
  assertEquals(readStopRequest(paths)?.by, "timeout");
});

Deno.test({
  name: "the reaper leaves a later session in its directory alone",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    const options = { root: root.dir, id: "again" };
    const first = await createSession({
      ...options,
      command: ["sleep", "600"],
      timeoutMs: 500,
      rm: true,
    });
    // Once the watchdog has read the script, and waits.
    await until(() =>
      processesAt(first.paths).some(({ command }) =>
        command.startsWith("sleep 0")
      )
    );
    Deno.removeSync(first.paths.dir, { recursive: true });
    const { paths } = await createSession({
      ...options,
      command: ["setsid", "sleep", "600"],
    });
    await until(() => !isRunning(first.pids.reaper));
    assertEquals(readState(paths).state, "running");
    assertEquals(readStopRequest(paths), undefined);
  },
});

Deno.test({
  name:
    `the reaper and processesAt() leave what sees another directory at the same path${
      isRoot ? "" : " (skipped: it takes root)"
    }`,
  ignore: !isRoot,
  async fn() {
    await using root = new TestRoot();
    const dir = `${root.dir}/late`;
    const inside = new Deno.Command("unshare", {
      args: [
        ...["-m", "sh", "-c"],
        'mount -t tmpfs none "$1" && mkdir "$2" && echo ready && exec sleep 600',
        ...["sh", root.dir, dir],
      ],
      env: { CODEX_SESSION_DIR: dir },
      stdout: "piped",
    }).spawn();
    const reader = inside.stdout.getReader();
    try {
      await reader.read();
      const { paths, pids } = await createSession({
        root: root.dir,
        id: "late",
        command: ["sleep", "600"],
        timeoutMs: 300,
        rm: true,
      });
      assertEquals(
        processesAt(paths).some(({ pid }) => pid === inside.pid),
        false,
      );
      await until(() => !isRunning(pids.reaper));
      assert(isRunning(inside.pid));
    } finally {
      inside.kill("SIGKILL");
      await inside.status;
      await reader.cancel();
    }
  },
});

Deno.test({
  name: `the reaper ends no other user's process${
    isRoot ? "" : " (skipped: it takes root)"
  }`,
  ignore: !isRoot,
  async fn() {
    await using root = new TestRoot();
    const command = [
      ...["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"],
      ...["setsid", "sleep", "600"],
    ];
    const child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      env: { CODEX_SESSION_DIR: `${root.dir}/late` },
    }).spawn();
    try {
      const options = { root: root.dir, timeoutMs: 100, rm: true };
      await createSession({
        ...options,
        id: "late",
        command: ["sleep", "600"],
      });
      await until(() => [...Deno.readDirSync(root.dir)].length === 0);
      assert(isRunning(child.pid));
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  },
});

Deno.test({
  name: `the reaper ends a session in time when nobody can fork any more${
    isRoot ? "" : " (skipped: it takes root)"
  }`,
  ignore: !isRoot,
  async fn() {
    using root = new TestRoot();
    Deno.chmodSync(root.dir, 0o711);
    const dir = `${root.dir}/full`;
    Deno.mkdirSync(dir);
    Deno.writeTextFileSync(`${dir}/forker.py`, FORKER);
    Deno.writeTextFileSync(`${dir}/reaper.log`, "reaper:\n");
    const options = { timeoutMs: 400, graceMs: 200 };
    Deno.writeTextFileSync(`${dir}/reaper.sh`, reaperScript(options));
    // A user whom nobody else is, so that the limit is of these processes alone.
    const user = String(100_000 + Deno.pid % 100_000);
    const script =
      `mkfifo "$1/ready.pipe" && chown -R "$2" "$1" && cd "$1" || exit
      CODEX_SESSION_DIR=$1 timeout 20 setsid -w setpriv --reuid "$2" --regid "$2" --clear-groups \\
        prlimit --nproc=40 /bin/sh "$1/reaper.sh" python3 forker.py 3<>ready.pipe`;
    const { stderr } = await new Deno.Command("sh", {
      args: ["-c", script, "sh", dir, user],
    }).output();
    const end = Deno.readTextFileSync(`${dir}/exit`);
    assertEquals(end, "signal 9\n", new TextDecoder().decode(stderr));
    assertStringIncludes(
      Deno.readTextFileSync(`${dir}/stop.json`),
      '"by":"timeout"',
    );
    await until(() => root.strays().length === 0);
  },
});

Deno.test("the watchdog outlives what an agent sends to its group and to every sleep", async () => {
  await using root = new TestRoot();
  const { id, paths } = await createSession({
    root: root.dir,
    command: ["sh", "-c", "trap '' TERM; kill 0; exec setsid sleep 600"],
    timeoutMs: 300,
    graceMs: 200,
  });
  await until(() => readState(paths).state === "exited");
  const { state } = await getSession(id, { root: root.dir });
  assertEquals(state, { state: "exited", ending: { signal: "SIGKILL" } });
  assertEquals(readStopRequest(paths)?.by, "timeout");
});
