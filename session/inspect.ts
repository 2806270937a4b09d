/**
 * Looking into a session that is found: its processes and its times.
 *
 * @module
 */
import { sessionAt } from "./find.ts";
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
