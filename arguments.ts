/**
 * Checks of what callers of the library give: a wrong type is an {@linkcode ArgumentError}, which
 * is a `TypeError`, and a wrong amount a `RangeError`; both name the argument. TypeScript says so
 * earlier, but not to everybody.
 *
 * @module
 */
import { ArgumentError } from "./errors.ts";

/** Checks that an argument has a type, if it is given at all. */
export function checkType(
  name: string,
  value: unknown,
  type: "string" | "number" | "boolean" | "function",
): void {
  if (value === undefined || typeof value === type) return;
  throw new ArgumentError(`${name} must be a ${type}, got ${shown(value)}`);
}

/** Checks that an argument is an array of strings. */
export function checkStrings(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    throw new ArgumentError(
      `${name} must be an array of strings, got ${shown(value)}`,
    );
  }
  // Not forEach(), which leaves holes out.
  for (const [index, item] of value.entries()) {
    if (typeof item === "string") continue;
    throw new ArgumentError(
      `${name}[${index}] must be a string, got ${shown(item)}`,
    );
  }
}

/** Checks that an argument is an object whose values are strings, if it is given at all. */
export function checkStringRecord(name: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ArgumentError(`${name} must be an object, got ${shown(value)}`);
  }
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === "string") continue;
    throw new ArgumentError(
      `${name} must have strings as values: that of ${JSON.stringify(key)} is ${
        shown(item)
      }`,
    );
  }
}

/** Checks that an argument is a whole number within bounds, if it is given at all. */
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
