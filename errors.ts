/**
 * Errors that callers can act on, and checks of arguments.
 *
 * An error that a caller can act on is a {@linkcode SessionError} with a stable `code`. Errors of
 * shape and bounds stay `TypeError` and `RangeError`, errors of the system `Deno.errors.*`.
 *
 * @module
 */

/**
 * The cause of an error, as a stable word.
 *
 * - `not_found`: no session has that id.
 * - `ambiguous`: the selector matches several sessions.
 * - `exists`: the id is taken.
 * - `wrong_state`: the session is in the wrong state.
 * - `no_reader`: nothing reads the session's input.
 * - `input_full`: the agent does not read; `written` bytes were accepted.
 * - `program_not_found`, `not_executable`: the agent's program is missing or can't be executed.
 * - `cwd_missing`: the working directory does not exist.
 * - `spawn_failed`: the supervisor did not start, or died at once.
 * - `root_unusable`: the state directory is unsafe, or can't be written.
 * - `damaged`: the session's metadata can't be read.
 * - `unsupported`: not possible on this operating system or for this kind.
 * - `timeout`: the time limit has passed.
 * - `no_conversation`: it isn't known for certain which conversation the agent is having.
 * - `no_answer`: the agent has not answered.
 * - `turn_failed`: the agent's turn has failed.
 * - `blocked`: the agent waits for its user.
 */
export type ErrorCode =
  | "not_found"
  | "ambiguous"
  | "exists"
  | "wrong_state"
  | "no_reader"
  | "input_full"
  | "program_not_found"
  | "not_executable"
  | "cwd_missing"
  | "spawn_failed"
  | "root_unusable"
  | "damaged"
  | "unsupported"
  | "timeout"
  | "no_conversation"
  | "no_answer"
  | "turn_failed"
  | "blocked";

/** Further facts that a {@linkcode SessionError} carries. */
export interface SessionErrorOptions extends ErrorOptions {
  /** The id of the session, if the error is about one. */
  readonly id?: string;
  /** The ids that an ambiguous selector matches. */
  readonly candidates?: readonly string[];
  /** The bytes of input that were accepted before the failure. */
  readonly written?: number;
}

/**
 * An error of this library that a caller can act on.
 *
 * @example
 * ```ts
 * import { getSession, SessionError } from "./mod.ts";
 * try {
 *   await getSession("nobody");
 * } catch (error) {
 *   if (!(error instanceof SessionError)) throw error;
 *   console.log(error.code); // "not_found"
 * }
 * ```
 */
export class SessionError extends Error {
  /** The cause, as a stable word. */
  readonly code: ErrorCode;
  /** The id of the session, if the error is about one. */
  readonly id?: string;
  /** The ids that an ambiguous selector matches. */
  readonly candidates?: readonly string[];
  /** The bytes of input that were accepted before the failure. */
  readonly written?: number;

  /** An error with a stable `code`, a one-line `message` and further facts. */
  constructor(
    code: ErrorCode,
    message: string,
    options: SessionErrorOptions = {},
  ) {
    super(message, options);
    this.name = "SessionError";
    this.code = code;
    if (options.id !== undefined) this.id = options.id;
    if (options.candidates !== undefined) this.candidates = options.candidates;
    if (options.written !== undefined) this.written = options.written;
  }
}

/**
 * A malformed argument: a `TypeError` that tells the caller's mistake from one in the program.
 *
 * @example
 * ```ts
 * import { ArgumentError, pathsFor } from "./mod.ts";
 * try {
 *   pathsFor("../etc", { root: "/tmp/sessions" });
 * } catch (error) {
 *   console.log(error instanceof ArgumentError); // true
 * }
 * ```
 */
export class ArgumentError extends TypeError {
  /** An error with a one-line `message`. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ArgumentError";
  }
}

/**
 * The message of any thrown value, on one line.
 *
 * @example
 * ```ts
 * import { messageOf } from "./errors.ts";
 * console.log(messageOf(new Error("two\nlines"))); // "two lines"
 * ```
 */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim();
}

/** The name of a simple type. */
type TypeName = "string" | "number" | "boolean" | "function";
/** A class, of which a value can be an instance. */
type Class = abstract new (...args: never[]) => unknown;

function wrongType(name: string, wanted: string, value: unknown): Error {
  return new ArgumentError(`${name} must be ${wanted}, got ${shown(value)}`);
}

/** Checks the type of an argument; `undefined` passes. */
export function checkType(name: string, value: unknown, type: TypeName): void {
  if (value === undefined || typeof value === type) return;
  throw wrongType(name, `a ${type}`, value);
}

/** Checks that an argument is a string. */
export function checkString(name: string, value: unknown): void {
  if (typeof value !== "string") throw wrongType(name, "a string", value);
}

/** Checks that an argument is an instance of a class. */
export function checkInstance(name: string, value: unknown, type: Class): void {
  if (value instanceof type) return;
  const article = /^[AEIO]/.test(type.name) ? "an" : "a";
  throw wrongType(name, `${article} ${type.name}`, value);
}

/** Checks that an argument is an object, and no array. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return;
  }
  throw wrongType(name, "an object", value);
}

/**
 * Checks that the argument `options` is an object, and the types of these options, of `root` and
 * of `signal`; those that are missing pass.
 */
export function checkOptions(
  options: unknown,
  types: Readonly<Record<string, TypeName | Class>> = {},
): void {
  checkObject("options", options);
  const values = options as Readonly<Record<string, unknown>>;
  const all = { root: "string", signal: AbortSignal, ...types } as const;
  for (const [name, type] of Object.entries<TypeName | Class>(all)) {
    const value = values[name];
    if (typeof type === "string") checkType(name, value, type);
    else if (value !== undefined) checkInstance(name, value, type);
  }
}

/** Checks that an argument is an array of strings. */
export function checkStrings(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    throw wrongType(name, "an array of strings", value);
  }
  // Not forEach(), which skips holes.
  for (const [index, item] of value.entries()) {
    if (typeof item === "string") continue;
    throw wrongType(`${name}[${index}]`, "a string", item);
  }
}

/** Checks that an argument is an object with strings as values; `undefined` passes. */
export function checkStringRecord(name: string, value: unknown): void {
  if (value === undefined) return;
  checkObject(name, value);
  for (const [key, item] of Object.entries(value as object)) {
    if (typeof item === "string") continue;
    throw new ArgumentError(
      `${name} must have strings as values: that of ${JSON.stringify(key)} is ${
        shown(item)
      }`,
    );
  }
}

/** Checks that an argument is a whole number within bounds; `undefined` passes. */
export function checkWhole(
  name: string,
  value: unknown,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): void {
  checkType(name, value, "number");
  if (value === undefined) return;
  const number = value as number;
  if (Number.isSafeInteger(number) && number >= least && number <= most) return;
  const bounds = most === Number.MAX_SAFE_INTEGER
    ? `${least} or more`
    : `from ${least} to ${most}`;
  throw new RangeError(
    `${name} must be a whole number, ${bounds}, got ${number}`,
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
