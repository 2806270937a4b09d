import { splitCommandLine } from "../../agents/command_line.ts";
import { assertEquals, assertThrows } from "../helpers.ts";

Deno.test("splitCommandLine() splits as a shell does and expands nothing", () => {
  const cases: [string, string[]][] = [
    ["a b", ["a", "b"]],
    ["  a  'b c' \"d \\\" $e\" ''", ["a", "b c", 'd " $e', ""]],
    ["a\\ b c'd'\"e\"", ["a b", "cde"]],
    ["$(x) `y` *", ["$(x)", "`y`", "*"]],
  ];
  for (const [text, words] of cases) {
    assertEquals(splitCommandLine(text, "V"), words);
  }
  assertThrows(() => splitCommandLine("a 'b", "V"), TypeError, "in V");
  assertThrows(() => splitCommandLine("  ", "V"), TypeError, "empty");
});
