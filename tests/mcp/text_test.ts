import { endOfText } from "../../mcp/text.ts";
import { assert, assertEquals } from "../helpers.ts";

Deno.test("endOfText() gives the end from a line on, and counts the bytes before", () => {
  assertEquals(endOfText("one\ntwo\n", 8), {
    text: "one\ntwo\n",
    leftOutBytes: 0,
  });
  assertEquals(endOfText("one\ntwo\n", 6), { text: "two\n", leftOutBytes: 4 });
  assertEquals(endOfText("one\ntwo\n", 4), { text: "two\n", leftOutBytes: 4 });
});

Deno.test("endOfText() begins at a character when there is no line", () => {
  assertEquals(endOfText("aé€😀", 4), { text: "😀", leftOutBytes: 6 });
  assertEquals(endOfText("aé€😀", 3), { text: "", leftOutBytes: 10 });
  assertEquals(endOfText("aé€😀", 6), { text: "😀", leftOutBytes: 6 });
});

Deno.test("endOfText() never gives more than its bound, and all of what it leaves out is counted", () => {
  const pieces = ["a", "é", "€", "😀", "\n", "\t", "xyz\n"];
  for (let seed = 1; seed < 400; seed++) {
    let text = "";
    for (let at = seed; at > 0; at = Math.floor(at / 2)) {
      text += pieces[(at * 7 + seed) % pieces.length];
    }
    for (let most = 0; most < 20; most++) {
      const { text: end, leftOutBytes } = endOfText(text, most);
      const bytes = new TextEncoder().encode(end).length;
      assert(bytes <= most && text.endsWith(end), JSON.stringify(text));
      assertEquals(leftOutBytes + bytes, new TextEncoder().encode(text).length);
    }
  }
});
