import { ArgumentError } from "../../errors.ts";
import { splitCommand } from "../../views/split_command.ts";
import { assertEquals, assertThrows } from "../helpers.ts";

Deno.test("splitCommand() splits a line as sh does, without expanding anything", async () => {
  const lines = [
    "",
    "  \t ",
    "echo one  two",
    `a'b c'd "e f"g h\\ i`,
    `'' "" x`,
    `"a\\"b\\\\c\\d\\$e" 'a\\b'`,
    `a\\\nb "c\\\nd" e`,
    "a\\'b \\\\ \\\"",
    `'it'"'"'s' café 日本`,
    "'two\nlines'",
  ];
  for (const line of lines) {
    const { stdout } = await new Deno.Command("sh", {
      args: [
        "-c",
        `for word in ${line || '""'}; do printf '%s\\0' "$word"; done`,
      ],
    }).output();
    const expected = line.trim() === ""
      ? []
      : new TextDecoder().decode(stdout).split("\0").slice(0, -1);
    assertEquals(splitCommand(line), expected, line);
  }
  assertEquals(splitCommand("echo $HOME *; ls # `x`"), [
    ...["echo", "$HOME", "*;", "ls", "#", "`x`"],
  ]);
});

Deno.test("splitCommand() refuses what is not closed", () => {
  for (
    const [line, why] of [["a 'b", "quote '"], ['a"b\\"', 'quote "'], [
      "a\\",
      "backslash",
    ]]
  ) {
    assertThrows(() => splitCommand(line!), ArgumentError, why);
  }
});
