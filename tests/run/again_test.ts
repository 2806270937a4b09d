import {
  type RestartOptions,
  restartSession,
  resumeSession,
} from "../../mod.ts";
import {
  listSessions,
  readAnswer,
  SessionError,
  waitForSession,
} from "../../mod.ts";
import { namesIn } from "../../agents/transcript.ts";
import {
  readConversation,
  writeConversation,
} from "../../events/conversation_file.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  runCli,
  until,
} from "../helpers.ts";
import { ID, Talker } from "./talker.ts";

/** Collects notices. */
function listening(root: string) {
  const notices: string[] = [];
  const onNotice = (notice: string) => notices.push(notice);
  return { notices, options: { root, onNotice } satisfies RestartOptions };
}

Deno.test("resumeSession() goes on with the conversation, in the same directory and with the same labels", async () => {
  await using talker = new Talker();
  const { root, dir, codex } = talker;
  const first = await talker.run("begin 1; answer 1 one", {
    labels: { task: "42" },
    timeoutMs: 60_000,
  });
  const { notices, options } = listening(root);
  const prompt = "begin 2; answer 2 two";
  const { id, meta } = await resumeSession(first.id, {
    ...options,
    prompt,
    labels: { more: "1" },
    agentArgs: ["--model", "x"],
  });
  // The folder of the agent's records is named again, so nothing is missing.
  assertEquals(notices, []);
  const { argv, cwd, labels, timeoutMs, resumes, agent } = meta;
  const words = ["exec", "--model", "x", "resume", ID, "--", prompt];
  assertEquals(argv, [codex, ...words]);
  assertEquals([cwd, timeoutMs, resumes], [dir, 60_000, first.id]);
  assertEquals([labels, agent], [{ task: "42", more: "1" }, "codex"]);
  await waitForSession(id, { root });
  assertEquals((await readAnswer(id, { root })).text, "two");
  assertEquals((await readAnswer(first.id, { root })).text, "one");
});

Deno.test("resumeSession() says which variables and options are not carried over", async () => {
  await using talker = new Talker();
  const { root, env, codex } = talker;
  const own = ["-m", "x", "--json", "--no-daemon"];
  const command = [codex, "exec", ...own, "resume", ID, "--", "begin 1"];
  const { id } = await talker.run("", {
    command,
    env: { ...env, API_KEY: "secret", OTHER: "1" },
  });
  const { notices, options } = listening(root);
  const agentArgs = ["--json"];
  const again = { ...options, prompt: ":", env: { OTHER: "2" }, agentArgs };
  const { meta } = await resumeSession(id, again);
  assertEquals(notices.length, 2);
  assertStringIncludes(notices[0]!, `had -m: give`);
  assertStringIncludes(notices[1]!, `had API_KEY: set`);
  assertEquals(meta.env, ["CODEX_HOME", "OTHER"]);
});

Deno.test("resumeSession() refuses what is running, and a second agent in one conversation", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const ended = await talker.run("begin 1; answer 1 one");
  const { id } = await talker.start("exec sleep 60");
  const prompt = ":";
  const resume = (id: string, more = {}) =>
    resumeSession(id, { root, prompt, ...more });
  for (const one of [id, ended.id]) {
    const error = await assertRejects(() => resume(one), SessionError);
    assertEquals(error.code, "wrong_state");
  }
  const words = `session "${id}" is running and goes on with`;
  await assertRejects(() => resume(ended.id), SessionError, words);
  const next = await resume(id, { force: true });
  assertEquals(next.meta.resumes, id);
  await waitForSession(id, { root, timeoutMs: 5_000 });
});

Deno.test("resumeSession() refuses what it doesn't know for certain, and exec without a prompt, or before the first one", async () => {
  await using talker = new Talker();
  const { root, dir, codex } = talker;
  const fails = async (command: string[] | undefined, words: string) => {
    const { id } = await talker.run(":", command && { command });
    await assertRejects(() => resumeSession(id, { root }), Error, words);
  };
  await fails(undefined, "without a prompt");
  const { id } = await talker.run(":");
  const early = () => resumeSession(id, { root, prompt: ":" });
  await assertRejects(early, SessionError, "perhaps it was never asked");
  await fails(["true"], "no agent that is known; to repeat its command");
  // Its header names a conversation, but there is no record of it.
  const restart = "to repeat its command: codex-session restart ";
  await fails([codex, "exec", "header"], `it had; ${restart}`);
  const create = "; for one that is known: codex-session create --agent claude";
  await fails([`${dir}/claude`, "-p", ":"], `${create} exec`);
});

Deno.test("resumeSession() refuses to start an agent without the sandbox or shell that started it", async () => {
  await using talker = new Talker();
  const { root, codex } = talker;
  const turn = "begin 1; answer 1 one; header";
  const command = ["env", "X=1", codex, "exec", "resume", ID, "--", turn];
  const { id, paths } = await talker.run("", { command });
  const seen = { agent: "codex", id: ID, home: null, how: "process" } as const;
  writeConversation(paths, seen);
  const resume = () => resumeSession(id, { root, prompt: ":" });
  const error = await assertRejects(resume, SessionError, 'by way of "env"');
  assertEquals(error.code, "unsupported");
  const advice = `codex-session run -t -- env … codex resume ${ID}`;
  assertStringIncludes(error.message, advice);
});

Deno.test("resumeSession() starts one agent when called several times at once", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const { id } = await talker.run("begin 1; answer 1 one");
  const calls = Array.from(
    { length: 3 },
    () => runCli(root, ["resume", id, "exec sleep 60"], { env: talker.env }),
  );
  const ended = await Promise.all(calls);
  const failed = ended.filter(({ code }) => code !== 0);
  assertEquals(failed.length, 2);
  for (const { stderr } of failed) {
    assertStringIncludes(stderr, "goes on with its conversation; use that");
  }
  assertEquals((await listSessions({ root })).length, 2);
});

Deno.test("restartSession() runs the same command again, with a new id for a conversation", async () => {
  await using talker = new Talker();
  const { root, dir } = talker;
  const claude = [`${dir}/claude`, "--session-id", ID, "-p", "--", ":"];
  const { id } = await talker.run("", { command: claude });
  const { meta, paths } = await restartSession(id, { root });
  const [program, option, newId = "", ...rest] = meta.argv;
  assertEquals([program, option, ...rest], claude.toSpliced(2, 1));
  assertMatch(newId, /^[0-9a-f-]{36}$/);
  assert(newId !== ID);
  assertEquals(meta.restarts, id);
  assertEquals(readConversation(paths)?.id, newId);
  const live = await talker.start("exec sleep 60");
  const again = () => restartSession(live.id, { root });
  await assertRejects(again, SessionError, "stop it first");
  const next = await restartSession(live.id, { root, force: true });
  assertEquals(next.meta.argv, live.meta.argv);
  await waitForSession(live.id, { root, timeoutMs: 5_000 });
});

Deno.test("resume goes on after SIGKILL of all processes, and show links both sessions", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const { id, pids } = await talker.start("begin 1; sleep 60 & wait");
  const folder = `${talker.env.CODEX_HOME}/sessions/2026/11/21`;
  await until(() => namesIn(folder).length > 0);
  Deno.kill(pids.reaper, "SIGKILL");
  Deno.kill(pids.agent, "SIGKILL");
  const stop = ["stop", "-t", "0", id];
  await runCli(root, stop); // The sleep.
  const state = async () =>
    (await runCli(root, ["list", "--json"])).stdout.includes('"lost"');
  await until(state);
  const call = ["resume", "--id", "next", id, "begin 2; answer 2 two"];
  const { stdout, stderr } = await runCli(root, call);
  assertEquals([stdout, stderr], ["next\n", ""]);
  await runCli(root, ["wait", "next"]);
  assertEquals((await runCli(root, ["answer", "next"])).stdout, "two\n");
  const shown = await runCli(root, ["show", id, "next"]);
  const [first, second] = JSON.parse(shown.stdout);
  assertEquals([first.resumes, first.resumedBy], [null, ["next"]]);
  assertEquals([second.resumes, second.resumedBy], [id, []]);
  assertEquals([second.agent, second.conversation.id], ["codex", ID]);
});
