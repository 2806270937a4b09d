import { readTold, writeTold } from "../../events/status_file.ts";
import { pathsIn } from "../../store.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

Deno.test("readTold() leaves out what is malformed, and cleans and bounds the texts", () => {
  using root = new TestRoot();
  const paths = pathsIn(root.dir, "a");
  assertEquals(readTold(paths), undefined);
  const record = { id: "", value: "working", since: 5 } as const;
  writeTold(paths, { records: [record], group: 7 });
  const { records, group } = readTold(paths)!;
  assertEquals([records[0]!.value, records[0]!.since, group], [
    "working",
    5,
    7,
  ]);
  const write = (value: unknown) =>
    Deno.writeTextFileSync(paths.status, JSON.stringify(value));
  write({
    records: [
      { ...record, value: "dancing" },
      { ...record, since: "x" },
      { ...record, since: 1e99 },
      { ...record, id: 1 },
      null,
      {
        ...record,
        kind: "permission",
        message: `a\x1b[31m\nb${"c".repeat(9000)}`,
        title: 7,
        progress: 400,
        app: "\u202ex",
        future: true,
      },
    ],
    rule: { value: "blocked", kind: "coffee", since: 1 },
    group: 1,
    newer: {},
  });
  const told = readTold(paths)!;
  assertEquals(told.records.length, 1);
  const [only] = told.records;
  assertEquals(only!.message, `a[31m b${"c".repeat(2048 - 7)}`);
  assertEquals(
    [only!.kind, only!.title, only!.progress, only!.app],
    [undefined, undefined, undefined, "x"],
  );
  assertEquals([told.rule?.value, told.rule?.kind, told.group], [
    "blocked",
    undefined,
    undefined,
  ]);
  for (const value of [null, 7, [], {}, { records: {} }]) {
    write(value);
    assertEquals(readTold(paths), undefined);
  }
});
