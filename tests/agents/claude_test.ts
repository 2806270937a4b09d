import type { AgentProcess } from "../../agents/agent.ts";
import { CLAUDE } from "../../agents/claude.ts";
import { assertEquals, TestRoot } from "../helpers.ts";
import { recorded, recordedFromEnd } from "./recorded.ts";

const ID = "11111111-2222-4333-8444-555555555555";

function readEnd(lines: readonly (string | undefined)[]): unknown[] {
  const { turn, answer } = CLAUDE.readLines!(lines);
  return [turn && turn.state, answer?.text, answer?.turn === turn?.id];
}

Deno.test("CLAUDE.readLines() tells the last turn and answer at each point of a conversation", () => {
  const read = (count: number) =>
    readEnd(recordedFromEnd("claude_turns", count));
  assertEquals(read(4), [undefined, undefined, true]);
  assertEquals(read(5), ["working", undefined, false]);
  // The request for a tool, and its result.
  assertEquals(read(21), ["working", undefined, false]);
  assertEquals(read(26), ["working", undefined, false]);
  assertEquals(read(29), ["done", "MOCK-ANSWER done", true]);
  assertEquals(read(35), ["done", "MOCK-ANSWER done", true]);
  assertEquals(read(36), ["working", "MOCK-ANSWER done", false]);
  // A message without its end: it is being written, or was interrupted.
  assertEquals(read(38), [undefined, "MOCK-ANSWER done", false]);
  assertEquals(read(39), ["aborted", "MOCK-ANSWER done", false]);
  assertEquals(read(41), ["working", "MOCK-ANSWER done", false]);
  assertEquals(read(45), ["failed", "MOCK-ANSWER done", false]);
});

Deno.test("CLAUDE.readLines() tells times, tokens and why a turn has failed", () => {
  assertEquals(CLAUDE.readLines!(recordedFromEnd("claude_turns")), {
    turn: {
      id: "503f4791-c447-4e76-bcdb-33e99ae0521b",
      state: "failed",
      startedAt: Date.parse("2026-11-21T19:58:18.625Z"),
      since: Date.parse("2026-11-21T19:58:18.708Z"),
      message: "API Error: Request rejected (429) · mock server error",
      httpStatus: 429,
    },
    answer: {
      text: "MOCK-ANSWER done",
      turn: "f0cab6d4-f9b8-4de3-949c-8ddc80b0f03a",
      at: Date.parse("2026-11-21T19:58:05.339Z"),
      tokens: { input: 20, output: 10 },
    },
  });
});

Deno.test("CLAUDE.readLines() takes neither a local command for a prompt nor a note for an answer", () => {
  const cleared = (count: number) =>
    readEnd(recordedFromEnd("claude_cleared", count));
  assertEquals(cleared(5), [undefined, undefined, true]);
  assertEquals(cleared(7), ["working", undefined, false]);
  assertEquals(cleared(33), ["done", "two", true]);
  const resumed = (count: number) =>
    readEnd(recordedFromEnd("claude_resumed", count));
  // A permission was refused.
  assertEquals(resumed(44), ["aborted", "MOCK-ANSWER done", false]);
  // "No response requested."
  assertEquals(resumed(47), ["aborted", "MOCK-ANSWER done", false]);
  assertEquals(resumed(48), ["working", "MOCK-ANSWER done", false]);
  assertEquals(resumed(55), ["done", "resumed", true]);
  const compacted = recordedFromEnd("claude_compacted");
  assertEquals(readEnd(compacted), ["done", "two", true]);
  // A command of the user's shell and one that stands for a prompt begin a turn.
  const commands = (count: number) =>
    readEnd(recordedFromEnd("claude_commands", count));
  assertEquals(commands(29), ["working", "one", false]);
  assertEquals(commands(33), ["done", "MOCK-ANSWER done", true]);
  assertEquals(commands(36), ["working", "MOCK-ANSWER done", false]);
  assertEquals(commands(41), ["done", "custom", true]);
});

Deno.test("CLAUDE.readLines() joins the blocks of a message, and skips what side chains say", () => {
  const lines = recorded("claude_turns", 29);
  const last = lines.at(-1)!;
  const block = (content: unknown, more = {}) => {
    const line = JSON.parse(last);
    line.message.content = content;
    return JSON.stringify({ ...line, ...more });
  };
  const added = [
    block([{ type: "thinking", thinking: "?" }]),
    block([{ type: "text", text: " a\n" }, { type: "text", text: "b" }]),
    block([{ type: "text", text: "\ud800\x1b[31m\0 " }]),
    block([{ type: "text", text: "no" }], { isSidechain: true }),
  ];
  const { answer } = CLAUDE.readLines!([...lines, ...added].reverse());
  // The recorded line is a block of the same message.
  assertEquals(answer?.text, "MOCK-ANSWER done a\nb\ud800\x1b[31m\0 ");
  assertEquals(answer?.tokens, { input: 20, output: 10 });
});

Deno.test("CLAUDE.readLines() knows nothing when lines are missing, strange or of another version", () => {
  assertEquals(CLAUDE.readLines!([undefined]), { turn: undefined });
  const lines = recordedFromEnd("claude_turns", 29);
  for (
    const line of ["", "null", "[]", '{"type":"newer"}', lines[0]!.slice(9)]
  ) {
    const { answer } = CLAUDE.readLines!([line, ...lines]);
    assertEquals(answer?.turn, "f0cab6d4-f9b8-4de3-949c-8ddc80b0f03a");
  }
  for (const content of ["7", "[null,7]", '[{"type":"text","text":7}]']) {
    const line = `{"type":"assistant","message":{"content":${content}}}`;
    assertEquals(CLAUDE.readLines!([line, ...lines]), { turn: undefined });
  }
  // The end is known, its beginning is not.
  const { turn, answer } = CLAUDE.readLines!([lines[0], undefined]);
  assertEquals([turn?.state, turn?.startedAt, answer], [
    "done",
    undefined,
    undefined,
  ]);
  const odd = lines.map((line) => line.replace('"output_tokens":5', '"x":-5'));
  assertEquals(CLAUDE.readLines!(odd).answer?.tokens, undefined);
});

/** A process's record about itself, and how it is read. */
class Record implements Disposable {
  readonly root = new TestRoot();
  readonly process: AgentProcess = {
    pid: 4711,
    startTicks: 2412679,
    env: (name) => name === "HOME" ? this.root.dir : undefined,
  };
  readonly fields = {
    pid: 4711,
    sessionId: ID,
    procStart: "2412679",
    status: "idle",
    statusUpdatedAt: 1795291154437,
  };

  found(changes: unknown): unknown {
    const folder = `${this.root.dir}/.claude/sessions`;
    Deno.mkdirSync(folder, { recursive: true });
    const text = typeof changes === "string"
      ? changes
      : JSON.stringify({ ...this.fields, ...changes as object });
    Deno.writeTextFileSync(`${folder}/4711.json`, text);
    return CLAUDE.findConversation!(this.process);
  }

  [Symbol.dispose](): void {
    this.root[Symbol.dispose]();
  }
}

Deno.test("CLAUDE.findConversation() reads what a process has recorded about itself", () => {
  using record = new Record();
  const since = 1795291154437;
  const told = (changes: unknown) => {
    const found = record.found(changes) as { id: string; told?: unknown };
    return found.told;
  };
  assertEquals(record.found({ more: 1 }), {
    id: ID,
    transcript: undefined,
    told: { value: "idle", since },
  });
  assertEquals(told({ status: "busy" }), { value: "working", since });
  assertEquals(
    told({ status: "waiting", waitingFor: "permission prompt" }),
    {
      value: "blocked",
      kind: "permission",
      message: "permission prompt",
      since,
    },
  );
  assertEquals(
    told({ status: "waiting", waitingFor: "new\n\x1b[31mthing" }),
    { value: "blocked", kind: undefined, message: "new [31mthing", since },
  );
  assertEquals(
    told({ status: "waiting", waitingFor: 7, statusUpdatedAt: "x" }),
    { value: "blocked", kind: undefined, message: undefined, since: undefined },
  );
  assertEquals(told({ status: "asleep" }), undefined);
  assertEquals(told({ status: "toString" }), undefined);
  assertEquals(told({ status: undefined }), undefined);
});

Deno.test("CLAUDE.findConversation() does not believe the record of another process", () => {
  using record = new Record();
  assertEquals(record.found({ procStart: "2412678" }), undefined);
  assertEquals(record.found({ procStart: 2412679 }), undefined);
  assertEquals(record.found({ pid: 4712 }), undefined);
  assertEquals(record.found({ sessionId: "../../x" }), undefined);
  assertEquals(record.found('{"pid":4711,"sess'), undefined);
  assertEquals(record.found(" ".repeat(100_000)), undefined);
});

Deno.test("CLAUDE.findTranscript() finds a record in any project's folder, if there is one only", () => {
  using root = new TestRoot();
  const home = CLAUDE.homeOf!((name) =>
    name === "CLAUDE_CONFIG_DIR" ? root.dir : undefined
  )!;
  assertEquals(CLAUDE.findTranscript!(ID, home), undefined);
  const path = (name: string) => `${root.dir}/projects/${name}/${ID}.jsonl`;
  for (const name of ["-home-a", "-home-b", "-home-c"]) {
    Deno.mkdirSync(`${root.dir}/projects/${name}`, { recursive: true });
  }
  Deno.mkdirSync(path("-home-c"));
  Deno.writeTextFileSync(path("-home-b"), "");
  assertEquals(CLAUDE.findTranscript!(ID, home), path("-home-b"));
  Deno.writeTextFileSync(path("-home-a"), "");
  assertEquals(CLAUDE.findTranscript!(ID, home), undefined);
  assertEquals(CLAUDE.findTranscript!("../x", home), undefined);
});

Deno.test("CLAUDE.idInArguments() finds a chosen id and one to go on with, and none of a fork", () => {
  const other = ID.replaceAll("1", "9");
  const cases: [string, string | undefined][] = [
    [`-p --session-id ${ID} hi`, ID],
    [`--session-id=${ID}`, ID],
    [`--resume ${ID} -- prompt`, ID],
    [`-r ${ID}`, ID],
    [`--resume ${ID} --fork-session`, undefined],
    [`--resume ${ID} --fork-session --session-id ${other}`, other],
    [`--session-id ${ID} --session-id ${other}`, undefined],
    ["--resume name", undefined],
    ["--resume", undefined],
    [`-p -- --session-id ${ID}`, undefined],
    [`-p ${ID}`, undefined],
  ];
  for (const [line, id] of cases) {
    assertEquals(CLAUDE.idInArguments(line.split(" ")), id, line);
  }
});

Deno.test("CLAUDE.commands start with a chosen id, unless the arguments choose, and go on", () => {
  const { exec, repl, pty } = CLAUDE.commands;
  assertEquals(repl, undefined);
  assertEquals(exec?.start(["hi"], ID), ["--session-id", ID, "-p", "hi"]);
  const dashed = ["--session-id", ID, "--", "-c"];
  assertEquals(pty?.start(["--", "-c"], ID), dashed);
  for (const choice of ["-c", "--continue", "--resume=x", "-r", "--from-pr"]) {
    assertEquals(pty?.start([choice], ID), [choice]);
  }
  assertEquals(exec?.resume(ID), undefined);
  assertEquals(exec?.resume(ID, "-x"), ["-p", "--resume", ID, "--", "-x"]);
  assertEquals(pty?.resume(ID), ["--resume", ID]);
});
