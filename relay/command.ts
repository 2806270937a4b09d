/**
 * The command line that starts a relay, wherever this library runs.
 *
 * - From files or a URL: this Deno runs `relay.ts` beside this module.
 * - In the binary made of `cli.ts` by `deno compile`: the binary itself, with the
 *   hidden command `__relay`.
 * - In a binary or a bundle of somebody else there is no such file and no such
 *   command: the caller has to name a launcher.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { OS } from "../system/os.ts";

/** What a relay is to do. */
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
   * What starts a relay when followed by its arguments, for programs that
   * `deno compile` or a bundler has made: such a program calls `runRelay` with the
   * arguments that follow a command of its own.
   *
   * @default {undefined}
   */
  readonly launcher?: readonly string[];
}

// gc: the relay gives memory back when it is idle. The small young generation saves
// a megabyte or two and costs nothing, since the hot path allocates next to nothing.
const FLAGS = [
  "-A",
  "--quiet",
  "--no-lock",
  "--no-config",
  "--node-modules-dir=none",
  "--v8-flags=--expose-gc,--max-semi-space-size=1,--single-threaded-gc",
];

/** The hidden command of `cli.ts` that runs a relay. */
export const RELAY_COMMAND = "__relay";

/**
 * How the program that is running can start a relay of itself: for the command line, which
 * passes it on as `launcher`. `undefined` if `relay.ts` can be run as a file.
 *
 * @param main The URL of the main module, which handles {@linkcode RELAY_COMMAND}.
 */
export function ownLauncher(main: string): readonly string[] | undefined {
  if (Deno.build.standalone) return [Deno.execPath(), RELAY_COMMAND];
  // In a bundle this module has become a part of the main one.
  if (import.meta.url !== main) return undefined;
  return [Deno.execPath(), "run", ...FLAGS, main, RELAY_COMMAND];
}

/**
 * The argument vector that starts the relay of a session, to be launched in the
 * agent's place with the reaper's option `relay`.
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
  const command = options.launcher
    ? [...options.launcher]
    : [Deno.execPath(), "run", ...FLAGS, relayModule()];
  const args = [dir, `${columns}x${rows}`];
  if (logLimitBytes !== undefined) {
    args.push("--log-limit", String(logLimitBytes));
  }
  return [...command, ...args, "--", ...argv];
}

function relayModule(): string {
  if (!OS.canStart) {
    throw new SessionError(
      "unsupported",
      `Cannot open a terminal session: not supported on ${OS.name}`,
    );
  }
  const isOwnFile = import.meta.url.endsWith("/relay/command.ts");
  if (Deno.build.standalone || !isOwnFile) {
    throw new SessionError(
      "unsupported",
      "Cannot open a terminal session: this program is compiled or bundled and has no relay.ts to run; name a program that runs it with the option relayCommand",
    );
  }
  return new URL("./relay.ts", import.meta.url).href;
}
