/**
 * What a terminal session's relay notes in `terminal.json`, read without asking it.
 *
 * @module
 */
import { readFile, statOptional } from "./files.ts";
import { META_BYTES, parseMeta, type Paths } from "./store.ts";

/** What {@linkcode terminalStatus} tells. */
export interface TerminalStatus {
  /** The agent's process id; the pid in the session's record is its relay's. */
  readonly agent: number;
  /** The width of its window. */
  readonly columns: number;
  /** The height of its window. */
  readonly rows: number;
  /** How many clients are attached. */
  readonly clients: number;
  /** When it wrote something last; `null` if it never did. */
  readonly lastOutputAt: Date | null;
}

/**
 * What is known of a terminal session from two small files, cheap enough for lists;
 * `undefined` if it is no terminal. `isRunning` tells whether it still runs: what
 * a killed relay has left says that it has clients.
 */
export function terminalStatus(
  paths: Paths,
  isRunning: boolean,
): TerminalStatus | undefined {
  let state: Partial<Record<keyof TerminalStatus, unknown>> | null;
  try {
    state = JSON.parse(readFile(`${paths.dir}/terminal.json`) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (state === null) return undefined; // No terminal; or just starting, or just gone.
  const log = statOptional(paths.stdout);
  return {
    agent: Number(state.agent) || 0,
    columns: Number(state.columns) || 0,
    rows: Number(state.rows) || 0,
    clients: isRunning ? Number(state.clients) || 0 : 0,
    lastOutputAt: log !== undefined && log.size > 0 ? log.mtime : null,
  };
}

/** Tells by its metadata whether a session is a terminal; a damaged one is none. */
export function isTerminal(paths: Paths): boolean {
  try {
    return parseMeta(readFile(paths.meta, META_BYTES) ?? "", paths.id).kind ===
      "pty";
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
