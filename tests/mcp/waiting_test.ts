/**
 * The tools that wait, over the official client and real processes: chains of calls, many of them,
 * and how they end.
 *
 * @module
 */
import {
  type CreatedSession,
  type CreateOptions,
  createSession,
  deleteSession,
  readAnswer,
  sendInput,
  sendKeys,
  stopSession,
  terminalStatus,
} from "../../mod.ts";
import { appendEvent, lastEntry } from "../../events/journal.ts";
import { writeReport } from "../../events/report_file.ts";
import { readEntry } from "../../process/table.ts";
import type { StatusValue } from "../../screen/program_status.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  isRunning,
  TestRoot,
  until,
} from "../helpers.ts";
import { Kit } from "../agents/kit.ts";
import { within } from "../../system/async.ts";
import { connect, type Connection } from "./client.ts";

const ignore = Deno.build.os !== "linux";

/** A test with a root, a server that sees all of it, and sessions. */
function test(name: string, fn: (world: World) => Promise<void>): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      await using root = new TestRoot();
      await using server = await connect(root.dir, { args: ["--all"] });
      await fn(new World(root.dir, server));
    },
  });
}

/** A wait that returns at once, unless it finds something. */
const SOON = { timeout: "100ms" };

class World {
  constructor(readonly root: string, readonly server: Connection) {}

  start(
    script: string,
    options: Partial<CreateOptions> = {},
  ): Promise<CreatedSession> {
    const command = ["sh", "-c", script];
    return createSession({ root: this.root, command, ...options });
  }

  wait(id: string, what: string, args: object = {}) {
    return this.server.call("wait_for_session", { id, for: what, ...args });
  }

  /** Waits twice: something happens between both calls, and must be found. */
  async finds(
    id: string,
    what: string,
    happen: () => unknown,
    args: object = {},
  ) {
    const first = await this.wait(id, what, { ...SOON, ...args });
    assertEquals([first.done, first.id], [false, id], what);
    await happen();
    const { cursor } = first;
    return await this.wait(id, what, { timeout: "10s", cursor });
  }
}

function tell(
  { paths, pids: { agent: pid } }: CreatedSession,
  value: StatusValue,
): void {
  const process = { pid, start: readEntry(pid)!.startTicks };
  writeReport(paths, { value, since: Date.now(), process });
  const status = { value, message: "why", source: "report" } as const;
  appendEvent(paths, { type: "status", status });
}

test("wait_for_session finds in a chain of calls what one wait would have found", async (world) => {
  const { root } = world;
  const at = { root };
  const session = await world.start("echo old; echo half; exec cat", {
    kind: "repl",
  });
  const { id, paths } = session;
  const size = () => Deno.statSync(paths.stdout).size;

  // A match may begin before the cursor; what was found is not found again.
  const say = (text: string) => async () => {
    const before = size();
    await sendInput(id, text, at);
    await until(() => size() > before);
  };
  await say("be")();
  const ready = await world.finds(id, "output=be(gin)", say("gin\nmore\n"));
  assertEquals(ready.match, ["begin", "gin"]);
  assertEquals([ready.done, ready.stream, ready.state], [
    true,
    "stdout",
    "running",
  ]);
  const { cursor } = ready;
  const again = await world.wait(id, "output=begin|old", { ...SOON, cursor });
  assertEquals(again.done, false);
  const more = await world.wait(id, "output=m(x)?ore", { cursor });
  assertEquals(more.match, ["more", null]);

  // Only for a moment between both calls.
  const blocked = await world.finds(id, "status=blocked", () => {
    tell(session, "blocked");
    tell(session, "working");
  });
  assertEquals([blocked.status, blocked.status_message], ["blocked", "why"]);
  const since = { ...SOON, cursor: blocked.cursor };
  assertEquals((await world.wait(id, "status=blocked", since)).done, false);
  assertEquals((await world.wait(id, "status=working", SOON)).done, true);

  // A turn, although the next one has begun.
  const turn = await world.finds(id, "turn", () => {
    tell(session, "done");
    appendEvent(paths, { type: "input" });
    tell(session, "working");
  });
  assertEquals([turn.done, turn.status], [true, "done"]);

  // Silence that is longer than a call, with and without a starting point.
  await say("x\n")();
  const begin = Date.now();
  const idle = await world.finds(id, "idle=700ms", () => {});
  assert(idle.done && Date.now() - begin >= 600);
  const from = { cursor: idle.cursor };
  const silent = await world.finds(id, "idle=700ms", () => {}, from);
  assert(silent.done && Date.now() - begin >= 1300);

  const end = await world.finds(id, "exit", async () => {
    Deno.kill(session.pids.agent, "SIGKILL");
    await until(() => !isRunning(session.pids.reaper));
  });
  assertEquals([end.state, end.exit_status], ["exited", 137]);
});

test("wait_for_session finds what a terminal shows in a chain of calls", async (world) => {
  const { id, paths } = await world.start(
    "stty -echo; echo one; read x; echo two; read x",
    { kind: "pty" },
  );
  const size = () => Deno.statSync(paths.stdout).size;
  const { cursor } = await world.wait(id, "screen=^one$");
  const none = await world.wait(id, "screen=one", { ...SOON, cursor });
  assertEquals(none.done, false);
  const next = { cursor: none.cursor };
  const two = await world.finds(id, "screen=^t(w)o$", async () => {
    const before = size();
    await sendKeys(id, [{ key: "enter" }], { root: world.root });
    await until(() => size() > before);
  }, next);
  assertEquals([two.done, two.match], [true, ["two", "w"]]);
});

test("wait_for_session says what a model can do when there is nothing to wait for", async (world) => {
  const { server } = world;
  const refused = (id: string, what: string, args: object = {}) =>
    server.refused("wait_for_session", { id, for: what, ...args });
  const { id } = await world.start("echo hello; exit 3");
  const ended = await refused(id, "output=never");
  assertEquals([ended.code, ended.id], ["wrong_state", id]);
  assertStringIncludes(ended.message, "exited with code 3; read_output");
  const screen = await refused(id, "screen=x");
  assertEquals(screen.code, "unsupported");
  assertEquals((await refused("nobody", "exit")).code, "not_found");
  const usage = [
    refused(id, "exit", { timeout: "51s" }),
    refused(id, "exit", { timeout: "0s" }),
    refused(id, "exit", { cursor: "x~-~-~-~-" }),
    refused(id, "output=("),
    refused(id, "sunrise"),
  ];
  for (const { code } of await Promise.all(usage)) assertEquals(code, "usage");

  const shell = await world.start("read x", { kind: "repl" });
  const { done, status, hint } = await world.wait(shell.id, "turn", SOON);
  assertEquals([done, status], [false, null]);
  assertStringIncludes(hint, "idle=3s");
});

test("wait_for_session is not frozen by a pattern that takes for ever", async (world) => {
  const { server } = world;
  const line = "a".repeat(50) + "!";
  const { id } = await world.start(`echo ${line}; exec sleep 600`);
  const shown = await world.start(`echo ${line}; exec sleep 600`, {
    kind: "pty",
  });
  await world.wait(shown.id, "screen=a+!");
  const begin = performance.now();
  const all = await Promise.all([
    server.refused("wait_for_session", { id, for: "output=(a+)+$" }),
    server.refused("wait_for_session", { id: shown.id, for: "screen=(a+)+$" }),
    server.call("wait_for_session", { id, for: "output=a{50}" }),
  ]);
  assert(performance.now() - begin < 5_000);
  assertEquals(all.map((one) => one.code), ["usage", "usage", undefined]);
  assertStringIncludes(all[0].message, "too long");
});

test("wait_for_session ends with its session: deleted, lost, or stopped by a signal", async (world) => {
  const { root } = world;
  const at = { root };
  const [gone, temporary, lost, stopped] = await Promise.all([
    world.start("exec sleep 600"),
    world.start("until [ -e end ]; do sleep 0.02; done; exit 4", {
      ...{ rm: true, cwd: root },
    }),
    world.start("exec sleep 600"),
    world.start("exec sleep 600"),
  ]);
  const waits = [
    world.wait(gone.id, "exit"),
    world.wait(temporary.id, "exit"),
    world.wait(lost.id, "exit"),
  ];
  const turn = world.server.refused("wait_for_session", {
    id: lost.id,
    for: "output=x",
  });
  // The server takes calls in their order: it has begun to wait.
  await world.server.call("get_session", { id: stopped.id });
  Deno.writeTextFileSync(`${root}/end`, "");
  await deleteSession(gone.id, { ...at, force: true });
  Deno.kill(lost.pids.reaper, "SIGKILL");
  Deno.kill(lost.pids.agent, "SIGKILL");
  Deno.kill(stopped.pids.agent, "SIGSTOP");
  const ends = await Promise.all(waits);
  const facts = ends.map(({ state, exit_status }) => [state, exit_status]);
  assertEquals(facts[1], ["exited", 4]);
  assertEquals(facts[2], ["lost", undefined]);
  assertEquals(facts[0]![0], "exited");
  assertEquals((await turn).code, "wrong_state");
  const { done, suspended } = await world.wait(stopped.id, "exit", SOON);
  assertEquals([done, suspended], [false, true]);
});

test("wait_for_session goes on behind a status that is past, and tells what is so now", async (world) => {
  const session = await world.start("exec cat", { kind: "repl" });
  const { id } = session;
  const { cursor } = await world.server.call("read_output", { id });
  for (const value of ["working", "blocked", "working", "done"] as const) {
    tell(session, value);
  }
  const past = await world.wait(id, "status=blocked", { cursor });
  assertEquals([past.status, past.status_now], ["blocked", "done"]);
  assertMatch(past.hint, /^It was blocked, and is so no longer/);
  const from = { cursor: past.cursor };
  for (const what of ["status=done", "turn"]) {
    const next = await world.wait(id, what, from);
    assertEquals([next.status, next.status_now], ["done", undefined], what);
  }
  await world.server.call("stop_session", { id });
  const ended = await world.wait(id, "status=blocked", { cursor });
  assertEquals([ended.status, ended.state], ["blocked", "exited"]);
  assertMatch(ended.hint, /has ended since/);
});

test("wait_for_session refuses the cursor of an earlier session with the id", async (world) => {
  const { server, root } = world;
  const id = "again";
  await world.start("exec sleep 600", { id });
  const first = await world.wait(id, "exit", SOON);
  await deleteSession(id, { root, force: true });
  await world.start("exit 7", { id });
  const calls = [
    ["wait_for_session", { id, cursor: first.cursor }],
    ["read_output", { id, cursor: first.cursor }],
  ] as const;
  for (const [name, args] of calls) {
    const { code, message } = await server.refused(name, args);
    assertEquals(code, "not_found", name);
    assertMatch(message, /is gone, and another one has the id "again" now/);
  }
});

test("wait_for_session returns a cursor in front of the output that was not looked for", async (world) => {
  const { server } = world;
  const command = ["sh", "-c", "echo RESULT; read x; read y"];
  const { id, cursor } = await server.call("start_session", {
    ...{ command, kind: "repl" },
  });
  const read = async (from: string) =>
    (await server.call("read_output", { id, cursor: from })).text;
  const found = await world.wait(id, "output=RE", { cursor });
  assertEquals(await read(found.cursor), "SULT\n");
  const idle = await world.wait(id, "idle=10ms", { cursor });
  assertEquals(await read(idle.cursor), "RESULT\n");
  await server.call("stop_session", { id });
  const end = await world.wait(id, "exit", { cursor: idle.cursor });
  assertEquals(await read(end.cursor), "RESULT\n");
});

test("wait_for_session tells of blocked once the dialog is drawn", async (world) => {
  const { root, server } = world;
  const session = await world.start(
    "stty -echo; echo ready; read x; sleep 0.2; echo dialog; read y",
    { kind: "pty" },
  );
  const { id } = session;
  await world.wait(id, "screen=ready");
  const blocked = world.wait(id, "status=blocked");
  await sendKeys(id, [{ key: "enter" }], { root });
  tell(session, "blocked");
  assertMatch((await blocked).hint, /read_screen/);
  const { text } = await server.call("read_screen", { id });
  assertStringIncludes(text, "dialog");
});

test("wait_for_session says that its session is deleted, or has ended, and not that it is lost or running", async (world) => {
  const { root, server } = world;
  const kinds = ["output=x", "idle=1h", "status=done", "exit"] as const;
  const sessions = await Promise.all(
    kinds.map(() => world.start("exec sleep 600")),
  );
  // What a deletion does, with some time before the removal.
  for (const { paths, pids } of sessions) {
    const request = { by: "delete", at: new Date(), signal: "SIGKILL" };
    Deno.writeTextFileSync(paths.stop, JSON.stringify(request));
    for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  }
  await until(() => sessions.every(({ pids }) => !isRunning(pids.reaper)));
  const waits = sessions.map(({ id }, at) =>
    server.client.callTool({
      name: "wait_for_session",
      arguments: { id, for: kinds[at] },
    })
  );
  await server.call("get_session", { id: sessions[0]!.id }); // They have begun.
  const isEarly = await within(100, Promise.race(waits));
  assertEquals(isEarly, undefined);
  for (const { id, paths } of sessions) {
    Deno.renameSync(paths.dir, `${root}/.gone-${id}`);
  }
  for (
    const [at, { structuredContent }] of (await Promise.all(waits)).entries()
  ) {
    // deno-lint-ignore no-explicit-any
    const { error, state } = structuredContent as any;
    assertEquals(error?.code ?? state, at < 3 ? "not_found" : "deleted");
  }
  const shown = await world.start("echo ready; exec cat", { kind: "pty" });
  await world.wait(shown.id, "screen=ready");
  const args = { id: shown.id, for: "screen=never" };
  const [stopped] = await Promise.all([
    server.refused("wait_for_session", args),
    stopSession(shown.id, { root }),
  ]);
  assertEquals(stopped.code, "wrong_state");
  assertMatch(
    stopped.message,
    /has ended without "screen=never": it (was|exi)/,
  );
});

test("wait_for_session says why a turn may never be over", async (world) => {
  const { root, server } = world;
  const program = `${root}/codex`;
  Deno.copyFileSync("/bin/cat", program);
  const silent = await createSession({ root, command: [program], kind: "pty" });
  const dialog = await world.wait(silent.id, "turn", SOON);
  assertEquals([dialog.done, dialog.status], [false, null]);
  assertMatch(dialog.hint, /^It has not told yet .* look with read_screen/);
  tell(silent, "idle");
  const unasked = await world.wait(silent.id, "turn", SOON);
  assertEquals([unasked.status, unasked.hint], ["idle", undefined]);
  Deno.utimeSync(`${silent.paths.dir}/attach.sock`, 1, 1);
  const resting = await world.wait(silent.id, "turn", SOON);
  assertMatch(resting.hint, /works on nothing now: ask_agent/);

  const ended = await world.start("exit 3");
  const none = await world.wait(ended.id, "turn");
  assertEquals([none.done, none.exit_status], [true, 3]);
  assertMatch(none.hint, /no agent .*read_output/);
  for (const what of ["status", "status=", "output=", "idle="]) {
    const args = { id: ended.id, for: what };
    const { code, message } = await server.refused("wait_for_session", args);
    assertEquals(code, "usage");
    assertMatch(message, /needs a value, such as "\w+=/);
    assert(!message.includes("--for"));
  }
  const empty = { id: ended.id, for: "exit=" };
  assertEquals((await server.refused("wait_for_session", empty)).code, "usage");
});

/** The files and watchers that a process has open. */
function openIn(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return "";
    }
  }).filter((path) => path.startsWith("/tmp") || path.startsWith("socket:"))
    .sort();
}

test("wait_for_session leaves nothing open when 20 waits are cancelled", async (world) => {
  const { server } = world;
  const { id } = await world.start("exec sleep 600");
  const shown = await world.start("exec sleep 600", { kind: "pty" });
  await world.wait(id, "idle=1ms");
  await world.wait(shown.id, "screen=x", SOON);
  const before = openIn(server.pid);
  const cancel = new AbortController();
  const { signal } = cancel;
  const kinds = ["exit", "turn", "status=done", "output=x", "idle=1h"];
  const waits = Array.from({ length: 20 }, (_, at) => {
    const what = [...kinds, "screen=x"][at % 6]!;
    const one = what === "screen=x" ? shown.id : id;
    const args = { id: one, for: what };
    const call = { name: "wait_for_session", arguments: args };
    return assertRejects(() => server.client.callTool(call, { signal }));
  });
  await until(() => openIn(server.pid).length >= before.length + 20);
  cancel.abort();
  await Promise.all(waits);
  await until(() => openIn(server.pid).length <= before.length);
  assertEquals((await world.wait(id, "idle=1ms")).done, true);
});

test("wait_for_session ends with its server when the client is gone in the middle of 20 waits", async (world) => {
  const { server } = world;
  const { id } = await world.start("exec sleep 600");
  const shown = await world.start("exec sleep 600", { kind: "pty" });
  const waits = Array.from({ length: 20 }, (_, at) => {
    const what = ["exit", "turn", "idle=1h", "screen=x"][at % 4]!;
    const one = what === "screen=x" ? shown.id : id;
    return server.call("wait_for_session", { id: one, for: what })
      .catch(() => {});
  });
  await until(() => openIn(server.pid).length >= 20);
  const closed = server.client.close();
  await until(() => !isRunning(server.pid));
  await Promise.all([closed, ...waits]);
  assert(isRunning(shown.pids.agent));
});

/** Agents, stand-ins for the real ones, and a server that asks them. */
class Agents implements AsyncDisposable {
  private constructor(readonly kit: Kit, readonly server: Connection) {}

  static async start(): Promise<Agents> {
    const kit = new Kit(false);
    const { root, env, dir } = kit;
    const at = { args: ["--all"], env, cwd: `${dir}/work` };
    return new Agents(kit, await connect(root, at));
  }

  async run(
    options: Pick<CreateOptions, "command" | "kind">,
  ): Promise<CreatedSession> {
    const { root, env, dir } = this.kit;
    const kind = "pty";
    return await createSession({
      ...{ root, env, kind, cwd: `${dir}/work` },
      ...options,
    });
  }

  ask(id: string, prompt: string, args: object = {}) {
    return this.server.call("ask_agent", { id, prompt, ...args });
  }

  refused(id: string, prompt = "x") {
    return this.server.refused("ask_agent", { id, prompt, timeout: "10s" });
  }

  wait(id: string, what: string, cursor?: string, args: object = {}) {
    const call = { id, for: what, cursor, ...args };
    return this.server.call("wait_for_session", call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.kit[Symbol.asyncDispose]();
  }
}

Deno.test({
  name:
    "ask_agent gives an answer that comes after the call, and no earlier one",
  ignore,
  async fn() {
    await using agents = await Agents.start();
    const { kit: { model, bin, env } } = agents;
    const command = [`${bin}/codex`, "#answer=zero"];
    const start = { command, kind: "pty", env };
    const { id, cursor: begin } = await agents.server.call(
      "start_session",
      start,
    );
    const zero = await agents.wait(id, "turn", begin);
    assertEquals([zero.done, zero.status, zero.answer], [true, "done", "zero"]);
    const one = await agents.ask(id, "#answer=one");
    assertEquals([one.done, one.answer, one.state], [true, "one", "running"]);
    const name = "x #answer=two";
    const asked = agents.ask(id, `#wait=${name}`, { timeout: "3s" });
    await until(() => model.isWaiting(name));
    const busy = await agents.refused(id);
    assertEquals(busy.code, "wrong_state");
    assertStringIncludes(busy.message, "still works");
    const { done, cursor, answer } = await asked;
    assertEquals([done, answer], [false, undefined]);
    assertEquals((await agents.refused(id)).code, "wrong_state");
    const still = await agents.wait(id, "turn", cursor, SOON);
    assertEquals([still.done, still.status], [false, "working"]);
    model.release(name);
    await agents.wait(id, "status=done");
    // As often as anybody asks; without a cursor, too.
    for (const from of [still.cursor, cursor, undefined]) {
      const two = await agents.wait(id, "turn", from);
      assertEquals([two.done, two.answer], [true, "two"]);
    }
  },
});

Deno.test({
  name:
    "ask_agent refuses what another server asks until the agent has seen the first",
  ignore,
  async fn() {
    await using agents = await Agents.start();
    const { root, env, dir, bin } = agents.kit;
    const at = { args: ["--all"], env, cwd: `${dir}/work` };
    await using other = await connect(root, at);
    const { id, paths } = await agents.run({ command: [`${bin}/claude`] });
    assertEquals((await agents.ask(id, "#answer=zero")).answer, "zero");
    const { agent } = terminalStatus(id, { root })!;
    Deno.kill(agent, "SIGSTOP");
    const late = agents.ask(id, "#answer=one", { timeout: "1s" })
      .catch(() => {}); // If typing has taken as long.
    await until(() => lastEntry(paths)?.type === "input", "typed");
    // Meanwhile, its time is up.
    const wait = { id, for: "exit", timeout: "1s" };
    await other.call("wait_for_session", wait);
    const two = { id, prompt: "#answer=two", timeout: "20s" };
    const { code, message } = await other.refused("ask_agent", two);
    assertEquals(code, "wrong_state");
    assertStringIncludes(message, "still works");
    Deno.kill(agent, "SIGCONT");
    await late;
    await until(async () => (await readAnswer(id, { root })).text === "one");
    assertEquals((await other.call("ask_agent", two)).answer, "two");
  },
});

Deno.test({
  name: "ask_agent says why there is no answer: blocked, failed",
  ignore,
  async fn() {
    await using agents = await Agents.start();
    const { kit: { root, bin } } = agents;
    const { id, paths } = await agents.run({ command: [`${bin}/claude`] });
    const blocked = await agents.ask(id, "#ask=true #answer=one");
    assertEquals([blocked.done, blocked.status], [true, "blocked"]);
    // The program's own words stay out of it.
    assertMatch(blocked.hint, /^It waits for a permission: look with read_scr/);
    assertEquals(blocked.answer, undefined);
    assertEquals((await agents.refused(id)).code, "blocked");
    // Its file may tell it before its terminal does: then it is told twice.
    const terminalTells = (value: StatusValue) =>
      until(() => {
        const last = lastEntry(paths);
        return last?.type === "status" && last.status?.value === value;
      }, `terminal tells ${value}`);
    await terminalTells("blocked");
    let waits = await agents.wait(id, "turn", blocked.cursor, SOON);
    if (waits.done) waits = await agents.wait(id, "turn", waits.cursor, SOON);
    assertEquals([waits.done, waits.status], [false, "blocked"]);
    assertMatch(waits.status_message, /true/);
    await sendKeys(id, [{ key: "y" }], { root });
    const one = await agents.wait(id, "turn", waits.cursor);
    assertEquals([one.done, one.answer], [true, "one"]);
    await terminalTells("done");

    const failed = await agents.ask(id, "#error=429");
    assertEquals([failed.done, failed.status], [true, "error"]);
    assertMatch(failed.reason, /its turn failed: .*429/);
    assertEquals(failed.answer, undefined);
    const prompt = `#answer=${"x".repeat(1000)}`;
    const long = await agents.ask(id, prompt, { max_bytes: 256 });
    assertEquals([long.answer.length, long.left_out_bytes], [256, 744]);
  },
});

Deno.test({
  name:
    "ask_agent says what to do instead for what is no agent, or takes no prompt",
  ignore,
  async fn() {
    await using agents = await Agents.start();
    const { kit: { bin } } = agents;
    const [shell, reader, once, ended] = await Promise.all([
      agents.run({ command: ["sh"] }),
      agents.run({ command: ["cat"], kind: "repl" }),
      agents.run({
        command: [`${bin}/codex`, "exec", "#wait=x #answer=once"],
        kind: "exec",
      }),
      agents.run({ command: ["true"], kind: "exec" }),
    ]);
    for (const { id } of [shell, reader]) {
      const { code, message } = await agents.refused(id);
      assertEquals(code, "unsupported");
      assertStringIncludes(message, "use send_input, then wait_for_session");
    }
    await agents.wait(ended.id, "exit");
    const dead = await agents.refused(ended.id);
    assertEquals(dead.code, "wrong_state");
    assertStringIncludes(dead.message, "exited with code 0; start a new one");
    const one = await agents.refused(once.id);
    assertEquals(one.code, "unsupported");
    assertStringIncludes(one.message, "wait_for_session gives its answer");
    agents.kit.model.release("x #answer=once");
    for (const what of ["turn", "exit"]) {
      const { answer, exit_status, state } = await agents.wait(once.id, what);
      assertEquals([answer, exit_status, state], ["once", 0, "exited"]);
    }
  },
});
