/**
 * The judgement that every fault ends with, always the same:
 *
 * no process of a session runs unknown; every session listed is true to the processes that
 * exist; output that the agent wrote is in the log, whole and in order; an agent that ended
 * by itself has its exit code recorded; whatever is left can be deleted; nothing outside
 * the root was touched; no process outside the session was signalled.
 *
 * What exists is taken from the kernel and from the agents' diaries, never from the
 * product. A session may be between two states for a moment, so what is wrong has
 * to stay wrong for a while to be a complaint.
 *
 * @module
 */
import {
  deleteSession,
  listProcesses,
  listSessions,
  pruneSessions,
  type Session,
} from "../mod.ts";
import { terminalStatus } from "../client/terminal_status.ts";
import { within } from "./fault.ts";
import { pause, see, type Seen, there, type World } from "./world.ts";

/** What a fault has done that excuses something. */
export interface Excuses {
  /** The reaper was killed: nobody was there to record an end. */
  readonly reaperKilled?: boolean;
  /** The relay was killed: what the agent wrote last may be lost with its terminal. */
  readonly relayKilled?: boolean;
  /** An agent that a signal n ended may be said to have exited with 128+n. */
  readonly asShellsSay?: boolean;
  /** Files of the session were damaged: it may be listed as such, or not at all without any. */
  readonly damaged?: boolean;
  /** Its log was damaged. */
  readonly logDamaged?: boolean;
  /** Its end is wrong, or its pids: they were written by the fault. */
  readonly forged?: boolean;
  /** Leave the sessions where they are. */
  readonly keep?: boolean;
  /** How long it may take until all is true, in milliseconds. @default {5000} */
  readonly settleMs?: number;
}

/** Judges a world; the complaints. */
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
    // Between the look at the processes and the list, it may have ended and gone.
    const gone = () => see(one.pid)?.startTicks !== one.startTicks;
    if (session === undefined) {
      if (gone()) continue;
      complaints.push(
        `process ${one.pid} (${one.command}) of ${id} is unknown`,
      );
      continue;
    }
    const shown = listProcesses(session.paths);
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

/** Whether a session is true to its processes and its agent's diary. */
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
        agentOf(session, state.pids.agent) !== diary!.pid
      ) {
        complaints.push(
          `${id}: agent ${diary!.pid} is listed as ${
            agentOf(session, state.pids.agent)
          }`,
        );
      }
      break;
    case "exited":
    case "lost":
      if (agentLives && !excuses.forged) {
        complaints.push(`${id} is listed as ${state.state}, its agent lives`);
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
    // The line that it had written, but not yet noted, when it was killed.
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
        `${id}: the agent was killed and is said to have exited with ${ending.code}`,
      );
    }
    return complaints;
  }
  if (ending !== undefined) {
    // A signal that came between the diary and the exit is true as well.
    if ("code" in ending && ending.code !== diary.exit) {
      complaints.push(
        `${id}: the agent exited with ${diary.exit}, recorded is ${ending.code}`,
      );
    }
  } else if (!excuses.reaperKilled) {
    complaints.push(
      `${id}: the agent exited with ${diary.exit}, and is ${state.state}`,
    );
  }
  return complaints;
}

/** The agent's number as the session tells it: of a terminal the recorded one is its relay's. */
function agentOf({ meta, paths }: Session, recorded: number): number {
  if (meta?.kind !== "pty") return recorded;
  return terminalStatus(paths, true)?.agent ?? recorded;
}

/** The log as the agent wrote it: a terminal makes two characters of the end of a line. */
function logOf({ meta, paths }: Session): string {
  const read = (path: string) => there(path) ? Deno.readTextFileSync(path) : "";
  // What can't say its kind any more has left its socket.
  const isTerminal = meta?.kind === "pty" || there(`${paths.dir}/attach.sock`);
  if (!isTerminal) return read(paths.stdout);
  const text = read(`${paths.stdout}.1`) + read(paths.stdout);
  return text.replaceAll("\r\n", "\n").replace(/\r$/, "")
    // What its shell says of a child, which goes to the terminal as well.
    .replace(/^(Killed|Terminated|Hangup)\n/gm, "");
}

/** Deletes all; what can't be deleted is a complaint. */
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
    // Hidden directories are cleared away when no creator can be at work in them any more.
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
    complaints.push(`process ${pid} (${command}) has survived the deletion`);
  }
  return complaints;
}
