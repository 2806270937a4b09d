/** A program that attaches, detaches and goes on, on a real terminal. */
import { readScreen } from "../../client/terminal.ts";
import { stopSession } from "../../session/stop.ts";
import { assert, assertEquals, PROJECT, TestRoot, until } from "../helpers.ts";
import { startTerminal, TestWindow } from "../pty.ts";

const program = (root: string) => [
  ...[Deno.execPath(), "run", "-A", "--no-lock"],
  ...[`${PROJECT}tests/client/own_terminal_main.ts`, root, "a"],
];

Deno.test("openKeyboard() gets the first key after detaching, and attaching again works", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await TestWindow.open(program(dir));
  await term.shows(/ready/);
  await until(() => term.isRaw);
  term.type("first\r");
  await term.shows(/first\nfirst/);
  term.type("\x1c");
  await term.shows(/1 detached/);
  await until(() => term.isRaw);
  term.type("a");
  await term.shows(/key "a"/);
  term.type("q");
  await term.shows(/first\nfirst/);
  await until(() => /ready/.test(term.text) && term.isRaw);
  term.type("second\r");
  await term.shows(/second\nsecond/);
  // What is typed behind the keys that detach is the program's.
  term.type("\x1cxy");
  await term.shows(/2 detached\n(.|\n)*key "x"\n(.|\n)*key "y"/);
  term.type("q");
  await term.shows(/over/);
  assertEquals((await term.ended()).code, 0);
  const { lines } = await readScreen("a", { root: dir });
  assert(!/key|x|q/.test(lines.join("\n")), lines.join("\n"));
});

Deno.test("openKeyboard() gets the first key after the session has ended", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await TestWindow.open(program(dir));
  await term.shows(/ready/);
  await stopSession("a", { root: dir });
  await term.shows(/1 exited/);
  await until(() => term.isRaw);
  term.type("a");
  await term.shows(/key "a"/);
});
