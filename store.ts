/**
 * The state directory: where sessions stand, what `meta.json` says of them.
 *
 * Owns ids, paths and metadata; how files are read and written is in files.ts.
 * A session appears under its id by one rename(2), complete, so that a killed
 * creator leaves either nothing, or a hidden `.new-…` directory, or a whole session.
 *
 * Reads and writes files; starts and signals nothing.
 *
 * @module
 */
import { checkType } from "./arguments.ts";
import { ArgumentError, messageOf, SessionError } from "./errors.ts";

/** The format that this version writes; readers refuse a greater one. */
export const FORMAT = 1;

/** The most that `meta.json` may have, in bytes. */
export const META_BYTES = 1024 * 1024;

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
  checkType("id", id, "string");
  if (isId(id)) return id;
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
  // Plain comparisons: this is done for every session of a list.
  const { kind, labels, createdAt, timeoutMs, rm } = meta;
  let wrong: keyof Meta | undefined;
  if (meta.id !== id) wrong = "id";
  else if (kind !== "exec" && kind !== "repl" && kind !== "pty") wrong = "kind";
  else if (!isStrings(meta.argv)) wrong = "argv";
  else if (typeof meta.cwd !== "string") wrong = "cwd";
  else if (!isStrings(meta.env)) wrong = "env";
  else if (!isStringRecord(labels)) wrong = "labels";
  else if (typeof meta.prompt !== "string") wrong = "prompt";
  else if (
    typeof createdAt !== "string" || Number.isNaN(Date.parse(createdAt))
  ) wrong = "createdAt";
  else if (timeoutMs !== undefined && typeof timeoutMs !== "number") {
    wrong = "timeoutMs";
  } else if (rm !== undefined && typeof rm !== "boolean") wrong = "rm";
  if (wrong !== undefined) throw damaged(`meta.json has no valid ${wrong}`);
  return meta as Meta;
}

/** Tells whether a name is that of a session. */
export function isId(name: string): boolean {
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

/** That there is no such session, as an error. */
export function noSuchSession(id: string, cause?: unknown): SessionError {
  const options = cause === undefined ? { id } : { id, cause };
  return new SessionError("not_found", `No such session: "${id}"`, options);
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
    throw new Error(wrong);
  } catch (error) {
    try {
      Deno.removeSync(dir);
    } catch {
      // The reason why it has to go says more.
    }
    throw rootError(root, error);
  }
}
