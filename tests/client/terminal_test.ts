/**
 * Attached clients, driven as a person would: through real pseudo-terminals, with real
 * full-screen programs.
 */
import { DetachKeys } from "../../screen/detach_keys.ts";
import { SessionError } from "../../errors.ts";
import { bracketedPaste, encodeKey } from "../../screen/keys.ts";
import { encode, Frame, PROTOCOL } from "../../relay/protocol.ts";
import { connectIn } from "../../relay/socket.ts";
import { readScreen, sendKeys, waitForScreen } from "../../client/terminal.ts";
import { terminalStatusAt } from "../../client/terminal_status.ts";
import { attachSession } from "../../client/attach.ts";
import { spawnRepl } from "../../spawn.ts";
import { pathsFor, readState } from "../../store.ts";
import { attachTerminal } from "../../client/attach_terminal.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertThrows,
  TestRoot,
  until,
} from "../helpers.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function shows(root: string, id: string, pattern: RegExp): Promise<void> {
  await waitForScreen(id, pattern, {
    root,
    signal: AbortSignal.timeout(10_000),
  });
}

/** Everything that one sees of a window: cells with attributes, cursor, modes. */
function look(term: TestWindow): unknown {
  const { screen } = term;
  return {
    ...screen.text({ ansi: true }),
    paste: screen.modes.isOn(2004),
    mouse: [1000, 1002, 1003, 1006].map((mode) => screen.modes.isOn(mode)),
    cursorKeys: screen.modes.isOn(1),
    keypad: screen.modes.isOn(66),
    kitty: screen.modes.kittyFlags,
  };
}

/** What an untouched terminal looks like in its modes. */
function assertRestored(term: TestWindow): void {
  const { modes } = term.screen;
  const on = [1, 9, 66, 1000, 1002, 1003, 1004, 1006, 1049, 2004].filter((
    mode,
  ) => modes.isOn(mode));
  assertEquals(on, [], "modes left on");
  assert(modes.isOn(25) && modes.isOn(7), "cursor or wrapping left off");
  assertEquals(modes.kittyFlags, 0);
}

async function still(term: TestWindow): Promise<void> {
  let last = "";
  let since = Date.now();
  await until(() => {
    const now = JSON.stringify(look(term));
    if (now !== last) since = Date.now();
    last = now;
    return Date.now() - since > 400;
  });
}

const FIGURES =
  "\\033[1;31mred\\033[0;4;44mblue\\033[m wide 漢字 🎉 \\033[38;2;1;200;3mtrue";
/** A file for editors and pagers, which nobody else edits. */
const FILE = Deno.makeTempFileSync({ suffix: ".json" });
Deno.writeTextFileSync(
  FILE,
  `{\n  "name": "x",\n  "version": "1"\n}\n${
    "text and more\n".repeat(100)
  }deno\n`,
);
globalThis.addEventListener("unload", () => Deno.removeSync(FILE));

const PROGRAMS: {
  readonly name: string;
  readonly argv: readonly string[];
  readonly ready: RegExp;
  readonly keys: string;
}[] = [
  {
    name: "vim",
    argv: [
      "vim",
      "-u",
      "NONE",
      "-N",
      "+set mouse=a number hlsearch ttimeout ttimeoutlen=1",
      "+syntax on",
      FILE,
    ],
    ready: /"name"/,
    keys: ":set cursorline\r/task\rjjihello wörld 漢字\x1b",
  },
  {
    name: "less",
    argv: ["less", "-N", FILE],
    ready: /"version"/,
    keys: "jj/de\r",
  },
  {
    name: "bash",
    argv: ["bash", "--norc"],
    ready: /\$|#/,
    keys: `printf '${FIGURES}'; ls --color=always /\r`,
  },
  {
    name: "python3",
    argv: ["python3", "-q"],
    ready: />>>/,
    keys: "print('\\x1b[7mhi\\x1b[m', 7*6)\r",
  },
  { name: "htop", argv: ["htop", "-d", "100"], ready: /Help/, keys: "" },
];

for (const { name, argv, ready, keys } of PROGRAMS) {
  Deno.test(`attachTerminal() shows ${name} after coming back as it was before`, async () => {
    await using root = new TestRoot();
    await startTerminal(root.dir, "a", argv, { columns: 80, rows: 24 });
    let before: unknown;
    {
      await using first = await TestWindow.open(attachCommand(root.dir, "a"));
      await first.shows(ready);
      if (keys !== "") {
        for (const key of keys) first.type(key);
        await still(first);
      }
      before = look(first);
      first.type("\x1c");
      // htop's figures go on changing: it shows the next ones in ten seconds.
      await first.ended();
      assertRestored(first);
      assertEquals(first.status!.code, 0);
      await until(() => first.output.endsWith("[detached from a]\r\n"));
    }
    await using second = await TestWindow.open(attachCommand(root.dir, "a"));
    await second.shows(/\S/);
    await until(
      () => JSON.stringify(look(second)) === JSON.stringify(before),
      "the same screen",
    )
      .catch(() => assertEquals(look(second), before));
    // And it is alive.
    if (name === "vim") {
      second.type("\x1b:qa!\r");
      await second.ended();
      assertRestored(second);
      // Its last words are read a moment later.
      const last = '[a: {"state":"exited","ending":{"code":0}}]\r\n';
      await until(() => second.output.endsWith(last), "its last words");
    }
  });
}

Deno.test("attachTerminal() gives the terminal back however it ends", async () => {
  await using root = new TestRoot();
  const wild =
    "printf '\\033[?1049h\\033[?1000h\\033[?1006h\\033[?2004h\\033[?25l\\033[?1h\\033=\\033[>5u\\033[31;44mwild\\033]2;title\\007'";
  const run = async (
    id: string,
    end: (term: TestWindow) => void,
    script = "read x; exit 9",
  ) => {
    await startTerminal(root.dir, id, ["sh", "-c", `${wild}; ${script}`]);
    await using term = await TestWindow.open(attachCommand(root.dir, id));
    await term.shows(/wild/);
    await until(() => term.screen.modes.isOn(2004));
    assertEquals(term.screen.modes.kittyFlags, 5);
    end(term);
    const { code } = await term.ended();
    assertRestored(term);
    assert(!term.screen.modes.alternate);
    return code;
  };
  assertEquals(await run("detach", (term) => term.type("\x1b[92;5u")), 0);
  assertEquals(await run("ends", (term) => term.type("\r")), 9);
  assertEquals(
    await run("term", (term) => Deno.kill(term.pid, "SIGTERM")),
    0,
  );
  assertEquals(
    await run("hup", (term) => Deno.kill(term.pid, "SIGHUP")),
    0,
  );
  const killed = await run("relay", () => {
    const [, relay] = Deno.readTextFileSync(`${root.dir}/relay/pid`).split(" ");
    Deno.kill(Number(relay), "SIGKILL");
  });
  assertEquals(killed, 137);
});

/** A window with text, a title and a prompt, in which a client is started. */
async function openUsed(root: string, id: string): Promise<TestWindow> {
  const before = "printf 'one\\r\\ntwo\\r\\n\\033]2;mine\\007\\033[?1007h'";
  const command = attachCommand(root, id);
  const script = `${before}; "$@"; read x`;
  return await TestWindow.open(["sh", "-c", script, "sh", ...command]);
}

Deno.test("after a full-screen program the user's window is as it was before", async () => {
  await using root = new TestRoot();
  const wild =
    "printf '\\033[?1049h\\033[5;5Hwild\\033]2;theirs\\007\\033[22;0t\\033[?1007l\\033[2;9r'";
  const save = "read x; printf '\\033[?1007ssaved'; read x";
  await startTerminal(root.dir, "a", ["sh", "-c", `${wild}; ${save}`]);
  await shows(root.dir, "a", /wild/);
  await using term = await openUsed(root.dir, "a");
  await term.shows(/wild/);
  await until(() => term.screen.modes.title === "theirs");
  assert(!term.screen.modes.isOn(1007));
  term.type("\r");
  await term.shows(/saved/);
  term.type("\x1c");
  await term.shows(/^one\ntwo\n\[detached from a\]\n\n/);
  assertRestored(term);
  assertEquals(term.screen.modes.title, "mine");
  assert(term.screen.modes.isOn(1007));
});

Deno.test("a program that leaves its full screen shows the main one, below the user's", async () => {
  await using root = new TestRoot();
  const enter = "printf 'main\\033[?1049h\\033[Hfull'";
  const leave = "printf 'bye\\033[?1049l\\033[c left\\r\\nlast'";
  const script = `stty -echo; ${enter}; read x; ${leave}; read x`;
  await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await shows(root.dir, "a", /full/);
  await using term = await openUsed(root.dir, "a");
  await term.shows(/^full/);
  // Nothing of it was drawn below.
  assert(term.screen.modes.alternate && !term.output.includes("main"));
  term.type("\r");
  await term.shows(/^main left\nlast\n/);
  await until(() => term.output.includes("\x1b[c"), "the question");
  const { lines, scrollback } = term.screen.text({ scrollback: 100 });
  const above = lines.slice(scrollback - 24, scrollback - 21);
  assertEquals(above, ["one", "two", ""]);
  term.type("\x1c");
  await term.shows(/^main left\nlast\n\[detached from a\]\n/);
});

Deno.test("a window of another size shows a part, and everything once the sizes agree", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["env", "PS1=> ", "bash", "--norc"]);
  await using big = await TestWindow.open(attachCommand(dir, "a"));
  await big.shows(/^>/);
  await using small = await TestWindow.open(
    attachCommand(dir, "a", "read-only"),
    { columns: 30, rows: 10 },
  );
  await small.shows(/^>/);
  big.type("seq 40; printf '%070d' 7\r");
  await big.shows(/0007> $/);
  // It follows the cursor.
  await small.shows(/0007> $/);
  assertEquals(small.text.split("\n").length, 10);
  assert(!/40/.test(small.text));
  big.type("\r\rclear; printf '%070d' 8\r");
  await until(() => /^0+8>/.test(big.text));
  big.resize(30, 10);
  await until(() => small.text === big.text, "the same screen");
  assert(small.screen.modes.isOn(7));
  big.resize(40, 12);
  await small.shows(/./);
  big.type("\rexec sleep 100\r");
  await until(async () => {
    const { lines } = await readScreen("a", { root: dir });
    return lines.join("\n").includes("sleep");
  });
  small.resize(50, 15);
  await small.shows(/│·{9}\n─{40}┘·{9}\n·{50}\n·{50}$/);
  small.type("\x1c");
  await small.shows(/sleep 100\n\[detached from a\]\n/);
  assert(!/[│─·]/.test(small.text), "no marks are left");
});

Deno.test("a window that is closed detaches", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  {
    await using term = await TestWindow.open(attachCommand(root.dir, "a"));
    await term.shows(/^/);
    await until(() => terminalStatusAt(paths, true)!.clients === 1);
  }
  await until(() => terminalStatusAt(paths, true)!.clients === 0);
  await sendKeys("a", [{ text: "on" }], { root: root.dir });
});

Deno.test("detach keys typed twice go through; others can be chosen", async () => {
  await using root = new TestRoot();
  const program =
    "import tty,os\ntty.setraw(0)\nos.write(1,b'ready')\nwhile 1: os.write(1,repr(os.read(0,99)).encode()+b'\\r\\n')";
  await startTerminal(root.dir, "a", ["python3", "-c", program]);
  {
    await using term = await TestWindow.open(attachCommand(root.dir, "a"));
    await term.shows(/ready/);
    term.type("\x1c\x1c");
    await term.shows(/b'\\x1c'/);
    term.type("q");
    await term.shows(/b'q'/);
    term.type("\x1c");
    await term.ended();
  }
  await using term = await TestWindow.open(
    attachCommand(root.dir, "a", "ctrl-p,ctrl-q"),
  );
  await term.shows(/b'q'/);
  term.type("\x1c");
  await term.shows(/b'\\x1c'(.|\n)*b'\\x1c'/);
  term.type("\x10x");
  await term.shows(/b'\\x10x'/);
  term.type("\x10\x11");
  assertEquals((await term.ended()).code, 0);
});

Deno.test("DetachKeys finds its keys in every encoding, and only those", () => {
  const feed = (keys: DetachKeys, text: string) => {
    const { forward, detach } = keys.feed(encoder.encode(text));
    return [decoder.decode(forward), detach];
  };
  assertEquals(feed(new DetachKeys(), "plain \x1b[A ä"), [
    "plain \x1b[A ä",
    "no",
  ]);
  assertEquals(feed(new DetachKeys(), "a\x1c"), ["a", "maybe"]);
  assertEquals(feed(new DetachKeys(), "a\x1cb"), ["a", "now"]);
  assertEquals(feed(new DetachKeys(), "\x1c\x1c"), ["\x1c", "no"]);
  assertEquals(feed(new DetachKeys(), "\x1b[92;5u\x1b[92;5:3u"), ["", "maybe"]);
  assertEquals(
    feed(new DetachKeys(), "\x1b[92;69u"),
    ["", "maybe"],
    "with caps lock",
  );
  assertEquals(feed(new DetachKeys(), "\x1b[27;5;92~"), ["", "maybe"]);
  assertEquals(feed(new DetachKeys(), "\x1b[92u\x1b[99;5u"), [
    "\x1b[92u\x1b[99;5u",
    "no",
  ]);
  const two = new DetachKeys("ctrl-p, q");
  assertEquals(feed(two, "\x10"), ["", "no"]);
  assertEquals(feed(two, "\x10"), ["\x10", "no"]);
  assertEquals(feed(two, "q"), ["", "maybe"]);
  assertEquals(feed(new DetachKeys(""), "\x1c"), ["\x1c", "no"]);
  assertThrows(() => new DetachKeys("hyper-x"), TypeError);
});

Deno.test("DetachKeys takes nothing within a paste for a key, wherever it is cut", () => {
  const paste = "\x1b[200~a\x1c\x1b[92;5u\x10b\x1b[201x\x1c\x1b[201~";
  const bytes = encoder.encode(`x${paste}y`);
  for (const size of [1, 2, 3, 7, 100]) {
    const keys = new DetachKeys("ctrl-\\");
    let forwarded = "";
    for (let at = 0; at < bytes.length; at += size) {
      const { forward, detach } = keys.feed(bytes.subarray(at, at + size));
      assertEquals(detach, "no");
      forwarded += decoder.decode(forward);
    }
    assertEquals(forwarded, `x${paste}y`);
    assertEquals(keys.feed(encoder.encode("\x1c")).detach, "maybe");
  }
});

Deno.test("DetachKeys ends a paste without an end once nothing more of it comes", () => {
  const keys = new DetachKeys();
  const detach = (text: string, silentMs: number) =>
    keys.feed(encoder.encode(text), silentMs).detach;
  assertEquals(detach("\x1b[200~lost", 0), "no");
  assertEquals(detach("\x1c", 500), "no");
  assertEquals(detach("\x1c", 2500), "maybe");
});

Deno.test("attachTerminal() passes the first of two detach keys on after a second", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["sh", "-c", "stty raw -echo; exec cat -v"]);
  await using term = await TestWindow.open(
    attachCommand(dir, "a", "ctrl-p,ctrl-q"),
  );
  await until(() => term.isRaw);
  term.type("x\x10");
  await term.shows(/x\^P/);
  term.type("\x10\x11");
  assertEquals((await term.ended()).code, 0);
});

Deno.test("encodeKey() knows the keys of a keyboard", () => {
  const plain: [string, string][] = [
    ["enter", "\r"],
    ["Return", "\r"],
    ["tab", "\t"],
    ["shift-tab", "\x1b[Z"],
    ["escape", "\x1b"],
    ["space", " "],
    ["ctrl-space", "\0"],
    ["backspace", "\x7f"],
    ["up", "\x1b[A"],
    ["ctrl-left", "\x1b[1;5D"],
    ["home", "\x1b[H"],
    ["pageup", "\x1b[5~"],
    ["delete", "\x1b[3~"],
    ["f1", "\x1bOP"],
    ["shift-f5", "\x1b[15;2~"],
    ["ctrl-c", "\x03"],
    ["Ctrl+C", "\x03"],
    ["ctrl-\\", "\x1c"],
    ["alt-x", "\x1bx"],
    ["alt-enter", "\x1b\r"],
    ["x", "x"],
    ["ä", "ä"],
    ["-", "-"],
    ["ctrl-alt-a", "\x1b\x01"],
    // tmux's names.
    ["C-c", "\x03"],
    ["M-Enter", "\x1b\r"],
    ["S-F5", "\x1b[15;2~"],
    ["BSpace", "\x7f"],
  ];
  for (const [name, bytes] of plain) assertEquals(encodeKey(name), bytes, name);
  assertEquals(encodeKey("up", { applicationCursor: true }), "\x1bOA");
  assertEquals(encodeKey("escape", { kittyFlags: 1 }), "\x1b[27u");
  assertEquals(encodeKey("ctrl-c", { kittyFlags: 1 }), "\x1b[99;5u");
  assertEquals(encodeKey("enter", { kittyFlags: 1 }), "\r");
  for (const name of ["", "nokey", "ctrl-", "ctrl-ä"]) {
    assertThrows(() => encodeKey(name), TypeError, "Unknown key");
  }
});

Deno.test("bracketedPaste() holds no end of a paste but its own", () => {
  const mark = "\x1b[201~";
  for (const text of ["a", `a${mark}b`, `\x1b[2${mark}01~`, `\x1b${mark}`]) {
    const paste = bracketedPaste(text);
    assertEquals(paste.indexOf(mark), paste.length - mark.length);
  }
});

Deno.test("several clients see the same; the window follows the one that typed last", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["bash", "--norc"]);
  await using big = await TestWindow.open(attachCommand(root.dir, "a"), {
    columns: 100,
    rows: 30,
  });
  await big.shows(/[$#]/);
  await using small = await TestWindow.open(attachCommand(root.dir, "a"), {
    columns: 60,
    rows: 20,
  });
  await small.shows(/[$#]/);
  await using watcher = await TestWindow.open(
    attachCommand(root.dir, "a", "read-only"),
    { columns: 50, rows: 10 },
  );
  await watcher.shows(/[$#]/);
  const size = async () => {
    const { columns, rows } = await readScreen("a", { root: root.dir });
    return `${columns}x${rows}`;
  };
  assertEquals(await size(), "60x20");
  big.type("echo from-big\r");
  await small.shows(/from-big\n/);
  await until(async () => await size() === "100x30");
  watcher.type("echo never\r");
  small.type("stty size\r");
  await big.shows(/20 60/);
  big.resize(90, 25);
  big.type("\x15");
  await until(async () => await size() === "90x25");
  small.resize(61, 21); // Nobody types there.
  for (let columns = 40; columns < 140; columns++) big.resize(columns, 24);
  big.resize(88, 22);
  await until(async () => await size() === "88x22");
  big.type("stty size\r");
  await big.shows(/22 88/);
  assert(!/never/.test(big.text));
  watcher.type("\x1c");
  assertEquals((await watcher.ended()).code, 0);
});

Deno.test("the window follows what is typed, not what a terminal reports by itself", async () => {
  await using root = new TestRoot();
  const script = "stty raw -echo; printf '\\033[?1004hready'; exec cat >log";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await shows(root.dir, "a", /ready/);
  const open = async (columns: number) => {
    const keys = new TransformStream<Uint8Array, Uint8Array>();
    const attached = await attachTerminal("a", {
      root: root.dir,
      columns,
      rows: 24,
      stdin: keys.readable,
      stdout: new WritableStream(),
    });
    const writer = keys.writable.getWriter();
    const type = (text: string) => writer.write(encoder.encode(text));
    return { attached, type };
  };
  const first = await open(90);
  await until(() => terminalStatusAt(paths, true)?.columns === 90);
  const second = await open(70);
  await until(() => terminalStatusAt(paths, true)?.columns === 70);
  // In pieces, as they may come.
  for (const piece of ["\x1b[I\x1b[<35;1;1M\x1b]11;rgb:0/0", "/0\x07"]) {
    await first.type(piece);
  }
  const log = () => Deno.readTextFileSync(`${root.dir}/log`);
  await until(() => log().endsWith("\x07"), "the reports");
  assertEquals(terminalStatusAt(paths, true)?.columns, 70);
  await first.type("\x1b[<35;2;2M");
  await first.type("\x1b[<0;3;3M");
  await until(() => terminalStatusAt(paths, true)?.columns === 90, "a click");
  await first.type("\x1b[<0;3;3m");
  await until(() => log().endsWith("m"), "the release");
  assert(!/;2M|;3M/.test(log()), "a click in a window of another size");
  await second.type("x");
  await until(() => terminalStatusAt(paths, true)?.columns === 70, "a letter");
  await first.type("\x1b");
  await until(() => terminalStatusAt(paths, true)?.columns === 90, "Escape");
  await second.type("x");
  await until(() => terminalStatusAt(paths, true)?.columns === 70, "a letter");
  for (const { attached } of [first, second]) {
    attached.detach();
    await attached.done;
  }
});

Deno.test("a question is answered once: by the client, not by the relay as well", async () => {
  await using root = new TestRoot();
  const program = `
import os, tty, select
tty.setraw(0)
os.write(1, b"ready")
while 1:
    k = os.read(0, 1)
    if k == b"c": os.write(1, b"\\x1b[c")
    elif k == b"e": os.write(1, b"[half]\\x1b[")
    elif k == b"f": os.write(1, b"c")
    else: os.write(1, b"[" + k.replace(b"\\x1b", b"ESC") + b"]")
`;
  const paths = await startTerminal(root.dir, "a", ["python3", "-c", program]);
  const shown = ["", ""];
  await shows(root.dir, "a", /ready/);
  const clients = await Promise.all([0, 1].map((index) =>
    attachTerminal("a", {
      root: root.dir,
      columns: 80,
      rows: 24,
      stdout: new WritableStream({
        write(bytes) {
          shown[index] += decoder.decode(bytes);
        },
      }),
    })
  ));
  await until(() => terminalStatusAt(paths, true)!.clients === 2);
  await sendKeys("a", [{ raw: encoder.encode("c.") }], { root: root.dir });
  await shows(root.dir, "a", /\[\.\]/);
  const [first, second] = await until(() => {
    const asked = shown.map((text) => text.split("\x1b[c").length - 1);
    return asked.some(Boolean) ? asked : undefined;
  });
  assertEquals(first! + second!, 1);
  // Cut in two, its beginning has been sent to both.
  await sendKeys("a", [{ raw: encoder.encode("e") }], { root: root.dir });
  await shows(root.dir, "a", /\[half\]/);
  await sendKeys("a", [{ raw: encoder.encode("f.") }], { root: root.dir });
  await shows(root.dir, "a", /\[\.\]\[half\]\[\.\]/);
  await until(() => shown.every((text) => text.endsWith("[.]")));
  assertEquals(
    shown.map((text) => text.slice(text.lastIndexOf("[half]"))).sort(),
    ["[half]\x1b[\x18[.]", "[half]\x1b[c[.]"],
  );
  const { lines } = await readScreen("a", { root: root.dir });
  assertEquals(lines[0], "ready[.][half][.]");
  for (const client of clients) client.detach();
  for (const client of clients) {
    assertEquals(await client.done, { detached: true });
  }
  await until(() => terminalStatusAt(paths, true)!.clients === 0);
  await sendKeys("a", [{ raw: encoder.encode("c") }], { root: root.dir });
  await shows(root.dir, "a", /\[ESC\]\[\[\]\[\?\]\[1\]\[;\]\[2\]/);
});

Deno.test("a frozen client slows nobody, and sees the right screen once it thaws", async () => {
  await using root = new TestRoot();
  const script = "read x; seq 3000000; printf 'done\\033[3;3Hmark'; read x";
  await startTerminal(root.dir, "a", ["sh", "-c", script], {
    columns: 80,
    rows: 24,
  });
  await using frozen = await TestWindow.open(attachCommand(root.dir, "a"));
  await using lively = await TestWindow.open(attachCommand(root.dir, "a"));
  await using small = await TestWindow.open(
    attachCommand(root.dir, "a", "read-only"),
    { columns: 60, rows: 20 },
  );
  await until(() => small.isRaw);
  frozen.paused = small.paused = true;
  lively.type("\r");
  await lively.shows(/mark/, 30_000);
  await sendKeys("a", [{ key: "x" }], { root: root.dir });
  frozen.paused = false;
  await frozen.shows(/mark/, 30_000);
  await until(() => frozen.text === lively.text);
  const direct = await readScreen("a", { root: root.dir });
  assertEquals(frozen.text.split("\n"), direct.lines);
  small.paused = false;
  await small.shows(/mark/);
});

Deno.test("a client killed in the middle of a repaint harms nobody", async () => {
  await using root = new TestRoot();
  const script =
    "i=0; while :; do i=$((i+1)); printf '\\033[H%s %070d' $i $i; done";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script], {
    columns: 80,
    rows: 24,
  });
  await using other = await TestWindow.open(attachCommand(root.dir, "a"));
  await other.shows(/\d+ 0+\d+/);
  for (let i = 0; i < 5; i++) {
    await using term = await TestWindow.open(attachCommand(root.dir, "a"));
    await term.shows(/\d+ 0+\d+/);
    Deno.kill(term.pid, "SIGKILL");
  }
  await until(() => terminalStatusAt(paths, true)!.clients === 1);
  const before = other.text;
  await until(() => other.text !== before);
});

Deno.test("attachTerminal() writes the last screen of a session that has ended", async () => {
  await using root = new TestRoot();
  const script = "printf 'some \\033[1mbold\\033[m words\\n'; exit 3";
  const paths = await startTerminal(root.dir, "a", ["sh", "-c", script]);
  await until(() => readState(paths).state === "exited");
  let shown = "";
  const write = (bytes: Uint8Array) => {
    shown += decoder.decode(bytes);
    return Promise.resolve(bytes.length);
  };
  const attached = await attachTerminal("a", {
    root: root.dir,
    columns: 80,
    rows: 24,
    stdout: { write },
  });
  assertEquals(await attached.done, {
    state: { state: "exited", ending: { code: 3 } },
  });
  assertEquals(shown, "some \x1b[0;1mbold\x1b[0m words\r\n");
});

Deno.test("attachTerminal() fails when the keyboard does; the session goes on", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  const attached = await attachTerminal("a", {
    root: root.dir,
    columns: 80,
    rows: 24,
    stdin: { read: () => Promise.reject(new Error("Input/output error")) },
    stdout: new WritableStream(),
  });
  const error = await assertRejects(() => attached.done, Error);
  assertEquals(error.message, "Cannot read the terminal: Input/output error");
  await until(() => terminalStatusAt(paths, true)!.clients === 0);
  assertEquals(readState(paths).state, "running");
});

Deno.test("attachTerminal() refuses what is no terminal, and another version", async () => {
  await using root = new TestRoot();
  const options = {
    root: root.dir,
    columns: 80,
    rows: 24,
    stdout: Deno.stdout,
  };
  assertEquals(
    (await assertRejects(() => attachTerminal("none", options), SessionError))
      .code,
    "not_found",
  );
  // A relay of the future, in the place of a real one.
  const live = await startTerminal(root.dir, "b", ["cat"]);
  Deno.removeSync(`${live.dir}/attach.sock`);
  const listener = Deno.listen({
    transport: "unix",
    path: `${live.dir}/attach.sock`,
  });
  const serving = listener.accept().then(async (conn) => {
    await conn.write(encode(Frame.HELLO, { protocol: PROTOCOL + 1 }));
    await new Response(conn.readable).text();
  });
  const error = await assertRejects(
    () => attachTerminal("b", options),
    SessionError,
  );
  assertEquals(error.code, "unsupported");
  assert(error.message.includes(`version ${PROTOCOL + 1}`));
  await serving;
  listener.close();
});

Deno.test("a session without a terminal is refused, and one that is missing", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await spawnRepl(pathsFor("lines", { root: dir }), [], { program: "cat" });
  const output = { stdout: new WritableStream(), columns: 80, rows: 24 };
  for (
    const ask of [
      (id: string) => readScreen(id, { root: dir }),
      (id: string) => sendKeys(id, [{ key: "enter" }], { root: dir }),
      (id: string) => waitForScreen(id, /x/, { root: dir }),
      (id: string) => attachTerminal(id, { root: dir, ...output }),
    ]
  ) {
    const other = await assertRejects(() => ask("lines"), SessionError);
    assertEquals(other.code, "unsupported");
    const none = await assertRejects(() => ask("none"), SessionError);
    assertEquals(none.code, "not_found");
  }
});

Deno.test("attachSession() tells a size that changes before it is connected", async () => {
  await using root = new TestRoot();
  const paths = await startTerminal(root.dir, "a", ["cat"]);
  const stdout = new WritableStream();
  const leave = new AbortController();
  const { signal } = leave;
  const attached = attachSession("a", { root: root.dir, stdout, signal });
  attached.resize(71, 17);
  await until(() => terminalStatusAt(paths, true)?.columns === 71);
  leave.abort();
  assertEquals(await attached, { detached: true });
});

Deno.test("a client of the bare protocol gets the cut between screen and output without loss", async () => {
  await using root = new TestRoot();
  const script =
    "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; read x";
  const paths = await startTerminal(root.dir, "a", [
    "sh",
    "-c",
    `read x; ${script}`,
  ], { columns: 80, rows: 24 });
  const conn = await connectIn(paths.dir);
  const hello = encode(Frame.HELLO, { protocol: PROTOCOL });
  await conn.write(hello);
  // Not awaited: sendKeys() waits until it is read, and by then all may be written.
  const typing = sendKeys("a", [{ key: "enter" }], { root: root.dir });
  await until(() => Deno.statSync(paths.stdout).size > 0);
  await conn.write(
    encode(Frame.ATTACH, { columns: 80, rows: 24, readOnly: true }),
  );
  let text = "";
  const reading = (async () => {
    for await (const bytes of conn.readable) {
      text += decoder.decode(bytes);
      // The screen, if it is all that came, has no end of a line there.
      if (/line 3000(?!\d)/.test(text)) break;
    }
  })();
  await reading;
  await typing;
  const seen = [...text.matchAll(/line (\d+)/g)].map((match) =>
    Number(match[1])
  );
  for (let i = 1; i < seen.length; i++) assertEquals(seen[i], seen[i - 1]! + 1);
  assertEquals(seen.at(-1), 3000);
});
