import { readLogCursor } from "../../client/logs.ts";
import { readOutput } from "../../mcp/output.ts";
import { createSession, getSession, pathsFor } from "../../mod.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

const AT_MOST = { maxBytes: 64 * 1024 };

Deno.test("readOutput() leaves what is written during a reading for the next one", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sleep", "100"];
  await createSession({ ...at, id: "demo", command });
  const session = await getSession("demo", at);
  const since = readLogCursor("demo", at);
  const options = { ...at, ...AT_MOST };
  // It has noted how much there is before it waits for anything.
  const reading = readOutput(session, { ...options, since });
  const { stdout, stderr } = pathsFor("demo", at);
  Deno.writeTextFileSync(stdout, "late\n", { append: true });
  const { end, stdout: { text } } = await reading;
  const next = await readOutput(session, { ...options, since: end });
  assertEquals(text + next.stdout.text, "late\n");
  // The other stream keeps its place.
  Deno.writeTextFileSync(stderr, "bad\n", { append: true });
  const only = { ...options, since: next.end, stream: "stdout" } as const;
  const { end: last } = await readOutput(session, only);
  const both = await readOutput(session, { ...options, since: last });
  assertEquals(both.stderr.text, "bad\n");
});
