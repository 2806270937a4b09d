import { ArgumentError } from "../../errors.ts";
import { limited } from "../../mcp/pattern.ts";
import { assert, assertEquals, assertThrows } from "../helpers.ts";

Deno.test("limited() finds what the pattern finds", async () => {
  const pattern = await limited(/b(?<rest>c+)|x/m);
  assert(pattern instanceof RegExp);
  for (const text of ["abccd", "ab\nx", "none", ""]) {
    const [found, expected] = [pattern, /b(?<rest>c+)|x/m]
      .map((one) => one.exec(text));
    assertEquals(found, expected);
    assertEquals(found?.groups, expected?.groups);
  }
});

Deno.test("limited() gives up a look that takes too long, and goes on", async () => {
  const pattern = await limited(/(a+)+$/);
  const look = () => pattern.exec("a".repeat(60) + "!");
  assertThrows(look, ArgumentError, "takes too long");
  await new Promise((wake) => setTimeout(wake));
  assertEquals(pattern.exec("baa")?.[0], "aa");
});
