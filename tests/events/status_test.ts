/**
 * The status of sessions: its sources, and that none outlives its truth.
 *
 * @module
 */
import { writeTold } from "../../events/status_file.ts";
import { writeReport } from "../../events/report_file.ts";
import { readStatus } from "../../mod.ts";
import { readEntry } from "../../process/table.ts";
import { createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import { assertEquals, type TestRoot, until } from "../helpers.ts";
import { test } from "../process_helpers.ts";

/** What a session is told to do, and by which source; `null` for nothing. */
function toldOf(root: TestRoot, id: string): readonly unknown[] | null {
  const status = readStatus(id, { root: root.dir });
  return status && [status.source, status.value];
}

const startOf = (pid: number) => readEntry(pid)!.startTicks;

test("statusOf() takes the first source that knows: terminal, report, rule", async (root) => {
  const { id, paths, pids: { agent: pid } } = await createSession({
    root: root.dir,
    kind: "pty",
    command: ["sleep", "600"],
  });
  assertEquals(toldOf(root, id), null);
  const rule = { value: "idle", since: 3 } as const;
  writeTold(paths, { records: [], rule });
  assertEquals(toldOf(root, id), ["rule", "idle"]);
  const process = { pid, start: startOf(pid) };
  writeReport(paths, { value: "error", message: "429", since: 2, process });
  assertEquals(toldOf(root, id), ["report", "error"]);
  const working = { id: "", value: "working", since: 1 } as const;
  const helper = { id: "a/b", value: "done", since: 1 } as const;
  writeTold(paths, { records: [working, helper], rule, group: pid });
  assertEquals(toldOf(root, id), ["terminal", "working"]);
  const status = readStatus(id, { root: root.dir });
  assertEquals([status?.since, status?.records.length], [new Date(1), 2]);
  // The program is gone that worked; what it has finished stays.
  const gone = 2 ** 22;
  writeTold(paths, { records: [working, helper], group: gone });
  assertEquals(toldOf(root, id), ["terminal", "done"]);
  writeTold(paths, { records: [working], group: gone });
  assertEquals(toldOf(root, id), ["report", "error"]);
  await stopSession(id, { root: root.dir });
  assertEquals(toldOf(root, id), null);
});

test("statusOf() ends with the process of a report, and while a signal has stopped the agent", async (root) => {
  const { id, paths, pids: { agent } } = await createSession({
    root: root.dir,
    command: ["sh", "-c", "sleep 600 & wait $!; sleep 600"],
  });
  // Only terminals have this one.
  const records = [{ id: "", value: "done", since: 1 }] as const;
  writeTold(paths, { records });
  assertEquals(toldOf(root, id), null);
  const child = await until(() => {
    const text = Deno.readTextFileSync(`/proc/${agent}/task/${agent}/children`);
    return Number(text);
  });
  const report = { value: "working", since: 1 } as const;
  writeReport(paths, {
    ...report,
    process: { pid: child, start: startOf(child) },
  });
  assertEquals(toldOf(root, id), ["report", "working"]);
  Deno.kill(agent, "SIGSTOP");
  await until(() => toldOf(root, id) === null);
  Deno.kill(agent, "SIGCONT");
  await until(() => toldOf(root, id) !== null);
  Deno.kill(child, "SIGKILL");
  await until(() => toldOf(root, id) === null);
  // Another process with that number.
  writeReport(paths, { ...report, process: { pid: agent, start: 1 } });
  assertEquals(toldOf(root, id), null);
});

test("statusOf() reads what Claude records of its own process", async (root) => {
  const claude = `${root.dir}/claude`;
  Deno.copyFileSync("/bin/sleep", claude);
  const sessions = `${root.dir}/.claude/sessions`;
  Deno.mkdirSync(sessions, { recursive: true });
  const start = (id: string, command: readonly string[]) =>
    createSession({
      root: `${root.dir}/root`,
      id,
      command,
      env: { HOME: root.dir },
      kind: id === "shell" ? "pty" : "exec",
    });
  const own = await start("own", [claude, "600"]);
  // A shell that has become the agent is recognised in a terminal only.
  const shell = await start("shell", ["sh", "-c", `exec ${claude} 600`]);
  for (const { pids: { agent: pid } } of [own, shell]) {
    Deno.writeTextFileSync(
      `${sessions}/${pid}.json`,
      JSON.stringify({
        pid,
        sessionId: "11111111-2222-4333-8444-555555555555",
        procStart: `${startOf(pid)}`,
        status: "busy",
        statusUpdatedAt: 9,
      }),
    );
  }
  for (const id of ["own", "shell"]) {
    const status = await until(() =>
      readStatus(id, { root: `${root.dir}/root` })
    );
    assertEquals([status.source, status.value], ["agent", "working"]);
  }
  await stopSession("own", { root: `${root.dir}/root` });
  await stopSession("shell", { root: `${root.dir}/root` });
});
