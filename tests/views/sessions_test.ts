import {
  createSession,
  deleteSession,
  getSession,
  readStatus,
  sendInput,
  sendKeys,
} from "../../mod.ts";
import { appendEvent } from "../../events/journal.ts";
import { writeReport } from "../../events/report_file.ts";
import { readEntry } from "../../process/table.ts";
import { join } from "../../std.ts";
import { watchRows } from "../../views/sessions.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  TestRoot,
  until,
} from "../helpers.ts";
import { Kit } from "../agents/kit.ts";
import { watching } from "./rows.ts";

Deno.test("watchRows() tells of sessions from their start to their deletion, in a root that doesn't exist yet", async () => {
  await using parent = new TestRoot();
  const root = join(parent.dir, "later");
  const { rows, changes } = await watching(root);
  await using _ = rows;
  assertEquals(rows.rows(), []);
  const { meta } = await createSession({
    root,
    id: "a",
    kind: "repl",
    command: ["sh", "-c", "read -r line; exit 3"],
    labels: { team: "web" },
  });
  const one = await until(() => rows.get("a"));
  assertEquals([one.born, one.urgency, one.labels.team, one.can], [
    meta.createdAt,
    "working",
    "web",
    ["send", "stop", "delete"],
  ]);
  await sendInput("a", "end\n", { root });
  await until(() => rows.get("a")?.text === "exited 3");
  assertEquals(changes.at(-1)!.changed, rows.rows());
  await deleteSession("a", { root });
  await until(() => rows.get("a") === undefined);
  assertEquals(changes.at(-1), { changed: [], removed: ["a"] });
});

const bytes = (text: string) => ({ raw: new TextEncoder().encode(text) });

/** Tells its terminal a title, and what it does: the lines that it reads. */
const PROGRAM = `
  stty -echo
  printf '\\033]0;my title\\007'
  while read -r line; do printf '\\033]7501;%s\\033\\\\' "$line"; done`;

Deno.test("watchRows() follows what a terminal's program tells, and gives bursts a few times a second", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { rows, changes } = await watching(root.dir);
  await using _ = rows;
  const command = ["sh", "-c", PROGRAM];
  const { paths } = await createSession({
    ...at,
    id: "t",
    kind: "pty",
    command,
  });
  await until(() => rows.get("t")?.title === "my title");
  await sendKeys("t", [bytes("state=blocked:kind=permission\n")], at);
  await until(() => rows.get("t")?.urgency === "blocked");
  const row = rows.get("t")!;
  assertEquals([row.text, row.tone, row.line], [
    ...["blocked: permission", "blocked", "my title"],
  ]);
  assert(row.since !== null);
  rows.look("viewer", ["t"]); // Progress makes no event.
  await sendKeys("t", [bytes("state=working:progress=40\n")], at);
  await until(() => rows.get("t")?.text === "working 40%");
  const before = changes.length;
  const startedAt = performance.now();
  for (let count = 1; count <= 100; count++) {
    const event = { type: "title", title: `title ${count}` } as const;
    appendEvent(paths, event);
    await new Promise((wake) => setTimeout(wake, 5));
  }
  await until(() => rows.get("t")?.title === "title 100");
  const most = 3 + (performance.now() - startedAt) / 100;
  assert(changes.length - before <= most, `${changes.length - before}`);
});

Deno.test("watchRows() keeps the last line of those that somebody looks at", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const cat = { ...at, kind: "repl" as const, command: ["cat"] };
  for (const id of ["a", "b"]) {
    await createSession({ ...cat, id });
    await sendInput(id, "one\n", at);
  }
  const { rows } = await watching(root.dir);
  await using _ = rows;
  const lines = () => rows.rows().map(({ id, line }) => `${id} ${line}`).sort();
  rows.look("viewer", ["a", "nobody"]);
  await until(() => lines().join() === "a one,b ");
  await sendInput("a", "two\n", at);
  await until(() => lines().join() === "a two,b ");
  rows.look("other", ["b"]);
  rows.leave("viewer");
  await until(() => lines()[1] === "b one");
  // The id of another session now, which is looked at, too.
  await deleteSession("b", { ...at, force: true });
  await createSession({ ...cat, id: "b" });
  await sendInput("b", "new\n", at);
  await until(() => rows.get("b")?.line === "new");
  await sendInput("b", "newer\n", at);
  await until(() => rows.get("b")?.line === "newer");
});

Deno.test("watchRows() takes a silent program for idle when the time has come, and no earlier", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sh", "-c", "echo ready; exec cat"];
  const { paths } = await createSession({
    ...at,
    id: "a",
    kind: "repl",
    command,
  });
  await until(() => Deno.statSync(paths.stdout).size > 0);
  const silentSince = Date.now() / 1000 - 9;
  const eof = `${paths.dir}/eof.pipe`;
  const { pid, stdout, stderr, stdin } = paths;
  for (const file of [pid, stdout, stderr, stdin, eof]) {
    Deno.utimeSync(file, silentSince, silentSince);
  }
  const { rows } = await watching(root.dir);
  await using _ = rows;
  assertEquals(rows.get("a")?.text, "running");
  await until(() => rows.get("a")?.urgency === "idle");
  const row = rows.get("a")!;
  assertEquals([row.text, row.tone], ["~idle", "quiet"]);
  const sinceMs = Date.parse(row.since!) - silentSince * 1000;
  assert(Math.abs(sinceMs) < 50, `${sinceMs}`);
  await sendInput("a", "go on\n", at); // That makes an event.
  await until(() => rows.get("a")?.text === "running");
});

Deno.test("watchRows() sets no endless timer where the clock was set back after the last output", async () => {
  await using root = new TestRoot();
  const command = ["sh", "-c", "echo ready; exec cat"];
  const start = { root: root.dir, command, kind: "repl" } as const;
  const { paths } = await createSession(start);
  await until(() => Deno.statSync(paths.stdout).size > 0);
  const inFortyDays = Date.now() / 1000 + 40 * 24 * 3600;
  Deno.utimeSync(paths.stdout, inFortyDays, inFortyDays);
  const { setTimeout } = globalThis;
  const times: unknown[] = [];
  globalThis.setTimeout = ((call: () => void, ms?: number) => {
    times.push(ms);
    return setTimeout(call, ms);
  }) as typeof setTimeout;
  try {
    await using _ = (await watching(root.dir)).rows;
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert(times.length > 0);
  // A longer one than 2^31 ms would be over at once.
  assert(times.every((ms) => Number(ms) <= 60_000), `${times}`);
});

Deno.test("watchRows() notices at a look that the process has ended which reported", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { paths } = await createSession({
    ...at,
    id: "a",
    command: ["sleep", "100"],
  });
  const command = ["sh", "-c", "echo both are read; exec sleep 100"];
  await createSession({ ...at, id: "b", command });
  const reporter = new Deno.Command("sleep", { args: ["100"] }).spawn();
  const start = readEntry(reporter.pid)!.startTicks;
  writeReport(paths, {
    value: "working",
    message: "step 1",
    since: Date.now(),
    process: { pid: reporter.pid, start },
  });
  assertEquals(readStatus("a", at)?.value, "working");
  const { rows } = await watching(root.dir);
  await using _ = rows;
  assertEquals([rows.get("a")?.text, rows.get("a")?.line], [
    "working",
    "step 1",
  ]);
  rows.look("viewer", ["a", "b"]);
  await until(() => rows.get("b")?.line === "both are read");
  reporter.kill();
  await reporter.status;
  await until(() => rows.get("a")?.text === "running");
});

Deno.test("watchRows() shows what is damaged, lost or renamed", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const sleeping = { ...at, command: ["sleep", "100"] };
  const damaged = await createSession({ ...sleeping, id: "damaged" });
  await createSession({ ...sleeping, id: "old" });
  Deno.writeTextFileSync(damaged.paths.meta, "{");
  Deno.mkdirSync(join(root.dir, "foreign"));
  const { rows } = await watching(root.dir);
  await using _ = rows;
  const { born, text, tone, can } = rows.get("damaged")!;
  assertEquals([rows.rows().length, text, tone, can], [
    ...[2, "damaged", "warning", ["delete"]],
  ]);
  // Its directory has changed since, and it is still the same session.
  Deno.writeTextFileSync(join(damaged.paths.dir, "another"), "");
  assertEquals((await getSession("damaged", at)).createdAt.toISOString(), born);
  Deno.renameSync(join(root.dir, "old"), join(root.dir, "new"));
  await until(() => rows.get("new")?.text === "damaged" && !rows.get("old"));
  const { pids } = await createSession({ ...sleeping, id: "lost" });
  await until(() => rows.get("lost"));
  for (const pid of [pids.reaper, pids.agent]) Deno.kill(pid, "SIGKILL");
  await until(() => rows.get("lost")?.text === "lost");
  assertEquals(rows.get("lost")?.urgency, "ended");
});

Deno.test("watchRows() tells what happens while it reads its first list", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const create = (id: string) =>
    createSession({ ...at, id, command: ["true"] });
  await Promise.all(["a", "b", "c"].map(create));
  const changed = new Set<string>();
  await using rows = watchRows({
    ...at,
    onChange: ({ changed: now }) => now.forEach(({ id }) => changed.add(id)),
  });
  // The list is there, and nothing is watched yet.
  Deno.removeSync(join(root.dir, "a"), { recursive: true });
  await create("d");
  await rows.ready;
  await until(() => !rows.get("a") && rows.get("d"));
});

Deno.test("watchRows() ends when it is stopped, and rejects when it can't go on", async () => {
  await using root = new TestRoot();
  const stop = new AbortController();
  const onChange = () => {};
  const stopped = watchRows({ root: root.dir, signal: stop.signal, onChange });
  await stopped.ready;
  stop.abort();
  await stopped.done;
  await createSession({ root: root.dir, id: "a", command: ["sleep", "100"] });
  await using failing = watchRows({
    root: root.dir,
    onChange: () => {
      throw new Error("the view has failed");
    },
  });
  await deleteSession("a", { root: root.dir, force: true });
  await assertRejects(() => failing.done, Error, "the view has failed");
});

Deno.test("watchRows() agrees with a new list after a storm of starts, ends, deletions and reused ids", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { rows, changes } = await watching(root.dir);
  await using _ = rows;
  const ids = ["a", "b", "c"];
  rows.look("viewer", ids);
  await Promise.all(ids.map(async (id, turn) => {
    for (let count = 0; count < 3; count++) {
      const last = (turn + count) % 2 === 0 ? "exit 3" : "exec sleep 100";
      const command = ["sh", "-c", `echo ${count}; ${last}`];
      await createSession({ ...at, id, command });
      if (count < 2) await deleteSession(id, { ...at, force: true });
    }
  }));
  await until(async () => {
    await using fresh = watchRows({ ...at, onChange: () => {} });
    const now = new Map(changes.flatMap(({ changed, removed }) => [
      ...changed.map((row) => [row.id, row] as const),
      ...removed.map((id) => [id, undefined] as const),
    ]));
    return fresh.rows().length === 3 && fresh.rows().every((row) => {
      const { born, text, line } = now.get(row.id) ?? {};
      return born === row.born && text === row.text && line === "2";
    });
  });
});

Deno.test({
  name: "watchRows() gives the end of an agent's answer as its last line",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using kit = new Kit(false);
    const { root, bin, env, dir } = kit;
    const cwd = `${dir}/work`;
    const command = [`${bin}/codex`, "#answer=fixed"];
    const where = { root, env, cwd, kind: "pty" } as const;
    const { id } = await createSession({ ...where, command });
    await using rows = (await watching(root)).rows;
    rows.look("me", [id]);
    await until(() => rows.get(id)?.line === "fixed");
  },
});
