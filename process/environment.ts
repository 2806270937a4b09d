/**
 * The environment of a terminal session's agent, on its way through reaper and relay.
 *
 *     caller ── sh (reaper) ── relay ── agent
 *     └──────── caller's ──────────┘    the relay's, or none, with the session's variables
 *
 * Reaper and relay run in the caller's environment, so that no variable of the agent decides
 * what they run. The agent's own variables are packed into variables that the relay doesn't
 * pass on. They are never stored in an argument or a file. Inherited variables reach the agent
 * unchanged, whatever their bytes.
 *
 * @module
 */
import { getenv } from "../system/libc.ts";

/** A variable of an environment. */
type Lookup = (name: string) => string | undefined;

/** How the agent's environment differs from the caller's. */
export interface AgentEnvironment {
  /** Variables to set; `undefined` removes one. @default {{}} */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Inherit nothing. @default {false} */
  readonly clearEnv?: boolean;
}

/** Followed by a number that counts from 0; an empty variable is the end. */
const VARIABLE = "CODEX_SESSION_AGENT_ENV_";
/** The kernel allows 128 KiB for one variable. execve(2) */
const PART_LENGTH = 100_000;

/** Variables that describe the creator's terminal: the agent has another one. */
// deno-fmt-ignore
const FOREIGN = [
  "COLUMNS", "LINES", "TERMCAP", "SSH_TTY", "GPG_TTY", "WINDOWID", "TERMINAL_EMULATOR",
  "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "LC_TERMINAL", "LC_TERMINAL_VERSION",
  "TMUX", "TMUX_PANE", "STY", "WINDOW", "ZELLIJ", "ZELLIJ_PANE_ID", "ZELLIJ_SESSION_NAME",
  "VTE_VERSION", "GNOME_TERMINAL_SCREEN", "GNOME_TERMINAL_SERVICE", "TILIX_ID", "TERMINATOR_UUID",
  "KONSOLE_VERSION", "KONSOLE_DBUS_SERVICE", "KONSOLE_DBUS_SESSION", "KONSOLE_DBUS_WINDOW",
  "KITTY_WINDOW_ID", "KITTY_PID", "KITTY_LISTEN_ON", "KITTY_PUBLIC_KEY", "ITERM_PROFILE",
  "ITERM_SESSION_ID", "WEZTERM_PANE", "WEZTERM_UNIX_SOCKET", "ALACRITTY_LOG", "ALACRITTY_SOCKET",
  "ALACRITTY_WINDOW_ID", "GHOSTTY_BIN_DIR", "GHOSTTY_RESOURCES_DIR", "WT_PROFILE_ID", "WT_SESSION",
  "VSCODE_INJECTION", "INSIDE_EMACS",
];

/** The variables that carry an agent's environment to its relay. */
export function packEnvironment(
  { env = {}, clearEnv = false }: AgentEnvironment,
): Record<string, string> {
  // ASCII only: each character is one byte, so that none is cut in two.
  const json = JSON.stringify({ env, clearEnv }).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const packed: Record<string, string> = {};
  let count = 0;
  for (let at = 0; at < json.length; at += PART_LENGTH) {
    packed[`${VARIABLE}${count++}`] = json.slice(at, at + PART_LENGTH);
  }
  return { ...packed, [`${VARIABLE}${count}`]: "" };
}

/**
 * The environment of this relay's agent: the packed variables, `TERM`, the variables of its
 * session, and none that describes another terminal.
 *
 * @param lookup The relay's environment.
 * @throws {TypeError} if it was not packed by {@linkcode packEnvironment}.
 */
export function unpackEnvironment(lookup: Lookup = getenv): AgentEnvironment {
  let json = "";
  const own: string[] = [];
  for (let part: string | undefined = ""; part !== undefined;) {
    own.push(`${VARIABLE}${own.length}`);
    part = lookup(own.at(-1)!) || undefined;
    json += part ?? "";
  }
  const given = json === "" ? {} : parse(json);
  const env: Record<string, string | undefined> = {
    TERM: "xterm-256color",
    ...without(FOREIGN),
    ...given.env,
    ...without(own),
  };
  for (const name of ["CODEX_SESSION_ID", "CODEX_SESSION_DIR"]) {
    env[name] = lookup(name);
  }
  return { env, clearEnv: given.clearEnv };
}

/** The variables that an agent gets from a reaper or relay with this environment. */
export function agentVariables(
  lookup: Lookup,
  { env = {}, clearEnv = false }: AgentEnvironment,
): Lookup {
  return (name) =>
    Object.hasOwn(env, name) || clearEnv ? env[name] : lookup(name);
}

function without(names: readonly string[]): Record<string, undefined> {
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

function parse(json: string): AgentEnvironment {
  let value: AgentEnvironment | null;
  try {
    value = JSON.parse(json);
  } catch {
    value = null; // The error would show the text, and values are secrets.
  }
  const env = value?.env;
  const isRight = typeof env === "object" && env !== null &&
    typeof value?.clearEnv === "boolean" &&
    Object.entries(env).every(([name, text]) =>
      /^[^=\0]+$/.test(name) && typeof text === "string" &&
      !text.includes("\0")
    );
  if (!isRight) throw new TypeError("The agent's environment is malformed");
  return value!;
}
