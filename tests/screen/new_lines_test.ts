import { newLines } from "../../screen/new_lines.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("newLines() gives what was written below, also once the top has scrolled away", () => {
  const before = ["$ ls", "a", "$", "", ""];
  assertEquals(newLines(before, before), []);
  const written = ["$ ls", "a", "$ echo; echo b", "", "b", "$", ""];
  assertEquals(newLines(before, written), ["$ echo; echo b", "", "b"]);
  assertEquals(newLines(before, written.slice(2)), ["$ echo; echo b", "", "b"]);
  assertEquals(newLines([], ["", "a "]), ["a"]);
});

Deno.test("newLines() gives what was drawn between lines that stay", () => {
  const before = ["agent 1.0", "", "", "", "> Ask me", "model"];
  const after = ["agent 1.0", "> why?", "", "* so", "> Ask me   ", "model!"];
  assertEquals(newLines(before, after), ["> why?", "", "* so", "model!"]);
});
