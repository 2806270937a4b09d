/**
 * Telling what the session of this process is doing: for scripts, and for hooks of any agent,
 * which run it often. So it reads a few small files and no process table.
 *
 * @module
 */
import type { StatusSource, ToldStatus } from "./event.ts";
import { appendEvent } from "./journal.ts";
import { type LaterNotice, notifyReport } from "./notify.ts";
import { readReport, type Report, writeReport } from "./report_file.ts";
import { readTold } from "./status_file.ts";
import { type StatusFacts, statusIn } from "./status_facts.ts";
import {
  ArgumentError,
  checkOptions,
  checkString,
  checkWhole,
  messageOf,
  SessionError,
} from "../errors.ts";
import { mainPids } from "../process/main_pids.ts";
import { isWithin } from "../process/members.ts";
import { readEntry } from "../process/table.ts";
import {
  BLOCKED_KINDS,
  type BlockedKind,
  STATUS_VALUES,
  type StatusValue,
} from "../screen/program_status.ts";
import { basename, dirname } from "../std.ts";
import {
  describeState,
  noSuchSession,
  type Paths,
  pathsFor,
  readState,
} from "../store.ts";
import { type OpenFile, openFile, statOptional } from "../system/files.ts";
import { poll } from "../system/libc.ts";

/** Options of {@linkcode reportStatus}. */
export interface ReportOptions {
  /** What is needed, if it is blocked. */
  readonly kind?: BlockedKind;
  /** One line for people. */
  readonly message?: string;
  /** A short label for people. */
  readonly title?: string;
  /** How far it is, from 0 to 100, if it is working or blocked. */
  readonly progress?: number;
  /**
   * The process whose status it is: the report ends with it.
   *
   * @default {the session's agent}
   */
  readonly pid?: number;
}

/** What {@linkcode reportStatus} has told. */
export interface Reported {
  /** The session. */
  readonly id: string;
  /** What it is doing now, as far as it was reported; `null` after `clear`. */
  readonly status: ToldStatus | null;
}

const SOURCE: StatusSource = "report";
/** How long a session may take to record its processes; it has started this one already. */
const START_MS = 1000;
/** How long a report waits for others at most, in milliseconds. Each takes a few. */
const LOCK_MS = 1000;

/**
 * Reports what the session is doing that this process belongs to; `clear` takes the last report
 * back. The report counts until the next one, and as long as its process lives. What the program
 * itself tells its terminal, or an agent in its files, comes first.
 *
 * Needs `--allow-env`, `--allow-ffi`, and `--allow-read` and `--allow-write` of the session's root.
 *
 * @throws {SessionError} `not_found` outside of a session; `wrong_state` if it has ended;
 * `root_unusable` if its directory can't be written, as in a sandbox.
 * @throws {ArgumentError} for an unknown status or kind; {RangeError} for numbers out of bounds.
 *
 * @example
 * ```ts
 * import { reportStatus } from "./mod.ts";
 * await reportStatus("working", { message: "running the tests", progress: 40 });
 * ```
 */
export async function reportStatus(
  value: StatusValue | "clear",
  options: ReportOptions = {},
): Promise<Reported> {
  const told = checkReport(value, options);
  const paths = ownPaths();
  const agent = await runningAgent(paths);
  const status = told && { ...told, source: SOURCE };
  let report: Report | null;
  let later: LaterNotice | undefined;
  {
    // However many report at the same time, the report and the last event agree, and each is
    // compared with the one before it.
    using _ = await lockReports(paths);
    const before = readReport(paths);
    report = told && reportOf(told, options.pid ?? agent, before);
    write(paths, report);
    // What a terminal's program tells comes first: then nothing has changed.
    if (!isSame(report, before) && !readTold(paths)?.records.length) {
      appendEvent(paths, { type: "status", status });
      if (status && report?.since !== before?.since) {
        later = notifyReport(paths, status);
      }
    }
  }
  if (later !== undefined) {
    // The process ends at once: so it waits here.
    await poll(-1, 0, later.waitMs);
    using _ = await lockReports(paths);
    if (isSame(report, readReport(paths))) later.tell();
  }
  return { id: paths.id, status };
}

/**
 * Keeps other reports out until it is disposed of. If another process holds the lock for too long,
 * because it is stopped, the report is told without it.
 */
async function lockReports(paths: Paths): Promise<OpenFile | undefined> {
  // Only reports lock this file: senders lock the metadata, for as long as they send.
  const file = openFile(paths.pid);
  const deadline = performance.now() + LOCK_MS;
  while (file?.tryLock("exclusive") === false) {
    if (performance.now() > deadline) break;
    await poll(-1, 0, 1);
  }
  return file;
}

function isSame(report: Report | null, other: Report | undefined): boolean {
  return JSON.stringify(report) === JSON.stringify(other ?? null);
}

function write(paths: Paths, report: Report | null): void {
  try {
    writeReport(paths, report);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new SessionError(
      "root_unusable",
      `Cannot report for session "${paths.id}": its directory can't be written: ${
        messageOf(error)
      }`,
      { id: paths.id, cause: error },
    );
  }
}

/** What is to be reported; `null` for `clear`. */
function checkReport(
  value: string,
  options: ReportOptions,
): StatusFacts | null {
  checkString("value", value);
  checkOptions(options, { kind: "string", message: "string", title: "string" });
  const { kind, progress, pid } = options;
  checkWhole("progress", progress, 0, 100);
  checkWhole("pid", pid, 1);
  if (kind !== undefined && !BLOCKED_KINDS.includes(kind)) {
    throw new ArgumentError(
      `Unknown kind "${kind}": use ${BLOCKED_KINDS.join(", ")}`,
    );
  }
  if (kind !== undefined && value !== "blocked") {
    throw new ArgumentError("A kind is only for the status blocked");
  }
  if (progress !== undefined && value !== "working" && value !== "blocked") {
    throw new ArgumentError(
      "A progress is only for the status working or blocked",
    );
  }
  if (value === "clear") return null;
  const told = statusIn({ ...options, value });
  if (told !== undefined) return told;
  throw new ArgumentError(
    `Unknown status "${value}": use ${STATUS_VALUES.join(", ")} or clear`,
  );
}

/** The files of the session that this process belongs to. */
function ownPaths(): Paths {
  const id = Deno.env.get("CODEX_SESSION_ID");
  const dir = Deno.env.get("CODEX_SESSION_DIR");
  if (id && dir && basename(dir) === id) {
    const paths = pathsFor(id, { root: dirname(dir) });
    if (statOptional(paths.lock) === undefined) throw noSuchSession(id);
    if (isWithin(paths)) return paths;
  }
  throw new SessionError(
    "not_found",
    "Cannot report: this process belongs to no session; call it from a program that codex-session runs",
  );
}

/** The agent of a session, which may just be starting. */
async function runningAgent(paths: Paths): Promise<number> {
  const deadline = performance.now() + START_MS;
  for (;;) {
    const state = readState(paths);
    const agent = mainPids(paths, true)?.agent;
    if (state.state === "running" && agent !== undefined) return agent;
    if (state.state !== "starting" || performance.now() > deadline) {
      throw new SessionError(
        "wrong_state",
        `Cannot report for session "${paths.id}": ${describeState(state)}`,
        { id: paths.id },
      );
    }
    await poll(-1, 0, 5); // A pause without a timer.
  }
}

/** The report to be written: the time stays as long as the value, the kind and the process do. */
function reportOf(
  told: StatusFacts,
  pid: number,
  before: Report | undefined,
): Report {
  const start = readEntry(pid)?.startTicks;
  if (start === undefined) {
    throw new ArgumentError(`Cannot report for process ${pid}: it has ended`);
  }
  const process = { pid, start };
  const isSame = before?.value === told.value && before.kind === told.kind &&
    before.process.pid === pid && before.process.start === start;
  return { ...told, since: isSame ? before.since : Date.now(), process };
}
