/**
 * Choosing several sessions: by name, label, state, or all of them.
 *
 * @module
 */
import { type Chosen, forEachChosen } from "../../cli/selection.ts";
import type { Io } from "../../cli/io.ts";
import { SessionError } from "../../errors.ts";
import { createSession } from "../../session/create.ts";
import { pathsFor, readState } from "../../store.ts";
import {
  assertEquals,
  assertStringIncludes,
  CLI,
  type Finished,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";

/** `a` and `b` run with label team=x, `c` runs without one, `done` has ended with team=y. */
async function fill(root: TestRoot): Promise<void> {
  const run = async (...args: string[]) =>
    assertEquals((await runCli(root.dir, ["run", ...args])).code, 0);
  await Promise.all([
    run("-i", "--id", "a", "-l", "team=x", "cat"),
    run("-i", "--id", "b", "-l", "team=x", "cat"),
    run("--id", "c", "sleep", "600"),
    run("--id", "done", "-l", "team=y", "sh", "-c", "exit 3"),
  ]);
  await until(() =>
    readState(pathsFor("done", { root: root.dir })).state === "exited"
  );
}

const sorted = ({ code, stdout, stderr }: Finished) =>
  [code, stdout.split("\n").filter(Boolean).sort(), stderr] as const;

Deno.test("choose() takes labels, states and all, the same in each command", async () => {
  await using root = new TestRoot();
  await fill(root);
  const call = async (line: string) =>
    sorted(await runCli(root.dir, line.split(" ")));
  const none = "codex-session: No session matches\n";
  assertEquals(await call("list -q -l team"), [0, ["a", "b", "done"], ""]);
  assertEquals(await call("list -q --state exited,lost"), [0, ["done"], ""]);
  assertEquals(await call("list -q --all -l team=x"), [0, ["a", "b"], ""]);
  assertEquals(await call("list -l team=z"), [0, [], none]);
  assertEquals(await call("list --json --state lost"), [0, ["[]"], ""]);
  // Only what lives and takes input gets it.
  assertEquals(await call("send --all hello there"), [0, [], ""]);
  const read = (id: string) =>
    Deno.readTextFileSync(`${root.dir}/${id}/stdout.log`);
  await until(() => read("a") === "hello there\n" && read("b") === read("a"));
  // An ended one is waited for, too: else a quick one would be missed.
  assertEquals(await call("wait -l team=y"), [3, ["done 3"], ""]);
  // Silence is only for what still runs.
  const idle = await call("wait -l team --for idle=10ms");
  assertEquals(idle, [0, ["a", "b"], ""]);
  assertEquals(await call("stop -l team=x"), [0, ["a", "b"], ""]);
  assertEquals(await call("stop -l team=x"), [
    0,
    [],
    "codex-session: Nothing to do for 2 sessions that match\n",
  ]);
  assertEquals(await call("delete -l team=z"), [0, [], none]);
  assertEquals(await call("delete --all"), [
    0,
    ["a", "b", "done"],
    "codex-session: Kept 1 session that runs or is damaged; -f deletes it, too\n",
  ]);
  assertEquals((await call("delete --state running"))[0], 4);
  assertEquals(await call("delete -f --all"), [0, ["c"], ""]);
  assertEquals(await call("wait --all"), [0, [], none]);
});

Deno.test("choose() takes each session once and refuses names together with filters", async () => {
  await using root = new TestRoot();
  await fill(root);
  const call = async (line: string) =>
    sorted(await runCli(root.dir, line.split(" ")));
  assertEquals(await call("wait done d done"), [3, ["done 3"], ""]);
  assertEquals(await call("stop c c"), [0, ["c"], ""]);
  // What has ended is done.
  assertEquals(await call("stop c done"), [0, ["c", "done"], ""]);
  for (
    const line of ["stop a --all", "delete -l team=x a", "wait a --state lost"]
  ) {
    const [code, , stderr] = await call(line);
    assertEquals(code, 2);
    assertStringIncludes(stderr, 'Unexpected argument "a": name sessions, or');
  }
  assertStringIncludes(
    (await call("stop --state dead"))[2],
    'Unknown state "dead"',
  );
  assertStringIncludes((await call("stop -l =x"))[2], "use KEY or KEY=VALUE");
  assertEquals((await call("list -q --state running"))[1], ["a", "b"]);
});

Deno.test("forEachChosen() works on many at a time, but not on so many that files run out", async () => {
  const chosen = Array.from({ length: 200 }, (_, i) => (
    { session: { id: `s${i}` } } as Chosen
  ));
  let [now, most, done] = [0, 0, 0];
  const said: string[] = [];
  const io = { err: (text: string) => said.push(text) } as unknown as Io;
  const status = await forEachChosen(chosen, io, async ({ id }) => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
    done++;
    if (id === "s7") throw new SessionError("wrong_state", "no");
  });
  assertEquals([status, most, done, said], [4, 50, 200, [
    "codex-session: no\n",
  ]]);
});

Deno.test("wait takes more sessions than there may be open files", async () => {
  await using root = new TestRoot();
  const ids = Array.from({ length: 50 }, (_, i) => `s${i}`);
  const command = ["sh", "-c", "while [ ! -e $0/go ]; do sleep 0.1; done"];
  await Promise.all(
    ids.map((id) =>
      createSession({ root: root.dir, id, command: [...command, root.dir] })
    ),
  );
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", 'ulimit -n 48; exec "$@"', "sh", ...CLI, ...args],
      env: { CODEX_SESSION_HOME: root.dir },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return [code, decode(stdout), decode(stderr)] as const;
  };
  const [code, , refused] = await run("wait", "--all", "--for", "output=x");
  assertEquals(code, 4);
  assertStringIncludes(refused, "raise the limit of open files");
  const [late, , said] = await run("wait", "--all", "--timeout", "200ms");
  assertEquals([late, said.match(/Timed out/g)?.length], [124, 50], said);
  const waiting = run("wait", "--all", "--timeout", "20s");
  Deno.writeTextFileSync(`${root.dir}/go`, "");
  const [status, ended, stderr] = await waiting;
  assertEquals([status, stderr], [0, ""]);
  assertEquals(ended.split("\n").length, 51);
});
