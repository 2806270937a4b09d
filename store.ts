/**
 * The state directory and the files of a session: ids, kinds, paths, metadata, state.
 *
 * A session appears under its id by one rename(2), complete: a killed creator leaves nothing, a
 * hidden `.new-…` directory, or a whole session. The state of a session is derived from its
 * files, never stored.
 *
 * Reads and writes files; starts and signals no process.
 *
 * @module
 */
import {
  ArgumentError,
  checkObject,
  checkOptions,
  checkString,
  checkType,
  messageOf,
  SessionError,
} from "./errors.ts";
import { basename, dirname, isAbsolute, join, resolve } from "./std.ts";
import { factsAt } from "./system/libc.ts";
import { isGranted, openFile, readFile, statOptional } from "./system/files.ts";
import { OS } from "./system/os.ts";
import { signalName, signalNumber } from "./system/signals.ts";

/** The format that this version writes; readers refuse a newer one. */
const FORMAT = 1;

/** The largest size of `meta.json`, in bytes. */
export const META_BYTES = 1024 * 1024;

/** How a session takes its input: not at all, through a named pipe, or from a pseudo-terminal. */
export type Kind = "exec" | "repl" | "pty";

/** What differs between the kinds of sessions. Everything else is the same for all of them. */
export interface KindTraits {
  /**
   * Whether the agent runs on a terminal of its own. A relay, which is a Deno process, then
   * keeps its screen; other sessions cost a shell.
   */
  readonly isTerminal: boolean;
  /** The named pipes in its directory: one for its input, one for the end of that. */
  readonly pipes: readonly string[];
  /** What can be sent to the agent, by `send` or while attached. */
  readonly accepts: readonly ("text" | "keys" | "eof")[];
}

/** The kinds, each with its traits. */
export const KINDS: Readonly<Record<Kind, KindTraits>> = {
  exec: { isTerminal: false, pipes: [], accepts: [] },
  repl: {
    isTerminal: false,
    pipes: ["stdin.pipe", "eof.pipe"],
    accepts: ["text", "eof"],
  },
  pty: { isTerminal: true, pipes: [], accepts: ["text", "keys"] },
};

/** The names of all {@linkcode KINDS}. */
export const KIND_NAMES = Object.keys(KINDS) as readonly Kind[];

/** Tells whether a value names a kind. */
export function isKind(value: unknown): value is Kind {
  return typeof value === "string" && Object.hasOwn(KINDS, value);
}

/**
 * Checks a kind.
 *
 * @throws {ArgumentError} if there is no such kind.
 */
export function checkKind(kind: unknown): void {
  checkString("kind", kind);
  if (isKind(kind)) return;
  throw new ArgumentError(`Unknown kind "${kind}": use exec, repl or pty`);
}

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
  /** Locked while a process of the session lives; afterwards it holds a copy of `exit`. */
  readonly lock: string;
  /** The process ids of the reaper and the agent. */
  readonly pid: string;
  /** How the agent ended. */
  readonly exit: string;
  /** Who asked it to stop. */
  readonly stop: string;
  /** What happened in it, a line each; see `events/journal.ts`. */
  readonly events: string;
  /** What its program tells its terminal it is doing; written by the relay. */
  readonly status: string;
  /** What `report` has last told; written by that. */
  readonly report: string;
  /** The conversation that its agent was last seen to have. */
  readonly conversation: string;
  /** How its last notifier has ended; only of sessions that have one. */
  readonly notify: string;
}

/** Options of functions that look for sessions. */
export interface RootOptions {
  /**
   * The state directory.
   *
   * @default {defaultRoot()}
   */
  readonly root?: string;
}

/** The metadata of a session, known from its creation on. */
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
  /** The names of the environment variables given to it, never their values. */
  readonly env: readonly string[];
  /** The user's labels, and `parent`: the id of the session in which it was created. */
  readonly labels: Readonly<Record<string, string>>;
  /** The label `parent` of its parent, that one's, and so on: the nearest first. */
  readonly ancestors?: readonly string[];
  /** What it is to do: the command or a prompt, shortened to one line. */
  readonly prompt: string;
  /** When it was created: RFC 3339, UTC. */
  readonly createdAt: string;
  /** How long it may run, in milliseconds. */
  readonly timeoutMs?: number;
  /** Whether it is deleted when it ends. */
  readonly rm?: boolean;
  /** The agent program that it runs, if that is a known one. */
  readonly agent?: string;
  /** The id of the session whose conversation it goes on with. */
  readonly resumes?: string;
  /** The id of the session whose command it repeats. */
  readonly restarts?: string;
  /** The program that is told what happens in it: an absolute path. */
  readonly notify?: string;
}

/**
 * The state directory as the environment names it: `$CODEX_SESSION_HOME`, else
 * `$XDG_STATE_HOME/codex-session`, else `~/.local/state/codex-session`; on
 * Windows `%LOCALAPPDATA%\codex-session`. A relative `$XDG_STATE_HOME` is
 * ignored, as its specification requires. Needs `--allow-env`, and for a relative
 * `$CODEX_SESSION_HOME` `--allow-read` of the current directory.
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
  if (own) return resolve(own);
  if (OS.hasLocalAppData) {
    const local = Deno.env.get("LOCALAPPDATA");
    if (local) return join(local, "codex-session");
  } else {
    const state = Deno.env.get("XDG_STATE_HOME");
    if (state && isAbsolute(state)) return join(state, "codex-session");
    const home = Deno.env.get("HOME");
    if (home) return join(home, ".local", "state", "codex-session");
  }
  throw new SessionError(
    "root_unusable",
    "Cannot find the state directory: HOME is not set; set CODEX_SESSION_HOME to a directory",
  );
}

/**
 * The state directory as every function uses it: absolute, with links resolved, and checked.
 * Only this function decides which directory that is and whether it is safe to use. The
 * directory may not exist yet.
 *
 * Needs `--allow-read` of the directory and `--allow-sys=uid`; if the path holds a link, also
 * `--allow-read` of the directories on the path; without `root`, the permissions of
 * {@linkcode defaultRoot}.
 *
 * @throws {SessionError} `root_unusable` if it belongs to another user, if others may write to
 * it, if another user's link leads to it, or if it is not a directory.
 */
export function openRoot(options: RootOptions = {}): string {
  checkOptions(options);
  const asked = resolve(options.root ?? defaultRoot());
  try {
    // Tools that find processes by the lines of a listing would find others, too.
    if (asked.includes("\n")) throw new Error("its path holds a line break");
    const root = safePath(asked, "CODEX_SESSION_HOME");
    checkDirectory(root);
    return root;
  } catch (error) {
    throw rootError(asked, error);
  }
}

/**
 * A normalized absolute path with all links resolved. What is there isn't checked, but the way to it:
 * it leads over no directory and no link by which another user could make it lead elsewhere.
 *
 * @param variable The environment variable that chooses another one.
 * @throws {Error} that says who could.
 */
export function safePath(asked: string, variable: string): string {
  const path = realPath(asked);
  if (path !== asked) checkLinks(asked);
  checkParents(path, variable);
  return path;
}

/** A path with all links resolved; a part at its end that does not exist stays unchanged. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    const parent = dirname(path);
    if (!(error instanceof Deno.errors.NotFound) || parent === path) {
      throw error;
    }
    // Another process has just made it; or it is a dangling link, and this fails again. To make the
    // target of one would make a directory at an unchecked place.
    if (statOptional(path) !== undefined) return Deno.realPathSync(path);
    return join(realPath(parent), basename(path));
  }
}

/**
 * Users who may own the directories and links on the way to the root: this one, the superuser,
 * and the owner of "/", who is the superuser outside of a user namespace. `undefined` on Windows.
 */
function trustedUsers(): readonly (number | null)[] | undefined {
  const user = Deno.uid();
  return user === null ? undefined : [user, 0, statOfParent("/")?.uid ?? 0];
}

/**
 * Refuses what is below a directory of another user, or below one where everybody may rename
 * everything: they could put something else in its place at any moment.
 */
function checkParents(root: string, variable: string): void {
  const trusted = trustedUsers();
  if (trusted === undefined) return;
  for (let path = root; path !== dirname(path);) {
    path = dirname(path);
    const info = statOfParent(path);
    if (info === undefined) continue;
    if (!trusted.includes(info.uid)) {
      throw new Error(
        `the directory "${path}" above it belongs to user ${info.uid}, you are user ${
          trusted[0]
        }; choose another one in ${variable}`,
      );
    }
    const STICKY = 0o1000;
    if (((info.mode ?? 0) & (STICKY | 0o002)) === 0o002) {
      throw new Error(
        `everybody may write to the directory "${path}" above it; run: chmod o-w "${path}"`,
      );
    }
  }
}

/**
 * The facts about a directory above the root, for which Deno may have no permission: it would ask
 * for it on a terminal. `undefined` if it is missing, or can't be seen without --allow-ffi.
 */
function statOfParent(
  path: string,
): Pick<Deno.FileInfo, "uid" | "mode"> | undefined {
  if (isGranted({ name: "read", path })) return statOf(path);
  return OS.hasStatx && isGranted({ name: "ffi" }) ? factsAt(path) : undefined;
}

/** The facts about a directory; `undefined` if it is missing. */
function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Refuses links of other users on a path: their owners can change the target. */
function checkLinks(path: string): void {
  const trusted = trustedUsers();
  if (trusted === undefined) return;
  const names = path.split("/");
  let dir = "/";
  // The kernel's own way, path_resolution(7). realPath() has shown that there is no circle.
  for (let name; (name = names.shift()) !== undefined;) {
    if (name === "" || name === ".") continue;
    const at = resolve(dir, name);
    const info = name === ".." ? undefined : statOptional(at);
    if (!info?.isSymlink) {
      dir = at;
      continue;
    }
    if (!trusted.includes(info.uid)) {
      throw new Error(
        `the link "${at}" on its path belongs to user ${info.uid}, you are user ${
          trusted[0]
        }`,
      );
    }
    const target = Deno.readLinkSync(at);
    if (isAbsolute(target)) dir = "/";
    names.unshift(...target.split("/"));
  }
}

/** Refuses a directory of another user, or one that others may write to. It may be missing. */
export function checkDirectory(path: string): void {
  const info = statOf(path);
  if (info === undefined) return;
  if (!info.isDirectory) throw new Error("it is not a directory");
  const user = Deno.uid();
  if (user === null) return; // Windows.
  if (info.uid !== user) {
    throw new Error(
      `it belongs to user ${info.uid}, you are user ${user}; choose another one in CODEX_SESSION_HOME`,
    );
  }
  if (((info.mode ?? 0) & 0o022) !== 0) {
    throw new Error(`others may write to it; run: chmod go-w "${path}"`);
  }
}

/**
 * Checks an id and returns it. This check keeps all paths inside the root.
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
  checkString("id", id);
  if (isId(id)) return id;
  throw invalidId(id);
}

/**
 * Checks the id of a session that is to be created. One of digits only would hide the session that
 * has this index in a list.
 *
 * @throws {ArgumentError} if it is malformed, or has digits only.
 */
export function checkNewId(id: string): void {
  if (/^\d+$/.test(checkId(id))) throw invalidId(id);
}

function invalidId(id: string): ArgumentError {
  const shown = JSON.stringify(id.length > 80 ? id.slice(0, 77) + "…" : id);
  return new ArgumentError(
    `Invalid session id ${shown}: use 1 to 64 of A-Z a-z 0-9 _ -, not starting with "-", and not digits only`,
  );
}

/**
 * The paths of a session's files in the state directory. Needs `--allow-read` of the root and
 * `--allow-sys=uid`, and without `root` `--allow-env`.
 *
 * @throws {ArgumentError} if the id is malformed.
 * @throws {SessionError} `root_unusable`; `damaged` if a link stands in the directory's place.
 *
 * @example
 * ```ts
 * import { pathsFor } from "./mod.ts";
 * console.log(pathsFor("demo", { root: "/tmp/sessions" }).stdout);
 * ```
 */
export function pathsFor(id: string, options: RootOptions = {}): Paths {
  checkId(id);
  const paths = pathsIn(join(openRoot(options), id), id);
  if (statOptional(paths.dir)?.isSymlink !== true) return paths;
  throw new SessionError(
    "damaged",
    `Session "${id}" is damaged: its directory is a link`,
    { id },
  );
}

/** The paths of a session in `dir`. Without join(), which would add 20 ms to a list of 1,000. */
export function pathsIn(dir: string, id: string): Paths {
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
    events: `${dir}/events.jsonl`,
    status: `${dir}/status.json`,
    report: `${dir}/report.json`,
    conversation: `${dir}/conversation.json`,
    notify: `${dir}/notify.json`,
  };
}

function isStrings(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (typeof item !== "string") return false;
  return true;
}

function isStringRecord(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return false;
  for (const key in value) {
    if (typeof (value as Record<string, unknown>)[key] !== "string") {
      return false;
    }
  }
  return true;
}

/**
 * Parses `meta.json`.
 *
 * @throws {SessionError} `damaged` if it is not valid metadata in a format that this version
 * knows.
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
  // Plain comparisons: a list does this for every session.
  const { kind, labels, ancestors, createdAt, timeoutMs, rm, notify } = meta;
  let wrong: keyof Meta | undefined;
  if (meta.id !== id) wrong = "id";
  else if (!isKind(kind)) wrong = "kind";
  else if (!isStrings(meta.argv)) wrong = "argv";
  else if (typeof meta.cwd !== "string") wrong = "cwd";
  else if (!isStrings(meta.env)) wrong = "env";
  else if (!isStringRecord(labels)) wrong = "labels";
  else if (ancestors !== undefined && !isStrings(ancestors)) {
    wrong = "ancestors";
  } else if (typeof meta.prompt !== "string") wrong = "prompt";
  else if (
    typeof createdAt !== "string" || Number.isNaN(Date.parse(createdAt))
  ) wrong = "createdAt";
  else if (timeoutMs !== undefined && typeof timeoutMs !== "number") {
    wrong = "timeoutMs";
  } else if (rm !== undefined && typeof rm !== "boolean") wrong = "rm";
  else if (
    notify !== undefined && !(typeof notify === "string" && isAbsolute(notify))
  ) wrong = "notify";
  else wrong = LATER.find((name) => !isOptionalString(meta[name]));
  if (wrong !== undefined) throw damaged(`meta.json has no valid ${wrong}`);
  return meta as Meta;
}

/** Names in the metadata that earlier versions didn't write. */
const LATER = ["agent", "resumes", "restarts"] as const;

function isOptionalString(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

/** Tells from its metadata whether a session is a terminal; a damaged session is not. */
export function isTerminal(paths: Paths): boolean {
  try {
    const text = readFile(paths.meta, META_BYTES) ?? "";
    return KINDS[parseMeta(text, paths.id).kind].isTerminal;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

/** Tells whether a name can be the id of a session. */
export function isId(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/.test(name);
}

/** The ids in the root; none if the root does not exist yet. */
export function sessionNames(root: string): string[] {
  const names: string[] = [];
  try {
    for (const entry of Deno.readDirSync(root)) {
      // Links are not followed: they could lead out of the root.
      if (entry.isDirectory && isId(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw rootError(root, error);
  }
  return names;
}

/** The error for a root that is unusable because of another error. */
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

/** The error for an unknown session. */
export function noSuchSession(id: string, cause?: unknown): SessionError {
  const options = cause === undefined ? { id } : { id, cause };
  return new SessionError("not_found", `No such session: "${id}"`, options);
}

/**
 * Makes a directory with its missing parents, each with mode 0700 from the start; returns whether
 * it was missing. (`ensureDir` of `@std/fs` leaves the mode to the umask.)
 */
export function makeDirectory(path: string): boolean {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    makeDirectory(dirname(path));
    return makeDirectory(path);
  }
  Deno.chmodSync(path, 0o700); // The umask may have removed a bit.
  return true;
}

/**
 * Makes the root if it is missing, and in it a hidden directory for building a session.
 *
 * @throws {SessionError} `root_unusable`.
 */
export function makeBuildDirectory(root: string): string {
  const random = Math.random().toString(36).slice(2, 10);
  const dir = join(root, `.new-${Deno.pid}-${random}`);
  try {
    makeDirectory(root);
    // Another user may have been quicker to make it, or a link of that name.
    if (openRoot({ root }) !== root) {
      throw new Error("a link stands in its place");
    }
    Deno.mkdirSync(dir, { mode: 0o700 });
    Deno.chmodSync(dir, 0o700);
    return dir;
  } catch (error) {
    throw rootError(root, error);
  }
}

/** The text of `meta.json`. */
export function textOfMeta(meta: Meta): string {
  return JSON.stringify(meta, null, 2) + "\n";
}

/** A prompt, or a command, as the metadata hold it: a line of bounded length. */
function promptOf(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 200);
}

/**
 * Metadata for a session that is about to start.
 *
 * @throws {ArgumentError} if it is larger than readers accept.
 */
export function newMeta(
  facts:
    & Pick<Meta, "id" | "kind" | "argv" | "cwd" | "timeoutMs" | "rm">
    & Partial<
      Pick<
        Meta,
        | "labels"
        | "ancestors"
        | "prompt"
        | "agent"
        | "resumes"
        | "restarts"
        | "notify"
      >
    >
    & { readonly env?: Readonly<Record<string, string>> },
): Meta {
  const { argv, env = {}, labels = {}, timeoutMs, rm, notify } = facts;
  const { ancestors, agent, resumes, restarts } = facts;
  const meta: Meta = {
    format: FORMAT,
    id: facts.id,
    kind: facts.kind,
    argv,
    cwd: facts.cwd,
    env: Object.keys(env).sort(),
    labels,
    ...(ancestors === undefined ? {} : { ancestors }),
    prompt: promptOf(facts.prompt ?? argv.join(" ")),
    createdAt: new Date().toISOString(),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(rm ? { rm } : {}),
    ...(agent === undefined ? {} : { agent }),
    ...(resumes === undefined ? {} : { resumes }),
    ...(restarts === undefined ? {} : { restarts }),
    ...(notify === undefined ? {} : { notify }),
  };
  const sizeBytes = new TextEncoder().encode(textOfMeta(meta)).length;
  if (sizeBytes <= META_BYTES) return meta;
  throw new ArgumentError(
    `Cannot create a session: arguments, labels and names of variables take ${sizeBytes} bytes in meta.json; the limit is 1 MiB`,
  );
}

/** When a session starts in a scope of its own: `auto` if logind would end it, `always` or `never`. */
export type Scope = "auto" | "always" | "never";

/** All of {@linkcode Scope}. */
export const SCOPES: readonly Scope[] = ["auto", "always", "never"];

/** How an agent ended: with an exit code, or by a signal. */
export type Ending =
  | { readonly code: number }
  | { readonly signal: string };

/**
 * The exit status of a session that has ended, as a shell reports it: the code, or 128 plus the
 * signal's number.
 *
 * @param ended A state, or the ending of one.
 *
 * @example
 * ```ts
 * import { createSession, exitStatus, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["sh", "-c", "exit 3"] });
 * const { state } = await waitForSession(id);
 * console.log(exitStatus(state)); // 3
 * ```
 */
export function exitStatus(
  ended: Ending | Extract<State, { state: "exited" }>,
): number;
/**
 * The same for any state: `undefined` if the session has not ended, or if its ending is unknown.
 */
export function exitStatus(
  state: Ending | State | { readonly state: "deleted" },
): number | undefined;
/** See above. */
export function exitStatus(
  ended: Ending | State | { readonly state: "deleted" },
): number | undefined {
  checkObject("ended", ended);
  if ("ending" in ended) return exitStatus(ended.ending);
  if ("state" in ended) return undefined;
  checkType("ended.code", (ended as { code?: unknown }).code, "number");
  if (!("code" in ended)) checkString("ended.signal", ended.signal);
  return "code" in ended ? ended.code : 128 + signalNumber(ended.signal);
}

/** Parses a record of an ending, `code N` or `signal N`; `undefined` if it is incomplete or malformed. */
export function parseEnding(text: string): Ending | undefined {
  const match = /^(code|signal) (\d{1,3})\n/.exec(text);
  if (match === null) return undefined;
  const number = Number(match[2]);
  if (number > (match[1] === "code" ? 255 : 64)) return undefined;
  return match[1] === "code"
    ? { code: number }
    : { signal: signalName(number) };
}

/** The request that stopped a session. */
export interface StopRequest {
  /** The command or rule that made it. */
  readonly by: "stop" | "delete" | "timeout";
  /** When: RFC 3339, UTC. */
  readonly at: string;
  /** The first signal. */
  readonly signal: string;
}

/** The main processes of a session. */
export interface Pids {
  /** The supervisor; also the kernel's session id of its children, setsid(2). */
  readonly reaper: number;
  /** The relay, in a terminal session. */
  readonly relay?: number;
  /** The agent; in a terminal session, until its relay has named it, the relay. */
  readonly agent: number;
}

/** The state of a session, derived from its files. Each state has its own fields. */
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

/** Tells whether a session in this state has an agent that runs or is about to. */
export function isLive({ state }: Pick<State, "state">): boolean {
  return state === "starting" || state === "running";
}

/** A state in words, for messages: `it exited with code 3`. */
export function describeState(
  state: State | { readonly state: "deleted" },
): string {
  switch (state.state) {
    case "starting":
    case "running":
      return `it is ${state.state}`;
    case "exited":
      return "signal" in state.ending
        ? `it was ended by ${state.ending.signal}`
        : `it exited with code ${state.ending.code}`;
    case "lost":
      return "it is lost: its supervisor was killed, or the machine went down";
    case "damaged":
      return `it is damaged: ${state.reason}`;
    case "deleted":
      return "it was deleted";
    default:
      return state satisfies never;
  }
}

/**
 * Reads the process ids, `undefined` until the reaper has written them. In a terminal session the
 * record names the relay as the agent: see `mainPids` in `process/main_pids.ts`.
 */
export function readPids(paths: Paths): Pids | undefined {
  // The record is complete when its line is.
  const match = /^([1-9]\d{0,9}) ([1-9]\d{0,9})[ \d]*\n$/.exec(
    readFile(paths.pid) ?? "",
  );
  return match === null
    ? undefined
    : { reaper: Number(match[1]), agent: Number(match[2]) };
}

/** Reads the request that stopped the session; `undefined` without one. */
export function readStopRequest(paths: Paths): StopRequest | undefined {
  let request: Partial<StopRequest> | null;
  try {
    request = JSON.parse(readFile(paths.stop) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { by, at, signal } = request ?? {};
  return typeof by === "string" && typeof at === "string" &&
      typeof signal === "string"
    ? { by, at, signal }
    : undefined;
}

/** Tells whether a process of the session lives: a process that does holds its lock, flock(2). */
export function isLockHeld(paths: Paths): boolean {
  using file = openFile(paths.lock);
  // A shared lock: two readers must not take each other for the holder.
  return file !== undefined && !file.tryLock("shared");
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
  // It may have ended between the two looks: the record is written before the lock is released.
  const late = readEnding(paths);
  if (late !== undefined) return { state: "exited", ending: late };
  return { state: "lost", pids: pids ?? null };
}

/** Reads how the agent ended; `undefined` until that is recorded. */
export function readEnding(paths: Paths): Ending | undefined {
  return parseEnding(readFile(paths.exit) ?? "");
}

/** The times of a session: `null` for what has not happened. */
export interface Times {
  /** When the agent started. */
  readonly startedAt: Date | null;
  /** When its ending was recorded. */
  readonly endedAt: Date | null;
}

/** The times of the session with these files: those of `pid` and `exit`. */
export function timesAt(paths: Paths): Times {
  return {
    startedAt: readPids(paths) ? statOptional(paths.pid)?.mtime ?? null : null,
    endedAt: readEnding(paths) ? statOptional(paths.exit)?.mtime ?? null : null,
  };
}
