/**
 * What a terminal's program tells by OSC 7501, as users see it.
 *
 * @module
 */
import { createSession } from "../../session/create.ts";
import { writeReport } from "../../events/report_file.ts";
import { readTold } from "../../events/status_file.ts";
import { readEntry } from "../../process/table.ts";
import { readLogCursor, readStatus, sendKeys, waitFor } from "../../mod.ts";
import {
  assertEquals,
  assertMatch,
  runCli,
  TestRoot,
  until,
} from "../helpers.ts";

/** An agent in few words: it works when it is asked, and tells. */
const AGENT = `
  tell() { printf '\\033]7501;%s\\033\\\\' "$1"; }
  stty -echo
  tell state=idle
  while read -r line; do
    tell state=working:progress=40
    case $line in
      ask) tell "state=blocked:kind=permission:msg=$(printf 'rm -rf' | base64)" ;;
      which) tell state=blocked:kind=question ;;
      fail) tell state=error ;;
      helper) tell id=a/b:state=blocked ;;
      alone) tell id=a:state=clear ;;
      *) echo "answer to $line"; tell state=done ;;
    esac
  done`;

Deno.test("send --for turn, list and show follow what a terminal's program tells", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  // As in a user's shell: a process group for each command.
  const command = ["sh", "-mc", `sh -c "$0"; sleep 600`, AGENT];
  const { paths } = await createSession({
    ...at,
    id: "t",
    kind: "pty",
    command,
  });
  await until(() => readStatus("t", at)?.value === "idle");
  const send = async (text: string) => {
    const line = ["send", "t", text, "--for", "turn", "--timeout", "10s"];
    const { code, stdout, stderr } = await runCli(root.dir, [
      ...line,
      "--json",
    ]);
    const { lines, status } = JSON.parse(stdout);
    const error = stderr && JSON.parse(stderr).error.message;
    return [code, lines, status?.value ?? null, ...error ? [error] : []];
  };
  const wait = async () => {
    const line = ["wait", "t", "--for", "turn", "--timeout", "10s"];
    return Object.values(await runCli(root.dir, line));
  };
  assertEquals(await send("hi"), [0, ["answer to hi"], "done"]);
  const ask = async (text: string) => {
    const since = readLogCursor("t", at);
    await sendKeys("t", [{ text }, { key: "enter" }], at);
    const options = { ...at, since, timeoutMs: 10_000 };
    return (await waitFor("t", { for: "turn" }, options)).status?.value;
  };
  assertEquals(await ask("you"), "done");
  const need = 'The turn of session "t" is not done: it is blocked: ' +
    "rm -rf (permission); to attach: codex-session attach t";
  assertEquals(await send("ask"), [5, [], "blocked", need]);
  const cell = async () => (await runCli(root.dir, ["list"])).stdout;
  assertMatch(await cell(), / pty +blocked: rm -rf /);
  assertEquals(await ask("fail"), "error");
  const failed =
    'codex-session: The turn of session "t" has failed: it doesn\'t say why; see: codex-session logs t\n';
  assertEquals(await wait(), [1, "t error\n", failed]);
  assertEquals(await ask("helper"), "blocked");
  const [shown] = JSON.parse((await runCli(root.dir, ["show", "t"])).stdout);
  assertEquals(
    shown.status.records.map((
      { id, value, progress }: Record<string, unknown>,
    ) => [id, value, progress]),
    [["a/b", "blocked", undefined], ["", "working", 40]],
  );
  // It ends without a word: nothing goes on any more.
  await sendKeys("t", [{ text: "alone" }, { key: "enter" }], at);
  const over = waitFor("t", { for: "turn" }, { ...at, timeoutMs: 10_000 });
  await until(() => readStatus("t", at)?.value === "working");
  Deno.kill(readTold(paths)!.group!, "SIGKILL");
  assertEquals((await over).status, null);
  await until(() => readStatus("t", at) === null);
  assertMatch(await cell(), / pty +running /);
});

Deno.test("send refuses text while a terminal's program waits for a permission", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const label = { labels: { k: "v" } };
  const command = ["sh", "-c", AGENT];
  const session = { ...at, ...label, id: "t", kind: "pty", command } as const;
  const { pids } = await createSession(session);
  const is = (value: string) =>
    until(() => readStatus("t", at)?.value === value);
  await is("idle");
  const send = async (...words: string[]) => {
    const options = { stdin: "yes\r" };
    return await runCli(root.dir, ["send", ...words], options);
  };
  await send("t", "ask");
  await is("blocked");
  const ways = [
    ["t", "yes"],
    ["t", "yes", "-k", "enter"],
    ["t", "--stdin"],
    ["-l", "k", "yes"],
    ["t", "yes", "--for", "turn"],
  ];
  const refused = await Promise.all(ways.map((way) => send(...way)));
  for (const { code, stdout, stderr } of refused) {
    assertEquals([code, stdout], [5, ""]);
    assertMatch(
      stderr,
      /^codex-session: Cannot send text .* rm -rf \(permission\).* -f\n$/,
    );
  }
  assertEquals(readStatus("t", at)?.value, "blocked");
  Deno.kill(pids.agent, "SIGSTOP");
  await until(() => readStatus("t", at) === null);
  assertEquals((await send("t", "yes")).code, 5);
  Deno.kill(pids.agent, "SIGCONT");
  assertEquals((await send("t", "-f", "which")).code, 0);
  await until(() => readStatus("t", at)?.kind === "question");
  assertEquals((await send("t", "this one")).code, 0);
  await is("done");
  // A script's own report is no dialog.
  const r = await createSession({ ...at, kind: "pty", command: ["cat"] });
  const { agent: pid } = r.pids;
  const process = { pid, start: readEntry(pid)!.startTicks };
  const report = { value: "blocked", kind: "permission", process } as const;
  writeReport(r.paths, { ...report, since: Date.now() });
  assertEquals(readStatus(r.id, at)?.source, "report");
  assertEquals((await send(r.id, "hello")).code, 0);
});

Deno.test("send refuses text while an agent has told nothing, as in Codex's question about a folder", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const codex = `${root.dir}/codex`;
  const script = '#!/bin/sh\nread -r line\necho "got $line"\nsleep 60\n';
  Deno.writeTextFileSync(codex, script, { mode: 0o700 });
  await createSession({ ...at, id: "t", kind: "pty", command: [codex] });
  const line = ["send", "t", "no", "--for", "output=got", "--timeout", "1s"];
  const { code, stderr } = await runCli(root.dir, line);
  assertEquals(code, 5);
  assertMatch(stderr, /codex has not told yet .*; to look: .* -f\n$/);
  const forced = await runCli(root.dir, ["send", "t", "no", "-f"]);
  assertEquals([forced.code, forced.stderr], [0, ""]);
});

Deno.test("send waits until an agent that has just started takes text", async () => {
  await using root = new TestRoot();
  const at = { root: root.dir };
  const claude = `${root.dir}/claude`;
  // Until it is ready, it swallows what is typed.
  const script = `#!/bin/sh
stty -echo -icanon min 0 time 3
cat >/dev/null
stty icanon
printf '\\033]7501;state=idle\\033\\\\'
read -r line
echo "got $line"
sleep 60
`;
  Deno.writeTextFileSync(claude, script, { mode: 0o700 });
  const command = [claude];
  await createSession({ ...at, id: "t", kind: "pty", command });
  const line = ["send", "t", "hello", "--for", "output=got hello"];
  const { code, stderr } = await runCli(root.dir, [...line, "--timeout", "9s"]);
  assertEquals([code, stderr], [0, ""]);
});
