/**
 * The ways in, each for real: `deno run` with as few permissions as it takes, the
 * compiled binary, a URL, the bundle. What each needs and can't have here is said
 * in the name of the test that is skipped for it.
 *
 * Nothing is built in the working tree: a copy of what a clone holds is.
 *
 * @module
 */
import { dirname, join } from "../std.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  MODULES,
  PROJECT,
  TestRoot,
} from "./helpers.ts";

const isWindows = Deno.build.os === "windows";
/** Said in a test's name, where everybody sees it. */
const because = (reason: string | undefined) =>
  reason === undefined ? "" : ` (skipped: ${reason})`;
const onWindows = isWindows ? "no sessions on Windows" : undefined;

/** How a program ended and what it wrote. */
interface Result {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** How {@linkcode execute} starts a program. */
interface ExecuteOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly clearEnv?: boolean;
  /** What it reads from standard input; without it, end of file. */
  readonly input?: string;
}

/** Our own environment, but for what would change the outcome. */
function environment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(Deno.env.toObject())) {
    // Deno wants --allow-run in full while an LD_ variable is set.
    if (!/^(CODEX_SESSION_|LD_|DYLD_|RUST_BACKTRACE$)/.test(name)) {
      env[name] = value;
    }
  }
  // An older Deno does not trust what the system trusts, such as a proxy's certificate.
  return { DENO_TLS_CA_STORE: "system,mozilla", NO_COLOR: "1", ...env };
}

/** Runs a program to its end. */
async function execute(
  program: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<Result> {
  const { cwd, env = {}, clearEnv = false, input } = options;
  const child = new Deno.Command(program, {
    args: [...args],
    cwd,
    env: clearEnv ? env : { ...environment(), ...env },
    clearEnv: true,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return {
    status: code,
    out: decoder.decode(stdout),
    err: decoder.decode(stderr),
  };
}

/** Runs a program that has to succeed; returns its output. */
async function succeed(
  program: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<string> {
  const { status, out, err } = await execute(program, args, options);
  assertEquals(status, 0, `${program} ${args.join(" ")}: ${out}${err}`);
  return out;
}

/** A directory of its own; disposing of it deletes it. */
class TempDir {
  readonly path: string = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "codex-session-ways-" }),
  );
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** What is needed of the project to run and build it. */
function copyProject(target: string): void {
  for (const name of [...MODULES, "deno.json", "deno.lock"]) {
    Deno.mkdirSync(dirname(join(target, name)), { recursive: true });
    Deno.copyFileSync(join(PROJECT, name), join(target, name));
  }
}

/** One call of the command line, however it was come by. */
type Call = (args: readonly string[], input?: string) => Promise<Result>;

/** Starts, looks at, talks to and ends sessions: what every way in must allow. */
async function exercise(call: Call): Promise<void> {
  async function ok(...args: string[]): Promise<string> {
    const { status, out, err } = await call(args);
    assertEquals(status, 0, `${args.join(" ")}: ${out}${err}`);
    return out;
  }
  // The agent and what it calls stand at fixed paths: there may be no PATH at all.
  const sh = ["--", "/bin/sh", "-c"];
  const talk = 'echo ready; while read -r line; do echo "got $line"; ' +
    '[ "$line" = bye ] && exit 7; done';
  assertEquals(await ok("run", "-i", "--id", "talk", ...sh, talk), "talk\n");
  await ok("send", "talk", "hello");
  const attached = await call(["attach", "talk"], "bye\n");
  assertEquals(attached.out, "ready\ngot hello\ngot bye\n", attached.err);
  assertEquals(attached.status, 7);
  assertEquals(await ok("logs", "talk"), "ready\ngot hello\ngot bye\n");

  const sleeper =
    "trap 'exit 5' TERM; echo up; while :; do sleep 60 & wait $!; done";
  await ok("run", "--id", "long", ...sh, sleeper);
  const listed = await ok("list", "--state", "running", "-q");
  assertEquals(listed, "long\n");
  assertEquals(await ok("stop", "long"), "long\n");
  const [shown] = JSON.parse(await ok("show", "long"));
  assertEquals([shown.state, shown.processes], ["exited", []]);
  assertEquals(shown.stopped.by, "stop");
  assertStringIncludes(await ok("list"), "exited");
  await ok("delete", "long", "talk");
  assertEquals(await ok("list", "-q"), "");
}

/** The same for a session with a terminal, whose relay is a process of its own. */
async function exerciseTerminal(call: Call): Promise<void> {
  async function ok(...args: string[]): Promise<string> {
    const { status, out, err } = await call(args);
    assertEquals(status, 0, `${args.join(" ")}: ${out}${err}`);
    return out;
  }
  const ask =
    "printf 'Your name? '; read -r name; echo \"Hello, $name\"; read -r end";
  await ok("run", "-t", "--id", "term", "--", "/bin/sh", "-c", ask);
  await ok("wait", "--for", "screen=name\\?", "--timeout", "20s", "term");
  await ok("send", "term", "Ada");
  await ok("wait", "--for", "screen=Hello", "--timeout", "20s", "term");
  assertStringIncludes(await ok("screen", "term"), "Hello, Ada");
  await ok("send", "term", "-k", "enter");
  await ok("wait", "--timeout", "20s", "term");
  assertStringIncludes(await ok("logs", "--plain", "term"), "Hello, Ada");
  await ok("delete", "term");
}

const CODE_READ = "--allow-read=CODE";
const ROOT_READ = `${CODE_READ},ROOT`;
const ROOT_WRITE = "--allow-write=ROOT";
const ENV = "--allow-env";
const USER = "--allow-sys=uid";
const FFI = "--allow-ffi";
const SHELL = "--allow-run=/bin/sh";

/** The permissions that commands need, as the docs list them. */
const PERMISSIONS: readonly {
  /** Everything that is needed; ROOT stands for the state directory, CODE for ours. */
  readonly flags: readonly string[];
  /** Calls that each need all of it. */
  readonly calls: readonly (readonly string[])[];
}[] = [
  { flags: [], calls: [["--help"], ["run", "--help"]] },
  { flags: [CODE_READ], calls: [["completions", "bash"]] },
  {
    flags: [ENV, USER, ROOT_READ],
    calls: [
      ["list"],
      ["logs", "ended"],
      ["logs", "-f", "ended"],
      ["wait", "ended"],
      ["wait", "--for", "output=hello", "ended"],
      ["logs", "--plain", "ended"],
      ["attach", "--read-only", "ended"],
    ],
  },
  { flags: [ENV, USER, ROOT_READ, FFI], calls: [["send", "live", "hello"]] },
  { flags: [ENV, USER, ROOT_READ, FFI, SHELL], calls: [["show", "live"]] },
  {
    flags: [ENV, USER, `${ROOT_READ},.`, ROOT_WRITE, FFI],
    calls: [
      ["run", "echo", "hello"],
      ["run", "--rm", "-e", "NAME=value", "--timeout", "1m", "echo", "hello"],
      ["run", "-e", "LD_LIBRARY_PATH=/tmp", "echo", "hello"],
      ["create", "exec", "hello"],
    ],
  },
  {
    flags: [ENV, USER, ROOT_READ, ROOT_WRITE, FFI],
    calls: [
      ["run", "--cwd", "/", "echo", "hello"],
      ["run", "-a", "--cwd", "/", "echo", "hello"],
    ],
  },
  {
    flags: [ENV, USER, ROOT_READ, ROOT_WRITE, FFI, SHELL],
    calls: [
      ["stop", "live"],
      ["delete", "-f", "live"],
      ["delete", "ended"],
      ["prune"],
    ],
  },
];

/** `deno run` with these permissions, in the project's directory. */
function callWith(flags: readonly string[], root: TestRoot): Call {
  const given = flags.map((flag) =>
    flag.replace(/\bROOT\b/, root.dir).replace(/\bCODE\b/, PROJECT)
  );
  return (args, input) =>
    execute(
      Deno.execPath(),
      ["run", "--quiet", "--no-prompt", ...given, "cli.ts", ...args],
      {
        cwd: PROJECT,
        env: { CODEX_SESSION_HOME: root.dir, CODEX_SESSION_EXEC: "/bin/echo" },
        input,
      },
    );
}

/** An ended and a running session. */
async function populate(root: TestRoot): Promise<void> {
  const call = callWith(["-A"], root);
  for (
    const args of [
      ["run", "--id", "ended", "echo", "hello"],
      ["wait", "ended"],
      ["run", "-i", "--id", "live", "cat"],
    ]
  ) assertEquals((await call(args)).status, 0);
}

for (const { flags, calls } of PERMISSIONS) {
  const needed = flags.join(" ") || "no permission";
  const commands = [...new Set(calls.map(([name]) => name))].join(", ");
  Deno.test({
    name: `deno run needs ${needed} for ${commands}${because(onWindows)}`,
    ignore: isWindows,
    async fn(t) {
      for (const args of calls) {
        await t.step(args.join(" "), async () => {
          using root = new TestRoot();
          await populate(root);
          const before = namesIn(root);
          for (const flag of flags) {
            // All of it is needed: without one, nothing is done, and it is named.
            const others = flags.filter((other) => other !== flag);
            const { status, out, err } = await callWith(others, root)(args);
            assertEquals([status, out], [1, ""], `without ${flag}: ${err}`);
            const [name = ""] = flag.split("=");
            assertMissing(err, name);
            assertEquals(namesIn(root), before, `without ${flag}`);
          }
          const { status, err } = await callWith(flags, root)(args);
          assertEquals(status, 0, err);
        });
      }
    },
  });
}

function namesIn(root: TestRoot): string[] {
  return [...Deno.readDirSync(root.dir)].map(({ name }) => name).sort();
}

/** One line that names the flag, and no stack trace. */
function assertMissing(err: string, flag: string): void {
  assertStringIncludes(err, flag);
  assert(/^codex-session: .*\n$/.test(err), err);
}

Deno.test({
  name: `deno run needs no more variables than it reads${because(onWindows)}`,
  ignore: isWindows,
  async fn() {
    using root = new TestRoot();
    const names = ["HOME", "DIR", "EXEC"].map((name) =>
      `CODEX_SESSION_${name}`
    );
    const flags = [
      `--allow-env=${names.join(",")}`,
      USER,
      `${ROOT_READ},.`,
      ROOT_WRITE,
      FFI,
      SHELL,
    ];
    const call = callWith(flags, root);
    await exercise(call);
    const { status, err } = await call(["create", "exec", "hello"]);
    assertEquals(status, 0, err);
  },
});

Deno.test({
  name:
    `deno run needs --allow-net, with a newer Deno, for the socket of a terminal${
      because(onWindows)
    }`,
  ignore: isWindows,
  async fn() {
    using root = new TestRoot();
    const flags = [ENV, USER, `${ROOT_READ},.`, ROOT_WRITE, FFI, SHELL];
    await exerciseTerminal(callWith([...flags, "--allow-net"], root));
  },
});

Deno.test({
  name: `deno run with few permissions starts a session from within a session${
    because(onWindows)
  }`,
  ignore: isWindows,
  async fn() {
    using root = new TestRoot();
    const [, read, write, ...rest] = [
      ENV,
      USER,
      `${ROOT_READ},.`,
      ROOT_WRITE,
      FFI,
      SHELL,
    ].map((flag) => flag.replace("ROOT", root.dir));
    const inner = [
      ...[Deno.execPath(), "run", "--quiet", "--no-prompt", ENV, read!, write!],
      ...[...rest, "cli.ts", "run", "--id", "inner", "cat", "/dev/null"],
    ];
    const call = callWith(["-A"], root);
    const outer = await call(["run", "-a", "--id", "outer", "--", ...inner]);
    assertEquals([outer.status, outer.out], [0, "inner\n"], outer.err);
    const [shown] = JSON.parse((await call(["show", "outer"])).out);
    assertEquals([shown.state, shown.exitCode], ["exited", 0]);
  },
});

/** A Deno and a base runtime of its version; or why there is none. */
type Compiler =
  | {
    readonly command: readonly string[];
    readonly env: Record<string, string>;
  }
  | { readonly reason: string };

/**
 * `deno compile` downloads its base runtime. Where that can't be reached, a file
 * beside the clone may tell of one for Deno 2.7.11.
 */
async function findCompiler(): Promise<Compiler> {
  const own = [Deno.execPath()];
  const given = Deno.env.get("DENORT_BIN");
  if (given) return { command: own, env: { DENORT_BIN: given } };
  const version = "2.7.11";
  try {
    const script = join(PROJECT, "../shared/compile-runtime");
    const { status, out } = await execute(script, []);
    if (status === 0) {
      return {
        command: Deno.version.deno === version
          ? own
          : ["npx", "-y", `deno@${version}`],
        env: { DENORT_BIN: out.trim() },
      };
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  using dir = new TempDir();
  const file = join(dir.path, "empty.ts");
  Deno.writeTextFileSync(file, "");
  const { status, err } = await execute(own[0]!, [
    ...["compile", "--quiet", "-o", join(dir.path, "empty"), file],
  ]);
  if (status === 0) return { command: own, env: {} };
  return {
    reason: `no base runtime for Deno ${Deno.version.deno}: ${causeOf(err)}`,
  };
}

/** The last cause that Deno names for an error. */
function causeOf(err: string): string {
  const [message = ""] = err.split(/^Stack backtrace/m);
  return message.trim().split("\n").at(-1)!.replace(/^\s*\d+: /, "").trim();
}

/** Why nothing can be fetched from npm, if so. */
async function registryTrouble(): Promise<string | undefined> {
  using dir = new TempDir();
  const { status, err } = await execute(
    Deno.execPath(),
    ["cache", "--quiet", "npm:deno-std@1.3.1/path/join.js"],
    { cwd: dir.path, env: { DENO_DIR: join(dir.path, "cache") } },
  );
  if (status === 0) return undefined;
  return `the npm registry can't be reached: ${causeOf(err)}`;
}

const compiler: Compiler = isWindows
  ? { reason: onWindows! }
  : await findCompiler();
const noCompiler = "reason" in compiler ? compiler.reason : undefined;
const noRegistry = isWindows ? onWindows : await registryTrouble();
for (const reason of new Set([noCompiler, noRegistry])) {
  if (reason !== undefined) console.log(`skipped: ${reason}`);
}

Deno.test({
  name: `deno task compile makes a binary that needs no Deno${
    because(noCompiler)
  }`,
  ignore: noCompiler !== undefined,
  async fn() {
    if ("reason" in compiler) return;
    using root = new TestRoot();
    using dir = new TempDir();
    copyProject(dir.path);
    const [program = "", ...leading] = compiler.command;
    await succeed(program, [...leading, "task", "compile"], {
      cwd: dir.path,
      env: compiler.env,
    });
    const elsewhere = join(dir.path, "elsewhere");
    Deno.mkdirSync(elsewhere);
    const binary = join(elsewhere, "codex-session");
    Deno.renameSync(join(dir.path, "dist/codex-session"), binary);
    const env = {
      CODEX_SESSION_HOME: root.dir,
      HOME: elsewhere,
      PATH: elsewhere,
      DENO_DIR: join(elsewhere, "cache"),
    };
    const call: Call = (args, input) =>
      execute(binary, args, { cwd: elsewhere, env, clearEnv: true, input });
    await exercise(call);
    await exerciseTerminal(call);
    assertStringIncludes((await call(["--version"])).out, "codex-session");
    assertStringIncludes((await call(["completions", "zsh"])).out, "#compdef");
    // It has fetched and cached nothing.
    const left = [...Deno.readDirSync(elsewhere)].map(({ name }) => name);
    assertEquals(left, ["codex-session"]);
  },
});

/** The files of a directory over HTTP, as any plain web server gives them. */
function serve(dir: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      try {
        const body = await Deno.readFile(join(dir, pathname));
        const headers = { "content-type": "text/typescript; charset=utf-8" };
        return new Response(body, { headers });
      } catch {
        return new Response("No such file", { status: 404 });
      }
    },
  );
}

const LIBRARY_USER = `
import { createSession, readLog, waitForSession } from "URL/mod.ts";
const { id } = await createSession({ command: ["echo", "from the library"] });
const { state } = await waitForSession(id);
for await (const bytes of readLog(id)) await Deno.stdout.write(bytes);
console.log(state.state);
`;

/** For Deno there is no network: its one way out is a proxy that nobody runs. */
const OFFLINE = {
  HTTP_PROXY: "http://127.0.0.1:1",
  HTTPS_PROXY: "http://127.0.0.1:1",
  NO_PROXY: "",
};

Deno.test({
  name: `cli.ts and mod.ts work from a URL, later without a network${
    because(noRegistry)
  }`,
  ignore: noRegistry !== undefined,
  async fn() {
    using root = new TestRoot();
    using site = new TempDir();
    using empty = new TempDir();
    copyProject(site.path);
    await using server = serve(site.path);
    const url = `http://127.0.0.1:${server.addr.port}`;
    const cache = join(site.path, "cache");
    const env = { CODEX_SESSION_HOME: root.dir, DENO_DIR: cache };
    const options = { cwd: empty.path, env };
    const callWith =
      (env: Readonly<Record<string, string>>): Call => (args, input) =>
        execute(
          Deno.execPath(),
          ["run", "--quiet", "-A", `${url}/cli.ts`, ...args],
          { ...options, env: { ...options.env, ...env }, input },
        );
    const call = callWith(OFFLINE);
    // What the first call of all has fetched is all that a session ever needs.
    const sh = ["--", "/bin/sh", "-c", "echo here; read -r end"];
    const first = ["run", "-t", "--id", "first", ...sh];
    assertEquals((await callWith({})(first)).out, "first\n");
    const seen = await call(["wait", "--for", "screen=here", "first"]);
    assertEquals(seen.status, 0, seen.err);
    assertEquals((await call(["delete", "-f", "first"])).status, 0);
    await exercise(call);
    await exerciseTerminal(call);
    assertEquals([...Deno.readDirSync(empty.path)], []);

    const script = join(empty.path, "script.ts");
    Deno.writeTextFileSync(script, LIBRARY_USER.replace("URL", url));
    const out = await succeed(
      Deno.execPath(),
      ["run", "--quiet", "--check", "-A", script],
      options,
    );
    assertEquals(out, "from the library\nexited\n");
  },
});

Deno.test({
  name: `run -t fails at once when its terminal's code can't be loaded${
    because(onWindows)
  }`,
  ignore: isWindows,
  async fn(t) {
    for (
      const [missing, file, code] of [
        // Imported once a client attaches: too late to learn of it.
        ["npm package", "screen/emulator.ts", /headless@6\.0\.0/g],
        // A part of the relay and of nothing that the command itself needs.
        ["module", "relay/relay.ts", /server\.ts/g],
      ] as const
    ) {
      await t.step(missing, async () => {
        using root = new TestRoot();
        using copy = new TempDir();
        copyProject(copy.path);
        const path = join(copy.path, file);
        const text = Deno.readTextFileSync(path).replace(code, "$&-missing");
        Deno.writeTextFileSync(path, text);
        const { status, err } = await execute(
          Deno.execPath(),
          ["run", "-A", "--no-lock", "cli.ts", "run", "-t", "/bin/true"],
          { cwd: copy.path, env: { CODEX_SESSION_HOME: root.dir } },
        );
        assertEquals(status, 1);
        assert(/^codex-session: Cannot start .*-missing.*\n$/m.test(err), err);
        assertEquals(namesIn(root), []);
      });
    }
  },
});

Deno.test({
  name: `deno task bundle makes one file that needs no other${
    because(noRegistry)
  }`,
  ignore: noRegistry !== undefined,
  async fn() {
    using root = new TestRoot();
    using dir = new TempDir();
    using empty = new TempDir();
    copyProject(dir.path);
    await succeed(Deno.execPath(), ["task", "bundle"], { cwd: dir.path });
    const file = join(empty.path, "codex-session.js");
    Deno.copyFileSync(join(dir.path, "dist/codex-session.js"), file);
    const env = {
      CODEX_SESSION_HOME: root.dir,
      DENO_DIR: join(dir.path, "cache"),
    };
    const options = { cwd: empty.path, env };
    // What it would import, were it not in it.
    const info = JSON.parse(
      await succeed(Deno.execPath(), ["info", "--json", file], options),
    );
    const specifiers = info.modules.map(({ specifier = "" }) => specifier);
    assertEquals(specifiers, [`file://${file}`]);
    assertEquals(info.modules[0].dependencies ?? [], []);
    const offline = ["--cached-only", "--no-remote", "--no-npm"];
    const call: Call = (args, input) =>
      execute(
        Deno.execPath(),
        ["run", "--quiet", "-A", ...offline, file, ...args],
        { ...options, input },
      );
    await exercise(call);
    await exerciseTerminal(call);
  },
});
