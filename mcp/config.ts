/**
 * The lines that a client's configuration wants to start this server. They name this very program,
 * by absolute paths: a client has another `PATH` and another directory.
 *
 * Clients drop variables: Codex hands on a handful (`HOME`, `PATH`, `LANG`, ...). What says where
 * sessions are is written down. What agents need, keys among it, is named only, and only for Codex,
 * which then hands on the values that it has itself: no secret stands in the file.
 *
 * @module
 */
import { harmlessJson } from "../cli/format.ts";
import { ArgumentError } from "../errors.ts";
import { resolve } from "../std.ts";
import { defaultRoot } from "../store.ts";

/** How each client is told. */
const CLIENTS: Readonly<Record<string, (server: Server) => string>> = {
  codex: codexToml,
  claude: (server) => json({ type: "stdio", ...standard(server) }),
  json: (server) => json(standard(server)),
};

/** What a client needs to know. */
interface Server {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** This program's own variables, besides those that name the state directory. */
const OWN = [
  ...["CODEX_SESSION_AGENT", "CODEX_SESSION_EXEC", "CODEX_SESSION_REPL"],
  ...["CODEX_SESSION_PTY", "XDG_CONFIG_HOME"],
];

/** What agents and their tools need. */
const AGENTS = [
  ...["CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"],
  ...["CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY"],
  ...["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL"],
  ...["GEMINI_API_KEY", "GOOGLE_API_KEY", "GH_TOKEN", "GITHUB_TOKEN"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"],
  ...["http_proxy", "https_proxy", "no_proxy"],
  ...["SSH_AUTH_SOCK", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"],
  // Sessions that outlive the login are started by way of its bus.
  ...["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"],
];

/**
 * The lines for a client.
 *
 * @param args The arguments of `mcp`.
 * @throws {ArgumentError} if the client is unknown.
 */
export function configFor(client: string, args: readonly string[]): string {
  const write = Object.hasOwn(CLIENTS, client) ? CLIENTS[client] : undefined;
  if (write === undefined) {
    throw new ArgumentError(
      `Unknown client "${client}": use codex, claude or json`,
    );
  }
  const command = [...ownCommand(), "mcp", ...args];
  return write({ command, env: ownVariables() });
}

/** The command line of this program, for any directory. */
function ownCommand(): string[] {
  const program = Deno.execPath();
  if (Deno.build.standalone) return [program];
  const main = Deno.mainModule;
  // The sources have a lock file beside them. One in the client's directory is none of ours.
  const hasLock = main.startsWith("file:") && main !== import.meta.url;
  return [
    ...[program, "run", "-A", "--quiet"],
    ...hasLock ? [] : ["--no-config", "--no-lock"],
    main,
  ];
}

function ownVariables(): Record<string, string> {
  const { CODEX_SESSION_HOME, XDG_STATE_HOME, DENO_DIR, ...others } = Deno.env
    .toObject();
  const own = OWN.map((name) => [name, others[name] ?? ""])
    .filter(([, value]) => value !== "");
  return {
    ...(CODEX_SESSION_HOME || XDG_STATE_HOME) &&
      { CODEX_SESSION_HOME: defaultRoot() },
    ...DENO_DIR && { DENO_DIR: resolve(DENO_DIR) },
    ...Object.fromEntries(own),
  };
}

/** A table for `~/.codex/config.toml`. The empty line ends a last line that has no end. */
function codexToml({ command: [program, ...args], env }: Server): string {
  const pairs = Object.entries(env)
    .map(([name, value]) => `${name} = ${toml(value)}`);
  const names = AGENTS.filter((name) => Deno.env.get(name)).map(toml);
  return [
    "",
    "[mcp_servers.codex-session]",
    `command = ${toml(program!)}`,
    `args = [${args.map(toml).join(", ")}]`,
    ...pairs.length > 0 ? [`env = { ${pairs.join(", ")} }`] : [],
    ...names.length > 0 ? [`env_vars = [${names.join(", ")}]`] : [],
    "",
  ].join("\n");
}

/**
 * A string of TOML: printable ASCII as it is, all else as the number of its character, so that
 * nothing in it can end the string. <https://toml.io/en/v1.0.0#string>
 */
function toml(text: string): string {
  let inside = "";
  for (const char of text.toWellFormed()) {
    const hex = char.codePointAt(0)!.toString(16);
    inside += /[ !#-[\]-~]/.test(char)
      ? char
      : hex.length > 4
      ? `\\U${hex.padStart(8, "0")}`
      : `\\u${hex.padStart(4, "0")}`;
  }
  return `"${inside}"`;
}

/** What most clients read: Claude Code, Cursor, Gemini. */
function standard({ command: [command, ...args], env }: Server) {
  return { command, args, ...Object.keys(env).length > 0 && { env } };
}

function json(server: object): string {
  return `${harmlessJson({ mcpServers: { "codex-session": server } }, 2)}\n`;
}
