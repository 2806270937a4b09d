/**
 * The commands that show sessions: `list`, `show`.
 *
 * @module
 */
import { terminalStatus } from "../client/terminal_status.ts";
import {
  formatAge,
  formatSize,
  formatTable,
  harmless,
  harmlessJson,
} from "./format.ts";
import { type Handler, type Io, noOperands, OK } from "./io.ts";
import {
  choose,
  filteredSessions,
  forEachChosen,
  noteNone,
} from "./selection.ts";
import type { Session } from "../session/find.ts";
import { bold, dim, green, red, yellow } from "../std.ts";
import {
  exitStatus,
  KINDS,
  readPids,
  readStopRequest,
  readTimes,
  type State,
} from "../store.ts";

/** `list`: a table, ids, or JSON. */
export const list: Handler = async (call, io) => {
  noOperands(call, "; did you mean show?");
  const sessions = await filteredSessions(call);
  if (sessions.length === 0) noteNone(call, io);
  if (io.json) {
    io.out(harmlessJson(sessions.map(summaryOf), 2) + "\n");
  } else if (call.flags.has("quiet")) {
    io.out(sessions.map(({ id }) => `${id}\n`).join(""));
  } else if (sessions.length > 0) io.out(tableOf(sessions, io));
  return OK;
};

const HEADER = "# ID PID KIND STATE CLIENTS OUT ERR LAST CREATED COMMAND/PROMPT"
  .split(" ");

function tableOf(sessions: readonly Session[], io: Io): string {
  const now = Date.now();
  const rows = sessions.map((session, index) => [
    String(index),
    session.id,
    session.state.state === "running" ? String(session.state.pids.agent) : "-",
    session.meta?.kind ?? "-",
    stateText(session.state),
    clientsOf(session)?.toString() ?? "-",
    formatSize(session.sizes.stdout),
    formatSize(session.sizes.stderr),
    ageOf(now, session.lastOutputAt),
    ageOf(now, session.createdAt),
    harmless(promptOf(session)),
  ]);
  const lines = formatTable(
    [HEADER, ...rows],
    [0, 2, 5, 6, 7, 8, 9],
    io.columns,
  );
  if (!io.color) return lines.join("\n") + "\n";
  const colored = lines.map((line, i) => {
    if (i === 0) return bold(line);
    const { state } = sessions[i - 1]!;
    const text = stateText(state);
    return line.replace(` ${text} `, ` ${colorOf(state)(text)} `);
  });
  return colored.join("\n") + "\n";
}

/** The number of clients attached to a terminal, as its relay has noted it. */
function clientsOf({ meta, paths, state }: Session): number | null {
  if (meta === null || !KINDS[meta.kind].isTerminal) return null;
  if (state.state !== "running") return null;
  return terminalStatus(paths, true)?.clients ?? null;
}

function ageOf(now: number, then: Date | null): string {
  return then === null ? "-" : formatAge(Math.max(0, now - then.getTime()));
}

function promptOf({ meta, state }: Session): string {
  if (state.state === "damaged") return state.reason;
  return meta?.prompt || meta?.argv.join(" ") || "";
}

/** A state in a word or two: `running`, `exited 3`, `exited SIGTERM`. */
function stateText(state: State): string {
  if (state.state !== "exited") return state.state;
  return `exited ${
    "code" in state.ending ? state.ending.code : state.ending.signal
  }`;
}

function colorOf(state: State): (text: string) => string {
  switch (state.state) {
    case "starting":
    case "running":
      return green;
    case "exited":
      return exitStatus(state.ending) === 0 ? dim : red;
    case "lost":
    case "damaged":
      return yellow;
    default:
      return state satisfies never;
  }
}

/** A session as `list --json` prints it: the cheap part of `show`. */
function summaryOf(session: Session) {
  const { id, meta, state, createdAt, sizes } = session;
  const ending = state.state === "exited" ? state.ending : undefined;
  return {
    id,
    kind: meta?.kind ?? null,
    state: state.state,
    exitCode: ending !== undefined && "code" in ending ? ending.code : null,
    signal: ending !== undefined && "signal" in ending ? ending.signal : null,
    reason: state.state === "damaged" ? state.reason : undefined,
    pid: state.state === "running" ? state.pids.agent : null,
    createdAt: createdAt.toISOString(),
    lastOutputAt: session.lastOutputAt?.toISOString() ?? null,
    clients: clientsOf(session),
    stdoutBytes: sizes.stdout,
    stderrBytes: sizes.stderr,
    argv: meta?.argv ?? null,
    prompt: meta?.prompt ?? null,
    cwd: meta?.cwd ?? null,
    labels: meta?.labels ?? {},
  };
}

/** `show`: all details, as a JSON array in the order of the operands. */
export const show: Handler = async (call, io) => {
  const { listProcesses } = await import("../process/members.ts");
  const shown: unknown[] = [];
  const chosen = await choose(call, io, () => true);
  // deno-lint-ignore require-await
  const status = await forEachChosen(chosen, io, async (session) => {
    const { paths, meta } = session;
    const { startedAt, endedAt } = readTimes(paths);
    const live = session.state.state === "running";
    const end = endedAt?.getTime() ?? (live ? Date.now() : undefined);
    const pids = readPids(paths);
    shown.push({
      ...summaryOf(session),
      pid: pids?.agent ?? null,
      reaperPid: pids?.reaper ?? null,
      stopped: readStopRequest(paths) ?? null,
      startedAt: startedAt?.toISOString() ?? null,
      endedAt: endedAt?.toISOString() ?? null,
      durationMs: startedAt === null || end === undefined
        ? null
        : Math.max(0, Math.round(end - startedAt.getTime())),
      env: meta?.env ?? [],
      timeoutMs: meta?.timeoutMs ?? null,
      rm: meta?.rm ?? false,
      dir: paths.dir,
      stdout: paths.stdout,
      stderr: paths.stderr,
      processes: listProcesses(paths).map((process) => ({
        pid: process.pid,
        role: process.role,
        command: process.command,
        rssBytes: process.rssBytes,
        cpuMs: process.cpuMs,
      })),
    });
  });
  if (shown.length > 0) io.out(harmlessJson(shown, 2) + "\n");
  return status;
};
