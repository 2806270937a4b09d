/**
 * The world of a command: the terminal of its caller, exit statuses, the report of errors.
 *
 * Commands never use the console, the arguments or the exit directly: they get an
 * {@linkcode Io} from `cli.ts` and return an exit status.
 *
 * @module
 */
import {
  ArgumentError,
  type ErrorCode,
  messageOf,
  SessionError,
} from "../errors.ts";
import { harmless, harmlessJson, parsePair } from "./format.ts";
import type { Parsed } from "./options.ts";
import type { LogStream } from "../client/logs.ts";

/** The caller's terminal, as commands see it. */
export interface Io {
  /** Writes all of a result to standard output. */
  readonly out: (content: string | Uint8Array) => void;
  /** Writes all of a text to standard error. */
  readonly err: (content: string | Uint8Array) => void;
  /** The same as `out`, without holding up the process: a reader may take its time. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** From now on what the console prints goes to standard error. */
  readonly claimOutput: () => void;
  /** The terminal's width if standard output is one. */
  readonly columns: number | undefined;
  /** The width of tables: `$COLUMNS`, else the terminal's. */
  readonly width: number | undefined;
  /** Colours are welcome. */
  readonly color: boolean;
  /** Results and errors are JSON. */
  readonly json: boolean;
  /** Standard input. */
  readonly stdin: ReadableStream<Uint8Array>;
  /** Standard input is a terminal. */
  readonly stdinIsTerminal: boolean;
  /** Standard error is a terminal. */
  readonly stderrIsTerminal: boolean;
  /** A signal that Ctrl-C and SIGTERM abort, from the first call on. */
  readonly interrupted: () => AbortSignal;
  /** A signal that SIGINT, SIGTERM and SIGHUP abort. */
  readonly terminated: () => AbortSignal;
  /** A signal that is aborted, with `BrokenPipe`, once nobody reads standard output any more. */
  readonly outputClosed: () => AbortSignal;
}

/** A command: takes its parsed call and the caller's terminal, returns an exit status. */
export type Handler = (call: Parsed, io: Io) => Promise<number>;

/** A call succeeded. */
export const OK = 0;
/** A call failed. */
export const FAILED = 1;
/** The arguments of a call are wrong. */
export const USAGE = 2;

/** The agent waits for its user. */
const BLOCKED = 5;

/** What each exit status means, for the help. `tests/docs_test.ts` compares the README. */
export const MEANINGS: readonly (readonly [number, string])[] = [
  [OK, "done"],
  [FAILED, "failed, or several sessions failed differently"],
  [USAGE, "wrong usage"],
  [3, "no such session, or several match"],
  [4, "not possible with this session: its state, kind or system"],
  [BLOCKED, "the agent waits for its user"],
  [124, "timeout"],
  [126, "the program can't be executed"],
  [127, "the program is not found"],
  [141, "the output pipe was closed"],
];

/** The exit status for each error, the same in every command. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  not_found: 3,
  ambiguous: 3,
  exists: FAILED,
  wrong_state: 4,
  no_reader: 4,
  damaged: 4,
  unsupported: 4,
  input_full: FAILED,
  cwd_missing: FAILED,
  spawn_failed: FAILED,
  root_unusable: FAILED,
  timeout: 124,
  no_conversation: 4,
  no_answer: FAILED,
  turn_failed: FAILED,
  blocked: BLOCKED,
  not_executable: 126,
  program_not_found: 127,
};

/** The exit status, the stable code and the message of an error. */
export function describeError(
  error: unknown,
): {
  readonly status: number;
  readonly code: string;
  readonly message: string;
} {
  // Deno colours some of its messages, such as those of failed downloads.
  // deno-lint-ignore no-control-regex
  const message = messageOf(error).replace(/\x1b\[[\d;]*m/g, "");
  if (error instanceof SessionError) {
    return { status: STATUS[error.code], code: error.code, message };
  }
  if (error instanceof ArgumentError) {
    return { status: USAGE, code: "usage", message };
  }
  if (error instanceof Deno.errors.NotCapable) {
    // Deno's own message names the permission: "Requires run access to …".
    return { status: FAILED, code: "permission", message };
  }
  return { status: FAILED, code: "failed", message };
}

/** Reports an error in one line, or as JSON, and returns its exit status. */
export function reportError(error: unknown, io: Io): number {
  const { status, code, message } = describeError(error);
  const { id, candidates, written } = error instanceof SessionError
    ? error
    : { id: undefined, candidates: undefined, written: undefined };
  io.err(
    io.json
      ? harmlessJson({ error: { code, message, id, candidates, written } }) +
        "\n"
      : `codex-session: ${harmless(message)}\n`,
  );
  return status;
}

/** For a server: reports what nobody has caught, in one line, and goes on. */
export function surviveErrors(io: Io): void {
  const report = (event: Event, error: unknown) => {
    event.preventDefault();
    try {
      io.err(`codex-session: ${harmless(messageOf(error))}\n`);
    } catch {
      // Nobody reads that either.
    }
  };
  addEventListener("unhandledrejection", (event) => {
    report(event, event.reason);
  });
  addEventListener("error", (event) => report(event, event.error));
}

/** The status of several pieces of work: that of the failures if they agree, else 1. */
export function combine(statuses: readonly number[]): number {
  const [status = OK, ...others] = new Set(
    statuses.filter((status) => status !== OK),
  );
  return others.length === 0 ? status : FAILED;
}

/** The single operand of a command that takes one. */
export function onlyOperand(call: Parsed, what: string): string {
  const [operand, more] = call.operands;
  if (operand === undefined) {
    throw new ArgumentError(`Missing argument: expected ${what}`);
  }
  if (more === undefined) return operand;
  throw new ArgumentError(`Unexpected argument "${more}": expected ${what}`);
}

/** Refuses the operands of a command that takes none. */
export function noOperands(call: Parsed, hint = ""): void {
  const [operand] = call.operands;
  if (operand === undefined) return;
  throw new ArgumentError(`Unexpected argument "${operand}"${hint}`);
}

/** The value of an option that can be given once. */
export function valueOf(call: Parsed, name: string): string | undefined {
  return call.values.get(name)?.[0];
}

/** The same as {@linkcode valueOf}, parsed. */
export function parsedValueOf<T>(
  call: Parsed,
  name: string,
  parse: (text: string) => T,
): T | undefined {
  const text = valueOf(call, name);
  return text === undefined ? undefined : parse(text);
}

/**
 * The streams that a call chooses with `--stdout` and `--stderr`; without them, both.
 * A terminal has one.
 */
export function streamsOf(
  call: Parsed,
  isTerminal = false,
): readonly LogStream[] {
  const chosen = STREAMS.filter((stream) => call.flags.has(stream));
  if (chosen.length > 0) return chosen;
  return isTerminal ? ["stdout"] : STREAMS;
}

const STREAMS: readonly LogStream[] = ["stdout", "stderr"];

/** Writes what the agent wrote to a stream: to the same stream, or to standard output if that is the only one. */
export function writerOf(
  stream: LogStream,
  streams: readonly LogStream[],
  io: Io,
): Io["out"] {
  return stream === "stderr" && streams.length > 1 ? io.err : io.out;
}

/** The labels that a call gives with `--label`. */
export function labelsOf(call: Parsed): Record<string, string> {
  const texts = call.values.get("label") ?? [];
  return Object.fromEntries(texts.map((text) => parsePair(text, "label")));
}
