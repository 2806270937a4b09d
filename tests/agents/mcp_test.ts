/**
 * Agents that run agents, by the MCP server: the real Codex and the real Claude Code, inside a
 * session, with a stand-in for their model that asks for the calls. `AGENTS` names their folder;
 * without it these tests are ignored, and the official client makes the same calls.
 *
 * @module
 */
import {
  createSession,
  getSession,
  readText,
  waitForSession,
} from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  isRunning,
  runCli,
  until,
} from "../helpers.ts";
import { connect } from "../mcp/client.ts";
import { DEADLINE_MS, FOLDER, Kit } from "./kit.ts";
import { fillIn, SERVER_NAME } from "./model_server.ts";

// deno-lint-ignore no-explicit-any
type Facts = any;

/** A call of a tool; its arguments as text, with `$id` and so on. */
type Call = readonly [tool: string, args: object];

/** The session in which the agent runs. */
const BOSS = "boss";

/** A session from its start to its end, one that nobody may touch, and one that lives on. */
const STORY: readonly Call[] = [
  ["start_session", { command: ["sh", "-c", "echo hello; exec sleep 600"] }],
  ["wait_for_session", { id: "$id", for: "output=hel+o", cursor: "$cursor" }],
  ["read_output", { id: "$id" }],
  ["list_sessions", {}],
  ["stop_session", { id: "$id" }],
  ["wait_for_session", { id: "$id" }],
  ["stop_session", { id: BOSS }],
  ["get_session", { id: "stranger" }],
  ["start_session", { id: "survivor", command: ["sleep", "600"] }],
];

/** Asserts what the calls of {@linkcode STORY} have said. */
function checkStory(results: readonly Facts[]): void {
  const what = JSON.stringify(results, undefined, 1);
  const [started, output, read, list, stopped, exit, own, stranger, second] =
    results;
  assertEquals(results.length, STORY.length, what);
  const { id } = started;
  assert(typeof id === "string" && typeof started.cursor === "string", what);
  assertEquals([output.id, output.done], [id, true], what);
  assertEquals([read.id, read.text.trim()], [id, "hello"], what);
  assert(list.sessions.some((one: Facts) => one.id === id), what);
  assert(!list.sessions.some((one: Facts) => one.id === "stranger"), what);
  assertEquals([stopped.id, stopped.state], [id, "exited"], what);
  assertEquals([exit.id, exit.done], [id, true], what);
  assertEquals(own.error.code, "unsupported", what);
  assertEquals(stranger.error.code, "not_found", what);
  assertEquals(second.id, "survivor", what);
}

/** An agent whose every call is approved, with our server. */
interface McpAgent {
  readonly name: string;
  /** One turn; the prompt comes behind it. */
  readonly exec: readonly string[];
  /** The file that the lines of `mcp --config` are added to. */
  readonly config: string;
}

const REAL: readonly McpAgent[] = [
  {
    name: "codex",
    exec: ["codex", "exec", "--skip-git-repo-check"],
    config: "codex/config.toml",
  },
  {
    name: "claude",
    exec: [
      ...["claude", "-p", "--mcp-config=mcp.json", "--strict-mcp-config"],
      ...[`--allowedTools=mcp__${SERVER_NAME}`, "--"],
    ],
    config: "work/mcp.json",
  },
];

/** Configures an agent as its user would. The state directory is not named: the server finds it. */
async function configure(
  { root, dir, env }: Kit,
  { name, config }: McpAgent,
): Promise<void> {
  const { stdout } = await runCli(root, ["mcp", "--config", name], {
    env: { ...env, CODEX_SESSION_HOME: "" },
  });
  assert(!stdout.includes("CODEX_SESSION_HOME"), stdout);
  Deno.writeTextFileSync(`${dir}/${config}`, stdout, { append: true });
}

/** The prompt that makes the model ask for calls. */
function promptFor(calls: readonly Call[], answer: string): string {
  const lines = calls.map(([tool, args]) =>
    `#mcp=${tool} ${JSON.stringify(args)}`
  );
  return [...lines, `#answer=${answer}`].join("\n");
}

/** Runs the agent in a session until it has ended, and gives the results of its calls. */
async function runAgent(
  kit: Kit,
  agent: McpAgent,
  prompt: string,
): Promise<readonly Facts[]> {
  const { root, dir, model } = kit;
  await configure(kit, agent);
  const { paths } = await createSession({
    root,
    id: BOSS,
    command: [...agent.exec, prompt],
    cwd: `${dir}/work`,
    env: kit.env,
  });
  const { state } = await waitForSession(BOSS, {
    root,
    timeoutMs: DEADLINE_MS,
  });
  const said = () =>
    [paths.stdout, paths.stderr].map((path) => Deno.readTextFileSync(path));
  const ending = state.state === "exited" && "code" in state.ending &&
    state.ending.code;
  assertEquals(ending, 0, said().join("\n"));
  return model.mcpResults;
}

/** The servers that an agent of this kit has started, and that still run. */
function serversOf({ dir }: Kit): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name))
    .filter((pid) => {
      try {
        return isRunning(pid) &&
          /cli\.ts\0mcp\0/.test(
            Deno.readTextFileSync(`/proc/${pid}/cmdline`),
          ) &&
          Deno.readTextFileSync(`/proc/${pid}/environ`).includes(dir);
      } catch {
        return false; // Not a process, or it has ended.
      }
    });
}

/** Has the official client make the calls, and gives their results. */
async function runClient(
  kit: Kit,
  calls: readonly Call[],
  more: Readonly<Record<string, string>> = {},
): Promise<readonly Facts[]> {
  const { root, dir, env } = kit;
  const options = { env: { ...env, ...more }, cwd: `${dir}/work` };
  await using server = await connect(root, options);
  const results: Facts[] = [];
  if (Deno.build.os === "linux") assertEquals(serversOf(kit), [server.pid]);
  for (const [name, args] of calls) {
    const given = JSON.parse(fillIn(JSON.stringify(args), results));
    const call = await server.client.callTool({ name, arguments: given });
    results.push(call.structuredContent);
  }
  return results;
}

/** Asserts what is left of {@linkcode STORY} once its client is gone. */
async function checkSurvivor(root: string): Promise<void> {
  const { meta, state } = await getSession("survivor", { root });
  assertEquals(state.state, "running");
  assertEquals(meta?.labels?.parent, BOSS);
}

/** A session of somebody else. */
async function startStranger(root: string): Promise<void> {
  await createSession({ root, id: "stranger", command: ["sleep", "600"] });
}

for (const agent of REAL) {
  Deno.test({
    name: `${agent.name} starts, waits for, reads and stops a session by mcp`,
    ignore: FOLDER === undefined,
    async fn() {
      await using kit = new Kit();
      await startStranger(kit.root);
      const prompt = promptFor(STORY, "all done");
      checkStory(await runAgent(kit, agent, prompt));
      await until(() => serversOf(kit).length === 0, "server ended");
      await checkSurvivor(kit.root);
    },
  });
}

/** Codex in a sandbox that lets its own commands write nothing. */
function sandboxed(...settings: readonly string[]): McpAgent {
  const [codex] = REAL;
  const options = settings.flatMap((one) => ["-c", one]);
  return { ...codex!, exec: [...codex!.exec, "-s", "read-only", ...options] };
}

Deno.test({
  name:
    "codex asks before it starts or stops a session, and never before it looks",
  ignore: FOLDER === undefined,
  async fn() {
    await using kit = new Kit();
    const calls: readonly Call[] = [
      ["list_sessions", {}],
      ["start_session", { command: ["true"] }],
      ["send_input", { id: "x", text: "y" }],
      ["ask_agent", { id: "x", prompt: "y" }],
      ["stop_session", { id: "x" }],
      ["delete_session", { id: "x" }],
    ];
    const prompt = promptFor(calls, "all done");
    const [list, ...refused] = await runAgent(kit, sandboxed(), prompt);
    assertEquals(list.sessions, []);
    for (const one of refused) assertMatch(one, /requires approval/);
    assertEquals(refused.length, 5);
  },
});

Deno.test({
  name: "a session that codex starts is not in its sandbox",
  ignore: FOLDER === undefined,
  async fn() {
    await using kit = new Kit();
    const file = `${kit.dir}/escaped`;
    const prompt = promptFor([
      ["start_session", { command: ["touch", file] }],
      ["wait_for_session", { id: "$id" }],
    ], "all done");
    const mode = `mcp_servers.${SERVER_NAME}.default_tools_approval_mode`;
    await runAgent(kit, sandboxed(`${mode}="approve"`), prompt);
    assert(Deno.statSync(file).isFile);
  },
});

/** Another agent, from its first answer to its end. */
function interview(agent: string): readonly Call[] {
  const id = "helper";
  const cursor = "$cursor";
  return [
    ["start_session", { id, agent, prompt: "#answer=first" }],
    ["wait_for_session", { id, for: "turn", cursor }],
    ["ask_agent", { id, prompt: "#answer=second" }],
    ["stop_session", { id }],
  ];
}

/** Asserts what the calls of {@linkcode interview} have said. */
function checkInterview(results: readonly Facts[]): void {
  const what = JSON.stringify(results, undefined, 1);
  const [started, first, second, stopped] = results;
  assertEquals([started.id, started.kind], ["helper", "pty"], what);
  assertEquals([first.done, first.answer], [true, "first"], what);
  assertEquals([second.done, second.answer], [true, "second"], what);
  assertEquals(stopped.state, "exited", what);
}

for (const [at, agent] of REAL.entries()) {
  const helper = REAL[1 - at]!.name;
  Deno.test({
    name: `${agent.name} starts ${helper} by mcp, asks it and gets its answers`,
    ignore: FOLDER === undefined,
    async fn() {
      await using kit = new Kit();
      const prompt = promptFor(interview(helper), "it said: $answer");
      const results = await runAgent(kit, agent, prompt);
      checkInterview(results);
      const text = await readText(BOSS, { root: kit.root });
      assertEquals(text.trim(), "it said: second");
    },
  });
}

Deno.test("a client starts, waits for, reads and stops a session by mcp", async () => {
  await using kit = new Kit(false);
  const { root } = kit;
  await startStranger(root);
  const command = ["sleep", "600"];
  const { paths } = await createSession({ root, id: BOSS, command });
  const env = { CODEX_SESSION_ID: BOSS, CODEX_SESSION_DIR: paths.dir };
  checkStory(await runClient(kit, STORY, env));
  await checkSurvivor(root);
});

for (const { name } of REAL) {
  Deno.test(`a client starts ${name} by mcp, asks it and gets its answers (stand-in)`, async () => {
    await using kit = new Kit(false);
    checkInterview(await runClient(kit, interview(name)));
  });
}
