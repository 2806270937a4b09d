import { ArgumentError } from "../../errors.ts";
import { type Cursor, decodeCursor, encodeCursor } from "../../mcp/cursor.ts";
import { assertEquals, assertMatch, assertThrows } from "../helpers.ts";

const CURSOR: Cursor = {
  id: "demo",
  born: 1795314733000,
  log: {
    stdout: { file: "64:12:1795314733256", offset: 7, writtenAt: 1795314733 },
    stderr: { file: "64:13:", offset: 0 },
    events: null,
  },
  turn: { id: "a~b/ü", state: "done" },
};

Deno.test("decodeCursor() gives what encodeCursor() was given", () => {
  const { turn, ...rest } = CURSOR;
  const all = [
    CURSOR,
    rest,
    { ...rest, turn: { state: turn!.state } },
    { ...CURSOR, log: { ...CURSOR.log, at: 1795314733256 } },
    { ...CURSOR, all: true },
  ];
  for (const cursor of all) {
    const text = encodeCursor(cursor);
    assertMatch(text, /^[!-~]+$/);
    assertEquals(decodeCursor("demo", text), cursor);
  }
});

Deno.test("encodeCursor() leaves out a turn whose name is too long", () => {
  const turn = { id: "x".repeat(1e6), state: "done" } as const;
  const text = encodeCursor({ ...CURSOR, turn });
  assertEquals(decodeCursor("demo", text).turn, undefined);
});

Deno.test("decodeCursor() throws when it is of another session", () => {
  const text = encodeCursor(CURSOR);
  assertThrows(() => decodeCursor("other", text), ArgumentError, "not of");
});

Deno.test("decodeCursor() throws when it is malformed", () => {
  const text = encodeCursor(CURSOR);
  const malformed = [
    "",
    "demo",
    "demo~1~-~-",
    "demo~-~-~-~-~-",
    "demo~1~-~-~1",
    "demo~1~-~-~../../etc/passwd@1",
    "demo~1~-~-~a@-1",
    "demo~1~-~-~a@1e9",
    "demo~1~-~-~a@99999999999999999999",
    "demo~1~-~-~-",
    "demo~1~-~-~-~soon",
    "demo~1~-~-~-~-~broken~x",
    "demo~1~-~-~-~-~done~%",
    `demo~1~-~-~-~-~done~${"x".repeat(2000)}`,
    text.slice(1) + "~",
    text.replaceAll("@", ";"),
    "\x00".repeat(1e6),
  ];
  for (const one of malformed) {
    assertThrows(() => decodeCursor("demo", one), ArgumentError, "cursor");
  }
});
