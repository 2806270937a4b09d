import { CODEX } from "../../agents/codex.ts";
import { assertEquals, TestRoot } from "../helpers.ts";
import { recorded, recordedFromEnd } from "./recorded.ts";

const FIRST = "01a1ffb2-4ae8-7cc1-a7b8-41b8936030ac";

Deno.test("CODEX.readLines() tells the last turn and answer at each point of a conversation", () => {
  const read = (count: number) => {
    const { turn, answer } = CODEX.readLines!(
      recordedFromEnd("codex_turns", count),
    );
    return [turn && turn.state, answer?.text, answer?.turn === turn?.id];
  };
  assertEquals(read(1), [null, undefined, true]);
  const [meta, settings] = [0, 6].map((at) => recorded("codex_turns")[at]);
  assertEquals(CODEX.readLines!([settings, meta]), { turn: null });
  assertEquals(read(2), ["working", undefined, false]);
  // A permission is asked for.
  assertEquals(read(11), ["working", undefined, false]);
  assertEquals(read(18), ["working", undefined, false]);
  assertEquals(read(19), ["done", "MOCK-ANSWER done", true]);
  assertEquals(read(20), ["done", "MOCK-ANSWER done", true]);
  assertEquals(read(21), ["working", "MOCK-ANSWER done", false]);
  assertEquals(read(27), ["aborted", "MOCK-ANSWER done", false]);
  assertEquals(read(32), ["working", "MOCK-ANSWER done", false]);
  assertEquals(read(33), ["failed", "MOCK-ANSWER done", false]);
});

Deno.test("CODEX.readLines() tells times, tokens and why a turn has failed", () => {
  assertEquals(CODEX.readLines!(recordedFromEnd("codex_turns")), {
    turn: {
      id: "01a1ffb2-7972-7522-82eb-3737e2e03d6c",
      state: "failed",
      startedAt: Date.parse("2026-11-21T20:00:49Z"),
      since: Date.parse("2026-11-21T20:00:49.081Z"),
      message: "exceeded retry limit, last status: 429 Too Many Requests",
      httpStatus: 429,
    },
    answer: {
      text: "MOCK-ANSWER done",
      turn: FIRST,
      at: Date.parse("2026-11-21T20:00:40.705Z"),
      tokens: { input: 20, output: 10 },
    },
  });
});

Deno.test("CODEX.readLines() takes a review's answer for its user's turn, not for its helper's", () => {
  const turn = "01a1ffb2-d3b1-7893-a854-c9c94ab49f46";
  const { answer, ...rest } = CODEX.readLines!(recordedFromEnd("codex_review"));
  assertEquals([rest.turn?.id, rest.turn?.state], [turn, "done"]);
  assertEquals([answer?.text, answer?.turn], ["three", turn]);
  const before = CODEX.readLines!(recordedFromEnd("codex_review", 9));
  assertEquals(before.turn?.state, "working");
  // Its helper has ended, the user's turn goes on.
  const helper = CODEX.readLines!(recordedFromEnd("codex_helper"));
  assertEquals([helper.turn?.id, helper.turn?.state], [turn, "working"]);
  assertEquals(helper.answer, undefined);
});

Deno.test("CODEX.readLines() knows nothing when lines are missing, strange or of another version", () => {
  const unknown = { turn: undefined };
  assertEquals(CODEX.readLines!([undefined]), unknown);
  const end = recorded("codex_turns")[18]!;
  const strange = [
    "",
    "null",
    "[]",
    '{"type":"event_msg"}',
    '{"type":"event_msg","payload":7}',
    end.slice(0, -1),
    end.replace("event_msg", "event_message"),
    end.replace("task_complete", "turn_is_over"),
  ];
  for (const line of strange) {
    assertEquals(CODEX.readLines!([line]), unknown);
    // It hides nothing that stands before.
    assertEquals(
      CODEX.readLines!([line, end]).answer?.text,
      "MOCK-ANSWER done",
    );
  }
  const odd = end.replace('"MOCK-ANSWER done"', "7")
    .replace('"started_at":1795291237', '"started_at":"soon"')
    .replace('"timestamp":"', '"timestamp":"x');
  assertEquals(CODEX.readLines!([odd]), {
    turn: { id: FIRST, state: "done", since: undefined },
  });
});

Deno.test("CODEX.findTranscript() finds a rollout in its day's folder, whatever the time zone", () => {
  using root = new TestRoot();
  const id = "01a1ffb2-430a-7eb0-af3a-365bdf430a3c";
  const env = (name: string) => name === "CODEX_HOME" ? root.dir : undefined;
  const home = CODEX.homeOf!(env)!;
  assertEquals(CODEX.findTranscript!(id, home), undefined);
  for (const day of ["20", "21", "22"]) {
    const folder = `${root.dir}/sessions/2026/11/${day}`;
    Deno.mkdirSync(folder, { recursive: true });
    const path = `${folder}/rollout-2026-11-${day}T20-00-35-${id}.jsonl`;
    Deno.writeTextFileSync(path, "");
    assertEquals(CODEX.findTranscript!(id, home), path);
    Deno.removeSync(path);
  }
  // After the user undid a turn, twice.
  const own = ["01a1ffdb-7c1f-75e3-8577-d085f057f38b", id.replace("01", "02")];
  for (const [at, part] of own.entries()) {
    const folder = `${root.dir}/sessions/${2028 - at}/01/09`;
    Deno.mkdirSync(folder, { recursive: true });
    const name = `rollout-2027-01-09T01-01-01-${id}_${part}.jsonl`;
    Deno.writeTextFileSync(`${folder}/${name}`, "");
  }
  const last = CODEX.findTranscript!(id, home) ?? "";
  assertEquals(last.slice(-42, -6), own[1]);
  const late = `ffffffff-ffff${id.slice(13)}`;
  assertEquals(CODEX.findTranscript!(late, home), undefined);
  assertEquals(CODEX.findTranscript!("../../x", home), undefined);
  const relative = (name: string) => name === "CODEX_HOME" ? "." : undefined;
  assertEquals(CODEX.homeOf!(relative), undefined);
});
