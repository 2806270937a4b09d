import { SessionError } from "../errors.ts";
import { createSession } from "../session/create.ts";
import { mkfifo } from "../system/libc.ts";
import { spawnExec, spawnRepl } from "../spawn.ts";
import { pathsFor, readState } from "../store.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  isRunning,
  PROJECT,
  TestRoot,
  until,
} from "./helpers.ts";

async function outputOf(root: TestRoot, id: string, script: string, more = {}) {
  const paths = pathsFor(id, { root: root.dir });
  await spawnExec(paths, ["-c", script], { program: "sh", ...more });
  await until(() => readState(paths).state === "exited");
  return {
    paths,
    stdout: Deno.readTextFileSync(paths.stdout),
    state: readState(paths),
  };
}

Deno.test("spawnExec() detaches the agent and gives it the streams of its kind", async () => {
  await using root = new TestRoot();
  const { paths, stdout } = await outputOf(
    root,
    "facts",
    `readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2
     grep -E '^SigIgn|^SigCgt' /proc/self/status
     cat /proc/self/stat; echo "$CODEX_SESSION_ID $CODEX_SESSION_DIR"; umask
     ls /proc/self/fd; echo oops >&2`,
  );
  const lines = stdout.split("\n");
  assertEquals(lines.slice(0, 3), ["/dev/null", paths.stdout, paths.stderr]);
  // SIGHUP is ignored, and nothing else, whatever the reaper traps and its creator ignores.
  // `deno task` ignores 32 and 33, which are the C library's own and stay as they are.
  const ignored = BigInt(`0x${lines[3]!.split("\t")[1]}`);
  assertEquals(ignored & 0x7fff_ffffn, 1n);
  const [, , , , , sessionId] = lines[5]!.split(" ");
  const pid = Deno.readTextFileSync(paths.pid).split(" ");
  assertEquals(sessionId, pid[0]);
  assertEquals(lines[6], `facts ${paths.dir}`);
  assertEquals(Deno.readTextFileSync(paths.stderr), "oops\n");
  for (const { name } of Deno.readDirSync(paths.dir)) {
    const mode = Deno.statSync(`${paths.dir}/${name}`).mode! & 0o777;
    assertEquals([name, mode], [name, 0o600]);
  }
  assertEquals(Deno.statSync(paths.dir).mode! & 0o777, 0o700);
});

Deno.test("spawnExec() passes arguments verbatim", async () => {
  await using root = new TestRoot();
  const args = [
    "",
    " ",
    "a\nb",
    "$(id) `id` $HOME",
    "'\"\\",
    "--",
    "-n",
    "é日",
    "x".repeat(100_000),
  ];
  const paths = pathsFor("args", { root: root.dir });
  await spawnExec(paths, ["%s\\0", ...args], { program: ["printf"] });
  await until(() => readState(paths).state === "exited");
  assertEquals(
    Deno.readTextFileSync(paths.stdout).split("\0").slice(0, -1),
    args,
  );
});

Deno.test("spawnExec() gives the environment and directory asked for", async () => {
  await using root = new TestRoot();
  const { stdout } = await outputOf(
    root,
    "env",
    'echo "$A"; pwd; echo "${HOME-none}"',
    {
      env: { A: "x=y\nz", PATH: "/usr/bin:/bin" },
      cwd: "/usr",
      clearEnv: true,
    },
  );
  assertEquals(stdout, "x=y\nz\n/usr\nnone\n");
  const meta = JSON.parse(Deno.readTextFileSync(`${root.dir}/env/meta.json`));
  assertEquals(meta.env, ["A", "PATH"]);
});

Deno.test("spawnExec() records codes and signals as what they are", async () => {
  await using root = new TestRoot();
  const cases: [string, unknown][] = [
    ["exit 0", { code: 0 }],
    ["exit 7", { code: 7 }],
    ["exit 127", { code: 127 }],
    ["exit 143", { code: 143 }],
    ["exit 137", { code: 137 }],
    ["kill -TERM $$", { signal: "SIGTERM" }],
    ["kill -KILL $$", { signal: "SIGKILL" }],
    ["kill -INT $$", { signal: "SIGINT" }],
    ["kill -QUIT $$", { signal: "SIGQUIT" }],
    ["kill -USR1 $$", { signal: "SIGUSR1" }],
    ["trap '' HUP; kill -HUP $$; exit 5", { code: 5 }],
  ];
  for (const [index, [script, ending]] of cases.entries()) {
    const { state } = await outputOf(root, `case${index}`, script);
    assertEquals([script, state], [script, { state: "exited", ending }]);
  }
});

Deno.test("the reaper outlives signals to its group and records the end", async () => {
  await using root = new TestRoot();
  for (
    const signal of [
      "HUP",
      "INT",
      "QUIT",
      "TERM",
      "USR1",
      "USR2",
      "PIPE",
      "ALRM",
    ]
  ) {
    const paths = pathsFor(signal, { root: root.dir });
    const { reaper, agent } = await spawnExec(paths, ["600"], {
      program: "sleep",
    });
    const kill = new Deno.Command("kill", {
      args: ["-s", signal, "--", `-${reaper}`],
    });
    assert((await kill.output()).success);
    if (signal === "HUP") {
      assert(isRunning(agent) && isRunning(reaper));
      Deno.kill(agent, "SIGKILL");
    }
    const ending = { signal: signal === "HUP" ? "SIGKILL" : `SIG${signal}` };
    await until(() => readState(paths).state === "exited");
    assertEquals(readState(paths), { state: "exited", ending });
  }
});

Deno.test("spawnExec() fails then and there, and leaves nothing", async () => {
  await using root = new TestRoot();
  const file = (name: string, text: string, mode: number) => {
    Deno.writeTextFileSync(`${root.dir}/${name}`, text, { mode });
    return `${root.dir}/${name}`;
  };
  const cases: [string, Record<string, string>, string, string][] = [
    ["no-such-program", {}, "program_not_found", "not found on PATH"],
    ["/no/such/program", {}, "program_not_found", "no such file"],
    [
      file("script", "#!/no/interpreter\n", 0o755),
      {},
      "program_not_found",
      "interpreter",
    ],
    [
      file("text", "#!/bin/sh\n", 0o644),
      {},
      "not_executable",
      "not an executable program",
    ],
    [file("garbage", "\x7fELFgarbage", 0o755), {}, "not_executable", "format"],
    [root.dir, {}, "not_executable", "not an executable program"],
    ["ls", { cwd: "/no/such/directory" }, "cwd_missing", "does not exist"],
  ];
  for (const [program, more, code, words] of cases) {
    const paths = pathsFor("failing", { root: root.dir });
    const error = await assertRejects(
      () => spawnExec(paths, [], { program, ...more }),
      SessionError,
      words,
    );
    assertEquals(error.code, code);
    assertEquals(root.strays(), []);
  }
  assertEquals(
    [...Deno.readDirSync(root.dir)].filter((e) => e.isDirectory),
    [],
  );
});

Deno.test("spawnExec() refuses a program that looks like an option, or is none", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("x", { root: root.dir });
  await assertRejects(
    () => spawnExec(paths, [], { program: "-c" }),
    TypeError,
    "can't start with",
  );
  await assertRejects(
    () => spawnExec(paths, [], { program: "" }),
    TypeError,
    "empty",
  );
});

Deno.test("spawnExec() never starts a second agent in a directory", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("one", { root: root.dir });
  const starts = await Promise.allSettled(
    Array.from(
      { length: 10 },
      () => spawnExec(paths, ["600"], { program: "sleep" }),
    ),
  );
  assertEquals(starts.filter(({ status }) => status === "fulfilled").length, 1);
  const error = await assertRejects(
    () => spawnExec(paths, []),
    SessionError,
    "already holds a session",
  );
  assertEquals(error.code, "exists");
  assertEquals(readState(paths).state, "running");
});

Deno.test("spawnExec() writes into nothing that stands in its directory", async () => {
  await using root = new TestRoot();
  const outside = `${root.dir}/outside`;
  for (
    const name of ["reaper.sh", "pid", "stdout.log", "reaper.log", "exit"]
  ) {
    Deno.writeTextFileSync(outside, "precious");
    const paths = pathsFor(name.replace(".", "-"), { root: root.dir });
    Deno.mkdirSync(paths.dir);
    Deno.symlinkSync(outside, `${paths.dir}/${name}`);
    const error = await assertRejects(
      () => spawnExec(paths, ["600"], { program: "sleep" }),
      SessionError,
      `already holds the file ${name}`,
    );
    assertEquals(error.code, "exists");
    assertEquals(Deno.readTextFileSync(outside), "precious");
    assertEquals([...Deno.readDirSync(paths.dir)].length, 1);
  }
});

Deno.test("spawnRepl() keeps the input open while nobody sends, and an existing pipe is fine", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("talk", { root: root.dir });
  Deno.mkdirSync(paths.dir);
  assert(
    (await new Deno.Command("mkfifo", { args: [paths.stdin] }).output())
      .success,
  );
  const { agent } = await spawnRepl(paths, [], { program: "cat" });
  for (const text of ["one\n", "two\n"]) {
    // Opened and closed: a reader whose last writer this was would see the end.
    Deno.writeTextFileSync(paths.stdin, text);
    await until(() => Deno.readTextFileSync(paths.stdout).endsWith(text));
  }
  assert(isRunning(agent));
  assertEquals(Deno.readLinkSync(`/proc/${agent}/fd/0`), paths.stdin);
});

Deno.test("the pipe's holder ends with the reaper and the agent, and with neither alone", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("held", { root: root.dir });
  const { reaper, agent } = await spawnRepl(paths, ["600"], {
    program: "sleep",
  });
  const holder = Number(Deno.readTextFileSync(paths.pid).split(" ")[2]);
  assert(isRunning(holder));
  Deno.kill(holder, "SIGTERM");
  Deno.kill(reaper, "SIGKILL");
  await until(() => !isRunning(reaper));
  assert(isRunning(holder));
  Deno.kill(agent, "SIGKILL");
  await until(() => !isRunning(holder));
  assertEquals(readState(paths).state, "lost");
});

Deno.test("an agent holds its session's lock, whichever descriptor was free for that", async () => {
  await using root = new TestRoot();
  const main = `${root.dir}/main.ts`;
  // Nine is what the reaper opens for its report.
  const code = `import { close } from "file://${PROJECT}system/libc.ts";
    import { createSession } from "file://${PROJECT}mod.ts";
    close(9);
    const command = ["sleep", "600"];
    const { pids } = await createSession({ root: "${root.dir}", id: "a", command });
    console.log(pids.agent);
    Deno.exit();`;
  Deno.writeTextFileSync(main, code);
  const { stdout } = await new Deno.Command("sh", {
    args: [
      "-c",
      'exec 9</dev/null; exec "$0" run -A --quiet "$1"',
      Deno.execPath(),
      main,
    ],
  }).output();
  const agent = Number(new TextDecoder().decode(stdout));
  const held = [...Deno.readDirSync(`/proc/${agent}/fd`)]
    .map(({ name }) => Deno.readLinkSync(`/proc/${agent}/fd/${name}`));
  assert(held.includes(`${root.dir}/a/lock`), held.join());
});

Deno.test("an agent's own session does not inherit its lock", async () => {
  await using root = new TestRoot();
  const outer = pathsFor("outer", { root: root.dir });
  const program = `import { pathsFor } from "${new URL(
    "../store.ts",
    import.meta.url,
  )}";
    import { spawnExec } from "${new URL("../spawn.ts", import.meta.url)}";
    await spawnExec(pathsFor("inner", { root: "${root.dir}" }), ["600"], { program: "/bin/sleep" });`;
  // Without its environment, too.
  const home = `HOME=${Deno.env.get("HOME")}`;
  const args = ["-i", home, Deno.execPath(), "eval", program];
  await spawnExec(outer, args, { program: "env" });
  await until(() => readState(outer).state === "exited");
  assertEquals(
    readState(outer),
    { state: "exited", ending: { code: 0 } },
    Deno.readTextFileSync(outer.stderr),
  );
  const inner = pathsFor("inner", { root: root.dir });
  const state = readState(inner);
  assert(state.state === "running");
  Deno.removeSync(outer.exit);
  // The reaper itself ends a moment after it has recorded the end.
  await until(() => readState(outer).state === "lost");
});

Deno.test("spawnExec() works whatever the umask", async () => {
  await using root = new TestRoot();
  const umask = Deno.umask();
  try {
    for (const mask of [0, 0o077, 0o027, 0o177, 0o777]) {
      Deno.umask(mask);
      const { paths, stdout } = await outputOf(root, `umask${mask}`, "umask");
      assertEquals(parseInt(stdout, 8), mask);
      for (const { name } of Deno.readDirSync(paths.dir)) {
        const mode = Deno.statSync(`${paths.dir}/${name}`).mode! & 0o777;
        assertEquals([name, mode], [name, 0o600]);
      }
    }
  } finally {
    Deno.umask(umask);
  }
});

Deno.test("the reaper's script works in every shell that is installed", async () => {
  await using root = new TestRoot();
  const { reaperScript } = await import("../process/reaper.ts");
  const shells = [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], [
    "mksh",
  ]];
  let tried = 0;
  for (const [index, shell] of shells.entries()) {
    const [name] = shell;
    if (
      !(await new Deno.Command("sh", { args: ["-c", `command -v ${name}`] })
        .output()).success
    ) continue;
    tried++;
    for (
      const [script, record] of [["exit 143", "code 143"], [
        "kill -TERM $$",
        "signal 15",
      ]]
    ) {
      const dir = `${root.dir}/${index}-${record!.slice(0, 4)}`;
      Deno.mkdirSync(dir);
      Deno.writeTextFileSync(`${dir}/reaper.log`, "reaper:\n");
      for (const pipe of ["ready.pipe", "stdin.pipe", "eof.pipe"]) {
        await new Deno.Command("mkfifo", { args: [`${dir}/${pipe}`] }).output();
      }
      Deno.writeTextFileSync(`${dir}/reaper.sh`, reaperScript({ pipe: true }));
      const [program, ...args] = [
        ...shell,
        `${dir}/reaper.sh`,
      ];
      const { success } = await new Deno.Command(program!, {
        args: [...args, "sh", "-c", script!],
      }).output();
      assert(success, shell.join(" "));
      assertEquals(
        Deno.readTextFileSync(`${dir}/exit`),
        `${record}\n`,
        shell.join(" "),
      );
      assertStringIncludes(Deno.readTextFileSync(`${dir}/pid`), " ");
    }
  }
  assert(tried >= 1);
});

Deno.test("the reaper records its end in no link's target and waits for no pipe", async () => {
  await using root = new TestRoot();
  const outside = `${root.dir}/outside`;
  Deno.writeTextFileSync(outside, "precious");
  for (const file of ["lock", "exit", "reaper.log"]) {
    for (const how of ["link", "pipe"]) {
      const paths = pathsFor(`${file.replace(".", "-")}-${how}`, {
        root: root.dir,
      });
      const { reaper } = await spawnExec(
        paths,
        ["-c", "until [ -e $CODEX_SESSION_DIR/go ]; do sleep 0.01; done"],
        { program: "sh" },
      );
      const path = `${paths.dir}/${file}`;
      Deno.renameSync(
        file === "exit" ? `${paths.dir}/stderr.log` : path,
        `${paths.dir}/away`,
      );
      if (how === "link") Deno.symlinkSync(outside, path);
      else mkfifo(path);
      Deno.writeTextFileSync(`${paths.dir}/go`, "");
      await until(() => !isRunning(reaper), `${file} ${how}`);
    }
  }
  assertEquals(Deno.readTextFileSync(outside), "precious");
});

Deno.test("the reaper's watchdog ends no stranger that its agent's pid may have become", async () => {
  await using root = new TestRoot();
  await using stranger = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
  const { paths } = await createSession({
    root: root.dir,
    command,
    timeoutMs: 300,
    graceMs: 100,
  });
  const [reaper] = Deno.readTextFileSync(paths.pid).split(" ");
  Deno.writeTextFileSync(paths.pid, `${reaper} ${stranger.pid}\n`);
  await until(() => readState(paths).state === "exited");
  assert(isRunning(stranger.pid));
});

const hasMountNamespaces = Deno.build.os === "linux" && Deno.uid() === 0 &&
  new Deno.Command("unshare", {
    args: ["-m", "mount", "--bind", "/bin/true", "/bin/false"],
    stderr: "null",
  }).outputSync().success;

for (const shell of ["bash", "mksh"]) {
  const path = ["/bin", "/usr/bin"].map((dir) => `${dir}/${shell}`)
    .find((path) => existsFile(path));
  Deno.test({
    name:
      `run tells the truth where sh is ${shell}, which can't report a failed exec${
        path === undefined
          ? " (skipped: it is not installed)"
          : hasMountNamespaces
          ? ""
          : " (skipped: it takes root and mount namespaces)"
      }`,
    ignore: path === undefined || !hasMountNamespaces,
    async fn() {
      await using root = new TestRoot();
      // In a mount namespace of its own, where that shell stands in the place of sh.
      const script = `mount --bind "$1" "$(readlink -f /bin/sh)" || exit
        cli="$2"; shift 2
        for program; do
          for kind in "" -t; do
            "$0" run -A --quiet "$cli" run $kind -- "$program" >/dev/null 2>&1
            echo "$program $?"
          done
        done
        "$0" run -A --quiet "$cli" run --id own -- python3 -c "exit(127)"
        "$0" run -A --quiet "$cli" wait own`;
      const { stdout } = await new Deno.Command("unshare", {
        // deno-fmt-ignore
        args: ["-m", "bash", "-c", script, Deno.execPath(), path!, `${PROJECT}cli.ts`, "nosuch", "/etc/passwd", "/etc", "true"],
        env: { CODEX_SESSION_HOME: root.dir },
      }).output();
      assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
        ...["nosuch 127", "nosuch 127", "/etc/passwd 126", "/etc/passwd 126"],
        ...["/etc 126", "/etc 126", "true 0", "true 0", "own", "own 127"],
      ]);
    },
  });
}

function existsFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
