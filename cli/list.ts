/**
 * The commands that show sessions: `list`, `show`.
 *
 * @module
 */
import { terminalStatusAt } from "../client/terminal_status.ts";
import {
  columnWidths,
  formatAge,
  formatSize,
  formatTable,
  harmless,
  harmlessJson,
  shellWord,
} from "./format.ts";
import { type Handler, type Io, noOperands, OK } from "./io.ts";
import {
  choose,
  filteredSessions,
  forEachChosen,
  noteNone,
} from "./selection.ts";
import { isEnded, isOfAgent, leftOverTest } from "./left_over.ts";
import { readOutcome } from "../events/notify.ts";
import { agentOf, visibleConversation } from "../events/conversation.ts";
import {
  activityOf,
  activityText,
  statusJson,
  type StatusReader,
  statusReader,
  type Tone,
} from "./status.ts";
import { processesAt, type SessionProcess } from "../process/members.ts";
import { listSessions, type Session } from "../session/find.ts";
import { bold, dim, green, magenta, red, yellow } from "../std.ts";
import { KINDS, readStopRequest, timesAt } from "../store.ts";

/** `list`: a table, ids, or JSON. */
export const list: Handler = async (call, io) => {
  noOperands(call, "; did you mean show?");
  const readStatus = statusReader();
  const sessions = await filteredSessions(call, undefined, readStatus);
  if (sessions.length === 0) noteNone(call, io);
  if (io.json) {
    const isLeftOver = leftOverTest();
    const summaries = sessions.map((session) =>
      summaryOf(session, isLeftOver(session), readStatus)
    );
    io.out(harmlessJson(summaries, 2) + "\n");
  } else if (call.flags.has("quiet")) {
    io.out(sessions.map(({ id }) => `${id}\n`).join(""));
  } else if (sessions.length > 0) {
    const width = call.flags.has("wide") ? Infinity : io.width ?? Infinity;
    printTable(sessions, { width, readStatus }, io);
  }
  return OK;
};

/** What the cells of a session's line need to know. */
interface Line {
  readonly session: Session;
  readonly index: number;
  readonly now: number;
  /** Its state, or what it is doing. */
  readonly state: { readonly text: string; readonly color: Color };
}

/** The columns of the table: a name, how it is aligned, the cell of a session. */
const COLUMNS: readonly (readonly [
  string,
  "left" | "right",
  (line: Line) => string,
])[] = [
  ["#", "right", ({ index }) => String(index)],
  ["ID", "left", ({ session }) => session.id],
  [
    "PID",
    "right",
    ({ session: { state } }) =>
      state.state === "running" ? String(state.pids.agent) : "-",
  ],
  ["KIND", "left", ({ session }) => session.meta?.kind ?? "-"],
  ["STATE", "left", ({ state }) => state.text],
  ["CLIENTS", "right", ({ session }) => clientsOf(session)?.toString() ?? "-"],
  ["OUT", "right", ({ session }) => formatSize(session.sizes.stdout)],
  ["ERR", "right", ({ session }) => formatSize(session.sizes.stderr)],
  ["LAST", "right", ({ session, now }) => ageOf(now, session.lastOutputAt)],
  ["CREATED", "right", ({ session, now }) => ageOf(now, session.createdAt)],
  ["COMMAND", "left", ({ session }) => commandText(session)],
];
/** What is left out where there is no room, in this order. */
const LEFT_OUT = ["CLIENTS", "OUT ERR", "LAST", "KIND", "PID", "CREATED"];
/** The room that commands get before columns are left out, in cells. */
const COMMAND_CELLS = 24;

function printTable(
  sessions: readonly Session[],
  { width, readStatus }: {
    readonly width: number;
    readonly readStatus: StatusReader;
  },
  io: Io,
): void {
  const now = Date.now();
  const isLeftOver = leftOverTest();
  const marks = sessions.map((session) => isLeftOver(session) ? "*" : "");
  const state = COLUMNS.findIndex(([name]) => name === "STATE");
  const lines = sessions.map((session, index): Line => {
    const status = readStatus(session);
    const activity = activityOf(session, status, now);
    const text = activityText(activity, now) + marks[index];
    // A told `idle` is as sure as `working`; silence is not.
    const color = status === null ? COLORS[activity.tone] : told(activity.tone);
    return { session, index, now, state: { text, color } };
  });
  const rows = [
    COLUMNS.map(([name]) => name),
    ...lines.map((line) => COLUMNS.map(([, , cell]) => cell(line))),
  ];
  const widths = columnWidths(rows);
  const kept = columnsFor(widths, width);
  const right = [...kept.keys()].filter((i) =>
    COLUMNS[kept[i]!]![1] === "right"
  );
  const shown = rows.map((row) => kept.map((i) => row[i]!));
  const start = kept.filter((i) => i < state)
    .reduce((sum, i) => sum + widths[i]! + 2, 0);
  const end = start + widths[state]!;
  const table = formatTable(shown, right, width).map((line, i) => {
    if (!io.color) return `${line}\n`;
    if (i === 0) return `${bold(line)}\n`;
    const colored = lines[i - 1]!.state.color(line.slice(start, end));
    return `${line.slice(0, start)}${colored}${line.slice(end)}\n`;
  });
  io.out(table.join(""));
  if (marks.includes("*") && io.columns !== undefined) {
    io.err("* has left processes; to end them: codex-session stop SEL\n");
  }
}

/** The columns, by their index, that leave the commands some room. */
function columnsFor(widths: readonly number[], width: number): number[] {
  let kept = [...COLUMNS.keys()];
  const last = kept.length - 1;
  const needed = () =>
    kept.reduce((sum, i) => {
      const most = i === last ? COMMAND_CELLS : Infinity;
      return sum + Math.min(widths[i]!, most) + 2;
    }, -2);
  for (const names of LEFT_OUT) {
    if (needed() <= width) break;
    kept = kept.filter((i) => !names.split(" ").includes(COLUMNS[i]![0]));
  }
  return kept;
}

/** The number of clients attached to a terminal, as its relay has noted it. */
export function clientsOf({ meta, paths, state }: Session): number | null {
  if (meta === null || !KINDS[meta.kind].isTerminal) return null;
  if (state.state !== "running") return null;
  return terminalStatusAt(paths, true)?.clients ?? null;
}

function ageOf(now: number, then: Date | null): string {
  return then === null ? "-" : formatAge(Math.max(0, now - then.getTime()));
}

/** The command as it can be pasted into a shell; of a damaged session, what is wrong. */
export function commandText({ meta, state }: Session): string {
  if (state.state === "damaged") return harmless(state.reason);
  return (meta?.argv ?? []).map(shellWord).join(" ");
}

type Color = (text: string) => string;

const COLORS: Readonly<Record<Tone, Color>> = {
  blocked: (text) => bold(magenta(text)),
  error: red,
  working: green,
  quiet: dim,
  warning: yellow,
  ended: dim,
};

function told(tone: Tone): Color {
  return tone === "quiet" ? green : COLORS[tone];
}

/** A session as `list --json` prints it: the cheap part of `show`. */
function summaryOf(
  session: Session,
  leftOver: boolean | null,
  readStatus: StatusReader,
) {
  const { id, meta, state, createdAt, sizes } = session;
  const ending = state.state === "exited" ? state.ending : undefined;
  return {
    id,
    kind: meta?.kind ?? null,
    state: state.state,
    status: statusJson(readStatus(session)),
    exitCode: ending !== undefined && "code" in ending ? ending.code : null,
    signal: ending !== undefined && "signal" in ending ? ending.signal : null,
    reason: state.state === "damaged" ? state.reason : undefined,
    stopped: readStopRequest(session.paths) ?? null,
    leftOver,
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

/** The conversation of a session, as far as the permissions let it be known. */
function conversationIn(
  session: Session,
  processes: readonly SessionProcess[],
) {
  const found = visibleConversation({ ...session, processes });
  if (found === undefined) return null;
  const { agent, id, home = null, how } = found;
  return { agent: agent.name, id, home, how };
}

/** `show`: all details, as a JSON array in the order of the operands. */
export const show: Handler = async (call, io) => {
  const { mainPids } = await import("../process/main_pids.ts");
  const shown: unknown[] = [];
  const readStatus = statusReader();
  const chosen = await choose(call, io, () => true);
  const isFound = chosen.some(({ session }) => session !== undefined);
  const all = isFound ? await listSessions() : [];
  // deno-lint-ignore require-await
  const status = await forEachChosen(chosen, io, async (session) => {
    const { paths, meta } = session;
    const { startedAt, endedAt } = timesAt(paths);
    const live = session.state.state === "running";
    const end = endedAt?.getTime() ?? (live ? Date.now() : undefined);
    const pids = mainPids(paths, live);
    const processes = processesAt(paths);
    const leftOver = isEnded(session) && processes.some(isOfAgent);
    shown.push({
      ...summaryOf(session, leftOver, readStatus),
      pid: pids?.agent ?? null,
      reaperPid: pids?.reaper ?? null,
      relayPid: pids?.relay ?? null,
      startedAt: startedAt?.toISOString() ?? null,
      endedAt: endedAt?.toISOString() ?? null,
      durationMs: startedAt === null || end === undefined
        ? null
        : Math.max(0, Math.round(end - startedAt.getTime())),
      env: meta?.env ?? [],
      timeoutMs: meta?.timeoutMs ?? null,
      rm: meta?.rm ?? false,
      notify: meta?.notify === undefined
        ? null
        : { program: meta.notify, last: readOutcome(paths) },
      agent: agentOf(meta)?.name ?? meta?.agent ?? null,
      conversation: conversationIn(session, processes),
      resumes: meta?.resumes ?? null,
      resumedBy: all.filter(({ meta }) => meta?.resumes === session.id)
        .map(({ id }) => id),
      restarts: meta?.restarts ?? null,
      dir: paths.dir,
      stdout: paths.stdout,
      stderr: paths.stderr,
      processes: processes.map((process) => ({
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
