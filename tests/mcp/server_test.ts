/**
 * The server's protocol and its end: as the official client sees them, and with what no right
 * client sends, over raw pipes.
 *
 * @module
 */
import { connect } from "./client.ts";
import { createSession } from "../../session/create.ts";
import { listSessions } from "../../session/find.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  CLI,
  isRunning,
  PROJECT,
  startCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { TestWindow } from "../pty.ts";
import { withoutTools } from "../../mcp/instructions.ts";
import { exists } from "../../system/files.ts";

const INITIALIZE = {
  method: "initialize",
  params: {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "raw", version: "1" },
  },
};

/** A message of JSON. */
// deno-lint-ignore no-explicit-any
type Json = any;

/** A server behind raw pipes. Disposing of it kills it. */
class RawServer implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  /** What it has written, as lines. */
  readonly lines: string[] = [];
  stderr = "";
  status: Deno.CommandStatus | undefined;
  #reading: Promise<unknown>[] = [];

  constructor(child: Deno.ChildProcess, { reads = true } = {}) {
    this.child = child;
    this.#input = child.stdin.getWriter();
    child.status.then((status) => this.status = status);
    this.#reading = [this.#readErrors(), ...reads ? [this.#read()] : []];
  }

  static start(root: string, options: { reads?: boolean } = {}): RawServer {
    return new RawServer(startCli(root, ["mcp"]), options);
  }

  async #read(): Promise<void> {
    let rest = "";
    const text = this.child.stdout.pipeThrough(new TextDecoderStream());
    for await (const part of text) {
      const lines = (rest + part).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines);
    }
  }

  async #readErrors(): Promise<void> {
    const text = this.child.stderr.pipeThrough(new TextDecoderStream());
    for await (const part of text) this.stderr += part;
  }

  /** Writes bytes; those that a full pipe does not take wait, or are lost with it. */
  write(content: string | Uint8Array): void {
    const bytes = typeof content === "string"
      ? new TextEncoder().encode(content)
      : content;
    this.#input.write(bytes).catch(() => {});
  }

  send(message: object): void {
    this.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  /** Opens the connection. */
  async open(): Promise<void> {
    this.send({ id: "open", ...INITIALIZE });
    this.send({ method: "notifications/initialized" });
    await this.answer("open");
  }

  call(id: number, name: string, args: object = {}): void {
    const params = { name, arguments: args };
    this.send({ id, method: "tools/call", params });
  }

  /** All that it has written, which is nothing but JSON. */
  messages(): Json[] {
    return this.lines.map((line) => JSON.parse(line));
  }

  /** The answer to a request. */
  async answer(id: unknown): Promise<Json> {
    return await until(
      () => this.messages().find((message) => message.id === id),
      `the answer to ${id}`,
    );
  }

  /** Closes its input, as a client does that ends. */
  close(): void {
    this.#input.close().catch(() => {});
  }

  /** Waits for its end, on a busy machine too. A server that misses it runs for 30 s or for ever. */
  async ended(): Promise<void> {
    await until(() => this.status, "the server's end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.status === undefined) this.child.kill("SIGKILL");
    await this.child.status;
    if (!this.child.stdout.locked) await this.child.stdout.cancel();
    await Promise.all(this.#reading);
    await this.#input.abort().catch(() => {});
  }
}

Deno.test("a client lists the tools, each with strict arguments and annotations", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const { tools } = await server.client.listTools();
  for (const { name, description, inputSchema, annotations } of tools) {
    assertEquals(inputSchema.additionalProperties, false, name);
    assert((description ?? "").length > 20, name);
    assertEquals(typeof annotations?.readOnlyHint, "boolean", name);
  }
  const names = tools.map(({ name }) => name);
  assert(names.includes("list_sessions") && names.includes("start_session"));
});

Deno.test("with --read-only there are only tools that change nothing", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--read-only"] });
  const { tools } = await server.client.listTools();
  assert(tools.every(({ annotations }) => annotations?.readOnlyHint));
  await assertRejects(
    () => server.call("start_session", { command: ["true"] }),
    Error,
    'Tool "start_session" not found: this server runs with --read-only',
  );
  const shown = [
    server.client.getInstructions(),
    ...tools.map(({ description }) => description),
  ].join("\n");
  const others = /start_session|ask_agent|send_input|stop_session|delete_/i;
  assert(!others.test(shown), shown);
  assertEquals(
    withoutTools("It waits: look with read_screen, answer with send_input", [
      "send_input",
    ]),
    "It waits: look with read_screen",
  );
});

Deno.test("with --all the model is told that it sees what others have started", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--all"] });
  assertMatch(server.client.getInstructions() ?? "", /others have started/);
  const { tools } = await server.client.listTools();
  const list = tools.find(({ name }) => name === "list_sessions");
  assertMatch(list?.description ?? "", /^Lists all .*\. `state` tells/);
});

Deno.test("unknown tools and wrong arguments are errors that name them", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  for (const name of ["nope", "constructor"]) {
    const message = `Tool "${name}" not found: there are list_sessions, `;
    await assertRejects(() => server.call(name), Error, message);
  }
  const long = await assertRejects(
    () => server.call(`\x1b[2J${"x".repeat(1_000_000)}`),
    Error,
    'Tool "[2Jxxx',
  );
  assert(long.message.length < 500);
  const cases: [object, RegExp][] = [
    [{}, /of stop_session: must have required property 'id'; it takes {id, gr/],
    [{ id: 7 }, /id must be string/],
    [{ id: "a", now: true }, /of stop_session: unknown argument "now"; it/],
    [{ id: "a", constructor: 1 }, /unknown argument "constructor"/],
    [{ id: "a", "\x1b[2J\u202e": 1 }, /unknown argument "\[2J"/],
  ];
  for (const [args, message] of cases) {
    const error = await server.refused("stop_session", args);
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
  }
});

Deno.test("the server names the first of many wrong arguments", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const args = Array.from({ length: 10_000 }, (_, i) => [`k${i}`, 1]);
  const { message } = await server.refused(
    "list_sessions",
    Object.fromEntries(args),
  );
  assertEquals(
    message,
    'Invalid arguments of list_sessions: unknown argument "k0"; it takes {state?, status?, labels?, limit?}',
  );
  const name = "x".repeat(1_000_000);
  const long = await server.refused("get_session", { id: "a", [name]: 1 });
  assert(long.message.length < 300, long.message);
});

Deno.test("the server answers garbage with errors and goes on", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  server.write('\n  \nhello\n{"jsonrpc":\n');
  server.write(new Uint8Array([0, 255, 254, 10]));
  await server.open();
  server.write('[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n');
  server.write('null\n7\n"x"\n{"id":2,"method":"ping"}\n');
  server.send({ id: 3, method: 8 });
  server.send({ id: { deep: 1 }, method: "ping" });
  server.send({ id: 4, method: "no/such/method" });
  server.send({ id: 5, method: "tools/call", params: { name: ["x"] } });
  server.write(`${"[".repeat(200_000)}${"]".repeat(200_000)}\n`);
  server.send({ method: "notifications/cancelled", params: { requestId: 99 } });
  server.send({ id: 77, result: {} });
  server.send({ id: 6, method: "ping" });
  assertEquals((await server.answer(6)).result, {});
  const codeOf = async (id: number) => (await server.answer(id)).error.code;
  assertEquals(await Promise.all([2, 3, 4, 5].map(codeOf)), [
    ...[-32600, -32600, -32601, -32602],
  ]);
  const codes = server.messages().filter(({ id }) => id === null)
    .map(({ error }) => error.code);
  assertEquals(codes, [
    ...[-32700, -32700, -32700, -32600, -32600, -32600, -32600, -32600, -32600],
  ]);
  server.close();
  await server.ended();
  assertEquals([server.status?.code, server.stderr], [0, ""]);
});

Deno.test("a line of 20 MB is refused, the next one is answered", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  await server.open();
  server.call(1, "stop_session", { id: "x".repeat(20_000_000) });
  server.call(2, "stop_session", { id: "x" });
  assertEquals((await server.answer(2)).result.isError, true);
  const { error } = await server.answer(null);
  assertMatch(error.message, /at most 10485760 bytes/);
});

Deno.test("what is asked before the input ends is answered, also without a newline", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  server.send({ id: 1, ...INITIALIZE });
  server.call(2, "list_sessions");
  server.write('{"jsonrpc":"2.0","id":3,"method":"ping"}');
  server.close();
  const { result } = await server.answer(2);
  assertEquals(result.structuredContent.sessions, []);
  await server.answer(3);
  await server.ended();
  assertEquals(server.status?.code, 0);
});

Deno.test("a client that is gone in the middle of a start leaves a session or nothing", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  await server.open();
  const command = ["sleep", "60"];
  server.call(1, "start_session", { command, kind: "pty" });
  await until(() => [...Deno.readDirSync(root.dir)].length > 0);
  server.child.kill("SIGTERM");
  await server.ended();
  const sessions = await listSessions({ root: root.dir });
  const names = [...Deno.readDirSync(root.dir)].map(({ name }) => name);
  assertEquals(names.sort(), sessions.map(({ id }) => id).sort());
  for (const { state } of sessions) assertEquals(state.state, "running");
});

Deno.test("a client that is gone in the middle of a stop leaves the session; the server ends", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  await server.open();
  const script = "trap '' TERM; echo; while :; do sleep 1; done";
  const labels = { parent: Deno.cwd() };
  const command = ["sh", "-c", script];
  const { id, paths } = await createSession({
    ...{ root: root.dir, command, labels },
  });
  await until(() => Deno.statSync(paths.stdout).size > 0);
  server.call(1, "stop_session", { id, grace: "30s" });
  await until(() => exists(paths.stop));
  server.close();
  await server.ended();
  const [session] = await listSessions({ root: root.dir });
  assertEquals(session?.state.state, "running");
});

Deno.test("signals end the server, also while its client reads nothing", async () => {
  await using root = new TestRoot();
  const end = async (signal: Deno.Signal, reads: boolean) => {
    await using server = RawServer.start(root.dir, { reads });
    server.send({ id: 1, ...INITIALIZE });
    if (reads) await server.answer(1);
    else {
      // More than a pipe holds.
      const many = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n`;
      server.write(many.repeat(200));
      await until(() => isWriting(server.child.pid));
    }
    server.child.kill(signal);
    await server.ended();
  };
  await Promise.all([
    end("SIGTERM", false),
    end("SIGTERM", true),
    end("SIGINT", true),
    end("SIGHUP", true),
  ]);
});

/** Tells whether a thread of a process waits for room in a pipe. */
function isWriting(pid: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].some(({ name }) => {
    const file = `/proc/${pid}/task/${name}/wchan`;
    return /pipe_write|sock_alloc/.test(Deno.readTextFileSync(file));
  });
}

Deno.test("the server ends when nobody reads its output any more, its input still open", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir, { reads: false });
  server.send({ id: 1, ...INITIALIZE });
  await server.child.stdout.cancel();
  server.send({ id: 2, method: "ping" });
  await server.ended();
});

Deno.test("the server ends at once if its input is empty", async () => {
  await using root = new TestRoot();
  await using server = RawServer.start(root.dir);
  server.close();
  await server.ended();
  assertEquals([server.status?.code, server.lines, server.stderr], [0, [], ""]);
});

Deno.test("a person who types the command is told what it is", async () => {
  await using root = new TestRoot();
  const env = { CODEX_SESSION_HOME: root.dir };
  await using term = await TestWindow.open([...CLI, "mcp"], { env });
  await term.shows(/server for agents[^]* --config codex/);
  term.type("\x04");
  assertEquals((await term.ended()).code, 0);
});

Deno.test("nothing but the protocol is on standard output, and loose errors don't end the server", async () => {
  await using root = new TestRoot();
  const script = `${root.dir}/noisy.ts`;
  Deno.writeTextFileSync(
    script,
    `import { run } from "file://${PROJECT}cli.ts";
     const log = console.log;
     const timer = setInterval(() => {
       if (console.log === log) return; // Not before the server runs.
       clearInterval(timer);
       console.log("noise");
       console.table([1]);
       Promise.reject(new Error("loose\\nend"));
       setTimeout(() => { throw new Error("thrown"); });
     }, 1);
     await run();`,
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, "mcp"],
    env: { CODEX_SESSION_HOME: root.dir, NO_COLOR: "1" },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  await using server = new RawServer(child);
  await until(() => /thrown/.test(server.stderr));
  await server.open();
  assertEquals(server.messages().length, 1);
  assertMatch(server.stderr, /^noise$/m);
  assertMatch(server.stderr, /^codex-session: loose end$/m);
  assertMatch(server.stderr, /^codex-session: thrown$/m);
  assert(isRunning(child.pid));
});

Deno.test("the instructions begin with what the server is for, in what Codex shows of them", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const [first = ""] = server.client.getInstructions()?.split("\n") ?? [];
  assert(first.length > 100 && first.length <= 247, first);
});
