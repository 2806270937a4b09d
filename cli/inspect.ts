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
  unknownEnding,
  valueOf,
} from "./io.ts";
import { ArgumentError, messageOf } from "../errors.ts";
import {
  formatAge,
  formatSize,
  formatTable,
  harmless,
  harmlessJson,
  parseCount,
  parseDuration,
  parsePair,
  parsePeriod,
} from "./format.ts";
import type { Parsed } from "./options.ts";
import { bold, dim, green, red, yellow } from "../std.ts";
import {
  exitStatus,
  KINDS,
  readPids,
  readStopRequest,
  readTimes,
  type State,
  type StateName,
  STATES,
} from "../store.ts";
import {
  listSessions,
  resolveSelector,
  type Session,
} from "../session/find.ts";
import { terminalStatus } from "../client/terminal_status.ts";
import type { Condition } from "../client/wait.ts";

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

/** The clients that are attached to a terminal, as its relay has noted. */
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

/** `show`: everything, as a JSON array in the order asked for. */
export const show: Handler = async (call, io) => {
  const { listProcesses } = await import("../process/members.ts");
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
  if (shown.length > 0) io.out(harmlessJson(shown, 2) + "\n");
  return status;
};

/** `screen`: what a terminal shows. */
export const screen: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "one session"));
  const { readScreen } = await import("../client/terminal.ts");
  const above = valueOf(call, "scrollback");
  const shown = await readScreen(id, {
    ansi: call.flags.has("ansi"),
    scrollback: above === undefined ? 0 : parseCount(above, "number of lines"),
  });
  io.out(
    io.json
      ? harmlessJson(shown, 2) + "\n"
      : shown.lines.map((line) => `${line}\n`).join(""),
  );
  return OK;
};

/** `logs`: bytes as they were written, or as text. */
export const logs: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "one session"));
  if (call.flags.has("plain")) return await plainLog(id, call, io);
  const { followLog, followLogs, readLog } = await import("../client/logs.ts");
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

async function plainLog(id: string, call: Parsed, io: Io): Promise<number> {
  for (const other of ["follow", "stderr", "all"]) {
    if (call.flags.has(other)) {
      throw new ArgumentError(`Use either --plain or --${other}`);
    }
  }
  const { readPlainLog } = await import("../client/replay.ts");
  const tail = valueOf(call, "tail");
  const tailLines = tail === undefined
    ? undefined
    : parseCount(tail, "number of lines");
  for await (const line of readPlainLog(id, { tailLines })) {
    io.out(`${line}\n`);
  }
  return OK;
}

/** `wait --for`: `exit`, `output=REGEX`, `idle=D` or `screen=REGEX`. */
function parseCondition(text: string): Condition {
  const [, what, value = ""] = /^(\w+)(?:=([^]*))?$/.exec(text) ?? [];
  if (what === "exit" && value === "") return { for: "exit" };
  if (what === "idle") return { for: "idle", idleMs: parsePeriod(value) };
  if ((what !== "output" && what !== "screen") || value === "") {
    throw new ArgumentError(
      `Cannot wait for "${text}": use exit, output=REGEX, idle=D or screen=REGEX`,
    );
  }
  try {
    return { for: what, pattern: new RegExp(value, "m") };
  } catch (error) {
    throw new ArgumentError(messageOf(error), { cause: error });
  }
}

/** `wait`: a line per session as it ends, or as it is what was asked for. */
export const wait: Handler = async (call, io) => {
  const { waitForSession } = await import("../client/wait.ts");
  const timeout = valueOf(call, "timeout");
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
  const condition = parseCondition(valueOf(call, "for") ?? "exit");
  const statuses = new Map<string, number>();
  const waiting = call.operands.map(async (selector) => {
    // forEach of one: its error is reported, and its status is its own.
    const status = await forEach([selector], io, async () => {
      const { id } = await resolveSelector(selector);
      if (condition.for !== "exit") {
        const { waitFor } = await import("../client/wait.ts");
        await waitFor(id, condition, { timeoutMs });
        io.out(io.json ? harmlessJson({ id }) + "\n" : `${id}\n`);
        return OK;
      }
      const { state } = await waitForSession(id, { timeoutMs });
      if (state.state !== "exited") {
        io.out(
          io.json
            ? harmlessJson({ id, state: state.state }) + "\n"
            : `${id} ${state.state}\n`,
        );
        throw unknownEnding(id, state);
      }
      const code = exitStatus(state.ending);
      io.out(
        io.json
          ? harmlessJson({ id, exitStatus: code, ...state.ending }) + "\n"
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
