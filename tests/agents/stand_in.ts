/**
 * A stand-in for Codex and Claude Code, where they are not installed: it tells its terminal what
 * Codex 0.169.0 and Claude Code 2.1.329 were recorded telling, in the same bytes and order, and
 * keeps the records that they keep. For what it does, it asks `ModelServer`, as they do.
 *
 *     stand_in.ts codex [exec] [resume ID] [--json] [PROMPT]
 *     stand_in.ts claude [-p] [--session-id ID | --resume ID] [--output-format stream-json] [PROMPT]
 *
 * - Codex reports unasked: `idle`, `working` and `idle` again at its start, and after a turn
 *   `idle` at the next key. Claude Code reports only if the answer to its query comes before the one
 *   to `CSI c`.
 * - Codex holds its rollout open, from the first prompt on. Claude Code describes itself in
 *   `CLAUDE_CONFIG_DIR/sessions/PID.json`.
 * - On a terminal it asks for a permission before it runs a command: `y` or Enter allows it.
 *   The command runs in a kernel session of its own.
 *
 * @module
 */

/** What the model wants next: a text, a command to be run, or a failure. */
type Reply =
  | { readonly text: string }
  | { readonly command: string }
  | { readonly httpStatus: number };

/** Asks the model about a prompt; `ran` tells that its command has run. */
async function askModel(
  prompt: string,
  ran: boolean,
  signal: AbortSignal,
): Promise<Reply> {
  const input = [
    { role: "user", content: prompt },
    ...ran ? [{ type: "function_call_output" }] : [],
  ];
  const response = await fetch(`${Deno.env.get("MODEL_URL")}/v1/responses`, {
    method: "POST",
    body: JSON.stringify({ input, tools: [{ name: "exec_command" }] }),
    signal,
  });
  const text = await response.text();
  if (!response.ok) return { httpStatus: response.status };
  const done = text.split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice("data: ".length)))
    .find(({ type }) => type === "response.output_item.done");
  const { item } = done;
  return item.type === "function_call"
    ? { command: JSON.parse(item.arguments).cmd }
    : { text: item.content[0].text };
}

/** What an agent records of a turn, and tells its terminal. */
interface Told {
  readonly state: "idle" | "working" | "blocked" | "done" | "error" | "clear";
  readonly message?: string;
}

/** What differs between the agents. */
interface Personality {
  /** The conversation's id. */
  readonly id: string;
  /** Its name in reports. */
  readonly app: string;
  /** What ends its sequences. */
  readonly terminator: string;
  /** What it asks the terminal at its start. */
  readonly queries: string;
  /** Whether it reports only after an answer to its query. */
  readonly reportsWhenAnswered: boolean;
  /** What it reports between its first `idle` and its first prompt. */
  readonly atStart: readonly Told["state"][];
  /** Whether a finished turn becomes `idle` at the next key. */
  readonly idleAtKey: boolean;
  /** The messages of its reports. */
  messageOf(event: { command: string } | { httpStatus: number }):
    | string
    | undefined;
  /** Keeps its records. */
  begin(prompt: string): void;
  done(text: string): void;
  failed(httpStatus: number): void;
  aborted(): void;
  now(told: Told): void;
}

const now = () => new Date().toISOString();
const appendLines = (file: Deno.FsFile, lines: readonly unknown[]) => {
  const text = lines.map((line) => JSON.stringify(line) + "\n").join("");
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
};

/** Ids of Codex begin with their time, as a version 7 UUID does. */
function timedId(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  const rest = crypto.randomUUID().slice(15);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest}`;
}

function findFile(folder: string, end: string): string | undefined {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    const found = isDirectory
      ? findFile(path, end)
      : path.endsWith(end)
      ? path
      : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

class Codex implements Personality {
  readonly app = "codex";
  readonly terminator = "\x1b\\";
  readonly queries = "\x1b[?u\x1b[c\x1b[6n\x1b]10;?\x1b\\\x1b]11;?\x1b\\";
  readonly reportsWhenAnswered = false;
  readonly atStart = ["working", "idle"] as const;
  readonly idleAtKey = true;
  readonly id: string;
  #home = Deno.env.get("CODEX_HOME") ?? `${Deno.env.get("HOME")}/.codex`;
  /** Open for as long as it lives. */
  #rollout: Deno.FsFile | undefined;
  #turn = "";
  #startedAt = 0;

  constructor(resumed: string | undefined, readonly source: "cli" | "exec") {
    this.id = resumed ?? timedId();
    if (resumed === undefined) return;
    const path = findFile(`${this.#home}/sessions`, `-${resumed}.jsonl`);
    if (path === undefined) throw new Error(`no rollout found for ${resumed}`);
    this.#rollout = Deno.openSync(path, { append: true });
  }

  messageOf(): undefined {}

  now(): void {}

  #append(type: string, payload: Readonly<Record<string, unknown>>): void {
    appendLines(this.#rollout!, [{ timestamp: now(), type, payload }]);
  }

  #event(type: string, more: Readonly<Record<string, unknown>> = {}): void {
    const turn = { turn_id: this.#turn, root_turn_id: this.#turn };
    const times = { started_at: Math.floor(this.#startedAt / 1000) };
    this.#append("event_msg", { type, ...turn, ...times, ...more });
  }

  begin(prompt: string): void {
    if (this.#rollout === undefined) {
      const time = now();
      const folder = `${this.#home}/sessions/${
        time.slice(0, 10).replaceAll("-", "/")
      }`;
      Deno.mkdirSync(folder, { recursive: true });
      const name = time.slice(0, 19).replaceAll(":", "-");
      this.#rollout = Deno.openSync(
        `${folder}/rollout-${name}-${this.id}.jsonl`,
        { append: true, createNew: true },
      );
      this.#append("session_meta", {
        session_id: this.id,
        id: this.id,
        timestamp: time,
        cwd: Deno.cwd(),
        originator: this.source === "cli" ? "codex-tui" : "codex_exec",
        cli_version: "0.169.0",
        source: this.source,
        thread_source: "user",
        base_instructions: { text: "…".repeat(2000) },
      });
    }
    this.#turn = timedId();
    this.#startedAt = Date.now();
    this.#event("task_started");
    this.#append("response_item", {
      type: "message",
      role: "user",
      content: [{ type: "input_text", text: prompt }],
    });
  }

  done(text: string): void {
    const usage = { input_tokens: 10, output_tokens: 5, total_tokens: 15 };
    this.#append("token_usage_record", {
      turn_id: this.#turn,
      root_turn_id: this.#turn,
      turn_token_usage: usage,
    });
    this.#event("task_complete", { last_agent_message: text });
  }

  failed(httpStatus: number): void {
    const code = "response_too_many_failed_attempts";
    this.#event("task_complete", {
      last_agent_message: null,
      error: {
        message: `exceeded retry limit, last status: ${httpStatus}`,
        codex_error_info: { [code]: { http_status_code: httpStatus } },
      },
    });
  }

  aborted(): void {
    this.#event("turn_aborted", { reason: "interrupted" });
  }
}

class Claude implements Personality {
  readonly app = "claude-code";
  readonly terminator = "\x07";
  readonly queries = "\x1b[>0q\x1b[?u\x1b]7501;?\x07\x1b[c";
  readonly reportsWhenAnswered = true;
  readonly atStart = [];
  readonly idleAtKey = false;
  readonly id: string;
  #home = Deno.env.get("CLAUDE_CONFIG_DIR") ??
    `${Deno.env.get("HOME")}/.claude`;
  #folder = `${this.#home}/projects/${Deno.cwd().replaceAll("/", "-")}`;
  #prompt = "";
  /** When it started, in ticks since boot. proc_pid_stat(5) */
  #start = Deno.readTextFileSync("/proc/self/stat").replace(/.*\) /s, "")
    .split(" ")[19];

  constructor(
    resumed: string | undefined,
    chosen: string | undefined,
    readonly entrypoint: "cli" | "sdk-cli",
  ) {
    this.id = resumed ?? chosen ?? crypto.randomUUID();
    if (resumed && !findFile(`${this.#home}/projects`, `/${resumed}.jsonl`)) {
      throw new Error(`No conversation found with session ID: ${resumed}`);
    }
    Deno.mkdirSync(this.#folder, { recursive: true });
    Deno.mkdirSync(`${this.#home}/sessions`, { recursive: true });
    this.now({ state: "idle" });
  }

  messageOf(event: { command: string } | { httpStatus: number }): string {
    return "command" in event
      ? `approve Bash: ${event.command}`
      : `API Error: Request rejected (${event.httpStatus}) · stand-in error`;
  }

  now({ state }: Told): void {
    const status = { working: "busy", blocked: "waiting" }[state as string] ??
      "idle";
    const record = {
      pid: Deno.pid,
      sessionId: this.id,
      cwd: Deno.cwd(),
      procStart: this.#start,
      kind: "interactive",
      entrypoint: this.entrypoint,
      status,
      statusUpdatedAt: Date.now(),
      ...status === "waiting" && { waitingFor: "permission prompt" },
    };
    const path = `${this.#home}/sessions/${Deno.pid}.json`;
    if (state === "clear") return Deno.removeSync(path);
    Deno.writeTextFileSync(`${path}.new`, JSON.stringify(record));
    Deno.renameSync(`${path}.new`, path);
  }

  /** Claude Code doesn't hold its transcript open. */
  #append(line: Readonly<Record<string, unknown>>): void {
    const path = `${this.#folder}/${this.id}.jsonl`;
    using file = Deno.openSync(path, { append: true, create: true });
    const more = { timestamp: now(), cwd: Deno.cwd(), version: "2.1.329" };
    const uuid = crypto.randomUUID();
    const isSidechain = false;
    const all = { ...line, isSidechain, uuid, sessionId: this.id, ...more };
    appendLines(file, [all]);
  }

  #message(text: string, more: Readonly<Record<string, unknown>>): void {
    const message = {
      id: crypto.randomUUID(),
      type: "message",
      role: "assistant",
      usage: { input_tokens: 10, output_tokens: 5 },
      content: [{ type: "text", text }],
      ...more,
    };
    this.#append({ type: "assistant", message });
  }

  begin(prompt: string): void {
    this.#prompt = crypto.randomUUID();
    this.#append({
      type: "user",
      promptId: this.#prompt,
      message: { role: "user", content: prompt },
      origin: { kind: "human" },
      turnOrigin: "human",
    });
  }

  done(text: string): void {
    this.#message(text, { model: "stand-in", stop_reason: "end_turn" });
    this.#append({ type: "system", subtype: "turn_duration", durationMs: 1 });
  }

  failed(httpStatus: number): void {
    const text = this.messageOf({ httpStatus });
    this.#append({
      type: "assistant",
      isApiErrorMessage: true,
      apiErrorStatus: httpStatus,
      message: {
        id: crypto.randomUUID(),
        model: "<synthetic>",
        role: "assistant",
        stop_reason: "stop_sequence",
        content: [{ type: "text", text }],
      },
    });
  }

  aborted(): void {
    this.#append({
      type: "user",
      message: {
        role: "user",
        content: [{ type: "text", text: "[Request interrupted by user]" }],
      },
    });
  }
}

/** How a turn ended. */
type Outcome =
  | { readonly text: string }
  | { readonly httpStatus: number }
  | "aborted";

/** Does one turn and records it; `allow` asks the user, and tells whether the command may run. */
async function doTurn(
  agent: Personality,
  prompt: string,
  tell: (told: Told) => void,
  allow: (command: string) => Promise<boolean>,
  signal: AbortSignal,
): Promise<Outcome> {
  agent.begin(prompt);
  tell({ state: "working" });
  try {
    let reply = await askModel(prompt, false, signal);
    if ("command" in reply) {
      if (!await allow(reply.command)) throw new Error("denied");
      tell({ state: "working" });
      const { code } = await new Deno.Command("setsid", {
        args: ["-w", "sh", "-c", reply.command],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).output();
      if (code > 128) throw new Error("killed");
      reply = await askModel(prompt, true, signal);
    }
    if ("text" in reply) agent.done(reply.text);
    else if ("httpStatus" in reply) agent.failed(reply.httpStatus);
    else throw new Error("a second command");
    return reply;
  } catch (error) {
    agent.aborted();
    if (!Deno.stdin.isTerminal()) console.error(`ERROR: ${error}`);
    return "aborted";
  }
}

/** Sends output in one write. */
function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

/** A key, or what a terminal answers. */
// deno-lint-ignore no-control-regex
const TOKEN = /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?>]*[A-Za-z]|./gsu;

/** The interface on a terminal. */
async function runTerminal(
  agent: Personality,
  firstPrompt: string | undefined,
): Promise<void> {
  Deno.stdin.setRaw(true);
  let reports = !agent.reportsWhenAnswered;
  let state: Told["state"] | undefined;
  const tell = (told: Told, text = "") => {
    agent.now(told);
    const isSame = state === told.state && told.message === undefined;
    state = told.state;
    if (!reports || isSame) return write(text);
    const kind = state === "blocked" ? ":kind=permission" : "";
    const encoded = told.message === undefined
      ? ""
      : `:msg=${new TextEncoder().encode(told.message).toBase64()}`;
    const app = state === "clear" ? "" : `:app=${agent.app}`;
    const end = agent.terminator;
    write(`\x1b]7501;state=${state}${app}${kind}${encoded}${end}${text}`);
  };
  write(agent.queries);
  const prompts = [firstPrompt].filter((prompt) => prompt !== undefined);
  let typed = "";
  let isAnswered = false;
  let turn: AbortController | undefined;
  let permission: ((isAllowed: boolean) => void) | undefined;
  const work = async () => {
    for (let prompt; (prompt = prompts.shift()) !== undefined;) {
      const { signal } = turn = new AbortController();
      write(`\r\n> ${prompt.replaceAll("\n", "\r\n  ")}\r\nWorking (esc)\r\n`);
      const allow = (command: string) => {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        permission = resolve;
        const message = agent.messageOf({ command });
        tell({ state: "blocked", message }, `Allow? ${command} (y)\r\n`);
        return promise;
      };
      const outcome = await doTurn(agent, prompt, tell, allow, signal);
      turn = undefined;
      if (outcome === "aborted") tell({ state: "idle" }, "Interrupted\r\n");
      else if ("text" in outcome) {
        tell({ state: "done" }, `${outcome.text}\r\n`);
      } else {
        const message = agent.messageOf(outcome);
        tell({ state: "error", message }, `Failed: ${outcome.httpStatus}\r\n`);
      }
    }
  };
  const begin = () => {
    tell({ state: "idle" }, "Stand-in ready\r\n");
    for (const state of agent.atStart) tell({ state });
    work();
  };
  const decoder = new TextDecoder();
  if (!agent.reportsWhenAnswered) begin();
  for await (const bytes of Deno.stdin.readable) {
    for (const [token] of decoder.decode(bytes).matchAll(TOKEN)) {
      if (token.startsWith("\x1b]7501;?")) reports ||= !isAnswered;
      // deno-lint-ignore no-control-regex
      else if (/^\x1b\[\?[0-9;]*c$/.test(token)) {
        if (agent.reportsWhenAnswered && !isAnswered) begin();
        isAnswered = true;
      } else if (token === "\x1b") {
        permission?.(false);
        permission = undefined;
        turn?.abort();
      } else if (token === "\x03" || token === "\x04") {
        if (agent.idleAtKey) tell({ state: "idle" });
        tell({ state: "clear" });
        Deno.exit(0);
      } else if (token.length > 1) continue;
      else if (permission && /[y\r]/.test(token)) {
        permission(true);
        permission = undefined;
      } else {
        const isOver = state === "done" || state === "error";
        if (agent.idleAtKey && isOver) tell({ state: "idle" });
        write(token === "\r" ? "" : token);
        if (token !== "\r") typed += token;
        else if (typed !== "") {
          prompts.push(typed);
          typed = "";
          if (turn === undefined) work();
        }
      }
    }
  }
}

/** One turn without a terminal. */
async function runOnce(
  agent: Personality,
  prompt: string,
  json: boolean,
): Promise<number> {
  const isCodex = agent instanceof Codex;
  const print = (...lines: readonly unknown[]) => {
    write(lines.map((line) => JSON.stringify(line) + "\n").join(""));
  };
  if (json && isCodex) {
    print({ type: "thread.started", thread_id: agent.id }, {
      type: "turn.started",
    });
  }
  const { signal } = new AbortController();
  const tell = (told: Told) => agent.now(told);
  const allow = () => Promise.resolve(true);
  const outcome = await doTurn(agent, prompt, tell, allow, signal);
  agent.now({ state: "clear" });
  const isDone = outcome !== "aborted" && "text" in outcome;
  const text = isDone
    ? outcome.text
    : outcome === "aborted"
    ? "aborted"
    : agent.messageOf(outcome) ?? `last status: ${outcome.httpStatus}`;
  const usage = { input_tokens: 10, output_tokens: 5 };
  if (!json) {
    if (isDone || !isCodex) write(`${text}\n`);
    else console.error(`ERROR: ${text}`);
  } else if (!isCodex) {
    print({
      type: "result",
      subtype: "success",
      is_error: !isDone,
      api_error_status: isDone || outcome === "aborted"
        ? null
        : outcome.httpStatus,
      result: text,
      session_id: agent.id,
      total_cost_usd: 0.01,
      usage,
    });
  } else if (isDone) {
    const item = { id: "item_0", type: "agent_message", text };
    print({ type: "item.completed", item }, { type: "turn.completed", usage });
  } else {
    print({ type: "error", message: text });
    print({ type: "turn.failed", error: { message: text } });
  }
  return isDone ? 0 : 1;
}

/** Options with a value that this program has no use for. */
const VALUED = ["-c", "-a", "-s", "--permission-mode", "--output-format"];

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (args.includes("--version")) return write(`${name} stand-in\n`);
  let [resumed, chosen]: (string | undefined)[] = [];
  let [once, json] = [false, false];
  const words: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--") words.push(...args.slice(at + 1));
    if (arg === "--") break;
    if (arg === "--json" || args[at + 1] === "stream-json") json = true;
    if (arg === "-p" || (arg === "exec" && name === "codex")) once = true;
    else if (arg === "resume" && name === "codex") resumed = args[++at];
    else if (arg === "--resume") resumed = args[++at];
    else if (arg === "--session-id") chosen = args[++at];
    else if (VALUED.includes(arg)) at++;
    else if (!arg.startsWith("-")) words.push(arg);
  }
  const [prompt] = words;
  const agent = name === "codex"
    ? new Codex(resumed, once ? "exec" : "cli")
    : new Claude(resumed, chosen, once ? "sdk-cli" : "cli");
  if (!once) return await runTerminal(agent, prompt);
  Deno.exit(await runOnce(agent, prompt ?? "", json));
}

await main(Deno.args);
