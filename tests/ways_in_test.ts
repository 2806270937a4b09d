/**
 * The ways in, each for real: `deno run` with as few permissions as possible, the
 * binary, the sources from a URL, the bundle, the npm package. A test that lacks something here
 * is skipped, and its name says what it lacks.
 *
 * Nothing is built in the working tree, but in a copy of it.
 *
 * @module
 */
import { basename, dirname, join } from "../std.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  MODULES,
  PROJECT,
  TestRoot,
} from "./helpers.ts";
import { connect } from "./mcp/client.ts";

/** The one place that holds the name and the version. */
const DENO_JSON = JSON.parse(Deno.readTextFileSync(join(PROJECT, "deno.json")));
const VERSION_LINE = `codex-session ${DENO_JSON.version}\n`;

const isWindows = Deno.build.os === "windows";
/** For the test's name: why it is skipped. */
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

/** This process's environment without variables that change the outcome. */
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

/** Files of the project, besides its modules, that running and building it needs. */
const OTHER_FILES = [
  ...["deno.json", "deno.lock", "README.md", "LICENSE"],
  "web/page/deno.json",
  ...["build/bundle.ts", "build/embed.ts"],
  ...["build/npm.ts", "build/codex-session.sh"],
];

/** Copies the files that running and building the project needs. */
function copyProject(target: string): void {
  for (const name of [...MODULES, ...OTHER_FILES]) {
    Deno.mkdirSync(dirname(join(target, name)), { recursive: true });
    Deno.copyFileSync(join(PROJECT, name), join(target, name));
  }
}

/** One call of the command line. */
type Call = (args: readonly string[], input?: string) => Promise<Result>;

/** Starts, lists, reads, talks to and ends sessions, as every way in must be able to. */
async function exercise(call: Call): Promise<void> {
  async function ok(...args: string[]): Promise<string> {
    const { status, out, err } = await call(args);
    assertEquals(status, 0, `${args.join(" ")}: ${out}${err}`);
    return out;
  }
  // Paths in full: PATH may be empty.
  const sh = ["--", "/bin/sh", "-c"];
  const talk = 'echo ready; while read -r line; do echo "got $line"; ' +
    '[ "$line" = bye ] && exit 7; done';
  assertEquals(await ok("run", "-i", "--id", "talk", ...sh, talk), "talk\n");
  await ok("send", "talk", "hello");
  // It leaves at the end of its input, unless the agent is faster.
  const attached = await call(["attach", "talk"], "bye\n");
  assert([0, 7].includes(attached.status), attached.err);
  assertEquals((await call(["wait", "talk"])).status, 7);
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

/** A client starts the server by the lines of `mcp --config`, in another directory, and asks it. */
async function exerciseMcp(
  root: TestRoot,
  [program = "", ...words]: readonly string[],
  { cwd, env }: ExecuteOptions,
): Promise<void> {
  const printed = await succeed(
    program,
    [...words, "mcp", "--config", "json", "--all"],
    { cwd, env },
  );
  const { command, args } = JSON.parse(printed).mcpServers["codex-session"];
  const at = args.indexOf("mcp");
  await using server = await connect(root.dir, {
    command: [command, ...args.slice(0, at)],
    args: args.slice(at + 1),
    cwd: "/",
    env,
  });
  // Paths in full: PATH may be empty.
  const { id, cursor } = await server.call("start_session", {
    command: ["/bin/sh", "-c", "echo by a tool"],
    cwd: "/",
  });
  const { done } = await server.call("wait_for_session", { id, cursor });
  const { text } = await server.call("read_output", { id });
  assertEquals([done, text], [true, "by a tool\n"]);
  const { sessions } = await server.call("list_sessions");
  assert(sessions.some((session: { id: string }) => session.id === id));
  await server.call("delete_session", { id });
}

const ROOT_READ = "--allow-read=ROOT";
const ROOT_WRITE = "--allow-write=ROOT";
const ENV = "--allow-env";
const USER = "--allow-sys=uid";
const FFI = "--allow-ffi";
const SHELL = "--allow-run=/bin/sh";

/** The permissions that commands need, as the docs list them. */
const PERMISSIONS: readonly {
  /** Everything that is needed; ROOT stands for the state directory. */
  readonly flags: readonly string[];
  /** Calls that each need all of it. */
  readonly calls: readonly (readonly string[])[];
}[] = [
  {
    flags: [],
    calls: [["--help"], ["run", "--help"], ["completions", "bash"]],
  },
  {
    flags: [ENV, USER, ROOT_READ],
    calls: [
      ["list"],
      ["logs", "ended"],
      ["logs", "-f", "ended"],
      ["events"],
      ["events", "-f", "ended"],
      ["wait", "ended"],
      ["wait", "--for", "output=hello", "ended"],
      ["wait", "--for", "turn", "ended"],
      ["logs", "--plain", "ended"],
      ["attach", "--read-only", "ended"],
      ["mcp"],
    ],
  },
  {
    flags: [ENV, USER, ROOT_READ, FFI],
    calls: [
      ["send", "live", "hello"],
      ["send", "live", "hello", "--for", "output=hello"],
    ],
  },
  { flags: [ENV, USER, ROOT_READ, FFI, SHELL], calls: [["show", "live"]] },
  {
    flags: [ENV, USER, ROOT_READ, ROOT_WRITE, FFI],
    calls: [["report", "working"]],
  },
  {
    flags: [ENV, USER, `${ROOT_READ},.`, ROOT_WRITE, FFI, SHELL],
    calls: [
      ["run", "echo", "hello"],
      ["run", "--rm", "-e", "NAME=value", "--timeout", "1m", "echo", "hello"],
      ["create", "exec", "hello"],
    ],
  },
  {
    flags: [ENV, USER, ROOT_READ, ROOT_WRITE, FFI, SHELL],
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
  const given = flags.map((flag) => flag.replace(/\bROOT\b/, root.dir));
  return (args, input) =>
    execute(
      Deno.execPath(),
      ["run", "--quiet", "--no-prompt", ...given, "cli.ts", ...args],
      {
        cwd: PROJECT,
        env: {
          CODEX_SESSION_HOME: root.dir,
          CODEX_SESSION_EXEC: "/bin/echo",
          ...args[0] === "report" && {
            CODEX_SESSION_ID: "live",
            CODEX_SESSION_DIR: `${root.dir}/live`,
          },
        },
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
  name:
    `deno task compile, and deno compile -A cli.ts, make a binary that needs no Deno${
      because(noCompiler ?? noRegistry)
    }`,
  ignore: (noCompiler ?? noRegistry) !== undefined,
  async fn(t) {
    if ("reason" in compiler) return;
    using dir = new TempDir();
    copyProject(dir.path);
    const [program = "", ...leading] = compiler.command;
    const [task, byHand] = [join(dir.path, "task"), join(dir.path, "by-hand")];
    const options = { cwd: dir.path, env: compiler.env };
    await succeed(program, [...leading, "task", "compile"], options);
    Deno.mkdirSync(task);
    Deno.renameSync(
      join(dir.path, "dist/codex-session"),
      join(task, "codex-session"),
    );
    await succeed(program, [...leading, "compile", "-A", "cli.ts"], options);
    Deno.mkdirSync(byHand);
    // Deno names it after the directory, as a file called "cli" says nothing.
    Deno.renameSync(
      join(dir.path, basename(dir.path)),
      join(byHand, "codex-session"),
    );
    for (const elsewhere of [task, byHand]) {
      await t.step(basename(elsewhere), async () => {
        using root = new TestRoot();
        const binary = join(elsewhere, "codex-session");
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
        await exerciseMcp(root, [binary], { cwd: elsewhere, env });
        assertEquals((await call(["--version"])).out, VERSION_LINE);
        assertStringIncludes(
          (await call(["completions", "zsh"])).out,
          "#compdef",
        );
        // It has fetched and cached nothing.
        const left = [...Deno.readDirSync(elsewhere)].map(({ name }) => name);
        assertEquals(left, ["codex-session"]);
      });
    }
  },
});

/** The files of a directory over HTTP, also below `/latest/`, which redirects as download sites do. */
function serve(dir: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, origin } = new URL(request.url);
      if (pathname.startsWith("/latest/")) {
        return Response.redirect(origin + pathname.replace("/latest", ""));
      }
      try {
        const body = await Deno.readFile(join(dir, pathname));
        const type = pathname.endsWith(".ts") ? "typescript" : "javascript";
        const headers = { "content-type": `text/${type}; charset=utf-8` };
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
    const program = [Deno.execPath(), "run", "--quiet", "-A"];
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
    await exerciseMcp(root, [...program, `${url}/cli.ts`], {
      ...options,
      env: { ...env, ...OFFLINE },
    });

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
  async fn(t) {
    using root = new TestRoot();
    using dir = new TempDir();
    using empty = new TempDir();
    copyProject(dir.path);
    await succeed(Deno.execPath(), ["task", "bundle"], { cwd: dir.path });
    const file = join(empty.path, "codex-session.js");
    Deno.copyFileSync(join(dir.path, "dist/codex-session.js"), file);
    const cache = join(dir.path, "cache");
    const env = {
      CODEX_SESSION_HOME: root.dir,
      DENO_DIR: cache,
      ...OFFLINE,
    };
    const options = { cwd: empty.path, env };
    const run = ["run", "--quiet", "-A"];
    const calling = (...argv: string[]): Call => (args, input) =>
      execute(Deno.execPath(), [...argv, ...args], { ...options, input });

    await t.step(
      "it imports nothing, but parts of Deno when it needs them",
      async () => {
        const info = JSON.parse(
          await succeed(Deno.execPath(), ["info", "--json", file], options),
        );
        const [main, ...parts] = info.modules;
        assertEquals(main.specifier, `file://${file}`);
        for (const { specifier } of parts) assertMatch(specifier, /^node:/);
        for (const { isDynamic } of main.dependencies ?? []) assert(isDynamic);
      },
    );
    await t.step("it is ASCII: V8 keeps other text in twice the memory", () => {
      // deno-lint-ignore no-control-regex
      const found = /[^\x00-\x7f]/.exec(Deno.readTextFileSync(file));
      assertEquals(found?.[0], undefined);
    });
    await t.step("as a command line it needs no network", async () => {
      const call = calling(...run, file);
      assertEquals((await call(["--version"])).out, VERSION_LINE);
      await exercise(call);
      await exerciseTerminal(call);
      await exerciseMcp(root, [Deno.execPath(), ...run, file], options);
      assertEquals(downloadsIn(cache), []);
    });
    await t.step(
      "as a program, and installed, it runs by the deno on PATH",
      async () => {
        Deno.chmodSync(file, 0o755);
        Deno.symlinkSync(Deno.execPath(), join(empty.path, "deno"));
        const PATH = `${empty.path}:/usr/bin:/bin`;
        const withPath = {
          env: { ...env, PATH, DENO_INSTALL_ROOT: empty.path },
        };
        assertEquals(
          await succeed(file, ["--version"], withPath),
          VERSION_LINE,
        );
        const install = [
          "install",
          "--quiet",
          "-g",
          "-A",
          "-n",
          "codex-session",
        ];
        await succeed(Deno.execPath(), [...install, file], withPath);
        const installed = join(empty.path, "bin/codex-session");
        const out = await succeed(installed, ["--version"], withPath);
        assertEquals(out, VERSION_LINE);
      },
    );
    await t.step("as a library it has no effect when imported", async () => {
      const text =
        'import * as mod from "URL"; console.log(typeof mod.waitFor)';
      const script = writeUser(empty.path, text, `file://${file}`);
      // No permission: nothing is read, no library is opened.
      const args = ["run", "--quiet", "--no-prompt", script];
      const out = await succeed(Deno.execPath(), args, options);
      assertEquals(out, "function\n");
    });
    await t.step("as a library it starts terminals", async () => {
      const script = writeUser(empty.path, TERMINAL_USER, `file://${file}`);
      const out = await succeed(Deno.execPath(), [...run, script], options);
      assertEquals(out, FROM_THE_LIBRARY);
      assertEquals(downloadsIn(cache), []);
    });
    await t.step("from a URL it needs no network afterwards", async () => {
      await using server = serve(empty.path);
      const url =
        `http://127.0.0.1:${server.addr.port}/latest/codex-session.js`;
      const call = calling(...run, url);
      const online = { ...options, env: { ...env, NO_PROXY: "127.0.0.1" } };
      const first = [...run, url, "--version"];
      const out = await succeed(Deno.execPath(), first, online);
      assertEquals(out, VERSION_LINE);
      await exerciseTerminal(call);
      await exerciseMcp(root, [Deno.execPath(), ...run, url], options);
    });
    for (const library of [file, join(dir.path, "mod.ts")]) {
      const name = basename(library);
      await t.step(`a bundle made of ${name} has no relay`, async () => {
        const url = `file://${library}`;
        const other = await bundle(writeUser(dir.path, TERMINAL_USER, url));
        const out = await succeed(Deno.execPath(), [...run, other], options);
        assertStringIncludes(out, "unsupported Cannot open a terminal");
        assertStringIncludes(out, "set the option relayCommand");
      });
    }
  },
});

/** The files that Deno has downloaded into a cache directory. */
function downloadsIn(cache: string): string[] {
  function filesBelow(dir: string): string[] {
    return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
      isDirectory ? filesBelow(join(dir, name)) : [join(dir, name)]
    );
  }
  return [...Deno.readDirSync(cache)]
    .filter(({ name }) => ["npm", "remote"].includes(name))
    .flatMap(({ name }) => filesBelow(join(cache, name)))
    .sort();
}

/** Uses the library at URL for a session with a terminal. */
const TERMINAL_USER = `
import { createSession, readPlainLog, waitForSession } from "URL";
const command = ["/bin/sh", "-c", "test -t 0 && echo from the library"];
try {
  const { id } = await createSession({ kind: "pty", command });
  const { state } = await waitForSession(id);
  for await (const line of readPlainLog(id)) console.log(line);
  console.log(state.state);
} catch (error) {
  console.log(error.code, error.message);
}
`;

const FROM_THE_LIBRARY = "from the library\nexited\n";

/** Writes a script that imports the library at `url`; returns its path. */
function writeUser(dir: string, text: string, url: string): string {
  const script = join(dir, "script.ts");
  Deno.writeTextFileSync(script, text.replace("URL", url));
  return script;
}

/** Bundles a file into one beside it; returns the path of the new one. */
async function bundle(file: string): Promise<string> {
  const target = file.replace(/\.ts$/, ".js");
  await succeed(Deno.execPath(), ["bundle", "--quiet", "-o", target, file]);
  return target;
}

/** Why the npm package can't be tried, if so. */
async function npmTrouble(): Promise<string | undefined> {
  if (noRegistry !== undefined) return noRegistry;
  try {
    await succeed("npm", ["--version"]);
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "npm is not installed";
    throw error;
  }
}

const noNpm = await npmTrouble();

Deno.test({
  name: `deno task npm makes a package that gives the command${because(noNpm)}`,
  ignore: noNpm !== undefined,
  async fn(t) {
    using root = new TestRoot();
    using dir = new TempDir();
    copyProject(dir.path);
    await succeed(Deno.execPath(), ["task", "npm"], { cwd: dir.path });
    const { name } = DENO_JSON;
    const packed = JSON.parse(
      await succeed("npm", ["pack", "--json", "./dist/npm"], { cwd: dir.path }),
    );
    const [{ filename, files }] = Object.values<{
      filename: string;
      files: { path: string }[];
    }>(packed) as [{ filename: string; files: { path: string }[] }];
    assertEquals(files.map(({ path }) => path).sort(), [
      ...["LICENSE", "README.md", "bin/codex-session", "codex-session.js"],
      "package.json",
    ]);
    const { dependencies } = JSON.parse(
      Deno.readTextFileSync(join(dir.path, "dist/npm/package.json")),
    );
    const newest = `NEWEST=${dependencies.deno}\n`;
    const ci = Deno.readTextFileSync(join(PROJECT, ".ci/run"));
    assertStringIncludes(ci, newest, "the tests run on another Deno");
    // Not in the copy: its workspace is none of a user's.
    using prefixDir = new TempDir();
    const prefix = prefixDir.path;
    // Deno's executable comes from npm's cache, if it is there.
    await succeed("npm", [
      ...["install", "--global", "--prefix", prefix, "--prefer-offline"],
      ...["--no-audit", "--no-fund", join(dir.path, filename)],
    ]);
    const command = join(prefix, "bin/codex-session");
    const installed = join(prefix, "lib/node_modules", name);
    const elsewhere = join(dir.path, "elsewhere");
    Deno.mkdirSync(elsewhere);
    // A configuration that happens to be there is none of ours.
    Deno.writeTextFileSync(join(elsewhere, "deno.json"), "{ broken");
    const env = {
      CODEX_SESSION_HOME: root.dir,
      DENO_DIR: join(dir.path, "cache"),
      PATH: "/usr/bin:/bin",
      HOME: dir.path,
      ...OFFLINE,
    };
    const options = { cwd: elsewhere, env, clearEnv: true };
    const call: Call = (args, input) =>
      execute(command, args, { ...options, input });

    await t.step("the command does everything", async () => {
      assertEquals(
        (await call(["--version"])).out,
        VERSION_LINE,
      );
      await exercise(call);
      await exerciseTerminal(call);
      await exerciseMcp(root, [command], { cwd: elsewhere, env });
      assertEquals(downloadsIn(env.DENO_DIR), []);
    });
    await t.step("Deno can import the package", async () => {
      const project = join(prefix, "lib");
      Deno.writeTextFileSync(join(project, "package.json"), "{}");
      const script = writeUser(project, TERMINAL_USER, name);
      const out = await succeed(Deno.execPath(), ["run", "-A", script], {
        env,
      });
      assertEquals(out, FROM_THE_LIBRARY);
    });
    await t.step("a missing Deno is told in one line", async () => {
      Deno.removeSync(join(installed, "node_modules"), { recursive: true });
      const { status, out, err } = await call(["--version"]);
      assertEquals([status, out], [1, ""]);
      assert(/^codex-session: cannot find .* "deno": .*\n$/.test(err), err);
    });
  },
});

Deno.test({
  name: `deno publish takes the program and nothing else${because(onWindows)}`,
  ignore: isWindows,
  async fn() {
    // The gate checks the types; publishing also refuses types that take long to infer.
    const { status, out, err } = await execute(
      Deno.execPath(),
      ["publish", "--dry-run", "--allow-dirty", "--no-check"],
      { cwd: PROJECT },
    );
    assertEquals(status, 0, err);
    const published = [...(out + err).matchAll(/file:\/\/(\S+)/g)]
      .map(([, path = ""]) => path.slice(PROJECT.length));
    const code = published.filter((path) => path.endsWith(".ts")).sort();
    assertEquals(code, MODULES);
    const other = published.filter((path) => !/\.ts$|^docs\//.test(path))
      .sort();
    assertEquals(other, [
      ...["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"],
      "deno.json",
    ]);
  },
});
