/**
 * The server: tools and resources over standard input and output, until that closes. Nothing that
 * a client sends ends it, nor an error in a tool.
 *
 * @module
 */
import { withoutCommands } from "../cli/hints.ts";
import { describeError, type Io, surviveErrors } from "../cli/io.ts";
import { harmlessJson } from "../cli/format.ts";
import { type ErrorCode, SessionError } from "../errors.ts";
import { ACTING } from "./acting.ts";
import { type Check, checkOf, schemaOf } from "./arguments.ts";
import { ASK } from "./asking.ts";
import {
  descriptionOf,
  instructionsFor,
  withoutTools,
} from "./instructions.ts";
import { LOOKING } from "./looking.ts";
import { offerResources, partAt, protocolError } from "./resources.ts";
import type { World } from "./scope.ts";
import {
  MOST_SUBSCRIPTIONS,
  Subscriptions,
  withSubscriptions,
} from "./subscriptions.ts";
import { briefLine, plainText } from "../screen/clean_text.ts";
import { within } from "../system/async.ts";
import { START } from "./starting.ts";
import type { Schema, Tool } from "./tool.ts";
import { WAIT } from "./waiting.ts";
import { type Message, openWire } from "./wire.ts";

/** What a server may do. */
export interface ServerOptions {
  readonly io: Io;
  readonly world: World;
  /** Only tools that change nothing. */
  readonly readOnly: boolean;
  readonly version: string;
}

const TOOLS: readonly Tool[] = [...LOOKING, WAIT, ASK, START, ...ACTING];

/** How long calls may take to give up once the client is gone, in milliseconds. */
const GIVE_UP_MS = 700;

/** Serves one client; returns when it is gone, or a signal asks for the end. */
export async function serve(options: ServerOptions): Promise<void> {
  const sdk = await import("./sdk.ts");
  const { io, world, readOnly, version } = options;
  io.claimOutput();
  surviveErrors(io);
  if (io.stdinIsTerminal) io.err(FOR_PEOPLE);
  const tools = TOOLS.filter(({ annotations }) =>
    annotations.readOnlyHint || !readOnly
  );
  const absent = TOOLS.filter((tool) => !tools.includes(tool))
    .map(({ name }) => name);
  const reach = { all: world.all, readOnly };
  const wire = openWire(
    io,
    sdk.parseJSONRPCMessage,
    (message) => missingTool(message, tools, absent),
  );
  for (const over of [io.terminated(), io.outputClosed()]) {
    over.addEventListener("abort", () => wire.close());
  }
  const running = new Set<Promise<unknown>>();
  let tell = (_uri: string): Promise<void> => Promise.resolve();
  using subscriptions = new Subscriptions({
    find: (uri) => partAt(world, uri),
    tell: (uri) => tell(uri),
  });
  const ajv = new sdk.Ajv({ strict: false, validateSchema: false });
  sdk.serveStdio(() => {
    const server = new sdk.McpServer(
      { name: "codex-session", version },
      { instructions: instructionsFor(reach) },
    );
    for (const tool of tools) {
      const input = schemaOf(tool);
      const check = checkOf(tool, ajv.compile(input));
      server.registerTool(tool.name, {
        title: tool.title,
        description: descriptionOf(tool, reach, absent),
        annotations: tool.annotations,
        inputSchema: declared(input),
        // Of results only, not of errors.
        outputSchema: declared({ type: "object", properties: tool.output }),
        // deno-lint-ignore no-explicit-any
      }, async (args: any, { mcpReq: { signal } }: any) => {
        const result = call(tool, args, check, {
          world,
          signal,
        }, absent);
        running.add(result);
        try {
          return await result;
        } finally {
          running.delete(result);
        }
      });
    }
    offerResources(server.server, world, subscriptions);
    tell = (uri) => server.server.sendResourceUpdated({ uri });
    return server;
  }, {
    // deno-lint-ignore no-explicit-any
    transport: withSubscriptions(wire, subscriptions, protocolError) as any,
    maxSubscriptions: MOST_SUBSCRIPTIONS,
  });
  await wire.closed;
  // A start is complete or undone, not left half-way.
  await within(GIVE_UP_MS, Promise.allSettled(running));
}

/** Calls a tool. Its error is a result. */
async function call(
  tool: Tool,
  args: unknown,
  check: Check,
  how: Parameters<Tool["run"]>[1],
  absent: readonly string[],
) {
  try {
    check(args);
    const facts: { readonly hint?: string } = await tool.run(args, how);
    if (facts.hint === undefined) return resultOf(facts);
    return resultOf({ ...facts, hint: withoutTools(facts.hint, absent) });
  } catch (error) {
    return { ...resultOf(errorFacts(error, absent)), isError: true };
  }
}

/** Why a call can't be served: the library's own words repeat the whole name. */
function missingTool(
  { method, params }: Message,
  tools: readonly Tool[],
  absent: readonly string[],
): string | undefined {
  const name = params?.name;
  if (method !== "tools/call" || typeof name !== "string") return undefined;
  if (tools.some((tool) => tool.name === name)) return undefined;
  const why = absent.includes(name)
    ? "this server runs with --read-only"
    : `there are ${tools.map(({ name }) => name).join(", ")}`;
  return `Tool "${briefLine(name, 100)}" not found: ${why}`;
}

/** A schema as the library shows it. It doesn't check with it: its own error would have no code. */
function declared(schema: Schema) {
  const json = schema as Record<string, unknown>;
  return {
    "~standard": {
      version: 1 as const,
      vendor: "codex-session",
      jsonSchema: { input: () => json, output: () => json },
      validate: (value: unknown) => ({ value }),
    },
  };
}

/** For a person who has typed the command. */
const FOR_PEOPLE =
  `codex-session: a server for agents; it speaks the Model Context Protocol here.
To let a client start it: codex-session mcp --config codex (claude, json).
Ctrl-C ends it.
`;

/** A result, as text for clients that show only that. */
function resultOf(facts: object) {
  return {
    content: [{ type: "text" as const, text: harmlessJson(facts) }],
    structuredContent: { ...facts },
  };
}

/** What to do about an error, in the words of the tools. */
const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  not_found: "list_sessions shows the sessions that this server can reach",
  exists: "choose another id, or leave it out",
  no_reader: "read_output shows what its program has said",
  input_full: "read_output or read_screen shows what its program is doing",
  program_not_found:
    "give the path of the program, or another agent; PATH is that of this server",
  cwd_missing: "give the absolute path of a directory that exists",
  no_conversation: "read_output or read_screen shows what it has said",
  blocked: "look with read_screen, then answer with send_input and keys",
};

/** The longest message, in characters. */
const MAX_MESSAGE = 2000;

/** An error as a model can act on it. */
function errorFacts(error: unknown, absent: readonly string[]): object {
  const { code, message } = describeError(error);
  const { id, written } = error instanceof SessionError
    ? error
    : { id: undefined, written: undefined };
  const hint = HINTS[code as ErrorCode];
  const text = withoutTools(withoutCommands(message), absent);
  return {
    error: {
      code,
      message: plainText(text, MAX_MESSAGE),
      id,
      written,
      hint: hint && withoutTools(hint, absent),
    },
  };
}
