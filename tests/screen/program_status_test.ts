/**
 * The records of the Program Status Protocol: grammar, limits, lifetimes.
 */
import { StatusRecords } from "../../screen/program_status.ts";
import { assertEquals } from "../helpers.ts";

const base64 = (text: string) => new TextEncoder().encode(text).toBase64();

/** The records after these reports, a millisecond apart. */
function after(...bodies: readonly string[]) {
  const records = new StatusRecords();
  bodies.forEach((body, now) => records.apply(body, now));
  return records;
}

/** The `ID VALUE` of each record. */
function brief(...bodies: readonly string[]): string[] {
  return after(...bodies).all.map(({ id, value }) => `${id} ${value}`);
}

Deno.test("StatusRecords.apply() takes what Codex and Claude Code report", () => {
  const body = `state=blocked:app=claude-code:kind=permission:msg=${
    base64("approve Bash: ls «ü»")
  }`;
  assertEquals(JSON.parse(JSON.stringify(after("state=working", body).all)), [{
    id: "",
    value: "blocked",
    kind: "permission",
    app: "claude-code",
    message: "approve Bash: ls «ü»",
    since: 1,
  }]);
});

Deno.test("StatusRecords.apply() replaces a record whole and keeps since while the value stays", () => {
  const records = after("state=working:progress=40", "state=working");
  assertEquals(records.all[0]!.progress, undefined);
  assertEquals(records.all[0]!.since, 0);
  assertEquals(records.apply("state=working", 9), false);
  assertEquals(records.apply("state=done", 9), true);
  assertEquals(records.all[0]!.since, 9);
});

Deno.test("StatusRecords.apply() skips a pair that is malformed and drops a report that is invalid", () => {
  assertEquals(brief("state=idle:future=yes:oops:app=\x00"), [" idle"]);
  assertEquals(brief("state=idle:state=error"), [" error"]);
  const dropped = [
    "",
    "?",
    "app=x",
    "state=sleeping",
    "state=",
    "state=clear:id=a//b",
    "state=idle:id=",
    `state=idle:id=${"a/".repeat(8)}a`,
    `state=idle:id=${"a".repeat(33)}`,
    `state=idle:app=${"a".repeat(33)}`,
    `state=idle:${"k".repeat(17)}=1`,
    `state=idle:title=${base64("t".repeat(193))}`,
    `state=idle:msg=${base64("m".repeat(2049))}`,
    `state=idle:msg=${base64("a\x1b[31mb")}`,
    `state=idle:msg=${base64("a\u009bb")}`,
    "state=idle:msg=_w==",
    "state=idle:msg=/w==",
    `state=idle:${"x".repeat(5000)}`,
  ];
  for (const body of dropped) {
    assertEquals(brief("state=working", body), [" working"], body);
  }
});

Deno.test("StatusRecords.apply() leaves out what misleads a reader, and values out of range", () => {
  const [record] = after(
    `state=working:kind=auth:progress=101:title=${base64("a\u202eb")}`,
  ).all;
  assertEquals(record!.kind, undefined);
  assertEquals(record!.progress, undefined);
  assertEquals(record!.title, "ab");
});

Deno.test("StatusRecords.apply() clears a record and those below it, without an id all", () => {
  const three = ["state=idle", "state=done:id=a", "state=working:id=a/b"];
  assertEquals(brief(...three, "state=clear:id=a"), [" idle"]);
  assertEquals(brief(...three, "state=done:id=ab", "state=clear:id=a"), [
    " idle",
    "ab done",
  ]);
  assertEquals(brief(...three, "state=clear"), []);
});

Deno.test("StatusRecords keeps 256 records", () => {
  const bodies = Array.from({ length: 300 }, (_, i) => `state=idle:id=r${i}`);
  assertEquals(after(...bodies).all.length, 256);
  assertEquals(brief(...bodies, "state=error:id=r0")[0], "r0 error");
});

Deno.test("StatusRecords.byUrgency begins with the most urgent record, then the latest", () => {
  const records = after("state=working", "state=done:id=a", "state=idle:id=b");
  assertEquals(records.byUrgency[0]?.value, "working");
  records.apply("state=blocked:id=c", 5);
  records.apply("state=blocked:id=d", 6);
  assertEquals(records.byUrgency[0]?.id, "d");
});

Deno.test("StatusRecords.endActivity() keeps done and error only", () => {
  const records = after("state=working", "state=done:id=a", "state=error:id=b");
  assertEquals(records.endActivity(), true);
  assertEquals(records.endActivity(), false);
  assertEquals(records.all.map(({ value }) => value), ["done", "error"]);
  assertEquals(records.reset(), true);
  assertEquals(records.all, []);
});
