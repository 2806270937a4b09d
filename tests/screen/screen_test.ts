/**
 * The screen: what is drawn again is the same, and what is left out was not visible.
 */
import { Backlog } from "../../screen/backlog.ts";
import {
  type Attributes,
  type Cell,
  loadEmulator,
  type Terminal,
} from "../../screen/emulator.ts";
import { farewell, GREETING } from "../../screen/modes.ts";
import { redraw } from "../../screen/redraw.ts";
import { Screen } from "../../screen/screen.ts";
import { SCROLLBACK } from "../../screen/screen_text.ts";
import { assert, assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();

/** A small generator of numbers, the same in every run (mulberry32). */
function random(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const WORDS = [
  "hello",
  "wörld",
  "漢字",
  "é",
  "🎉",
  "a",
  "q",
  "x".repeat(30),
  " ",
];

/** Random output: text and most of what changes a screen. */
function randomOutput(next: (below: number) => number, count: number): string {
  const n = (max: number) => String(next(max) + 1);
  const pieces: (() => string)[] = [
    () => WORDS[next(WORDS.length)]!,
    () => WORDS[next(WORDS.length)]!,
    () => "\r\n",
    () => "\n",
    () => "\r",
    () => "\b",
    () => "\t",
    () => `\x1b[${n(12)};${n(40)}H`,
    () => `\x1b[${n(5)}${"ABCDEFGLMPSTX@"[next(14)]}`,
    () => `\x1b[${next(3)}${"JK"[next(2)]}`,
    () =>
      `\x1b[${
        ["1", "2", "3", "4", "4:3", "5", "7", "8", "9", "53"][next(10)]
      }m`,
    () => `\x1b[${["22", "24", "27", "0", ""][next(5)]}m`,
    () => `\x1b[${30 + next(18)}m`,
    () => `\x1b[${["38;5;", "48;5;"][next(2)]}${next(256)}m`,
    () => `\x1b[38;2;${next(256)};${next(256)};${next(256)}m`,
    () => `\x1b[58:2::${next(256)}:1:2m`,
    () => `\x1b[${n(6)};${6 + next(7)}r`,
    () => "\x1b[r",
    () => ["\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1bE"][next(5)]!,
    () => ["\x1b(0", "\x1b(B", "\x0e", "\x0f", "\x1b)0"][next(5)]!,
    () =>
      `\x1b[?${[1, 7, 25, 1049, 47, 2004, 1000, 1006][next(8)]}${
        "hl"[next(2)]
      }`,
    () => ["\x1b[?6h", "\x1b[?6l", "\x1b[4h", "\x1b[4l"][next(4)]!,
    () => ["\x1bH", "\x1b[3g", "\x1b[g"][next(3)]!,
    () => "\x1b]8;;http://x.y\x1b\\link\x1b]8;;\x1b\\",
    () => "\x1b]2;title\x07",
    () => "\x1bc",
  ];
  let text = "";
  for (let i = 0; i < count; i++) {
    const which = next(pieces.length);
    // A full reset is rare, or nothing else would be seen.
    if (which === pieces.length - 1 && next(20) !== 0) continue;
    text += pieces[which]!();
  }
  return text;
}

/** A colour without the bits that mean nothing in its mode. */
function color(value: number): string {
  const mode = value >>> 24 & 3;
  const mask = mode === 3 ? 0xffffff : mode === 0 ? 0 : 0xff;
  return `${mode}.${value & mask}`;
}

/** All that one can see of a cell's attributes. */
function looks(terminal: Terminal, cell: Attributes): string {
  const ext = cell.hasExtendedAttrs() ? cell.extended._ext : 0;
  const underline = cell.fg & 0x10000000
    ? `${Math.max(1, ext >>> 26 & 7)}${color(ext & 0x3ffffff)}`
    : "";
  // The emulator forgets a link when the line is gone on which it began.
  const link = cell.hasExtendedAttrs() &&
      terminal._core._oscLinkService.getLinkData(cell.extended.urlId)
    ? "link"
    : "";
  // A blank shows its background and what crosses it out or inverts it.
  const isBlank = "getChars" in cell &&
    (cell as Cell).getChars().trim() === "" &&
    cell.fg >>> 26 === 0 && (cell as Cell).getWidth() === 1;
  return `${isBlank ? "" : color(cell.fg)},${color(cell.bg)},${
    cell.fg >>> 26
  },${
    // Without the flag that says whether there are further attributes.
    cell.bg >>> 26 & ~4},${underline}${link}`;
}

/** Every cell with all of its attributes, the cursor, and what is written next. */
function cells(terminal: Terminal): string[] {
  const buffer = terminal.buffer.active;
  const rows: string[] = [];
  for (let row = 0; row < terminal.rows; row++) {
    const line = buffer.getLine(buffer.baseY + row)!;
    let text = "";
    for (let x = 0; x < terminal.cols; x++) {
      const cell = line.getCell(x)!;
      text += `[${cell.getChars().trim()}|${cell.getWidth()}|${
        looks(terminal, cell)
      }]`;
    }
    rows.push(text);
  }
  const pen = terminal._core._inputHandler._curAttrData;
  const { scrollTop, scrollBottom } = terminal._core.buffers[
    terminal.buffer.active.type === "alternate" ? "alt" : "normal"
  ];
  rows.push(
    `cursor ${buffer.cursorX},${buffer.cursorY} pen ${
      looks(terminal, pen)
    } margins ${scrollTop}-${scrollBottom} ${JSON.stringify(terminal.modes)}`,
  );
  return rows;
}

Deno.test("redraw() draws the same screen on another terminal, whatever was written", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed);
    const output = randomOutput(next, 20 + next(300));
    const screen = new Screen(40, 12);
    screen.append(encoder.encode(output));
    await screen.load();
    const first = screen.catchUp();
    const second = await loadEmulator({
      columns: 40,
      rows: 12,
      scrollback: 100,
    });
    second._core._inputHandler.parse(
      encoder.encode(redraw(first, screen.modes)),
    );
    const message = `seed ${seed}`;
    for (const [y, row] of cells(first).entries()) {
      const drawn = cells(second)[y]!;
      if (drawn === row) continue;
      const at = [...row].findIndex((c, i) => drawn[i] !== c) - 60;
      assertEquals(
        drawn.slice(Math.max(0, at), at + 120),
        row.slice(Math.max(0, at), at + 120),
        `${message}, row ${y}`,
      );
    }
    // The same output goes on the same way on both.
    const more = encoder.encode(randomOutput(next, 30));
    first._core._inputHandler.parse(more);
    second._core._inputHandler.parse(more);
    assertEquals(second.buffer.active.type, first.buffer.active.type, message);
  }
});

Deno.test("redraw() with onlyAlternate draws the same and leaves the main screen as it is", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const screen = new Screen(40, 12);
    await screen.load();
    const output = randomOutput(random(seed), 200);
    screen.append(encoder.encode(`${output}\x18\x1b\\\x1b[?1049hx${seed}`));
    const user = new Screen(40, 12);
    await user.load();
    user.append(encoder.encode(`one\r\ntwo\r\n$ `));
    const before = cells(user.catchUp());
    user.append(encoder.encode(GREETING));
    user.append(encoder.encode(screen.redraw({ onlyAlternate: true })));
    assertEquals(cells(user.catchUp()), cells(screen.catchUp()));
    user.append(encoder.encode(farewell(undefined)));
    assertEquals(cells(user.catchUp()), before, `seed ${seed}`);
  }
});

Deno.test("bottom is the last row of the main screen with text", async () => {
  const screen = new Screen(40, 12);
  await screen.load();
  const bottomAfter = (text: string) => {
    screen.append(encoder.encode(text));
    return screen.bottom;
  };
  assertEquals(bottomAfter(""), 1);
  assertEquals(bottomAfter("a\r\nb\r\n"), 2);
  assertEquals(bottomAfter("\x1b[7;3Hx\x1b[2;1H"), 7);
  assertEquals(bottomAfter("\x1b[?1049h\x1b[12;1Hfull"), 7);
});

Deno.test("redrawBytes() can be followed by the output that goes on, wherever it was cut", async () => {
  const output = encoder.encode(
    "plain ä 漢字 🎉 \x1b[1;38;5;123mcolor\x1b]2;a title\x07\x1b[5;5Hthere" +
      "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1bP+q436f\x1b\\\u009b4;9Hc1\x1b(0q\x1b(B",
  );
  const [whole, again] = await Promise.all(
    [0, 1].map(() => loadEmulator({ columns: 40, rows: 12, scrollback: 100 })),
  );
  whole!._core._inputHandler.parse(output);
  for (let at = 0; at <= output.length; at++) {
    const screen = new Screen(40, 12);
    // In one piece, or byte by byte.
    const size = at % 2 ? 1 : output.length;
    for (let i = 0; i < at; i += size) {
      screen.append(output.subarray(i, Math.min(i + size, at)));
    }
    await screen.load();
    again!._core._inputHandler.parse(screen.redrawBytes());
    again!._core._inputHandler.parse(output.subarray(at));
    assertEquals(cells(again!), cells(whole!), `cut at ${at}`);
  }
});

Deno.test("Screen shows after megabytes of text what an emulator shows that has seen it all", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const next = random(seed);
    let output = randomOutput(next, 60) +
      "\x1b[r\x1b[?6l\x1b[4l\x1b(B\x0f\x1b[H";
    while (output.length < 3_000_000) {
      const kind = next(200);
      if (kind === 0 && seed % 2) output += randomOutput(next, 3) + "\x1b[r";
      else if (kind < 20) output += `\x1b[${next(8) + 30}m`;
      else if (kind < 30) output += "\x1b[0m";
      else if (kind < 40) output += "\x1b[1;38;5;77m";
      else if (kind < 150) output += WORDS[next(WORDS.length)]!.repeat(8);
      else output += "\r\n";
    }
    const bytes = encoder.encode(output);
    const screen = new Screen(40, 12);
    let fed = 0;
    await screen.load();
    for (let at = 0; at < bytes.length;) {
      const size = next(100_000) + 1;
      screen.append(bytes.subarray(at, at + size));
      at += size;
      if (screen.isBehind) {
        screen.catchUp();
        fed++;
      }
    }
    const whole = await loadEmulator({
      columns: 40,
      rows: 12,
      scrollback: SCROLLBACK,
    });
    whole._core._inputHandler.parse(bytes);
    const lazy = screen.catchUp();
    assertEquals(cells(lazy), cells(whole), `seed ${seed}`);
    const text = (terminal: Terminal) =>
      Array.from(
        { length: SCROLLBACK },
        (_, y) => terminal.buffer.normal.getLine(y)?.translateToString(true),
      );
    assertEquals(text(lazy), text(whole), `seed ${seed}`);
    assert(fed < 20);
  }
});

Deno.test("Backlog keeps a bounded rest of endless text", () => {
  const backlog = new Backlog();
  const lines = encoder.encode("\x1b[32myes\x1b[0m no\r\n".repeat(5000));
  for (let i = 0; i < 300; i++) backlog.append(lines, SCROLLBACK + 40);
  assert(backlog.complexBytes < 512 * 1024, `${backlog.complexBytes}`);
  const rest = backlog.take(SCROLLBACK + 40);
  assert(rest.length < 512 * 1024, `${rest.length}`);
  assert(backlog.isEmpty);
});

Deno.test("Screen survives output that is cut anywhere, and garbage", async () => {
  const next = random(7);
  const output = encoder.encode(randomOutput(next, 2000));
  const whole = new Screen(40, 12);
  const cut = new Screen(40, 12);
  await whole.load();
  await cut.load();
  whole.append(output);
  for (let at = 0; at < output.length;) {
    const size = next(5) + 1;
    cut.append(output.subarray(at, at + size));
    if (next(3) === 0) cut.catchUp();
    at += size;
  }
  assertEquals(cells(cut.catchUp()), cells(whole.catchUp()));
  assertEquals(cut.redraw(), whole.redraw());
  const garbage = Uint8Array.from({ length: 300_000 }, () => next(256));
  const screen = new Screen(80, 24);
  await screen.load();
  for (let at = 0; at < garbage.length; at += 1000) {
    screen.append(garbage.subarray(at, at + 1000));
  }
  assertEquals(screen.text().lines.length, 24);
  assert(screen.redraw().length > 0);
});

Deno.test("Screen takes numbers that would keep the emulator busy for hours", async () => {
  const start = performance.now();
  for (const final of "ILMSTZb") {
    const screen = new Screen(80, 24);
    await screen.load();
    screen.append(encoder.encode(`one\r\nx\x1b[2147483647${final}`));
    const text = screen.text().lines.join("\n").trim();
    const expected: Record<string, string> = {
      L: "one",
      M: "one",
      S: "",
      T: "",
    };
    if (final === "b") assert(/^(x{80}\n){23}x+$/.test(text), text);
    else assertEquals(text, expected[final] ?? "one\nx", final);
  }
  assert(performance.now() - start < 5000);
});

Deno.test("Screen ends where the window does, also when it was wider before", async () => {
  const screen = new Screen(20, 2);
  await screen.load();
  screen.append(encoder.encode("\x1b[?1049hfull screen program"));
  screen.resize(8, 2);
  const lines = ["full scr", ""];
  assertEquals(screen.text().lines, lines);
  assertEquals(screen.text({ ansi: true }).lines, lines);
  // The emulator shrinks its buffers in a timer, which an older Deno calls a leak.
  await new Promise((wake) => setTimeout(wake));
});

Deno.test("redraw() sets no colour that a control character has ended", async () => {
  const [one, two] = [new Screen(20, 2), new Screen(20, 2)];
  for (const screen of [one, two]) await screen.load();
  one.append(
    encoder.encode("\x1b]10;\u0086text\x07 and \x1b]11;#123456\x07more"),
  );
  two.append(encoder.encode(one.redraw()));
  assertEquals(one.text().lines, ["text and more", ""]);
  assertEquals(two.text().lines, one.text().lines);
  assertEquals([10, 11].map((n) => two.modes.colorOf(n)), [
    undefined,
    [0x1212, 0x3434, 0x5656],
  ]);
});

Deno.test("redraw() restores modes with numbers of any length as numbers", async () => {
  const [one, two] = [new Screen(20, 2), new Screen(20, 2)];
  for (const screen of [one, two]) await screen.load();
  one.append(
    encoder.encode(`\x1b[?${"9".repeat(30)}hone\x1b[${"9".repeat(30)} q`),
  );
  two.append(encoder.encode(one.redraw()));
  assertEquals(two.text().lines, ["one", ""]);
});

Deno.test("Screen takes 64 KiB of what a few bytes multiply in no time", async () => {
  const floods = [
    ...[
      "x\x1b[2147483647b",
      "\x1b[4hx\x1b[99999b",
      `e${"\u0301".repeat(200)}\x1b[2147483647b`,
    ],
    ...["\x1b[999S", "\x1b[999T", "\x1b[H\x1b[999L", "\x1b[H\x1b[999M"],
    ...["\x1b[2J", "\x1b[H\x1b[J", "\x1bc", "\x1b#8", "\x1b[ @", "\x1b['}"],
    ...["\x1b[?1049h\x1b[?1049l"],
  ];
  for (const flood of floods) {
    const screen = new Screen(120, 40);
    await screen.load();
    screen.append(encoder.encode("line\r\n".repeat(1100)));
    screen.catchUp();
    const bytes = encoder.encode(flood.repeat(65536 / flood.length));
    const start = performance.now();
    screen.append(bytes.subarray(0, 65536));
    screen.catchUp();
    // A tenth of it, on a machine that does nothing else.
    const ms = performance.now() - start;
    assert(ms < 1000, `${ms} ms: ${JSON.stringify(flood)}`);
    screen.append(encoder.encode("\x18\x1b[r\r\nit goes on"));
    assert(/it goes on/.test(screen.text().lines.join("\n")), flood);
  }
});

Deno.test("Screen is exact for a program that clears it for every line, a large one, too", async () => {
  const screen = new Screen(300, 100);
  await screen.load();
  for (let i = 0; i < 2000; i++) {
    // clear(1); date(1).
    screen.append(encoder.encode(
      `\x1b[H\x1b[2J\x1b[3J${i} ${"x".repeat(i % 31)}\r\n`,
    ));
  }
  assertEquals(screen.text().lines.join("").trim(), `1999 ${"x".repeat(15)}`);
});

Deno.test("Screen keeps links that are links, and a bounded number of them", async () => {
  const screen = new Screen(120, 40);
  await screen.load();
  const link = (uri: string) => `\x1b]8;;${uri}\x1b\\x`;
  const ansi = () =>
    screen.text({ ansi: true, scrollback: 1000 }).lines.join("\n")
      .replaceAll("\x1b[0m", "");
  for (let i = 0; i < 4; i++) {
    screen.append(
      encoder.encode(link(`http://${i % 2}${"a".repeat(900_000)}`)),
    );
  }
  screen.append(
    encoder.encode(link("http://a\u00e9") + link("a".repeat(2084))),
  );
  assertEquals(ansi().trim(), "xxxxxx");
  screen.append(encoder.encode(link("http://a") + "\x1b]8;;\x1b\\"));
  assertEquals(
    ansi().trim(),
    "xxxxxx\x1b]8;;http://a\x1b\\x\x1b]8;;\x1b\\",
  );
  // Each cell another one, as long as can be: a hundred megabytes.
  const long = Array.from(
    { length: 5000 },
    (_, i) => link(`${i}/`.padEnd(2083, "b")),
  ).join("");
  for (let i = 0; i < 10; i++) {
    screen.append(encoder.encode(long));
    screen.catchUp();
  }
  assert(ansi().length < 2_000_000, `${ansi().length}`);
  assert(screen.redraw().length < 2_000_000);
});

Deno.test("Screen keeps a bounded number of marks on a character", async () => {
  const screen = new Screen(80, 24);
  await screen.load();
  screen.append(encoder.encode(`e${"\u0301".repeat(100_000)}x`));
  const [line] = screen.text().lines;
  assertEquals([line!.length, line!.at(-1)], [33, "x"]);
});

Deno.test("text() gives an answer of bounded size", async () => {
  const screen = new Screen(1000, 1000);
  await screen.load();
  // Each cell another colour, and 31 marks.
  const cells = Array.from(
    { length: 1000 },
    (_, i) => `\x1b[38;2;${i % 256};1;2me${"\u0301".repeat(31)}`,
  ).join("");
  for (let i = 0; i < 100; i++) {
    screen.append(encoder.encode(cells));
    screen.catchUp();
  }
  const { lines } = screen.text({ ansi: true, scrollback: 1000 });
  const length = lines.reduce((sum, line) => sum + line.length, 0);
  assert(length <= 4 * 1024 * 1024, `${length}`);
  assertEquals(lines.length, 1000);
});

Deno.test("Screen is as new after a reset, whatever was written before", async () => {
  const fresh = new Screen(40, 12);
  await fresh.load();
  const blank = cells(fresh.catchUp());
  for (let seed = 1; seed <= 50; seed++) {
    const screen = new Screen(30 + seed % 20, 12);
    await screen.load();
    screen.append(encoder.encode(randomOutput(random(seed), 300)));
    screen.catchUp();
    screen.resize(40, 12);
    screen.append(encoder.encode("\x18\x1b\\\x1bc"));
    assertEquals(cells(screen.catchUp()), blank, `seed ${seed}`);
    assertEquals(screen.text({ scrollback: 1000 }), {
      ...fresh.text(),
      title: screen.modes.title,
    });
    fresh.modes.title = screen.modes.title;
    assertEquals(screen.redraw(), fresh.redraw(), `seed ${seed}`);
    const more = encoder.encode("a\tb\x1b[?1049hc\x1b[?1049ld\x1b8e");
    screen.append(more);
    const other = new Screen(40, 12);
    await other.load();
    other.append(more);
    assertEquals(cells(screen.catchUp()), cells(other.catchUp()));
  }
});

Deno.test("Screen restores what a program has saved: wrapping, the other screen", async () => {
  const screen = new Screen(10, 3);
  await screen.load();
  const write = (text: string) => screen.append(new TextEncoder().encode(text));
  write("main\x1b[?7;1049s\x1b[?7l\x1b[?1049hother");
  assertEquals(screen.text().lines, ["    other", "", ""]);
  write("\x1b[?7;1049r\r\nabcdefghijkl");
  assertEquals(screen.text().lines, ["main", "abcdefghij", "kl"]);
  assertEquals(screen.text().alternate, false);
});
