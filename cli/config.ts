/**
 * The user's defaults: `$XDG_CONFIG_HOME/codex-session/config.json`, else
 * `~/.config/codex-session/config.json`. Only the command line reads it; the library takes arguments.
 * Options win over it, and so do environment variables.
 *
 * A command asks for the value that it needs when it needs it. Only then the file is read and that
 * value checked: a wrong one stops no command that works without it. The file names a program to run.
 * So it and its directory must belong to the user, or to the superuser, and nobody else may write to
 * them. Nor may the way there be another user's, links included: the rules of the state directory
 * apply.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { messageOf } from "../errors.ts";
import { parsePeriod, parseSize } from "./format.ts";
import { encodeKey } from "../screen/keys.ts";
import { dirname, isAbsolute, join } from "../std.ts";
import { safePath } from "../store.ts";
import {
  findProgram,
  isGranted,
  readFile,
  statOptional,
} from "../system/files.ts";

/** The user's defaults; each is missing if the file doesn't set it. */
export interface Config {
  /** The agent that `create` starts. */
  readonly agent?: string;
  /** The time between the first signal and SIGKILL, in milliseconds. */
  readonly grace?: number;
  /** The keys that detach from a terminal session. */
  readonly detachKeys?: string;
  /** The size of a terminal: `COLSxROWS`. */
  readonly size?: string;
  /** How much output of a terminal to keep, in bytes. */
  readonly logLimit?: number;
  /** The notifier: a name or an absolute path. */
  readonly notify?: string;
}

/** The largest file that is read, in bytes. */
const MAX_BYTES = 64 * 1024;

/** Read the values; each throws an error that says what its value must be. */
const READERS: {
  readonly [Key in keyof Required<Config>]: (text: string) => Config[Key];
} = {
  agent: (name) => {
    const names = AGENTS.map(({ name }) => name);
    if (!names.includes(name)) throw new Error(`use ${names.join(", ")}`);
    return name;
  },
  grace: parsePeriod, // createSession() takes no 0.
  detachKeys: (keys) => {
    for (const key of keys.split(",")) encodeKey(key.trim());
    return keys;
  },
  size: (size) => {
    parseTerminalSize(size);
    return size;
  },
  logLimit: parseSize,
  notify: (program) => {
    if (program === "" || program.includes("/") && !isAbsolute(program)) {
      throw new Error("use a name on PATH or an absolute path");
    }
    if (findProgram(program, { path: Deno.env.get("PATH") })) return program;
    const why = program.includes("/")
      ? `no executable file has the path "${program}"`
      : `"${program}" is not found on PATH`;
    throw new Error(`${why}; correct it, or use --notify=`);
  },
};

/**
 * The columns and rows of a terminal's size.
 *
 * @throws {Error} if it is no size.
 */
export function parseTerminalSize(size: string): [number, number] {
  const match = /^(\d{1,4})x(\d{1,4})$/.exec(size);
  const [columns, rows] = [Number(match?.[1]), Number(match?.[2])];
  if (columns > 0 && columns <= 1000 && rows > 0 && rows <= 1000) {
    return [columns, rows];
  }
  throw new Error("use COLSxROWS, such as 120x40, each from 1 to 1000");
}

/** The path of the file; `undefined` if there can be none, or no permission to ask. */
export function configPath(): string | undefined {
  const base = variable("XDG_CONFIG_HOME");
  if (base !== undefined && isAbsolute(base)) {
    return join(base, "codex-session", "config.json");
  }
  const home = variable("HOME");
  return home
    ? join(home, ".config", "codex-session", "config.json")
    : undefined;
}

function variable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name })
    ? Deno.env.get(name)
    : undefined;
}

/** The values of the file, as they stand there. */
type Values = Readonly<Partial<Record<keyof Config, unknown>>>;

let cached: Values | undefined;

/**
 * The user's default for a key; none without the file, or without Deno's permission to read it.
 *
 * @throws {Error} if the file is not as it must be, or this value isn't; the message names the file.
 */
export function configured<Key extends keyof Config>(key: Key): Config[Key] {
  const path = configPath();
  if (path === undefined) return undefined;
  return naming(path, () => valueOf(cached ??= read(path), key));
}

/** What is wrong with the file: a message for each wrong value. */
export function configErrors(): string[] {
  return (Object.keys(READERS) as (keyof Config)[]).flatMap((key) => {
    try {
      configured(key);
      return [];
    } catch (error) {
      return [messageOf(error)];
    }
  }).filter((message, at, all) => all.indexOf(message) === at);
}

/** Adds the path to the error of some work. */
function naming<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(`Cannot use "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function read(path: string): Values {
  if (!isGranted({ name: "read", path: dirname(path) })) return {};
  const info = statOptional(path);
  if (info === undefined) return {};
  checkOwner(dirname(path));
  if (info.isSymlink) checkTarget(path);
  const target = safePath(path, "XDG_CONFIG_HOME");
  new Set([dirname(target), target]).forEach(checkOwner);
  const text = readFile(target, MAX_BYTES);
  if (text === undefined) {
    throw new Error(`it is no file of at most ${MAX_BYTES} bytes; replace it`);
  }
  return parseConfig(text);
}

function checkTarget(link: string): void {
  try {
    Deno.statSync(link);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(
      "it is a link that leads to no file; remove it, or make the file",
    );
  }
}

/** Refuses what another user may change. */
function checkOwner(path: string): void {
  const { uid, mode } = Deno.statSync(path);
  const user = Deno.uid();
  if (user === null) return; // Windows.
  if (uid !== user && uid !== 0) {
    throw new Error(
      `"${path}" belongs to user ${uid}, you are user ${user}; use one of your own`,
    );
  }
  if (((mode ?? 0) & 0o022) !== 0) {
    throw new Error(`others may write to "${path}"; run: chmod go-w "${path}"`);
  }
}

/**
 * Parses the text of the file.
 *
 * @throws {Error} if it is no JSON object, or for an unknown key, which it names.
 */
export function parseConfig(text: string): Values {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    // The rest of its message may show a part of the text.
    const at = /\(line (\d+) column (\d+)\)$/.exec(messageOf(error));
    throw new Error(
      `it is not JSON${
        at === null ? "" : `: line ${at[1]}, column ${at[2]}`
      }; correct it`,
    );
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new Error(
      'it is not a JSON object; use one such as {"grace": "30s"}',
    );
  }
  const unknown = Object.keys(values)
    .find((key) => !Object.hasOwn(READERS, key));
  if (unknown === undefined) return values;
  throw new Error(
    `unknown key ${JSON.stringify(unknown)}; use ${
      Object.keys(READERS).join(", ")
    }`,
  );
}

/**
 * The value of a key.
 *
 * @throws {Error} if it is wrong; the message names the key.
 */
export function valueOf<Key extends keyof Config>(
  values: Values,
  key: Key,
): Config[Key] {
  const value = values[key];
  if (value === undefined) return undefined;
  if (typeof value !== "string") {
    const example = typeof value === "number" ? `, such as "${value}"` : "";
    throw new Error(`"${key}": use a text in quotes${example}`);
  }
  try {
    return READERS[key](value);
  } catch (error) {
    throw new Error(`"${key}": ${messageOf(error)}`, { cause: error });
  }
}
