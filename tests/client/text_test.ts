import { readText, type ReadTextOptions } from "../../client/text.ts";
import { SessionError } from "../../errors.ts";
import { newMeta, pathsFor } from "../../store.ts";
import { prepare } from "../../process/prepare.ts";
import { assertEquals, assertRejects, TestRoot } from "../helpers.ts";

/** A session with this output. */
function leave(root: TestRoot, kind: "exec" | "pty", stdout: string) {
  const paths = pathsFor("a", { root: root.dir });
  Deno.mkdirSync(paths.dir, { mode: 0o700 });
  const meta = newMeta({ id: "a", kind, argv: ["x"], cwd: "/" });
  prepare(paths, meta)[Symbol.dispose]();
  Deno.writeTextFileSync(paths.stdout, stdout);
  Deno.writeTextFileSync(paths.stderr, "bad\n");
}

Deno.test("readText() gives the output of either stream, or its end, as a string", async () => {
  using root = new TestRoot();
  leave(root, "exec", "one\ntwo \u20ac\n");
  const cases: [string, ReadTextOptions][] = [
    ["one\ntwo \u20ac\n", {}],
    ["bad\n", { stream: "stderr" }],
    ["two \u20ac\n", { tailLines: 1 }],
    ["\n", { maxBytes: 3 }], // Not half of a character.
    ["\u20ac\n", { maxBytes: 4 }],
    ["two \u20ac\n", { tailLines: 1, maxBytes: 100 }],
    ["\u20ac\n", { tailLines: 2, maxBytes: 4 }],
    ["", { maxBytes: 0 }],
  ];
  for (const [text, options] of cases) {
    const got = await readText("a", { root: root.dir, ...options });
    assertEquals(got, text, JSON.stringify(options));
  }
  const bad = { root: root.dir, maxBytes: -1 };
  await assertRejects(() => readText("a", bad), RangeError, "last -1 bytes");
  const none = () => readText("nobody", { root: root.dir });
  await assertRejects(none, SessionError, "No such session");
});

Deno.test("readText() gives the text of a terminal, without escape sequences", async () => {
  using root = new TestRoot();
  leave(root, "pty", "\x1b[31mred\x1b[m\r\n\x1b[2mdim\r\n");
  assertEquals(await readText("a", { root: root.dir }), "red\ndim\n");
  const last = { root: root.dir, tailLines: 1 };
  assertEquals(await readText("a", last), "dim\n");
});
