import {
  createSession,
  getSession,
  listSessions,
  readStatus,
  readText,
  stopSession,
  waitForSession,
} from "../../mod.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { readConversation } from "../../events/conversation_file.ts";
import { type ActionName, ACTIONS } from "../../views/actions.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  TestRoot,
  until,
} from "../helpers.ts";
import { Kit } from "../agents/kit.ts";

const { signal } = new AbortController();

/** Runs an action on a root. */
function run(
  root: TestRoot,
  name: ActionName,
  args: unknown,
): Promise<Readonly<Record<string, unknown>>> {
  return ACTIONS[name].run(args, { root: root.dir, signal });
}

Deno.test("ACTIONS says what a viewer may do who may only look", () => {
  const looking = Object.values(ACTIONS)
    .filter(({ changes }) => !changes).map(({ name }) => name);
  assertEquals(looking, ["agents", "answer"]);
  for (const [key, { name }] of Object.entries(ACTIONS)) {
    assertEquals(key, name);
  }
});

Deno.test("ACTIONS start, send to, stop, restart and delete a session", async () => {
  await using root = new TestRoot();
  const command = ["sh", "-c", "read -r line; echo got $line; exec sleep 100"];
  const labels = { team: "web" };
  const started = await run(root, "start", {
    ...{ command, labels },
    kind: "repl",
    id: "a",
    cwd: root.dir,
  });
  const { id, meta } = await getSession("a", { root: root.dir });
  assertEquals(started, { id, born: meta!.createdAt });
  assertEquals([meta!.argv, meta!.cwd, meta!.labels.team, meta!.kind], [
    ...[command, root.dir, "web", "repl"],
  ]);
  assertEquals(await run(root, "send", { ...started, text: "hi" }), { id });
  await until(async () =>
    (await readText(id, { root: root.dir })) === "got hi\n"
  );
  await assertRejects(
    () => run(root, "delete", started),
    SessionError,
    "it is running",
  );
  assertEquals(await run(root, "stop", started), { id, state: "exited" });
  assertEquals(await run(root, "stop", started), { id, state: "exited" });
  const again = await run(root, "restart", started);
  assertEquals((await listSessions({ root: root.dir })).length, 2);
  await run(root, "delete", { ...again, force: true });
  await run(root, "delete", started);
  assertEquals(await listSessions({ root: root.dir }), []);
});

/** Tells that it waits for a permission; then it says which line it has read. */
const ASKING = `
  stty -echo
  printf '\\033]7501;state=blocked:kind=permission\\033\\\\'
  read -r line; echo "line <$line>"; read -r line; echo "line <$line>"`;

Deno.test("ACTIONS.send refuses text that would answer a dialog; keys answer it", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sh", "-c", ASKING];
  await createSession({ ...at, id: "t", kind: "pty", command });
  await until(() => readStatus("t", at)?.value === "blocked");
  const send = { id: "t", text: "x" };
  const error = await assertRejects(
    () => run(root, "send", send),
    SessionError,
    "Enter may approve that",
  );
  assertEquals((error as SessionError).code, "blocked");
  await run(root, "send", { ...send, enter: false, force: true });
  await run(root, "keys", { id: "t", keys: ["y", "enter"] });
  await until(async () => /line <xy>/.test(await readText("t", at)));
  await assertRejects(
    () => run(root, "keys", { id: "t", keys: ["a", "nokey"] }),
    ArgumentError,
    "Unknown key",
  );
  await run(root, "keys", { id: "t", keys: ["enter"] });
  await until(async () => /line <>/.test(await readText("t", at)));
});

Deno.test("ACTIONS act on no later session that has the id by now", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  await createSession({ ...at, id: "a", command: ["sleep", "100"] });
  const target = { id: "a", born: "2026-01-02T03:04:05.000Z", force: true };
  const others: Partial<Record<ActionName, object>> = {
    send: { text: "x" },
    keys: { keys: ["x"] },
  };
  for (const { name } of Object.values(ACTIONS)) {
    if (name === "start" || name === "agents") continue;
    const { force, ...rest } = { ...target, ...others[name] };
    const takesForce = !["answer", "keys", "stop"].includes(name);
    const args = takesForce ? { ...rest, force } : rest;
    const error = await assertRejects(
      () => run(root, name, args),
      SessionError,
    );
    assertEquals((error as SessionError).code, "not_found", name);
  }
  const [session, second] = await listSessions(at);
  assertEquals([session?.state.state, second], ["running", undefined]);
});

Deno.test("ACTIONS check their arguments, and repeat none of them", async () => {
  await using root = new TestRoot();
  const wrong: readonly (readonly [ActionName, unknown, string])[] = [
    ["stop", null, "they are no object"],
    ["stop", [], "they are no object"],
    ["stop", {}, "id is missing"],
    ["stop", { id: 1 }, "id must be a text"],
    ["stop", { id: "x".repeat(201) }, "id has more than 200 characters"],
    ["stop", { id: "a", secret: 1 }, "one is unknown; it takes {id, born?}"],
    ["stop", JSON.parse('{"id":"a","__proto__":{}}'), "one is unknown"],
    ["stop", Object.create({ id: "a" }), "id is missing"],
    ["send", { id: "a", text: "secret".repeat(2e5) }, "text has more than"],
    ["send", { id: "a", text: "secret", enter: "yes" }, "enter must be true"],
    ["keys", { id: "a", keys: [] }, "keys must be a list"],
    ["keys", { id: "a", keys: "enter" }, "keys must be a list"],
    ["keys", { id: "a", keys: ["enter", 1] }, "keys must be a text"],
    ["start", { command: ["true"], labels: { a: 1 } }, "labels must be a text"],
    ["start", { command: ["true"], labels: ["a"] }, "labels must be an object"],
    ["start", { command: ["true"], prompt: "secret" }, "give either command"],
    ["start", { command: ["true"], kind: "tty" }, "kind"],
    ["start", { agent: "secret-agent" }, "Unknown agent"],
    ["start", {}, "Nothing to start"],
    ["start", { command: ["true"], id: "../x" }, "id"],
    ["stop", { id: "../x" }, "id"],
    ["agents", { id: "a" }, "one is unknown; it takes {}"],
  ];
  for (const [name, args, why] of wrong) {
    const error = await assertRejects(
      () => run(root, name, args),
      ArgumentError,
      why,
    );
    const repeats = (error as Error).message.includes("secret");
    assert(!repeats || why === "Unknown agent", (error as Error).message);
  }
  assertEquals(await listSessions({ root: root.dir }), []);
});

Deno.test("ACTIONS.answer and resume say what is wrong with a session without agent", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  await createSession({ ...at, id: "a", command: ["true"] });
  await waitForSession("a", at);
  for (const name of ["answer", "resume"] as const) {
    await assertRejects(
      () => run(root, name, { id: "a" }),
      SessionError,
      "it runs no agent",
    );
  }
  const { agents, usual } = await run(root, "agents", {});
  assert(Array.isArray(agents) && typeof usual === "string");
});

Deno.test({
  name:
    "ACTIONS.resume tells what is not carried over, without options of ours",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using kit = new Kit(false);
    const { root, bin, env, dir } = kit;
    const command = [`${bin}/codex`, "-s", "read-only", "#answer=one"];
    const where = { root, env, cwd: `${dir}/work`, kind: "pty" } as const;
    const { id, paths } = await createSession({ ...where, command });
    await until(() => readConversation(paths));
    await stopSession(id, { root });
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const args = { id, prompt: "#answer=two" };
    await ACTIONS.resume.run(args, { root, signal, onNotice });
    assertMatch(notices.join("\n"), /not carried over; .* had -s$/m);
    assert(!/ with -/.test(notices.join()), notices.join());
  },
});
