/**
 * Sessions in a scope of their own. Where a machine allows it (root, systemd's programs,
 * control groups to write to) the last test uses a real systemd-logind and a real user
 * manager, see `login_manager.sh`. The others use a stand-in for `systemd-run`, which does
 * what it does for its command: becomes it, with one more variable.
 *
 * @module
 */
import { createSession } from "../../session/create.ts";
import { launch } from "../../spawn.ts";
import { newMeta, pathsFor, readState } from "../../store.ts";
import { prepare } from "../../process/prepare.ts";
import {
  findScope,
  isKilledAtLogout,
  isLogin,
  ownUnit,
} from "../../process/scope.ts";
import { waitForSession } from "../../client/wait.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  CLI,
  type Finished,
  isRunning,
  PROJECT,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";

const isLinux = Deno.build.os === "linux";

/** A directory with a stand-in for systemd-run, and a socket where a user manager listens. */
class StandIn implements Disposable {
  readonly dir: string = Deno.makeTempDirSync({ prefix: "codex-session-sd-" });
  readonly #socket: Deno.Listener;

  /** @param work What it does after its version has been asked for. */
  constructor(work: string, version = 254) {
    Deno.mkdirSync(`${this.dir}/systemd`);
    this.#socket = Deno.listen({
      transport: "unix",
      path: `${this.dir}/systemd/private`,
    });
    this.program(
      "systemd-run",
      `[ "$1" != --version ] || exec echo "systemd ${version} (${version}.1)"\n${work}`,
    );
  }

  program(name: string, text: string): void {
    const path = `${this.dir}/${name}`;
    Deno.writeTextFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  get env(): Record<string, string> {
    return {
      PATH: `${this.dir}:${Deno.env.get("PATH")}`,
      XDG_RUNTIME_DIR: this.dir,
    };
  }

  /** What `findScope` would find. */
  launcher(required: boolean, timeoutMs = 10_000) {
    return {
      systemdRun: `${this.dir}/systemd-run`,
      version: 252,
      runtimeDir: this.dir,
      inheritedDir: undefined,
      required,
      timeoutMs,
    };
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Notes its arguments and environment, and becomes the command after `--`. */
const BECOME = `printf '%s\\n' "$@" >"$0.args"
export INVOCATION_ID=0123
while [ "$1" != -- ]; do shift; done; shift; exec "$@"`;

Deno.test("isKilledAtLogout() takes the excluded first, then the only ones, then all", () => {
  const settings = (kill: string, only = "", excluded = "") =>
    `KillOnlyUsers=${only}\nKillExcludeUsers=${excluded}\nKillUserProcesses=${kill}\n`;
  assert(isKilledAtLogout(settings("yes"), "ada"));
  assert(!isKilledAtLogout(settings("no"), "ada"));
  assert(!isKilledAtLogout(settings("yes"), "root"));
  assert(isKilledAtLogout(settings("yes", "", "bob"), "root"));
  assert(!isKilledAtLogout(settings("yes", "ada", "ada bob"), "ada"));
  assert(isKilledAtLogout(settings("no", "ada bob"), "bob"));
  assert(!isKilledAtLogout(settings("yes", "ada"), "bob"));
  assert(!isKilledAtLogout("", "ada"));
});

Deno.test("isLogin() knows a login's control group from others", () => {
  assert(isLogin("/user.slice/user-1000.slice/session-3.scope"));
  assert(isLogin("/user.slice/user-0.slice/session-c12.scope/deeper"));
  assert(
    !isLogin("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope"),
  );
  assert(!isLogin("/system.slice/cron.service"));
  assert(!isLogin("/"));
});

Deno.test({
  name:
    "findScope() asks nobody where this process is in no login's control group",
  ignore: !isLinux || isLogin(ownUnit()),
  async fn() {
    await using root = new TestRoot();
    using systemd = new StandIn(`touch "$0.called"`);
    systemd.program(
      "loginctl",
      `touch "$0.called"; echo KillUserProcesses=yes`,
    );
    const { env } = systemd;
    const { code } = await runCli(root.dir, ["run", "true"], { env });
    assertEquals(code, 0);
    const called = [...Deno.readDirSync(systemd.dir)].map(({ name }) => name)
      .filter((name) => name.endsWith(".called"));
    assertEquals(called, []);
    assertEquals(await findScope("auto"), undefined);
    assertEquals(await findScope("never"), undefined);
  },
});

Deno.test({
  name:
    "--scope always starts the reaper by systemd-run (a stand-in), which becomes it",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    using systemd = new StandIn(BECOME);
    const script =
      'env | grep -E "^(XDG_RUNTIME_DIR|INVOCATION_ID)="; printf "%s|" "$@"; sleep 600';
    const args = ["run", "-i", "--scope=always", "--id", "s", "sh", "-c"];
    const given = ["-x", "${HOME}", "$$", "a b", ""];
    const { env } = systemd;
    const run = await runCli(root.dir, [...args, script, "sh", ...given], {
      env,
    });
    assertEquals(run, { code: 0, stdout: "s\n", stderr: "" });
    const flags = Deno.readTextFileSync(`${systemd.dir}/systemd-run.args`)
      .split("\n--\n")[0]!.split("\n");
    assertEquals(flags, [
      ...["--user", "--scope", "--quiet", "--collect", "--no-ask-password"],
      ...["--description=codex-session s", "--expand-environment=no"],
    ]);
    const paths = pathsFor("s", { root: root.dir });
    const log = await until(() => {
      const text = Deno.readTextFileSync(paths.stdout);
      return text.endsWith("||") ? text : undefined;
    });
    assertEquals(
      log,
      `XDG_RUNTIME_DIR=${systemd.dir}\n-x|\${HOME}|$$|a b||`,
    );
    // The lock is the session's, and so are its processes, as without a scope.
    const state = readState(paths);
    assertEquals(state.state, "running");
    const shown = JSON.parse((await runCli(root.dir, ["show", "s"])).stdout);
    assertEquals(
      shown[0].processes.map(({ role }: { role: string }) => role).slice(0, 2),
      ["reaper", "agent"],
    );
    assertEquals(
      [...Deno.readDirSync(paths.dir)].filter(({ name }) =>
        /scope|ready/.test(name)
      ),
      [],
    );
    assertEquals((await runCli(root.dir, ["stop", "s"])).code, 0);
    assertEquals(root.strays(), []);
  },
});

Deno.test({
  name:
    "a session in a scope gets the XDG_RUNTIME_DIR that it would have without",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    using systemd = new StandIn(BECOME, 252);
    const scope = systemd.launcher(true);
    const envs: Record<string, string>[] = [{}, { XDG_RUNTIME_DIR: "/own" }];
    for (const [i, env] of envs.entries()) {
      const paths = pathsFor(`s${i}`, { root: root.dir });
      Deno.mkdirSync(paths.dir);
      const argv = ["/usr/bin/env"];
      const meta = newMeta({ id: paths.id, kind: "exec", argv, cwd: "/" });
      using prepared = prepare(paths, meta);
      await launch(paths, prepared, { argv, env, clearEnv: true, scope });
      await waitForSession(paths.id, { root: root.dir });
      const names = Deno.readTextFileSync(paths.stdout).split("\n")
        .filter((line) => /^(XDG|INVOCATION)/.test(line));
      assertEquals(names, i === 0 ? [] : ["XDG_RUNTIME_DIR=/own"]);
    }
    const args = Deno.readTextFileSync(`${systemd.dir}/systemd-run.args`);
    assert(!args.includes("--expand-environment"), args);
  },
});

/** Starts `cat` where making a scope fails: a first try that must cost nothing. */
async function launchCat(
  root: TestRoot,
  scope: ReturnType<StandIn["launcher"]>,
) {
  const paths = pathsFor("cat", { root: root.dir });
  Deno.mkdirSync(paths.dir);
  const argv = ["cat"];
  const meta = newMeta({ id: paths.id, kind: "repl", argv, cwd: "/" });
  using prepared = prepare(paths, meta);
  const pids = await launch(paths, prepared, { argv, scope });
  return { paths, pids };
}

for (
  const [how, work] of [
    ["fails", "echo 'Failed to connect' >&2; exit 1"],
    ["is not there", undefined],
    ["hangs", "exec sleep 600"],
    ["hangs and stops", "kill -s STOP $$"],
  ] as const
) {
  Deno.test({
    name:
      `a session starts without a scope where systemd-run (a stand-in) ${how}`,
    ignore: !isLinux,
    async fn() {
      await using root = new TestRoot();
      using systemd = new StandIn(work ?? "");
      if (work === undefined) Deno.removeSync(`${systemd.dir}/systemd-run`);
      const scope = systemd.launcher(
        false,
        how.startsWith("hangs") ? 300 : 10_000,
      );
      const { paths, pids } = await launchCat(root, scope);
      assertEquals(readState(paths), { state: "running", pids });
      assert(isRunning(pids.reaper) && isRunning(pids.agent));
      const names = [...Deno.readDirSync(paths.dir)].map(({ name }) => name);
      assert(!names.includes("scope.log"), names.join());
      // Only the second try's processes, and nobody but them holds the lock.
      assertEquals(root.strays().length, 3);
      const { code } = await runCli(root.dir, ["stop", "cat"]);
      assertEquals([code, readState(paths).state], [0, "exited"]);
      assertEquals(root.strays(), []);
    },
  });
}

Deno.test({
  name:
    "--scope always says what systemd-run (a stand-in) said, and leaves nothing",
  ignore: !isLinux,
  async fn() {
    await using root = new TestRoot();
    using systemd = new StandIn("echo 'Failed to connect' >&2; exit 1");
    const args = ["run", "--scope", "always", "true"];
    const failed = await runCli(root.dir, args, { env: systemd.env });
    assertEquals([failed.code, failed.stdout], [1, ""]);
    assertStringIncludes(failed.stderr, "own: Failed to connect; with --scope");
    const nobody = { ...systemd.env, XDG_RUNTIME_DIR: root.dir };
    const none = await runCli(root.dir, [...args, "--json"], { env: nobody });
    assertEquals(none.code, 1);
    assertStringIncludes(none.stderr, "no user manager answers");
    assertEquals([...Deno.readDirSync(root.dir)], []);
  },
});

Deno.test("createSession() refuses an unknown scope", async () => {
  await using root = new TestRoot();
  const scope = "sometimes" as "auto";
  await assertRejects(
    () => createSession({ command: ["true"], root: root.dir, scope }),
    TypeError,
    'Unknown scope "sometimes"',
  );
  const { code } = await runCli(root.dir, ["run", "--scope", "x", "true"]);
  assertEquals(code, 2);
});

/** A login that ends, for real, or why there can be none here. */
async function endOfLogin(root: TestRoot, dir: string): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [`${PROJECT}tests/login_manager.sh`, dir, ...CLI],
    env: { CODEX_SESSION_HOME: root.dir, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

const IMPOSSIBLE = 77;

Deno.test({
  name:
    "a session outlives a login whose processes logind kills (real logind and user manager)",
  ignore: !isLinux || Deno.uid() !== 0,
  async fn() {
    await using root = new TestRoot();
    const dir = Deno.makeTempDirSync({ prefix: "codex-session-login-" });
    try {
      const { code, stdout, stderr } = await endOfLogin(root, dir);
      if (code === IMPOSSIBLE) {
        console.log("skipped: no systemd to run here, or no control groups");
        return;
      }
      assertEquals(code, 0, `${stdout}${stderr}`);
      const [ids, json] = [stdout.slice(0, 14), stdout.slice(14)];
      assertEquals(ids, "saved\nunsaved\n");
      const states = JSON.parse(json).map((
        session: { id: string; state: string },
      ) => [session.id, session.state]);
      // The other one shows that the login did end.
      assertEquals(states, [["unsaved", "lost"], ["saved", "running"]]);
      const login = JSON.parse(Deno.readTextFileSync(`${dir}/doctor.json`))
        .find(({ check }: { check: string }) => check === "login manager");
      assertEquals(login.status, "warning");
      assertStringIncludes(login.message, "in a scope of your user manager");
      assertStringIncludes(login.advice, "loginctl enable-linger");
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
});
