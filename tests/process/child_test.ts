/**
 * `child.ts`: what the leader of a session gets of its creator, and what it does not.
 *
 * @module
 */
import {
  endOf,
  type LeaderOptions,
  signalChild,
  spawnLeader,
} from "../../process/child.ts";
import { kill } from "../../system/libc.ts";
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
  await endOf(child);
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
    "spawnLeader() ignores no signal but SIGHUP on demand, and leaves the caller's as they are",
  ignore,
  async fn() {
    using root = new TestRoot();
    const code = `
      import { endOf, spawnLeader } from "file://${PROJECT}process/child.ts";
      const show = (name, options) =>
        endOf(spawnLeader(["/bin/sh", "-c", 'cat /proc/self/status >"$0"', name], options));
      const own = () => Deno.readTextFileSync("/proc/self/status");
      Deno.addSignalListener("SIGUSR2", () => console.log("handled"));
      Deno.writeTextFileSync("before", own());
      await show("defaults", {});
      await show("hangup", { ignoreHangup: true });
      Deno.writeTextFileSync("after", own());
      Deno.kill(Deno.pid, "SIGUSR1"); // Still ignored.
      Deno.kill(Deno.pid, "SIGUSR2"); // Still handled.
      await new Promise((wake) => setTimeout(wake, 20));`;
    Deno.writeTextFileSync(`${root.dir}/main.ts`, code);
    // A shell's background job ignores SIGINT and SIGQUIT; Deno itself ignores SIGPIPE.
    const script = 'trap "" INT QUIT USR1 CHLD; exec "$@"';
    const caller = new Deno.Command("/bin/sh", {
      // deno-fmt-ignore
      args: ["-c", script, "sh", Deno.execPath(), "run", "-A", "--quiet", "main.ts"],
      cwd: root.dir,
    });
    const { code: status, stdout } = await caller.output();
    assertEquals([status, new TextDecoder().decode(stdout)], [0, "handled\n"]);
    // Of real-time signals it takes care of none: they start at 32.
    const signals = (name: string, field: string) =>
      signalsIn(Deno.readTextFileSync(`${root.dir}/${name}`), field)
        .filter((one) => one < 32);
    assertEquals(signals("defaults", "SigIgn"), []);
    assertEquals(signals("defaults", "SigBlk"), []);
    assertEquals(signals("hangup", "SigIgn"), [1]);
    // Starting its first child, Deno handles SIGCHLD, 17, and ignores it no more.
    const ignored = signals("before", "SigIgn").filter((one) => one !== 17);
    assertEquals(signals("after", "SigIgn"), ignored);
    assert([3, 10].every((one) => ignored.includes(one)), `${ignored}`);
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
  // Once Deno keeps them (denoland/deno#36433), the docs need not name this limitation.
  name: "spawnLeader() loses root's supplementary groups, as the docs say",
  ignore: ignore || Deno.uid() !== 0,
  async fn() {
    using root = new TestRoot();
    const code =
      `import { endOf, spawnLeader } from "file://${PROJECT}process/child.ts";
      await endOf(spawnLeader(["/bin/sh", "-c", "id -G >told"]));`;
    Deno.writeTextFileSync(`${root.dir}/main.ts`, code);
    const { code: status } = await new Deno.Command("setpriv", {
      // deno-fmt-ignore
      args: ["--groups", "0,4242", Deno.execPath(), "run", "-A", "--quiet", "main.ts"],
      cwd: root.dir,
    }).output();
    assertEquals(status, 0);
    assertEquals(Deno.readTextFileSync(`${root.dir}/told`), "0\n");
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
      "Failed to spawn '/nonexistent'",
    );
    assertThrows(
      () => spawnLeader(["/etc/passwd"], { cwd }),
      Deno.errors.PermissionDenied,
      "Permission denied",
    );
    assertThrows(
      () => spawnLeader(["/bin/true"], { cwd: "/nonexistent" }),
      Deno.errors.NotFound,
    );
    assertThrows(
      () => spawnLeader(["/bin/true", "x".repeat(1 << 22)], { cwd }),
      Error,
      "Argument list too long",
    );
    assertThrows(
      () => spawnLeader(["/bin/true", "a\0b"], { cwd }),
      TypeError,
    );
  },
});

Deno.test({
  name:
    "spawnLeader() says in one line what to do if an LD_ variable has Deno refuse",
  ignore,
  async fn() {
    using root = new TestRoot();
    const code =
      `import { spawnLeader } from "file://${PROJECT}process/child.ts";
      try { spawnLeader(["/bin/true"]); } catch (error) {
        console.log(error.name + ": " + error.message);
      }`;
    Deno.writeTextFileSync(`${root.dir}/main.ts`, code);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      // deno-fmt-ignore
      args: ["run", "--quiet", "--no-prompt", "--allow-run=/bin/true", "--allow-ffi", "main.ts"],
      cwd: root.dir,
      env: { LD_BIND_NOW: "1", LD_ORIGIN_PATH: "/" },
    }).output();
    assertEquals(
      new TextDecoder().decode(stdout),
      'NotCapable: Cannot start "/bin/true" with LD_BIND_NOW, LD_ORIGIN_PATH in the environment: ' +
        "Deno wants --allow-run for all programs then; allow that, or unset them\n",
    );
  },
});

Deno.test({
  name: "endOf() tells how a child ended, real-time signals included",
  ignore,
  sanitizeResources: false, // Deno 2.7 forgets a child that such a signal has ended.
  async fn() {
    const endings = ["exit 7", "kill -9 $$", "kill -34 $$"].map((script) =>
      endOf(spawnLeader(["/bin/sh", "-c", script]))
    );
    assertEquals(await Promise.all(endings), [
      { code: 7, signal: null },
      { code: 137, signal: 9 },
      { code: 162, signal: 34 },
    ]);
  },
});

Deno.test({
  name:
    "spawnLeader() leaves no zombie, and no unhandled error, of a child nobody waits for",
  ignore,
  sanitizeResources: false, // As above.
  async fn() {
    const there = (pid: number) => {
      try {
        return Deno.statSync(`/proc/${pid}`).isDirectory;
      } catch {
        return false;
      }
    };
    const children = Array.from({ length: 3 }, () => {
      const child = spawnLeader(["/bin/sleep", "600"]);
      child.unref();
      return child;
    });
    assert(children.every(({ pid }) => there(pid)));
    for (const { pid } of children) kill(pid, 34);
    await until(() => !children.some(({ pid }) => there(pid)), "zombies gone");
    // Its number may be a stranger's by now: nothing is signalled any more.
    for (const child of children) signalChild(child, "SIGKILL");
  },
});
