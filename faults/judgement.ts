/**
 * The judgement that every fault ends with, always the same:
 *
 * - no process of a session runs unknown;
 * - the listed state of every session agrees with the processes that exist;
 * - the output that the agent wrote is in the log, whole and in order;
 * - the exit code of an agent that ended by itself is recorded;
 * - whatever is left can be deleted;
 * - nothing outside the root was touched, and no process outside the session was signalled.
 *
 * The truth comes from the kernel and from the agents' diaries, never from the product. A
 * session may be between two states for a moment, so a fact must stay wrong for a while
 * before it is a complaint.
 *
 * @module
 */
import {
  deleteSession,
  listSessions,
  pruneSessions,
  type Session,
} from "../mod.ts";
import { processesAt } from "../process/members.ts";
import { within } from "./fault.ts";
import { pause, see, type Seen, there, type World } from "./world.ts";

/** Damage done by the fault itself, which excuses some complaints. */
interface Excuses {
  /** The reaper was killed: the end can't be recorded. */
  readonly reaperKilled?: boolean;
  /** The reaper is stopped, or waits for a stopped relay: it has not recorded the end yet. */
  readonly reaperStopped?: boolean;
  /** The relay was killed: the agent's last output may be lost with its terminal. */
  readonly relayKilled?: boolean;
  /** An agent that signal n ended may be recorded as exited with 128+n. */
  readonly asShellsSay?: boolean;
  /** Files of the session were damaged or removed: it may be listed as damaged, or not at all. */
  readonly damaged?: boolean;
  /** Its log was damaged. */
  readonly logDamaged?: boolean;
  /** The fault itself wrote the record of its end or its pids. */
  readonly forged?: boolean;
  /** Don't delete the sessions. */
  readonly keep?: boolean;
  /** How long a fact may be wrong, in milliseconds. @default {5000} */
  readonly settleMs?: number;
}

/** Judges a world and returns the complaints. */
export async function judge(
  world: World,
  excuses: Excuses = {},
): Promise<string[]> {
  const { settleMs = 5000, keep = false } = excuses;
  const end = performance.now() + settleMs;
  let complaints: string[];
  do {
    complaints = await look(world, excuses);
    if (complaints.length === 0) break;
    await pause(30);
  } while (performance.now() < end);
  complaints.push(...world.harm());
  if (keep) return complaints;
  complaints.push(...await clear(world));
  complaints.push(...world.harm());
  return [...new Set(complaints)];
}

async function look(world: World, excuses: Excuses): Promise<string[]> {
  const complaints: string[] = [];
  const processes = world.processes();
  const sessions = new Map<string, Session>();
  for (const session of await listSessions({ root: world.root })) {
    sessions.set(session.id, session);
  }
  for (const one of processes) {
    const id = one.owner!.slice(world.root.length + 1);
    const session = sessions.get(id);
    // It may have ended between reading the processes and listing the sessions.
    const gone = () => see(one.pid)?.startTicks !== one.startTicks;
    if (session === undefined) {
      if (gone()) continue;
      complaints.push(
        `process ${one.pid} (${one.command}) of ${id} is unknown`,
      );
      continue;
    }
    const shown = processesAt(session.paths);
    if (!shown.some(({ pid }) => pid === one.pid) && !gone()) {
      complaints.push(`process ${one.pid} (${one.command}) is not shown`);
    }
  }
  for (const session of sessions.values()) {
    const own = processes.filter(({ owner }) => owner === session.paths.dir);
    complaints.push(...isTrue(world, session, own, excuses));
  }
  return complaints;
}

/** Compares a session with its processes and its agent's diary. */
function isTrue(
  world: World,
  session: Session,
  processes: readonly Seen[],
  excuses: Excuses,
): string[] {
  const { id, state } = session;
  const complaints: string[] = [];
  const diary = world.diaries().find((one) => one.id === id);
  const agentLives = processes.some(({ pid }) => pid === diary?.pid);
  switch (state.state) {
    case "damaged":
      if (!excuses.damaged) {
        complaints.push(`${id} is damaged: ${state.reason}`);
      }
      break;
    case "starting":
    case "running":
      if (processes.length === 0) {
        complaints.push(`${id} is listed as ${state.state} without a process`);
      }
      if (
        state.state === "running" && agentLives && !excuses.forged &&
        state.pids.agent !== diary!.pid
      ) {
        complaints.push(
          `${id}: agent ${diary!.pid} is listed as ${state.pids.agent}`,
        );
      }
      break;
    case "exited":
    case "lost":
      if (agentLives && !excuses.forged) {
        complaints.push(
          `${id} is listed as ${state.state}, but its agent runs`,
        );
      }
      break;
    default:
      state satisfies never;
  }
  if (diary === undefined) return complaints;
  if (!excuses.logDamaged) {
    const text = logOf(session);
    const written = diary.lines.map((line) => `${line}\n`).join("");
    const rest = text.startsWith(written)
      ? text.slice(written.length)
      : undefined;
    const isCut = excuses.relayKilled && written.startsWith(text);
    // The rest may be one line that the agent wrote but had not yet noted when it was killed.
    if (
      !isCut && (rest === undefined || rest.indexOf("\n") < rest.length - 1)
    ) {
      complaints.push(
        `${id}: the agent wrote ${JSON.stringify(written.slice(-100))}, ` +
          `the log has ${JSON.stringify(text.slice(-100))}`,
      );
    }
  }
  if (agentLives || excuses.forged || state.state === "damaged") {
    return complaints;
  }
  const ending = state.state === "exited" ? state.ending : undefined;
  if (diary.exit === undefined) {
    if (
      ending !== undefined && "code" in ending &&
      !(excuses.asShellsSay && ending.code > 128)
    ) {
      complaints.push(
        `${id}: the agent was killed, but recorded as exited with ${ending.code}`,
      );
    }
    return complaints;
  }
  if (ending !== undefined) {
    // A signal may have come between the diary's last line and the exit.
    if ("code" in ending && ending.code !== diary.exit) {
      complaints.push(
        `${id}: the agent exited with ${diary.exit}, but ${ending.code} is recorded`,
      );
    }
  } else if (
    !excuses.reaperKilled && !(excuses.reaperStopped && isLive(state))
  ) {
    complaints.push(
      `${id}: the agent exited with ${diary.exit}, but is listed as ${state.state}`,
    );
  }
  return complaints;
}

function isLive({ state }: Session["state"]): boolean {
  return state === "starting" || state === "running";
}

/** The log as the agent wrote it: a terminal turns LF into CR LF. */
function logOf({ meta, paths }: Session): string {
  const read = (path: string) => there(path) ? Deno.readTextFileSync(path) : "";
  // A session with damaged metadata is a terminal if it has a socket.
  const isTerminal = meta?.kind === "pty" || there(`${paths.dir}/attach.sock`);
  if (!isTerminal) return read(paths.stdout);
  const text = read(`${paths.stdout}.1`) + read(paths.stdout);
  return text.replaceAll("\r\n", "\n").replace(/\r$/, "")
    // The agent's shell reports the end of a child on the terminal, too.
    .replace(/^(Killed|Terminated|Hangup)\n/gm, "");
}

/** Deletes all sessions; complains about those that can't be deleted. */
async function clear(world: World): Promise<string[]> {
  const { root } = world;
  const complaints: string[] = [];
  for (const { id, state } of await listSessions({ root })) {
    try {
      const deleting = deleteSession(id, { root, force: true, graceMs: 300 });
      await within(deleting, 20_000);
    } catch (error) {
      complaints.push(`${id} (${state.state}) can't be deleted: ${error}`);
    }
  }
  try {
    // prune removes a hidden directory only if it is too old for a creator to be working in it.
    const past = new Date(Date.now() - 120_000);
    for (const { name, isDirectory } of Deno.readDirSync(root)) {
      if (isDirectory) Deno.utimeSync(`${root}/${name}`, past, past);
    }
    await pruneSessions({ root });
  } catch (error) {
    complaints.push(`can't be pruned: ${error}`);
  }
  const left = [...Deno.readDirSync(root)].map(({ name }) => name)
    .filter((name) => !name.startsWith("foreign"));
  if (left.length > 0) complaints.push(`left after deleting: ${left}`);
  for (const { pid, command } of world.processes()) {
    complaints.push(`process ${pid} (${command}) survived the deletion`);
  }
  return complaints;
}
