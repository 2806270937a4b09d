/**
 * The user's defaults: `$XDG_CONFIG_HOME/codex-session/config.json`, else
 * `~/.config/codex-session/config.json`. Only the command line reads it; the library takes arguments.
 * Options win over it, and so do environment variables.
 *
 * Each command that needs a value asks for it, and only then the file is read: a command that needs none
 * works whatever is in it. It names a program to run. So it and its directory must belong to the
 * user, or to the superuser, and nobody else may write to them. Nor may the way there be another
 * user's, links included: the rules of the state directory apply.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { messageOf } from "../errors.ts";
import { parseDuration, parsePeriod, parseSize } from "./format.ts";
import { encodeKey } from "../screen/keys.ts";
import { dirname, isAbsolute, join } from "../std.ts";
import { safePath } from "../store.ts";
import { isGranted, readFile, statOptional } from "../system/files.ts";

/** The user's defaults; each is missing if the file doesn't set it. */
export interface Config {
  /** The agent that `create` starts. */
  readonly agent?: string;
  /** The time between the first signal and SIGKILL, in milliseconds. */
  readonly graceMs?: number;
  /** The keys that detach from a terminal session. */
  readonly detachKeys?: string;
  /** The size of a terminal: `COLSxROWS`. */
  readonly size?: string;
  /** How much output of a terminal to keep, in bytes. */
  readonly logLimitBytes?: number;
  /** The notifier: a name or an absolute path. */
  readonly notify?: string;
}

/** The largest file that is read, in bytes. */
const MAX_BYTES = 64 * 1024;

/** Reads one key's value; throws an error that says what it must be. */
type Reader = (text: string) => Config;

const READERS: Readonly<Record<string, Reader>> = {
  agent: (agent) => {
    const names = AGENTS.map(({ name }) => name);
    if (!names.includes(agent)) throw new Error(`use ${names.join(", ")}`);
    return { agent };
  },
  grace: (text) => {
    parsePeriod(text); // createSession() takes no 0.
    return { graceMs: parseDuration(text) };
  },
  detachKeys: (detachKeys) => {
    for (const key of detachKeys.split(",")) encodeKey(key.trim());
    return { detachKeys };
  },
  size: (size) => {
    parseTerminalSize(size);
    return { size };
  },
  logLimit: (text) => ({ logLimitBytes: parseSize(text) }),
  notify: (notify) => {
    const isRight = notify !== "" &&
      (isAbsolute(notify) || !notify.includes("/"));
    if (!isRight) throw new Error("use a name on PATH or an absolute path");
    return { notify };
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

let cached: Config | undefined;

/**
 * The user's defaults; none without the file, or without Deno's permission to read it.
 *
 * @throws {Error} if the file is not as it must be; the message names it, and the key.
 */
export function readConfig(): Config {
  return cached ??= read(configPath());
}

function read(path: string | undefined): Config {
  if (path === undefined) return {};
  if (!isGranted({ name: "read", path: dirname(path) })) return {};
  const info = statOptional(path);
  if (info === undefined) return {};
  try {
    checkOwner(dirname(path));
    const target = safePath(path, "XDG_CONFIG_HOME");
    new Set([dirname(target), target]).forEach(checkOwner);
    const text = readFile(target, MAX_BYTES);
    if (text === undefined) {
      throw new Error(`it is no file of at most ${MAX_BYTES} bytes`);
    }
    return parseConfig(text);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(`Cannot use "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Refuses what another user may change. */
function checkOwner(path: string): void {
  const { uid, mode } = Deno.statSync(path);
  const user = Deno.uid();
  if (user === null) return; // Windows.
  if (uid !== user && uid !== 0) {
    throw new Error(
      `"${path}" belongs to user ${uid}, you are user ${user}`,
    );
  }
  if (((mode ?? 0) & 0o022) !== 0) {
    throw new Error(`others may write to "${path}"; run: chmod go-w "${path}"`);
  }
}

/**
 * Parses the text of the file.
 *
 * @throws {Error} if it is no JSON object, or for an unknown key or a wrong value, which it names.
 */
export function parseConfig(text: string): Config {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw new Error("it is not JSON"); // Its message would show a part of the text.
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new Error("it is not a JSON object");
  }
  const known = Object.keys(READERS).join(", ");
  const config: Config = {};
  for (const [key, value] of Object.entries(values)) {
    const reader = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    const shown = JSON.stringify(key);
    if (reader === undefined) {
      throw new Error(`unknown key ${shown}; known are ${known}`);
    }
    if (typeof value !== "string") {
      throw new Error(`${shown} must be a text in quotes`);
    }
    try {
      Object.assign(config, reader(value));
    } catch (error) {
      throw new Error(`${shown}: ${messageOf(error)}`, { cause: error });
    }
  }
  return config;
}
