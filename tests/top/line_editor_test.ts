/** A line that is typed: its keys, wide characters, and the part that is shown. */
import { widthOf } from "../../cli/format.ts";
import { LineEditor } from "../../top/line_editor.ts";
import { assert, assertEquals } from "../helpers.ts";

/** Types words: a key's name in `<…>`, other characters as they are. */
function type(editor: LineEditor, words: string): LineEditor {
  for (const [, name, text] of words.matchAll(/<(.*?)>|([^])/gu)) {
    editor.take(name === undefined ? { name: text!, text } : { name });
  }
  return editor;
}

/** The text after some keys, with `|` at the cursor. */
function edit(text: string, words: string): string {
  return type(new LineEditor({ text }), words + "|").text;
}

Deno.test("LineEditor edits at the cursor", () => {
  for (
    const [text, words, expected] of [
      ["", "abc", "abc|"],
      ["abc", "<left>x<left><left>y", "ay|bxc"],
      ["abc", "<home>x<right><end>y", "xabcy|"],
      ["abc", "<ctrl-a><ctrl-f><ctrl-b><ctrl-b><ctrl-e><ctrl-b>", "ab|c"],
      ["abc", "<backspace><left><delete><delete>", "a|"],
      ["abc", "<home><backspace><ctrl-d>", "|bc"],
      ["one two  three", "<ctrl-w><ctrl-w>", "one |"],
      ["one two three", "<ctrl-left><alt-b><alt-backspace>", "|two three"],
      ["one two three", "<home><ctrl-right><alt-f>", "one two| three"],
      ["one two", "<ctrl-left><ctrl-u>", "|two"],
      ["one two", "<ctrl-left><ctrl-k>", "one |"],
      ["", "<left><backspace><delete><ctrl-w><ctrl-u><ctrl-k>", "|"],
    ] as const
  ) assertEquals(edit(text, words), expected, `${text} ${words}`);
});

Deno.test("LineEditor counts what people see as one character", () => {
  assertEquals(edit("a漢👨‍👩‍👧b", "<left><left>"), "a漢|👨‍👩‍👧b");
  assertEquals(edit("a👨‍👩‍👧", "<backspace>"), "a|");
  // A mark that is typed by itself joins the character before.
  assertEquals(edit("ae", "\u0301<left>"), "a|e\u0301");
  const { text, column } = new LineEditor({ text: "a漢" }).view(10);
  assertEquals([text, column], ["a漢", 3]);
});

Deno.test("LineEditor.take() leaves other keys to its caller", () => {
  const editor = new LineEditor({ text: "x" });
  for (
    const name of ["enter", "escape", "tab", "up", "ctrl-c", "f1", "alt-x"]
  ) {
    assert(!editor.take({ name }), name);
  }
  assertEquals(editor.text, "x");
});

Deno.test("LineEditor.take() keeps a paste on one line, or shows its line ends", () => {
  const paste = "a\n\tb";
  const one = new LineEditor();
  assert(one.take({ paste }));
  assertEquals(one.text, "a  b");
  const more = new LineEditor({ keepsLines: true });
  more.take({ paste });
  assertEquals(more.text, "a\n b");
  assertEquals(more.view(10), { text: "a↵ b", column: 4 });
  more.take({ paste: "x".repeat(300 * 1024) });
  assertEquals(more.text, "a\n b");
});

Deno.test("LineEditor.view() shows the cursor and as much as there is room for", () => {
  const editor = new LineEditor({ text: "0123456789" });
  assertEquals(editor.view(20), { text: "0123456789", column: 10 });
  assertEquals(editor.view(5), { text: "6789", column: 4 });
  // It moves no more than it has to.
  type(editor, "<left><left>");
  assertEquals(editor.view(5), { text: "56789", column: 3 });
  type(editor, "<left><left><left><left>");
  assertEquals(editor.view(5), { text: "45678", column: 0 });
  type(editor, "<home>");
  assertEquals(editor.view(5), { text: "01234", column: 0 });
  type(editor, "<right><right><right><right><right>");
  assertEquals(editor.view(5), { text: "12345", column: 4 });
  assertEquals(editor.view(20), { text: "0123456789", column: 5 });
  for (const columns of [0, 1]) {
    assertEquals(editor.view(columns).column, 0, `${columns}`);
  }
});

Deno.test("LineEditor.view() never exceeds its room, whatever is typed", () => {
  const words = [..."a漢é ー", "<left>", "<right>", "<home>", "<end>"]
    .concat("<backspace>", "<ctrl-w>", "<delete>");
  let state = 1;
  const random = (below: number) => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const editor = new LineEditor();
  for (let step = 0; step < 3000; step++) {
    type(editor, words[random(words.length)]!);
    const columns = 2 + random(12);
    const { text, column } = editor.view(columns);
    assert(widthOf(text) <= columns, `step ${step}`);
    assert(column < columns && column <= widthOf(text), `step ${step}`);
    assert(editor.text.includes(text), `step ${step}`);
  }
});
