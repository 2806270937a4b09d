/**
 * Resources and their updates, as the official client sees them, over real sessions.
 *
 * @module
 */
import { connect } from "./client.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";
import {
  createSession,
  deleteSession,
  pathsFor,
  waitForSession,
} from "../../mod.ts";

/** A client that notes the updates that it gets. */
async function watcher(
  root: string,
  protocol: "legacy" | "auto",
  args = ["--all"],
) {
  const connection = await connect(root, { args, protocol });
  const updates: string[] = [];
  connection.client.setNotificationHandler(
    "notifications/resources/updated",
    ({ params }) => {
      updates.push(params.uri);
    },
  );
  return { ...connection, updates };
}

/** A running session whose output the test writes. */
async function running(root: string, id = "demo") {
  const command = ["sleep", "100"];
  await createSession({ root, id, command });
  const { stdout, dir } = pathsFor(id, { root });
  const print = (text: string) =>
    Deno.writeTextFileSync(stdout, text, { append: true });
  return { print, dir };
}

/** The number of watches and of open files of a process. */
function watchesOf(pid: number) {
  let watches = 0;
  let files = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fdinfo`)) {
    files++;
    try {
      const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${name}`);
      watches += info.match(/^inotify/gm)?.length ?? 0;
    } catch {
      // Closed meanwhile.
    }
  }
  return { watches, files };
}

const LOG = "codex-session://demo/log";

Deno.test("resources are listed, told by templates, and read with the bounds of the tools", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "printf '\\033[1mhello\\n'; echo bad >&2; head -c 100000 /dev/zero | tr '\\0' a";
  await createSession({ root: dir, id: "demo", command: ["sh", "-c", script] });
  await waitForSession("demo", { root: dir });
  const command = ["sh", "-c", "printf shown; sleep 100"];
  await createSession({ root: dir, id: "term", kind: "pty", command });
  await using server = await watcher(dir, "auto");
  const { client } = server;
  const { resources } = await client.listResources();
  assertEquals(resources.map(({ uri }) => uri), [
    "codex-session://term/log",
    "codex-session://term/screen",
    "codex-session://term/events",
    "codex-session://demo/log",
    "codex-session://demo/events",
  ]);
  const { resourceTemplates } = await client.listResourceTemplates();
  assertEquals(resourceTemplates.map(({ uriTemplate }) => uriTemplate), [
    "codex-session://{id}/log",
    "codex-session://{id}/screen",
    "codex-session://{id}/events",
  ]);
  // deno-lint-ignore no-explicit-any
  const read = async (uri: string): Promise<any[]> =>
    (await client.readResource({ uri })).contents;
  const [out, err] = await read(LOG);
  assertEquals(out.text.length <= 16 * 1024, true);
  assertEquals(out._meta.left_out_bytes + out.text.length, 100_000 + 10);
  assertEquals([err.text, err._meta.exit_status], ["bad\n", 0]);
  const [events] = await read("codex-session://demo/events");
  const lines = events.text.trimEnd().split("\n");
  assertEquals(lines.map((line: string) => JSON.parse(line).type), [
    "created",
    "started",
    "exited",
  ]);
  await until(async () => {
    const [screen] = await read("codex-session://term/screen");
    return screen.text === "shown" && screen._meta.columns === 120;
  });
});

Deno.test("no other URI is read or subscribed to", async () => {
  using root = new TestRoot();
  const { dir } = root;
  await createSession({ root: dir, id: "demo", command: ["true"] });
  for (const mode of ["legacy", "auto"] as const) {
    await using server = await watcher(dir, mode);
    const { client } = server;
    const uris = [
      "file:///etc/passwd",
      "codex-session://demo/",
      "codex-session://demo/meta.json",
      "codex-session://../log",
      "codex-session://demo/../demo/log",
      "codex-session://demo/log?x",
      "codex-session://demo%2f/log",
      "CODEX-SESSION://demo/log",
      "codex-session://demo/screen", // It has none.
      "codex-session://nobody/log",
      "\x00",
      "",
    ];
    for (const uri of uris) {
      await assertRejects(() => client.readResource({ uri }), Error);
      if (mode === "legacy") {
        await assertRejects(() => client.subscribeResource({ uri }), Error);
      } else {
        const resourceSubscriptions = [LOG, uri];
        await assertRejects(
          () => client.listen({ resourceSubscriptions }),
          Error,
        );
      }
    }
  }
});

Deno.test("what is out of the scope is as if it weren't there", async () => {
  using root = new TestRoot();
  const { dir } = root;
  await createSession({ root: dir, id: "demo", command: ["true"] });
  await using server = await watcher(dir, "legacy", []);
  const { client } = server;
  assertEquals((await client.listResources()).resources, []);
  for (const id of ["demo", "nobody"]) {
    const uri = `codex-session://${id}/log`;
    const { message } = await assertRejects(
      () => client.readResource({ uri }),
      Error,
    );
    assertStringIncludes(message, `"${id}"`);
    await assertRejects(() => client.subscribeResource({ uri }), Error, id);
  }
});

Deno.test("a client of the older protocol gets updates until it unsubscribes", async () => {
  await using root = new TestRoot();
  const { print, dir } = await running(root.dir);
  await using server = await watcher(root.dir, "legacy");
  const { client, updates, pid } = server;
  assertEquals(watchesOf(pid).watches, 0);
  await client.subscribeResource({ uri: LOG });
  print("one\n");
  await until(() => updates.length === 1);
  for (let n = 0; n < 50; n++) {
    print("more\n");
    await client.ping();
  }
  await until(() => updates.length > 1);
  await client.unsubscribeResource({ uri: LOG });
  assertEquals(new Set(updates), new Set([LOG]));
  assert(updates.length < 25); // Not one for each line.
  const { length } = updates;
  await until(() => watchesOf(pid).watches === 0);
  print("unseen\n");
  // One that tells of what comes next: it would come after.
  await client.subscribeResource({ uri: `codex-session://demo/events` });
  Deno.writeTextFileSync(`${dir}/events.jsonl`, "\n", { append: true });
  await until(() => updates.at(-1)?.endsWith("/events"));
  assertEquals(updates.filter((uri) => uri === LOG).length, length);
});

Deno.test("a client of the newer protocol gets updates of what it listens to until it closes", async () => {
  await using root = new TestRoot();
  const { print } = await running(root.dir);
  await using server = await watcher(root.dir, "auto");
  const { client, updates, pid } = server;
  const resourceSubscriptions = [LOG, "codex-session://demo/events"];
  const one = await client.listen({ resourceSubscriptions });
  const other = await client.listen({ resourceSubscriptions: [LOG] });
  assertEquals(one.honoredFilter, { resourceSubscriptions });
  print("one\n");
  await until(() => updates.length === 2); // One for each.
  await one.close();
  print("two\n");
  await until(() => updates.length === 3);
  assert(watchesOf(pid).watches > 0);
  await other.close();
  await until(() => watchesOf(pid).watches === 0);
});

Deno.test("a session that is deleted is told once more, and no longer watched", async () => {
  await using root = new TestRoot();
  await running(root.dir);
  await using server = await watcher(root.dir, "legacy");
  const { client, updates, pid } = server;
  await client.subscribeResource({ uri: LOG });
  await deleteSession("demo", { root: root.dir, force: true });
  await until(() => updates.length > 0);
  await until(() => watchesOf(pid).watches === 0);
  await assertRejects(() => client.readResource({ uri: LOG }), Error, "demo");
});

Deno.test("too many subscriptions are refused, and leave room for what is there", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const { print } = await running(dir);
  // Without processes, they are cheap to make.
  const meta = Deno.readTextFileSync(`${dir}/demo/meta.json`);
  const uris = Array.from({ length: 100 }, (_, n) => `s${n}`).map((id) => {
    Deno.mkdirSync(`${dir}/${id}`, { mode: 0o700 });
    Deno.writeTextFileSync(`${dir}/${id}/lock`, "");
    const own = meta.replaceAll('"demo"', `"${id}"`);
    Deno.writeTextFileSync(`${dir}/${id}/meta.json`, own);
    return `codex-session://${id}/log`;
  });
  await using server = await watcher(dir, "auto");
  const { client, updates, pid } = server;
  const { files } = watchesOf(pid);
  await client.listen({ resourceSubscriptions: [LOG] });
  await assertRejects(
    () => client.listen({ resourceSubscriptions: uris }),
    Error,
    "at most 100",
  );
  assert(watchesOf(pid).files < files + 20);
  print("one\n");
  await until(() => updates.length === 1);
});
