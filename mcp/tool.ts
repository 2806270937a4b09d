/**
 * What a tool is: its name and schemas as a client sees them, and the function that runs it.
 *
 * @module
 */
import type { World } from "./scope.ts";

/** A JSON Schema, draft 2020-12, as far as the tools use it. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** The hints of the protocol: what a client may run without asking its user. */
export interface Annotations {
  /** It changes nothing. */
  readonly readOnlyHint: boolean;
  /** It can destroy what was there. */
  readonly destructiveHint?: boolean;
  /** The same call again changes nothing more. */
  readonly idempotentHint?: boolean;
  /** It reaches beyond the sessions of this machine: the command that it starts may. */
  readonly openWorldHint?: boolean;
}

/** A call of a tool. */
export interface ToolCall {
  /** What this server may see, and where. */
  readonly world: World;
  /** Aborted when the client cancels the call, or is gone. */
  readonly signal: AbortSignal;
}

/**
 * A tool. Its arguments have passed its schema. It returns its result, plain JSON; an error that it
 * throws becomes a result that the model can act on.
 */
export interface Tool {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** For the model: when to use it, what it gives, and what to do next. */
  readonly description: string;
  readonly annotations: Annotations;
  /** The arguments by name; others are refused. */
  readonly input: Readonly<Record<string, Schema>>;
  /** The arguments that are needed. */
  readonly required?: readonly string[];
  /** The result by name. */
  readonly output: Readonly<Record<string, Schema>>;
  // deno-lint-ignore no-explicit-any
  readonly run: (args: any, call: ToolCall) => Promise<object>;
}

/** The argument that names a session. */
export const ID: Schema = {
  type: "string",
  description: "The session's id, from start_session or list_sessions",
};
