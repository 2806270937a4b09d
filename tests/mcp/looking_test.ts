/**
 * The tools that look, as the official client sees them, over real sessions.
 *
 * @module
 */
import { connect, type Connection } from "./client.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";
import {
  createSession,
  getSession,
  pathsFor,
  sendKeys,
  waitForSession,
} from "../../mod.ts";
import { readEntry } from "../../process/table.ts";
import { HARMFUL } from "../../screen/clean_text.ts";

/** Steers a terminal, hides text, and is more than one line. */
const EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2028\x7f\u200b\r\n\tend";

/** Fails if a string in a result holds what could steer a terminal or mislead a reader. */
function assertClean(value: unknown): void {
  if (typeof value === "string") {
    assertEquals(value.replace(/[\n\t]/g, "").match(HARMFUL), null);
  } else if (typeof value === "object" && value !== null) {
    for (const entry of Object.entries(value)) entry.forEach(assertClean);
  }
}

const bytesOf = (value: unknown) =>
  new TextEncoder().encode(
    typeof value === "string" ? value : JSON.stringify(value),
  ).length;

/** A session that has run `script` to its end. */
async function ran(root: string, script: string, id = "demo") {
  await createSession({ root, id, command: ["sh", "-c", script] });
  await waitForSession(id, { root });
}

/** Calls `read_output` until its text matches. */
async function readUntil(
  server: Connection,
  args: Readonly<Record<string, unknown>>,
  pattern: RegExp,
) {
  return await until(async () => {
    const result = await server.call("read_output", args);
    return pattern.test(result.text) && result;
  }, `${pattern}`);
}

Deno.test("list_sessions gives facts, filtered, the newest first, and counts the rest", async () => {
  using root = new TestRoot();
  const { dir } = root;
  await ran(dir, "exit 3", "first");
  const labels = { job: "x" };
  const command = ["sleep", "100"];
  await createSession({ root: dir, id: "second", command, labels });
  await using server = await connect(dir, { args: ["--all"] });
  const { sessions: [newest, ...others], left_out } = await server.call(
    "list_sessions",
  );
  assertEquals(left_out, 0);
  assertEquals(others[0].exit_status, 3);
  const { id, kind, state, status, agent } = newest;
  assertEquals(
    { id, kind, state, status, agent, command: newest.command },
    {
      id: "second",
      kind: "exec",
      state: "running",
      status: null,
      agent: null,
      command: "sleep 100",
    },
  );
  const listed = async (args: object) => {
    const { sessions, left_out } = await server.call("list_sessions", args);
    return [sessions.map(({ id }: { id: string }) => id).join(), left_out];
  };
  assertEquals(await listed({ state: "exited" }), ["first", 0]);
  assertEquals(await listed({ labels: { job: "x" } }), ["second", 0]);
  assertEquals(await listed({ labels: { toString: "x" } }), ["", 0]);
  assertEquals(await listed({ status: ["blocked"] }), ["", 0]);
  assertEquals(await listed({ limit: 1 }), ["second", 1]);
});

Deno.test("list_sessions and get_session stay clean and bounded when everything in a session is hostile", async () => {
  using root = new TestRoot();
  const { dir } = root;
  const big = EVIL.repeat(2000);
  const labels = Object.fromEntries(
    Array.from({ length: 60 }, (_, n) => [`k${n}${EVIL}`, EVIL.repeat(50)]),
  );
  for (const id of ["a", "b"]) {
    await createSession({ root: dir, id, command: ["true"] });
    await waitForSession(id, { root: dir });
  }
  // What no command takes, an agent can still write.
  const path = `${dir}/a/meta.json`;
  const meta = JSON.parse(Deno.readTextFileSync(path));
  const argv = ["true", big, ...Array<string>(500).fill(EVIL)];
  const words = { prompt: big, cwd: `/${big}`, resumes: big, agent: big };
  const env = Array<string>(60).fill(EVIL.repeat(50));
  const own = { ...labels, parent: "p" };
  const all = { ...meta, argv, labels: own, ...words, env };
  Deno.writeTextFileSync(path, JSON.stringify(all));
  for (let n = 0; n < 10; n++) {
    Deno.mkdirSync(`${dir}/c${n}`, { mode: 0o700 });
    const own = JSON.stringify({ ...all, id: `c${n}` });
    Deno.writeTextFileSync(`${dir}/c${n}/meta.json`, own);
    Deno.writeTextFileSync(`${dir}/c${n}/lock`, "");
  }
  Deno.writeTextFileSync(`${dir}/b/meta.json`, `{"argv": ["${EVIL}"]`);
  await using server = await connect(dir, { args: ["--all"] });
  const list = await server.call("list_sessions");
  assert(list.sessions.length > 1 && list.left_out > 0);
  assertEquals(list.sessions.length + list.left_out, 12);
  assertClean(list);
  assert(bytesOf(list) < 17 * 1024, `${bytesOf(list)} bytes`);
  for (const id of ["a", "b"]) {
    const facts = await server.call("get_session", { id });
    assertClean(facts);
    assert(bytesOf(facts) < 48 * 1024, `${bytesOf(facts)} bytes`);
    if (id !== "a") continue;
    assertEquals(facts.labels.parent, "p");
    assertEquals([facts.labels_left_out, facts.env_left_out], [41, 10]);
  }
});

Deno.test("get_session gives the facts of a session, names but no values of variables", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const env = { TOKEN: "secret" };
  const command = ["sh", "-c", "echo hello; exec sleep 100"];
  await createSession({ root: dir, id: "demo", command, env });
  await using server = await connect(dir, { args: ["--all"] });
  const facts = await until(async () => {
    const facts = await server.call("get_session", { id: "demo" });
    return facts.stdout_bytes > 0 && facts;
  });
  assertEquals(facts.env, ["TOKEN"]);
  assertEquals(JSON.stringify(facts).includes("secret"), false);
  assertEquals(facts.stdout_bytes, 6);
  assert(facts.processes.some(({ pid }: { pid: number }) => pid === facts.pid));
  assertEquals(facts.ended_at, null);
  const { code, message } = await server.refused("get_session", { id: "no" });
  assertEquals(code, "not_found");
  assertStringIncludes(message, '"no"');
});

Deno.test("read_output gives the text of both streams, and how it ended", async () => {
  using root = new TestRoot();
  await ran(
    root.dir,
    "printf 'one\\n\\033[1mtwo\\tx\\r\\n'; echo bad >&2; exit 3",
  );
  await using server = await connect(root.dir, { args: ["--all"] });
  const { cursor, ...rest } = await server.call("read_output", { id: "demo" });
  assertEquals(rest, {
    id: "demo",
    text: "one\ntwo\tx\n",
    left_out_bytes: 0,
    stderr: "bad\n",
    stderr_left_out_bytes: 0,
    state: "exited",
    exit_status: 3,
  });
  assertMatch(cursor, /~\d+$/); // With its time, for waits.
  const args = { id: "demo", stream: "stderr" };
  const only = await server.call("read_output", args);
  assertEquals([only.text, only.stderr], ["bad\n", undefined]);
  const since = await server.call("read_output", { id: "demo", cursor });
  assertEquals([since.text, since.stderr], ["", undefined]);
});

Deno.test("read_output goes on at its cursor, also in the middle of a character or a sequence", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const command = ["sleep", "100"];
  await createSession({ root: dir, id: "demo", command });
  const { stdout } = pathsFor("demo", { root: dir });
  const bytes = new TextEncoder().encode(
    "one\né€😀\x1b[1;31mred\x1b[0m\n\x1b]0;title\x07two\n",
  );
  await using server = await connect(dir, { args: ["--all"] });
  let text = "";
  let cursor: string | undefined;
  for (let at = 0; at < bytes.length; at += 3) {
    Deno.writeFileSync(stdout, bytes.slice(at, at + 3), { append: true });
    const result = await server.call("read_output", { id: "demo", cursor });
    text += result.text;
    cursor = result.cursor;
  }
  assertEquals(text, "one\né€😀red\ntwo\n");
});

Deno.test("read_output gives the end of a log of 1 GB at once, whatever it holds", async () => {
  using root = new TestRoot();
  const { dir } = root;
  await ran(dir, "true");
  const { stdout } = pathsFor("demo", { root: dir });
  Deno.truncateSync(stdout, 2 ** 30);
  Deno.writeTextFileSync(stdout, "the end\n", { append: true });
  await using server = await connect(dir, { args: ["--all"] });
  const start = performance.now();
  const result = await server.call("read_output", { id: "demo" });
  assert(performance.now() - start < 5000); // To read all takes longer.
  assertMatch(result.text, /^\0*the end\n$/);
  assertClean(result);
  assertEquals(result.left_out_bytes > 2 ** 30 - 100_000, true);
});

Deno.test("read_output stays clean and bounded for hostile output of every kind of session", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const outputs: Readonly<Record<string, string>> = {
    random: "head -c 300000 /dev/urandom",
    line: "head -c 300000 /dev/zero | tr '\\0' a",
    escapes: "yes \"$(printf '\\033[31mx\\033[2;3H')\" | head -c 300000",
    evil: `printf '%s\n' "$EVIL" "$EVIL" >&2; printf '%s\n' "$EVIL"`,
    wide: "yes 'é€😀' | tr -d '\\n' | head -c 400000",
  };
  for (const [id, script] of Object.entries(outputs)) {
    for (const kind of ["exec", "pty"] as const) {
      const command = ["sh", "-c", script];
      const env = { EVIL };
      await createSession({
        root: dir,
        id: `${kind}-${id}`,
        kind,
        command,
        env,
      });
    }
  }
  await using server = await connect(dir, { args: ["--all"] });
  for (const { id } of (await server.call("list_sessions")).sessions) {
    await waitForSession(id, { root: dir });
    for (const max_bytes of [256, undefined]) {
      const result = await server.call("read_output", { id, max_bytes });
      assertClean(result);
      const { text, stderr = "" } = result;
      const most = max_bytes ?? 16 * 1024;
      assert(bytesOf(text) + bytesOf(stderr) <= most, `${id}: too long`);
      assertEquals(result.left_out_bytes > 0, !id.endsWith("evil"), id);
    }
    if (id.startsWith("exec-")) continue;
    const screen = await server.call("read_screen", { id, scrollback: 1000 });
    assertClean(screen);
    assert(bytesOf(screen.text) <= 16 * 1024);
  }
});

Deno.test("read_output says so when the log no longer goes back to the cursor", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await ran(dir, "echo old");
  const command = ["sh", "-c", "echo old; sleep 100"];
  await createSession({ root: dir, id: "term", kind: "pty", command });
  await using server = await connect(dir, { args: ["--all"] });
  for (const id of ["demo", "term"]) {
    const { cursor } = await readUntil(server, { id }, /old/);
    const { stdout } = pathsFor(id, { root: dir });
    // Another file, which has another inode for certain.
    Deno.renameSync(stdout, `${stdout}.gone`);
    Deno.writeTextFileSync(stdout, "new\r\n");
    const result = await server.call("read_output", { id, cursor });
    assertEquals(result.text.trim(), "new");
    assertStringIncludes(result.note, "no longer goes back");
    const later = { id, cursor: result.cursor };
    const { text, note } = await server.call("read_output", later);
    assertEquals([text, note], ["", undefined]);
  }
});

Deno.test("read_output follows no link and waits for no pipe that an agent has put in the place of its log", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const secret = `${dir}/.secret`;
  Deno.writeTextFileSync(secret, "secret\n");
  await using server = await connect(dir, { args: ["--all"] });
  const tricks: Readonly<Record<string, string>> = {
    link: `rm "$L"; ln -s ${secret} "$L"`,
    pipe: 'rm "$L"; mkfifo "$L"',
    folder: 'rm "$L"; mkdir "$L"',
  };
  for (const [id, script] of Object.entries(tricks)) {
    await ran(dir, `L="$CODEX_SESSION_DIR/stdout.log"; ${script}`, id);
    const { text, left_out_bytes } = await server.call("read_output", { id });
    assertEquals([text, left_out_bytes], ["", 0], id);
    const uri = `codex-session://${id}/log`;
    const { contents } = await server.client.readResource({ uri });
    assertEquals(contents.length, 1);
    await server.client.subscribeResource({ uri });
  }
});

Deno.test("read_output of a terminal gives lines, then what came since", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "printf 'one\\r\\n\\033[1mtwo\\033[0m\\r\\n$ '; read x; printf 'got %s\\r\\n' \"$x\"; sleep 100";
  const command = ["sh", "-c", script];
  await createSession({ root: dir, id: "demo", kind: "pty", command });
  await using server = await connect(dir, { args: ["--all"] });
  const first = await readUntil(server, { id: "demo" }, /\$/);
  assertEquals(first.text, "one\ntwo\n$");
  const keys = [{ text: "hello" }, { key: "enter" }];
  await sendKeys("demo", keys, { root: dir });
  const { cursor } = first;
  const second = await readUntil(server, { id: "demo", cursor }, /got/);
  assertEquals(second.text, "$ hello\ngot hello");
  const { code } = await server.refused("read_output", {
    id: "demo",
    stream: "stderr",
  });
  assertEquals(code, "usage");
});

Deno.test("read_output and read_screen of a full-screen program tell what is new, and where to look", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "printf '\\033]2;A title\\007\\033[?1049h\\033[2J\\033[3;5HMenu\\033[4;5H> Yes'; read x; printf '\\033[5;5HNew'; sleep 100";
  const command = ["sh", "-c", script];
  await createSession({ root: dir, id: "demo", kind: "pty", command });
  await using server = await connect(dir, { args: ["--all"] });
  const screen = await until(async () => {
    const screen = await server.call("read_screen", { id: "demo" });
    return screen.text !== "" && screen;
  });
  const { cursor, ...rest } = screen;
  assertEquals(rest, {
    id: "demo",
    text: "\n\n    Menu\n    > Yes",
    left_out_bytes: 0,
    columns: 120,
    rows: 40,
    cursor_row: 3,
    cursor_column: 9,
    title: "A title",
    state: "running",
  });
  await sendKeys("demo", [{ key: "enter" }], { root: dir });
  const { text, note } = await readUntil(server, { id: "demo", cursor }, /New/);
  assertEquals(text, "    New");
  assertStringIncludes(note, "read_screen");
});

Deno.test("read_screen fails at once when there is none, or its relay is suspended", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  await ran(dir, "true", "plain");
  const command = ["sh", "-c", "echo here; sleep 100"];
  await createSession({ root: dir, id: "demo", kind: "pty", command });
  await using server = await connect(dir, { args: ["--all"] });
  const none = await server.refused("read_screen", { id: "plain" });
  assertEquals(none.code, "unsupported");
  assertStringIncludes(none.message, "use read_output");
  await readUntil(server, { id: "demo" }, /here/);
  const { state } = await getSession("demo", { root: dir });
  const relay = state.state === "running" ? state.pids.relay! : 0;
  Deno.kill(relay, "SIGSTOP");
  await until(() => readEntry(relay)?.stopped);
  const start = performance.now();
  const suspended = await server.refused("read_screen", { id: "demo" });
  assertEquals(suspended.code, "timeout");
  assertStringIncludes(suspended.message, "suspended");
  assert(performance.now() - start < 4500); // A relay has 5 s to answer.
  Deno.kill(relay, "SIGCONT");
  assertEquals((await server.call("read_screen", { id: "demo" })).text, "here");
  Deno.kill(relay, "SIGKILL");
  const last = await until(async () => {
    const last = await server.call("read_screen", { id: "demo" });
    return last.state !== "running" && last;
  });
  assertEquals([last.state, last.text], ["exited", "here"]);
});
