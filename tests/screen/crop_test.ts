/**
 * A window of another size: it shows a part of the screen, wherever that is cut, painting by painting.
 */
import { Crop } from "../../screen/crop.ts";
import { GREETING } from "../../screen/modes.ts";
import { Screen } from "../../screen/screen.ts";
import { assert, assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();

/** A window that shows a screen; the function paints it, and returns what it got and shows. */
async function open(screen: Screen, columns: number, rows: number) {
  const view = new Screen(columns, rows);
  await view.load();
  view.append(encoder.encode(GREETING));
  const crop = new Crop();
  return () => {
    const { text, takesMain } = screen.paint(crop, { columns, rows });
    view.append(encoder.encode(text));
    const { lines, cursor, title } = view.text();
    return { text, takesMain, lines, cursor, title, modes: view.modes };
  };
}

/** A session's screen, and a window of another size: writes output, and paints. */
async function show(session: [number, number], window: [number, number]) {
  const screen = new Screen(...session);
  await screen.load();
  const paint = await open(screen, ...window);
  return (output: string) => {
    screen.append(encoder.encode(output));
    return paint();
  };
}

Deno.test("Crop cuts what does not fit, and half of a wide character", async () => {
  const write = await show([10, 4], [5, 4]);
  const { lines, takesMain } = write(
    "0123456789\r\n漢字漢字漢\r\n\r\nab\x1b[1;1H",
  );
  assertEquals(lines, ["01234", "漢字", "", "ab"]);
  assert(takesMain);
  // The view follows the cursor to the right, and begins with the second half.
  const { cursor, lines: right } = write("\x1b[2;10H");
  assertEquals(right, ["56789", " 字漢", "", ""]);
  assertEquals([cursor.column, cursor.row], [4, 1]);
});

Deno.test("Crop marks what lies outside of the screen", async () => {
  const write = await show([6, 2], [9, 5]);
  assertEquals(write("abcdef\r\nx").lines, [
    "abcdef│··",
    "x     │··",
    "──────┘··",
    "·········",
    "·········",
  ]);
});

Deno.test("Crop paints nothing but what has changed", async () => {
  const write = await show([20, 10], [12, 6]);
  const { modes } = write("\x1b[?1000;2004h\x1b[>1u\x1b]2;title\x07one\r\ntwo");
  assert(modes.isOn(1000) && modes.isOn(2004) && !modes.isOn(7));
  assertEquals(modes.kittyFlags, 1);
  assertEquals(write("").text, "");
  const next = write("\x1b]2;other\x07\x1b[2;1Htwoo");
  assertEquals(next.title, "other");
  assertEquals(next.lines.slice(0, 2), ["one", "twoo"]);
  assert(!next.text.includes("one") && !next.takesMain, next.text);
  // A program that changes screens takes the other one.
  const full = write("\x1b[?1049h\x1b[Hfull");
  assertEquals([full.lines[0], full.modes.alternate], ["full", true]);
  assert(!full.takesMain);
  const back = write("\x1b[?1049l\x1b[?25l");
  assertEquals([back.lines[0], back.modes.alternate], ["one", false]);
  assert(back.takesMain && !back.cursor.visible);
});

Deno.test("Crop shows the part that a whole painting shows, whatever is written", async () => {
  const words = ["漢字", "é", "word ", "x".repeat(25), "\r\n", "\t", "\x1b[7m"];
  const moves = [
    "\x1b[3;7H",
    "\x1b[12;38H",
    "\x1b[K",
    "\x1b[2J",
    "\x1b[L",
    "\x1b[m",
  ];
  const pieces = [
    ...words,
    ...moves,
    "\x1b[?25l",
    "\x1b[?25h",
    "\x1b[?1049h",
    "\x1b[?1049l",
  ];
  let state = 7;
  const next = (below: number) => {
    state = Math.imul(state, 1103515245) + 12345 >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 10; round++) {
    const screen = new Screen(10 + next(40), 3 + next(20));
    await screen.load();
    const [columns, rows] = [2 + next(50), 1 + next(25)];
    const paint = await open(screen, columns, rows);
    for (let turn = 0; turn < 10; turn++) {
      let output = "";
      for (let i = 0; i < 8; i++) output += pieces[next(pieces.length)];
      // A hidden cursor would leave the view where it was.
      screen.append(encoder.encode(`${output}\x1b[?25h`));
      const { lines, cursor } = paint();
      const whole = (await open(screen, columns, rows))();
      assertEquals([lines, cursor], [whole.lines, whole.cursor], `${round}`);
    }
  }
});
