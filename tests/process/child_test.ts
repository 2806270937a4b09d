/**
 * `child.ts`: what the leader of a session gets of its creator, and what it does not.
 *
 * @module
 */
import { type LeaderOptions, spawnLeader } from "../../process/child.ts";
import { SIGNALS } from "../../system/signals.ts";
import {
  assert,
  assertEquals,
  assertThrows,
  PROJECT,
  TestRoot,
  until,
} from "../helpers.ts";

const ignore = Deno.build.os !== "linux";

/** What a shell's script writes to its descriptor 3, which it opens itself. */
async function tell(
  script: string,
  options: Partial<LeaderOptions> = {},
): Promise<string> {
  using root = new TestRoot();
  const told = `${root.dir}/told`;
  const argv = ["/bin/sh", "-c", `exec 3>"$1"; ${script}`, "sh", told];
  const child = spawnLeader(argv, { cwd: root.dir, ...options });
  await child.ended(10_000);
  assert(child.hasEnded());
  return Deno.readTextFileSync(told);
}

/** A set of signals in `/proc/PID/status`, as numbers. */
function signalsIn(status: string, field: string): number[] {
  const mask = BigInt(
    `0x${new RegExp(`${field}:\\s*(\\w+)`).exec(status)![1]}`,
  );
  return Array.from({ length: 64 }, (_, i) => i + 1)
    .filter((number) => mask & (1n << BigInt(number - 1)));
}

Deno.test({
  name: "spawnLeader() starts a session leader on /dev/null in the directory",
  ignore,
  async fn() {
    const script =
      'fds=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$fds" >&3; cut -d" " -f1,5,6,7 /proc/$$/stat >&3; pwd >&3';
    const [stdin, stdout, stderr, ids = "", cwd] = (await tell(script, {
      cwd: "/usr",
    })).split("\n");
    assertEquals([stdin, stdout, stderr], Array(3).fill("/dev/null"));
    const [pid, group, session, terminal] = ids.split(" ");
    assertEquals([group, session, terminal], [pid, pid, "0"]);
    assertEquals(cwd, "/usr");
  },
});

Deno.test({
  name:
    "spawnLeader() gives every signal its default, whatever the caller ignores",
  ignore,
  async fn() {
    using root = new TestRoot();
    const code =
      `import { spawnLeader } from "file://${PROJECT}process/child.ts";
      const argv = ["/bin/cat", "/proc/self/status"];
      const told = ["/bin/sh", "-c", 'exec "$@" >"$0"', ${
        JSON.stringify(`${root.dir}/told`)
      }, ...argv];
      await spawnLeader(told, { cwd: "/" }).ended(10_000);`;
    Deno.writeTextFileSync(`${root.dir}/main.ts`, code);
    // A shell's background job ignores SIGINT and SIGQUIT; Deno itself ignores SIGPIPE.
    const script = 'trap "" INT QUIT USR1; exec "$@"';
    const caller = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        script,
        "sh",
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        "main.ts",
      ],
      cwd: root.dir,
    });
    assertEquals((await caller.output()).code, 0);
    const status = Deno.readTextFileSync(`${root.dir}/told`);
    assertEquals(signalsIn(status, "SigIgn"), []);
    assertEquals(signalsIn(status, "SigBlk"), []);
  },
});

Deno.test({
  name:
    "spawnLeader() adds to the environment, bytes that are no text included",
  ignore,
  async fn() {
    const script = 'tr "\\0" "\\n" </proc/$$/environ >&3';
    Deno.env.set("CHILD_TEST_OWN", "theirs");
    Deno.env.set("CHILD_TEST_KEPT", "a=b\nc");
    try {
      const env = { CHILD_TEST_OWN: "ours", CHILD_TEST_NEW: "=x" };
      const told = await tell(script, { env });
      assertEquals(told.match(/^CHILD_TEST_OWN=.*$/gm), [
        "CHILD_TEST_OWN=ours",
      ]);
      assert(told.includes("\nCHILD_TEST_KEPT=a=b\nc\n"), told);
      assert(told.includes("\nCHILD_TEST_NEW==x\n"), told);
      const alone = await tell(script, { env: { ONLY: "1" }, clearEnv: true });
      assertEquals(alone, "ONLY=1\n");
    } finally {
      Deno.env.delete("CHILD_TEST_OWN");
      Deno.env.delete("CHILD_TEST_KEPT");
    }
  },
});

Deno.test({
  name: "spawnLeader() leaves root its supplementary groups",
  ignore: ignore || Deno.uid() !== 0,
  async fn() {
    using root = new TestRoot();
    const code =
      `import { spawnLeader } from "file://${PROJECT}process/child.ts";
      const argv = ["/bin/sh", "-c", "id -G >told"];
      await spawnLeader(argv, { cwd: Deno.args[0] }).ended(10_000);`;
    Deno.writeTextFileSync(`${root.dir}/main.ts`, code);
    const { code: status } = await new Deno.Command("setpriv", {
      // deno-fmt-ignore
      args: ["--groups", "0,4242", Deno.execPath(), "run", "-A", "--quiet", "main.ts", root.dir],
      cwd: root.dir,
    }).output();
    assertEquals(status, 0);
    assertEquals(Deno.readTextFileSync(`${root.dir}/told`), "0 4242\n");
  },
});

Deno.test({
  name: "spawnLeader() throws what the system says, and starts nothing",
  ignore,
  fn() {
    const cwd = "/";
    assertThrows(
      () => spawnLeader(["/nonexistent"], { cwd }),
      Deno.errors.NotFound,
      'Cannot start "/nonexistent": ENOENT',
    );
    assertThrows(
      () => spawnLeader(["/etc/passwd"], { cwd }),
      Deno.errors.PermissionDenied,
      "EACCES",
    );
    assertThrows(
      () => spawnLeader(["/bin/true"], { cwd: "/nonexistent" }),
      Deno.errors.NotFound,
    );
    assertThrows(
      () => spawnLeader(["/bin/true", "x".repeat(1 << 22)], { cwd }),
      Error,
      "E2BIG",
    );
    assertThrows(
      () => spawnLeader(["/bin/true", "a\0b"], { cwd }),
      TypeError,
    );
  },
});

Deno.test({
  name: "Child.release() leaves no zombie behind once it has ended",
  ignore,
  async fn() {
    const there = (pid: number) => {
      try {
        return Deno.statSync(`/proc/${pid}`).isDirectory;
      } catch {
        return false;
      }
    };
    const children = Array.from({ length: 3 }, () => {
      const child = spawnLeader(["/bin/sleep", "600"], { cwd: "/" });
      child.release();
      return child;
    });
    assert(children.every(({ pid }) => there(pid)));
    for (const child of children) child.kill(SIGNALS.KILL!);
    await until(() => !children.some(({ pid }) => there(pid)), "zombies gone");
    // Its number may be a stranger's by now: nothing is signalled any more.
    for (const child of children) child.kill(SIGNALS.KILL!);
  },
});
