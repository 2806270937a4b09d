/**
 * What each process of a session is for.
 *
 * @module
 */
import { ownerTest, scriptArgsOf } from "./carriers.ts";
import { byAge, type Entry } from "./table.ts";
import { isTerminal, type Paths, readPids } from "../store.ts";

/**
 * A process's role in its session: the supervisor, the owner of a terminal, the user's program, a
 * helper of the supervisor, or a process that the agent has started.
 */
export type Role = "reaper" | "relay" | "agent" | "helper" | "child";

/**
 * The role of each member, by their relations and arguments. A role only gives a process time to
 * end by itself, because an agent can look like a helper.
 *
 * The record only tells which process is the agent, and only once the reaper is dead.
 */
export function rolesOf(
  members: ReadonlyMap<number, Entry>,
  argvs: ReadonlyMap<number, readonly string[]>,
  paths: Paths,
): Map<number, Role> {
  const recorded = readPids(paths);
  const isOwn = ownerTest(paths);
  const told = (pid: number) => scriptArgsOf(pid, argvs.get(pid)!, isOwn);
  // A process without arguments is in the middle of an exec.
  const isScript = (pid: number) =>
    argvs.get(pid)!.length === 0 || told(pid) !== undefined;
  // The oldest, because all others descend from it.
  const reaper = [...members.values()]
    .filter(({ pid, ppid, sid }) =>
      pid === sid && !members.has(ppid) && isScript(pid)
    )
    .sort(byAge)[0];
  // It removes the session, and the agent has ended.
  const isRemoving = reaper && told(reaper.pid)?.[0] === "-r";
  // What the reaper starts in the agent's place. It starts the agent in a kernel session.
  const program = isTerminal(paths) ? "relay" : "agent";
  const roles = new Map<number, Role>();
  const roleOf = ({ pid, ppid, sid }: Entry): Role => {
    const before = roles.get(pid);
    if (before !== undefined) return before;
    roles.set(pid, "child"); // Ends a circle.
    const parent = members.get(ppid);
    let role: Role = "child";
    if (pid === reaper?.pid) role = "reaper";
    else if (reaper !== undefined && ppid === reaper.pid) {
      role = isScript(pid) || isRemoving ? "helper" : program;
    } else if (parent !== undefined && roleOf(parent) === "helper") {
      role = "helper";
    } else if (parent !== undefined && roleOf(parent) === "relay") {
      role = pid === sid ? "agent" : "child";
    } else if (reaper === undefined && isScript(pid)) role = "helper";
    else if (
      reaper === undefined && pid === recorded?.agent && sid === recorded.reaper
    ) role = program;
    roles.set(pid, role);
    return role;
  };
  for (const entry of members.values()) roleOf(entry);
  return roles;
}
