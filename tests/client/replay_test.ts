/**
 * The last screen of an ended terminal session, whatever its agent has left in the directory.
 */
import { newMeta, type Paths, pathsFor } from "../../store.ts";
import { prepare } from "../../process/prepare.ts";
import { readScreen } from "../../client/terminal.ts";
import { terminalStatusAt } from "../../client/terminal_status.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

/** The files of a terminal session that has run. */
function leave(root: TestRoot): Paths {
  const paths = pathsFor("a", { root: root.dir });
  Deno.mkdirSync(paths.dir, { mode: 0o700 });
  const meta = { id: "a", kind: "pty", argv: ["x"], cwd: "/" } as const;
  prepare(paths, newMeta(meta))[Symbol.dispose]();
  Deno.writeTextFileSync(paths.stdout, "from the journal\r\n");
  const status = { agent: 1, columns: 40, rows: 3, clients: 0 };
  Deno.writeTextFileSync(`${paths.dir}/terminal.json`, JSON.stringify(status));
  return paths;
}

const FROM_JOURNAL = ["from the journal", "", ""];

Deno.test("readScreen() of an ended session shows no escape sequence that its files hold", async () => {
  using root = new TestRoot();
  const paths = leave(root);
  const evil = "\x1b[1mbold\x1b[m\x1b]52;c;AAAA\x1b\\\x1b[2J\x9b6n\u202e";
  const last = {
    ...{ columns: 40, rows: 1, lines: [evil], scrollback: 0 },
    ...{ title: evil, alternate: false, redraw: evil },
    cursor: { column: 0, row: 0, visible: true },
  };
  Deno.writeTextFileSync(`${paths.dir}/screen.json`, JSON.stringify(last));
  const plain = await readScreen("a", { root: root.dir });
  assertEquals(plain.lines, ["bold6n"]);
  assertEquals(plain.title, "[1mbold[m]52;c;AAAA\\[2J6n");
  const { lines } = await readScreen("a", { root: root.dir, ansi: true });
  assertEquals(lines, ["\x1b[1mbold\x1b[m6n"]);
});

Deno.test("readScreen() of an ended session follows and waits for nothing in the place of its files", async () => {
  using root = new TestRoot();
  const paths = leave(root);
  const last = `${paths.dir}/screen.json`;
  const outside = `${root.dir}/outside`;
  Deno.writeTextFileSync(outside, "secret");
  const replace = {
    link: (path: string) => Deno.symlinkSync(outside, path),
    pipe: (path: string) => void fifo(path),
    folder: (path: string) => Deno.mkdirSync(path),
    garbage: (path: string) => Deno.writeTextFileSync(path, "{]"),
    nonsense: (path: string) =>
      Deno.writeTextFileSync(path, '{"lines":[1],"columns":1e9,"redraw":""}'),
    zeros: (path: string) => {
      Deno.writeTextFileSync(path, "");
      Deno.truncateSync(path, 1e10);
    },
  };
  for (const put of Object.values(replace)) {
    put(last);
    const { lines } = await readScreen("a", { root: root.dir });
    assertEquals(lines, FROM_JOURNAL, put.name);
    Deno.removeSync(last, { recursive: true });
  }
  for (const put of [replace.link, replace.pipe, replace.folder]) {
    Deno.removeSync(paths.stdout, { recursive: true });
    put(paths.stdout);
    const { lines } = await readScreen("a", { root: root.dir });
    assertEquals(lines, ["", "", ""], put.name);
  }
});

function fifo(path: string): void {
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
}

Deno.test("terminalStatusAt() takes numbers that can be, and no others", async () => {
  using root = new TestRoot();
  const paths = leave(root);
  const status = (text: string) => {
    Deno.writeTextFileSync(`${paths.dir}/terminal.json`, text);
    const { lastOutputAt: _, ...rest } = terminalStatusAt(paths, true) ?? {};
    return rest;
  };
  const right = { agent: 5, columns: 40, rows: 3, clients: 2 };
  assertEquals(status(JSON.stringify(right)), {
    ...right,
    alternate: false,
    hasDropped: false,
  });
  const more = { ...right, alternate: true };
  const dropped = JSON.stringify({ ...more, dropped: true });
  assertEquals(status(dropped), { ...more, hasDropped: true });
  const none = {
    ...{ agent: 0, columns: 0, rows: 0, clients: 0 },
    ...{ alternate: false, hasDropped: false },
  };
  const wrong = { agent: -1, columns: 1e9, rows: 1.5, clients: "\x1b[2J" };
  assertEquals(status(JSON.stringify(wrong)), none);
  assertEquals(status("[]"), none);
  for (const text of ["5", '"x"', "null", "{", `{}${" ".repeat(70_000)}`]) {
    assertEquals(status(text), {});
  }
  // A size that can't be is the usual one.
  status(JSON.stringify(wrong));
  const { columns, rows } = await readScreen("a", { root: root.dir });
  assertEquals([columns, rows], [120, 40]);
});
