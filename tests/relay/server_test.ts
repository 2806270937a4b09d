/**
 * What clients do to a session: storms of sizes from several windows while a program
 * draws, and more input than it reads.
 */
import { readScreen, sendKeys, waitForScreen } from "../../client/terminal.ts";
import { attachTerminal } from "../../client/attach_terminal.ts";
import type { Paths } from "../../store.ts";
import { terminalStatusAt } from "../../client/terminal_status.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  TestRoot,
  until,
} from "../helpers.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

/** A file with long lines, which wrap or are cut according to the size. */
const FILE = Deno.makeTempFileSync();
Deno.writeTextFileSync(
  FILE,
  Array.from({ length: 200 }, (_, i) => `${i} ${"word ".repeat(i % 50)}`)
    .join("\n"),
);
globalThis.addEventListener("unload", () => Deno.removeSync(FILE));

/** Draws a frame around the whole screen, again and again, until a line is typed. */
const PAINTER = `
import os, signal, sys, threading
done = threading.Event()
def draw(*_):
    c, r = os.get_terminal_size(0)
    text = "\\x1b[H\\x1b[2J" + "#" * c
    for y in range(2, r): text += f"\\x1b[{y};1H#\\x1b[{y};{c}H#"
    text += f"\\x1b[{r};1H" + "#" * c + f"\\x1b[2;3H{c}x{r}"
    os.write(1, text.encode())
signal.signal(signal.SIGWINCH, draw)
os.write(1, b"\\x1b[?1049h\\x1b[?25l")
def paint():
    while not done.is_set(): draw()
    for _ in sys.stdin: draw()
threading.Thread(target=paint, daemon=True).start()
sys.stdin.readline()
done.set()
while 1: signal.pause()
`;

const PROGRAMS: readonly {
  readonly name: string;
  readonly argv: readonly string[];
  readonly ready: RegExp;
  /** Keys that end what it does by itself. */
  readonly rest: string;
}[] = [
  {
    name: "a painting program",
    argv: ["python3", "-c", PAINTER],
    ready: /###/,
    rest: "\r",
  },
  {
    name: "vim",
    argv: ["vim", "-u", "NONE", "-N", "+set number", FILE],
    ready: /9 word/,
    rest: "50G",
  },
  {
    name: "bash",
    argv: ["sh", "-c", `cat ${FILE}; PS1='> ' exec bash --norc`],
    ready: /^>/m,
    rest: "echo rest\r",
  },
];

/** The size that the relay has noted. */
function sizeOf(paths: Paths): string {
  const { columns, rows } = terminalStatusAt(paths, true)!;
  return `${columns}x${rows}`;
}

for (const { name, argv, ready, rest } of PROGRAMS) {
  Deno.test(`${name} is right after a storm of sizes from three windows`, async () => {
    await using root = new TestRoot();
    const { dir } = root;
    const paths = await startTerminal(dir, "a", argv);
    await using windows = new AsyncDisposableStack();
    const terms: TestWindow[] = [];
    for (const columns of [80, 100, 60]) {
      const term = await TestWindow.open(attachCommand(dir, "a"), { columns });
      terms.push(windows.use(term));
      await term.shows(ready, 30_000);
    }
    for (let i = 0; i < 300; i++) {
      const term = terms[i % 3]!;
      term.resize(20 + (i * 37) % 140, 5 + (i * 23) % 60);
      if (i % 10 === 0) term.type(" ");
      // The clients get a chance to see some of them.
      if (i % 7 === 0) await until(() => sizeOf(paths), "a size");
    }
    // Two leave: nothing that they have typed can come any more.
    const [last, ...others] = terms;
    for (const term of others) {
      term.type("\x1c");
      await term.ended();
    }
    last!.resize(90, 30);
    last!.type(rest);
    await until(() => sizeOf(paths) === "90x30", "the last size");
    const inSession = async () => {
      const { lines } = await readScreen("a", { root: dir });
      return lines.join("\n");
    };
    await until(
      async () => last!.text === await inSession(),
      "the same screen",
    ).catch(async () => assertEquals(last!.text, await inSession()));
    await using fresh = await TestWindow.open(
      attachCommand(dir, "a", "read-only"),
      { columns: 90, rows: 30 },
    );
    await until(() => fresh.text === last!.text, "the same screen when fresh")
      .catch(() => assertEquals(fresh.text, last!.text));
    assertEquals(sizeOf(paths), "90x30");
    const agent = terminalStatusAt(paths, true)!.agent;
    const fd = `/proc/${agent}/fd/1`;
    const { stdout } = await new Deno.Command("stty", {
      args: ["-F", Deno.realPathSync(fd), "size"],
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "30 90\n");
  });
}

/** A client whose typing is a stream. */
async function attachStream(root: string, id: string) {
  const keys = new TransformStream<Uint8Array, Uint8Array>();
  const attached = await attachTerminal(id, {
    root,
    columns: 80,
    rows: 24,
    stdin: keys.readable,
    stdout: new WritableStream(),
  });
  return { attached, writer: keys.writable.getWriter() };
}

/** A paste, in the pieces in which a terminal gives it. */
const PASTE = new TextEncoder().encode("x".repeat(1_000_000));
const PIECE = 4095;

Deno.test("who has pasted a megabyte to a program that never reads can still leave", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script = "stty raw -echo; echo raw; exec sleep 1000";
  const paths = await startTerminal(dir, "a", ["sh", "-c", script]);
  await waitForScreen("a", /raw/, { root: dir });
  const { attached, writer } = await attachStream(dir, "a");
  for (let at = 0; at < PASTE.length; at += PIECE) {
    await writer.write(PASTE.subarray(at, at + PIECE));
  }
  await writer.write(new TextEncoder().encode("\x1c"));
  assertEquals(await attached.done, { detached: true });
  await until(() => terminalStatusAt(paths, true)!.clients === 0, "0", 5000);
});

Deno.test("a megabyte that is pasted to a slow program arrives whole", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const program = `
import os, time, tty
tty.setraw(0)
os.write(1, b"ready")
n = 0
while n < 1000000:
    n += len(os.read(0, 4095))
    if n % 3 == 0: time.sleep(0.001)
os.write(1, b"\\r\\n%d" % n)
os.read(0, 1)
`;
  await startTerminal(dir, "a", ["python3", "-c", program]);
  await waitForScreen("a", /ready/, { root: dir });
  const { attached, writer } = await attachStream(dir, "a");
  for (let at = 0; at < PASTE.length; at += PIECE) {
    await writer.write(PASTE.subarray(at, at + PIECE));
  }
  const signal = AbortSignal.timeout(30_000);
  await waitForScreen("a", /^1000000$/m, { root: dir, signal });
  attached.detach();
  await attached.done;
});

Deno.test("sendKeys() types nothing once its caller has left before its turn", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    `stty raw -echo; echo set; until [ -e "${dir}/go" ]; do sleep 0.02; done; exec cat`;
  const paths = await startTerminal(dir, "a", ["sh", "-c", script]);
  await waitForScreen("a", /set/, { root: dir });
  const options = { root: dir, timeoutMs: 20_000 };
  const first = sendKeys("a", [{ text: "x".repeat(30_000) }], options);
  const brief = () => ({ ...options, signal: AbortSignal.timeout(50) });
  await until(() =>
    sendKeys("a", [{ text: "" }], brief()).then(() => false, () => true)
  );
  const leave = new AbortController();
  const { signal } = leave;
  const second = sendKeys("a", [{ text: "second" }], { ...options, signal });
  const left = assertRejects(() => second);
  const third = sendKeys("a", [{ text: "third" }], options);
  // Its connection is made by then: it comes before the answer to this one.
  await readScreen("a", { root: dir });
  leave.abort();
  await left;
  await readScreen("a", { root: dir });
  Deno.writeTextFileSync(`${dir}/go`, "");
  await Promise.all([first, third]);
  await waitForScreen("a", /third/, { root: dir });
  assert(!Deno.readTextFileSync(paths.stdout).includes("second"));
});

Deno.test("sendKeys() types each request whole when several come at once, and people between them", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script = "stty -echo; echo set; exec cat";
  const paths = await startTerminal(dir, "a", ["sh", "-c", script]);
  await waitForScreen("a", /set/, { root: dir });
  const { attached, writer } = await attachStream(dir, "a");
  const texts = ["1", "2", "3", "4"].map((digit) => digit.repeat(20));
  const sending = Promise.all(
    texts.map((text) =>
      sendKeys("a", [{ text }, { key: "enter" }], { root: dir })
    ),
  );
  let isOver = false;
  sending.finally(() => isOver = true);
  await until(async () => {
    await writer.write(new TextEncoder().encode("x\r"));
    return isOver;
  });
  await sending;
  await writer.write(new TextEncoder().encode("end\r\x1c"));
  await attached.done;
  await waitForScreen("a", /end/, { root: dir });
  const lines = Deno.readTextFileSync(paths.stdout).split("\r\n");
  assertEquals(lines.filter((line) => /\d/.test(line)).sort(), texts);
  assert(lines.includes("x"));
});
