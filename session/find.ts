/**
 * Finding sessions: all of them, one by its id, one by a selector.
 *
 * Listing reads the root and a few small files of each session. Damaged sessions are listed as
 * such; anything else in the root is ignored.
 *
 * @module
 */
import {
  ArgumentError,
  checkOptions,
  checkString,
  checkStringRecord,
  messageOf,
  SessionError,
} from "../errors.ts";
import { namingAgent } from "../process/main_pids.ts";
import { join } from "../std.ts";
import {
  isId,
  KINDS,
  type Meta,
  META_BYTES,
  noSuchSession,
  openRoot,
  parseMeta,
  type Paths,
  pathsFor,
  pathsIn,
  readState,
  type RootOptions,
  sessionNames,
  type State,
  type StateName,
  STATES,
} from "../store.ts";
import { readFile, readQuickly, statOptional } from "../system/files.ts";

/** A session as it was at the moment of reading. */
export interface Session {
  /** Its id. */
  readonly id: string;
  /** Its files. */
  readonly paths: Paths;
  /** Its metadata; `null` if damaged. */
  readonly meta: Meta | null;
  /** Its state. */
  readonly state: State;
  /** When it was created; for a damaged session, when its directory was made. */
  readonly createdAt: Date;
  /** The sizes of its logs in bytes; 0 for a missing log. */
  readonly sizes: { readonly stdout: number; readonly stderr: number };
  /** The time of its last output; `null` without output. */
  readonly lastOutputAt: Date | null;
}

/** Reads one session; `undefined` if there is none with this id. */
function readSession(paths: Paths): Session | undefined {
  let meta: Meta | null = null;
  let state: State | undefined;
  let createdAt: Date | undefined;
  try {
    let text = readFile(paths.meta, META_BYTES);
    if (text === undefined) {
      // A foreign directory has no lock; a session that lost its metadata does.
      if (statOptional(paths.lock) === undefined) return undefined;
      // It may have appeared, whole, between the two looks.
      text = readFile(paths.meta, META_BYTES);
    }
    if (text !== undefined) {
      meta = parseMeta(text, paths.id);
      createdAt = new Date(meta.createdAt);
      state = readState(paths);
      if (KINDS[meta.kind].isTerminal) state = namingAgent(paths, state);
      // It was deleted between the two looks.
      if (state.state === "lost" && !statOptional(paths.meta)) return undefined;
    } else {
      const info = statOptional(paths.meta);
      const why = info === undefined
        ? "missing"
        : info.isFile
        ? "larger than 1 MiB"
        : "not a regular file";
      state = { state: "damaged", reason: `meta.json is ${why}` };
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (isShortage(error)) throw unreadable(paths.id, error);
    state = { state: "damaged", reason: reasonOf(error) };
    meta = null;
  }
  return {
    id: paths.id,
    paths,
    meta,
    state,
    createdAt: createdAt ?? birthOf(paths.dir) ?? new Date(0),
    ...readOutputFacts(paths),
  };
}

/** When a directory was made; where that isn't known, when it last changed. */
function birthOf(dir: string): Date | null | undefined {
  try {
    const { birthtime, mtime } = Deno.lstatSync(dir);
    return birthtime ?? mtime;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Tells whether the system has no file descriptor left, which says nothing about a file. */
function isShortage(error: unknown): boolean {
  const { code } = Object(error) as { readonly code?: unknown };
  return code === "EMFILE" || code === "ENFILE";
}

function unreadable(id: string, cause: unknown): Error {
  return new Error(
    `Cannot look at session "${id}": too many open files; raise the limit (ulimit -n), or do less at the same time`,
    { cause },
  );
}

function readOutputFacts(
  paths: Paths,
): Pick<Session, "sizes" | "lastOutputAt"> {
  const stdout = statOptional(paths.stdout);
  const stderr = statOptional(paths.stderr);
  let lastOutputAt: Date | null = null;
  for (const info of [stdout, stderr]) {
    // The time of an empty log is that of its creation.
    if (!info?.size || info.mtime === null) continue;
    if (lastOutputAt === null || info.mtime > lastOutputAt) {
      lastOutputAt = info.mtime;
    }
  }
  return {
    sizes: { stdout: stdout?.size ?? 0, stderr: stderr?.size ?? 0 },
    lastOutputAt,
  };
}

function reasonOf(error: unknown): string {
  return messageOf(error).replace(/^Session "[^"]*" is damaged: /, "");
}

/** From this number of sessions on, preparing for fast reads pays off. */
const MANY = 250;

/** Options of {@linkcode listSessions}. */
export interface ListOptions extends RootOptions {
  /** Only sessions in this state. */
  readonly state?: StateName;
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * All sessions, newest first. Damaged ones are listed as such; foreign
 * directories and files are ignored. Needs `--allow-read` of the root and,
 * without `root`, `--allow-env`.
 *
 * @throws {SessionError} `root_unusable` if the root can't be read.
 * @throws {Error} if too many files are open.
 * @throws {ArgumentError} if there is no such state, or an option has the wrong type.
 *
 * @example
 * ```ts
 * import { listSessions } from "./mod.ts";
 * for (const { id, state } of await listSessions()) console.log(id, state.state);
 * ```
 */
// deno-lint-ignore require-await
export async function listSessions(
  options: ListOptions = {},
): Promise<Session[]> {
  return sessionsNow(options);
}

/** The same at once. */
export function sessionsNow(options: ListOptions = {}): Session[] {
  checkOptions(options, { state: "string" });
  const { state, labels = {} } = options;
  if (state !== undefined && !STATES.includes(state)) {
    throw new ArgumentError(
      `Unknown state "${state}": use ${STATES.join(", ")}`,
    );
  }
  checkStringRecord("labels", labels);
  const root = openRoot(options);
  const wanted = Object.entries(labels);
  const sessions: Session[] = [];
  const names = sessionNames(root);
  if (names.length > MANY) readQuickly();
  for (const name of names) {
    const session = readSession(pathsIn(join(root, name), name));
    if (session === undefined) continue;
    if (state !== undefined && session.state.state !== state) continue;
    const has = session.meta?.labels ?? {};
    if (!wanted.every(([key, value]) => has[key] === value)) continue;
    sessions.push(session);
  }
  return sessions.sort(newestFirst);
}

function newestFirst(a: Session, b: Session): number {
  return b.createdAt.getTime() - a.createdAt.getTime() ||
    (a.id < b.id ? -1 : 1);
}

/**
 * The session with exactly this id. Needs `--allow-read` of the root.
 *
 * @throws {SessionError} `not_found`.
 * @throws {Error} if too many files are open.
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { createSession, getSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["sleep", "100"] });
 * console.log((await getSession(id)).state); // { state: "running", pids: { … } }
 * ```
 */
// deno-lint-ignore require-await
export async function getSession(
  id: string,
  options: RootOptions = {},
): Promise<Session> {
  return sessionAt(pathsFor(id, options));
}

/**
 * The session that has these files.
 *
 * @throws {SessionError} `not_found`.
 */
export function sessionAt(paths: Paths): Session {
  const session = readSession(paths);
  if (session === undefined) throw noSuchSession(paths.id);
  return session;
}

/**
 * The session for a selector: an exact id, else an index into the newest-first list (0 is the
 * newest), else a unique prefix; `=ID` is that id only. Needs `--allow-read` of the root.
 *
 * @throws {SessionError} `not_found`, or `ambiguous` with the `candidates`.
 *
 * @example
 * ```ts
 * import { resolveSelector } from "./mod.ts";
 * console.log((await resolveSelector("0")).id);
 * ```
 */
export async function resolveSelector(
  selector: string,
  options: RootOptions = {},
): Promise<Session> {
  checkString("selector", selector);
  const root = openRoot(options);
  const isExact = selector.startsWith("=");
  const id = isExact ? selector.slice(1) : selector;
  if (!isId(id)) throw noSuchSession(id);
  const exact = readSession(pathsIn(join(root, id), id));
  if (exact !== undefined) return exact;
  if (isExact) throw noSuchSession(id);
  if (/^\d{1,9}$/.test(selector)) {
    const session = (await listSessions({ root }))[Number(selector)];
    if (session !== undefined) return session;
  }
  const fitting = sessionNames(root)
    .filter((name) => name.startsWith(selector))
    .map((name) => readSession(pathsIn(join(root, name), name)))
    .filter((session) => session !== undefined)
    .sort(newestFirst);
  const [first, second] = fitting;
  if (first === undefined) throw noSuchSession(selector);
  if (second === undefined) return first;
  const candidates = fitting.map((session) => session.id);
  throw new SessionError(
    "ambiguous",
    `Ambiguous session "${selector}": it could be ${candidates.join(", ")}`,
    { id: selector, candidates },
  );
}
