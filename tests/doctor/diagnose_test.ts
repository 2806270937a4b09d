/**
 * `doctor`: that a sound machine passes, that each fault that can be made here is found,
 * and that nothing is left behind.
 *
 * @module
 */
import { bounded, diagnose, type Diagnosis } from "../../doctor/diagnose.ts";
import { isOlder, judgeLogin } from "../../doctor/machine.ts";
import { good } from "../../doctor/finding.ts";
import { join } from "../../std.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  isRunning,
  PROJECT,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { pathsFor, readPids, readState } from "../../store.ts";

const isWindows = Deno.build.os === "windows";
const isRoot = !isWindows && Deno.uid() === 0;

/** What a check has found. */
const found = (diagnoses: readonly Diagnosis[], check: string) =>
  diagnoses.filter((one) => one.check === check);

/** The one finding of a check. */
function only(diagnoses: readonly Diagnosis[], check: string): Diagnosis {
  const all = found(diagnoses, check);
  assertEquals(all.length, 1, check);
  return all[0]!;
}

/** What {@linkcode diagnose} finds in a root, by the command line, which takes no libc of ours. */
async function diagnoseBy(
  root: string,
  env: Record<string, string> = {},
): Promise<{ readonly code: number; readonly diagnoses: Diagnosis[] }> {
  const { code, stdout, stderr } = await runCli(root, ["doctor", "--json"], {
    env,
  });
  assertEquals(stderr, "");
  return { code, diagnoses: JSON.parse(stdout) };
}

Deno.test({
  name:
    "diagnose() finds no error where sessions work, and leaves nothing behind",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    const dir = join(root.dir, "not", "yet");
    const diagnoses = await diagnose({ root: dir });
    assertEquals(diagnoses.filter(({ status }) => status === "error"), []);
    const checks = diagnoses.map(({ check }) => check);
    for (
      const check of [
        ...["deno", "libc", "shell", "process table", "process limit"],
        ...["open files", "login manager", "agents", "state directory"],
        ...["file system", "free space", "events", "exec session"],
        ...["repl session", "pty session", "socket paths", "sessions"],
      ]
    ) assert(checks.includes(check), check);
    for (const { check, message } of diagnoses) {
      assert(message !== "" && !message.includes("\n"), check);
    }
    assertStringIncludes(
      only(diagnoses, "state directory").message,
      "does not exist yet",
    );
    assertEquals([...Deno.readDirSync(root.dir)], []);
    assertEquals(root.strays(), []);
  },
});

Deno.test({
  name:
    "doctor prints an aligned line for each finding, or JSON, and touches no session",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    await runCli(root.dir, ["run", "--id", "live", "sleep", "600"]);
    const before = readState(pathsFor("live", { root: root.dir }));
    const plain = await runCli(root.dir, ["doctor"]);
    assertEquals([plain.code, plain.stderr], [0, ""]);
    const lines = plain.stdout.trimEnd().split("\n");
    const column = lines[0]!.indexOf("Deno ");
    for (const line of lines) {
      assertMatch(line, /^(ok|warning) +[a-z]/);
      assertMatch(line.slice(column - 2), /^ {2}\S/);
      assertEquals(line.startsWith("warning"), line.includes(" → "));
    }
    const { code, diagnoses } = await diagnoseBy(root.dir);
    assertEquals([code, diagnoses.length], [0, lines.length]);
    assertEquals(
      only(diagnoses, "sessions"),
      { check: "sessions", status: "ok", message: "1 running" },
    );
    assertEquals(readState(pathsFor("live", { root: root.dir })), before);
    assertEquals([...Deno.readDirSync(root.dir)].length, 1);
    const wrong = await runCli(root.dir, ["doctor", "live"]);
    assertEquals(wrong.code, 2);
  },
});

Deno.test({
  name: "doctor finds a root that others may write to, with exit status 1",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    Deno.chmodSync(root.dir, 0o770);
    const { code, diagnoses } = await diagnoseBy(root.dir);
    assertEquals(code, 1);
    const { status, message } = only(diagnoses, "state directory");
    assertEquals(status, "error");
    assertStringIncludes(message, `chmod go-w "${root.dir}"`);
    const plain = await runCli(root.dir, ["doctor"]);
    assertEquals(plain.code, 1);
    assertMatch(plain.stdout, /^error {2,}state directory /m);
    Deno.chmodSync(root.dir, 0o755);
    const open = await diagnoseBy(root.dir);
    assertEquals(open.code, 0);
    assertMatch(only(open.diagnoses, "state directory").message, /mode 755/);
  },
});

Deno.test({
  name: "doctor finds a parent of the root that others may write to",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    Deno.mkdirSync(`${root.dir}/shared`);
    Deno.chmodSync(`${root.dir}/shared`, 0o777);
    const open = await diagnoseBy(`${root.dir}/shared/mine`);
    assertEquals(open.code, 1);
    assertEquals(only(open.diagnoses, "state directory").status, "error");
    Deno.chmodSync(`${root.dir}/shared`, 0o770);
    const { code, diagnoses } = await diagnoseBy(`${root.dir}/shared/mine`);
    assertEquals(code, 0);
    const { status, message, advice } = only(diagnoses, "state directory");
    assertEquals(status, "warning");
    assertStringIncludes(message, `a group may write to ${root.dir}/shared `);
    assertStringIncludes(advice!, "chmod go-w");
    // As in /tmp: others may write, but not replace what is not theirs.
    Deno.chmodSync(`${root.dir}/shared`, 0o1777);
    const sticky = await diagnoseBy(`${root.dir}/shared/mine`);
    assertEquals(only(sticky.diagnoses, "state directory").status, "ok");
  },
});

Deno.test({
  name: "doctor finds a root that is a file, and one of somebody else",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    Deno.writeTextFileSync(`${root.dir}/file`, "");
    const file = await diagnoseBy(`${root.dir}/file`);
    assertEquals(file.code, 1);
    assertEquals(only(file.diagnoses, "state directory").status, "error");
    if (!isRoot) return;
    Deno.mkdirSync(`${root.dir}/other`, { mode: 0o700 });
    Deno.chownSync(`${root.dir}/other`, 12345, null);
    const other = await diagnoseBy(`${root.dir}/other`);
    assertEquals(other.code, 1);
    assertStringIncludes(
      only(other.diagnoses, "state directory").message,
      "belongs to user 12345",
    );
  },
});

Deno.test({
  name: "doctor finds lost and damaged sessions and what killed commands left",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    for (const id of ["gone", "bad"]) {
      await runCli(root.dir, ["run", "--id", id, "sleep", "600"]);
    }
    const pids = readPids(pathsFor("gone", { root: root.dir }))!;
    // The reaper first: it would record the end of the agent.
    for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
    await until(() => !isRunning(pids.agent) && !isRunning(pids.reaper));
    Deno.writeTextFileSync(`${root.dir}/bad/meta.json`, "{");
    Deno.mkdirSync(`${root.dir}/.old-x-1`);
    const { code, diagnoses } = await diagnoseBy(root.dir);
    assertEquals(code, 0);
    const [lost, damaged, left] = found(diagnoses, "sessions");
    assertMatch(lost!.message, /^lost because .*: gone$/);
    assertStringIncludes(lost!.advice!, "codex-session prune");
    assertEquals(damaged!.message, "damaged: bad");
    assertStringIncludes(damaged!.advice!, "delete -f");
    assertMatch(left!.message, /^1 left over from killed commands/);
    assert([lost, damaged, left].every((one) => one?.status === "warning"));
  },
});

Deno.test({
  name: "doctor tells which agents there are without running them",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    const folder = join(root.dir, "node_modules", "@openai", "codex-x64");
    const bin = join(folder, "vendor", "x86_64-linux", "bin");
    Deno.mkdirSync(bin, { recursive: true });
    const mode = 0o755;
    const program = join(bin, "codex");
    Deno.writeTextFileSync(program, `#!/bin/sh\n>"$0.ran"\n`, { mode });
    const about = { name: "@openai/codex", version: "1.2.3" };
    Deno.writeTextFileSync(join(folder, "package.json"), JSON.stringify(about));
    const PATH = `${bin}:/usr/bin:/bin`;
    const { diagnoses } = await diagnoseBy(`${root.dir}/root`, {
      PATH: PATH,
      CODEX_SESSION_EXEC: "my-agent",
    });
    const { status, message } = only(diagnoses, "agents");
    assertEquals(status, "ok");
    assertStringIncludes(message, `${program} (1.2.3)`);
    assertStringIncludes(message, "CODEX_SESSION_EXEC=my-agent");
    assertEquals([...Deno.readDirSync(bin)].length, 1);
  },
});

Deno.test({
  name:
    "doctor without most permissions is a line of error for each check that needs one",
  ignore: isWindows,
  async fn() {
    await using root = new TestRoot();
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", "--allow-env"],
        ...[`--allow-read=${PROJECT}`, `${PROJECT}cli.ts`, "doctor", "--json"],
      ],
      env: { CODEX_SESSION_HOME: root.dir },
    }).output();
    const text = new TextDecoder().decode(stdout);
    assertEquals([code, new TextDecoder().decode(stderr)], [1, ""], text);
    const diagnoses: Diagnosis[] = JSON.parse(text);
    for (const check of ["libc", "shell", "state directory"]) {
      const { status, message, advice } = only(diagnoses, check);
      assertEquals([status, advice], ["error", "run it with -A"], check);
      assertMatch(message, /^Deno lacks a permission: .*--allow-/);
    }
    assertEquals(only(diagnoses, "deno").status, "ok");
    assertEquals([...Deno.readDirSync(root.dir)], []);
  },
});

Deno.test("bounded() makes an error of what throws and of what takes too long", async () => {
  assertEquals(await bounded(() => good("fine"), 1000), [good("fine")]);
  const [thrown] = await bounded(() => {
    throw new Error("two\nlines");
  }, 1000);
  assertEquals([thrown!.status, thrown!.message], ["error", "two lines"]);
  const [late] = await bounded(() => new Promise(() => {}), 20);
  assertEquals([late!.status, late!.message], [
    "error",
    "no answer within 20 ms",
  ]);
});

Deno.test("isOlder() compares versions by their numbers", () => {
  assert(isOlder("2.7.10", "2.7.11"));
  assert(isOlder("2.6.99", "2.7.11"));
  assert(isOlder("1.46.3", "2.7.11"));
  assert(!isOlder("2.7.11", "2.7.11"));
  assert(!isOlder("2.10.0", "2.7.11"));
  assert(!isOlder("2.7.11+abc", "2.7.11"));
});

Deno.test("judgeLogin() warns of every way in which a login takes sessions along", () => {
  const judge = (unit: string, what: string) => {
    const [kills, lingers, scopes] = ["kills", "lingers", "scopes"]
      .map((word) => what.includes(word));
    const { status, message, advice } = judgeLogin({
      unit,
      kills: kills!,
      lingers: lingers!,
      scopes: scopes!,
    });
    assertEquals(status === "ok", advice === undefined);
    return `${status}: ${message}`;
  };
  const login = "/user.slice/user-1000.slice/session-3.scope";
  const desktop =
    "/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope";
  assertMatch(judge(login, ""), /^ok: systemd-logind leaves sessions alone$/);
  assertMatch(judge(login, "lingers scopes"), /^ok: /);
  assertMatch(judge(login, "kills"), /^warning: .* no user manager/);
  assertMatch(judge(login, "kills scopes"), /^warning: .* your last login/);
  assertMatch(judge(login, "kills scopes lingers"), /^ok: .* start in a scope/);
  // The user manager itself ends with the last login, whatever logind spares.
  assertMatch(judge(desktop, "scopes"), /^warning: .* your last login/);
  assertMatch(judge(desktop, "scopes lingers"), /^ok: /);
  assertMatch(judge(desktop, "kills scopes lingers"), /^ok: .* lingers$/);
});
