#!/usr/bin/env -S deno run -A
/**
 * The command line. The only file that reads arguments, prints, or exits.
 *
 * The work of the commands is in `cli/`, imported when a command is called. In a binary and in
 * the bundle this is the whole program: it also runs the relay of its terminal sessions.
 *
 * @module
 */
import {
  describeError,
  FAILED,
  type Handler,
  type Io,
  OK,
  reportError,
  USAGE,
} from "./cli/io.ts";
import { ArgumentError } from "./errors.ts";
import { parseOptions } from "./cli/options.ts";
import { RELAY_COMMAND, runRelay, setRelayProgram } from "./relay/command.ts";
import { type Command, COMMANDS, COMMON, findCommand } from "./cli/usage.ts";

/** This version. */
export const VERSION = "0.1.0";

/** Ended by a closed pipe, as programs are that SIGPIPE kills. */
const BROKEN_PIPE = 141;

/** Where each command's work is. */
const HANDLERS: Readonly<Record<string, () => Promise<Handler>>> = {
  create: async () => (await start()).create,
  run: async () => (await start()).run,
  attach: async () => (await import("./cli/attach.ts")).attach,
  list: async () => (await inspect()).list,
  show: async () => (await inspect()).show,
  screen: async () => (await inspect()).screen,
  logs: async () => (await inspect()).logs,
  wait: async () => (await inspect()).wait,
  send: async () => (await control()).send,
  stop: async () => (await control()).stop,
  delete: async () => (await control()).delete_,
  prune: async () => (await control()).prune,
  doctor: async () => (await import("./cli/doctor.ts")).doctor,
  completions: async () =>
    (await import("./cli/completions.ts"))
      .completions,
};

const start = () => import("./cli/start.ts");
const inspect = () => import("./cli/inspect.ts");
const control = () => import("./cli/control.ts");

const encoder = new TextEncoder();

/** Writes all of it; a write to a terminal or pipe may take less. */
function writeAll(
  stream: { writeSync(bytes: Uint8Array): number },
  content: string | Uint8Array,
): void {
  let bytes = typeof content === "string" ? encoder.encode(content) : content;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      // Somebody else made the pipe nonblocking: it is full, not broken.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function newIo(json: boolean): Io {
  const isTerminal = Deno.stdout.isTerminal();
  let interrupt: AbortController | undefined;
  return {
    out: (content) => writeAll(Deno.stdout, content),
    err: (content) => writeAll(Deno.stderr, content),
    get columns() {
      return isTerminal ? Deno.consoleSize().columns : undefined;
    },
    color: isTerminal && !Deno.noColor,
    json,
    get stdin() {
      return Deno.stdin.readable;
    },
    get stdinIsTerminal() {
      return Deno.stdin.isTerminal();
    },
    interrupted: () => {
      if (interrupt === undefined) {
        const controller = new AbortController();
        for (const name of ["SIGINT", "SIGTERM"] as const) {
          Deno.addSignalListener(name, () => controller.abort());
        }
        interrupt = controller;
      }
      return interrupt.signal;
    },
  };
}

/** Runs one call and returns its exit status. */
async function main(args: readonly string[]): Promise<number> {
  const [name = "--help", ...rest] = args;
  if (name === RELAY_COMMAND) {
    return await runRelay(rest);
  }
  let io = newIo(rest.includes("--json"));
  try {
    if (["--help", "-h", "help"].includes(name)) {
      const about = findCommand(rest[0] ?? "");
      if (rest[0] !== undefined && about === undefined) {
        throw new ArgumentError(noSuchCommand(rest[0]));
      }
      const { commandHelp, mainHelp } = await import("./cli/help.ts");
      io.out(about === undefined ? mainHelp() : commandHelp(about));
      return args.length === 0 ? USAGE : OK;
    }
    if (["--version", "-V", "version"].includes(name)) {
      io.out(`codex-session ${VERSION}\n`);
      return OK;
    }
    const command = findCommand(name);
    const load = HANDLERS[command?.name ?? ""];
    if (command === undefined || load === undefined) {
      throw new ArgumentError(noSuchCommand(name));
    }
    const options = [...command.options, ...COMMON];
    const call = parseOptions(rest, options, command.verbatim);
    io = newIo(call.flags.has("json"));
    if (call.flags.has("help")) {
      io.out((await import("./cli/help.ts")).commandHelp(command));
      return OK;
    }
    return await (await load())(call, io);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return BROKEN_PIPE;
    const status = reportError(error, io);
    if (describeError(error).code === "usage" && !io.json) {
      const about = findCommand(name) === undefined ? "" : `${name} `;
      io.err(`Try: codex-session ${about}--help\n`);
    }
    return status;
  }
}

function noSuchCommand(name: string): string {
  let near: Command | undefined;
  if (/^\w{2,}$/.test(name)) {
    // Letters left out, as in "lst", or a wrong end, as in "stopp".
    const within = new RegExp(`^${[...name].join(".*")}`);
    near = COMMANDS.find((command) => within.test(command.name)) ??
      COMMANDS.find((command) => command.name.startsWith(name.slice(0, 2)));
  }
  return `Unknown command "${name}"` +
    (near === undefined ? "" : `; did you mean "${near.name}"?`);
}

/** Runs the call that this process was started for, and ends the process. */
export async function run(): Promise<never> {
  let status = FAILED;
  setRelayProgram(import.meta.url);
  try {
    status = await main(Deno.args);
  } catch (error) {
    // Standard error itself is closed: there is nobody left to tell.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    status = BROKEN_PIPE;
  }
  Deno.exit(status);
}

if (import.meta.main) await run();
