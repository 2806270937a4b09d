/**
 * The commands that look: `list`, `show`, `logs`, `wait`.
 *
 * @module
 */
import {
  FAILED,
  forEach,
  type Handler,
  type Io,
  OK,
  onlyOperand,
  valueOf,
} from "./cli_io.ts";
import { ArgumentError, SessionError } from "./errors.ts";
import {
  formatAge,
  formatSize,
  formatTable,
  harmless,
  parseCount,
  parseDuration,
  parsePair,
} from "./format.ts";
import { exitStatus } from "./signals.ts";
import { listSessions, resolveSelector, type Session } from "./sessions.ts";
import {
  readPids,
  readStopRequest,
  readTimes,
  type State,
  type StateName,
  STATES,
} from "./store.ts";

/** `list`: a table, ids, or JSON. */
export const list: Handler = async (call, io) => {
  if (call.operands.length > 0) {
    throw new ArgumentError(
      `list takes no operand, got "${call.operands[0]}"; did you mean show?`,
    );
  }
  const state = valueOf(call, "state");
  if (state !== undefined && !(STATES as readonly string[]).includes(state)) {
    throw new ArgumentError(
      `Unknown state "${state}": use ${STATES.join(", ")}`,
    );
  }
  const sessions = await listSessions({
    state: state as StateName | undefined,
    labels: Object.fromEntries(
      (call.values.get("label") ?? []).map((text) => parsePair(text, "label")),
    ),
  });
  if (io.json) {
    io.out(JSON.stringify(sessions.map(summaryOf), null, 2) + "\n");
  } else if (call.flags.has("quiet")) {
    io.out(sessions.map(({ id }) => `${id}\n`).join(""));
  } else io.out(tableOf(sessions, io));
  return OK;
};

const HEADER = "# ID PID KIND STATE OUT ERR CREATED COMMAND/PROMPT".split(" ");

function tableOf(sessions: readonly Session[], io: Io): string {
  const now = Date.now();
  const rows = sessions.map((session, index) => [
    String(index),
    session.id,
    session.state.state === "running" ? String(session.state.pids.agent) : "-",
    session.meta?.kind ?? "-",
    stateText(session.state),
    formatSize(session.sizes.stdout),
    formatSize(session.sizes.stderr),
    formatAge(now - session.createdAt.getTime()),
    harmless(promptOf(session)),
  ]);
  const lines = formatTable([HEADER, ...rows], [0, 2, 5, 6, 7], io.columns);
  if (!io.color) return lines.join("\n") + "\n";
  const colored = lines.map((line, i) => {
    if (i === 0) return `\x1b[1m${line}\x1b[0m`;
    const { state } = sessions[i - 1]!;
    const text = stateText(state);
    return line.replace(` ${text} `, ` ${colorOf(state)}${text}\x1b[0m `);
  });
  return colored.join("\n") + "\n";
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

function colorOf(state: State): string {
  switch (state.state) {
    case "starting":
    case "running":
      return "\x1b[32m";
    case "exited":
      return exitStatus(state.ending) === 0 ? "\x1b[2m" : "\x1b[31m";
    case "lost":
    case "damaged":
      return "\x1b[33m";
    default:
      return state satisfies never;
  }
}

/** What `list --json` tells of a session: the cheap part of `show`. */
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
    stdoutBytes: sizes.stdout,
    stderrBytes: sizes.stderr,
    argv: meta?.argv ?? null,
    prompt: meta?.prompt ?? null,
    cwd: meta?.cwd ?? null,
    labels: meta?.labels ?? {},
  };
}

/** `show`: everything, as a JSON array in the order asked for. */
export const show: Handler = async (call, io) => {
  const { listProcesses } = await import("./processes.ts");
  const shown: unknown[] = [];
  const status = await forEach(call.operands, io, async (selector) => {
    const session = await resolveSelector(selector);
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
  if (shown.length > 0) io.out(JSON.stringify(shown, null, 2) + "\n");
  return status;
};

/** `logs`: bytes as they were written. */
export const logs: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "one session"));
  const { followLog, followLogs, readLog } = await import("./logs.ts");
  const tail = valueOf(call, "tail");
  const tailLines = tail === undefined
    ? undefined
    : parseCount(tail, "number of lines");
  const both = call.flags.has("all");
  const streams = both
    ? ["stdout", "stderr"] as const
    : [call.flags.has("stderr") ? "stderr" : "stdout"] as const;
  // Alone, a stream goes to standard output; together, each to its own.
  const write = (stream: string, bytes: Uint8Array) =>
    both && stream === "stderr" ? io.err(bytes) : io.out(bytes);
  if (!call.flags.has("follow")) {
    for (const stream of streams) {
      for await (const bytes of readLog(id, { stream, tailLines })) {
        write(stream, bytes);
      }
    }
  } else if (both) {
    for await (const { stream, bytes } of followLogs(id, { tailLines })) {
      write(stream, bytes);
    }
  } else {
    const [stream] = streams;
    for await (const bytes of followLog(id, { stream, tailLines })) {
      io.out(bytes);
    }
  }
  return OK;
};

/** `wait`: a line per session as it ends. */
export const wait: Handler = async (call, io) => {
  const { waitForSession } = await import("./wait.ts");
  const timeout = valueOf(call, "timeout");
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
  const statuses = new Map<string, number>();
  const waiting = call.operands.map(async (selector) => {
    // forEach of one: its error is reported, and its status is its own.
    const status = await forEach([selector], io, async () => {
      const { id } = await resolveSelector(selector);
      const { state } = await waitForSession(id, { timeoutMs });
      if (state.state !== "exited") {
        io.out(
          io.json
            ? JSON.stringify({ id, state: state.state }) + "\n"
            : `${id} ${state.state}\n`,
        );
        throw new SessionError(
          "wrong_state",
          `Session "${id}" is ${state.state}: how its agent ended is not known`,
          { id },
        );
      }
      const code = exitStatus(state.ending);
      io.out(
        io.json
          ? JSON.stringify({ id, exitStatus: code, ...state.ending }) + "\n"
          : `${id} ${code}\n`,
      );
      return code;
    });
    statuses.set(selector, status);
  });
  if (waiting.length === 0) {
    throw new ArgumentError("Name at least one session");
  }
  await Promise.all(waiting);
  for (const selector of call.operands) {
    const status = statuses.get(selector) ?? FAILED;
    if (status !== OK) return status;
  }
  return OK;
};
