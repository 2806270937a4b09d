/**
 * Looking into a session that is found: its processes, its times, its status.
 *
 * @module
 */
import { sessionAt } from "./find.ts";
import { type SessionStatus, statusOf } from "../events/status.ts";
import { processesAt, type SessionProcess } from "../process/members.ts";
import { pathsFor, type RootOptions, type Times, timesAt } from "../store.ts";

/**
 * The living processes of a session: the reaper, the relay of a terminal, the agent, then the
 * others by pid. Empty on Windows. Needs `--allow-ffi`, `--allow-read` and, without
 * `--allow-all`, `--allow-run=/bin/sh`.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed.
 * @throws {Deno.errors.NotFound} if `/proc` is not mounted.
 *
 * @example
 * ```ts
 * import { createSession, listProcesses } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "100"] });
 * for (const { pid, role, command } of listProcesses(id)) {
 *   console.log(pid, role, command);
 * }
 * ```
 */
export function listProcesses(
  id: string,
  options: RootOptions = {},
): SessionProcess[] {
  return processesAt(sessionAt(pathsFor(id, options)).paths);
}

/**
 * When the agent of a session started, and when its ending was recorded; `null` for what has not
 * happened. Needs `--allow-read` of the root.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { createSession, readTimes } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "100"] });
 * console.log(readTimes(id).startedAt);
 * ```
 */
export function readTimes(id: string, options: RootOptions = {}): Times {
  return timesAt(sessionAt(pathsFor(id, options)).paths);
}

/**
 * What a running session is doing, from the first source that knows: its program's report to its
 * terminal, the agent's own files, the `report` command, a title or notification. `null` if it
 * doesn't run, if it is suspended, or if nothing tells. Needs `--allow-read` of the root; with
 * `--allow-ffi` it checks that the processes still live, and with `--allow-read` and
 * `--allow-run=/bin/sh` it also reads the agent's own files.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { listSessions, readStatus } from "./mod.ts";
 * for (const { id } of await listSessions({ state: "running" })) {
 *   const status = readStatus(id);
 *   if (status?.value === "blocked") console.log(id, status.kind, status.message);
 * }
 * ```
 */
export function readStatus(
  id: string,
  options: RootOptions = {},
): SessionStatus | null {
  return statusOf(sessionAt(pathsFor(id, options)));
}
