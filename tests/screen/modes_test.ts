/**
 * What is kept of a terminal's modes, set again on another one, and reset in the end.
 */
import { farewell, Modes, RESET_MODES } from "../../screen/modes.ts";
import { assert, assertEquals } from "../helpers.ts";

Deno.test("restoreSequence() sets no mode that RESET_MODES leaves set", () => {
  const modes = new Modes();
  for (let mode = 0; mode < 10_000; mode++) {
    for (const on of ["h", "l"]) {
      // One after the other: mouse modes exclude each other.
      modes.apply(`\x1b[?${mode}${on}`);
      // deno-lint-ignore no-control-regex
      const set = [...modes.restoreSequence().matchAll(/\x1b\[\?(\d+)([hl])/g)];
      for (const [, number, how] of set) {
        // Terminals differ in these: they are saved and restored.
        const own = ["1007", "1036", "2027"];
        if (own.includes(number!)) continue;
        const reset = `\x1b[?${number}${how === "h" ? "l" : "h"}`;
        assert(RESET_MODES.includes(reset), `${number} is not reset`);
      }
      assert(set.length < 50, `${set.length} modes are kept`);
    }
  }
});

Deno.test("farewell() ends what a program may have left: links, a locked keyboard, local echo", () => {
  const left: Record<string, string> = {
    "a sequence": "\x18",
    "a string": "\x1b\\",
    "VT52 mode": "\x1b<",
    "a link": "\x1b]8;;\x1b\\",
    "the keyboard": "\x1b[2l",
    "local echo": "\x1b[12h",
    "win32 input": "\x1b[?9001l",
    "size reports": "\x1b[?2048l",
    "margins": "\x1b[?69l",
    "sixels": "\x1b[?80l",
    "pastes with types": "\x1b[?5522l",
    "modes with a default of the terminal's own": "\x1b[?1007;1036;2027r",
    "the title": "\x1b[23;0t",
    "a palette": "\x1b]104\x1b\\",
    "a selection's colour": "\x1b]117\x1b\\",
  };
  for (const [what, end] of Object.entries(left)) {
    assert(farewell(24).includes(end), what);
    assert(farewell(undefined).includes(end), `${what}, main screen untouched`);
  }
});

Deno.test("insteadOf() withholds what concerns the user's whole window", () => {
  const modes = new Modes();
  const instead = (text: string) => {
    modes.apply(text);
    return modes.insteadOf(text);
  };
  assertEquals(instead("\x1b]2;one"), undefined);
  assertEquals(instead("\x1b[22;0t"), "");
  assertEquals(instead("\x1b]2;two"), undefined);
  assertEquals(instead("\x1b[23;2t"), "\x1b]2;one\x1b\\");
  assertEquals(instead("\x1b[18t"), undefined);
  assertEquals(instead("\x1b[?3h"), "");
  assertEquals(instead("\x1b[?040;1006;3l"), "\x1b[?1006l");
  assertEquals(instead("\x1b[?1006h"), undefined);
  assertEquals(instead("\x1b[4h"), undefined);
  modes.title = "";
  // The user's own.
  assertEquals(instead("\x1b[23t"), "\x1b[23;0t\x1b[22;0t");
});

Deno.test("insteadOf() withholds saving and restoring of modes, and sets what was saved", () => {
  const modes = new Modes();
  const instead = (text: string) => {
    modes.apply(text);
    return modes.insteadOf(text);
  };
  const set = (...sequences: string[]) =>
    sequences.forEach((text) => modes.apply(`\x1b[?${text}`));
  assertEquals(instead("\x1b[?1007r"), "");
  set("1;1002h");
  assertEquals(instead("\x1b[?1;6;25;1002;1007;1049;4711s"), "");
  set("6;1007;1049h", "1;25;1002l");
  const all = "\x1b[?6l\x1b[?25h\x1b[?1002h\x1b[?1007r\x1b[?1049l";
  assertEquals(instead("\x1b[?6;25;1002;1007;1049;4711r"), all);
  assertEquals(instead("\x1b[?6;25;1002;1049r"), "");
  // What the program itself had set.
  set("1007l", "1002l");
  assertEquals(instead("\x1b[?1007;1001;3:1s"), "");
  set("1007;1002h");
  assertEquals(instead("\x1b[?1007;1001r"), "\x1b[?1007l\x1b[?1002l");
  assert(modes.restoreSequence().includes("\x1b[?1007l"));
});

Deno.test("Modes keeps a title and colours that can be printed, and a bounded number", () => {
  const modes = new Modes();
  modes.apply(`\x1b]2;a\u202e\u{e0041}b`);
  assertEquals(modes.title, "ab");
  modes.apply(`\x1b]2;${"😀".repeat(4000)}`);
  assertEquals(modes.title.length, 1000);
  modes.apply("\x1b]2;");
  const before = modes.restoreSequence();
  for (let i = 0; i < 1000; i++) {
    modes.apply(`\x1b]4;${i};#${String(i).padStart(3, "0")}`);
    modes.apply(`\x1b]${i};rgb:1/2/3`);
    modes.apply(`\x1b]10;rgb:1/2/${i}x`);
    modes.apply(`\x1b[>${i}u`);
    modes.apply(`\x1b[${i} q\x1b[>4;${i}m`);
  }
  const restored = modes.restoreSequence();
  assert(restored.length < before.length + 256 * 40, `${restored.length}`);
  const sequences =
    // deno-lint-ignore no-control-regex
    /^(?:\x1b\[[?>]?[\d;]*[hlmu]|\x1b\[[0-6] q|\x1b\](?:4;)?\d+;rgb:[0-9a-f/]+\x1b\\)*$/;
  assert(sequences.test(restored));
  for (const reset of ["\x1b]104;", "\x1b]110", "\x1b]111", "\x1b]112"]) {
    modes.apply(reset);
  }
  assertEquals(modes.colorOf(10), undefined);
  assertEquals(modes.paletteColorOf(1), undefined);
});
