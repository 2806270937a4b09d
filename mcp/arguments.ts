/**
 * The check of a tool's arguments. Its error names what is wrong, and repeats no value: that may be
 * a secret. It stops at the first mistake, so that a call with many takes no longer.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import type { Schema, Tool } from "./tool.ts";
import { briefLine } from "../screen/clean_text.ts";

/** Throws if the arguments are not what a tool takes. */
export type Check = (args: unknown) => void;

/** A mistake, as Ajv describes it. */
interface Mistake {
  readonly keyword: string;
  /** The place, `/env/A`; empty for the arguments themselves. */
  readonly instancePath: string;
  // deno-lint-ignore no-explicit-any
  readonly params: any;
  readonly message?: string;
}

/** What Ajv makes of a schema. */
interface Validate {
  (args: unknown): unknown;
  readonly errors?: readonly Mistake[] | null;
}

/** The schema of a tool's arguments. */
export function schemaOf({ input, required = [] }: Tool): Schema {
  return {
    type: "object",
    properties: input,
    required,
    additionalProperties: false,
  };
}

/** The check of a tool's arguments by its compiled schema. */
export function checkOf(tool: Tool, validate: Validate): Check {
  const { name, input, required = [] } = tool;
  const names = Object.keys(input)
    .map((one) => required.includes(one) ? one : `${one}?`).join(", ");
  return (args) => {
    if (validate(args)) return;
    const wrong = describe(validate.errors![0]!);
    throw new ArgumentError(
      `Invalid arguments of ${name}: ${wrong}; it takes {${names}}`,
    );
  };
}

/** The longest name that is repeated, in characters. */
const MAX_NAME = 100;

function describe(mistake: Mistake): string {
  const { keyword, instancePath, params, message = "is wrong" } = mistake;
  const where = briefLine(instancePath.slice(1), MAX_NAME);
  switch (keyword) {
    case "additionalProperties":
      return `unknown argument "${
        briefLine(params.additionalProperty, MAX_NAME)
      }"`;
    case "enum":
      return `${where} must be one of ${params.allowedValues.join(", ")}`;
    default:
      return `${where} ${message}`.trimStart();
  }
}
