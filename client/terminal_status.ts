/**
 * The status of a terminal session, from small files that its relay writes: cheap enough for lists.
 *
 * @module
 */
import { readTerminalRecord } from "../process/terminal_record.ts";
import { statOptional } from "../system/files.ts";
import { MAX_SIZE } from "../screen/screen_text.ts";
import {
  isLive,
  noSuchSession,
  type Paths,
  pathsFor,
  readState,
  type RootOptions,
} from "../store.ts";

/** The status of a terminal session. */
export interface TerminalStatus {
  /** The agent's process id. The `pid` file names the relay instead. */
  readonly agent: number;
  /** The width of its window. */
  readonly columns: number;
  /** The height of its window. */
  readonly rows: number;
  /** How many clients are attached. */
  readonly clients: number;
  /** When it last wrote something; `null` if it never did. */
  readonly lastOutputAt: Date | null;
  /** Whether the program draws on the alternate screen, as full-screen ones do. */
  readonly alternate: boolean;
  /** Whether the beginning of its output is gone, because the log has reached its limit. */
  readonly hasDropped: boolean;
}

/** The greatest process id of Linux. */
const MAX_PID = 2 ** 22;

/** A whole number from 1 to `most`; anything else is 0. */
function count(value: unknown, most: number): number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) <= most
    ? Number(value)
    : 0;
}

/**
 * The status of a terminal session; `undefined` if it is no terminal. Needs `--allow-read` of the
 * root.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { createSession, terminalStatus } from "./mod.ts";
 * const { id } = await createSession({ kind: "pty", command: ["bash"] });
 * console.log(terminalStatus(id)?.columns); // 120
 * ```
 */
export function terminalStatus(
  id: string,
  options: RootOptions = {},
): TerminalStatus | undefined {
  const paths = pathsFor(id, options);
  if (statOptional(paths.lock) === undefined) throw noSuchSession(id);
  return terminalStatusAt(paths, isLive(readState(paths)));
}

/**
 * The status of the terminal session with these files; a number that can't be is 0. Pass `isRunning`: the file of a killed relay still counts its clients.
 */
export function terminalStatusAt(
  paths: Paths,
  isRunning: boolean,
): TerminalStatus | undefined {
  const record = readTerminalRecord(paths.dir);
  // No terminal, or just starting, or just deleted.
  if (record === undefined) return undefined;
  const { agent, columns, rows, clients, alternate, dropped } = record;
  const log = statOptional(paths.stdout);
  return {
    agent: count(agent, MAX_PID),
    columns: count(columns, MAX_SIZE),
    rows: count(rows, MAX_SIZE),
    clients: isRunning ? count(clients, 1_000_000) : 0,
    lastOutputAt: log !== undefined && log.size > 0 ? log.mtime : null,
    alternate: alternate === true,
    hasDropped: dropped === true,
  };
}

/** The window of a session; 120x40 if its relay's record has no size that can be. */
export function windowSize(paths: Paths): { columns: number; rows: number } {
  const { columns, rows } = terminalStatusAt(paths, false) ?? {};
  return { columns: columns || 120, rows: rows || 40 };
}

function isPath(text: string): boolean {
  return text.startsWith("/") && !text.includes("\0");
}

/** The directories of the sessions on whose terminals a session is shown, by its relay's record. */
export function viewersOf(dir: string): readonly string[] {
  const shownIn = readTerminalRecord(dir)?.shownIn;
  return Array.isArray(shownIn)
    ? shownIn.filter((path) => typeof path === "string" && isPath(path))
    : [];
}
