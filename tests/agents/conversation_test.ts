import { CLAUDE } from "../../agents/claude.ts";
import { CODEX } from "../../agents/codex.ts";
import {
  agentStatusOf,
  type Conversation,
  findConversation,
  namedConversation,
  readTranscript,
} from "../../agents/conversation.ts";
import { type CreatedSession, createSession } from "../../mod.ts";
import type { Kind } from "../../store.ts";
import { processesAt } from "../../process/members.ts";
import { readEntry } from "../../process/table.ts";
import { assertEquals, TestRoot, until } from "../helpers.ts";
import { recorded } from "./recorded.ts";

const IDS = [
  "01a1ffb2-430a-7eb0-af3a-365bdf430a3c",
  "01a1ffb2-951c-7bd3-80da-4fc304e25d5c",
  "01a1ffb2-d3da-7c62-854b-ebff60d243a3",
] as const;
const isLinux = Deno.build.os === "linux";
const isRoot = isLinux && Deno.uid() === 0;
/** Containers often forbid it. */
const mayUnshare = isRoot &&
  new Deno.Command("sh", { args: ["-c", "unshare -m true"], stderr: "null" })
    .outputSync().success;

/** A root with programs that have the agents' names, and hold open what they are told to. */
class Agents implements AsyncDisposable {
  readonly root = new TestRoot();
  readonly dir = `${this.root.dir}/agent`;

  constructor(readonly kind: Kind = "exec") {
    Deno.mkdirSync(this.dir);
    for (const name of ["codex", "claude"]) {
      Deno.copyFileSync("/bin/sleep", `${this.dir}/${name}`);
      Deno.chmodSync(`${this.dir}/${name}`, 0o755);
    }
  }

  /** A rollout as it was recorded. */
  rollout(name: string, id: string, lines = recorded(name)): string {
    const path = `${this.dir}/rollout-2026-11-21T20-00-35-${id}.jsonl`;
    Deno.writeTextFileSync(path, lines.join("\n") + "\n");
    return path;
  }

  /** Starts a session of a shell script; `codex` and `claude` in it sleep. */
  async start(script: string, ...args: string[]): Promise<CreatedSession> {
    const command = ["sh", "-c", `PATH="$0:$PATH"\n${script}`, this.dir];
    const options = {
      root: `${this.root.dir}/sessions`,
      env: { HOME: this.dir },
    };
    return await createSession({
      ...{ ...options, kind: this.kind },
      command: [...command, ...args],
    });
  }

  /** The conversation of a session, when so many of its processes are agents. */
  async find(
    session: CreatedSession,
    count = 1,
  ): Promise<Conversation | undefined> {
    const agents = () =>
      processesAt(session.paths).filter(({ command }) =>
        command.startsWith("codex") || command.startsWith("claude")
      );
    await until(() => agents().length === count);
    return findConversation(processesAt(session.paths));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.root[Symbol.asyncDispose]();
  }
}

Deno.test({
  name:
    "findConversation() finds the rollout that Codex holds open, with its answer",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    // The user undid a turn: the rollout has an id of its own, too.
    const path = agents.rollout("codex_turns", `${IDS[0]}_${IDS[1]}`);
    const session = await agents.start('exec codex 60 3<"$1"', path);
    const found = await agents.find(session);
    assertEquals(found, {
      agent: CODEX,
      id: IDS[0],
      home: `${agents.dir}/.codex`,
      transcript: path,
      how: "process",
    });
    assertEquals(readTranscript(found!)?.answer?.text, "MOCK-ANSWER done");
    // Something else in its place is not read.
    Deno.removeSync(path);
    new Deno.Command("mkfifo", { args: [path] }).outputSync();
    assertEquals(readTranscript(found!), undefined);
    assertEquals(findConversation(processesAt(session.paths)), undefined);
  },
});

Deno.test({
  name:
    "findConversation() takes Codex's last turn of its user, and no helper, for the conversation",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    // One after /new, with a review, and the review itself.
    const paths = [
      agents.rollout("codex_turns", IDS[0]),
      agents.rollout("codex_review", IDS[1]),
      agents.rollout("codex_helper", IDS[2]),
    ];
    const session = await agents.start(
      'exec codex 60 3<"$1" 4<"$2" 5<"$3"',
      ...paths,
    );
    assertEquals((await agents.find(session))?.id, IDS[1]);
    // The new one has no turn yet.
    agents.rollout("codex_review", IDS[1], recorded("codex_review", 1));
    assertEquals((await agents.find(session))?.id, IDS[0]);
    // Lines of a newer version: it may be the one.
    const strange = '{"type":"of a newer version"}';
    const [meta] = recorded("codex_review", 1) as [string];
    for (const lines of [[meta, strange], [strange], [strange, meta]]) {
      agents.rollout("codex_review", IDS[1], lines);
      assertEquals(await agents.find(session), undefined);
    }
    // A rollout of another conversation, by its first line.
    agents.rollout("codex_review", IDS[1], recorded("codex_helper"));
    assertEquals(await agents.find(session), undefined);
  },
});

Deno.test({
  name:
    "findConversation() keeps apart two agents that start at once in one directory",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    const paths = [
      agents.rollout("codex_turns", IDS[0]),
      agents.rollout("codex_review", IDS[1]),
    ];
    const sessions = await Promise.all(
      paths.map((path) => agents.start('exec codex 60 3<"$1"', path)),
    );
    const found = await Promise.all(
      sessions.map((session) => agents.find(session)),
    );
    assertEquals(found.map((one) => one?.transcript), paths);
    // In one session, nobody knows which of them is meant.
    const both = await agents.start(
      'codex 60 3<"$1" & codex 60 3<"$2" & wait',
      ...paths,
    );
    assertEquals(await agents.find(both, 2), undefined);
  },
});

Deno.test({
  name:
    "findConversation() does not take the agent of a tool call, or one that only names a rollout",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    const path = agents.rollout("codex_turns", IDS[0]);
    const tool = await agents.start(
      'setsid codex 60 3<"$1" & sleep 60',
      path,
    );
    assertEquals(await agents.find(tool), undefined);
    // No agent, and an agent without a rollout.
    const other = await agents.start('exec sleep 60 3<"$1"', path);
    assertEquals(await agents.find(other, 0), undefined);
    const fresh = await agents.start("exec codex 60");
    assertEquals(await agents.find(fresh), undefined);
  },
});

Deno.test({
  name:
    "findConversation() finds Claude's record of the process, and none of a process before it",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    const session = await agents.start("exec claude 60");
    assertEquals(await agents.find(session), undefined);
    const { agent: pid } = session.pids;
    const id = "11111111-2222-4333-8444-555555555555";
    const record = (procStart: string) => {
      Deno.mkdirSync(`${agents.dir}/.claude/sessions`, { recursive: true });
      Deno.writeTextFileSync(
        `${agents.dir}/.claude/sessions/${pid}.json`,
        JSON.stringify({ pid, sessionId: id, procStart, status: "busy" }),
      );
    };
    record("1");
    assertEquals(await agents.find(session), undefined);
    record(`${readEntry(pid)!.startTicks}`);
    const found = await agents.find(session);
    assertEquals(found?.agent, CLAUDE);
    assertEquals([found?.id, found?.told?.value], [id, "working"]);
    assertEquals(readTranscript(found!), undefined);
    const folder = `${agents.dir}/.claude/projects/x`;
    Deno.mkdirSync(folder, { recursive: true });
    const text = recorded("claude_resumed").join("\n");
    Deno.writeTextFileSync(`${folder}/${id}.jsonl`, text);
    const { turn, answer } = readTranscript(found!)!;
    assertEquals([turn?.state, answer?.text], ["done", "resumed"]);
  },
});

/** Tells whether the conversation is known of a Codex that is started in this way. */
async function isKnownBehind(
  wrapper: string,
  kind?: Kind,
): Promise<boolean> {
  await using agents = new Agents(kind);
  Deno.chmodSync(agents.root.dir, 0o711); // Another user starts its program there.
  const path = agents.rollout("codex_turns", IDS[0]);
  const session = await agents.start(`exec ${wrapper} codex 60 3<"$1"`, path);
  return await agents.find(session) !== undefined;
}

Deno.test({
  name:
    "findConversation() does not take an agent with another folder than its supervisor's",
  ignore: !isLinux,
  async fn() {
    assertEquals(await isKnownBehind("env CODEX_HOME=/elsewhere"), false);
    // The same folder, in another way.
    const same = 'env CODEX_HOME="$HOME/.codex"';
    assertEquals(await isKnownBehind(same), true);
    // The relay has the agent's variables for it, in one of its own.
    assertEquals(await isKnownBehind("", "pty"), true);
  },
});

Deno.test({
  name:
    "findConversation() does not take an agent that runs as another user (needs root)",
  ignore: !isRoot,
  fn: async () =>
    assertEquals(
      await isKnownBehind("setpriv --reuid=65534 --clear-groups"),
      false,
    ),
});

Deno.test({
  name:
    "findConversation() does not take an agent with mounts or a root directory of its own (needs unshare -m)",
  ignore: !mayUnshare,
  fn: async () => assertEquals(await isKnownBehind("unshare -m"), false),
});

Deno.test({
  name:
    "readTranscript() reads the end of a rollout of 200 MB, which Codex holds open",
  ignore: !isLinux,
  async fn() {
    await using agents = new Agents();
    const [meta, ...turns] = recorded("codex_turns");
    const path = agents.rollout("codex_turns", IDS[0], [meta!]);
    Deno.truncateSync(path, 200 * 1024 * 1024);
    const rest = `\n${turns.join("\n")}\n`;
    Deno.writeTextFileSync(path, rest, { append: true });
    const session = await agents.start('exec codex 60 3<"$1"', path);
    const found = (await agents.find(session))!;
    assertEquals(found.id, IDS[0]);
    const { turn, answer } = readTranscript(found)!;
    assertEquals([turn?.state, turn?.httpStatus], ["failed", 429]);
    assertEquals(answer?.text, "MOCK-ANSWER done");
    // Nothing but a long turn, whose beginning is too far away: nothing is known of it.
    Deno.truncateSync(path, 200 * 1024 * 1024);
    assertEquals(readTranscript(found, { maxBytes: 1024 * 1024 }), {
      turn: undefined,
      isCut: true,
    });
  },
});

Deno.test("namedConversation() takes the id of the command line, and finds its record", () => {
  using root = new TestRoot();
  const id = "11111111-2222-4333-8444-555555555555";
  const env = (name: string) => name === "HOME" ? root.dir : undefined;
  const argv = ["claude", "--session-id", id, "-p", "hi"];
  assertEquals(namedConversation(argv, env), {
    agent: CLAUDE,
    id,
    home: `${root.dir}/.claude`,
    transcript: undefined,
    how: "arguments",
  });
  const folder = `${root.dir}/.claude/projects/x`;
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(`${folder}/${id}.jsonl`, "");
  const { transcript } = namedConversation(argv, env)!;
  assertEquals(transcript, `${folder}/${id}.jsonl`);
  assertEquals(namedConversation(["claude", "-p", "hi"], env), undefined);
  assertEquals(namedConversation(["sh", "-c", argv.join(" ")], env), undefined);
});

Deno.test("agentStatusOf() tells what the process tells, and by the record how a turn has ended", () => {
  const since = 7;
  const done = { state: "done", since } as const;
  const failed = { state: "failed", since, message: "429" } as const;
  const working = { state: "working", since } as const;
  const aborted = { state: "aborted", since } as const;
  const idle = { value: "idle", since: 1 } as const;
  const busy = { value: "working", since: 1 } as const;
  assertEquals(agentStatusOf(undefined, undefined), undefined);
  assertEquals(agentStatusOf(undefined, null), { value: "idle" });
  assertEquals(agentStatusOf(undefined, working), { value: "working", since });
  assertEquals(agentStatusOf(undefined, done), { value: "done", since });
  assertEquals(agentStatusOf(undefined, aborted), { value: "idle", since });
  const error = { value: "error", message: "429", since } as const;
  assertEquals(agentStatusOf(undefined, failed), error);
  // The record is written a moment later.
  assertEquals(agentStatusOf(idle, working), idle);
  assertEquals(agentStatusOf(idle, done), { value: "done", since });
  assertEquals(agentStatusOf(idle, failed), error);
  assertEquals(agentStatusOf(idle, aborted), idle);
  assertEquals(agentStatusOf(idle, undefined), idle);
  assertEquals(agentStatusOf(busy, done), busy);
});
