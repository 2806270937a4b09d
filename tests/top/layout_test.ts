// deno-lint-ignore-file no-control-regex
import { widthOf } from "../../cli/format.ts";
import { App } from "../../top/app.ts";
import type { Size } from "../../top/frame.ts";
import { layout, untilNextAge } from "../../top/layout.ts";
import { scrollTo } from "../../top/list.ts";
import { assert, assertEquals, assertMatch } from "../helpers.ts";
import type { Row } from "../../views/row.ts";
import { ago, blockedRow, endedRow, NOW, rowOf } from "./rows.ts";

const SIZES: readonly Size[] = [
  [40, 10],
  [40, 30],
  [80, 24],
  [81, 24],
  [120, 40],
  [300, 100],
].map(([columns, rows]) => ({ columns: columns!, rows: rows! }));

/** An app that shows these rows. */
function appOf(
  rows: readonly Row[],
  { columns = 80, rows: height = 24, color = true } = {},
): App {
  const size = { columns, rows: height };
  const app = new App({ size, cwd: "/src", now: NOW, color });
  app.setRows(rows);
  return app;
}

/** The rows of its picture without styles; a column that begins elsewhere is put there. */
function textOf(app: App): string[] {
  return layout(app, app.size).rows.map((row) => {
    let text = "";
    for (
      const part of row.replace(/\x1b\[[\d;]*m/g, "").split(/(\x1b\[\d+G)/)
    ) {
      const column = /^\x1b\[(\d+)G$/.exec(part)?.[1];
      if (column === undefined) text += part;
      else text += " ".repeat(Math.max(0, Number(column) - 1 - widthOf(text)));
    }
    return text.trimEnd();
  });
}

const many = Array.from(
  { length: 60 },
  (_, i) =>
    i % 3 === 0
      ? blockedRow(`blocked-${i}-with-a-long-name`, {
        line: "漢字 ".repeat(80),
      })
      : i % 3 === 1
      ? rowOf(`s${i}`, { agent: "claude", line: "x".repeat(400) })
      : endedRow(`e${i}`, { text: "exited 3", tone: "error", since: null }),
);

Deno.test("layout() fills each size exactly, in every mode", () => {
  for (const size of SIZES) {
    for (const keys of ["", "/ab", "l", "x", "s", "n", "?", "d"]) {
      const app = appOf(many, size);
      app.setPane(Array(100).fill(`\x1b[31m${"漢".repeat(200)}\x1b[m`));
      for (const name of keys) app.press({ name, text: name });
      const { rows, cursor } = layout(app, size);
      assertEquals(rows.length, size.rows);
      for (const text of textOf(app)) {
        assert(widthOf(text) <= size.columns, `${size.columns}: ${text}`);
      }
      assert((cursor?.column ?? 0) < size.columns);
      assert((cursor?.row ?? 0) < size.rows);
    }
  }
});

Deno.test("layout() puts the list above the pane up to 80 columns, else beside it", () => {
  const rows = [rowOf("a", { line: "hello" }), rowOf("b")];
  const narrow = appOf(rows);
  narrow.setPane(["the pane"]);
  const lines = textOf(narrow);
  assertMatch(lines[2]!, /^> a {7}working {4}1m .*hello$/);
  assertMatch(lines[9]!, /^── a · cat -n · \/src ──/);
  assertEquals(lines[10], "the pane");
  const wide = appOf(rows, { columns: 120 });
  wide.setPane(["the pane"]);
  const [, heading, first, second] = textOf(wide);
  assertMatch(heading!, /^ {2}ID +STATUS +AGE .*│ a · cat -n · \/src$/);
  assertMatch(first!, /^> a {7}working {4}1m .*│the pane$/);
  assertMatch(second!, /^ {2}b .*│$/);
});

Deno.test("layout() leaves out columns where the terminal is narrow, and keeps id, state and age", () => {
  const row = blockedRow("fix-the-login-page", {
    agent: "claude",
    line: "Do you want to proceed?",
  });
  const listed = (columns: number) => textOf(appOf([row], { columns }))[2]!;
  assertMatch(listed(40), /^> fix-the-log… {2}blocked: approve … {4}1m$/);
  assertMatch(
    listed(80),
    /^> fix-the-login-page {2}blocked: approve Bash {4}1m {2}Do you want to proceed\?$/,
  );
  assertMatch(
    listed(300),
    /blocked: approve Bash {4}1m {2}claude {2}Do you want/,
  );
});

Deno.test("layout() keeps the last lines at 120 columns while a session is blocked", () => {
  const rows = [
    blockedRow("mellow-lion", { text: "blocked: approve command" }),
    rowOf("b", { line: "all tests pass" }),
  ];
  const [, heading, first, second] = textOf(appOf(rows, { columns: 120 }));
  assertMatch(heading!, / LAST +│/);
  assertMatch(first!, /blocked: approve co\S*…/);
  assertMatch(second!, / all tests pass +│/);
});

Deno.test("layout() tells which session is selected of how many, if not all are in sight", () => {
  const app = appOf(many);
  app.press({ name: "j", text: "j" });
  assertMatch(textOf(app)[0]!, / 2\/60$/);
  assert(!/\//.test(textOf(appOf(many.slice(0, 3)))[0]!));
});

Deno.test("layout() doesn't dim a failure", () => {
  const rows = [rowOf("a"), endedRow("e", { text: "exited 3", tone: "error" })];
  const drawn = layout(appOf(rows), { columns: 80, rows: 24 }).rows[3]!;
  assertMatch(drawn, /\x1b\[1;31mexited 3/);
});

Deno.test("layout() tells a blocked session in words, and without colours, too", () => {
  const rows = [blockedRow("a"), rowOf("b")];
  const colored = layout(appOf(rows), { columns: 80, rows: 24 }).rows;
  assertMatch(colored[0]!, /\x1b\[1;33m1 blocked\x1b\[m/);
  assertMatch(colored[2]!, /\x1b\[7;1mblocked: approve Bash/);
  assertMatch(colored[3]!, /\x1b\[32mworking/);
  const plain = layout(appOf(rows, { color: false }), { columns: 80, rows: 24 })
    .rows.join("\n");
  assertMatch(plain, /\x1b\[1m1 blocked\x1b\[m/);
  assert(!/\x1b\[[\d;]*[34]\d/.test(plain), plain);
});

Deno.test("layout() says that a terminal is too small", () => {
  const [line] = textOf(appOf([rowOf("a")], { columns: 39, rows: 5 }));
  assertMatch(line!, /^Too small: needs 40x10; q quits$/);
});

Deno.test("layout() wraps a long question and shows all of it", () => {
  const id = "a".repeat(64);
  const app = appOf([rowOf(id)], { columns: 40, rows: 10 });
  app.press({ name: "x", text: "x" });
  assertEquals(textOf(app).slice(-3).join(""), `Stop"${id}"? y/n`);
});

Deno.test("layout() says what to do where there is nothing to list", () => {
  assertMatch(textOf(appOf([]))[2]!, /No sessions yet; press n/);
  const app = appOf([rowOf("a")]);
  for (const name of "/zz") app.press({ name, text: name });
  app.press({ name: "enter" });
  assertMatch(textOf(app)[2]!, /No session matches; press Escape/);
});

Deno.test("layout() scrolls the help on the smallest terminal up to its last line", () => {
  const app = appOf([], { columns: 40, rows: 10 });
  app.press({ name: "?", text: "?" });
  const first = textOf(app);
  app.press({ name: "end" });
  const last = textOf(app);
  assertMatch(first.join("\n"), /Enter/);
  assertMatch(last.join("\n"), /sessions go on/);
});

Deno.test("untilNextAge() waits for the clock, as long as all ages that are listed read the same", () => {
  const size = { columns: 80, rows: 24 };
  const of = (...seconds: number[]) => {
    const rows = seconds.map((one, i) => rowOf(`s${i}`, { since: ago(one) }));
    return untilNextAge(appOf(rows), size);
  };
  // NOW is 5 seconds after 3:04.
  assertEquals(of(0.25), 1000);
  assertEquals(of(59.5, 600), 1000);
  assertEquals(of(90, 3605), 55_000);
  assertEquals(of(3600 * 30), 60 * 60_000 - 245_000);
  assertEquals(
    untilNextAge(appOf([endedRow("a", { since: null })]), size),
    undefined,
  );
  // Those that are not shown don't count.
  const rows = Array.from(
    { length: 50 },
    (_, i) => rowOf(`s${i}`, { since: ago(i < 20 ? 3600 : 1) }),
  );
  assertEquals(untilNextAge(appOf(rows), size), 60 * 60_000 - 245_000);
});

Deno.test("scrollTo() moves as little as it can", () => {
  const of = (index: number, offset: number) =>
    scrollTo(index, offset, { height: 5, count: 20 });
  assertEquals(of(3, 0), 0);
  assertEquals(of(5, 0), 1);
  assertEquals(of(2, 8), 2);
  assertEquals(of(19, 0), 15);
  assertEquals(scrollTo(1, 5, { height: 5, count: 3 }), 0);
});
