/**
 * Signals by name and number, and how a process ended.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** How an agent ended: by itself with a code, or by a signal. */
export type Ending =
  | { readonly code: number }
  | { readonly signal: string };

/** The numbers of signals(7) by name, as this system has them. */
export const SIGNALS: Readonly<Record<string, number>> =
  Deno.build.os === "darwin"
    // deno-fmt-ignore
    ? { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, EMT: 7, FPE: 8, KILL: 9, BUS: 10, SEGV: 11, SYS: 12, PIPE: 13, ALRM: 14, TERM: 15, URG: 16, STOP: 17, TSTP: 18, CONT: 19, CHLD: 20, TTIN: 21, TTOU: 22, IO: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, INFO: 29, USR1: 30, USR2: 31 }
    // deno-fmt-ignore
    : { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, STKFLT: 16, CHLD: 17, CONT: 18, STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, IO: 29, PWR: 30, SYS: 31 };

/** The name of a signal, such as `SIGTERM`; a number without a name stays one. */
export function signalName(number: number): string {
  for (const [name, value] of Object.entries(SIGNALS)) {
    if (value === number) return `SIG${name}`;
  }
  return `SIG${number}`;
}

/**
 * The number of a signal given as `TERM`, `SIGTERM`, `term` or `15`.
 *
 * @throws {ArgumentError} if there is no such signal.
 */
export function signalNumber(signal: string): number {
  const name = signal.toUpperCase().replace(/^SIG/, "");
  const number = SIGNALS[name] ?? (/^\d{1,2}$/.test(name) ? Number(name) : 0);
  if (number < 1 || number > 64) {
    throw new ArgumentError(
      `Unknown signal "${signal}": try TERM, INT or KILL`,
    );
  }
  return number;
}

/**
 * The exit status that stands for an ending, as a shell gives it: the code, or
 * 128 and the signal's number.
 *
 * @example
 * ```ts
 * import { exitStatus } from "./mod.ts";
 * console.log(exitStatus({ signal: "SIGTERM" })); // 143
 * ```
 */
export function exitStatus(ending: Ending): number {
  return "code" in ending ? ending.code : 128 + signalNumber(ending.signal);
}

/** Parses an end record: `code N` or `signal N`. `undefined` while it is not complete, and if it can't be. */
export function parseEnding(text: string): Ending | undefined {
  const match = /^(code|signal) (\d{1,3})\n/.exec(text);
  if (match === null) return undefined;
  const number = Number(match[2]);
  if (number > (match[1] === "code" ? 255 : 64)) return undefined;
  return match[1] === "code"
    ? { code: number }
    : { signal: signalName(number) };
}
