/**
 * Background servers of agents: they may go on with the work of a session that is stopped.
 *
 * The system does not tell which processes a socket joins. So this is a guess: a process of the
 * session that is a client while there is a server, and a server that is not the session's.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { isAlive, type SessionProcess } from "../process/members.ts";
import { readArgv, readUsers, scan } from "../process/table.ts";
import { geteuid } from "../system/libc.ts";

/**
 * Looks at the processes of a session before it is stopped. The returned function tells, once it
 * has been, what its user should know: one line each.
 */
export function serversOf(
  processes: readonly SessionProcess[],
): () => readonly string[] {
  const own = new Set(processes.map(({ pid }) => pid));
  const argvs = processes.map(({ pid }) => readArgv(pid) ?? []);
  const user = geteuid();
  const found = AGENTS.flatMap(({ server }) => {
    if (!server || !argvs.some(server.isClient)) return [];
    return scan()
      .filter(({ pid }) =>
        !own.has(pid) && server.isServer(readArgv(pid) ?? []) &&
        readUsers(pid)[0] === user
      )
      .map((entry) => ({ entry, notice: server.notice(entry.pid) }));
  });
  return () =>
    found.filter(({ entry }) => isAlive(entry)).map(({ notice }) => notice);
}
