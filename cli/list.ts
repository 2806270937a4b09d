/**
 * The commands that show sessions: `list`, `show`.
 *
 * @module
 */
import { terminalStatusAt } from "../client/terminal_status.ts";
import { ArgumentError } from "../errors.ts";
import {
  formatAge,
  formatSize,
  formatTable,
  harmless,
  harmlessJson,
} from "./format.ts";
import {
  forEach,
  type Handler,
  type Io,
  labelsOf,
  noOperands,
  OK,
  valueOf,
} from "./io.ts";
import {
  listSessions,
  resolveSelector,
  type Session,
} from "../session/find.ts";
import { bold, dim, green, red, yellow } from "../std.ts";
import {
  exitStatus,
  KINDS,
  readStopRequest,
  type State,
  type StateName,
  STATES,
  timesAt,
} from "../store.ts";

/** `list`: a table, ids, or JSON. */
export const list: Handler = async (call, io) => {
  noOperands(call, "; did you mean show?");
  const state = valueOf(call, "state");
  if (state !== undefined && !(STATES as readonly string[]).includes(state)) {
    throw new ArgumentError(
      `Unknown state "${state}": use ${STATES.join(", ")}`,
    );
  }
  const sessions = await listSessions({
    state: state as StateName | undefined,
    labels: labelsOf(call),
  });
  if (io.json) {
    io.out(harmlessJson(sessions.map(summaryOf), 2) + "\n");
  } else if (call.flags.has("quiet")) {
    io.out(sessions.map(({ id }) => `${id}\n`).join(""));
  } else io.out(tableOf(sessions, io));
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
  return terminalStatusAt(paths, true)?.clients ?? null;
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
      return exitStatus(state) === 0 ? dim : red;
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
  const { processesAt } = await import("../process/members.ts");
  const { mainPids } = await import("../process/main_pids.ts");
  const shown: unknown[] = [];
  const status = await forEach(call.operands, io, async (selector) => {
    const session = await resolveSelector(selector);
    const { paths, meta } = session;
    const { startedAt, endedAt } = timesAt(paths);
    const live = session.state.state === "running";
    const end = endedAt?.getTime() ?? (live ? Date.now() : undefined);
    const pids = mainPids(paths, live);
    shown.push({
      ...summaryOf(session),
      pid: pids?.agent ?? null,
      reaperPid: pids?.reaper ?? null,
      relayPid: pids?.relay ?? null,
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
      processes: processesAt(paths).map((process) => ({
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
