/** A program that attaches, detaches and goes on, on a real terminal. */
import { readScreen } from "../../client/terminal.ts";
import { stopSession } from "../../session/stop.ts";
import { assert, assertEquals, PROJECT, TestRoot, until } from "../helpers.ts";
import { startTerminal, TestWindow } from "../pty.ts";

const program = (root: string, ...ids: string[]) => [
  ...[Deno.execPath(), "run", "-A", "--no-lock"],
  ...[`${PROJECT}tests/client/own_terminal_main.ts`, root, ...ids],
];

Deno.test("openKeyboard() gets the first key after detaching, and attaching again works", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await TestWindow.open(program(dir, "a", "a"));
  await term.shows(/ready/);
  await until(() => term.isRaw);
  term.type("first\r");
  await term.shows(/first\nfirst/);
  term.type("\x1c");
  await term.shows(/a detached/);
  await until(() => term.isRaw);
  term.type("a");
  await term.shows(/key "a"/);
  term.type("q");
  await term.shows(/first\nfirst/);
  await until(() => /ready/.test(term.text) && term.isRaw);
  term.type("second\r");
  await term.shows(/second\nsecond/);
  term.type("\x1c");
  await term.shows(/a detached/);
  term.type("q");
  await term.shows(/over/);
  assertEquals((await term.ended()).code, 0);
  const { lines } = await readScreen("a", { root: dir });
  assert(!/key|q/.test(lines.join("\n")), lines.join("\n"));
});

Deno.test("attachConsole() gives keys behind those that detach to nobody", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  for (const id of ["a", "b"]) {
    await startTerminal(dir, id, ["sh", "-c", `echo ${id} is here; exec cat`]);
  }
  await using term = await TestWindow.open(program(dir, "a", "b"));
  await term.shows(/a is here/);
  await until(() => term.isRaw);
  term.type("\x1cxq\r");
  await term.shows(/a detached/);
  await until(() => term.isRaw);
  term.type("q");
  await term.shows(/b is here/);
  await until(() => term.isRaw);
  term.type("typed\r");
  await term.shows(/typed\ntyped/);
  const screen = await readScreen("b", { root: dir });
  assertEquals(screen.lines.slice(0, 3), ["b is here", "typed", "typed"]);
  assert(!/key "[^q]/.test(term.output), term.output);
  assertEquals(term.output.split('key "q"').length, 2);
});

Deno.test("openKeyboard() gets the first key after the session has ended", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await startTerminal(dir, "a", ["sh", "-c", "echo ready; exec cat"]);
  await using term = await TestWindow.open(program(dir, "a"));
  await term.shows(/ready/);
  await stopSession("a", { root: dir });
  await term.shows(/a exited/);
  await until(() => term.isRaw);
  term.type("a");
  await term.shows(/key "a"/);
});
