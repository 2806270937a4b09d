import {
  appendEvent,
  type JournalEntry,
  lastEntry,
  parseEntry,
} from "../../events/journal.ts";
import type { EventFacts } from "../../events/event.ts";
import { mkfifo } from "../../system/libc.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  PROJECT,
  SmallDisk,
  TestRoot,
} from "../helpers.ts";
import { readJournal } from "../journal.ts";

/** A journal in a directory of its own. */
function makeJournal(root: TestRoot, text = ""): { readonly events: string } {
  const events = `${root.dir}/events.jsonl`;
  Deno.writeTextFileSync(events, text);
  return { events };
}

const INPUT: EventFacts = { type: "input" };
const titled = (title: string): EventFacts => ({ type: "title", title });
const titleOf = (entry: JournalEntry | undefined) =>
  entry?.type === "title" ? entry.title : undefined;

Deno.test("appendEvent() writes a line with the time, and tells so", () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  const at = new Date("2026-01-02T03:04:05.678Z");
  assert(appendEvent(paths, INPUT, at));
  assert(appendEvent(paths, titled("two\nlines"), at));
  assertEquals(
    Deno.readTextFileSync(paths.events),
    '{"at":"2026-01-02T03:04:05.678Z","type":"input"}\n' +
      '{"at":"2026-01-02T03:04:05.678Z","type":"title","title":"two\\nlines"}\n',
  );
  assertEquals(readJournal(paths).map(({ type }) => type), ["input", "title"]);
});

Deno.test("appendEvent() tells that it can't write where there is no journal, or something else", () => {
  using root = new TestRoot();
  const paths = { events: `${root.dir}/events.jsonl` };
  const target = `${root.dir}/target`;
  Deno.writeTextFileSync(target, "mine");
  const makers = [
    () => {}, // A session of an earlier version.
    () => Deno.symlinkSync(target, paths.events),
    () => Deno.mkdirSync(paths.events),
    () => mkfifo(paths.events),
  ];
  for (const make of makers) {
    make();
    assertEquals(appendEvent(paths, INPUT), false, make.toString());
    assertEquals(readJournal(paths), []);
    assertEquals(lastEntry(paths), undefined);
    if (make !== makers[0]) Deno.removeSync(paths.events);
  }
  assertEquals(Deno.readTextFileSync(target), "mine");
});

Deno.test("appendEvent() begins a new line after half a line", () => {
  using root = new TestRoot();
  const paths = makeJournal(root, '{"at":"2026-01-02T03:04');
  assert(appendEvent(paths, INPUT));
  assertEquals(readJournal(paths).map(({ type }) => type), ["input"]);
  assertEquals(Deno.readTextFileSync(paths.events).split("\n").length, 3);
});

Deno.test("appendEvent() puts a full journal aside, and keeps the last half at least", () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  for (let n = 0; n < 100; n++) {
    assert(appendEvent(paths, titled(`${n}`), new Date(), 1000));
    const titles = readJournal(paths).map(titleOf);
    const first = Number(titles[0]);
    assert(n < 15 ? first === 0 : n - first >= 10, `${first} to ${n}`);
    assertEquals(
      titles,
      Array.from({ length: n - first + 1 }, (_, at) => `${first + at}`),
    );
    assertEquals(titleOf(lastEntry(paths)), `${n}`);
  }
  assert(Deno.statSync(`${paths.events}.1`).size <= 1000);
  assertEquals(Deno.statSync(paths.events).mode! & 0o777, 0o600);
});

Deno.test("appendEvent() goes on after a writer that was killed while it put the journal aside", () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  appendEvent(paths, titled("before"));
  Deno.renameSync(paths.events, `${paths.events}.1`);
  assertEquals(titleOf(lastEntry(paths)), "before");
  assert(appendEvent(paths, titled("after")));
  assertEquals(readJournal(paths).map(titleOf), ["before", "after"]);
});

Deno.test("appendEvent() shortens texts that are too long for a line", () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  assert(appendEvent(paths, titled("é".repeat(5000))));
  const title = titleOf(lastEntry(paths))!;
  assertEquals(title.length, 400);
  assert(title.endsWith("é…"));
});

Deno.test("appendEvent() doesn't wait for a process that keeps the lock", () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  using file = Deno.openSync(paths.events);
  file.lockSync(true);
  assertEquals(appendEvent(paths, INPUT), false);
  file.unlockSync();
  assert(appendEvent(paths, INPUT));
});

Deno.test("appendEvent() of several processes loses and mixes nothing while the journal is put aside again and again", async () => {
  using root = new TestRoot();
  const paths = makeJournal(root);
  const WRITERS = 3;
  const EACH = 400;
  // A link keeps each file that was put aside: many lines lie between two such moments.
  const script = `import { appendEvent } from "${PROJECT}events/journal.ts";
    const [name, count, events] = Deno.args;
    for (let n = 0; n < Number(count); n++) {
      try {
        const { ino } = Deno.statSync(events + ".1");
        Deno.linkSync(events + ".1", events + ".kept" + ino);
      } catch {}
      const title = name + " " + n + " " + "x".repeat(n % 700);
      const facts = { type: "title", title };
      if (!appendEvent({ events }, facts, new Date(), 20_000)) throw "lost";
    }`;
  Deno.writeTextFileSync(`${root.dir}/writer.ts`, script);
  const writers = Array.from(
    { length: WRITERS },
    (_, name) =>
      new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--no-check", `${root.dir}/writer.ts`],
          ...[`${name}`, `${EACH}`, paths.events],
        ],
      }).spawn().status,
  );
  for (const { success } of await Promise.all(writers)) assert(success);
  const files = [...Deno.readDirSync(root.dir)]
    .map(({ name }) => `${root.dir}/${name}`)
    .filter((path) => path.startsWith(paths.events))
    .map((path) => ({ path, ...Deno.statSync(path) }));
  assert(files.length > 10);
  const all = new Map(files.map(({ ino, path }) => [ino, path]));
  const titles = [...all.values()]
    .flatMap((path) => Deno.readTextFileSync(path).split("\n").slice(0, -1))
    .map((line) => titleOf(parseEntry(line))!.replace(/ x*$/, ""));
  const wanted = Array.from(
    { length: WRITERS * EACH },
    (_, n) => `${n % WRITERS} ${Math.floor(n / WRITERS)}`,
  );
  assertEquals(titles.sort(), wanted.sort());
});

Deno.test({
  name:
    "appendEvent() loses the event when the disk is full, and goes on later",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn(test) {
    using root = new TestRoot();
    await using disk = await SmallDisk.mount(`${root.dir}/disk`, "64k");
    await test.step({
      name: "on a small disk",
      ignore: disk === undefined,
      fn() {
        const paths = { events: `${disk!.dir}/events.jsonl` };
        Deno.writeTextFileSync(paths.events, "");
        disk!.fill();
        assertEquals(appendEvent(paths, INPUT), false);
        disk!.empty();
        assert(appendEvent(paths, INPUT));
        assertEquals(readJournal(paths).length, 1);
      },
    });
  },
});

Deno.test("lastEntry() leaves out what is no event, and reads a huge file from its end", () => {
  using root = new TestRoot();
  const at = new Date(0).toISOString();
  const paths = makeJournal(root);
  Deno.truncateSync(paths.events, 2 ** 40);
  assert(appendEvent(paths, INPUT, new Date(0), 2 ** 50));
  assertEquals(lastEntry(paths), { at, type: "input" });
  const wrong = [
    "",
    "null",
    "[]",
    "12",
    "{",
    "\x00",
    '{"type":"input"}',
    '{"at":"yesterday","type":"input"}',
    `{"at":"${at}"}`,
    `{"at":"${at}","type":7}`,
    `{"at":"${at}","type":"exited","ending":{"code":0}}`,
    `{"at":"${at}","type":"title","title":{}}`,
    `{"at":"${at}","type":"attached","clients":-1}`,
    `{"at":"${at}","type":"status","status":{"value":"dead","source":"report"}}`,
    `{"at":"${at}","type":"status","status":{"value":"done"}}`,
    `{"at":"${at}","type":"status"}`,
  ];
  Deno.writeTextFileSync(paths.events, wrong.join("\n") + "\n");
  assertEquals(lastEntry(paths), undefined);
  assertEquals(wrong.map(parseEntry), wrong.map(() => undefined));
});

Deno.test("parseEntry() keeps what a newer version has written, without control characters", () => {
  const at = "2026-01-02T03:04:05Z";
  const newer = { at, type: "moved", to: "here\u001b[2J", deep: { n: [1] } };
  const entry = parseEntry(JSON.stringify(newer));
  assertEquals(entry, {
    at: "2026-01-02T03:04:05.000Z",
    type: "moved",
    to: "here[2J",
    deep: { n: [1] },
  } as unknown as JournalEntry);
  const status = {
    value: "blocked",
    kind: "permission",
    message: "Bash",
    progress: 5,
    source: "terminal",
  };
  const told = parseEntry(JSON.stringify({ at, type: "status", status }));
  assertStringIncludes(JSON.stringify(told), JSON.stringify(status));
});

Deno.test("parseEntry() takes no time that RFC 3339 has no form for", () => {
  const at = ["9999-12-31T23:59:59.999Z", "+010000-01-01", "-000001-01-01", ""];
  const entries = at.map((at) =>
    parseEntry(JSON.stringify({ at, type: "input" }))?.at
  );
  assertEquals(entries, [at[0], undefined, undefined, undefined]);
});
