/**
 * The tools that act, driven by the official client over real processes.
 *
 * @module
 */
import { connect } from "./client.ts";
import { decodeCursor } from "../../mcp/cursor.ts";
import { readLog } from "../../client/logs.ts";
import { waitForSession } from "../../client/wait.ts";
import { terminalStatus } from "../../client/terminal_status.ts";
import { createSession } from "../../session/create.ts";
import { getSession, listSessions } from "../../session/find.ts";
import { readText } from "../../client/text.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";

/** Makes a program that prints its arguments, one in each line. */
function makeAgent(dir: string, name: string, script = ""): void {
  const text = `#!/bin/sh\nprintf '<%s>\\n' "$@"\n${script}`;
  Deno.writeTextFileSync(`${dir}/${name}`, text, { mode: 0o700 });
}

/** The output of a session once it has ended. */
async function outputOf(id: string, root: string): Promise<string> {
  await waitForSession(id, { root });
  return await readText(id, { root });
}

Deno.test("start_session starts a command as it is, where and with what it is told", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const cwd = Deno.makeTempDirSync({ dir: root.dir, prefix: "." });
  await using server = await connect(root.dir, { cwd: root.dir });
  const started = await server.call("start_session", {
    command: ["sh", "-c", 'pwd; echo "$1 $TOKEN"', "sh", "$HOME; ls *"],
    cwd: cwd.slice(root.dir.length + 1),
    env: { TOKEN: "hush" },
    labels: { task: "7" },
  });
  const { id, kind, cursor } = started;
  assertEquals(kind, "exec");
  const { log } = decodeCursor(id, cursor);
  const createdAt = (await getSession(id, at)).createdAt.getTime();
  const beginning = { stdout: null, stderr: null, events: null, at: createdAt };
  assertEquals(log, beginning);
  assertEquals(await outputOf(id, root.dir), `${cwd}\n$HOME; ls * hush\n`);
  const { meta } = await getSession(id, at);
  assertEquals(meta?.labels, { task: "7", parent: root.dir });
  assert(!JSON.stringify(started).includes("hush"));
});

Deno.test("start_session says what is wrong with its arguments, and repeats no secret", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const command = ["true"];
  const cases: [object, string, RegExp][] = [
    [{}, "usage", /^Nothing to start: give command, or agent and prompt$/],
    [{ command, agent: "codex" }, "usage", /either command, or agent/],
    [{ command: [] }, "usage", /command must NOT have fewer than 1 items/],
    [{ command: "ls -l" }, "usage", /command must be array; it takes {/],
    [{ command, kind: "tty" }, "usage", /kind must be one of exec, repl, pty;/],
    [{ command, shell: true }, "usage", /unknown argument "shell";/],
    [{ command, labels: { parent: "x" } }, "usage", /label "parent"/],
    [{ command, env: { A: "hush\0" } }, "usage", /NUL/],
    [{ command, env: { A: ["hush"] } }, "usage", /env\/A must be string/],
    [{ command, timeout: "soon" }, "usage", /Invalid duration "soon"/],
    [{ command, id: "../x" }, "usage", /id/],
    [{ command, cwd: "/nowhere" }, "cwd_missing", /\/nowhere/],
    [{ command: ["nowhere"] }, "program_not_found", /nowhere/],
    [
      { prompt: "x".repeat(100_001) },
      "usage",
      /prompt must NOT have more than 100000 characters/,
    ],
    [{ agent: "nobody" }, "usage", /Unknown agent "nobody": use codex/],
    [{ agent: "claude", kind: "repl" }, "usage", /claude has no kind repl/],
    [{ agent: "claude", kind: "exec" }, "usage", /it needs a prompt/],
    [
      { agent: "codex", kind: "repl" },
      "program_not_found",
      /with kind repl: .*; use kind pty, or exec for one turn$/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const error = await server.refused("start_session", args);
    assertEquals(error.code, code, JSON.stringify(args));
    assertMatch(error.message, message);
    assertEquals(error.id, undefined); // It has named none.
    assert(!JSON.stringify(error).includes("hush"));
    assert(!error.message.includes("codex-session"), error.message);
  }
  assertEquals(await listSessions({ root: root.dir }), []);
});

Deno.test("start_session gives an agent its prompt, not as an option, and the user's defaults", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  makeAgent(root.dir, "claude");
  makeAgent(root.dir, "gemini", "sleep 60");
  const config = `${root.dir}/.config/codex-session`;
  Deno.mkdirSync(config, { recursive: true, mode: 0o700 });
  const defaults = '{"agent": "gemini", "size": "77x22"}';
  Deno.writeTextFileSync(`${config}/config.json`, defaults, { mode: 0o600 });
  const env = { PATH: `${root.dir}:${Deno.env.get("PATH")}` };
  await using server = await connect(root.dir, { env });
  const prompt = "--dangerously-skip-permissions";
  const turn = { agent: "claude", prompt, kind: "exec" };
  const { id, agent } = await server.call("start_session", turn);
  assertEquals(agent, "claude");
  const words = await outputOf(id, root.dir);
  assertMatch(words, /^<--session-id>\n<[\w-]+>\n<-p>\n<-->\n<--dang.*>\n$/);
  assertEquals((await getSession(id, at)).meta?.prompt, prompt);
  const own = await server.call("start_session", { prompt });
  assertEquals([own.agent, own.kind], ["gemini", "pty"]);
  assertEquals(terminalStatus(own.id, at)?.columns, 77);
  await until(async () =>
    (await readText(own.id, at))
      .includes(`<--prompt-interactive=${prompt}>`)
  );
});

Deno.test("send_input sends lines and the end of input; its cursor is from before", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  await using server = await connect(root.dir);
  const repl = { command: ["cat"], kind: "repl" };
  const { id } = await server.call("start_session", repl);
  await server.call("send_input", { id, text: "one" });
  await until(async () => await readText(id, at) === "one\n");
  const { cursor } = await server.call("send_input", { id, text: "two" });
  const key = await server.refused("send_input", { id, keys: ["enter"] });
  assertEquals(key.code, "unsupported");
  await server.call("send_input", {
    ...{ id, text: "end", enter: false, eof: true },
  });
  assertEquals(await outputOf(id, root.dir), "one\ntwo\nend");
  const since = decodeCursor(id, cursor).log;
  const chunks = await Array.fromAsync(readLog(id, { ...at, since }));
  assertEquals(await new Blob(chunks).text(), "two\nend");
  const late = await server.refused("send_input", { id, text: "x" });
  assertEquals(late.code, "wrong_state");
});

Deno.test("send_input takes 1 MB of text, and no more", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const counter = { command: ["wc", "-c"], kind: "repl" };
  const { id } = await server.call("start_session", counter);
  const text = "x".repeat(1024 * 1024);
  const more = await server.refused("send_input", { id, text: `${text}y` });
  assertEquals(more.code, "usage");
  assertMatch(more.message, /text must NOT have more than 1048576 characters/);
  const wide = await server.refused("send_input", {
    ...{ id, text: "ä".repeat(1024 * 1024) },
  });
  assertMatch(wide.message, /more than 1048576 bytes/);
  await server.call("send_input", { id, text, enter: false, eof: true });
  assertEquals(await outputOf(id, root.dir), "1048576\n");
});

Deno.test("send_input types text and keys; text is refused where it may answer a dialog", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const script = "IFS= read -r line\nprintf 'got %s\\n' \"$line\"\nsleep 60\n";
  makeAgent(root.dir, "codex", script);
  await using server = await connect(root.dir);
  const command = [`${root.dir}/codex`];
  const { id } = await server.call("start_session", { command, kind: "pty" });
  // An agent in its first seconds is waited for: this one is older.
  const old = new Date(Date.now() - 60_000);
  const { paths } = await getSession(id, at);
  const meta = JSON.parse(Deno.readTextFileSync(paths.meta));
  const text = JSON.stringify({ ...meta, createdAt: old.toISOString() });
  Deno.writeTextFileSync(paths.meta, text);
  const args = { id, text: "yes" };
  const { code, message, hint } = await server.refused("send_input", args);
  assertEquals(code, "blocked");
  assertMatch(message, /codex has not told yet .* Enter would answer$/);
  assertStringIncludes(hint, "send_input and keys");
  const wrong = await server.refused("send_input", { id, keys: ["nokey"] });
  assertEquals(wrong.code, "usage");
  const eof = await server.refused("send_input", { id, eof: true });
  assertEquals(eof.code, "unsupported");
  await server.call("send_input", { id, keys: ["a", "b"] });
  const forced = { id, text: "c", force: true, keys: ["d", "Enter"] };
  await server.call("send_input", forced);
  await until(async () => (await readText(id, at)).includes("got abcd"));
});

Deno.test("stop_session ends a session within its grace; stopping again changes nothing", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  await using server = await connect(root.dir);
  const script = "trap '' TERM; echo ready; while :; do sleep 1; done";
  const command = ["sh", "-c", script];
  const { id } = await server.call("start_session", { command });
  await until(async () => await readText(id, at) === "ready\n");
  const long = await server.refused("stop_session", { id, grace: "31s" });
  assertEquals([long.code, long.message], [
    "usage",
    'Invalid grace "31s": use 30s at most',
  ]);
  const stopped = { id, state: "exited", exit_status: 137 };
  // Two at once.
  const stop = () => server.call("stop_session", { id, grace: "100ms" });
  assertEquals(await Promise.all([stop(), stop()]), [stopped, stopped]);
  assertEquals(await stop(), stopped);
});

Deno.test("tools say what is wrong without the options of the command line", async () => {
  await using root = new TestRoot();
  const config = `${root.dir}/.config/codex-session`;
  Deno.mkdirSync(config, { recursive: true, mode: 0o700 });
  const wrong = '{"notify": "/nowhere"}';
  Deno.writeTextFileSync(`${config}/config.json`, wrong, { mode: 0o600 });
  await using server = await connect(root.dir);
  const command = ["true"];
  const start = await server.refused("start_session", { command });
  assertMatch(start.message, /the path "\/nowhere"; correct it$/);
  const idle = { id: "x", for: "idle" };
  const wait = await server.refused("wait_for_session", idle);
  assertMatch(wait.message, /"idle" needs a value, such as "idle=10s"/);
});

Deno.test("start_session offers no deletion of a session whose id is taken", async () => {
  await using root = new TestRoot();
  const command = ["sleep", "60"];
  await createSession({ root: root.dir, id: "taken", command });
  await using server = await connect(root.dir);
  const again = { id: "taken", command };
  const error = await server.refused("start_session", again);
  assertEquals(error, {
    code: "exists",
    message: 'Cannot create session "taken": the id is taken',
    id: "taken",
    hint: "choose another id, or leave it out",
  });
});

Deno.test("send_input to a session that takes no input is unsupported", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const command = ["sleep", "60"];
  const { id } = await server.call("start_session", { command });
  for (const input of [{ text: "x" }, { keys: ["y"] }, { eof: true }]) {
    const error = await server.refused("send_input", { id, ...input });
    assertEquals(error.code, "unsupported");
    assertMatch(error.message, /takes no input \(kind exec\); start_session/);
  }
});

Deno.test("delete_session deletes what has ended, and with force what runs", async () => {
  await using root = new TestRoot();
  await using server = await connect(root.dir);
  const sleeper = { command: ["sleep", "60"] };
  const { id } = await server.call("start_session", sleeper);
  const { code, message } = await server.refused("delete_session", { id });
  assertEquals(code, "wrong_state");
  assertMatch(message, /it is running; use force to stop it first$/);
  const forced = { id, force: true };
  assertEquals(await server.call("delete_session", forced), {
    id,
    deleted: true,
  });
  const { code: gone } = await server.refused("delete_session", forced);
  assertEquals(gone, "not_found");
  assertEquals(await listSessions({ root: root.dir }), []);
});

Deno.test("the tools that act touch nothing out of the scope, nor the server's own session", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const command = ["sleep", "60"];
  const other = await createSession({ ...at, kind: "repl", command });
  const own = await createSession({ ...at, kind: "repl", command });
  const env = { CODEX_SESSION_ID: own.id, CODEX_SESSION_DIR: own.paths.dir };
  for (
    const [{ id }, code] of [[other, "not_found"], [
      own,
      "unsupported",
    ]] as const
  ) {
    await using server = await connect(root.dir, { env });
    const calls: [string, object][] = [
      ["send_input", { id, text: "x" }],
      ["stop_session", { id }],
      ["delete_session", { id, force: true }],
    ];
    for (const [name, args] of calls) {
      assertEquals((await server.refused(name, args)).code, code, name);
    }
    assertEquals((await getSession(id, at)).state.state, "running");
  }
});
