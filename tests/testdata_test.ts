/**
 * Old directories stay readable: sessions that released versions have written, see
 * `testdata/make.ts`, are read, waited for and deleted as what they are.
 *
 * @module
 */
import {
  deleteSession,
  listSessions,
  pruneSessions,
  readEvents,
  readLog,
  resolveSelector,
  sendInput,
  SessionError,
  waitForSession,
} from "../mod.ts";
import { readStopRequest } from "../store.ts";
import { assertEquals, assertRejects, PROJECT, TestRoot } from "./helpers.ts";

const DATA = `${PROJECT}tests/testdata`;

/** What each of a version's sessions is: kind, end, output, who stopped it. */
const SESSIONS: Readonly<
  Record<string, readonly [string, unknown, string, string?]>
> = {
  "exec-0": ["exec", { code: 0 }, "out\n"],
  "exec-3": ["exec", { code: 3 }, "out\n"],
  "exec-stopped": ["exec", { signal: "SIGTERM" }, "out\n", "stop"],
  "exec-lost": ["exec", null, "out\n"],
  "exec-timeout": ["exec", { signal: "SIGTERM" }, "out\n", "timeout"],
  "repl-0": ["repl", { code: 0 }, "héllo\n"],
  "pty-0": ["pty", { code: 0 }, "\x1b[1mout\x1b[m\r\r\n"],
};

/** A copy of what a version wrote, as a backup restores it. */
async function restore(root: TestRoot, version: string): Promise<string> {
  const copy = `${root.dir}/${version}`;
  const args = ["-R", `${DATA}/${version}`, copy];
  assertEquals((await new Deno.Command("cp", { args }).output()).code, 0);
  return copy;
}

for (const { name: version, isDirectory } of Deno.readDirSync(DATA)) {
  if (!isDirectory) continue;

  Deno.test(`sessions of version ${version} are read as what they are`, async () => {
    await using temporary = new TestRoot();
    const root = await restore(temporary, version);
    const listed = await listSessions({ root });
    assertEquals(
      listed.map(({ id }) => id).sort(),
      [...Object.keys(SESSIONS), "damaged"].sort(),
    );
    for (const [id, [kind, ending, output, by]] of Object.entries(SESSIONS)) {
      const { meta, state, paths } = await resolveSelector(id, { root });
      assertEquals(meta?.kind, kind, id);
      assertEquals(meta?.env, ["TESTDATA"], id);
      assertEquals(meta?.labels, { task: "42" }, id);
      const { state: waited } = await waitForSession(id, { root });
      assertEquals(waited as unknown, state as unknown, id);
      if (ending === null) assertEquals(state.state, "lost", id);
      else assertEquals(state as unknown, { state: "exited", ending }, id);
      let text = "";
      for await (const bytes of readLog(id, { root })) {
        text += new TextDecoder().decode(bytes);
      }
      assertEquals(text, output, id);
      assertEquals(readStopRequest(paths)?.by, by, id);
      const events = await readEvents({ root, ids: [id] });
      assertEquals(events.map(({ type }) => type), [
        ...["created", "started"],
        ...by === undefined ? [] : ["stopped"],
        ending === null ? "lost" : "exited",
      ], id);
    }
    await assertRejects(
      () => sendInput("repl-0", "x", { root }),
      SessionError,
      "exited with code 0",
    );
  });

  Deno.test(`sessions of version ${version} can be deleted`, async () => {
    await using temporary = new TestRoot();
    const root = await restore(temporary, version);
    await deleteSession("exec-3", { root });
    await assertRejects(() => deleteSession("damaged", { root }), SessionError);
    await deleteSession("damaged", { root, force: true });
    const { deleted, failed } = await pruneSessions({ root });
    assertEquals([deleted.length, failed.length], [
      Object.keys(SESSIONS).length - 1,
      0,
    ]);
    assertEquals([...Deno.readDirSync(root)], []);
  });
}
