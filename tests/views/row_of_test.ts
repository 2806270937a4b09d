import {
  createSession,
  getSession,
  stopSession,
  waitForSession,
} from "../../mod.ts";
import { HARMFUL } from "../../screen/clean_text.ts";
import type { Session } from "../../session/find.ts";
import { basename } from "../../std.ts";
import { type RowFacts, rowOf } from "../../views/row_of.ts";
import { lastLineOf } from "../../views/last_line.ts";
import { assert, assertEquals, TestRoot } from "../helpers.ts";

const NOW = { status: null, now: Date.now() };

Deno.test("rowOf() tells how a session has ended, and what can be done with it", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const run = async (id: string, script: string) => {
    await createSession({ ...at, id, command: ["sh", "-c", script] });
    await waitForSession(id, at);
  };
  await run("well", "echo fine");
  await run("badly", "exit 3");
  await run("killed", "kill -9 $$");
  await createSession({ ...at, id: "stopped", command: ["sleep", "100"] });
  await stopSession("stopped", at);
  const shown = async (id: string) => {
    const { state, urgency, text, tone, can, since } = rowOf(
      await getSession(id, at),
      NOW,
    );
    assert(since !== null);
    return [state, urgency, text, tone, can.join(" ")];
  };
  const ended = (text: string, tone: string) => [
    ...["exited", "ended", text, tone, "restart delete"],
  ];
  assertEquals(await shown("well"), ended("exited 0", "ended"));
  assertEquals(await shown("badly"), ended("exited 3", "error"));
  assertEquals(await shown("killed"), ended("ended by SIGKILL", "error"));
  assertEquals(await shown("stopped"), ended("stopped", "ended"));
});

Deno.test("rowOf() has no title and no line where they are blank", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { id } = await createSession({ ...at, command: ["sleep", "100"] });
  const session = await getSession(id, at);
  const { title, line } = rowOf(session, { ...NOW, title: " ", lastLine: " " });
  assertEquals([title, line], [null, ""]);
});

Deno.test("rowOf() shows of a living agent what it has told, else its title, else what it was asked", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { id } = await createSession({
    ...{ ...at, kind: "pty", command: ["cat"] },
    ...{ agent: "claude", prompt: "Fix it" },
  });
  const session = await getSession(id, at);
  const told = (facts: Partial<RowFacts>) => {
    const { title, line } = rowOf(session, { ...NOW, ...facts });
    return [title, line];
  };
  assertEquals(told({ title: "✳ Claude Code" }), ["Claude Code", "Fix it"]);
  const cwd = basename(session.meta!.cwd);
  assertEquals(told({ title: `⠙ ${cwd}` }), [cwd, "Fix it"]);
  const title = "⠙ Login | work";
  assertEquals(told({ title }), ["Login | work", "Login | work"]);
  const last = { title, lastLine: "It works." };
  assertEquals(told(last), ["Login | work", "It works."]);
  const base = { value: "working", source: "terminal" } as const;
  const status = { ...base, since: null, records: [] };
  assertEquals(told({ ...last, status: { ...status, title: "Tests" } }), [
    ...["Tests", "Tests"],
  ]);
  const message = "12 of 30";
  assertEquals(told({ ...last, status: { ...status, message } })[1], message);
});

Deno.test("rowOf() has no prompt where an agent was started by its command", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sh", "-c", `exit 0 # ${"long  ".repeat(100)}`];
  const { id } = await createSession({ ...at, command, agent: "claude" });
  const session = await getSession(id, at);
  assertEquals(rowOf(session, NOW).prompt, null);
  const meta = { ...session.meta!, prompt: "Fix it" };
  assertEquals(rowOf({ ...session, meta }, NOW).prompt, "Fix it");
});

Deno.test("rowOf() is harmless and bounded, whatever its session holds", () => {
  const hostile = "\x1b]0;x\x07\u202e\r\n\u{e0041}" + "x".repeat(100_000);
  const paths = new Proxy({}, { get: () => "/nowhere" }) as Session["paths"];
  const createdAt = new Date(0);
  const meta = {
    format: 1,
    id: "a",
    kind: "pty" as const,
    argv: Array.from({ length: 5000 }, () => hostile),
    cwd: hostile,
    env: [],
    labels: Object.fromEntries(
      Array.from({ length: 1000 }, (_, at) => [at + hostile, hostile]),
    ),
    agent: hostile,
    prompt: hostile,
    createdAt: createdAt.toISOString(),
  };
  const base = { id: "a", paths, createdAt, lastOutputAt: null };
  const session = { ...base, sizes: { stdout: 0, stderr: 0 } };
  const rows = [
    rowOf({ ...session, meta, state: { state: "starting" } }, {
      ...NOW,
      title: hostile,
      lastLine: hostile,
    }),
    rowOf({
      ...session,
      meta: null,
      state: { state: "damaged", reason: hostile },
    }, NOW),
    rowOf({ ...session, meta, state: { state: "lost", pids: null } }, {
      now: 0,
      lastLine: hostile,
      status: {
        value: "blocked",
        message: hostile,
        title: hostile,
        source: "agent",
        since: null,
        records: [],
      },
    }),
  ];
  for (const row of rows) {
    const text = JSON.stringify(row);
    assert(text.length < 20_000, `${text.length}`);
    JSON.stringify(row, (key, value) => {
      const isHarmful = [key, value].some((one) =>
        typeof one === "string" && one.search(HARMFUL) >= 0
      );
      assert(!isHarmful, key);
      return value;
    });
  }
});

Deno.test("lastLineOf() gives the last line that isn't blank, of a terminal only what wasn't drawn", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const { paths, meta } = await createSession({ ...at, command: ["true"] });
  await waitForSession(meta.id, at);
  const pty = { paths, meta: { ...meta, kind: "pty" as const } };
  const lines: readonly [string, string?, string?][] = [
    ["", undefined],
    ["\n \n", undefined],
    ["one\ntwo\n", "two"],
    ["one\ntwo", "two"],
    ["one\r\ntwo\r\n\r\n", "two"],
    ["10%\r50%\r100%\r", "100%"],
    [
      "\x1b[1;31mred\x1b[m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n",
      "red link",
    ],
    ["\x1b]0;title\x07\x1b[?2004h$ ls\x1b[K", "$ ls"],
    ["x".repeat(5000), "x".repeat(4096)],
    ["é".repeat(4000) + "a", "é".repeat(2047) + "a"],
    ["text\x1b[31", "text"],
    ["\x1b[2J\x1b[Hdrawn", "drawn", "none"],
    ["a\x1b[3Ab", "ab", "none"],
    ["\x1b[?1049hfull", "full", "none"],
  ];
  for (const [output, expected, drawn] of lines) {
    Deno.writeTextFileSync(paths.stdout, output);
    assertEquals(lastLineOf({ paths, meta }), expected, output);
    const own = drawn === undefined ? expected : undefined;
    assertEquals(lastLineOf(pty), own, output);
  }
  // Of two logs the one that was written last.
  Deno.writeTextFileSync(paths.stderr, "warning\n");
  Deno.utimeSync(paths.stderr, 2e9, 2e9);
  assertEquals(lastLineOf({ paths, meta }), "warning");
});
