import {
  readConversation,
  writeConversation,
} from "../../events/conversation_file.ts";
import {
  type ErrorCode,
  readAnswer,
  readTimes,
  SessionError,
  waitForSession,
} from "../../mod.ts";
import { markTurn, readTurnAnswer } from "../../run/answer.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  runCli,
  until,
} from "../helpers.ts";
import { recorded } from "../agents/recorded.ts";
import { ID, Talker } from "./talker.ts";

/** Fails with this code, and these words. */
async function fails(
  promise: Promise<unknown>,
  code: ErrorCode,
  words: string,
): Promise<void> {
  const error = await assertRejects(() => promise, SessionError, words);
  assertEquals(error.code, code);
}

Deno.test("readAnswer() gives the message as it was recorded, and says what became of the last turn", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const { id, meta } = await talker.run(
    String.raw`begin 1; answer 1 'a  ü\\u001b[1m\\n'; begin 2; fail 2 'over'`,
  );
  assertEquals(meta.agent, "codex");
  const { text, turn, lastTurn, ...rest } = await readAnswer(id, { root });
  assertEquals([text, turn], ["a  ü\x1b[1m\n", "1"]);
  assertEquals(lastTurn, { state: "failed", message: "over" });
  assertEquals([rest.agent, rest.conversation], ["codex", ID]);
});

Deno.test("readAnswer() keeps two sessions of one conversation apart", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const first = await talker.run("begin 1; answer 1 one");
  const waiting = await talker.run(":");
  // The next one begins some time after its end.
  const end = readTimes(waiting.id, { root }).endedAt!.getTime();
  await until(() => Date.now() > end + 50);
  const second = await talker.run("begin 2; answer 2 two");
  assertEquals((await readAnswer(first.id, { root })).text, "one");
  assertEquals((await readAnswer(second.id, { root })).text, "two");
  await fails(
    readAnswer(waiting.id, { root }),
    "no_answer",
    "its record has no turn of it",
  );
});

Deno.test("readAnswer() says why there is none", async () => {
  await using talker = new Talker();
  const { root, dir } = talker;
  const read = async (script: string, ...command: string[]) => {
    const options = command.length > 0 ? { command } : {};
    const { id } = await talker.run(script, options);
    return await readAnswer(id, { root });
  };
  await fails(read("begin 1; fail 1 'no more'"), "turn_failed", "no more");
  await fails(read("begin 1"), "no_answer", "in the middle of its turn");
  const { id } = await talker.start("begin 3; exec sleep 60");
  const error = () =>
    readAnswer(id, { root }).catch((error: Error) => error.message);
  await until(async () => `${await error()}`.endsWith("is not over yet"));
  await fails(read("", "sleep", "0"), "unsupported", "(codex and claude)");
  await fails(read("", `${dir}/gemini`, ":"), "unsupported", "keeps no record");
  const lost = [`${dir}/claude`, "--output-format=json", "echo '{}'"];
  await fails(read("", ...lost), "no_conversation", "for certain");
  const end = async (script: string, words: string) => {
    const command = [`${dir}/claude`, "-p", script];
    await fails(read("", ...command), "turn_failed", words);
  };
  await end(
    String.raw`printf 'x\nAPI Error: \033[1m429\n\n'; exit 3`,
    "its turn failed: API Error: [1m429",
  );
  await end("exit 3", "exited with code 3; to see why: codex-session logs ");
  await end("echo half; kill -9 $$", "ended by SIGKILL; to see why: ");
});

Deno.test("readAnswer() tells a record that is not there yet from one that is gone", async () => {
  await using talker = new Talker();
  const { root, dir } = talker;
  const command = [`${dir}/claude`, "--output-format=json", "exec sleep 60"];
  const { id, paths, pids } = await talker.start("", { command });
  const read = () => readAnswer(id, { root });
  await fails(read(), "no_answer", "claude has not recorded anything yet, or");
  const [agent, home, how] = ["claude", "/no/such", "process"] as const;
  writeConversation(paths, { agent, id: ID, home, how });
  await fails(read(), "no_answer", "claude has not recorded anything yet");
  Deno.kill(pids.agent, "SIGKILL");
  await waitForSession(id, { root });
  const words =
    `no record of its conversation, in /no/such; to see its output: codex-session logs ${id}`;
  await fails(read(), "no_answer", words);
});

Deno.test("readAnswer() takes the output of one turn where nothing else is known", async () => {
  await using talker = new Talker();
  const { root, dir } = talker;
  const command = [`${dir}/claude`, "-p", "printf 'a\\n\\n'"];
  const { id } = await talker.run("", { command });
  const { text, conversation, lastTurn } = await readAnswer(id, { root });
  assertEquals([text, conversation], ["a\n", null]);
  assertEquals(lastTurn, { state: "done" });
});

Deno.test("readTurnAnswer() waits for the record of the next turn, and takes no earlier one's answer", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const { id } = await talker.start(
    "until [ -e begin ]; do sleep 0.01; done; begin 1; answer 1 one; until [ -e go ]; do sleep 0.01; done; begin 2; answer 2 two; exec sleep 60",
  );
  const first = readTurnAnswer(id, { root, after: undefined });
  const isEarly = await readAnswer(id, { root }).catch(() => true);
  Deno.writeTextFileSync(`${talker.dir}/begin`, "");
  assertEquals([isEarly, (await first).text], [true, "one"]);
  await until(() => readAnswer(id, { root }).catch(() => undefined));
  const after = await markTurn(id, { root });
  assertEquals(after?.id, "1");
  const early = readTurnAnswer(id, { root, after, patienceMs: 1 });
  await fails(early, "no_answer", "has no turn of it");
  const next = readTurnAnswer(id, { root, after });
  Deno.writeTextFileSync(`${talker.dir}/go`, "");
  assertEquals((await next).text, "two");
});

Deno.test("readAnswer() says that the turn is too far from the end of a record, and not that there is none", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const script = `begin 1; answer 1 one; yes | head -n 200001 >>"$rollout"`;
  const { id } = await talker.run(script);
  const words =
    "its turn is not within the last 64 MiB (or 200000 lines, or 2000000 values)";
  await fails(readAnswer(id, { root }), "no_answer", words);
});

Deno.test("answer prints the message and records the conversation that Codex's output names", async () => {
  await using talker = new Talker();
  const { root, env } = talker;
  const script = "header; begin 1; answer 1 'one  two'";
  const run = ["run", "--id", "a", "--", talker.codex, "exec", script];
  await runCli(root, run, { env });
  await runCli(root, ["wait", "a"]);
  // Without the agent's folder, nothing proves it.
  assertEquals((await runCli(root, ["answer", "a"])).code, 4);
  const { stdout, stderr } = await runCli(root, ["answer", "a"], { env });
  assertEquals([stdout, stderr], ["one  two\n", ""]);
  const record = readConversation({
    conversation: `${root}/a/conversation.json`,
  });
  const { id, how, home } = record!;
  assertEquals([id, how, home], [ID, "output", env.CODEX_HOME]);
  const json = await runCli(root, ["answer", "--json", "a"]);
  assertEquals(JSON.parse(json.stdout).text, "one  two");
});

Deno.test("answer ends with 1 if the last turn has failed, and says that the answer is an earlier one", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const script = "begin 1; answer 1 one; begin 2; fail 2 'no more'";
  const { id } = await talker.run(script);
  const { code, stdout, stderr } = await runCli(root, ["answer", id]);
  assertEquals([code, stdout], [1, "one\n"]);
  assertStringIncludes(stderr, "earlier answer");
  assert(stderr.endsWith(": its last turn failed: no more\n"));
});

Deno.test({
  name:
    "send --for turn --answer prints that turn's answer, or why there is none",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using talker = new Talker();
    const { root } = talker;
    // Each line is a script, and its turn; the record comes after the status.
    const script = String.raw`
      tell() { printf '\033]7501;state=%s\033\\' "$1"; }
      stty -echo; tell idle
      while read -r line; do tell working; eval "$line"; done`;
    const { id } = await talker.start(script, { kind: "pty" });
    const ask = async (text: string, ...more: string[]) => {
      const options = ["--for", "turn", "--answer", "--timeout", "10s"];
      const call = ["send", id, text, ...options, ...more];
      const { code, stdout, stderr } = await runCli(root, call);
      return [code, stdout, stderr.replace("codex-session: ", "")];
    };
    const first = "begin 1; tell done; sleep 0.2; answer 1 one";
    assertEquals(await ask(first), [0, "one\n", ""]);
    const [code, stdout, stderr] = await ask("begin 2; fail 2 429; tell error");
    assertEquals([code, stdout], [1, ""]);
    assertEquals(
      stderr,
      `No answer in session "${id}": its turn failed: 429\n`,
    );
    const [status, , words] = await ask(
      "begin 3; tell 'blocked:kind=permission'",
    );
    assertEquals(status, 5);
    assertStringIncludes(`${words}`, "it is blocked: a permission; to attach");
    const [, json] = await ask(
      "answer 3 x; begin 4; answer 4 four; tell done",
      "--json",
      "-f",
    );
    assertEquals(JSON.parse(`${json}`).text, "four");
    const wrong = await runCli(root, ["send", id, "x", "--answer"]);
    assertEquals(wrong.code, 2);
  },
});

Deno.test({
  name:
    "list and wait record the conversation that they see while the agent runs",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using talker = new Talker();
    const { root, dir, env } = talker;
    const rollout = `${dir}/rollout-2026-11-21T20-00-00-${ID}.jsonl`;
    const [meta] = recorded("codex_turns", 1) as [string];
    const first = JSON.parse(meta);
    first.payload.id = ID;
    Deno.writeTextFileSync(rollout, JSON.stringify(first) + "\n");
    // As the name of a program, a copy of sleep is what holds the rollout open.
    Deno.mkdirSync(`${dir}/bin`);
    Deno.copyFileSync("/bin/sleep", `${dir}/bin/codex`);
    Deno.chmodSync(`${dir}/bin/codex`, 0o755);
    const script = `exec "${dir}/bin/codex" 60 3<"${rollout}"`;
    const command = [`${dir}/claude`, "-p", script];
    const { id, paths, pids } = await talker.start("", { command, env });
    assertEquals(readConversation(paths), undefined);
    const waiting = runCli(root, ["wait", id]);
    await until(() => readConversation(paths)?.id === ID);
    Deno.removeSync(paths.conversation);
    await runCli(root, ["list"]);
    assertEquals(readConversation(paths)?.id, ID);
    Deno.kill(pids.agent, "SIGKILL");
    assertEquals((await waiting).code, 137);
  },
});
