import {
  editDistance,
  nearestCommand,
  nearestOption,
} from "../../cli/hints.ts";
import { COMMANDS } from "../../cli/usage.ts";
import { writeConversation } from "../../events/conversation_file.ts";
import { getSession } from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { ID, Talker } from "../run/talker.ts";

Deno.test("nearestCommand() knows typos and other programs' words, and suggests what destroys for no typo", () => {
  const names = COMMANDS.flatMap(({ name, aliases = [] }) => [
    name,
    ...aliases,
  ]);
  const cases = {
    lst: "list",
    ru: "run",
    rum: "run",
    comp: "completions",
    start: "run",
    status: "list",
    codex: "create",
    top: "list",
    log: "logs",
    "send-keys": "send",
    // What destroys: for a word that means the same, not for a similar one.
    kill: "stop",
    remove: "delete",
    stpo: undefined,
    sto: undefined,
    stopp: undefined,
    delet: undefined,
    purne: undefined,
    rmi: undefined,
    // Near, but not near enough.
    st: undefined,
    store: undefined,
    d: undefined,
    pru: undefined,
    frobnicate: undefined,
    "a(b": undefined,
  };
  for (const [word, wanted] of Object.entries(cases)) {
    assertEquals([word, nearestCommand(word, names)], [word, wanted]);
  }
});

Deno.test("nearestOption() and editDistance() count swapped neighbours as one edit", () => {
  assertEquals(editDistance("tiemout", "timeout"), 1);
  assertEquals(editDistance("", "abc"), 3);
  const options = ["timeout", "force"];
  assertEquals(nearestOption("--tiemout", options), "--timeout");
  assertEquals(nearestOption("--time", options), "--timeout");
  assertEquals(nearestOption("--forse", options), undefined);
  assertEquals(nearestOption("--for", options), undefined);
  assertEquals(nearestOption("-t", options), undefined);
  assertEquals(nearestOption("--al", ["all"]), undefined);
  assertEquals(nearestOption("--labels", ["label", "all"]), "--label");
});

Deno.test("send, wait and resume say how to go on with an agent", async () => {
  await using talker = new Talker();
  const { root } = talker;
  const fails = async (words: string, ...call: string[]) => {
    const { code, stderr } = await runCli(root, call);
    assertEquals([code, stderr.split("\n").length], [4, 2]);
    assert(stderr.endsWith(`; ${words}\n`), stderr);
  };
  const { id, paths, pids } = await talker.start("exec sleep 600");
  const ended = await talker.run(":");
  const other = await talker.start("", { command: ["sleep", "600"] });
  const resume = `codex-session resume ${id}`;
  const next = `codex-session resume ${ended.id} 'TEXT'`;
  await Promise.all([
    fails(`once it has ended, go on: ${resume} 'TEXT'`, "send", id, "x"),
    fails(`to wait for its end: codex-session wait ${id}`, "resume", id, "x"),
    fails(`to go on: ${next}`, "send", ended.id, "x"),
  ]);
  const none = await runCli(root, ["send", other.id, "x"]);
  assert(none.stderr.endsWith("it takes no input (kind exec)\n"));
  for (const one of [pids, other.pids]) {
    Deno.kill(one.reaper, "SIGKILL");
    Deno.kill(one.agent, "SIGKILL");
  }
  for (const one of [id, other.id]) {
    const state = async () => (await getSession(one, { root })).state.state;
    await until(async () => await state() === "lost");
  }
  const [agent, home, how] = ["codex", null, "arguments"] as const;
  writeConversation(paths, { agent, id: ID, home, how });
  const restart = `codex-session restart ${other.id}`;
  await Promise.all([
    fails(`to go on: ${resume}`, "wait", id),
    fails(`to go on: ${resume}`, "attach", id),
    fails(`to run its command again: ${restart}`, "wait", other.id),
  ]);
});

Deno.test("create names the command agents when its agent is not on PATH", async () => {
  await using root = new TestRoot();
  const call = ["create", "--agent", "gemini", "exec", "hi"];
  const { code, stderr } = await runCli(root.dir, call);
  assertEquals(code, 127);
  assertStringIncludes(stderr, 'Cannot start "gemini": not found on PATH; to');
  assert(stderr.endsWith("are here: codex-session agents\n"), stderr);
});
