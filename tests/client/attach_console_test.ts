/**
 * Attached consoles as a shell and the kernel treat them: their modes, being stopped and
 * continued.
 */
import { readScreen, sendKeys, waitForScreen } from "../../client/terminal.ts";
import { assert, assertEquals, TestRoot, until } from "../helpers.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

/** Writes each line that it reads after an LF alone, in whatever size. */
const PROGRAM = `
import os, tty
tty.setraw(0)
os.write(1, b"ready")
while 1: os.write(1, b"\\n" + os.read(0, 99))
`;

async function screenOf(root: string, id: string): Promise<string> {
  return (await readScreen(id, { root })).lines.join("\n");
}

Deno.test("attachConsole() shows an LF as an LF", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["python3", "-c", PROGRAM]);
  await using term = await TestWindow.open(attachCommand(root.dir, "a"));
  await term.shows(/ready/);
  await until(() => term.isRaw);
  term.type("there");
  await term.shows(/^ready\n {5}there/);
  assertEquals(term.text, await screenOf(root.dir, "a"));
});

Deno.test("attachConsole() waits for keys on a terminal that somebody made nonblocking", async () => {
  await using root = new TestRoot();
  await startTerminal(root.dir, "a", ["cat"]);
  const script = "import os, sys; os.set_blocking(0, False); " +
    "os.execvp(sys.argv[1], sys.argv[1:])";
  await using term = await TestWindow.open([
    ...["python3", "-c", script],
    ...attachCommand(root.dir, "a"),
  ]);
  await until(() => term.isRaw);
  term.type("typed\r");
  await term.shows(/^typed\ntyped/);
  term.type("\x1c");
  await term.shows(/detached from a/);
});

for (const signal of ["SIGSTOP", "SIGTSTP"] as const) {
  Deno.test(`attachConsole() takes the terminal again after ${signal}`, async () => {
    await using root = new TestRoot();
    const { dir } = root;
    const wild = "printf '\\033[?1049h\\033[?1000h\\033[?2004hdrawn'; read x";
    await startTerminal(dir, "a", ["sh", "-c", `${wild}; exec cat`]);
    // A shell with job control, as a user has it.
    await using term = await TestWindow.open(["bash", "--norc", "-i"], {
      env: { PS1: "prompt> " },
    });
    await term.shows(/prompt> /);
    const command = attachCommand(dir, "a").map((word) => `'${word}'`);
    term.type(`${command.join(" ")}\r`);
    await term.shows(/^drawn/);
    await until(() => term.isRaw);
    const client = await until(() => clientOf(term.pid), "the client");
    Deno.kill(client, signal);
    await term.shows(/Stopped/);
    if (signal === "SIGTSTP") {
      assert(!term.screen.modes.alternate && !term.screen.modes.isOn(1000));
    }
    // Meanwhile everything changes: what is drawn, the window, the terminal's modes.
    await sendKeys("a", [{ key: "enter" }, { text: "meanwhile" }], {
      root: dir,
    });
    await waitForScreen("a", /meanwhile/, {
      root: dir,
      signal: AbortSignal.timeout(10_000),
    });
    term.resize(70, 20);
    term.type("stty sane; echo '\x16\x1b[2Jmess'; fg\r");
    await until(() => term.isRaw, "raw mode");
    await term.shows(/^drawn\n?.*meanwhile/);
    await until(async () => {
      const { columns, rows, lines } = await readScreen("a", { root: dir });
      return `${columns}x${rows}` === "70x20" &&
        lines.join("\n") === term.text;
    }, "the same screen");
    assert(term.screen.modes.alternate && term.screen.modes.isOn(1000));
    assert(!/mess/.test(term.text));
    term.type("typed\r");
    await term.shows(/typed/);
    term.type("\x1c");
    await term.shows(/detached from a/);
    await until(() => !term.screen.modes.isOn(1000));
  });
}

/** The child of a shell. */
function clientOf(shell: number): number {
  const children = `/proc/${shell}/task/${shell}/children`;
  return Number(Deno.readTextFileSync(children).trim());
}
