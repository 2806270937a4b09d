import { followEvents, readEvents } from "../../client/events.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import type { SessionEvent } from "../../events/event.ts";
import { appendEvent } from "../../events/journal.ts";
import { createSession } from "../../session/create.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import { waitForSession } from "../../client/wait.ts";
import { isLockHeld, pathsFor } from "../../store.ts";
import { within } from "../../system/async.ts";
import { mkfifo } from "../../system/libc.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
  TestRoot,
  until,
} from "../helpers.ts";

/** Starts a session. */
async function start(root: string, id: string, script: string, rm = false) {
  const command = ["sh", "-c", script];
  return await createSession({ root, id, command, rm });
}

const UNTIL_STOPPED = "sleep 100";

/** Ends sessions: a killed one takes longer, until its processes are waited for. */
async function end({ dir }: TestRoot, ...ids: string[]): Promise<void> {
  for (const id of ids) await deleteSession(id, { root: dir, force: true });
}

/** Reads events one by one. */
class Reader implements AsyncDisposable {
  readonly #events: AsyncIterator<SessionEvent>;
  readonly #leave = new AbortController();

  constructor(options: Parameters<typeof followEvents>[0]) {
    const { signal } = this.#leave;
    this.#events = followEvents({ ...options, signal })[Symbol.asyncIterator]();
  }

  /** The next event; `undefined` at the end. */
  async next(): Promise<SessionEvent | undefined> {
    const next = await within(10_000, this.#events.next());
    if (next === undefined) throw new Error("No event within 10 s");
    return next.done ? undefined : next.value;
  }

  /** The next events as words, `id type`. */
  async words(count: number): Promise<string[]> {
    const words: string[] = [];
    while (words.length < count) words.push(wordOf((await this.next())!));
    return words;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave.abort();
    await this.#events.return?.();
  }
}

const wordOf = ({ id, type }: SessionEvent) => `${id} ${type}`;
const titleOf = (event: SessionEvent) =>
  event.type === "title" ? event.title : undefined;

Deno.test("readEvents() gives what the files of a session and its journal tell, in order", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "one", UNTIL_STOPPED);
  appendEvent(paths, { type: "title", title: "fix\u0007" });
  await stopSession("one", { root: root.dir });
  const events = await readEvents({ root: root.dir });
  assertEquals(events.map(({ type }) => type), [
    "created",
    "started",
    "title",
    "stopped",
    "exited",
  ]);
  for (const { at, id } of events) {
    assertMatch(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertEquals(id, "one");
  }
  assertEquals(titleOf(events[2]!), "fix");
  const { at: _, ...stopped } = events[3]!;
  assertEquals(stopped, {
    id: "one",
    type: "stopped",
    by: "stop",
    signal: "SIGTERM",
  });
  assertEquals(
    events[4]!.type === "exited" && events[4]!.ending,
    { signal: "SIGTERM" },
  );
});

Deno.test("readEvents() merges sessions by time, and chooses by id, type, time and metadata", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const one = await start(root.dir, "one", "true");
  const two = await start(root.dir, "two", "true");
  await waitForSession("one", at);
  await waitForSession("two", at);
  const time = new Date(Date.now() + 1000);
  for (const [n, { paths }] of [one, two, one].entries()) {
    const date = new Date(time.getTime() + n);
    appendEvent(paths, { type: "title", title: `${n}` }, date);
  }
  const titled = await readEvents({ ...at, types: ["title"] });
  assertEquals(titled.map(titleOf), ["0", "1", "2"]);
  assertEquals(titled.map(({ id }) => id), ["one", "two", "one"]);
  const since = await readEvents({ ...at, since: new Date(+time + 1) });
  assertEquals(since.map(titleOf).filter(Boolean), ["1", "2"]);
  const ids = ["two", "two"];
  const ofTwo = await readEvents({ ...at, ids, types: ["title"] });
  assertEquals(ofTwo.map(titleOf), ["1"]);
  const fits = ({ id }: { readonly id: string }) => id === "one";
  const fitting = await readEvents({ ...at, fits, types: ["created"] });
  assertEquals(fitting.map(wordOf), ["one created"]);
});

Deno.test("readEvents() keeps the order of a session whose clock was set back", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "one", "true");
  await waitForSession("one", { root: root.dir });
  for (const [n, year] of [2030, 2020, 2031].entries()) {
    const at = new Date(`${year}-01-01T00:00:00Z`);
    appendEvent(paths, { type: "title", title: `${n}` }, at);
  }
  await start(root.dir, "two", "true");
  const events = await readEvents({ root: root.dir, ids: ["one", "two"] });
  assertEquals(events.map(titleOf).filter(Boolean), ["0", "1", "2"]);
});

Deno.test("readEvents() tells of sessions without a journal, and of lost ones", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "old", "exec sleep 100");
  Deno.removeSync(paths.events);
  assertEquals(appendEvent(paths, { type: "input" }), false);
  for (const pid of root.strays()) Deno.kill(pid, "SIGKILL");
  await until(() => !isLockHeld(paths));
  const events = await readEvents({ root: root.dir });
  assertEquals(events.map(({ type }) => type), ["created", "started", "lost"]);
});

Deno.test("readEvents() refuses wrong arguments and unknown sessions", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  assertEquals(await readEvents(at), []);
  const missing = () => readEvents({ ...at, ids: ["gone"] });
  const error = await assertRejects(missing, SessionError, "gone");
  assertEquals(error.code, "not_found");
  const types = ["moved" as "title"];
  await assertRejects(
    () => readEvents({ ...at, types }),
    ArgumentError,
    'Unknown type of event "moved"',
  );
  const since = new Date(NaN);
  await assertRejects(() => readEvents({ ...at, since }), ArgumentError);
  assertThrows(() => followEvents({ ...at, ids: ["gone"] }), SessionError);
});

Deno.test("followEvents() gives what was and then what comes, without a seam", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "one", UNTIL_STOPPED);
  appendEvent(paths, { type: "input" });
  await using reader = new Reader({ root: root.dir, ids: ["one"] });
  assertEquals(await reader.words(3), [
    "one created",
    "one started",
    "one input",
  ]);
  for (const title of ["a", "b"]) {
    appendEvent(paths, { type: "title", title });
    assertEquals(titleOf((await reader.next())!), title);
  }
  await stopSession("one", { root: root.dir });
  assertEquals(await reader.words(2), ["one stopped", "one exited"]);
  assertEquals(await reader.next(), undefined);
});

Deno.test("followEvents() takes in new sessions, tells of deleted ones, and of an id that is used again", async () => {
  await using root = new TestRoot();
  // There is nothing yet, not even the root.
  const dir = `${root.dir}/later`;
  await using reader = new Reader({ root: dir });
  const first = reader.next();
  for (const time of ["first", "second"]) {
    await start(dir, "one", "true");
    await waitForSession("one", { root: dir });
    if (time === "first") {
      assertEquals(wordOf((await first)!), "one created");
      assertEquals(await reader.words(2), ["one started", "one exited"]);
    }
    await deleteSession("one", { root: dir });
  }
  const rest = await reader.words(5);
  assertEquals(rest, [
    "one deleted",
    "one created",
    "one started",
    "one exited",
    "one deleted",
  ]);
});

Deno.test("followEvents() tells how a session ended that is deleted at once", async () => {
  await using root = new TestRoot();
  await using reader = new Reader({ root: root.dir });
  const next = reader.next();
  const script = "until [ -e $CODEX_SESSION_DIR/go ]; do sleep 0.01; done";
  const { paths } = await start(root.dir, "one", `${script}; exit 3`, true);
  assertEquals(wordOf((await next)!), "one created");
  assertEquals(await reader.words(1), ["one started"]);
  appendEvent(paths, { type: "title", title: "last" });
  Deno.writeTextFileSync(`${paths.dir}/go`, "");
  const events = await reader.words(3);
  assertEquals(events, ["one title", "one exited", "one deleted"]);
});

Deno.test("followEvents() loses and doubles nothing while journals are put aside again and again", async () => {
  await using root = new TestRoot();
  const ids = ["one", "two"];
  for (const id of ids) await start(root.dir, id, UNTIL_STOPPED);
  await using reader = new Reader({ root: root.dir, types: ["title"] });
  const COUNT = 300;
  const seen: Record<string, string[]> = { one: [], two: [] };
  const write = async () => {
    for (let n = 0; n < COUNT; n++) {
      for (const id of ids) {
        const facts = { type: "title", title: `${n}` } as const;
        const paths = pathsFor(id, { root: root.dir });
        assert(appendEvent(paths, facts, new Date(), 2000));
      }
      // A follower may be behind by what is kept, and no more.
      if (n % 10 === 0) await until(() => seen.two!.length > n - 10);
    }
  };
  const written = write();
  for (let n = 0; n < COUNT * ids.length; n++) {
    const event = (await reader.next())!;
    seen[event.id]!.push(titleOf(event)!);
  }
  await written;
  const all = Array.from({ length: COUNT }, (_, n) => `${n}`);
  assertEquals(seen, { one: all, two: all });
  await end(root, "one", "two");
});

Deno.test("followEvents() gives a slow consumer what is still kept, and two consumers the same", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "one", UNTIL_STOPPED);
  await using slow = new Reader({ root: root.dir, types: ["title"] });
  const fast = new Reader({ root: root.dir, types: ["title"] });
  const write = (title: string) =>
    appendEvent(paths, { type: "title", title }, new Date(), 4000);
  write("first");
  assertEquals(titleOf((await slow.next())!), "first");
  assertEquals(titleOf((await fast.next())!), "first");
  await fast[Symbol.asyncDispose](); // Doesn't deafen the other.
  for (let n = 0; n < 1000; n++) write(`${n}`);
  let title = "";
  for (let count = 0; title !== "999"; count++) {
    title = titleOf((await slow.next())!)!;
    assert(count < 1000);
  }
  await end(root, "one");
});

Deno.test("followEvents() ends with the signal's reason", async () => {
  await using root = new TestRoot();
  await start(root.dir, "one", UNTIL_STOPPED);
  const controller = new AbortController();
  const { signal } = controller;
  const all = async () => {
    for await (const { type } of followEvents({ root: root.dir, signal })) {
      if (type === "started") controller.abort(new Error("enough"));
    }
  };
  await assertRejects(all, Error, "enough");
  await end(root, "one");
});

Deno.test("followEvents() survives whatever stands in a journal's place", async () => {
  await using root = new TestRoot();
  const { paths } = await start(root.dir, "one", UNTIL_STOPPED);
  const other = await start(root.dir, "two", UNTIL_STOPPED);
  await using reader = new Reader({ root: root.dir, types: ["title"] });
  const write = async (title: string) => {
    assert(appendEvent(paths, { type: "title", title }));
    assertEquals(titleOf((await reader.next())!), title);
  };
  await write("before");
  const places = [
    () => Deno.symlinkSync("/dev/zero", paths.events),
    () => mkfifo(paths.events),
    () => Deno.mkdirSync(paths.events),
    () => Deno.writeFileSync(paths.events, new Uint8Array(100_000).fill(120)),
    () => Deno.writeTextFileSync(paths.events, '{"at":'),
    () => {
      Deno.writeTextFileSync(paths.events, "");
      appendEvent(paths, { type: "input" });
    },
  ];
  for (const make of places) {
    Deno.removeSync(paths.events, { recursive: true });
    make();
    // It looks at it.
    appendEvent(other.paths, { type: "title", title: "look" });
    assertEquals(titleOf((await reader.next())!), "look");
  }
  await write("after");
  // A terabyte of zeros is not read.
  Deno.truncateSync(paths.events, 2 ** 40);
  appendEvent(paths, { type: "title", title: "end" }, new Date(), 2 ** 50);
  assertEquals(titleOf((await reader.next())!), "end");
  await end(root, "one", "two");
});
