import {
  type Finished,
  runCli,
  startCli,
  TestRoot,
  until,
} from "../helpers.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  isRunning,
} from "../helpers.ts";
import { pathsFor, readState } from "../../store.ts";

/** Runs a call that must succeed and print nothing on standard error. */
async function ok(root: TestRoot, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(root.dir, args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

/** Runs a call that must fail with a status, in one line that has `words`. */
async function fails(
  root: TestRoot,
  status: number,
  words: string,
  ...args: string[]
): Promise<Finished> {
  const finished = await runCli(root.dir, args);
  assertEquals(finished.code, status, `${args.join(" ")}: ${finished.stderr}`);
  assertStringIncludes(finished.stderr, words);
  const lines = finished.stderr.trimEnd().split("\n");
  assert(lines.length === 1 || lines[1]!.startsWith("Try: "), finished.stderr);
  return finished;
}

const stateOf = (root: TestRoot, id: string) =>
  readState(pathsFor(id, { root: root.dir })).state;
const ended = (root: TestRoot, id: string) =>
  until(() => stateOf(root, id) === "exited", `${id} has ended`);

Deno.test("run prints the id alone, and the session outlives it", async () => {
  await using root = new TestRoot();
  assertMatch(await ok(root, "run", "--", "sleep", "600"), /^[a-z]+-[a-z]+\n$/);
  assertEquals(
    await ok(root, "run", "--id", "named", "sleep", "600"),
    "named\n",
  );
  assertEquals(stateOf(root, "named"), "running");
  const facts = JSON.parse(await ok(root, "run", "--json", "sleep", "600"));
  assert(isRunning(facts.pid));
  assertEquals(Object.keys(facts), ["id", "dir", "pid"]);
});

Deno.test("run gives the command its arguments, environment, directory and labels", async () => {
  await using root = new TestRoot();
  Deno.writeTextFileSync(
    `${root.dir}/vars`,
    "# comment\n\nA=from file\nB=b=b\n",
  );
  await ok(
    root,
    "run",
    "--id",
    "x",
    "--cwd",
    "/usr",
    "-e",
    "A=x=y z",
    "--env-file",
    `${root.dir}/vars`,
    "-l",
    "task=1",
    "--label=who=me",
    "sh",
    "-c",
    'pwd; echo "$A,$B"; printf "%s\\n" "$@"',
    "--",
    "-a",
    "--",
    "$(id)",
  );
  await ended(root, "x");
  assertEquals(await ok(root, "logs", "x"), "/usr\nx=y z,b=b\n-a\n--\n$(id)\n");
  const [shown] = JSON.parse(await ok(root, "show", "x"));
  assertEquals([shown.labels, shown.env, shown.exitCode], [
    { task: "1", who: "me" },
    ["A", "B"],
    0,
  ]);
  assertEquals(
    await ok(root, "list", "-q", "-l", "task=1", "-l", "who=me"),
    "x\n",
  );
  assertEquals(await ok(root, "list", "-q", "-l", "task=2"), "");
});

Deno.test("create starts the Codex agent with everything after the kind verbatim", async () => {
  await using root = new TestRoot();
  const env = {
    CODEX_SESSION_EXEC: "printf '%s|'",
    CODEX_SESSION_REPL: "sh -c 'cat -A'",
  };
  const run = (...args: string[]) => runCli(root.dir, args, { env });
  const words = ["--json", "-x", "--id=z", "do it"];
  const { stdout, stderr } = await run("create", "--id", "e", "exec", ...words);
  assertEquals(stdout, "e\n");
  assertEquals(
    stderr,
    "codex-session: --id after the kind goes to the agent; for codex-session put it before: create --id=z exec\n",
  );
  await ended(root, "e");
  assertEquals(await ok(root, "logs", "e"), "--json|-x|--id=z|do it|");
  assertStringIncludes(await ok(root, "list"), "--json -x --id=z 'do it'");
  const repl = await run("create", "--id", "r", "repl", "--", "--rm");
  assertEquals([repl.code, repl.stderr], [0, ""]);
  await ok(root, "send", "r", "a\tb");
  await until(async () => await ok(root, "logs", "r") === "a^Ib$\n");
  const none = { env: { PATH: "/nowhere" } };
  const missing = await runCli(root.dir, ["create", "exec", "x"], none);
  assertEquals(missing.code, 127);
  assertStringIncludes(missing.stderr, "npm install -g @openai/codex");
  await fails(root, 2, "use exec, repl or pty", "create", "ls");
  await fails(root, 2, "Missing argument: expected a kind", "create");
});

Deno.test("each kind of failure has its exit status", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "live", "sleep", "600");
  await ok(root, "run", "--id", "livid", "sleep", "600");
  const cases: [number, string, string[]][] = [
    [1, "id is taken", ["run", "--id", "live", "true"]],
    [1, "does not exist", ["run", "--cwd", "/no/where", "true"]],
    [1, "is not a directory", ["run", "--cwd", "/etc/passwd", "true"]],
    [2, "Unknown command", ["frobnicate"]],
    [2, 'Unknown command "a(b"', ["a(b"]],
    [2, 'did you mean "create exec"', ["exec", "fix it"]],
    [2, 'did you mean "list"', ["lst"]],
    [2, "codex-session list --json", ["--json", "list"]],
    [2, 'Unexpected argument "x"', ["--version", "x"]],
    [2, "prints no JSON", ["logs", "--json", "live"]],
    [2, "--json with --attach", ["run", "-a", "--json", "true"]],
    [2, "always run in the background", ["run", "-d", "true"]],
    [2, "ten years at most", ["run", "--timeout", "300000d", "true"]],
    [2, "Unknown option", ["run", "--frobnicate", "true"]],
    [2, "Missing argument: expected a command", ["run"]],
    [2, "Invalid session id", ["run", "--id", "../x", "true"]],
    [2, "Invalid session id", ["run", "--id", "x".repeat(65), "true"]],
    [2, "use KEY=VALUE", ["run", "-e", "A", "true"]],
    [2, "Invalid duration", ["run", "--timeout", "soon", "true"]],
    [2, "greater than 0", ["run", "--timeout", "0", "true"]],
    [2, "Unknown state", ["list", "--state", "happy"]],
    [2, "Unknown type of event", ["events", "--type", "exited,moved"]],
    [2, "the state of a session changes", ["events", "-f", "--state", "lost"]],
    [2, "name sessions, or use", ["events", "--all", "live"]],
    [2, "Unknown signal", ["stop", "-s", "NOPE", "live"]],
    [2, "Nothing to send: give TEXT", ["send", "live"]],
    [2, "must follow --: send live -- '- x'", ["send", "live", "- x"]],
    [2, "Missing argument: expected a session", ["stop"]],
    [2, 'Unexpected argument "b": expected one session', ["logs", "a", "b"]],
    [3, "No such session", ["logs", "nobody"]],
    [3, "it could be", ["show", "liv"]],
    [4, "is running", ["delete", "live"]],
    [4, "takes no input", ["send", "live", "x"]],
    [124, "Timed out after 50 ms", ["wait", "--timeout", "50ms", "live"]],
    [126, "not an executable", ["run", "/"]],
    [127, "session run -- sleep 9", ["run", "sleep 9"]],
    [127, "run -- sh -c 'x | cat'", ["run", "x | cat"]],
    [127, "not found", ["run", "no-such-program"]],
  ];
  const SESSION_COMMANDS =
    "show attach logs screen send wait stop delete events"
      .split(" ");
  for (const name of SESSION_COMMANDS) {
    const text = name === "send" ? ["x"] : [];
    cases.push(
      [2, "Unknown option --bogus", [name, "--bogus"]],
      [3, "No such session", [name, "nobody", ...text]],
      [3, "it could be", [name, "liv", ...text]],
    );
  }
  while (cases.length > 0) {
    await Promise.all(
      cases.splice(0, 4).map(([status, words, args]) =>
        fails(root, status, words, ...args)
      ),
    );
  }
  assertEquals((await ok(root, "list", "-q")).split("\n").length, 3);
});

Deno.test("a variable that is given wrongly is not printed", async () => {
  await using root = new TestRoot();
  const file = `${root.dir}/env`;
  for (const line of ["sk-secret", "=sk-secret", "export sk-secret"]) {
    Deno.writeTextFileSync(file, `# Keys.\nA=1\n\n${line}\n`);
    const { code, stderr } = await runCli(root.dir, [
      ...["run", "--env-file", file, "true"],
    ]);
    const said = `codex-session: Invalid line 4 in "${file}": use NAME=VALUE`;
    assertEquals([code, stderr.split("\n")[0]], [2, said]);
    assert(!stderr.includes("secret"), stderr);
  }
  const { stderr } = await runCli(root.dir, ["run", "-e", "sk-x", "true"]);
  assert(!stderr.includes("sk-x"), stderr);
});

Deno.test("with --json an error is JSON with a stable code", async () => {
  await using root = new TestRoot();
  const codeOf = async (...args: string[]) => {
    const { stderr } = await runCli(root.dir, [...args, "--json"]);
    return JSON.parse(stderr).error.code;
  };
  assertEquals(await codeOf("show", "nobody"), "not_found");
  assertEquals(await codeOf("list", "--bogus"), "usage");
  assertEquals(await codeOf("frobnicate"), "usage");
  const run = await runCli(root.dir, ["run", "--json", "no-such-program"]);
  assertEquals(JSON.parse(run.stderr).error.code, "program_not_found");
});

Deno.test("list shows a table that is harmless and cut to the terminal", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "first", "sh", "-c", "echo 12345; exit 3");
  await ended(root, "first");
  await ok(
    root,
    "run",
    "--id",
    "second",
    "sh",
    "-c",
    "sleep 600 # \x1b[31mred\n" + "x".repeat(300),
  );
  const lines = (await ok(root, "list")).trimEnd().split("\n");
  assertMatch(
    lines[0]!,
    /^# +ID +PID +KIND +STATE +CLIENTS +OUT +ERR +LAST +CREATED +COMMAND$/,
  );
  assertMatch(
    lines[1]!,
    /^0 +second +\d+ +exec +running +- +0 +0 +- +\w+ +sh -c \$'sleep 600 # \\x1b\[31mred\\n/,
  );
  assertMatch(
    lines[2]!,
    /^1 +first +- +exec +exited 3 +- +6 +0 +\w+ +\w+ +sh -c 'echo 12345; exit 3'$/,
  );
  assertEquals(await ok(root, "ps", "-q", "--state", "exited"), "first\n");
  const json = JSON.parse(await ok(root, "ls", "--json"));
  assertEquals(json.map(({ id }: { id: string }) => id), ["second", "first"]);
  const tty = new Deno.Command("script", {
    args: [
      "-qec",
      `stty cols 60; ${Deno.execPath()} run -A ${
        new URL("../../cli.ts", import.meta.url).pathname
      } list`,
      "/dev/null",
    ],
    env: { CODEX_SESSION_HOME: root.dir, NO_COLOR: "1" },
  });
  const shown = new TextDecoder().decode((await tty.output()).stdout).trimEnd()
    .split("\r\n");
  // Deno may have something to say of its cache first; that is not ours.
  const table = shown.slice(-3);
  assertEquals(table.map((line) => line.length <= 60), [true, true, true]);
  assert(table[1]!.endsWith("…"));
});

Deno.test("show tells everything, processes included", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "--id",
    "s",
    "sh",
    "-c",
    "setsid sleep 600 & sleep 600",
  );
  const [shown] = await until(async () => {
    const all = JSON.parse(await ok(root, "show", "s"));
    return all[0].processes.length === 4 ? all : undefined;
  });
  const roles = shown.processes.map(({ role }: { role: string }) => role)
    .toSorted();
  assertEquals(roles, ["agent", "child", "child", "reaper"]);
  assert(
    shown.processes.every((one: { rssBytes: number }) => one.rssBytes > 0),
  );
  assert(
    shown.durationMs >= 0 && shown.startedAt !== null && shown.endedAt === null,
  );
  await ok(root, "stop", "-s", "KILL", "s");
  const [after] = JSON.parse(await ok(root, "show", "s"));
  assertEquals([after.signal, after.stopped.by, after.stopped.signal], [
    "SIGKILL",
    "stop",
    "SIGKILL",
  ]);
  assertEquals(after.processes, []);
  const mixed = await runCli(root.dir, ["show", "s", "nobody"]);
  assertEquals([mixed.code, JSON.parse(mixed.stdout).length], [3, 1]);
});

Deno.test("logs gives bytes as written, the last lines, and either stream", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "--id",
    "l",
    "sh",
    "-c",
    "printf 'a\\377\\nb\\nc'; echo oops >&2",
  );
  await ended(root, "l");
  const raw = await startCli(root.dir, ["logs", "l"]);
  raw.stdin.close();
  assertEquals(
    (await raw.output()).stdout,
    new Uint8Array([97, 255, 10, 98, 10, 99]),
  );
  assertEquals(await ok(root, "logs", "--stdout", "-n", "2", "l"), "b\nc");
  // Both, each on its own; one alone on standard output.
  for (const command of [["logs"], ["logs", "-f"], ["attach"]]) {
    const shown = async (...options: string[]) => {
      const args = [...command, "-n", "1", ...options, "l"];
      const { stdout, stderr } = await runCli(root.dir, args);
      return [stdout, stderr];
    };
    assertEquals(await shown(), ["c", "oops\n"]);
    assertEquals(await shown("--stdout", "--stderr"), ["c", "oops\n"]);
    assertEquals(await shown("--stderr"), ["oops\n", ""]);
    assertEquals(await shown("--stdout"), ["c", ""]);
  }
});

Deno.test("logs -f follows until the session ends", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "f", "cat");
  const follow = startCli(root.dir, ["logs", "-f", "f"]);
  follow.stdin.close();
  const output = follow.output();
  for (const line of ["one", "two"]) await ok(root, "send", "f", line);
  await ok(root, "send", "f", "--no-newline", "three");
  await ok(root, "send", "f", "--eof");
  const { code, stdout } = await output;
  assertEquals([code, new TextDecoder().decode(stdout)], [
    0,
    "one\ntwo\nthree",
  ]);
});

Deno.test("a closed pipe ends a command quietly", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "y", "sh", "-c", "yes | head -c 3000000");
  await ended(root, "y");
  for (
    const command of [
      "logs y",
      "logs -f y",
      "attach y",
      "list",
      "list --json",
      "--help",
    ]
  ) {
    const cli = `"${Deno.execPath()}" run -A "${
      new URL("../../cli.ts", import.meta.url).pathname
    }"`;
    const shell = new Deno.Command("bash", {
      args: [
        "-c",
        `${cli} ${command} </dev/null | head -c 1 >/dev/null; echo "\${PIPESTATUS[0]}"`,
      ],
      env: { CODEX_SESSION_HOME: root.dir },
    });
    const { stdout, stderr } = await shell.output();
    assertEquals(new TextDecoder().decode(stderr), "", command);
    assertMatch(new TextDecoder().decode(stdout), /^(0|141)\n$/);
  }
});

Deno.test("send reaches the agent whole, from words, standard input and many senders", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "s", "cat");
  await ok(root, "send", "s", "two", "words  ", "$(id)");
  const binary = new Uint8Array(300_000).map((_, i) => i % 251);
  const { code } = await runCli(root.dir, ["send", "s", "--stdin"], {
    stdin: binary,
  });
  assertEquals(code, 0);
  const line = (name: string) => name.repeat(100_000);
  await Promise.all(
    ["x", "y", "z"].map((name) =>
      runCli(root.dir, ["send", "s", "--stdin"], { stdin: line(name) + "\n" })
    ),
  );
  await ok(root, "send", "s", "--eof");
  assertEquals(await ok(root, "wait", "s"), "s 0\n");
  const bytes = Deno.readFileSync(`${root.dir}/s/stdout.log`);
  const head = "two words   $(id)\n";
  assertEquals(new TextDecoder().decode(bytes.subarray(0, head.length)), head);
  assertEquals(
    bytes.subarray(head.length, head.length + binary.length),
    binary,
  );
  const rest = new TextDecoder().decode(
    bytes.subarray(head.length + binary.length),
  );
  assertEquals(
    rest.trimEnd().split("\n").toSorted(),
    ["x", "y", "z"].map(line),
  );
  await fails(root, 4, "exited with code 0", "send", "s", "more");
});

Deno.test("send says how much an agent that doesn't read has taken", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "deaf", "sleep", "600");
  const { code, stderr } = await runCli(root.dir, [
    "send",
    "deaf",
    "--stdin",
    "--timeout",
    "200ms",
  ], {
    stdin: new Uint8Array(200_000),
  });
  assertEquals(code, 1);
  assertMatch(stderr, /65536 (of|bytes)/);
  await ok(
    root,
    "run",
    "-i",
    "--id",
    "shut",
    "sh",
    "-c",
    "exec <&-; sleep 600",
  );
  await fails(root, 4, "", "send", "--timeout", "1s", "shut", "x");
});

Deno.test("wait prints each end and takes the agent's status", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "good", "true");
  await ok(root, "run", "--id", "bad", "sh", "-c", "exit 7");
  await ok(root, "run", "--id", "killed", "sh", "-c", "kill -9 $$");
  const all = await runCli(root.dir, ["wait", "good", "killed", "bad"]);
  assertEquals(all.stdout.trimEnd().split("\n").toSorted(), [
    "bad 7",
    "good 0",
    "killed 137",
  ]);
  assertEquals(all.code, 137);
  assertEquals((await runCli(root.dir, ["wait", "bad"])).code, 7);
  assertEquals((await runCli(root.dir, ["wait", "good", "nobody"])).code, 3);
});

Deno.test("wait learns the status of a session that is deleted at its end", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "-i",
    "--rm",
    "--id",
    "brief",
    "sh",
    "-c",
    "read x; exit 9",
  );
  const wait = startCli(root.dir, ["wait", "brief"]);
  wait.stdin.close();
  const attach = startCli(root.dir, ["attach", "brief"]);
  // Subscribed once they have the lock file open: only then the agent may end.
  const hasLock = (pid: number) => {
    const links = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      } catch {
        return "";
      }
    });
    return links.includes(`${root.dir}/brief/lock`);
  };
  await until(() => hasLock(wait.pid) && hasLock(attach.pid));
  await ok(root, "send", "brief", "go");
  assertEquals((await wait.output()).code, 9);
  attach.stdin.close();
  assertEquals((await attach.output()).code, 9);
  await until(() => [...Deno.readDirSync(root.dir)].length === 0);
});

Deno.test("stop and delete handle several and report each failure", async () => {
  await using root = new TestRoot();
  for (const id of ["a", "b", "c"]) {
    await ok(root, "run", "--id", id, "sleep", "600");
  }
  const stop = await runCli(root.dir, ["stop", "a", "nobody", "b"]);
  assertEquals([stop.code, stop.stdout.split("\n").toSorted()], [3, [
    "",
    "a",
    "b",
  ]]);
  assertStringIncludes(stop.stderr, "nobody");
  assertEquals([stateOf(root, "a"), stateOf(root, "c")], ["exited", "running"]);
  // Different failures have no status in common.
  const rm = await runCli(root.dir, ["rm", "a", "c", "nobody", "b"]);
  assertEquals(rm.code, 1);
  assertStringIncludes(rm.stderr, "-f");
  assertEquals(await ok(root, "list", "-q"), "c\n");
  assertEquals(await ok(root, "rm", "-f", "0"), "c\n");
  assertEquals(root.strays(), []);
});

Deno.test("stop ends an agent that ignores the signal after the grace period", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "--id",
    "stubborn",
    "sh",
    "-c",
    "trap '' TERM; while :; do sleep 1; done",
  );
  await ok(root, "stop", "-t", "300ms", "stubborn");
  const [shown] = JSON.parse(await ok(root, "show", "stubborn"));
  assertEquals([shown.state, shown.signal], ["exited", "SIGKILL"]);
  assertEquals(root.strays(), []);
});

Deno.test("damaged sessions are listed, and only deleted by force", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "d", "true");
  await ended(root, "d");
  await ok(root, "run", "--id", "e", "true");
  Deno.writeTextFileSync(`${root.dir}/d/meta.json`, '{"format":');
  assertMatch(
    await ok(root, "list"),
    /\bd +- +- +damaged .* meta.json is not JSON/,
  );
  await fails(root, 4, "-f", "delete", "d");
  await ok(root, "delete", "-f", "d");
  assertEquals(await ok(root, "list", "-q"), "e\n");
});

Deno.test("prune deletes what has ended and says how much", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "live", "sleep", "600");
  await ok(root, "run", "--id", "done", "echo", "12345");
  await ended(root, "done");
  const dry = await runCli(root.dir, ["prune", "--dry-run"]);
  assertEquals(dry.stdout, "done\n");
  assertMatch(dry.stderr, /^Would delete 1 session, [\d.]+ k?B\n$/);
  assertEquals(
    (await runCli(root.dir, ["prune", "--older-than", "1h"])).stdout,
    "",
  );
  assertEquals((await runCli(root.dir, ["prune"])).stdout, "done\n");
  assertEquals(await ok(root, "list", "-q"), "live\n");
});

Deno.test("run -a shows the output and ends with the agent's status", async () => {
  await using root = new TestRoot();
  const plain = await runCli(root.dir, [
    "run",
    "-a",
    "--id",
    "p",
    "sh",
    "-c",
    "echo out; echo err >&2; exit 5",
  ]);
  assertEquals(plain, {
    ...{ code: 5, stdout: "out\n", stderr: "Session p\nerr\n" },
  });
  const rm = await runCli(root.dir, [
    "run",
    "--rm",
    "-a",
    "sh",
    "-c",
    "echo out; echo err >&2; exit 6",
  ]);
  assertEquals([rm.code, rm.stdout], [6, "out\n"]);
  assertMatch(rm.stderr, /^Session \S+\nerr\n$/);
  await until(() =>
    ![...Deno.readDirSync(root.dir)].some(({ name }) => name !== "p")
  );
  const script = ["sh", "-c", "echo out; echo err >&2"];
  const chosen = async (...options: string[]) => {
    const args = ["run", ...options, "--", ...script];
    const { code, stdout, stderr } = await runCli(root.dir, args);
    return [code, stdout, stderr.replace(/Session \S+\n/, "")];
  };
  assertEquals(await chosen("-a", "--stdout"), [0, "out\n", ""]);
  assertEquals(await chosen("-a", "--stderr"), [0, "err\n", ""]);
  for (const options of [["--stderr"], ["-t", "-a", "--stdout"]]) {
    const [code, , stderr] = await chosen(...options);
    assertEquals(code, 2);
    assertMatch(String(stderr), /Cannot use --stdout or --stderr/);
  }
  const again = await runCli(root.dir, ["attach", "p"]);
  assertEquals(again, { code: 5, stdout: "out\n", stderr: "err\n" });
  assertEquals(
    (await runCli(root.dir, ["attach", "--tail", "0", "p"])).stdout,
    "",
  );
});

Deno.test("attach sends typed lines, and the session runs on when it is left", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "t", "cat");
  const attach = startCli(root.dir, ["attach", "t"]);
  const writer = attach.stdin.getWriter();
  const reader = attach.stdout.pipeThrough(new TextDecoderStream()).getReader();
  await writer.write(new TextEncoder().encode("hello\n"));
  assertEquals((await reader.read()).value, "hello\n");
  attach.kill("SIGINT");
  assertEquals((await attach.status).code, 0);
  const notice = await new Response(attach.stderr).text();
  assertStringIncludes(notice, "codex-session attach t");
  await writer.close().catch(() => {});
  await reader.cancel();
  assertEquals(stateOf(root, "t"), "running");
});

Deno.test("attach leaves at the end of its input; where there is none to send, it follows", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "r", "sh", "-c", "echo ready; cat");
  await until(async () => await ok(root, "logs", "r") === "ready\n");
  const left = await runCli(root.dir, ["attach", "r"], { stdin: "one\n" });
  assertEquals(left.code, 0);
  assert(left.stdout.startsWith("ready\n"), left.stdout);
  assertStringIncludes(left.stderr, "Detached");
  await until(async () => await ok(root, "logs", "r") === "ready\none\n");
  assertEquals(stateOf(root, "r"), "running");
  // As in cron: the status of the command, not that of leaving it.
  const script = "sleep 0.1; echo out; exit 3";
  const exec = await runCli(root.dir, ["run", "-a", "sh", "-c", script]);
  assertEquals([exec.code, exec.stdout], [3, "out\n"]);
});

Deno.test("run -i -a gives the agent all input from a pipe, and its end", async () => {
  await using root = new TestRoot();
  const sum = await runCli(root.dir, ["run", "-i", "-a", "wc", "-c"], {
    stdin: "x".repeat(100_000) + "\nno newline",
  });
  assertEquals([sum.code, sum.stdout.trim()], [0, "100011"]);
  const failed = await runCli(root.dir, ["run", "-i", "-a", "no-such-one"], {
    stdin: "text\n",
  });
  assertEquals(failed.code, 127);
  assertMatch(failed.stderr, /^codex-session: Cannot start .*\n$/);
  const none = await runCli(root.dir, ["run", "-i", "-a", "--rm", "true"]);
  assertEquals(none.code, 0);
  assertMatch(none.stderr, /^Session \S+\n$/);
});

Deno.test("logs -f, attach and events -f leave when their reader is gone, and the session says nothing", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "--id", "q", "sh", "-c", "echo one; exec sleep 600");
  const followers = [["logs", "-f", "q"], ["attach", "q"], ["events", "-f"]];
  for (const args of followers) {
    const child = startCli(root.dir, args);
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const { code } = await child.status;
    assertEquals(code, 141, args.join(" "));
    await child.stdin.close().catch(() => {});
    assertEquals(await new Response(child.stderr).text(), "");
  }
});

Deno.test("a session that is deleted while it is watched ends the watching", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "w", "cat");
  await ok(root, "send", "w", "line");
  await until(async () => await ok(root, "logs", "w") === "line\n");
  const watchers = ["logs -f", "attach", "wait"].map((command) => {
    const child = startCli(root.dir, [...command.split(" "), "w"]);
    child.stdin.close();
    return child;
  });
  const outputs = watchers.map((child) => child.output());
  await ok(root, "delete", "-f", "w");
  for (const output of await Promise.all(outputs)) {
    assert(
      [0, 1, 3, 4, 143].includes(output.code),
      new TextDecoder().decode(output.stderr),
    );
    assert(!new TextDecoder().decode(output.stderr).includes("    at "));
  }
  const lists = await Promise.all([
    ...Array.from({ length: 4 }, () => runCli(root.dir, ["list"])),
    ...["a", "b", "c"].map((id) =>
      runCli(root.dir, ["run", "--rm", "--id", id, "true"])
    ),
  ]);
  assertEquals(
    lists.map(({ code, stderr }) => [code, stderr]),
    lists.map(() => [0, ""]),
  );
});

Deno.test("without HOME, and with a root that can't be used, it says so", async () => {
  await using root = new TestRoot();
  const path = {
    PATH: Deno.env.get("PATH") ?? "",
    DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
  };
  const cli = `${new URL("../../cli.ts", import.meta.url).pathname}`;
  const bare = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", cli, "list"],
    env: path,
    clearEnv: true,
  }).output();
  assertEquals(bare.code, 1);
  assertStringIncludes(
    new TextDecoder().decode(bare.stderr),
    "set CODEX_SESSION_HOME",
  );
  Deno.writeTextFileSync(`${root.dir}/file`, "");
  for (const args of [["run", "true"], ["list"]]) {
    const { code, stderr } = await runCli(`${root.dir}/file`, args);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Cannot use the state directory");
  }
  assertEquals((await runCli(`${root.dir}/not/yet`, ["list", "-q"])).code, 0);
});

Deno.test("an agent finds its session and its session commands work on it", async () => {
  await using root = new TestRoot();
  const cli = `${Deno.execPath()} run -A ${
    new URL("../../cli.ts", import.meta.url).pathname
  }`;
  await ok(
    root,
    "run",
    "--id",
    "self",
    "sh",
    "-c",
    `${cli} list -q; ${cli} run --id inner sleep 600`,
  );
  await ended(root, "self");
  assertEquals(await ok(root, "logs", "self"), "self\ninner\n");
  await ok(root, "delete", "self");
  assertEquals(stateOf(root, "inner"), "running");
});

Deno.test("a creator that is killed at any instant leaves no unknown agent", async () => {
  await using root = new TestRoot();
  for (let delay = 0; delay < 60; delay += 3) {
    const child = startCli(root.dir, [
      "run",
      "-i",
      "sh",
      "-c",
      "exec sleep 600",
    ]);
    child.stdin.close();
    // The instant is the point of this test, and every one is fine.
    await new Promise((wake) => setTimeout(wake, delay));
    try {
      child.kill("SIGKILL");
    } catch {
      // It was through already.
    }
    await child.output();
  }
  const ids = (await ok(root, "list", "-q")).split("\n").filter(Boolean);
  const known = new Set(ids.map((id) => `CODEX_SESSION_DIR=${root.dir}/${id}`));
  await until(() => ids.every((id) => stateOf(root, id) !== "starting"));
  for (const pid of root.strays()) {
    const environment = Deno.readTextFileSync(`/proc/${pid}/environ`).split(
      "\0",
    );
    assert(environment.some((entry) => known.has(entry)));
  }
  if (ids.length > 0) await ok(root, "delete", "-f", ...ids);
  assertEquals(root.strays(), []);
  assertEquals(await ok(root, "list", "-q"), "");
});

Deno.test("every command has help with examples", async () => {
  await using root = new TestRoot();
  const help = await ok(root, "--help");
  const names = [...help.matchAll(/^ {2}([a-z]+)(?:, \w+)* {2,}\w/gm)].map((
    [, name],
  ) => name!);
  assert(names.length >= 12, help);
  for (const name of names) {
    const text = await ok(root, name, "--help");
    assertStringIncludes(text, `Usage: codex-session ${name}`);
    assertStringIncludes(text, "Examples:\n");
    assertEquals(await ok(root, "help", name), text);
  }
  assertMatch(await ok(root, "--version"), /^codex-session \d+\.\d+\.\d+\n$/);
});

Deno.test("a session outlives the terminal, and the login, that it was started from", async () => {
  await using root = new TestRoot();
  const cli = `${Deno.execPath()} run -A ${
    new URL("../../cli.ts", import.meta.url).pathname
  }`;
  // script(1) is the terminal window; the shell in it has started a session and watches it.
  const window = new Deno.Command("script", {
    args: [
      "-qec",
      `${cli} run -i --id s cat; ${cli} attach s`,
      "/dev/null",
    ],
    env: { CODEX_SESSION_HOME: root.dir },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const attached = () =>
    [...Deno.readDirSync("/proc")].some(({ name }) => {
      try {
        return /^\d+$/.test(name) &&
          Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(
            "attach\0s",
          ) &&
          Deno.readTextFileSync(`/proc/${name}/environ`).includes(root.dir);
      } catch {
        return false;
      }
    });
  await until(attached, "attached");
  window.kill("SIGKILL");
  await window.status;
  await window.stdin.close().catch(() => {});
  await until(() => !attached(), "the attached client is gone");
  assertEquals(stateOf(root, "s"), "running");
  await ok(root, "send", "s", "still here");
  await until(async () => await ok(root, "logs", "s") === "still here\n");
});
