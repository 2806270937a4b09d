/**
 * Which sessions a server sees and touches.
 *
 * @module
 */
import { connect, type Connection } from "./client.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  CLI,
  TestRoot,
} from "../helpers.ts";
import {
  noteStart,
  sessionIn,
  sessionsIn,
  targetIn,
  type World,
  worldHere,
} from "../../mcp/scope.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import {
  createSession,
  getSession,
  listSessions,
  type Meta,
  waitForSession,
} from "../../mod.ts";
import { pathsIn } from "../../store.ts";

const START = Date.parse("2026-01-01T00:00:00.000Z");

/** A session as its end leaves it, created so many milliseconds after {@linkcode START}. */
function plant(
  root: TestRoot,
  id: string,
  parents: readonly string[] = [],
  { at = 0, ...more }: Partial<Meta> & { readonly at?: number } = {},
): void {
  const { dir, meta, lock, exit } = pathsIn(`${root.dir}/${id}`, id);
  Deno.mkdirSync(dir);
  const [parent, ...ancestors] = parents;
  const facts: Meta = {
    format: 1,
    id,
    kind: "exec",
    argv: ["true"],
    cwd: "/",
    env: [],
    labels: parent === undefined ? {} : { parent },
    ancestors,
    prompt: "true",
    createdAt: new Date(START + at).toISOString(),
    ...more,
  };
  Deno.writeTextFileSync(meta, JSON.stringify(facts));
  Deno.writeTextFileSync(lock, "");
  Deno.writeTextFileSync(exit, "code 0\n");
}

/** Makes the world of a process with these variables, as the environment of this one. */
async function worldOf(
  env: Readonly<Record<string, string>>,
  all = false,
): Promise<World> {
  try {
    for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
    return await worldHere(all);
  } finally {
    for (const name of Object.keys(env)) Deno.env.delete(name);
  }
}

/** The variables of a process in a session. */
const within = (root: TestRoot, id: string) => ({
  CODEX_SESSION_HOME: root.dir,
  CODEX_SESSION_ID: id,
  CODEX_SESSION_DIR: `${root.dir}/${id}`,
});

/** The ids in a world, sorted; asserts that one session at a time gives the same. */
async function idsIn(world: World): Promise<string> {
  const ids = (await sessionsIn(world)).map(({ id }) => id);
  for (const { name } of Deno.readDirSync(world.root)) {
    const found = await sessionIn(world, name).catch(() => undefined);
    assertEquals(found?.id, ids.includes(name) ? name : undefined);
  }
  return ids.sort().join(" ");
}

/** The code and the message of an error about a session, whatever its id. */
async function errorOf(attempt: Promise<unknown>): Promise<string> {
  const { code, message, id } = await assertRejects(
    () => attempt,
    SessionError,
  );
  assert(id !== undefined && message.includes(`"${id}"`));
  return `${code}: ${message.replaceAll(id, "ID")}`;
}

/** Sessions in and around the one with the id `me`. */
function plantAll(root: TestRoot): void {
  plant(root, "outer", [], { at: 1 });
  plant(root, "me", ["outer"], { at: 2 });
  plant(root, "child", ["me", "outer"], { at: 2 });
  plant(root, "grandchild", ["deleted", "me", "outer"], { at: 4 });
  plant(root, "sibling", ["outer"], { at: 5 });
  plant(root, "stranger", [], { at: 6 });
  // The child of an earlier session with my id.
  plant(root, "earlier", ["me"], { at: 1 });
  plant(root, "itself", ["itself"], { at: 7 });
  plant(root, "round", ["trip"], { at: 7 });
  plant(root, "trip", ["round"], { at: 7 });
  plant(root, "damaged", ["me"], { at: 8 });
  Deno.truncateSync(`${root.dir}/damaged/meta.json`, 40);
  Deno.symlinkSync(`${root.dir}/child`, `${root.dir}/link`);
}

Deno.test("sessionsIn() shows what a session and its sessions have started, and nothing else", async () => {
  await using root = new TestRoot();
  plantAll(root);
  const world = await worldOf(within(root, "me"));
  assertEquals([world.self, world.parent], ["me", "me"]);
  assertEquals(await idsIn(world), "child grandchild");
  assertEquals(
    await idsIn(await worldOf(within(root, "outer"))),
    "child grandchild me sibling",
  );
  assertEquals(await idsIn(await worldOf(within(root, "trip"))), "round");
  assertEquals(await idsIn(await worldOf(within(root, "itself"))), "");
  // Calls that come together share a listing, later ones get a new one.
  const [one, two] = await Promise.all([sessionsIn(world), sessionsIn(world)]);
  assert(one[0] === two[0]);
  assert(one[0] !== (await sessionsIn(world))[0]);
});

Deno.test("sessionsIn() shows what a directory's servers have started when there is no session", async () => {
  await using root = new TestRoot();
  plant(root, "child", [Deno.cwd()]);
  plant(root, "grandchild", ["child", Deno.cwd()], { at: 1 });
  plant(root, "stranger", [`${Deno.cwd()}/other`]);
  const world = await worldOf({ CODEX_SESSION_HOME: root.dir });
  assertEquals([world.self, world.parent], [undefined, Deno.cwd()]);
  assertEquals(await idsIn(world), "child grandchild");
});

Deno.test("sessionIn() calls a session out of the scope missing, in the same words", async () => {
  await using root = new TestRoot();
  plantAll(root);
  const world = await worldOf(within(root, "me"));
  const missing = await errorOf(sessionIn(world, "nobody"));
  for (
    const id of ["me", "outer", "sibling", "earlier", "trip", "damaged", "link"]
  ) assertEquals(await errorOf(sessionIn(world, id)), missing, id);
  assertEquals(await errorOf(targetIn(world, "outer")), missing);
  // No index, no beginning of an id.
  assertEquals(await errorOf(sessionIn(world, "0")), missing);
  assertEquals(await errorOf(sessionIn(world, "chil")), missing);
  await assertRejects(() => sessionIn(world, "../x"), ArgumentError, "Invalid");
});

Deno.test("targetIn() gives what is in the scope, and never the session that the server runs in", async () => {
  await using root = new TestRoot();
  plantAll(root);
  for (const all of [false, true]) {
    const world = await worldOf(within(root, "me"), all);
    assertEquals((await targetIn(world, "child")).id, "child");
    assertEquals(
      await errorOf(targetIn(world, "me")),
      'unsupported: Cannot act on session "ID": this server runs in it',
    );
  }
});

Deno.test("worldHere() with all shows every session, also damaged ones and its own", async () => {
  await using root = new TestRoot();
  plantAll(root);
  const world = await worldOf(within(root, "me"), true);
  assertEquals(
    await idsIn(world),
    "child damaged earlier grandchild itself me outer round sibling stranger trip",
  );
  assertEquals((await targetIn(world, "outer")).id, "outer");
  assert((await errorOf(sessionIn(world, "link"))).startsWith("damaged"));
});

Deno.test("worldHere() takes over what an earlier session of the same conversation has started", async () => {
  await using root = new TestRoot();
  plant(root, "first", [], { at: 1 });
  plant(root, "second", [], { at: 5, resumes: "first" });
  plant(root, "third", [], { at: 9, resumes: "second" });
  plant(root, "one", ["first"], { at: 3 });
  plant(root, "two", ["second"], { at: 6 });
  plant(root, "three", ["third"], { at: 10 });
  // Of an earlier session with its id.
  plant(root, "other", ["second"], { at: 4 });
  const ids = async () => await idsIn(await worldOf(within(root, "third")));
  assertEquals(await ids(), "one three two");
  // Another session has its id now.
  Deno.removeSync(`${root.dir}/second`, { recursive: true });
  plant(root, "second", [], { at: 20 });
  plant(root, "late", ["second"], { at: 21 });
  assertEquals(await ids(), "three");
  for (const resumes of ["../first", "gone", "last"]) {
    plant(root, "last", [], { at: 30, resumes });
    assertEquals(await idsIn(await worldOf(within(root, "last"))), "");
    Deno.removeSync(`${root.dir}/last`, { recursive: true });
  }
});

Deno.test("worldHere() believes no variable that names no session of its root", async () => {
  await using root = new TestRoot();
  await using other = new TestRoot();
  plant(root, "me");
  plant(other, "me");
  const { CODEX_SESSION_HOME, ...mine } = within(root, "me");
  for (
    const env of [
      within(root, "nobody"),
      within(root, ".."),
      within(root, ""),
      { CODEX_SESSION_HOME: other.dir, ...mine },
    ]
  ) assertEquals((await worldOf(env)).self, undefined);
  // Without a root of its own, the session's counts.
  const world = await worldOf(mine);
  assertEquals([world.root, world.self], [CODEX_SESSION_HOME, "me"]);
});

Deno.test("a server names a directory so that a label can hold it", async () => {
  await using root = new TestRoot();
  const here = Deno.cwd();
  try {
    Deno.mkdirSync(`${root.dir}/.a b\n\u202e`);
    Deno.chdir(`${root.dir}/.a b\n\u202e`);
    const { parent } = await worldOf({ CODEX_SESSION_HOME: root.dir });
    assertEquals(parent, `${root.dir}/.a b%0A%E2%80%AE`);
    const nameIn = async (dir: string) => {
      Deno.mkdirSync(dir);
      Deno.chdir(dir);
      return (await worldOf({ CODEX_SESSION_HOME: root.dir })).parent;
    };
    // What is encoded is no other directory's name.
    assertEquals(
      await nameIn(`${root.dir}/.a b%0A%E2%80%AE`),
      `${root.dir}/.a b%250A%25E2%2580%25AE`,
    );
    let deep = root.dir;
    for (let i = 0; i < 5; i++) {
      deep += `/${"x".repeat(200)}`;
      Deno.mkdirSync(deep);
    }
    const [one, two] = [await nameIn(`${deep}/1`), await nameIn(`${deep}/2`)];
    assertMatch(one, /^sha256:[0-9a-f]{64}$/);
    assert(one !== two);
    Deno.removeSync(Deno.cwd());
    await assertRejects(
      () => worldOf({ CODEX_SESSION_HOME: root.dir }),
      ArgumentError,
      "Cannot tell this server's directory",
    );
  } finally {
    Deno.chdir(here);
  }
});

Deno.test("what a server has started stays in its scope, damaged or older than itself", async () => {
  await using root = new TestRoot();
  plant(root, "me", [], { at: 10 });
  const world = await worldOf(within(root, "me"));
  for (const id of ["old", "damaged"]) {
    plant(root, id, ["me"]);
    noteStart(world, id);
  }
  plant(root, "other", ["me"]);
  Deno.truncateSync(`${root.dir}/damaged/meta.json`, 40);
  assertEquals(await idsIn(world), "damaged old");
  // Another session has its id now.
  Deno.renameSync(`${root.dir}/old`, `${root.dir}/.old`);
  plant(root, "old", ["me"]);
  assertEquals(await idsIn(world), "damaged");
});

Deno.test({
  name:
    "a server knows its session by its ancestors, whatever its variables say",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using root = new TestRoot();
    plant(root, "me");
    plant(root, "other");
    const forged =
      `export CODEX_SESSION_DIR="${root.dir}/other"; "$@"; exit $?`;
    const command = ["sh", "-c", forged, "sh", ...CLI];
    const options = { command, env: within(root, "me"), args: ["--all"] };
    await using server = await connect(root.dir, options);
    for (const id of ["me", "other"]) {
      const { code } = await server.refused("delete_session", { id });
      assertEquals(code, "unsupported", id);
    }
  },
});

/** The ids that a server lists, sorted. */
async function listed(server: Connection): Promise<string> {
  const { sessions } = await server.call("list_sessions");
  return sessions.map(({ id }: { id: string }) => id).sort().join(" ");
}

/** A server whose client hides its own environment, as Codex does. */
const HIDDEN = [
  ...["sh", "-c"],
  'env -i PATH="$PATH" HOME="$HOME" XDG_STATE_HOME="$CODEX_SESSION_HOME/.state" ${DENO_DIR+DENO_DIR="$DENO_DIR"} "$@"; exit $?',
  ...["sh", ...CLI],
];

Deno.test({
  name: "a server finds its session by its client's environment",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using root = new TestRoot();
    plantAll(root);
    const env = within(root, "me");
    const options = { command: HIDDEN, env };
    await using server = await connect(root.dir, options);
    assertEquals(await listed(server), "child grandchild");
    const { code } = await server.refused("stop_session", { id: "me" });
    assertEquals(code, "unsupported");
    // What it starts is in its scope, and works in the same root.
    const { id } = await server.call("start_session", {
      id: "first",
      command: [...CLI, "run", "--id", "second", "--", "sleep", "60"],
    });
    await waitForSession(id, { root: root.dir, timeoutMs: 10_000 });
    assertEquals(await listed(server), "child first grandchild second");
    const { meta } = await getSession("second", { root: root.dir });
    assertEquals([meta?.labels, meta?.ancestors], [{ parent: id }, [
      "me",
      "outer",
    ]]);
    await server.call("stop_session", { id: "second" });
    await server.call("delete_session", { id });
    assertEquals(await listed(server), "child grandchild second");
  },
});

Deno.test("a server acts on nothing out of its scope, and never on its own session", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const create = async (id: string, labels = {}) => {
    const command = ["cat"];
    await createSession({ root: dir, id, labels, kind: "repl", command });
  };
  await create("outer");
  await create("me", { parent: "outer" });
  const env = within(root, "me");
  const acts: [string, object][] = [
    ["stop_session", {}],
    ["delete_session", { force: true }],
    ["send_input", { text: "x" }],
  ];
  for (const args of [[], ["--all"]]) {
    await using server = await connect(dir, { env, args });
    const codes = async (id: string) => {
      const errors = await Promise.all(
        acts.map(([name, more]) => server.refused(name, { id, ...more })),
      );
      return [...new Set(errors.map(({ code }) => code))];
    };
    assertEquals(await codes("me"), ["unsupported"]);
    if (args.length > 0) continue;
    assertEquals(await codes("outer"), ["not_found"]);
    assertEquals(await codes("nobody"), ["not_found"]);
  }
  for (const { id, state, sizes } of await listSessions({ root: dir })) {
    assertEquals([state.state, sizes.stdout], ["running", 0], id);
  }
});
