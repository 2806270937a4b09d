/**
 * The table of `list`: widths, columns, states in words, commands to paste.
 *
 * @module
 */
import { writeReport } from "../../events/report_file.ts";
import { readEntry } from "../../process/table.ts";
import { createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import { pathsFor, readState } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";

/** Runs `list` and returns its lines. */
async function list(
  root: TestRoot,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<string[]> {
  const { code, stdout, stderr } = await runCli(root.dir, ["list", ...args], {
    env,
  });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n");
}

const ended = (root: TestRoot, id: string) =>
  until(() => readState(pathsFor(id, { root: root.dir })).state === "exited");

Deno.test("list says in words how a session ended, and marks processes left over", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  const start = (id: string, script: string, timeoutMs?: number) =>
    createSession({ ...options, id, command: ["sh", "-c", script], timeoutMs });
  await start("fails", "exit 2");
  await start("killed", "kill -9 $$");
  await start("late", "sleep 600", 100);
  await start("halted", "trap 'exit 0' TERM; sleep 600 & wait");
  await start("leaves", "setsid sleep 600 &");
  await stopSession("halted", options);
  for (const id of ["fails", "killed", "late", "leaves"]) await ended(root, id);
  // The children of the agent end a moment after it.
  await until(async () => !/ late .*\*/.test((await list(root)).join("\n")));
  const words = Object.fromEntries(
    (await list(root, ["--wide"])).slice(1).map((line) => {
      const [, id, state] = /^\d +(\w+) +- +exec +(.+?) {2}/.exec(line)!;
      return [id, state];
    }),
  );
  assertEquals(words, {
    fails: "exited 2",
    killed: "ended by SIGKILL",
    late: "timed out",
    halted: "stopped",
    leaves: "exited 0*",
  });
  const all = JSON.parse((await list(root, ["--json"])).join("\n"));
  const facts = Object.fromEntries(
    all.map((
      { id, leftOver, stopped }: {
        id: string;
        leftOver: boolean;
        stopped: { by: string } | null;
      },
    ) => [id, [leftOver, stopped?.by]]),
  );
  assertEquals([facts.leaves, facts.late, facts.halted, facts.fails], [
    [true, undefined],
    [false, "timeout"],
    [false, "stop"],
    [false, undefined],
  ]);
  // What runs, and what has left processes.
  const stopped = await runCli(root.dir, ["stop", "--all"]);
  assertEquals(stopped, { code: 0, stdout: "leaves\n", stderr: "" });
  assert(!(await list(root)).join().includes("*"));
});

Deno.test("list leaves out columns for the command, and takes its width from COLUMNS", async () => {
  await using root = new TestRoot();
  const script = "echo it's; ".repeat(8);
  await createSession({
    root: root.dir,
    id: "brave-otter",
    command: ["sh", "-c", script],
  });
  await ended(root, "brave-otter");
  const [header, line] = await list(root, [], { COLUMNS: "80" });
  assertMatch(header!, /^# +ID +PID +KIND +STATE +LAST +CREATED +COMMAND$/);
  assertMatch(line!, /^0 +brave-otter .* sh -c 'echo it'\\''s; ec.*…$/);
  assertEquals(line!.length, 80);
  const [narrow] = await list(root, [], { COLUMNS: "50" });
  assertMatch(narrow!, /^# +ID +STATE +COMMAND$/);
  // As it was typed, to be pasted.
  for (const [args, COLUMNS] of [[["--wide"], "80"], [[], ""]] as const) {
    const [header, line] = await list(root, args, { COLUMNS });
    assertMatch(header!, / CLIENTS +OUT +ERR +LAST /);
    const command = line!.slice(line!.indexOf(" sh -c"));
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", `printf '%s|' ${command}`],
    }).output();
    assertEquals(new TextDecoder().decode(stdout), `sh|-c|${script}|`);
  }
});

Deno.test("list shows the command, not the prompt, and no colours on a dumb terminal", async () => {
  await using root = new TestRoot();
  await createSession({
    root: root.dir,
    // It would be found before the state.
    id: "exited",
    command: ["true", "fix it"],
    prompt: "fix it",
  });
  await ended(root, "exited");
  const shown = async (TERM: string) => {
    const { stdout } = await new Deno.Command("script", {
      args: [
        "-qec",
        `stty cols 80; ${Deno.execPath()} run --quiet -A ${
          new URL("../../cli.ts", import.meta.url).pathname
        } list`,
        "/dev/null",
      ],
      env: { CODEX_SESSION_HOME: root.dir, TERM, COLUMNS: "", NO_COLOR: "" },
    }).output();
    return new TextDecoder().decode(stdout);
  };
  const dumb = await shown("dumb");
  assertMatch(dumb, /exited 0 .* true 'fix it'\r\n$/);
  assert(!dumb.includes("\x1b"));
  // deno-lint-ignore no-control-regex
  assertMatch(await shown("xterm"), /0 +exited +- +exec +\x1b\[2mexited 0/);
});

Deno.test("list says what running sessions do, and finds those that need somebody", async () => {
  await using root = new TestRoot();
  const start = async (id: string, kind: "exec" | "repl") => {
    const command = kind === "repl" ? ["cat"] : ["sleep", "600"];
    return await createSession({ root: root.dir, id, kind, command });
  };
  const message = "approve Bash: \x1b[2Jrm -rf build && make all";
  const told = [
    ["asks", { value: "blocked", kind: "permission", message }],
    ["kind", { value: "blocked", kind: "auth" }],
    ["works", { value: "working", progress: 40, agoMs: 150_000 }],
    ["fails", { value: "error", message: "429" }],
    ["waits", { value: "idle", agoMs: -9e9 }],
  ] as const;
  for (const [id, status] of told) {
    const agoMs = "agoMs" in status ? status.agoMs : 0;
    const { paths, pids: { agent: pid } } = await start(id, "exec");
    const process = { pid, start: readEntry(pid)!.startTicks };
    writeReport(paths, { ...status, since: Date.now() - agoMs, process });
  }
  const halted = await start("halted", "exec");
  Deno.kill(halted.pids.agent, "SIGSTOP");
  await until(() => readEntry(halted.pids.agent)?.stopped);
  const silent = await start("silent", "repl");
  await start("quiet", "exec"); // Takes no input: silence means nothing.
  for (const name of Deno.readDirSync(silent.paths.dir)) {
    const path = `${silent.paths.dir}/${name.name}`;
    Deno.utimeSync(path, Date.now() / 1000 - 42, Date.now() / 1000 - 42);
  }
  const words = Object.fromEntries(
    (await list(root, ["--wide"])).slice(1).map((line) => {
      const [, id, state] = /^\d +(\w+) +\d+ +\w+ +(.+?) {2}/.exec(line)!;
      return [id, state];
    }),
  );
  assertEquals(words, {
    asks: "blocked: approve Bash: [2Jrm …",
    kind: "blocked: auth",
    works: "working 40% 2m",
    fails: "error: 429",
    waits: "idle now",
    halted: "suspended",
    silent: "~idle 42s",
    quiet: "running",
  });
  const found = await list(root, ["-q", "--status", "blocked,error"]);
  assertEquals(found.sort(), ["asks", "fails", "kind"]);
  const all = JSON.parse((await list(root, ["--json"])).join("\n"));
  const status = (id: string) =>
    all.find((one: { id: string }) => one.id === id).status;
  const { since, ...rest } = status("asks");
  assertMatch(since, /^\d{4}-.*Z$/);
  assertEquals(rest, {
    value: "blocked",
    kind: "permission",
    message: message.replace("\x1b", ""),
    source: "report",
    records: [],
  });
  assertEquals([status("halted"), status("silent")], [null, null]);
  const unknown = await runCli(root.dir, ["stop", "--status", "tired"]);
  assertEquals(unknown.code, 2);
  assertMatch(unknown.stderr, /Unknown status "tired": use blocked, error/);
  const waited = await runCli(root.dir, [
    ...["wait", "--status", "error,working", "--for", "status=error,working"],
  ]);
  assertEquals(waited.stdout.split("\n").sort(), [
    ...["", "fails error", "works working"],
  ]);
  const stopped = await runCli(root.dir, ["stop", "--status", "error"]);
  assertEquals(stopped, { code: 0, stdout: "fails\n", stderr: "" });
});
