/**
 * Gives strangers the process ids of a dead session's processes, then lists, stops and deletes
 * that session. `reused_pids.ts` runs this program in a pid namespace of its own.
 *
 *     reused_pids_main.ts ROOT CASE
 *
 * Prints its complaints and the strangers' ids as JSON.
 *
 * @module
 */
import {
  createSession,
  deleteSession,
  getSession,
  pruneSessions,
  sendEof,
  SessionError,
  stopSession,
  waitForSession,
} from "../mod.ts";
import { processesAt } from "../process/members.ts";
import { kill, pause, see, there, until } from "./world.ts";

const [root = "", what = ""] = Deno.args;
const complaints: string[] = [];
const strangers: Deno.ChildProcess[] = [];

/** Starts a stranger with exactly this process id. */
async function takePid(pid: number, leader: boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${pid - 1}`);
    const stranger = new Deno.Command("sleep", {
      args: ["1000"],
      detached: leader,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      clearEnv: true,
    }).spawn();
    if (stranger.pid === pid) {
      strangers.push(stranger);
      return;
    }
    kill(stranger.pid, "SIGKILL");
    await stranger.status;
  }
  throw new Error(`Process id ${pid} is not free: ${see(pid)?.command}`);
}

/** A helper ends before the reaper, which then must not kill the stranger that has its id. */
async function reuseHelper(kind: "repl" | "exec"): Promise<void> {
  const { paths, pids } = await createSession({
    root,
    id: "subject",
    kind,
    command: ["sleep", "400"],
    ...(kind === "exec" ? { timeoutMs: 60_000 } : {}),
  });
  let helper: number | undefined;
  await until(() => {
    helper = processesAt(paths).find(({ ppid, role }) =>
      role === "helper" && ppid === pids.reaper
    )?.pid;
    return helper !== undefined;
  });
  if (kind === "repl") await sendEof("subject", { root });
  else kill(helper!, "SIGKILL");
  await until(() => !see(helper!));
  // Its id is free only once the shell has waited for it.
  await pause(50);
  const reaped = !there(`/proc/${helper}`);
  if (reaped) await takePid(helper!, false);
  kill(pids.agent, "SIGKILL");
  const { state } = await waitForSession("subject", { root });
  if (state.state !== "exited") complaints.push(`it is ${state.state}`);
  await pause(100);
  await deleteSession("subject", { root, graceMs: 100 });
  judgeStrangers();
}

function judgeStrangers(): void {
  for (const stranger of strangers) {
    const seen = see(stranger.pid);
    if (!seen) complaints.push(`stranger ${stranger.pid} is dead`);
    if (seen?.state === "T") complaints.push("a stranger is stopped");
    kill(stranger.pid, "SIGKILL");
  }
  if ([...Deno.readDirSync(root)].length > 0) complaints.push("files are left");
  const numbers = strangers.map(({ pid }) => pid);
  console.log(JSON.stringify({ complaints, strangers: numbers }));
  Deno.exit(0);
}

if (what === "holder") await reuseHelper("repl");
if (what === "watchdog") await reuseHelper("exec");

const orphan = what.startsWith("orphan");
// The orphan outlives agent and reaper in a kernel session of its own, and keeps the lock.
const script = orphan
  ? "setsid sleep 500 & echo $!; exec sleep 400"
  : "exec sleep 400";
const session = await createSession({
  root,
  id: "subject",
  command: ["sh", "-c", script],
  ...(what === "timeout" ? { timeoutMs: 700, graceMs: 300 } : {}),
});
const { pids, paths } = session;
if (orphan) await until(() => Deno.statSync(paths.stdout).size > 0);
for (const pid of [pids.reaper, pids.agent]) kill(pid, "SIGKILL");
await until(() => !see(pids.reaper) && !see(pids.agent));
// An id is free once its process is reaped and no group or kernel session has it.
const canReaper = what !== "timeout" && !orphan;
await pause(50);
await takePid(pids.agent, what.endsWith("leader"));
if (canReaper) await takePid(pids.reaper, what.endsWith("leader"));

const { state } = await getSession("subject", { root });
const expected = orphan || what === "timeout" ? "running" : "lost";
if (state.state !== expected) complaints.push(`it is ${state.state}`);
const numbers = strangers.map(({ pid }) => pid);
for (const { pid, command } of processesAt(paths)) {
  if (numbers.includes(pid)) complaints.push(`${pid} (${command}) is shown`);
}
if (what === "timeout") await pause(2500);
try {
  await stopSession("subject", { root, graceMs: 100 });
  if (!orphan && what !== "timeout") complaints.push("stop found something");
} catch (error) {
  if (!(error instanceof SessionError && error.code === "wrong_state")) {
    complaints.push(`stop: ${error}`);
  }
}
if (what.startsWith("prune")) {
  await pruneSessions({ root });
} else {
  await deleteSession("subject", { root, force: true, graceMs: 100 });
}
judgeStrangers();
