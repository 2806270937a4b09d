/**
 * Fuzzing of the MCP server: a client that asks for anything, in any form.
 *
 * One server works on a root with sessions in its scope and others outside of it. It gets calls of
 * all tools, made from the schemas that it declares, with arguments of right and wrong types;
 * other methods, notifications, cancellations, and lines that are no messages. Whatever comes:
 *
 * - it lives, and answers once whatever has an id;
 * - standard output holds the protocol, and no string in it a control character;
 * - the answers are bounded;
 * - sessions outside the scope stay as they are, byte for byte, and nothing tells of them;
 * - its memory and its open files are bounded, and it leaves no process but sessions.
 *
 * With `--all`, the sessions outside are those of another root, and the server runs in a session,
 * which it must leave alone. With `--read-only`, all sessions are to stay as they are.
 *
 * @module
 */
import { createSession, waitForSession } from "../mod.ts";
import { CLI } from "../tests/helpers.ts";
import type { Complaint, Context, Fault, Random } from "./fault.ts";
import { judge } from "./judgement.ts";
import { anything, damage, junk } from "./noise.ts";
import { kill, pause, seeAll, STEERING, until, World } from "./world.ts";

/** Stands in the output, labels and prompts of the sessions outside: no answer may have it. */
export const SECRET = "wvyz-secret";
export const OUTSIDE = ["out-done", "out-live", "out-repl", "out-pty"];
export const INSIDE = ["in-done", "in-live", "in-repl", "in-pty"];
/** Stands in the same places of those inside, and no answer may have it as it is. */
const EVIL = "\u001b]0;title\u0007\u009b31m\u202e";
/** The session that a server with `--all` runs in. */
const SELF = "self-repl";
/** The ids of sessions that the client starts. They are few, so that not many run. */
const OWN = ["s0", "s1", "s2", "s3"];

/** What a server may need, in bytes, at most. */
const MAX_RSS = 400 * 1024 * 1024;
/** An answer that isn't asked to be long, in characters: the text twice, escaped. */
const MAX_ANSWER = 400_000;
/** The longest `max_bytes` of a tool is 256 KiB. */
const MAX_LONG_ANSWER = 4_000_000;
/** So many files more than at the start may be open: subscriptions watch some. */
const ROOM = 32;
/** How long an answer may take. A stop has ten seconds of grace. */
const ANSWER_MS = 40_000;
/** So many requests a run has. */
const REQUESTS = 10_000;
/** The same with `--short`. */
const SHORT_REQUESTS = 150;
/** So many requests may be open at the same time. */
const OPEN_REQUESTS = 16;

// deno-lint-ignore no-explicit-any
type Json = any;

/** A tool as the server declares it. */
interface DeclaredTool {
  readonly name: string;
  readonly inputSchema: {
    readonly properties: Record<string, Json>;
    readonly required?: readonly string[];
  };
}

const ID = { id: {} };
/** The tools that `--read-only` leaves out. A client may call them nevertheless. */
const LEFT_OUT: readonly DeclaredTool[] = [
  {
    name: "start_session",
    inputSchema: { properties: { ...ID, command: {} }, required: ["command"] },
  },
  { name: "send_input", inputSchema: { properties: { ...ID, text: {} } } },
  { name: "ask_agent", inputSchema: { properties: { ...ID, prompt: {} } } },
  { name: "stop_session", inputSchema: { properties: ID } },
  {
    name: "delete_session",
    inputSchema: { properties: { ...ID, force: { type: "boolean" } } },
  },
];

/** What a server is allowed. */
type Mode = "scope" | "all" | "read-only";

/** A request that has no answer yet. */
interface Open {
  readonly line: string;
  readonly at: number;
  /** It was cancelled, or its id was used twice. */
  optional: boolean;
}

/** A client of a server, without any library. */
class Client {
  readonly child: Deno.ChildProcess;
  readonly open = new Map<string, Open>();
  readonly complaints: Complaint[] = [];
  /** Cursors that the server has given. */
  readonly cursors: string[] = [];
  answers = 0;
  stderr = "";
  hasEnded = false;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<string, (answer: Json) => void>();
  readonly #done: Promise<unknown>;
  readonly #mode: Mode;

  constructor(world: World, cwd: string, mode: Mode) {
    this.#mode = mode;
    const option = mode === "scope" ? [] : [`--${mode}`];
    const [program, ...args] = [...CLI, "mcp", ...option];
    const self = mode === "all" && {
      CODEX_SESSION_ID: SELF,
      CODEX_SESSION_DIR: `${world.root}/${SELF}`,
    };
    this.child = new Deno.Command(program!, {
      args,
      cwd,
      clearEnv: true,
      env: {
        CODEX_SESSION_HOME: world.root,
        DENO_DIR: Deno.env.get("DENO_DIR") ??
          `${Deno.env.get("HOME")}/.cache/deno`,
        FAULTS_WORLD: world.dir,
        DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system",
        HOME: cwd,
        NO_COLOR: "1",
        PATH: `${cwd}/bin:/usr/bin:/bin`,
        ...self,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.child.stdin.getWriter();
    this.#done = Promise.all([
      this.#read(),
      this.#readErrors(),
      this.child.status.then(() => this.hasEnded = true),
    ]).catch((error) => {
      // Nobody reads its answers any more.
      this.complain("", `The fault itself: ${error.stack}`);
      kill(this.child.pid, "SIGKILL");
      this.hasEnded = true;
    });
  }

  complain(name: string, text: string): void {
    this.complaints.push({ case: name.slice(0, 300), text });
  }

  /** Sends a request of ours and waits for its answer. */
  async ask(method: string, params: object): Promise<Json> {
    const id = `ask-${method}`;
    const answer = new Promise<Json>((resolve) =>
      this.#waiting.set(JSON.stringify(id), resolve)
    );
    await this.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    const ended = this.child.status.then(({ code }) => {
      throw new Error(`The server has ended with ${code}: ${this.stderr}`);
    });
    return await Promise.race([answer, ended]);
  }

  /** Writes a line, and notes which answer it must get. */
  async send(line: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof line === "string"
      ? new TextEncoder().encode(line)
      : line;
    for (const text of new TextDecoder().decode(bytes).split("\n")) {
      this.#expect(text);
    }
    try {
      await this.#writer.write(bytes);
      await this.#writer.write(new Uint8Array([10]));
    } catch {
      this.hasEnded = true;
    }
  }

  #expect(text: string): void {
    let message: Json;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message !== "object" || message === null) return;
    const { id, method, params } = message;
    if (method === "notifications/cancelled") {
      const open = this.open.get(JSON.stringify(params?.requestId));
      if (open) open.optional = true;
    }
    // JSON has no infinite number: 1e999 can't be repeated.
    if (typeof id !== "string" && !Number.isFinite(id)) return;
    if ("result" in message || "error" in message) return;
    const key = JSON.stringify(id);
    const open = this.open.get(key);
    if (open) open.optional = true;
    else {
      const at = performance.now();
      this.open.set(key, { line: text, at, optional: false });
    }
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let rest = "";
    for await (const chunk of this.child.stdout) {
      try {
        rest += decoder.decode(chunk, { stream: true });
      } catch {
        this.complain("", "standard output is not UTF-8");
        return;
      }
      const lines = rest.split("\n");
      rest = lines.pop()!;
      lines.forEach((line) => this.#take(line));
    }
    if (rest !== "") this.complain("", `cut off: ${rest.slice(0, 200)}`);
  }

  #take(line: string): void {
    let message: Json;
    try {
      message = JSON.parse(line);
    } catch {
      return this.complain("", `no protocol: ${line.slice(0, 200)}`);
    }
    if (message?.jsonrpc !== "2.0") {
      return this.complain("", `no protocol: ${line.slice(0, 200)}`);
    }
    // A notification, or an error about a line that had no id.
    const { id } = message;
    const isAnswer = id !== undefined && id !== null && !("method" in message);
    const key = JSON.stringify(id);
    const open = isAnswer ? this.open.get(key) : undefined;
    const name = open?.line ?? "";
    if (isAnswer && open === undefined) {
      this.complain("", `an answer nobody waits for: ${line.slice(0, 200)}`);
    }
    if (open !== undefined && !open.optional) this.open.delete(key);
    this.answers++;
    this.#check(name, line, message);
    this.#waiting.get(key)?.(message);
  }

  /** What holds for every answer. */
  #check(name: string, line: string, message: Json): void {
    if (line.includes(SECRET) && !name.includes(SECRET)) {
      this.complain(name, `tells of a session outside: ${line.slice(0, 300)}`);
    }
    const request: Json = name === "" ? {} : JSON.parse(name);
    const args = request?.params?.arguments;
    const maxBytes = Number.isSafeInteger(args?.max_bytes)
      ? args.max_bytes
      : 16_384;
    const limit = maxBytes > 16_384 ? MAX_LONG_ANSWER : MAX_ANSWER;
    // The library repeats what it doesn't know.
    const asked = Math.min(name.length * 2, MAX_LONG_ANSWER);
    if (line.length > limit + asked) {
      this.complain(name, `an answer of ${line.length} characters`);
    }
    for (const text of textsIn(message.result)) {
      const found = STEERING.exec(text.replaceAll("\t", ""));
      if (found === null) continue;
      const code = found[0].charCodeAt(0).toString(16);
      this.complain(name, `U+${code} in ${JSON.stringify(text.slice(0, 99))}`);
    }
    const { structuredContent: result, isError } = message.result ?? {};
    if (typeof result?.cursor === "string") this.cursors.push(result.cursor);
    if (request?.method !== "tools/call") return;
    const isOutside = this.#mode !== "all" && OUTSIDE.includes(args?.id);
    if (isOutside && !isError && !message.error) {
      // An id of a session outside is taken, but not told.
      this.complain(name, `acts outside: ${line.slice(0, 200)}`);
    }
    const given = new TextEncoder().encode(result?.text ?? "").length;
    if (given > 0 && given > maxBytes) {
      this.complain(name, `gives ${given} bytes of text`);
    }
  }

  async #readErrors(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.child.stderr) {
      this.stderr += decoder.decode(chunk, { stream: true });
      this.stderr = this.stderr.slice(0, 1_000_000);
    }
  }

  /** Waits until at most so many requests are open. Complains of those that take too long. */
  async settle(most: number): Promise<void> {
    const left = () => [...this.open.values()].filter((one) => !one.optional);
    await until(() => this.hasEnded || left().length <= most, ANSWER_MS);
    for (const { line, at } of left()) {
      if (performance.now() - at < ANSWER_MS) continue;
      this.complain(line, "no answer");
    }
  }

  /** Closes the server's standard input, as a client that ends does. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    if (!await until(() => this.hasEnded, 5000)) {
      this.complain("", "it runs on without a client");
      kill(this.child.pid, "SIGKILL");
    }
    await this.#done;
  }
}

/** All strings in a value, names too. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      yield key;
      yield* textsIn(inner);
    }
  }
}

/** Makes what the client says. It draws the same numbers whatever the server answers. */
class Talk {
  #id = 0;
  readonly #random: Random;
  readonly #tools: readonly DeclaredTool[];
  readonly #cwd: string;
  readonly #cursors: readonly string[];

  constructor(
    random: Random,
    tools: readonly DeclaredTool[],
    cwd: string,
    cursors: readonly string[],
  ) {
    this.#random = random;
    this.#tools = tools;
    this.#cwd = cwd;
    this.#cursors = cursors;
  }

  /** A line, or a few. */
  next(): (string | Uint8Array<ArrayBuffer>)[] {
    const roll = this.#random.below(100);
    if (roll < 70) return this.#call();
    if (roll < 82) return [JSON.stringify(this.#request())];
    if (roll < 88) return [JSON.stringify(this.#notification())];
    return [this.#broken()];
  }

  /** A call of a tool; one that could wait for long is cancelled. */
  #call(): string[] {
    const random = this.#random;
    const tool = this.#tool();
    const isWild = random.below(3) === 0;
    const args = isWild ? this.#wildArguments(tool) : this.#arguments(tool);
    if (tool.name === "start_session") {
      // So that it does not run on.
      if (args.id === undefined) args.timeout = "2s";
    }
    const name = random.below(60) === 0 ? junk(random) : tool.name;
    const id = this.#newId();
    const params = {
      name,
      arguments: random.below(60) === 0 ? anything(random) : args,
    };
    const line = { jsonrpc: "2.0", id, method: "tools/call", params };
    const waits = "timeout" in tool.inputSchema.properties &&
      args.timeout === undefined && tool.name !== "start_session";
    return [
      JSON.stringify(line),
      ...waits || random.below(20) === 0 ? [this.#cancel(id)] : [],
    ];
  }

  /** Sessions are started more often than they are ended: without them there is little to do. */
  #tool(): DeclaredTool {
    const random = this.#random;
    const start = this.#tools.find(({ name }) => name === "start_session");
    if (start && random.below(6) === 0) return start;
    const tool = random.pick(this.#tools);
    const ends = ["stop_session", "delete_session"].includes(tool.name);
    return ends ? random.pick([tool, ...this.#tools]) : tool;
  }

  /** Arguments that a sensible client could give. */
  #arguments({ name, inputSchema }: DeclaredTool): Record<string, unknown> {
    const random = this.#random;
    const args: Record<string, unknown> = {};
    for (const [key, schema] of Object.entries(inputSchema.properties)) {
      const isNeeded = inputSchema.required?.includes(key) ||
        ["id", "timeout", "text"].includes(key);
      if (!isNeeded && random.below(4) > 0) continue;
      args[key] = this.#value(key, schema, false);
    }
    if (name !== "start_session") return args;
    const { id, cwd, labels } = args;
    const rest = { id, cwd, labels };
    return random.pick<Record<string, unknown>>([
      { ...rest, command: this.#value("command", {}, false) },
      { ...rest, command: ["cat"], kind: "repl" },
      { ...rest, command: ["cat"], kind: "pty" },
      { ...rest, agent: "codex", prompt: "do it" },
    ]);
  }

  /** Any arguments. */
  #wildArguments({ inputSchema }: DeclaredTool): Record<string, unknown> {
    const random = this.#random;
    const args: Record<string, unknown> = {};
    for (const [key, schema] of Object.entries(inputSchema.properties)) {
      if (random.below(2) === 0 && key !== "timeout") continue;
      args[key] = random.below(8) === 0
        ? this.#harmless(key, anything(random))
        : this.#value(key, schema, random.below(3) === 0);
    }
    if (random.below(15) === 0) args[junk(random)] = anything(random);
    return args;
  }

  #cancel(requestId: unknown): string {
    const method = "notifications/cancelled";
    const params = { requestId, reason: junk(this.#random) };
    return JSON.stringify({ jsonrpc: "2.0", method, params });
  }

  #newId(): string | number {
    const id = ++this.#id;
    const roll = this.#random.below(20);
    if (roll === 0) return `s${id} ${junk(this.#random)}`;
    return roll === 1 ? 2 ** 40 + id : roll === 2 ? -id : id;
  }

  /** A value of any type can be a command. No program has such a name. */
  #harmless(name: string, value: unknown): unknown {
    if (name !== "command" || !Array.isArray(value)) return value;
    return ["/nonexistent/program", ...value];
  }

  #sessionId(isWild: boolean): string {
    const random = this.#random;
    const roll = random.below(10);
    if (roll < 2) return random.pick(OUTSIDE);
    if (roll === 2) return SELF;
    if (roll < 6) return random.pick(INSIDE);
    if (roll < 9 || !isWild) return random.pick(OWN);
    return random.pick(["nobody", "", "..", "../outside", junk(random)]);
  }

  /** A value for an argument; a wild one may be out of bounds. */
  #value(name: string, schema: Json, isWild: boolean): unknown {
    const random = this.#random;
    const some = <T>(good: readonly T[], bad: readonly T[]): T =>
      random.pick(isWild ? bad : good);
    switch (name) {
      case "id":
        return this.#sessionId(isWild);
      case "command":
        return random.pick([
          ["sh", "-c", "echo hello; echo error >&2"],
          ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; exit 3"],
          ["printf", "\\033]0;title\\a\\033[2J\\302\\233" + junk(random)],
          ["cat"],
          ["sleep", "5"],
          ["/nonexistent/program", junk(random)],
        ].slice(0, isWild ? undefined : -1));
      case "agent":
        return some(["codex", "claude"], ["nobody", junk(random)]);
      case "cwd":
        return some([this.#cwd, "bin"], ["/nonexistent", junk(random)]);
      case "env":
      case "labels":
        return some<object>([{ KEY: "value" }, {}], [
          { [junk(random)]: "value" },
          { KEY: junk(random) },
          { parent: "x", CODEX_SESSION_ID: "out-live" },
        ]);
      case "timeout":
      case "grace":
        return some(["10ms", "200ms", "1s"], ["0s", "-1s", junk(random)]);
      case "cursor":
        return this.#cursor(isWild);
      case "for":
        return some(
          ["exit", "turn", "status=done", "output=hello", "idle=10ms"],
          ["screen=(", "output=(a+)+$", `output=${junk(random)}`, junk(random)],
        );
      case "keys":
        return some([["enter"], ["x", "ctrl-c"]], [[junk(random)], []]);
      case "max_bytes":
      case "limit":
      case "scrollback":
        return some([256, 1000, 200], [0, -1, 262_144, 1e9, 2 ** 53, 0.5]);
    }
    if (schema?.enum) {
      return some<string>(schema.enum, [junk(random)]);
    }
    switch ([schema?.type].flat()[0]) {
      case "boolean":
        return random.below(2) === 0;
      case "integer":
      case "number":
        return some([1, 10], [0, -1, 1e9, 1.5]);
      case "array": {
        const words = schema.items?.enum ?? ["done"];
        return some([[random.pick(words)]], [[], [junk(random)]]);
      }
      case "object":
        return { [junk(random)]: junk(random) };
      default:
        return junk(random, 8);
    }
  }

  /** One that the server has given, as it is or damaged. */
  #cursor(isWild: boolean): string {
    const random = this.#random;
    const at = random.below(1000);
    const forged = isWild ? random.below(2) : 2;
    const other = random.pick([
      ...["", "~", "in-done~-~-~-", "out-done~-~-~-", "in-done~0@0~-~-"],
      ...["in-done~1@999999999999999~-~-", "in-done~-~-~-~done~%ff"],
    ]);
    const noise = new Uint8Array(damage(random, other));
    const given = this.#cursors[at % (this.#cursors.length || 1)] ?? "";
    if (forged === 0) return other;
    return forged === 1 ? new TextDecoder().decode(noise) : given;
  }

  #uri(): string {
    const random = this.#random;
    const isWild = random.below(3) === 0;
    const id = this.#sessionId(isWild);
    const part = random.pick(["log", "screen", "events"]);
    if (!isWild) return `codex-session://${id}/${part}`;
    return random.pick([
      ...["file:///etc/passwd", `codex-session:///${id}/${part}`, junk(random)],
      `codex-session://${
        encodeURIComponent(`../${id}`.toWellFormed())
      }/${part}`,
      `codex-session://${id}/${part}${junk(random)}`,
    ]);
  }

  #request(): object {
    const random = this.#random;
    const [method, params] = random.pick<[string, unknown]>([
      ["ping", undefined],
      ["tools/list", { cursor: junk(random) }],
      ["resources/list", {}],
      ["resources/templates/list", {}],
      ["resources/read", { uri: this.#uri() }],
      ["resources/read", { uri: this.#uri() }],
      ["resources/subscribe", { uri: this.#uri() }],
      ["resources/unsubscribe", { uri: this.#uri() }],
      ["prompts/list", {}],
      ["completion/complete", { ref: {}, argument: anything(random) }],
      ["logging/setLevel", { level: junk(random) }],
      ["initialize", anything(random)],
      [junk(random), anything(random)],
      ["tools/call", anything(random)],
      ["tools/call", { name: "list_sessions", arguments: nested(2000) }],
    ]);
    return { jsonrpc: "2.0", id: this.#newId(), method, params };
  }

  #notification(): object {
    const random = this.#random;
    const [method, params] = random.pick<[string, unknown]>([
      ["notifications/initialized", undefined],
      ["notifications/cancelled", { requestId: random.below(this.#id + 5) }],
      ["notifications/cancelled", anything(random)],
      ["notifications/progress", { progressToken: 1, progress: 1 }],
      ["notifications/roots/list_changed", {}],
      [`notifications/${junk(random)}`, anything(random)],
    ]);
    return { jsonrpc: "2.0", method, params };
  }

  /** A line that is no message, or hardly one. */
  #broken(): string | Uint8Array<ArrayBuffer> {
    const random = this.#random;
    const { length } = this.#tools;
    const ping = { jsonrpc: "2.0", id: this.#newId(), method: "ping" };
    const list = {
      ...ping,
      method: "tools/call",
      params: { name: "list_sessions" },
    };
    switch (random.below(14)) {
      case 0:
        return "";
      case 1:
        return junk(random, 10);
      case 2:
        return JSON.stringify([ping, list]);
      case 3:
        return "[".repeat(20_000);
      case 4:
        return JSON.stringify({ ...ping, params: nested(3000) });
      case 5:
        return JSON.stringify({
          ...list,
          id: "x".repeat(random.below(50_000)),
        });
      case 6:
        return JSON.stringify({ ...ping, id: anything(random) });
      case 7:
        return JSON.stringify({ ...list, jsonrpc: anything(random) });
      case 8:
        return JSON.stringify({ ...list, method: anything(random) });
      case 9:
        return JSON.stringify({ jsonrpc: "2.0", id: this.#id, result: {} });
      case 10:
        return JSON.stringify({
          ...list,
          params: { name: "x".repeat(random.below(length * 100_000)) },
        });
      case 11:
        return JSON.stringify(anything(random)) ?? "";
      case 12:
        return `{"jsonrpc":"2.0","id":1e999,"method":"ping"}`;
      default:
        return damage(random, JSON.stringify(random.pick([ping, list])));
    }
  }
}

/** A value that is so deep. */
function nested(depth: number): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** Makes a session: one that has ended, one that runs, or one that takes input. */
async function make(
  root: string,
  id: string,
  options: {
    readonly cwd: string;
    readonly line: string;
    readonly labels?: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const { line, ...rest } = options;
  const shared = { ...rest, root, id, prompt: line };
  switch (id.split("-")[1]) {
    case "done":
      await createSession({ ...shared, command: ["printf", "%s", line] });
      await waitForSession(id, { root });
      break;
    case "live":
      await createSession({
        ...shared,
        command: ["sh", "-c", `printf '%s' "$0"; exec sleep 600`, line],
      });
      break;
    default:
      await createSession({
        ...shared,
        kind: id.endsWith("pty") ? "pty" : "repl",
        command: ["sh", "-c", `printf '%s\n' "$0"; exec cat`, line],
      });
  }
}

/** Makes the sessions in the scope, those outside, and the server's own. */
export async function populate(
  root: string,
  outside: string,
  cwd: string,
): Promise<void> {
  const secret = { cwd, line: SECRET, labels: { secret: SECRET } };
  const line = `hello${EVIL}`;
  await Promise.all([
    ...OUTSIDE.map((id) => make(outside, id, secret)),
    ...INSIDE.map((id) =>
      make(root, id, { cwd, line, labels: { parent: cwd } })
    ),
    make(root, SELF, { cwd, line: "" }),
  ]);
  // A terminal's files are written a moment later.
  const terminals = [`${outside}/out-pty`, `${root}/in-pty`];
  await until(() =>
    terminals.every((dir) => Deno.statSync(`${dir}/stdout.log`).size > 0)
  );
  await pause(500);
}

/**
 * All that is in folders: the files, and the processes of the sessions. If clients may look at
 * these, a terminal writes down again who is attached.
 */
export function lookAt(
  dirs: readonly string[],
  { isShown }: { readonly isShown: boolean },
): Map<string, string> {
  const seen = new Map<string, string>();
  const visit = (path: string) => {
    const { isFile, isDirectory, mode, mtime, size, ino } = Deno.lstatSync(
      path,
    );
    const content = isFile ? Deno.readTextFileSync(path) : "";
    const isRewritten = isDirectory || path.endsWith("/terminal.json");
    const version = isShown && isRewritten ? [] : [mtime, size, ino];
    seen.set(path, JSON.stringify([mode, content, ...version]));
    if (!isDirectory) return;
    for (const { name } of Deno.readDirSync(path)) visit(`${path}/${name}`);
  };
  dirs.forEach(visit);
  for (const { pid, owner, startTicks, command } of seeAll()) {
    if (!dirs.some((dir) => `${owner}/`.startsWith(`${dir}/`))) continue;
    seen.set(`process ${pid}`, `${startTicks} ${command}`);
  }
  return seen;
}

export function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.get(key) !== after.get(key))
    .map((key) => `${key} was ${before.get(key)}, is ${after.get(key)}`);
}

/** The processes that a server has started and that belong to no session. */
export function leftBy(world: World): string[] {
  return seeAll().filter(({ pid, owner }) => {
    if (owner !== undefined) return false;
    try {
      const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
      return environment.includes(`FAULTS_WORLD=${world.dir}`);
    } catch {
      return false;
    }
  }).map(({ pid, command }) => `${pid} ${command}`);
}

export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** The most memory that a process has had, in bytes. */
export function peakMemory(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
}

async function fuzzMcp(
  { short, seed, random, over, count }: Context,
  mode: Mode,
) {
  await using world = await World.make();
  await using other = await World.make();
  const outside = mode === "all" ? other.root : world.root;
  const cwd = Deno.realPathSync(world.dir) + "/mine";
  Deno.mkdirSync(`${cwd}/bin`, { recursive: true });
  for (const agent of ["codex", "claude"]) {
    Deno.writeTextFileSync(`${cwd}/bin/${agent}`, "#!/bin/sh\nexec cat\n", {
      mode: 0o755,
    });
  }
  await populate(world.root, outside, cwd);
  const guarded = mode === "read-only"
    ? [world.root]
    : [...OUTSIDE.map((id) => `${outside}/${id}`), `${world.root}/${SELF}`];
  const look = () => lookAt(guarded, { isShown: mode === "read-only" });
  const before = look();
  const client = new Client(world, cwd, mode);
  const { pid } = client.child;
  const complain = (text: string) => client.complain(`seed ${seed}`, text);
  await client.ask("initialize", {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "fuzz", version: "1" },
  });
  await client.send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
  const { result: { tools } } = await client.ask("tools/list", {});
  const files = openFiles(pid);
  const known = mode === "read-only" ? [...tools, ...LEFT_OUT] : tools;
  const talk = new Talk(random, known, cwd, client.cursors);
  const total = short ? SHORT_REQUESTS : REQUESTS;
  let done = 0;
  let last = "";
  for (; done < total && !over() && !client.hasEnded; done++) {
    for (const line of talk.next()) {
      last = typeof line === "string" ? line : new TextDecoder().decode(line);
      await client.send(line);
    }
    await client.settle(OPEN_REQUESTS);
    if (client.complaints.length > 20) break;
  }
  await client.settle(0);
  if (client.hasEnded) {
    complain(`it has ended after ${done}, at ${last.slice(0, 300)}`);
  } else {
    const now = () => openFiles(pid);
    if (!await until(() => now() <= files + ROOM, 3000)) {
      complain(`${files} open files at the start, ${now()} at the end`);
    }
    const peak = peakMemory(pid);
    if (peak > MAX_RSS) complain(`it has had ${peak} bytes of memory`);
  }
  await client.close();
  const { code } = await client.child.status;
  if (code !== 0) complain(`its status is ${code}`);
  if (/^\s+at |\bUncaught\b|^error:/m.test(client.stderr)) {
    complain(`a stack trace: ${client.stderr.slice(0, 500)}`);
  }
  if (STEERING.test(client.stderr)) {
    const shown = JSON.stringify(client.stderr.slice(0, 500));
    complain(`a character that steers, on standard error: ${shown}`);
  }
  if (client.stderr.length > 100_000) complain("much on standard error");
  if (!await until(() => leftBy(world).length === 0, 3000)) {
    complain(`it leaves ${leftBy(world)}`);
  }
  await until(() => differences(before, look()).length === 0, 3000);
  differences(before, look()).forEach(complain);
  for (const one of [world, other]) {
    for (const text of await judge(one)) complain(text);
  }
  count(done, client.complaints);
}

/** All faults of this file. */
export const FUZZ_MCP_FAULTS: readonly Fault[] = [
  {
    name: "fuzz-mcp-scope",
    about: "messages to an MCP server, which may act on some sessions only",
    run: (context) => fuzzMcp(context, "scope"),
  },
  {
    name: "fuzz-mcp-all",
    about: "the same with --all; the server runs in a session",
    run: (context) => fuzzMcp(context, "all"),
  },
  {
    name: "fuzz-mcp-read-only",
    about: "the same with --read-only, which changes nothing",
    run: (context) => fuzzMcp(context, "read-only"),
  },
];
