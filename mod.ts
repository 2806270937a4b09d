/**
 * Run coding agents, or any command, as background sessions, which outlive the terminal and the
 * program that started them. A session is a directory of plain files.
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
 * Importing this module has no effect. Nothing in it prints or exits. Each function documents the
 * permissions that it needs.
 *
 * @module
 */
export {
  type Attachment,
  type AttachOptions,
  type AttachResult,
  attachSession,
  type AttachStreamOptions,
} from "./client/attach.ts";
export {
  attachConsole,
  type AttachConsoleOptions,
} from "./client/attach_console.ts";
export type {
  AttachTerminalOptions,
  TerminalInput,
  TerminalOutput,
  TerminalResult,
} from "./client/attach_terminal.ts";
export {
  type CreatedSession,
  type CreateOptions,
  createSession,
} from "./session/create.ts";
export {
  diagnose,
  type DiagnoseOptions,
  type Diagnosis,
} from "./doctor/diagnose.ts";
export { type KnownAgent, listAgents } from "./doctor/agents.ts";
export type { Support } from "./agents/agent.ts";
export type { FindingStatus } from "./doctor/finding.ts";
export {
  ArgumentError,
  type ErrorCode,
  SessionError,
  type SessionErrorOptions,
} from "./errors.ts";
export {
  type Input,
  sendEof,
  sendInput,
  type SendOptions,
} from "./client/input.ts";
export {
  followEvents,
  type FollowEventsOptions,
  readEvents,
  type ReadEventsOptions,
} from "./client/events.ts";
export type {
  EventFacts,
  SessionEvent,
  StatusSource,
  ToldStatus,
} from "./events/event.ts";
export {
  followLog,
  type FollowLogOptions,
  followLogs,
  type FollowLogsOptions,
  type LogChunk,
  type LogCursor,
  type LogStream,
  readLog,
  readLogCursor,
  type ReadLogOptions,
  type TailOptions,
} from "./client/logs.ts";
export type { SessionProcess } from "./process/members.ts";
export type { Role } from "./process/roles.ts";
export { listProcesses, readStatus, readTimes } from "./session/inspect.ts";
export {
  type ProcessOptions,
  spawnExec,
  type SpawnOptions,
  spawnRepl,
} from "./spawn.ts";
export {
  defaultRoot,
  type Ending,
  exitStatus,
  type Kind,
  type Meta,
  type Paths,
  pathsFor,
  type Pids,
  type RootOptions,
  type Scope,
  type State,
  type StateName,
  STATES,
  type StopRequest,
  type Times,
} from "./store.ts";
export {
  type RestartOptions,
  restartSession,
  type ResumeOptions,
  resumeSession,
} from "./run/again.ts";
export { type LastTurn, readAnswer, type SessionAnswer } from "./run/answer.ts";
export {
  type RunResult,
  runToEnd,
  type RunToEndOptions,
} from "./run/run_to_end.ts";
export {
  type Pruned,
  type PruneOptions,
  pruneSessions,
} from "./session/prune.ts";
export { AGENT_NAMES } from "./agents/agents.ts";
export { codexProgram } from "./agents/codex.ts";
export {
  type DeleteOptions,
  deleteSession,
  type EndOptions,
  type StopOptions,
  stopSession,
} from "./session/stop.ts";
export type { LogPosition } from "./client/log_files.ts";
export {
  type Condition,
  type Found,
  waitFor,
  type WaitForOptions,
  waitForSession,
  type WaitOptions,
  type WaitResult,
} from "./client/wait.ts";
export type { EndState, FinalState } from "./client/watch.ts";
export {
  type Reported,
  type ReportOptions,
  reportStatus,
} from "./events/report.ts";
export type { SessionStatus } from "./events/status.ts";
export type {
  BlockedKind,
  StatusRecord,
  StatusValue,
} from "./screen/program_status.ts";
export {
  getSession,
  type ListOptions,
  listSessions,
  resolveSelector,
  type Session,
} from "./session/find.ts";
export { readText, type ReadTextOptions } from "./client/text.ts";
export {
  followPlainLog,
  type FollowPlainLogOptions,
  readPlainLog,
  type ReadPlainLogOptions,
} from "./client/plain_log.ts";
export {
  followScreen,
  type FollowScreenOptions,
} from "./client/follow_screen.ts";
export {
  readScreen,
  type ReadScreenOptions,
  sendKeys,
  type SendKeysOptions,
  type TerminalInputPart,
} from "./client/terminal.ts";
export type { ScreenText } from "./screen/screen_text.ts";
export { runRelay } from "./relay/command.ts";
export {
  type TerminalStatus,
  terminalStatus,
} from "./client/terminal_status.ts";
