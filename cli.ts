#!/usr/bin/env -S deno run -A
/**
 * The command line. The only file that reads arguments, prints, or exits.
 *
 * The commands are in `cli/` and imported when they are called. In a binary and in the bundle
 * this is the whole program: it also runs the relays of its terminal sessions.
 *
 * @module
 */
import { checkArguments } from "./cli/arguments.ts";
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
import { nearestCommand, withWords } from "./cli/hints.ts";
import { isKind } from "./store.ts";
import { isGranted } from "./system/files.ts";
import { pause } from "./system/pause.ts";
import {
  COMMANDS,
  findCommand,
  namesOf,
  optionsOf,
  VERSION,
} from "./cli/usage.ts";

/** The exit status of a program whose output pipe was closed: 128 and SIGPIPE. */
const BROKEN_PIPE = 141;
const STDOUT_FD = 1;

/** The handler of each command, imported when the command is called. */
const HANDLERS: Readonly<Record<string, () => Promise<Handler>>> = {
  create: async () => (await start()).create,
  run: async () => (await start()).run,
  resume: async () => (await import("./cli/again.ts")).resume,
  restart: async () => (await import("./cli/again.ts")).restart,
  attach: async () => (await import("./cli/attach.ts")).attach,
  list: async () => (await list()).list,
  show: async () => (await list()).show,
  screen: async () => (await output()).screen,
  logs: async () => (await output()).logs,
  answer: async () => (await import("./cli/answer.ts")).answer,
  events: async () => (await import("./cli/events.ts")).events,
  wait: async () => (await import("./cli/wait.ts")).wait,
  send: async () => (await import("./cli/send.ts")).send,
  report: async () => (await import("./cli/report.ts")).report,
  stop: async () => (await stop()).stop,
  delete: async () => (await stop()).delete_,
  prune: async () => (await stop()).prune,
  agents: async () => (await import("./cli/agents.ts")).agents,
  mcp: async () => (await import("./mcp/command.ts")).mcp,
  top: async () => (await import("./top/command.ts")).top,
  web: async () => (await import("./web/command.ts")).web,
  doctor: async () => (await import("./cli/doctor.ts")).doctor,
  completions: async () =>
    (await import("./cli/completions.ts"))
      .completions,
};

const start = () => import("./cli/start.ts");
const list = () => import("./cli/list.ts");
const output = () => import("./cli/output.ts");
const stop = () => import("./cli/stop.ts");

const encoder = new TextEncoder();

/** Writes all of it; one write to a terminal or a pipe may take only a part. */
function writeAll(
  stream: { writeSync(bytes: Uint8Array): number },
  content: string | Uint8Array,
): void {
  let bytes = typeof content === "string" ? encoder.encode(content) : content;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      // Another process made the pipe nonblocking: it is full, not broken.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      pause(5);
    }
  }
}

/** The same, while the process goes on. */
async function write(bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await Deno.stdout.write(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((wake) => setTimeout(wake, 5));
    }
  }
}

/** The functions of the console that print on standard output. */
const PRINTING = [
  ...["log", "info", "debug", "dir", "dirxml", "table", "group"],
  ...["groupCollapsed", "count", "timeLog", "timeEnd"],
];

/** A variable that is worth no question for a permission. */
function variable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name })
    ? Deno.env.get(name)
    : undefined;
}

/** A signal that these signals abort; they don't end the process any more. */
function whenSignalled(names: readonly Deno.Signal[]): AbortSignal {
  const controller = new AbortController();
  for (const name of names) {
    Deno.addSignalListener(name, () => controller.abort());
  }
  return controller.signal;
}

function newIo(json: boolean): Io {
  const isTerminal = Deno.stdout.isTerminal();
  let interrupt: AbortSignal | undefined;
  let closed: AbortController | undefined;
  return {
    out: (content) => writeAll(Deno.stdout, content),
    err: (content) => writeAll(Deno.stderr, content),
    write,
    claimOutput: () => {
      const { error } = console;
      Object.assign(
        console,
        Object.fromEntries(PRINTING.map((name) => [name, error])),
      );
    },
    get columns() {
      return isTerminal ? Deno.consoleSize().columns : undefined;
    },
    get width() {
      const columns = variable("COLUMNS");
      return columns !== undefined && /^[1-9]\d{0,5}$/.test(columns)
        ? Number(columns)
        : this.columns;
    },
    color: isTerminal && !Deno.noColor && variable("TERM") !== "dumb",
    json,
    get stdin() {
      return Deno.stdin.readable;
    },
    get stdinIsTerminal() {
      return Deno.stdin.isTerminal();
    },
    get stderrIsTerminal() {
      return Deno.stderr.isTerminal();
    },
    interrupted: () => interrupt ??= whenSignalled(["SIGINT", "SIGTERM"]),
    terminated: () => whenSignalled(["SIGINT", "SIGTERM", "SIGHUP"]),
    outputClosed: () => {
      if (closed === undefined) {
        const controller = closed = new AbortController();
        // A terminal that is closed sends SIGHUP.
        if (!isTerminal) {
          untilOutputCloses().then((error) => controller.abort(error));
        }
      }
      return closed.signal;
    },
  };
}

/** Waits until nobody reads standard output: a write would tell, but there may be nothing to write. */
async function untilOutputCloses(): Promise<Error> {
  // Without the C library, the next write must do.
  if (!isGranted({ name: "ffi" })) return await new Promise(() => {});
  await (await import("./system/libc.ts")).readerGone(STDOUT_FD);
  return new Deno.errors.BrokenPipe("Nobody reads standard output any more");
}

/** Whether a call without arguments has a user to show the sessions to. */
function hasUser(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

/** Runs one call and returns its exit status. */
async function main(args: readonly string[]): Promise<number> {
  const [name = hasUser() ? "top" : "--help", ...rest] = args;
  if (name === RELAY_COMMAND) {
    return await runRelay(rest);
  }
  let io = newIo(args.includes("--json"));
  try {
    checkArguments(args);
    if (["--help", "-h", "help"].includes(name)) {
      const [topic, more] = rest;
      if (more !== undefined) throw new ArgumentError(unexpected(more));
      const about = findCommand(topic ?? "");
      if (topic !== undefined && about === undefined) {
        throw new ArgumentError(noSuchCommand(topic, []));
      }
      const { commandHelp, mainHelp } = await import("./cli/help.ts");
      io.out(about === undefined ? mainHelp() : commandHelp(about));
      return args.length === 0 ? USAGE : OK;
    }
    if (["--version", "-V", "version"].includes(name)) {
      if (rest[0] !== undefined) throw new ArgumentError(unexpected(rest[0]));
      io.out(`codex-session ${VERSION}\n`);
      return OK;
    }
    const command = findCommand(name);
    const load = HANDLERS[command?.name ?? ""];
    if (command === undefined || load === undefined) {
      throw new ArgumentError(noSuchCommand(name, rest));
    }
    const call = parseOptions(rest, optionsOf(command), command);
    io = newIo(call.flags.has("json"));
    if (call.flags.has("help")) {
      io.out((await import("./cli/help.ts")).commandHelp(command));
      return OK;
    }
    if (io.json && call.flags.has("attach")) {
      throw new ArgumentError("Cannot use --json with --attach");
    }
    try {
      return await (await load())(call, io);
    } catch (error) {
      throw command.name === "run" ? withWords(error, call.operands) : error;
    }
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

function unexpected(word: string): string {
  return `Unexpected argument "${word}"`;
}

function noSuchCommand(name: string, rest: readonly string[]): string {
  if (name === "-v") return "Unknown option -v; use --version";
  if (name.startsWith("-")) {
    const command = rest.find((word) => findCommand(word)) ?? "COMMAND";
    return `Unknown option ${name}; options follow the command: codex-session ${command} ${name}`;
  }
  const names = COMMANDS.flatMap(namesOf);
  const near = findCommand(nearestCommand(name, names) ?? "")?.name;
  const meant = isKind(name) ? `create ${name}` : near;
  return `Unknown command "${name}"` +
    (meant === undefined ? "" : `; did you mean "${meant}"?`);
}

/** Runs the call of this process and ends the process. */
export async function run(): Promise<never> {
  let status = FAILED;
  setRelayProgram(import.meta.url);
  try {
    status = await main(Deno.args);
  } catch (error) {
    // Standard error itself is closed: nothing more can be reported.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    status = BROKEN_PIPE;
  }
  Deno.exit(status);
}

if (import.meta.main) await run();
