/**
 * `config.ts`: the user's defaults, as the commands use them.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { parseConfig, valueOf } from "../../cli/config.ts";
import { dirname } from "../../std.ts";

/** Writes the file; returns its path. */
function configure(root: TestRoot, text: string | object): string {
  const dir = `${root.dir}/.config/codex-session`;
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = `${dir}/config.json`;
  Deno.writeTextFileSync(
    path,
    typeof text === "string" ? text : JSON.stringify(text),
    { mode: 0o600 },
  );
  return path;
}

/** The JSON of a session. */
async function show(root: TestRoot, id: string) {
  const { stdout } = await runCli(root.dir, ["show", id]);
  return JSON.parse(stdout)[0];
}

Deno.test("run takes notifier and size from the config file, and options win", async () => {
  await using root = new TestRoot();
  configure(root, { notify: "true", size: "99x33", logLimit: "1M" });
  const run = (...words: string[]) => runCli(root.dir, ["run", ...words]);
  await Promise.all([
    run("--id", "a", "-t", "--", "stty", "size"),
    run(
      "--id",
      "b",
      "-t",
      "--size",
      "88x22",
      "--notify=",
      "--",
      "stty",
      "size",
    ),
    run("--id", "c", "--notify", "/bin/false", "--", "true"),
  ]);
  await runCli(root.dir, ["wait", "a", "b", "c"]);
  const sizes = await Promise.all(
    ["a", "b"].map(async (id) =>
      (await runCli(root.dir, ["logs", "--plain", id])).stdout.trim()
    ),
  );
  assertEquals(sizes, ["33 99", "22 88"]);
  const [a, b, c] = await Promise.all(
    ["a", "b", "c"].map((id) => show(root, id)),
  );
  assert(a.notify.program.endsWith("/true"), a.notify.program);
  assertEquals(b.notify, null);
  assertEquals(c.notify.program, "/bin/false");
  const { last } = await until(async () => {
    const { notify } = await show(root, "c");
    return notify.last && notify;
  });
  assertEquals([last.event, last.exitStatus], ["exited", 1]);
});

Deno.test("create takes the agent from the config file, and CODEX_SESSION_AGENT wins", async () => {
  await using root = new TestRoot();
  configure(root, { agent: "opencode" });
  const create = async (env: Record<string, string>) =>
    (await runCli(root.dir, ["create", "repl", "x"], { env })).stderr;
  assertStringIncludes(await create({}), "Agent opencode has no kind repl");
  const env = { CODEX_SESSION_AGENT: "gemini" };
  assertStringIncludes(await create(env), "Agent gemini has no kind repl");
});

Deno.test("restart keeps the notifier, unless another one is named", async () => {
  await using root = new TestRoot();
  const cli = (...words: string[]) => runCli(root.dir, words);
  await cli("run", "--id", "a", "--notify", "true", "--", "true");
  await cli("wait", "a");
  await cli("restart", "--id", "b", "a");
  await cli("restart", "--id", "c", "--notify=", "a");
  assert((await show(root, "b")).notify.program.endsWith("/true"));
  assertEquals((await show(root, "c")).notify, null);
});

Deno.test("stop and timeouts take their grace from the config file", async () => {
  await using root = new TestRoot();
  configure(root, { grace: "0.1s" });
  const stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"];
  await Promise.all([
    runCli(root.dir, ["run", "--id", "a", "--", ...stubborn]),
    runCli(root.dir, [
      "run",
      "--id",
      "b",
      "--timeout",
      "0.1",
      "--",
      ...stubborn,
    ]),
  ]);
  const before = performance.now();
  await runCli(root.dir, ["stop", "a"]);
  await runCli(root.dir, ["wait", "b"]);
  assert(performance.now() - before < 8000, "it waited for 10 s");
});

Deno.test("parseConfig() says what is wrong, and where", () => {
  for (
    const [text, why] of [
      ['{"size": "80x24",}', "it is not JSON: line 1, column 18; correct it"],
      ["secret", "it is not JSON; correct it"],
      ["[]", "it is not a JSON object"],
      ["null", "it is not a JSON object"],
      ['{"agnet": "claude"}', 'unknown key "agnet"; use agent, grace'],
      ['{"__proto__": "x"}', 'unknown key "__proto__"'],
    ] as const
  ) assertThrows(() => parseConfig(text), Error, why);
});

Deno.test("valueOf() names the key whose value is wrong", () => {
  for (
    const [key, value, why] of [
      ["agent", "nobody", '"agent": use codex, claude'],
      ["grace", 10, '"grace": use a text in quotes, such as "10"'],
      ["grace", "soon", '"grace": Invalid duration'],
      ["grace", "0", '"grace": Invalid duration'],
      ["detachKeys", "ctrl-ctrl", '"detachKeys": '],
      ["size", "0x0", '"size": use COLSxROWS'],
      ["logLimit", "much", '"logLimit": Invalid size'],
      ["notify", "./here", '"notify": use a name'],
      ["notify", "", '"notify": use a name'],
      [
        "notify",
        "/no/such",
        '"notify": no executable file has the path "/no/such"; correct it',
      ],
      ["notify", "no-such", '"notify": "no-such" is not found on PATH'],
    ] as const
  ) assertThrows(() => valueOf({ [key]: value }, key), Error, why);
});

Deno.test("a wrong value stops only commands that use it", async () => {
  await using root = new TestRoot();
  const [size, agent, detachKeys] = ["big", "cluade", "ctrl-ctrl"];
  const path = configure(root, { size, agent, detachKeys, grace: 30 });
  const run = (...words: string[]) => runCli(root.dir, words);
  const cat = ["--", "cat"];
  const [plain, sized, big, late, other] = await Promise.all([
    run("run", "--id", "a", ...cat),
    run("run", "--size", "80x24", "-t", ...cat),
    run("run", "-t", ...cat),
    run("run", "--timeout", "9", ...cat),
    run("create", "repl"),
  ]);
  assertEquals([plain.stderr, sized.stderr], ["", ""]);
  const error = `codex-session: Cannot use "${path}": `;
  assertStringIncludes(big.stderr, `${error}"size": use COLSxROWS`);
  assertStringIncludes(late.stderr, `${error}"grace": use a text`);
  assertStringIncludes(other.stderr, `${error}"agent": use codex`);
});

Deno.test("an unknown key is an error that names it, but stop only warns", async () => {
  await using root = new TestRoot();
  await runCli(root.dir, ["run", "--id", "a", "--", "sleep", "600"]);
  const path = configure(root, { "agnet\u001b": "claude" });
  const line =
    `codex-session: Cannot use "${path}": unknown key "agnet\\u001b"`;
  const created = await runCli(root.dir, ["run", "--", "true"]);
  assertEquals([created.code, created.stderr.split("\n").length], [1, 2]);
  assertStringIncludes(created.stderr, line);
  const stopped = await runCli(root.dir, ["stop", "a"]);
  assertEquals([stopped.code, stopped.stdout], [0, "a\n"]);
  assertStringIncludes(stopped.stderr, line);
  assertStringIncludes(stopped.stderr, "; used the default grace, 10s\n");
  const fine = [["list"], ["show", "a"], ["logs", "a"], ["stop", "-t0", "a"]];
  const results = await Promise.all(
    fine.map((words) => runCli(root.dir, words)),
  );
  assertEquals(
    results.map(({ code, stderr }) => [code, stderr]),
    fine.map(() => [0, ""]),
  );
});

Deno.test("a config file that others may change is refused; a link of the user is not", async () => {
  await using root = new TestRoot();
  const path = configure(root, { notify: "true" });
  const run = () => runCli(root.dir, ["run", "--", "true"]);
  Deno.chmodSync(path, 0o620);
  assertStringIncludes((await run()).stderr, "others may write to");
  Deno.chmodSync(path, 0o600);
  const dir = path.slice(0, path.lastIndexOf("/"));
  Deno.chmodSync(dir, 0o777);
  assertStringIncludes((await run()).stderr, `chmod go-w "${dir}"`);
  Deno.chmodSync(dir, 0o700);
  Deno.renameSync(path, `${root.dir}/.config/other`);
  Deno.symlinkSync("../other", path);
  const { code, stdout } = await run();
  assertEquals(code, 0);
  const { notify } = await show(root, stdout.trim());
  assert(notify.program.endsWith("/true"));
  if (Deno.uid() === 0) {
    Deno.chownSync(`${root.dir}/.config/other`, 1, 1);
    const { stderr } = await run();
    assertStringIncludes(stderr, "belongs to user 1, you are user 0");
  }
  Deno.removeSync(`${root.dir}/.config/other`);
  assertStringIncludes(
    (await run()).stderr,
    `Cannot use "${path}": it is a link that leads to no file`,
  );
});

Deno.test({
  name:
    "a config file to which another user's link or directory leads is refused",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using root = new TestRoot();
    const dir = dirname(configure(root, { notify: "true" }));
    const open = `${root.dir}/open`;
    Deno.mkdirSync(open);
    Deno.chmodSync(open, 0o777);
    const env = { XDG_CONFIG_HOME: open };
    const refusal = async () =>
      (await runCli(root.dir, ["run", "--", "true"], { env })).stderr;
    const link = `${open}/codex-session`;
    Deno.symlinkSync(dir, link);
    // lchown(2), which Deno doesn't have.
    new Deno.Command("chown", { args: ["-h", "1:1", link] }).outputSync();
    const theirs = `the link "${link}" on its path belongs to user 1`;
    assertStringIncludes(await refusal(), theirs);
    Deno.removeSync(link);
    Deno.renameSync(dir, link);
    const why = `everybody may write to the directory "${open}" above it`;
    assertStringIncludes(await refusal(), why);
  },
});

Deno.test("doctor checks every value of the config file", async () => {
  await using root = new TestRoot();
  const path = configure(root, { size: "big", notify: "/no/such" });
  const { code, stdout } = await runCli(root.dir, ["doctor", "--json"]);
  const findings = JSON.parse(stdout)
    .filter(({ check }: { check: string }) => check === "config file");
  assertEquals(code, 1);
  assertEquals(
    findings.map((
      { status, message }: { status: string; message: string },
    ) => [status, message.slice(0, message.lastIndexOf('":') + 2)]),
    ["size", "notify"].map((
      key,
    ) => ["error", `Cannot use "${path}": "${key}":`]),
  );
});
