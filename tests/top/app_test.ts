import { type Act, App, type Effect } from "../../top/app.ts";
import { layout } from "../../top/layout.ts";
import type { Mode } from "../../top/view.ts";
import { byUrgency, type Row } from "../../views/row.ts";
import { assert, assertEquals, assertMatch } from "../helpers.ts";
import { ago, blockedRow, endedRow, NOW, rowOf } from "./rows.ts";

/** An app that lists these rows. */
function appOf(...rows: readonly Row[]): App {
  const size = { columns: 80, rows: 24 };
  const app = new App({
    size,
    cwd: "/home/me/src",
    home: "/home/me",
    now: NOW,
  });
  list(app, ...rows);
  return app;
}

function list(app: App, ...rows: readonly Row[]): void {
  app.setRows([...rows].sort(byUrgency));
}

/** Presses keys: a name such as `enter`, or the characters of a text. */
function press(app: App, ...keys: readonly string[]): Effect[] {
  const names =
    /^(enter|escape|tab|up|down|left|right|home|end|ctrl-.|page-\w+|space)$/;
  return keys.flatMap((key) =>
    names.test(key)
      ? app.press({ name: key })
      : [...key].flatMap((text) =>
        app.press({ name: text === " " ? "space" : text, text })
      )
  );
}

/** The only effect, which is an action. */
function act([effect, ...more]: readonly Effect[]): Act {
  assertEquals(more, []);
  if (effect?.type !== "act") throw new Error(JSON.stringify(effect));
  return effect;
}

/** What has the keys, if it is this. */
function mode<Name extends Mode["name"]>(
  { mode }: App,
  name: Name,
): Extract<Mode, { name: Name }> {
  assertEquals(mode.name, name);
  return mode as Extract<Mode, { name: Name }>;
}

Deno.test("App keeps what is selected when the order changes", () => {
  const app = appOf(rowOf("a"), rowOf("b"), rowOf("c"));
  press(app, "down");
  assertEquals(app.row?.id, "b");
  list(app, rowOf("a"), rowOf("b"), blockedRow("c"), blockedRow("d"));
  assertEquals([app.row?.id, app.list.index], ["b", 3]);
  // Gone: what has its place is selected.
  list(app, rowOf("a"), blockedRow("c"), blockedRow("d"));
  assertEquals([app.row?.id, app.list.index], ["a", 2]);
});

Deno.test("App takes a later session with the same id for another one", () => {
  const app = appOf(rowOf("a"), rowOf("b"));
  app.setPane(["of the first"]);
  press(app, "x");
  list(app, rowOf("a", { born: ago(1) }), rowOf("b"));
  assertEquals(app.list.pane, []);
  // The question was about the first one.
  assertEquals(act(press(app, "y")).args, { id: "a", born: ago(3600) });
});

Deno.test("App asks before it stops, deletes or restarts, and names the session", () => {
  for (
    const [key, row, question, args] of [
      ["x", rowOf("a"), /^Stop "a"\?/, {}],
      ["d", endedRow("a"), /^Delete "a" and/, {}],
      ["d", rowOf("a"), /^"a" is running. Stop it, and/, { force: true }],
      ["R", endedRow("a"), /^Run the command of "a" again/, {}],
    ] as const
  ) {
    const app = appOf(row);
    assertEquals(app.press({ paste: key }), []);
    assertEquals(app.mode.name, "list", "A paste asks nothing.");
    for (const no of ["n", "escape", "enter", "q", "ctrl-c"]) {
      assertEquals(press(app, key), []);
      assertMatch(mode(app, "ask").question, question);
      assertEquals(press(app, no), []);
      assertEquals(app.mode.name, "list");
    }
    press(app, key);
    // A paste is no key, nor is any other one.
    assertEquals(app.press({ paste: "y" }), []);
    assertEquals(press(app, "x", "d", "space"), []);
    assertEquals(act(press(app, "y")).args, {
      id: "a",
      born: row.born,
      ...args,
    });
  }
});

Deno.test("App says why something can't be done", () => {
  for (
    const [key, row, why] of [
      ["s", rowOf("a", { kind: "exec", can: [] }), /takes no input/],
      ["s", endedRow("a"), /Cannot send to "a": it is over: exited 0/],
      ["x", endedRow("a"), /Cannot stop "a"/],
      ["r", rowOf("a"), /Cannot resume "a": it is running/],
      ["R", rowOf("a"), /Cannot restart "a": it is running/],
    ] as const
  ) {
    const app = appOf(row);
    assertEquals(press(app, key), []);
    assertMatch(app.notice!.text, why);
    press(app, "down");
    assertEquals(app.notice, null);
  }
  const empty = appOf();
  assertEquals(press(empty, "x", "enter", "s"), []);
  assertMatch(empty.notice!.text, /No session is selected/);
});

Deno.test("App attaches to a terminal that runs, and shows the log of any other", () => {
  const app = appOf(rowOf("a"), endedRow("b"));
  const [effect] = press(app, "enter");
  assertEquals(effect, { type: "attach", row: app.list.rows[0]! });
  press(app, "down", "enter");
  assertEquals([app.mode.name, app.logOf?.id], ["pages", "b"]);
  app.addLines(Array.from({ length: 100 }, (_, i) => `line ${i}`));
  const shown = () => {
    const { rows, offset } = mode(app, "pages").pages;
    return rows[offset];
  };
  // It follows, until the user scrolls.
  assertEquals(shown(), "line 78");
  press(app, "up", "up");
  app.addLines(["line 100"]);
  assertEquals(shown(), "line 76");
  press(app, "end");
  app.addLines(["line 101"]);
  assertEquals(shown(), "line 80");
  press(app, "home");
  // What goes at the beginning doesn't move what is read.
  press(app, "page-down");
  assertEquals(shown(), "line 21");
  app.addLines(Array.from({ length: 9908 }, (_, i) => `more ${i}`));
  assertEquals(shown(), "line 21");
  press(app, "q");
  assertEquals([app.mode.name, app.logOf, app.row?.id], ["list", null, "b"]);
});

Deno.test("App sends a line, and asks again if a dialog would take it for its answer", () => {
  const app = appOf(rowOf("a"));
  press(app, "s", "hello x");
  const sent = act(press(app, "enter"));
  assertEquals([sent.action, sent.args], ["send", {
    id: "a",
    born: ago(3600),
    text: "hello x",
  }]);
  app.begin(sent);
  assertEquals(app.doing, 'Sending to "a"…');
  app.fail(
    sent,
    "blocked",
    'Cannot send text to "a": it waits for a permission',
  );
  assertEquals(app.doing, null);
  assertMatch(
    mode(app, "ask").question,
    /waits for a permission. Send it anyway\?$/,
  );
  press(app, "n");
  // What was not sent is not lost.
  assertEquals(app.notice?.text, 'Not sent; s on "a" has the text again');
  press(app, "s");
  const again = act(press(app, "enter"));
  assertEquals(again.args.text, "hello x");
  app.fail(again, "blocked", "blocked");
  const forced = act(press(app, "y"));
  assertEquals([forced.args.text, forced.args.force], ["hello x", true]);
  app.finish(forced, {});
  assertEquals(app.notice?.text, 'Sent to "a"');
  press(app, "s");
  assertEquals(press(app, "enter"), []);
});

Deno.test("App asks nothing by itself while its user types something else", () => {
  const app = appOf(rowOf("a"), rowOf("b"));
  press(app, "s", "one");
  const sent = act(press(app, "enter"));
  press(app, "down", "s", "tr");
  app.fail(sent, "blocked", "it waits");
  press(app, "y");
  assertEquals(mode(app, "line").editor.text, "try");
});

Deno.test("App filters while the user types, and Escape shows all again", () => {
  const app = appOf(rowOf("web"), rowOf("api"), endedRow("web-2"));
  press(app, "/", "web");
  assertEquals(app.list.rows.map(({ id }) => id), ["web", "web-2"]);
  press(app, "down", "enter");
  assertEquals([app.mode.name, app.row?.id], ["list", "web-2"]);
  press(app, "escape");
  assertEquals([app.list.filter, app.list.rows.length, app.row?.id], [
    "",
    3,
    "web-2",
  ]);
  press(app, "/", "api", "escape");
  assertEquals(app.list.rows.length, 3);
});

Deno.test("App lists the sessions with a label that the user chooses", () => {
  const app = appOf(
    rowOf("a", { labels: { team: "x" } }),
    rowOf("b", { labels: { team: "y" } }),
    rowOf("c", { labels: { team: "x" } }),
  );
  press(app, "l");
  assertEquals(mode(app, "labels").choices, [
    { label: null, count: 3 },
    { label: "team=x", count: 2 },
    { label: "team=y", count: 1 },
  ]);
  press(app, "down", "enter");
  assertEquals(app.list.rows.map(({ id }) => id), ["a", "c"]);
  press(app, "l", "home", "enter");
  assertEquals(app.list.rows.length, 3);
  const bare = appOf(rowOf("a"));
  press(bare, "l");
  assertMatch(bare.notice!.text, /No session has a label/);
});

Deno.test("App starts an agent that is installed, the usual one first", () => {
  const app = appOf(rowOf("a"));
  const agents = act(press(app, "n"));
  assertEquals(agents.action, "agents");
  app.finish(agents, {
    agents: [{ name: "codex" }, { name: "claude" }],
    usual: "claude",
  });
  press(app, "enter", "ctrl-u", "~/web", "tab", "fix it");
  const start = act(press(app, "enter"));
  assertEquals(start.args, { agent: "claude", prompt: "fix it", cwd: "~/web" });
  app.begin(start);
  // The new one is selected, whichever comes first.
  app.finish(start, { id: "new" });
  list(app, rowOf("a"), rowOf("new"));
  assertEquals([app.row?.id, app.notice?.text], ["new", 'Started "new"']);
  const other = act(
    press(app, "n", "right", "right", "down", "sh -c 'a  b'", "enter", "enter")
      .slice(1),
  );
  assertEquals(other.args, {
    command: ["sh", "-c", "a  b"],
    kind: "pty",
    cwd: "~/src",
  });
});

Deno.test("App tells which labels it was started for, and starts sessions with them", () => {
  const size = { columns: 80, rows: 24 };
  const onlyLabels = ["team", "project=a=b"];
  const app = new App({ size, cwd: "/", onlyLabels, only: () => false });
  list(app, rowOf("a"));
  const text = layout(app, size).rows.join("\n");
  assertMatch(text, /-l team.*-l project=a=b/);
  assertMatch(text, /No session has -l team -l project=a=b; press n/);
  press(app, "n", "tab", "sh");
  const start = act(press(app, "enter", "enter"));
  assertEquals(start.args.labels, { project: "a=b" });
});

Deno.test("App keeps what was entered for a session that can't be started", () => {
  const app = appOf();
  press(app, "n", "tab", "'sh", "enter");
  assertEquals(press(app, "enter"), []);
  assertMatch(app.notice!.text, /quote/i);
  press(app, "up", "'");
  const start = act(press(app, "enter", "enter"));
  assertEquals(start.args.command, ["sh"]);
  app.fail(start, "failed", "Cannot start sh: why");
  assertMatch(app.notice!.text, /why/);
  assertEquals(mode(app, "form").form.editors.command.text, "'sh'");
});

Deno.test("App resumes with a prompt or without, and selects the new session", () => {
  const app = appOf(endedRow("a"));
  press(app, "r");
  assertEquals(act(press(app, "enter")).args, { id: "a", born: ago(3600) });
  const resume = act(press(app, "r", "go on", "enter"));
  assertEquals(resume.args.prompt, "go on");
  app.note(resume, "options are not carried over");
  app.finish(resume, { id: "b" });
  assertEquals(
    app.notice?.text,
    'Resumed "a" as "b"; options are not carried over',
  );
  list(app, endedRow("a"), rowOf("b"));
  assertEquals(app.row?.id, "b");
});

Deno.test("App shows an answer in rows of the terminal's width, also after a resize", () => {
  const app = appOf(rowOf("a"));
  const answer = act(press(app, "a"));
  app.finish(answer, { text: `${"word ".repeat(40)}\nend` });
  assertEquals(mode(app, "pages").pages.rows.length, 4);
  app.resize({ columns: 40, rows: 10 });
  assertEquals(mode(app, "pages").pages.rows.length, 6);
  assert(mode(app, "pages").pages.rows.every(({ length }) => length <= 40));
});

Deno.test("App leaves at once, but says first what is going on", () => {
  const app = appOf(rowOf("a"));
  assertEquals(press(app, "q"), [{ type: "leave" }]);
  assertEquals(press(app, "ctrl-c"), [{ type: "leave" }]);
  const stop = act(press(app, "x", "y"));
  app.begin(stop);
  assertEquals(press(app, "q"), []);
  assertMatch(app.notice!.text, /^Stopping "a"… q again leaves/);
  assertEquals(press(app, "q"), [{ type: "leave" }]);
});

Deno.test("App lists only the sessions that the call has chosen", () => {
  const size = { columns: 80, rows: 24 };
  const app = new App({ size, cwd: "/", only: ({ labels }) => "t" in labels });
  app.setRows([rowOf("a"), rowOf("b", { labels: { t: "1" } })]);
  assertEquals(app.list.rows.map(({ id }) => id), ["b"]);
  assertEquals(app.list.counts.working, 1);
});

Deno.test("App harms no session without y, whatever is typed, and always has a picture", () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return Math.floor(seed / 65536) % below;
  };
  const names = [
    ..."abcdefghijklmnopqrstuvwxz?/GRNX ",
    ...["enter", "escape", "tab", "up", "down", "left", "right", "home", "end"],
    ...["page-up", "page-down", "backspace", "ctrl-c", "ctrl-u", "f1"],
  ];
  const sizes = [[40, 10], [80, 24], [81, 12], [300, 100], [12, 2]];
  const app = appOf();
  for (let i = 0; i < 5000; i++) {
    const name = names[random(names.length)]!;
    const effects = name === "f1"
      ? app.press({ paste: "y漢字 \n" })
      : app.press(name.length === 1 ? { name, text: name } : { name });
    for (const effect of effects) {
      if (effect.type !== "act") continue;
      assert(!["stop", "delete", "restart"].includes(effect.action));
      app.begin(effect);
      if (random(2) === 0) app.fail(effect, "blocked", "why ".repeat(20));
      else {
        const agents = [{ name: "codex" }];
        app.finish(effect, { id: "s1", text: "a\nb", agents, usual: "codex" });
      }
    }
    if (random(5) === 0) {
      const count = random(40);
      list(
        app,
        ...Array.from(
          { length: count },
          (_, i) =>
            random(2) === 0
              ? rowOf(`s${i}`, { line: "漢".repeat(random(200)) })
              : endedRow(`s${i}`, { labels: { n: `${i % 3}` } }),
        ),
      );
      app.addLines(Array(random(50)).fill("x".repeat(random(300))));
    }
    if (random(20) === 0) {
      const [columns, rows] = sizes[random(sizes.length)]!;
      app.resize({ columns: columns!, rows: rows! });
    }
    const { rows, cursor } = layout(app, app.size);
    assertEquals(rows.length, app.size.rows);
    assert((cursor?.row ?? 0) < app.size.rows, name);
    assert((cursor?.column ?? 0) < app.size.columns, name);
    assert(app.list.rows.length === 0 || app.row !== undefined);
  }
});
