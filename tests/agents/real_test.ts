/**
 * The real Codex and Claude Code, with a stand-in for their model. `AGENTS` names a folder with
 * `bin/codex` and `bin/claude`; without it, these tests are ignored.
 *
 * @module
 */
import type { Agent } from "../../agents/agent.ts";
import { CLAUDE } from "../../agents/claude.ts";
import { CODEX } from "../../agents/codex.ts";
import {
  agentStatusOf,
  type Conversation,
  findConversation,
  namedConversation,
  readTranscript,
} from "../../agents/conversation.ts";
import { namesIn } from "../../agents/transcript.ts";
import {
  type CreatedSession,
  createSession,
  getSession,
  type Kind,
  sendKeys,
  waitForSession,
} from "../../mod.ts";
import { processesAt } from "../../process/members.ts";
import { readEntry } from "../../process/table.ts";
import { assert, assertEquals, CLI, until } from "../helpers.ts";
import { DEADLINE_MS, FOLDER, Kit } from "./kit.ts";

/** The ids of sessions on a terminal. */
const TERMINALS = new Set<string>();

/** Starts an agent in its working directory. */
async function start(
  { root, dir, env }: Kit,
  command: readonly string[],
  kind: Kind = "exec",
): Promise<CreatedSession> {
  const options = { root, kind, env, cwd: `${dir}/work`, command };
  const session = await createSession(options);
  if (kind === "pty") TERMINALS.add(session.id);
  return session;
}

async function ended(
  { root }: Kit,
  { id }: Pick<CreatedSession, "id">,
): Promise<void> {
  await waitForSession(id, { root, timeoutMs: DEADLINE_MS });
}

async function type(
  { root }: Kit,
  { id }: CreatedSession,
  text: string,
): Promise<void> {
  await sendKeys(id, [{ text }, { key: "enter" }], { root });
}

/** The conversation of a session. */
function find(
  { id, paths }: Pick<CreatedSession, "id" | "paths">,
): Conversation | undefined {
  const members = processesAt(paths);
  const agent = members.find(({ role }) => role === "agent");
  const isOnTerminal = ({ pid, ppid }: typeof members[number]) =>
    ppid === agent?.pid && readEntry(pid)?.sid === pid;
  if (!TERMINALS.has(id) || readEntry(agent?.pid ?? 0)?.sid === agent?.pid) {
    return findConversation(members);
  }
  // The role agent may be the relay's. The agent leads a kernel session, the relay doesn't.
  return findConversation(members.map((one) => {
    return { ...one, role: isOnTerminal(one) ? "agent" : "child" };
  }));
}

/** Waits for a status, and gives it. */
async function status(session: CreatedSession, value: string) {
  return await until(
    () => {
      const found = find(session);
      const turn = found && readTranscript(found)?.turn;
      const now = found && agentStatusOf(found.told, turn);
      return now?.value === value ? now : undefined;
    },
    `status ${value}`,
    DEADLINE_MS,
  );
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: FOLDER === undefined, fn });
}

/** A test of the real agents, and of the stand-ins for them, which are everywhere. */
function testBoth(name: string, fn: (kit: Kit) => Promise<void>): void {
  const run = (isReal: boolean) => async () => {
    await using kit = new Kit(isReal);
    await fn(kit);
  };
  test(name, run(true));
  Deno.test(`${name} (stand-in)`, run(false));
}

/** Each agent with its command lines for one turn and for its terminal interface. */
const REAL: readonly {
  readonly agent: Agent;
  readonly exec: readonly string[];
  readonly pty: readonly string[];
}[] = [
  {
    agent: CODEX,
    exec: ["codex", "exec", "--skip-git-repo-check"],
    pty: ["codex", "-c", "features.daemon_auto_start=false"],
  },
  {
    agent: CLAUDE,
    exec: ["claude", "-p", "--allowedTools=Bash"],
    pty: ["claude", "--permission-mode", "default"],
  },
];

for (const { agent, exec, pty } of REAL) {
  testBoth(
    `${agent.name}: two turns at once in one directory are kept apart, and answered`,
    async (kit) => {
      const sessions = await Promise.all(
        ["one", "two"].map((name) =>
          start(kit, [...exec, `#answer=${name}  ü\n#wait=${name}`])
        ),
      );
      for (const session of sessions) await status(session, "working");
      const found = sessions.map((session) => find(session)!);
      assert(found[0]!.id !== found[1]!.id);
      for (const [at, name] of ["one", "two"].entries()) {
        kit.model.release(name);
        await ended(kit, sessions[at]!);
        const { turn, answer } = readTranscript(found[at]!)!;
        assertEquals([turn?.state, answer?.text], ["done", `${name}  ü`]);
        assertEquals(answer?.turn, turn?.id);
        assertEquals(answer?.tokens, { input: 10, output: 5 });
        assertEquals(find(sessions[at]!), undefined);
      }
    },
  );

  testBoth(
    `${agent.name}: a turn fails with the server's status`,
    async (kit) => {
      const session = await start(kit, [...exec, "#error=429\n#wait=fail"]);
      const found = await until(() => find(session), "found", DEADLINE_MS);
      kit.model.release("fail");
      await ended(kit, session);
      const { turn, answer } = readTranscript(found)!;
      assertEquals([turn?.state, turn?.httpStatus], ["failed", 429]);
      assertEquals(answer, undefined);
    },
  );

  testBoth(
    `${agent.name}: an agent in a tool call is not the session's`,
    async (kit) => {
      const script = `${kit.dir}/inner.sh`;
      // A login shell has a PATH of its own.
      const inner = `${kit.bin}/${
        exec.join(" ")
      } '#answer=inner #wait=inner' </dev/null`;
      Deno.writeTextFileSync(script, inner);
      const session = await start(kit, [
        ...exec,
        `#answer=outer\n#sh=sh ${script}`,
      ]);
      const found = await until(() => find(session), "found", DEADLINE_MS);
      await until(() => kit.model.isWaiting("inner"), "waiting", DEADLINE_MS);
      assertEquals(find(session)?.id, found.id);
      kit.model.release("inner");
      await ended(kit, session);
      assertEquals(readTranscript(found)?.answer?.text, "outer");
    },
  );

  testBoth(
    `${agent.name}: a session that its tool call starts is another one`,
    async (kit) => {
      const script = `${kit.dir}/inner.sh`;
      const words = [...CLI, "run", "--id", "inner", "--", ...exec];
      const inner = words.map((word) => `'${word}'`).join(" ");
      Deno.writeTextFileSync(
        script,
        `export CODEX_SESSION_HOME='${kit.root}' PATH='${kit.bin}':"$PATH"
${inner} '#answer=inner\n#wait=inner'
until [ -e '${kit.dir}/found' ]; do sleep 0.1; done`,
      );
      const outer = await start(kit, [
        ...exec,
        `#answer=outer\n#sh=sh ${script}`,
      ]);
      const first = await until(() => find(outer), "found", DEADLINE_MS);
      Deno.writeTextFileSync(`${kit.dir}/found`, "");
      const isWaiting = () => kit.model.isWaiting("inner");
      await until(isWaiting, "waiting", DEADLINE_MS);
      const session = await getSession("inner", { root: kit.root });
      const second = find(session)!;
      assert(second.id !== first.id);
      await ended(kit, outer);
      assertEquals(find(session)?.id, second.id);
      kit.model.release("inner");
      await ended(kit, session);
      const answers = [first, second].map((one) => readTranscript(one)?.answer);
      assertEquals(answers.map((one) => one?.text), ["outer", "inner"]);
    },
  );

  testBoth(
    `${agent.name}: goes on with a conversation, with a prompt that begins with a dash`,
    async (kit) => {
      const first = await start(kit, [...exec, "#answer=first #wait=x"]);
      const { id } = await until(() => find(first), "found", DEADLINE_MS);
      kit.model.release("x");
      await ended(kit, first);
      // The real lines, behind the options that the stand-in needs.
      const { exec: one, pty: many } = agent.commands;
      const options = exec.filter((word) => word !== "-p");
      const lines = [...options, ...one!.resume(id, "-p #answer=second")!];
      const more = [...pty, ...many!.resume(id, "-p #answer=third")!];
      await ended(kit, await start(kit, lines));
      const named = namedConversation(lines, (name) => kit.env[name])!;
      assertEquals(named.id, id);
      const { turn, answer } = readTranscript(named)!;
      assertEquals([turn?.state, answer?.text], ["done", "second"]);
      const third = await start(kit, more, "pty");
      const isThere = () => readTranscript(named)?.answer?.text === "third";
      await until(isThere, "third answer", DEADLINE_MS);
      assertEquals(find(third)?.id, id);
    },
  );

  test(`${agent.name}: its terminal interface works, is done, and begins another conversation`, async () => {
    await using kit = new Kit();
    const session = await start(kit, [...pty, "#answer=one\n#wait=one"], "pty");
    await status(session, "working");
    const first = find(session)!;
    kit.model.release("one");
    await status(session, "done");
    assertEquals(readTranscript(first)?.answer?.text, "one");
    // Codex has a lock for each, and begins a rollout with the first prompt only.
    const locks = `${kit.dir}/codex/thread-writer-locks`;
    const isNew = () =>
      agent === CODEX
        ? namesIn(locks).filter((name) => /^\w/.test(name)).length === 2
        : find(session)?.id !== first.id;
    // The interface refuses it as long as it has not drawn the end of the turn.
    await until(
      async () => {
        await type(kit, session, agent === CODEX ? "/new" : "/clear");
        return await until(isNew, "new", 3_000).catch(() => false);
      },
      "another conversation",
      DEADLINE_MS,
    );
    await type(kit, session, "#answer=two");
    const second = await until(
      () => {
        const found = find(session);
        return found?.id === first.id ? undefined : found;
      },
      "second conversation",
      DEADLINE_MS,
    );
    await status(session, "done");
    assertEquals(find(session)?.id, second.id);
    assertEquals(readTranscript(second)?.answer?.text, "two");
    assertEquals(readTranscript(first)?.answer?.text, "one");
  });
}

test("claude: its terminal interface is blocked when it waits for a permission", async () => {
  await using kit = new Kit();
  const id = crypto.randomUUID();
  const options = ["--permission-mode", "default", "#sh=touch x"];
  const session = await start(kit, [
    "claude",
    ...CLAUDE.commands.pty!.start(options, id),
  ], "pty");
  const blocked = await status(session, "blocked");
  assertEquals(blocked.kind, "permission");
  assertEquals(find(session)?.id, id);
});
