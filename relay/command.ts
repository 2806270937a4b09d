/**
 * The command line that starts a relay, wherever this library runs.
 *
 * - From files or a URL: this Deno runs `relay.ts` beside this module.
 * - In the bundle and in the binary: the program itself, with the hidden command
 *   `__relay`.
 * - In a bundle or a binary that somebody else made of the library: neither exists, so
 *   the caller names a launcher.
 *
 * @module
 */
import { checkStrings, SessionError } from "../errors.ts";
import { OS } from "../system/os.ts";

/** Options of {@linkcode relayCommand}. */
export interface RelayCommandOptions {
  /** The session's directory. */
  readonly dir: string;
  /** The agent's argument vector. */
  readonly argv: readonly string[];
  /**
   * The width in characters.
   *
   * @default {120}
   */
  readonly columns?: number;
  /**
   * The height in lines.
   *
   * @default {40}
   */
  readonly rows?: number;
  /**
   * How much output is kept, in bytes.
   *
   * @default {67108864}
   */
  readonly logLimitBytes?: number;
  /**
   * Start the agent once a client has attached, or after 5 s.
   *
   * @default {false}
   */
  readonly awaitClient?: boolean;
  /**
   * The command that starts a relay when its arguments are appended. A program that you
   * compile or bundle needs one: a command of its own that calls `runRelay` with them.
   *
   * @default {undefined}
   */
  readonly launcher?: readonly string[];
}

// With expose-gc an idle relay gives memory back. The small young generation saves 1 to 2 MB
// and costs nothing, since the relay allocates little.
const FLAGS = [
  "-A",
  "--quiet",
  "--no-lock",
  "--no-config",
  "--node-modules-dir=none",
  "--v8-flags=--expose-gc,--max-semi-space-size=1,--single-threaded-gc",
];

/** The hidden command that runs a relay. */
export const RELAY_COMMAND = "__relay";

/** The program that handles {@linkcode RELAY_COMMAND}, if there is one. */
let relayProgram: string | undefined;

/**
 * Says that a program handles {@linkcode RELAY_COMMAND}.
 *
 * @param url Its main module.
 */
export function setRelayProgram(url: string): void {
  relayProgram = url;
}

/**
 * Runs a relay with the command line that {@linkcode relayCommand} has made, and
 * ends the process with it.
 */
export async function runRelay(args: readonly string[]): Promise<never> {
  checkStrings("args", args);
  return await (await import("./relay.ts")).runRelay(args);
}

/**
 * The command line that starts the relay of a session. The reaper runs it in the agent's
 * place.
 *
 * @throws {SessionError} `unsupported` on Windows, and in a compiled or bundled program
 * without `launcher`.
 * @throws {RangeError} if the size is not from 1 to 1000.
 *
 * @example
 * ```ts
 * import { relayCommand } from "./relay/command.ts";
 * console.log(relayCommand({ dir: "/tmp/session", argv: ["vim"] }));
 * ```
 */
export function relayCommand(options: RelayCommandOptions): string[] {
  const { dir, argv, columns = 120, rows = 40, logLimitBytes } = options;
  for (const size of [columns, rows]) {
    if (!Number.isInteger(size) || size < 1 || size > 1000) {
      throw new RangeError(
        `Cannot open a terminal of ${columns}x${rows}: 1 to 1000 columns and rows`,
      );
    }
  }
  const command = options.launcher ? [...options.launcher] : ownLauncher();
  const args = [dir, `${columns}x${rows}`];
  if (logLimitBytes !== undefined) {
    args.push("--log-limit", String(logLimitBytes));
  }
  if (options.awaitClient) args.push("--await-client");
  return [...command, ...args, "--", ...argv];
}

/** The command that starts a relay of this version. */
function ownLauncher(): string[] {
  if (!OS.canStart) {
    throw new SessionError(
      "unsupported",
      `Cannot open a terminal session: not supported on ${OS.name}`,
    );
  }
  const deno = Deno.execPath();
  if (Deno.build.standalone) {
    // A binary runs its own main module only.
    if (relayProgram === Deno.mainModule) return [deno, RELAY_COMMAND];
  } else if (import.meta.url.endsWith("/relay/command.ts")) {
    // Without the modules of the command line it needs less memory.
    const { href } = new URL("./relay.ts", import.meta.url);
    return [deno, "run", ...FLAGS, href];
  } else if (relayProgram !== undefined) {
    // Deno saves compiled code by URL, and V8 drops what other flags have compiled: by a URL of
    // its own, the relay does not slow down the next command by 14 ms.
    return [deno, "run", ...FLAGS, `${relayProgram}#relay`, RELAY_COMMAND];
  }
  throw new SessionError(
    "unsupported",
    "Cannot open a terminal session: this program is compiled or bundled and has no relay to run; set the option relayCommand to a command that calls runRelay",
  );
}
