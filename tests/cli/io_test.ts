import { combine, describeError } from "../../cli/io.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("describeError() removes the colours of Deno's messages", () => {
  // As Deno says it of a module that can't be downloaded.
  const text = "Import \x1b[36m'https://x.test/a.js'\x1b[0m failed";
  const error = new SessionError("spawn_failed", text);
  assertEquals(describeError(error), {
    status: 1,
    code: "spawn_failed",
    message: "Import 'https://x.test/a.js' failed",
  });
});

Deno.test("combine() gives the status on which failures agree, else 1", () => {
  const cases: [number[], number][] = [
    [[], 0],
    [[0, 0], 0],
    [[0, 3, 3], 3],
    [[3, 0, 4], 1],
  ];
  for (const [statuses, wanted] of cases) {
    assertEquals(combine(statuses), wanted);
  }
  assertEquals(describeError(new ArgumentError("x")).status, 2);
  for (const code of ["wrong_state", "unsupported", "damaged"] as const) {
    assertEquals(describeError(new SessionError(code, "x")).status, 4);
  }
});
