/**
 * The tools that look and change nothing: `list_sessions`, `get_session`, `read_output`,
 * `read_screen`. All they return is clean and bounded, see `mcp/text.ts`.
 *
 * @module
 */
import { harmlessJson } from "../cli/format.ts";
import { statusReader } from "../cli/status.ts";
import { terminalStatusAt } from "../client/terminal_status.ts";
import { type LogStream, readLogCursor } from "../client/logs.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { visibleConversation } from "../events/conversation.ts";
import { processesAt, type SessionProcess } from "../process/members.ts";
import { readEntry } from "../process/table.ts";
import { STATUS_VALUES } from "../screen/program_status.ts";
import { withoutBlankEnd } from "../screen/screen_text.ts";
import type { Session } from "../session/find.ts";
import { STATES, timesAt } from "../store.ts";
import { turnTaker } from "../system/async.ts";
import { CURSOR, cursorOf, encodeCursor, placeIn } from "./cursor.ts";
import { commandIn, FACTS, factsIn, stateFacts } from "./facts.ts";
import { hasScreen, readOutput } from "./output.ts";
import { sessionIn, sessionsIn, type World } from "./scope.ts";
import { bytesIn, DEFAULT_MAX_BYTES, endOfText, MAX_BYTES } from "./text.ts";
import { ID, type Tool } from "./tool.ts";
import { briefLine, cleanText } from "../screen/clean_text.ts";

const LOOKS = { readOnlyHint: true, openWorldHint: false };

/** So many sessions are listed at most. A list takes no more room than output does by default, either. */
const MOST_LISTED = 200;

const LIST: Tool = {
  name: "list_sessions",
  title: "List sessions",
  description:
    "Lists your background sessions, newest first: agents and commands that you started with start_session, also earlier ones. `state` tells whether a session runs or has exited; `status` what its agent does, if that is known (blocked: it waits for an approval or an answer).",
  annotations: LOOKS,
  input: {
    state: {
      type: "string",
      enum: STATES,
      description: "Only sessions in this state",
    },
    status: {
      type: "array",
      items: { type: "string", enum: STATUS_VALUES },
      description: "Only running sessions with one of these statuses",
    },
    labels: {
      type: "object",
      additionalProperties: { type: "string" },
      description: "Only sessions with all of these labels",
    },
    limit: {
      type: "integer",
      minimum: 1,
      maximum: MOST_LISTED,
      description: "At most so many. Default: 50",
    },
  },
  output: {
    sessions: { type: "array", items: { type: "object", properties: FACTS } },
    left_out: { type: "integer", description: "Older ones, not listed" },
  },
  async run(args, { world, signal }) {
    const { state, status, labels = {}, limit = 50 } = args;
    const readStatus = statusReader();
    const takeTurns = turnTaker(signal);
    const wanted = Object.entries(labels);
    const sessions: object[] = [];
    let fitting = 0;
    let bytes = 0;
    for (const session of await sessionsIn(world)) {
      const has = session.meta?.labels ?? {};
      const isWanted = (state === undefined || session.state.state === state) &&
        wanted.every(([key, value]) =>
          Object.hasOwn(has, key) && has[key] === value
        );
      if (!isWanted) continue;
      await takeTurns(); // Some agents' files take long to read.
      if (status && !status.includes(readStatus(session)?.value)) continue;
      if (fitting++ >= limit || bytes > DEFAULT_MAX_BYTES) continue;
      const facts = factsIn(session, readStatus(session));
      bytes += bytesIn(harmlessJson(facts)) + 1;
      if (bytes <= DEFAULT_MAX_BYTES) sessions.push(facts);
    }
    return { sessions, left_out: fitting - sessions.length };
  },
};

/** So many of its processes are told. */
const MOST_PROCESSES = 20;
/** So many labels are told. */
const MOST_LABELS = 20;
/** So many names of variables are told. */
const MOST_NAMES = 50;

const GET: Tool = {
  name: "get_session",
  title: "Show a session",
  description:
    "All that is known of one session: how it was started, what it is doing, its processes, how it ended. Not its output: see read_output and read_screen.",
  annotations: LOOKS,
  input: { id: ID },
  required: ["id"],
  output: {
    ...FACTS,
    pid: { type: ["integer", "null"] },
    started_at: { type: ["string", "null"] },
    ended_at: { type: ["string", "null"] },
    timeout_ms: { type: "integer" },
    env: { type: "array", items: { type: "string" } },
    env_left_out: { type: "integer" },
    conversation: { type: "string" },
    resumes: { type: "string" },
    restarts: { type: "string" },
    stdout_bytes: { type: "integer" },
    stderr_bytes: { type: "integer" },
    clients: { type: "integer" },
    processes: { type: "array", items: { type: "object" } },
    processes_left_out: { type: "integer" },
  },
  async run({ id }, { world }) {
    const session = await sessionIn(world, id);
    return detailsOf(session);
  },
};

/** All facts of a session. */
function detailsOf(session: Session): object {
  const { meta, paths, state, sizes } = session;
  const { startedAt, endedAt } = timesAt(paths);
  const names = meta?.env ?? [];
  const processes = processesAt(paths);
  const shown = processes.slice(0, MOST_PROCESSES);
  const conversation = visibleConversation({ ...session, processes })?.id;
  const clients = hasScreen(session)
    ? terminalStatusAt(paths, state.state === "running")?.clients
    : undefined;
  return {
    ...factsIn(session, statusReader()(session), MOST_LABELS),
    ...(meta && { command: commandIn(meta.argv) }),
    pid: state.state === "running" ? state.pids.agent : null,
    started_at: startedAt?.toISOString() ?? null,
    ended_at: endedAt?.toISOString() ?? null,
    ...(meta?.timeoutMs !== undefined && { timeout_ms: meta.timeoutMs }),
    env: names.slice(0, MOST_NAMES).map((name) => briefLine(name, 80)),
    ...(names.length > MOST_NAMES && {
      env_left_out: names.length - MOST_NAMES,
    }),
    ...(conversation !== undefined &&
      { conversation: briefLine(conversation) }),
    ...(meta?.resumes !== undefined && { resumes: briefLine(meta.resumes) }),
    ...(meta?.restarts !== undefined && { restarts: briefLine(meta.restarts) }),
    stdout_bytes: sizes.stdout,
    stderr_bytes: sizes.stderr,
    ...(clients !== undefined && { clients }),
    processes: shown.map(processFacts),
    processes_left_out: processes.length - shown.length,
  };
}

function processFacts({ pid, role, command }: SessionProcess): object {
  return { pid, role, command: briefLine(command) };
}

const READ_OUTPUT: Tool = {
  name: "read_output",
  title: "Read output",
  description:
    "The end of what a session has written, as plain text; with `cursor`, only what came since that. Keep the returned `cursor` for the next call, or for wait_for_session. `left_out_bytes` counts the output before `text` that did not fit. For a full-screen program use read_screen.",
  annotations: LOOKS,
  input: {
    id: ID,
    cursor: CURSOR,
    max_bytes: MAX_BYTES,
    stream: {
      type: "string",
      enum: ["stdout", "stderr"],
      description: "Only this one. Default: both",
    },
  },
  required: ["id"],
  output: {
    id: { type: "string" },
    text: {
      type: "string",
      description: "Standard output, or the stream that was asked for",
    },
    left_out_bytes: { type: "integer" },
    stderr: { type: "string" },
    stderr_left_out_bytes: { type: "integer" },
    note: { type: "string" },
    cursor: { type: "string" },
    state: { type: "string" },
    exit_status: { type: "integer" },
  },
  async run(args, { world, signal }) {
    const { id, max_bytes: maxBytes = DEFAULT_MAX_BYTES } = args;
    const stream: LogStream | undefined = args.stream;
    const session = await sessionIn(world, id);
    if (stream === "stderr" && hasScreen(session)) {
      throw new ArgumentError(
        `Session "${id}" is a terminal: all of its output is stdout`,
      );
    }
    const since = args.cursor === undefined
      ? undefined
      : cursorOf(session, args.cursor).log;
    const { root } = world;
    const options = { root, since, maxBytes, stream, signal };
    const { stdout, stderr, notes, end } = await readOutput(session, options);
    const text = stream === "stderr" ? stderr : stdout;
    const isBoth = stream === undefined &&
      (stderr.text !== "" || stderr.leftOutBytes > 0);
    return {
      id,
      text: text.text,
      left_out_bytes: text.leftOutBytes,
      ...(isBoth && {
        stderr: stderr.text,
        stderr_left_out_bytes: stderr.leftOutBytes,
      }),
      ...(notes.length > 0 && { note: notes.join(". ") }),
      cursor: encodeCursor(placeIn(session, end)),
      ...stateFacts(session),
    };
  },
};

/** Lines above the screen that can be asked for. */
const MOST_SCROLLBACK = 1000;

const READ_SCREEN: Tool = {
  name: "read_screen",
  title: "Read the screen",
  description:
    "What the terminal of a session (kind pty) shows now, or showed last: for full-screen programs, menus and prompts. Answer with send_input (`text`, or `keys` such as up, enter, escape). The `cursor` is for wait_for_session and read_output; `cursor_row` and `cursor_column`, from 0, are where the next character goes.",
  annotations: LOOKS,
  input: {
    id: ID,
    scrollback: {
      type: "integer",
      minimum: 0,
      maximum: MOST_SCROLLBACK,
      description: "Also so many lines above the screen. Default: 0",
    },
    max_bytes: MAX_BYTES,
  },
  required: ["id"],
  output: {
    id: { type: "string" },
    text: { type: "string" },
    left_out_bytes: { type: "integer" },
    columns: { type: "integer" },
    rows: { type: "integer" },
    cursor_row: { type: "integer" },
    cursor_column: { type: "integer" },
    title: { type: "string" },
    cursor: { type: "string" },
    state: { type: "string" },
    exit_status: { type: "integer" },
  },
  async run(args, { world, signal }) {
    const { id, scrollback, max_bytes: maxBytes } = args;
    const session = await sessionIn(world, id);
    return await screenOf(session, { world, scrollback, maxBytes, signal });
  },
};

/** How a screen is read. */
interface ScreenOptions {
  readonly world: World;
  readonly scrollback?: number;
  readonly maxBytes?: number;
  readonly signal: AbortSignal;
}

/**
 * The screen of a session.
 *
 * @throws {SessionError} `unsupported`; `timeout` if its relay doesn't answer.
 */
export async function screenOf(
  session: Session,
  { world: { root }, scrollback = 0, maxBytes = DEFAULT_MAX_BYTES, signal }:
    ScreenOptions,
): Promise<Record<string, unknown> & { readonly text: string }> {
  const { id, meta } = session;
  if (!hasScreen(session)) {
    const message = `Session "${id}" has no screen: it is of kind ${
      meta?.kind ?? "unknown"
    }; use read_output`;
    throw new SessionError("unsupported", message, { id });
  }
  checkRelay(session);
  const { readScreen } = await import("../client/terminal.ts");
  // Before the look: what a wait since then finds may be on this screen, but none is missed.
  const log = readLogCursor(id, { root });
  const screen = await readScreen(id, { root, scrollback, signal });
  const { columns, rows, lines, cursor: { row, column }, title } = screen;
  const all = withoutBlankEnd(lines).map((line) => line.trimEnd()).join("\n");
  const { text, leftOutBytes } = endOfText(cleanText(all), maxBytes);
  return {
    id,
    text,
    left_out_bytes: leftOutBytes,
    columns,
    rows,
    cursor_row: row,
    cursor_column: column,
    ...(title !== "" && { title: briefLine(title) }),
    cursor: encodeCursor(placeIn(session, log)),
    ...stateFacts(session),
  };
}

/** Fails at once if nobody can answer: else a suspended relay would be waited for. */
function checkRelay({ id, state }: Session): void {
  const relay = state.state === "running" ? state.pids.relay : undefined;
  if (relay === undefined || !readEntry(relay)?.stopped) return;
  const message =
    `Cannot read the screen of session "${id}": the process of its terminal is suspended; read_output still works, stop_session ends it, and kill -CONT ${relay} continues it`;
  throw new SessionError("timeout", message, { id });
}

/** The tools. */
export const LOOKING: readonly Tool[] = [LIST, GET, READ_OUTPUT, READ_SCREEN];
