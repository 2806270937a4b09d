/**
 * Checks the arguments of a call against a tool's schema. By hand: the message names what is wrong,
 * which a model needs to mend it, and never repeats a value, which may be a secret.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import type { Schema, Tool } from "./tool.ts";

/** The schema of a tool's arguments. */
export function schemaOf({ input, required = [] }: Tool): Schema {
  return {
    type: "object",
    properties: input,
    required,
    additionalProperties: false,
  };
}

/**
 * Checks the arguments of a call.
 *
 * @throws {ArgumentError} that names the first argument that is wrong.
 */
export function checkArguments(tool: Tool, args: unknown): void {
  const wrong = wrongIn(args, schemaOf(tool), "");
  if (wrong === undefined) return;
  const names = Object.keys(tool.input).map((name) =>
    tool.required?.includes(name) ? name : `${name}?`
  );
  throw new ArgumentError(
    `Invalid arguments of ${tool.name}: ${wrong}; it takes {${
      names.join(", ")
    }}`,
  );
}

/** What is wrong with a value; `undefined` if nothing is. */
function wrongIn(
  value: unknown,
  schema: Schema,
  name: string,
): string | undefined {
  const { type, enum: words } = schema;
  const what = name || "they";
  if (type !== undefined && ![type].flat().some((one) => isOf(value, one))) {
    return `${what} must be ${name ? NAMES[`${type}`] ?? type : "an object"}`;
  }
  if (words !== undefined && !words.includes(value as string)) {
    return `${what} must be one of ${words.join(", ")}`;
  }
  if (typeof value === "string") return wrongText(value, schema, name);
  if (typeof value === "number") return wrongNumber(value, schema, name);
  if (Array.isArray(value)) return wrongItems(value, schema, name);
  if (typeof value !== "object" || value === null) return undefined;
  return wrongFields(value as Fields, schema, name);
}

const NAMES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
};

function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case "integer":
      return Number.isSafeInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null &&
        !Array.isArray(value);
    default: {
      const own: string = typeof value;
      return own === type;
    }
  }
}

function wrongText(
  text: string,
  { minLength = 0, maxLength = Infinity, pattern }: Schema,
  name: string,
): string | undefined {
  if (text.length < minLength) return `${name} must not be empty`;
  if (text.length > maxLength) {
    return `${name} is too long: at most ${maxLength} characters`;
  }
  if (pattern !== undefined && !new RegExp(pattern, "u").test(text)) {
    return `${name} must match ${pattern}`;
  }
}

function wrongNumber(
  number: number,
  { minimum = -Infinity, maximum = Infinity }: Schema,
  name: string,
): string | undefined {
  if (number < minimum) return `${name} must be at least ${minimum}`;
  if (number > maximum) return `${name} must be at most ${maximum}`;
}

function wrongItems(
  values: readonly unknown[],
  { items, minItems = 0, maxItems = Infinity }: Schema,
  name: string,
): string | undefined {
  if (values.length < minItems) return `${name} must not be empty`;
  if (values.length > maxItems) {
    return `${name} is too long: at most ${maxItems} items`;
  }
  if (items === undefined) return undefined;
  return first(values, (value, at) => wrongIn(value, items, `${name}[${at}]`));
}

/** An object of JSON. */
type Fields = Readonly<Record<string, unknown>>;

function wrongFields(
  fields: Fields,
  { properties = {}, required = [], additionalProperties = true }: Schema,
  name: string,
): string | undefined {
  const missing = required.find((key) => !Object.hasOwn(fields, key));
  if (missing !== undefined) return `${missing} is missing`;
  return first(Object.entries(fields), ([key, value]) => {
    const inner = name === "" ? key : `${name}.${key}`;
    if (Object.hasOwn(properties, key)) {
      return wrongIn(value, properties[key]!, inner);
    }
    if (additionalProperties === false) {
      return `there is no ${JSON.stringify(key.slice(0, 80))}`;
    }
    return additionalProperties === true
      ? undefined
      : wrongIn(value, additionalProperties, inner.slice(0, 80));
  });
}

/** The first result of a function that is one. */
function first<T>(
  values: readonly T[],
  look: (value: T, at: number) => string | undefined,
): string | undefined {
  for (const [at, value] of values.entries()) {
    const found = look(value, at);
    if (found !== undefined) return found;
  }
}
