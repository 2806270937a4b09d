/**
 * The state directory: where sessions stand, what their files mean.
 *
 * Owns ids, paths, `meta.json`, and the derivation of a session's state from
 * its files. State is never stored: an `exit` record means exited; else a held
 * lock means starting or running; else the session is lost. A session appears
 * under its id by one rename(2), complete, so that a killed creator leaves
 * either nothing, or a hidden `.new-…` directory, or a whole session.
 *
 * Reads and writes files; starts and signals nothing.
 *
 * @module
 */
import { ArgumentError, messageOf, SessionError } from "./errors.ts";

/** The format that this version writes; readers refuse a greater one. */
export const FORMAT = 1;

/** How a session takes its input: not at all, by a named pipe, by a pseudo-terminal. */
export type Kind = "exec" | "repl" | "pty";

/** The files of one session. */
export interface Paths {
  /** The session's id, the name of its directory. */
  readonly id: string;
  /** The session's directory. */
  readonly dir: string;
  /** Metadata, written once before the agent starts. */
  readonly meta: string;
  /** The named pipe of an interactive session. */
  readonly stdin: string;
  /** Everything that the agent wrote to its standard output. */
  readonly stdout: string;
  /** Everything that the agent wrote to its standard error. */
  readonly stderr: string;
  /** Locked while a process of the session lives; at the end a copy of `exit`. */
  readonly lock: string;
  /** The process ids: the reaper's, the agent's. */
  readonly pid: string;
  /** How the agent ended. */
  readonly exit: string;
  /** Who asked for its end. */
  readonly stop: string;
}

/** Where to look for sessions. */
export interface RootOptions {
  /**
   * The state directory.
   *
   * @default {defaultRoot()}
   */
  readonly root?: string;
}

/** What is known of a session from its creation. */
export interface Meta {
  /** The format's version. */
  readonly format: number;
  /** The session's id. */
  readonly id: string;
  /** How it takes input. */
  readonly kind: Kind;
  /** The agent's argument vector. */
  readonly argv: readonly string[];
  /** The agent's working directory, absolute. */
  readonly cwd: string;
  /** The names, never the values, of the environment variables given to it. */
  readonly env: readonly string[];
  /** The user's labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** The command or prompt, shortened to a line for lists. */
  readonly prompt: string;
  /** When it was created, RFC 3339 in UTC. */
  readonly createdAt: string;
  /** How long it may run, in milliseconds. */
  readonly timeoutMs?: number;
  /** Deleted once it has ended. */
  readonly rm?: boolean;
}

/** How an agent ended: by itself with a code, or by a signal. */
export type Ending =
  | { readonly code: number }
  | { readonly signal: string };

/** Who asked a session to end, and how. */
export interface StopRequest {
  /** The command or rule that asked. */
  readonly by: "stop" | "delete" | "timeout";
  /** When, RFC 3339 in UTC. */
  readonly at: string;
  /** The first signal that was sent. */
  readonly signal: string;
}

/** The processes that supervise and are the agent. */
export interface Pids {
  /** The supervisor; also the session id, see setsid(2), of what it started. */
  readonly reaper: number;
  /** The agent. */
  readonly agent: number;
}

/** The state of a session, derived from its files; each state has its own fields. */
export type State =
  | { readonly state: "starting" }
  | { readonly state: "running"; readonly pids: Pids }
  | { readonly state: "exited"; readonly ending: Ending }
  | { readonly state: "lost"; readonly pids: Pids | null }
  | { readonly state: "damaged"; readonly reason: string };

/** The name of a state. */
export type StateName = State["state"];

/** All states, in the order of a session's life. */
export const STATES: readonly StateName[] = [
  "starting",
  "running",
  "exited",
  "lost",
  "damaged",
];

/** One session as it was at the moment of reading. */
export interface Session {
  /** Its id. */
  readonly id: string;
  /** Its files. */
  readonly paths: Paths;
  /** Its metadata; `null` if damaged. */
  readonly meta: Meta | null;
  /** Its state. */
  readonly state: State;
  /** When it was created; for a damaged one, when its directory was made. */
  readonly createdAt: Date;
  /** The sizes of its logs in bytes; a missing log has none. */
  readonly sizes: { readonly stdout: number; readonly stderr: number };
}

/**
 * The state directory: `$CODEX_SESSION_HOME`, else
 * `$XDG_STATE_HOME/codex-session`, else `~/.local/state/codex-session`; on
 * Windows `%LOCALAPPDATA%\codex-session`. A relative `$XDG_STATE_HOME` is
 * ignored, as its specification demands. Needs `--allow-env`.
 *
 * @throws {SessionError} `root_unusable` if none of the variables is set.
 *
 * @example
 * ```ts
 * import { defaultRoot } from "./mod.ts";
 * console.log(defaultRoot());
 * ```
 */
export function defaultRoot(): string {
  const own = Deno.env.get("CODEX_SESSION_HOME");
  if (own) return own.startsWith("/") ? own : `${Deno.cwd()}/${own}`;
  if (Deno.build.os === "windows") {
    const local = Deno.env.get("LOCALAPPDATA");
    if (local) return `${local}\\codex-session`;
  } else {
    const state = Deno.env.get("XDG_STATE_HOME");
    if (state?.startsWith("/")) return `${state}/codex-session`;
    const home = Deno.env.get("HOME");
    if (home) return `${home}/.local/state/codex-session`;
  }
  throw new SessionError(
    "root_unusable",
    "Cannot find the state directory: HOME is not set; set CODEX_SESSION_HOME to a directory",
  );
}

/**
 * Checks an id and returns it. The one place that keeps paths inside the root.
 *
 * @throws {ArgumentError} if it is not 1 to 64 of `A-Z a-z 0-9 _ -`, or starts with `-`.
 *
 * @example
 * ```ts
 * import { checkId } from "./store.ts";
 * console.log(checkId("brave-otter"));
 * ```
 */
export function checkId(id: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/.test(id)) return id;
  const shown = JSON.stringify(id.length > 80 ? id.slice(0, 77) + "…" : id);
  throw new ArgumentError(
    `Invalid session id ${shown}: use 1 to 64 letters, digits, "_" and "-", not starting with "-"`,
  );
}

/**
 * The paths of a session's files. Pure; needs `--allow-env` without `root`.
 *
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { pathsFor } from "./mod.ts";
 * console.log(pathsFor("demo", { root: "/tmp/sessions" }).stdout);
 * ```
 */
export function pathsFor(id: string, options: RootOptions = {}): Paths {
  return pathsIn(`${options.root ?? defaultRoot()}/${checkId(id)}`, id);
}

/** The paths of a session whose files stand in `dir`. */
export function pathsIn(dir: string, id: string): Paths {
  // Plain concatenation, here and above: an npm import costs a cold start 4 ms.
  return {
    id,
    dir,
    meta: `${dir}/meta.json`,
    stdin: `${dir}/stdin.pipe`,
    stdout: `${dir}/stdout.log`,
    stderr: `${dir}/stderr.log`,
    lock: `${dir}/lock`,
    pid: `${dir}/pid`,
    exit: `${dir}/exit`,
    stop: `${dir}/stop.json`,
  };
}

/** The text of a file, or `undefined` if there is none. */
function readOptional(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A record is complete once its line is: the write that ends it is its commit. */
function readRecord(path: string): string[] | undefined {
  const text = readOptional(path);
  return text?.endsWith("\n") ? text.trim().split(" ") : undefined;
}

/** Tells whether there is something at `path`, a dangling link included. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return false;
    throw error;
  }
}

/** Removes a file or a whole directory, links in it as links; nothing there is fine. */
export function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Writes a file whole or not at all: a temporary name, then rename(2). Mode 0600. */
export function writeAtomic(path: string, text: string): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    Deno.writeTextFileSync(temporary, text, { mode: 0o600 });
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was never there.
    }
    throw error;
  }
}

/**
 * Parses `meta.json`.
 *
 * @throws {SessionError} `damaged` if it is not metadata of a format that this version knows.
 */
export function parseMeta(text: string, id: string): Meta {
  const damaged = (why: string, cause?: unknown) =>
    new SessionError("damaged", `Session "${id}" is damaged: ${why}`, {
      id,
      cause,
    });
  let meta: Partial<Record<keyof Meta, unknown>>;
  try {
    meta = JSON.parse(text);
  } catch (error) {
    throw damaged("meta.json is not JSON", error);
  }
  if (typeof meta !== "object" || meta === null) {
    throw damaged("meta.json is not an object");
  }
  if (typeof meta.format !== "number") throw damaged("meta.json has no format");
  if (Math.floor(meta.format) > FORMAT) {
    throw damaged(
      `meta.json has format ${meta.format}, this version knows ${FORMAT}: use a newer codex-session`,
    );
  }
  const isStrings = (value: unknown) =>
    Array.isArray(value) && value.every((item) => typeof item === "string");
  const isLabels = (value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value) &&
    isStrings(Object.values(value));
  const shape: Record<string, boolean> = {
    id: meta.id === id,
    kind: meta.kind === "exec" || meta.kind === "repl" || meta.kind === "pty",
    argv: isStrings(meta.argv),
    cwd: typeof meta.cwd === "string",
    env: isStrings(meta.env),
    labels: isLabels(meta.labels),
    prompt: typeof meta.prompt === "string",
    createdAt: typeof meta.createdAt === "string" &&
      !Number.isNaN(Date.parse(meta.createdAt)),
    timeoutMs: meta.timeoutMs === undefined ||
      typeof meta.timeoutMs === "number",
    rm: meta.rm === undefined || typeof meta.rm === "boolean",
  };
  for (const [field, good] of Object.entries(shape)) {
    if (!good) throw damaged(`meta.json has no valid ${field}`);
  }
  return meta as Meta;
}

/** The numbers of signals(7) by name, as this system has them. */
export const SIGNALS: Readonly<Record<string, number>> =
  Deno.build.os === "darwin"
    // deno-fmt-ignore
    ? { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, EMT: 7, FPE: 8, KILL: 9, BUS: 10, SEGV: 11, SYS: 12, PIPE: 13, ALRM: 14, TERM: 15, URG: 16, STOP: 17, TSTP: 18, CONT: 19, CHLD: 20, TTIN: 21, TTOU: 22, IO: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, INFO: 29, USR1: 30, USR2: 31 }
    // deno-fmt-ignore
    : { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, STKFLT: 16, CHLD: 17, CONT: 18, STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, IO: 29, PWR: 30, SYS: 31 };

/** The name of a signal, such as `SIGTERM`; a number without a name stays one. */
export function signalName(number: number): string {
  for (const [name, value] of Object.entries(SIGNALS)) {
    if (value === number) return `SIG${name}`;
  }
  return `SIG${number}`;
}

/**
 * The number of a signal given as `TERM`, `SIGTERM`, `term` or `15`.
 *
 * @throws {ArgumentError} if there is no such signal.
 */
export function signalNumber(signal: string): number {
  const name = signal.toUpperCase().replace(/^SIG/, "");
  const number = SIGNALS[name] ?? (/^\d{1,2}$/.test(name) ? Number(name) : 0);
  if (number < 1 || number > 64) {
    throw new ArgumentError(
      `Unknown signal "${signal}": try TERM, INT or KILL`,
    );
  }
  return number;
}

/**
 * The exit status that stands for an ending, as a shell gives it: the code, or
 * 128 and the signal's number.
 *
 * @example
 * ```ts
 * import { exitStatus } from "./mod.ts";
 * console.log(exitStatus({ signal: "SIGTERM" })); // 143
 * ```
 */
export function exitStatus(ending: Ending): number {
  return "code" in ending ? ending.code : 128 + signalNumber(ending.signal);
}

/** Parses an end record: `code N` or `signal N`. `undefined` while it is not complete. */
export function parseEnding(text: string): Ending | undefined {
  const match = /^(code|signal) (\d{1,3})\n/.exec(text);
  if (match === null) return undefined;
  const number = Number(match[2]);
  return match[1] === "code"
    ? { code: number }
    : { signal: signalName(number) };
}

/** Reads the process ids, `undefined` until the reaper has written them. */
export function readPids(paths: Paths): Pids | undefined {
  const [reaper, agent] = (readRecord(paths.pid) ?? []).map(Number);
  return reaper && agent ? { reaper, agent } : undefined;
}

/** Reads who asked for the session's end, `undefined` if nobody did. */
export function readStopRequest(paths: Paths): StopRequest | undefined {
  try {
    return JSON.parse(readOptional(paths.stop) ?? "null") ?? undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Tells whether a process of the session lives: whether somebody holds its lock. flock(2). */
export function isLockHeld(paths: Paths): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(paths.lock);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  try {
    // A shared lock, so that two readers never take each other for the holder.
    return !file.tryLockSync(false);
  } finally {
    file.close();
  }
}

/** Derives the state of the session with these files. */
export function readState(paths: Paths): State {
  const ending = readEnding(paths);
  if (ending !== undefined) return { state: "exited", ending };
  const pids = readPids(paths);
  if (isLockHeld(paths)) {
    return pids === undefined
      ? { state: "starting" }
      : { state: "running", pids };
  }
  // It may have ended between the two looks: the record is written before the lock is freed.
  const late = readEnding(paths);
  if (late !== undefined) return { state: "exited", ending: late };
  return { state: "lost", pids: pids ?? null };
}

/** Reads how the agent ended, `undefined` as long as that is not recorded. */
export function readEnding(paths: Paths): Ending | undefined {
  return parseEnding(readOptional(paths.exit) ?? "");
}

/** When the agent was started and when its end was recorded: the times of the files that say so. */
export function readTimes(
  paths: Paths,
): { readonly startedAt: Date | null; readonly endedAt: Date | null } {
  return {
    startedAt: readPids(paths) ? statOptional(paths.pid)?.mtime ?? null : null,
    endedAt: readEnding(paths) ? statOptional(paths.exit)?.mtime ?? null : null,
  };
}

function statOptional(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Reads one session; `undefined` if there is none with this id. */
function readSession(paths: Paths): Session | undefined {
  let meta: Meta | null = null;
  let state: State | undefined;
  let createdAt: Date | undefined;
  try {
    meta = parseMeta(Deno.readTextFileSync(paths.meta), paths.id);
    createdAt = new Date(meta.createdAt);
    state = readState(paths);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) {
      // A foreign directory has no lock either; a session that lost its metadata has.
      if (statOptional(paths.lock) === undefined) return undefined;
      state = { state: "damaged", reason: "meta.json is missing" };
    } else if (error instanceof Deno.errors.NotCapable) {
      throw error;
    } else {
      state = { state: "damaged", reason: reasonOf(error) };
    }
    meta = null;
  }
  return {
    id: paths.id,
    paths,
    meta,
    state,
    createdAt: createdAt ?? statOptional(paths.dir)?.mtime ?? new Date(0),
    sizes: {
      stdout: statOptional(paths.stdout)?.size ?? 0,
      stderr: statOptional(paths.stderr)?.size ?? 0,
    },
  };
}

function reasonOf(error: unknown): string {
  return messageOf(error).replace(/^Session "[^"]*" is damaged: /, "");
}

/** Which sessions {@linkcode listSessions} gives. */
export interface ListOptions extends RootOptions {
  /** Only those in this state. */
  readonly state?: StateName;
  /** Only those that carry all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** The directory of sessions; a root that does not exist yet has none. */
function sessionNames(root: string): string[] {
  const names: string[] = [];
  try {
    for (const entry of Deno.readDirSync(root)) {
      // A link is not followed: it could lead out of the root.
      if (entry.isDirectory && isId(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw rootError(root, error);
  }
  return names;
}

function isId(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/.test(name);
}

/** What makes the root unusable, as an error that says so. */
export function rootError(root: string, error: unknown): unknown {
  if (
    error instanceof Deno.errors.NotCapable || error instanceof SessionError
  ) {
    return error;
  }
  return new SessionError(
    "root_unusable",
    `Cannot use the state directory "${root}": ${messageOf(error)}`,
    { cause: error },
  );
}

/**
 * All sessions, newest first. Damaged ones are listed as such; foreign
 * directories and files are ignored. Needs `--allow-read` of the root and,
 * without `root`, `--allow-env`.
 *
 * @throws {SessionError} `root_unusable` if the root can't be read.
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
  const { root = defaultRoot(), state, labels = {} } = options;
  const wanted = Object.entries(labels);
  const sessions: Session[] = [];
  for (const name of sessionNames(root)) {
    const session = readSession(pathsIn(`${root}/${name}`, name));
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
 * @throws {ArgumentError} if the id is malformed.
 *
 * @example
 * ```ts
 * import { getSession } from "./mod.ts";
 * console.log((await getSession("demo")).state);
 * ```
 */
// deno-lint-ignore require-await
export async function getSession(
  id: string,
  options: RootOptions = {},
): Promise<Session> {
  const session = readSession(pathsFor(id, options));
  if (session === undefined) throw noSuchSession(id);
  return session;
}

function noSuchSession(selector: string): SessionError {
  return new SessionError("not_found", `No such session: "${selector}"`, {
    id: selector,
  });
}

/**
 * The session that a selector names: an exact id, else an index into the
 * newest-first list (0 is the newest), else a unique prefix. Needs
 * `--allow-read` of the root.
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
  const root = options.root ?? defaultRoot();
  if (!isId(selector)) throw noSuchSession(selector);
  const exact = readSession(pathsFor(selector, { root }));
  if (exact !== undefined) return exact;
  if (/^\d{1,9}$/.test(selector)) {
    const session = (await listSessions({ root }))[Number(selector)];
    if (session !== undefined) return session;
  }
  const fitting = sessionNames(root)
    .filter((name) => name.startsWith(selector))
    .map((name) => readSession(pathsIn(`${root}/${name}`, name)))
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

/**
 * Makes the root if it is missing, and in it a hidden directory to build a
 * session in; makes sure that the root is ours alone to write.
 *
 * @throws {SessionError} `root_unusable`.
 */
export function makeBuildDirectory(root: string): string {
  const random = Math.random().toString(36).slice(2, 10);
  const dir = `${root}/.new-${Deno.pid}-${random}`;
  try {
    Deno.mkdirSync(root, { recursive: true, mode: 0o700 });
    Deno.mkdirSync(dir, { mode: 0o700 });
    // A directory of our own tells whose the root should be, without asking for our id.
    const { uid, mode } = Deno.statSync(root);
    const own = Deno.statSync(dir).uid;
    let wrong: string | undefined;
    if (uid !== own) wrong = `it belongs to user ${uid}, you are user ${own}`;
    else if (((mode ?? 0) & 0o022) !== 0) {
      wrong = `others may write to it; run: chmod go-w "${root}"`;
    }
    if (wrong === undefined) return dir;
    Deno.removeSync(dir);
    throw new Error(wrong);
  } catch (error) {
    throw rootError(root, error);
  }
}
