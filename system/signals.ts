/**
 * Signals by name and number, and how a process ended.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { OS } from "./os.ts";

/** The numbers of signals(7) by name, as this system has them. */
export const SIGNALS: Readonly<Record<string, number>> = OS.signals;

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
