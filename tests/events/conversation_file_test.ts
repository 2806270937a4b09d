import {
  readConversation,
  writeConversation,
} from "../../events/conversation_file.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

const SEEN = {
  agent: "codex",
  id: "01a1ffb2-430a-7eb0-af3a-365bdf430a3c",
  home: "/home/me/.codex",
  how: "process",
} as const;

Deno.test("writeConversation() writes once what readConversation() reads", async () => {
  await using root = new TestRoot();
  const paths = { conversation: `${root.dir}/conversation.json` };
  assertEquals(readConversation(paths), undefined);
  const at = new Date("2026-01-02T03:04:05.678Z");
  assertEquals(writeConversation(paths, SEEN, at), true);
  const record = { ...SEEN, at: "2026-01-02T03:04:05.678Z" };
  assertEquals(readConversation(paths), record);
  assertEquals(Deno.statSync(paths.conversation).mode! & 0o777, 0o600);
  assertEquals(writeConversation(paths, SEEN), false);
  assertEquals(readConversation(paths), record);
  assertEquals(writeConversation(paths, { ...SEEN, id: "ses_1" }), true);
  assertEquals(readConversation(paths)?.id, "ses_1");
});

Deno.test("readConversation() refuses what could harm as an argument or a path", async () => {
  await using root = new TestRoot();
  const paths = { conversation: `${root.dir}/conversation.json` };
  const good = { ...SEEN, at: "2026-01-02T03:04:05.678Z" };
  const read = (fields: unknown) => {
    Deno.writeTextFileSync(paths.conversation, JSON.stringify(fields));
    return readConversation(paths);
  };
  const { home: _, ...bare } = good;
  assertEquals(read({ ...bare, more: 1 }), { ...bare, home: null });
  for (
    const bad of [
      ...[{ id: "--help" }, { id: "a/../b" }, { id: "" }, { id: 1 }],
      ...[{ home: "relative" }, { home: "/a\nb" }, { home: 3 }],
      ...[{ agent: "../x" }, { how: "guess" }, { at: "today" }],
    ]
  ) assertEquals(read({ ...good, ...bad }), undefined, JSON.stringify(bad));
  for (const bad of [null, [], "text", 3]) assertEquals(read(bad), undefined);
  Deno.writeTextFileSync(paths.conversation, "{");
  assertEquals(readConversation(paths), undefined);
});
