/**
 * Signals by name and number, and how a process ended.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

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
