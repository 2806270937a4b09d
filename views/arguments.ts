/**
 * The check of an action's arguments. A page in a browser sends them: anything may be in them.
 *
 * An error names what is wrong, and repeats no value: that may be a secret.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** What an argument must be: what is wrong with a value, or `undefined`. */
export type Rule = (value: unknown) => string | undefined;

/** A text of at most so many UTF-16 units. */
export function text(mostLength: number): Rule {
  return (value) =>
    typeof value !== "string"
      ? "must be a text"
      : value.length > mostLength
      ? `has more than ${mostLength} characters`
      : undefined;
}

/** `true` or `false`. */
export const flag: Rule = (value) =>
  typeof value === "boolean" ? undefined : "must be true or false";

/** From one to so many texts. */
export function texts(most: number, mostLength: number): Rule {
  const rule = text(mostLength);
  return (value) =>
    !Array.isArray(value) || value.length === 0 || value.length > most
      ? `must be a list of 1 to ${most} texts`
      : value.map(rule).find((wrong) => wrong !== undefined);
}

/** An object with at most so many texts by name. */
export function pairs(most: number, mostLength: number): Rule {
  const rule = text(mostLength);
  return (value) =>
    typeof value !== "object" || value === null || Array.isArray(value)
      ? "must be an object"
      : Object.keys(value).length > most
      ? `has more than ${most} entries`
      : Object.entries(value).flat().map(rule)
        .find((wrong) => wrong !== undefined);
}

/** The arguments that an action takes; a name with `?` may be missing. */
export type Rules = Readonly<Record<string, Rule>>;

/**
 * Checks the arguments of an action: an object with these names and no others. A missing one and
 * `undefined` are the same.
 *
 * @throws {ArgumentError} for the first mistake.
 */
export function checkArguments(
  action: string,
  args: unknown,
  rules: Rules,
): void {
  const fail = (wrong: string) => {
    const names = Object.keys(rules).join(", ");
    return new ArgumentError(
      `Invalid arguments of ${action}: ${wrong}; it takes {${names}}`,
    );
  };
  if (typeof args !== "object" || args === null || Array.isArray(args)) {
    throw fail("they are no object");
  }
  const known = new Set(
    Object.keys(rules).map((name) => name.replace("?", "")),
  );
  if (Object.keys(args).some((name) => !known.has(name))) {
    throw fail("one is unknown");
  }
  for (const [key, rule] of Object.entries(rules)) {
    const name = key.replace("?", "");
    const value = Object.hasOwn(args, name)
      ? (args as Record<string, unknown>)[name]
      : undefined;
    if (value === undefined && key !== name) continue;
    const wrong = value === undefined ? "is missing" : rule(value);
    if (wrong !== undefined) throw fail(`${name} ${wrong}`);
  }
}
