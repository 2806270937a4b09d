/**
 * The label `parent`: which session started which.
 *
 * @module
 */
import {
  createSession,
  getSession,
  restartSession,
  waitForSession,
} from "../../mod.ts";
import { withParent } from "../../session/parent.ts";
import { assertEquals, CLI, runCli, TestRoot, until } from "../helpers.ts";

/** Runs a function as a process of a session would. */
async function inside<T>(
  env: Readonly<Record<string, string>>,
  run: () => T | Promise<T>,
): Promise<T> {
  try {
    for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
    return await run();
  } finally {
    for (const name of Object.keys(env)) Deno.env.delete(name);
  }
}

const variables = (dir: string, id: string) => ({
  CODEX_SESSION_ID: id,
  CODEX_SESSION_DIR: `${dir}/${id}`,
});

/** Sessions that have ended, each created in another one. */
function family(root: string) {
  return async (
    id: string,
    env: Readonly<Record<string, string>> = {},
    labels?: Readonly<Record<string, string>>,
  ) => {
    const options = { root, id, labels, command: ["true"] };
    const { meta } = await inside(env, () => createSession(options));
    await waitForSession(id, { root });
    return [meta.labels, meta.ancestors];
  };
}

Deno.test("createSession() labels a session with the one that it is created in", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const create = family(dir);
  assertEquals(await create("a"), [{}, undefined]);
  assertEquals(await create("b", variables(dir, "a"), { k: "v" }), [
    { k: "v", parent: "a" },
    undefined,
  ]);
  const inB = variables(dir, "b");
  assertEquals(await create("c", inB), [{ parent: "b" }, ["a"]]);
  // What is in the metadata is kept when the sessions in between are gone.
  Deno.removeSync(`${dir}/a`, { recursive: true });
  const inC = variables(dir, "c");
  assertEquals(await create("d", inC), [{ parent: "c" }, ["b", "a"]]);
  const { meta } = await getSession("d", { root: dir });
  assertEquals(meta?.ancestors, ["b", "a"]);
});

Deno.test("withParent() keeps an explicit parent, and adds the parents of that", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const create = family(dir);
  await create("a", {}, { parent: "/home/me" });
  await create("b");
  for (
    const [parent, ancestors] of [
      ["a", ["/home/me"]],
      ["nobody", undefined],
      ["/home/you", undefined],
      ["../a", undefined],
    ] as const
  ) {
    const made = await inside(
      variables(dir, "b"),
      () => withParent(dir, { parent }),
    );
    assertEquals([made.labels, made.ancestors], [{ parent }, ancestors]);
  }
  const { meta, paths } = await getSession("b", { root: dir });
  const many = Array.from({ length: 150 }, (_, at) => `s${at}`);
  const labels = { parent: "s" };
  const text = JSON.stringify({ ...meta, labels, ancestors: many });
  Deno.writeTextFileSync(paths.meta, text);
  const nearest = ["s", ...many.slice(0, 99)];
  assertEquals(withParent(dir, { parent: "b" }).ancestors, nearest);
});

Deno.test("withParent() adds nothing that is not a session of the same root", async () => {
  await using root = new TestRoot();
  await using other = new TestRoot();
  const { dir } = root;
  await family(dir)("a");
  await family(dir)("torn");
  Deno.truncateSync(`${dir}/torn/meta.json`, 40);
  await family(other.dir)("a");
  const wrong: Readonly<Record<string, string>>[] = [
    variables(dir, "gone"),
    variables(dir, "torn"),
    variables(dir, ""),
    variables(dir, ".."),
    variables(other.dir, "a"),
    { CODEX_SESSION_ID: "a" },
    { CODEX_SESSION_DIR: `${dir}/a` },
    { ...variables(dir, "a"), CODEX_SESSION_ID: "b" },
  ];
  for (const env of wrong) {
    assertEquals(await inside(env, () => withParent(dir)), { labels: {} });
  }
});

Deno.test("run within a session adds its id as the parent", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const line = ["run", "--id", "b", "--", "true"];
  await runCli(dir, ["run", "--id", "a", "--", ...CLI, ...line]);
  const { meta } = await until(() =>
    getSession("b", { root: dir }).catch(() => null)
  );
  assertEquals(meta?.labels, { parent: "a" });
});

Deno.test("restartSession() makes a session that of the caller, else leaves it to its nearest parent", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const create = family(dir);
  await create("a", {}, { parent: "/home/me" });
  await create("b", variables(dir, "a"));
  await create("c", variables(dir, "b"), { k: "v" });
  const again = async (env = {}, labels = {}) => {
    const options = { root: dir, labels };
    const { id, meta } = await inside(env, () => restartSession("c", options));
    await waitForSession(id, { root: dir });
    return [meta.labels, meta.ancestors];
  };
  const k = "v";
  assertEquals(await again(), [{ k, parent: "b" }, ["a", "/home/me"]]);
  const inA = variables(dir, "a");
  assertEquals(await again(inA), [{ k, parent: "a" }, ["/home/me"]]);
  assertEquals(await again(inA, { parent: "x" }), [
    { k, parent: "x" },
    undefined,
  ]);
  // Another session has the id of the nearest one now.
  Deno.removeSync(`${dir}/b`, { recursive: true });
  await create("b");
  assertEquals(await again(), [{ k, parent: "a" }, ["/home/me"]]);
  Deno.removeSync(`${dir}/a`, { recursive: true });
  assertEquals(await again(), [{ k, parent: "/home/me" }, undefined]);
});
