import { type TurnEvent, turnEventIn, TurnWatch } from "../../events/turn.ts";
import type { StatusValue } from "../../screen/program_status.ts";
import { assertEquals } from "../helpers.ts";

/** The status that has ended the turn after these events: `-` is no status any more. */
function endOf(words: string): string | null | undefined {
  const turn = new TurnWatch();
  for (const word of words.split(" ").filter(Boolean)) {
    const value = word as StatusValue;
    turn.add(
      word === "input" ? "input" : {
        at: 0,
        status: word === "-" ? null : { value, source: "terminal" },
      },
    );
  }
  return turn.end && (turn.end.status?.value ?? null);
}

Deno.test("TurnWatch ends with what comes behind the last input, and goes on with the next work", () => {
  assertEquals(endOf(""), undefined);
  assertEquals(endOf("input"), undefined);
  assertEquals(endOf("done"), "done"); // A prompt in the command line.
  assertEquals(endOf("input working done"), "done");
  assertEquals(endOf("input working error"), "error");
  assertEquals(endOf("input working blocked"), "blocked");
  assertEquals(endOf("input working blocked input"), undefined);
  assertEquals(endOf("input working blocked working"), undefined);
  assertEquals(endOf("input working done input"), undefined);
  // Codex reports idle at the next key.
  assertEquals(endOf("input working done input idle"), undefined);
  assertEquals(endOf("input working done idle"), "done");
  assertEquals(endOf("input idle"), undefined);
  // Escape, also somebody else's, and a denied permission.
  assertEquals(endOf("input working input idle"), "idle");
  assertEquals(endOf("input working blocked input idle"), "idle");
  assertEquals(endOf("input working blocked input input -"), null);
  assertEquals(endOf("input working idle input idle"), undefined);
  assertEquals(endOf("input working error input idle"), undefined);
  // Interrupted, or back in a shell.
  assertEquals(endOf("input working idle"), "idle");
  assertEquals(endOf("input blocked idle"), "idle");
  assertEquals(endOf("input working -"), null);
  assertEquals(endOf("-"), undefined);
});

Deno.test("TurnWatch tells that a turn is over when work begins again without an input", () => {
  const event = (value: StatusValue, at: number): TurnEvent => ({
    at,
    status: { value, source: "report" },
  });
  const after = (...values: StatusValue[]) => {
    const turn = new TurnWatch();
    turn.add("input");
    for (const value of values) turn.add(event(value, 0));
    return (next: TurnEvent) => turn.isBehind(next);
  };
  const done = after("working", "done");
  assertEquals(done("input"), true);
  assertEquals(done(event("working", 300)), true);
  // A prompt that has waited until then, or a moment between two steps.
  assertEquals(done(event("working", 50)), false);
  assertEquals(done(event("idle", 300)), false);
  assertEquals(after("working", "blocked")(event("working", 300)), false);
  assertEquals(after("working", "idle")(event("working", 300)), false);
});

Deno.test("turnEventIn() reads inputs and statuses, and nothing else", () => {
  const at = "2026-11-21T20:00:00.000Z";
  const read = (value: unknown): TurnEvent | undefined =>
    turnEventIn(JSON.stringify(value));
  assertEquals(read({ at, type: "input" }), "input");
  assertEquals(read({ at, type: "status", status: null }), {
    status: null,
    at: Date.parse(at),
  });
  const status = { value: "error", message: "\x1b[2J", source: "report", x: 1 };
  const event = read({ at, type: "status", status });
  assertEquals(JSON.parse(JSON.stringify(event)), {
    status: { value: "error", message: "[2J", source: "report" },
    at: Date.parse(at),
  });
  for (
    const other of [
      { at, type: "status" },
      { at, type: "status", status: { value: "error", source: "rumour" } },
      { at, type: "status", status: { value: "dance", source: "rule" } },
      { at: "soon", type: "status", status: null },
      { at, type: "title", title: "x" },
      7,
    ]
  ) assertEquals(read(other), undefined);
  assertEquals(turnEventIn('{"type":"inp'), undefined);
});
