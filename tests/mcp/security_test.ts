/**
 * What docs/security.md promises of the server, sentence by sentence, against every tool that there
 * is.
 *
 * @module
 */
import { createSession, waitFor } from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  PROJECT,
  TestRoot,
} from "../helpers.ts";
import { HARMFUL } from "../../screen/clean_text.ts";
import { connect, type Connection } from "./client.ts";

/** What a tool needs besides the id of a session. */
const ARGUMENTS: Readonly<Record<string, object>> = {
  ask_agent: { prompt: "x", timeout: "200ms" },
  send_input: { text: "x" },
  wait_for_session: { timeout: "200ms" },
};

/** The tools that take the id of a session, and whether they only look. */
async function toolsOn({ client }: Connection) {
  const { tools } = await client.listTools();
  const takesId = tools.filter(({ inputSchema }) =>
    inputSchema.required?.includes("id")
  );
  assert(takesId.length >= 8);
  return takesId.map(({ name, annotations }) => {
    return { name, looks: annotations?.readOnlyHint === true };
  });
}

const given = (name: string, id: string) => ({ id, ...ARGUMENTS[name] });

Deno.test("mcp: every tool finds a session outside of the scope as little as one that doesn't exist", async () => {
  await using root = new TestRoot();
  const command = ["sleep", "600"];
  await createSession({ root: root.dir, id: "stranger", command });
  await using server = await connect(root.dir);
  for (const { name } of await toolsOn(server)) {
    const errors = [];
    for (const id of ["stranger", "nobody"]) {
      const error = await server.refused(name, given(name, id));
      assertEquals(error.code, "not_found", name);
      errors.push(JSON.stringify(error).replaceAll(id, "ID"));
    }
    assertEquals(errors[0], errors[1], name);
  }
});

Deno.test("mcp --all: every tool that acts refuses the server's own session", async () => {
  await using root = new TestRoot();
  const { id, paths } = await createSession({
    root: root.dir,
    command: ["sleep", "600"],
  });
  const env = { CODEX_SESSION_ID: id, CODEX_SESSION_DIR: paths.dir };
  await using server = await connect(root.dir, { args: ["--all"], env });
  for (const { name, looks } of await toolsOn(server)) {
    if (looks) continue;
    const error = await server.refused(name, given(name, id));
    assertEquals(error.code, "unsupported", name);
    assertStringIncludes(error.message, "this server runs in it");
  }
});

/** The strings in JSON, names included. */
function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  if (typeof value !== "object" || value === null) return;
  yield* Object.keys(value);
  for (const one of Object.values(value)) yield* stringsIn(one);
}

Deno.test("mcp: no result has control characters, or a value of the environment", async () => {
  await using root = new TestRoot();
  const evil = "\u001b]0;title\u0007\u001b[31mred\u009b2J\u202e\u{e0041}";
  const script = `printf '${evil}\\n' | tee /dev/stderr; exec sleep 600`;
  const cwd = `${root.dir}/.${evil.replace("/", "")}`;
  Deno.mkdirSync(cwd);
  await using server = await connect(root.dir);
  const results: unknown[] = [];
  // A terminal's output is drawn, a file's is not: each has cleaning of its own.
  for (const kind of ["pty", "repl"]) {
    const { id } = await server.call("start_session", {
      ...{ kind, cwd, env: { SECRET: "hidden-value" } },
      command: ["sh", "-c", script, `word ${evil}`],
    });
    await waitFor(id, { for: "output", pattern: /red/ }, { root: root.dir });
    const call = async (name: string, more: object = {}) =>
      results.push(
        await server.client.callTool({
          name,
          arguments: { ...given(name, id), ...more },
        }),
      );
    for (const { name } of await toolsOn(server)) {
      if (/delete|stop/.test(name)) continue;
      await call(name);
      await call(name, { id: `x${evil}` });
    }
    await call("wait_for_session", { for: "output=red.*" });
    results.push(await server.call("list_sessions"));
    await call("stop_session");
  }
  assertStringIncludes(JSON.stringify(results), "red");
  for (const text of stringsIn(results)) {
    assert(text.replace(/[\n\t]/g, "").search(HARMFUL) < 0, text);
    assert(!text.includes("hidden-value"), text);
  }
});

Deno.test("mcp: no shell interprets the words of a command", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const words = ["$(id)", "`id`", "; id", "a\nb"];
  const { id } = await server.call("start_session", {
    command: ["printf", "%s|", ...words],
  });
  await server.call("wait_for_session", { id });
  const { text } = await server.call("read_output", { id });
  assertEquals(text.trimEnd(), words.map((word) => `${word}|`).join(""));
});

Deno.test({
  name: "mcp: a server has no port, and no socket that takes connections",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using root = new TestRoot();
    await using server = await connect(root.dir);
    await server.call("list_sessions");
    const proc = `/proc/${server.pid}`;
    const lines = ["tcp", "tcp6", "udp", "udp6", "unix"].flatMap((name) =>
      Deno.readTextFileSync(`${proc}/net/${name}`).trim().split("\n").slice(1)
        // Of those with a name in the file system, what listens has this flag.
        .filter((line) => name !== "unix" || / 00010000 /.test(line))
    );
    const open = new Set(lines.flatMap((line) => line.trim().split(/\s+/)));
    for (const { name } of Deno.readDirSync(`${proc}/fd`)) {
      try {
        const link = Deno.readLinkSync(`${proc}/fd/${name}`);
        const [, inode] = /^socket:\[(\d+)\]$/.exec(link) ?? [];
        assert(inode === undefined || !open.has(inode), link);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  },
});

Deno.test("docs/security.md names only tools that exist", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir);
  const { tools } = await server.client.listTools();
  const page = Deno.readTextFileSync(`${PROJECT}docs/security.md`);
  const start = page.indexOf("## The MCP server");
  const section = page.slice(start, page.indexOf("\n## ", start + 1));
  const named = [...section.matchAll(/`([a-z]+_[a-z_]+)`/g)]
    .map(([, name]) => name).filter((name) => name !== "not_found");
  assert(named.length >= 3);
  for (const name of named) assert(tools.some((tool) => tool.name === name));
});

Deno.test("mcp: no prompt is a command of its agent, whatever stands before the sign", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const hidden = ["", " \t", "\r\n", "\0", "\u00a0", "\u200b", "\u3164"];
  const commands = hidden.flatMap((one) => [`${one}!touch x`, `${one}/exit`]);
  // Claude Code leaves out escape sequences.
  commands.push(
    "\x1b[31m!touch x",
    "\x1b]0;x\x07!touch x",
    "x\x7f\x7f!touch x",
  );
  for (const prompt of commands) {
    const what = JSON.stringify(prompt);
    const asked = { id: "nobody", prompt };
    const started = { agent: "codex", prompt };
    for (
      const error of [
        await server.refused("ask_agent", asked),
        await server.refused("start_session", started),
      ]
    ) {
      assertEquals(error.code, "usage", what);
      assertMatch(error.message, /begin with a word|control characters/, what);
    }
  }
  for (const prompt of ["say hi!", "see /etc\n!important", "-/!", "äö\t👩‍💻"]) {
    const asked = { id: "nobody", prompt };
    const { code } = await server.refused("ask_agent", asked);
    assertEquals(code, "not_found", prompt);
  }
});
