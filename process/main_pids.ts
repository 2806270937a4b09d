/**
 * The main processes of a session, for people: the agent of a terminal, and not its relay.
 *
 * The `pid` file names the relay in the agent's place, and `terminal.json` the agent. The table of
 * processes must agree that the one is the other's parent. No more is checked: a process of the
 * session that writes both files can have a stranger's number shown. Nothing is signalled by it.
 *
 * @module
 */
import {
  isTerminal,
  type Paths,
  type Pids,
  readPids,
  type State,
} from "../store.ts";
import { readsProc } from "../system/files.ts";
import { readEntry } from "./table.ts";
import { readTerminalRecord } from "./terminal_record.ts";

/** The main processes of the session with these files; `undefined` before they are recorded. */
export function mainPids(paths: Paths, isRunning: boolean): Pids | undefined {
  const recorded = readPids(paths);
  if (recorded === undefined || !isTerminal(paths)) return recorded;
  return withAgent(paths, recorded, isRunning);
}

/**
 * The main processes of a terminal session, whose relay is known as its agent. The agent is the
 * recorded one if it is a child of the relay and leads a kernel session, or if the session is
 * over; else the relay stands for it.
 */
export function withAgent(
  paths: Paths,
  { reaper, agent: relay }: Pids,
  isRunning: boolean,
): Pids {
  const told = Number(readTerminalRecord(paths.dir)?.agent);
  const isAgent = Number.isSafeInteger(told) && told > 0 &&
    (!isRunning || startedBy(relay, told));
  return { reaper, relay, agent: isAgent ? told : relay };
}

/** The state of a terminal session, with its agent and not only its relay. */
export function namingAgent(paths: Paths, state: State): State {
  if (state.state !== "running" && state.state !== "lost") return state;
  const { pids } = state;
  if (pids === null) return state;
  return { ...state, pids: withAgent(paths, pids, state.state === "running") };
}

/** Tells whether a relay has started this process. Not known without `/proc` or FFI. */
function startedBy(relay: number, pid: number): boolean {
  if (!readsProc()) return false;
  const entry = readEntry(pid);
  return entry?.ppid === relay && entry.sid === pid;
}
