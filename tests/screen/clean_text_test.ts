import {
  briefLine,
  cleanText,
  isLink,
  plainText,
  styledText,
  unstyledText,
} from "../../screen/clean_text.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("plainText() leaves text and nothing else", () => {
  assertEquals(
    plainText("a\x1b[31m\r\n\x00\x7f\x9bb\u061c\u202e\u2066\u{e0041}\ufff9c"),
    "a[31mbc",
  );
  assertEquals(plainText("a\u2028b"), "a b");
  // What scripts and emoji need.
  for (const text of ["é会", "👩‍👩‍👧", "❤️", "می‌خواهم", "a\u00adb"]) {
    assertEquals(plainText(text), text);
  }
  assertEquals(plainText("a😀b", 2), "a");
});

Deno.test("styledText() leaves colours, blanks and links, and is plain at its end", () => {
  const link = (uri: string, id = "") => `\x1b]8;${id};${uri}\x1b\\`;
  const cases: [string, string][] = [
    ["\x1b[0;1;38;2;1;2;3mred\x1b[m", "\x1b[0;1;38;2;1;2;3mred\x1b[m"],
    ["\x1b[31mred", "\x1b[31mred\x1b[m"],
    ["a\x1b[5Cb\x1b[3X\x1b[3C\x1b[K", "a\x1b[5Cb\x1b[3X\x1b[3C\x1b[K"],
    ["\x1b[2J\x1b[5A\x1b[6n\x1b[?1049h\x1b[99999Cx", "x"],
    ["\x1b]52;c;AAAA\x1b\\\x1b]0;title\x07\x1b]10;?\x1b\\x", "]0;titlex"],
    ["\x1bPq\x1b\\\x1bcx\x9b31m\u202e", "Pq\\cx31m"],
    [`${link("http://a")}x${link("")}`, `${link("http://a")}x${link("")}`],
    [`${link("http://a", "id=1")}x`, `${link("http://a", "id=1")}x${link("")}`],
    [`${link("http://a", "id=\u202e")}x`, `${link("http://a")}x${link("")}`],
    [link("x".repeat(3000)) + "y", "y"],
    [link("http://\u00e9") + "y", "y"],
    ["\x1b]8;;http://a\x07y", "]8;;http://ay"],
  ];
  for (const [line, expected] of cases) {
    assertEquals(styledText(line), expected, JSON.stringify(line));
    assertEquals(styledText(expected), expected);
  }
  assertEquals(unstyledText(styledText("\x1b[31ma\x1b[3Cb  ")), "a   b");
  assertEquals(unstyledText("\x1b[9999Cx".repeat(9999)).length, 1000 + 9999);
  assertEquals(isLink("http://a/b?c=d e"), true);
});

Deno.test("plainText() and styledText() let no halves of a character meet", () => {
  const tag = "safe\udb40\u200b\udc41end";
  assertEquals(plainText(tag), "safe\ufffd\ufffdend");
  assertEquals(styledText(tag), "safe\ufffd\ufffdend");
  assertEquals(styledText("\udb40\x1b\udc41"), "\ufffd\ufffd");
});

const HOSTILE =
  "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2028\x7f\u{e0041}\ud83d\x00\ude00";

Deno.test("cleanText() leaves newlines and tabs of the control characters", () => {
  assertEquals(cleanText("a\tb\r\nc\rd\x00\x1b[1me"), "a\tb\nc\nd[1me");
});

Deno.test("cleanText() leaves nothing that hides or reorders text, and no half of a pair", () => {
  assertEquals(
    cleanText(HOSTILE),
    "]0;owned[2J31mgnp \ufffd\ufffd",
  );
});

Deno.test("briefLine() is one line, and cut to its length", () => {
  assertEquals(briefLine("a\nb\tc"), "a b c");
  assertEquals(briefLine("x".repeat(300), 10), "xxxxxxxxx…");
  assertEquals(briefLine("😀".repeat(300), 10), "😀😀😀😀…");
  assertEquals(briefLine("\x1b".repeat(300) + "a", 10), "…");
});
