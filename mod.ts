/**
 * Run coding agents, or any command, in the background and never lose them: sessions
 * outlive the terminal and the program that started them, and are plain
 * directories of files.
 *
 * ```ts
 * import { createSession, followLog, waitForSession } from "./mod.ts";
 *
 * const { id } = await createSession({ command: ["sh", "-c", "echo working; exit 3"] });
 * for await (const bytes of followLog(id)) await Deno.stdout.write(bytes);
 * const { state } = await waitForSession(id);
 * if (state.state === "exited") console.log(state.ending); // { code: 3 }
 * ```
 *
 * Importing has no effect. Nothing here prints or exits; each function's
 * documentation names the permissions that it needs.
 *
 * @module
 */
export {
  type Attachment,
  type AttachOptions,
  attachSession,
} from "./attach.ts";
export {
  type AttachResult,
  type AttachStreamOptions,
} from "./attach_streams.ts";
export {
  type CreatedSession,
  type CreateOptions,
  createSession,
} from "./create.ts";
export { diagnose, type DiagnoseOptions, type Diagnosis } from "./doctor.ts";
export type { FindingStatus } from "./finding.ts";
export {
  ArgumentError,
  type ErrorCode,
  SessionError,
  type SessionErrorOptions,
} from "./errors.ts";
export { type Input, sendEof, sendInput, type SendOptions } from "./input.ts";
export {
  followLog,
  type FollowLogOptions,
  followLogs,
  type FollowLogsOptions,
  type LogChunk,
  type LogStream,
  readLog,
  type ReadLogOptions,
  type TailOptions,
} from "./logs.ts";
export {
  listProcesses,
  type ListProcessesOptions,
  type Role,
  type SessionProcess,
} from "./processes.ts";
export { type ProcessOptions } from "./launch.ts";
export type { Scope } from "./scope.ts";
export { type Pruned, type PruneOptions, pruneSessions } from "./prune.ts";
export { codexProgram } from "./program.ts";
export { spawnExec, type SpawnOptions, spawnRepl } from "./spawn.ts";
export {
  type DeleteOptions,
  deleteSession,
  type EndOptions,
  type StopOptions,
  stopSession,
} from "./stop.ts";
export {
  type Pids,
  readTimes,
  type State,
  type StateName,
  STATES,
  type StopRequest,
} from "./state.ts";
export {
  defaultRoot,
  type Kind,
  type Meta,
  type Paths,
  pathsFor,
  type RootOptions,
} from "./store.ts";
export { waitForSession, type WaitOptions, type WaitResult } from "./wait.ts";
export type { EndState, FinalState } from "./watch.ts";
export {
  getSession,
  type ListOptions,
  listSessions,
  resolveSelector,
  type Session,
} from "./sessions.ts";
export { type Ending, exitStatus } from "./signals.ts";
export { readPlainLog, type ReadPlainLogOptions } from "./plain_log.ts";
export {
  readScreen,
  type ReadScreenOptions,
  sendKeys,
  type SendKeysOptions,
  type TerminalInputPart,
} from "./terminal.ts";
export type { ScreenText } from "./screen_text.ts";
export { runRelay } from "./relay.ts";
export { type Condition, waitFor } from "./wait_for.ts";
export { type TerminalStatus, terminalStatus } from "./terminal_status.ts";
