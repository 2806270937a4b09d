/**
 * The server: tools and resources over standard input and output, until that closes.
 *
 * @module
 */
import { describeError } from "../cli/io.ts";
import { harmlessJson } from "../cli/format.ts";
import { SessionError } from "../errors.ts";
import { ACTING } from "./acting.ts";
import { LOOKING } from "./looking.ts";
import type { World } from "./scope.ts";
import type { Tool } from "./tool.ts";
import { WAITING } from "./waiting.ts";

/** What a server may do. */
export interface ServerOptions {
  readonly world: World;
  /** Only tools that change nothing. */
  readonly readOnly: boolean;
  readonly version: string;
}

/** For the model, once: what this server is for. */
const INSTRUCTIONS = "";

const TOOLS: readonly Tool[] = [...LOOKING, ...WAITING, ...ACTING];

/** Serves one client; returns when it has closed the server's standard input. */
export async function serve(options: ServerOptions): Promise<void> {
  const { fromJsonSchema, McpServer, serveStdio } = await import("./sdk.ts");
  const { world, readOnly, version } = options;
  const closed = Promise.withResolvers<void>();
  const tools = TOOLS.filter(({ annotations }) =>
    annotations.readOnlyHint || !readOnly
  );
  serveStdio(() => {
    const server = new McpServer(
      { name: "codex-session", version },
      { instructions: INSTRUCTIONS },
    );
    for (const tool of tools) {
      server.registerTool(tool.name, {
        title: tool.title,
        description: tool.description,
        annotations: tool.annotations,
        inputSchema: fromJsonSchema({
          type: "object",
          properties: tool.input,
          required: tool.required ?? [],
          additionalProperties: false,
          // deno-lint-ignore no-explicit-any
        } as any),
        // Of results only, not of errors.
        outputSchema: fromJsonSchema({
          type: "object",
          properties: tool.output,
          // deno-lint-ignore no-explicit-any
        } as any),
        // deno-lint-ignore no-explicit-any
      }, async (args: any, { mcpReq: { signal } }: any) => {
        try {
          return resultOf(await tool.run(args, { world, signal }));
        } catch (error) {
          return { ...resultOf(errorFacts(error)), isError: true };
        }
      });
    }
    server.server.onclose = () => closed.resolve();
    return server;
  });
  await closed.promise;
}

/** A result, as text for clients that show only that. */
function resultOf(facts: object) {
  return {
    content: [{ type: "text" as const, text: harmlessJson(facts) }],
    structuredContent: { ...facts },
  };
}

/** An error as a model can act on it. */
function errorFacts(error: unknown): object {
  const { code, message } = describeError(error);
  const { id, written } = error instanceof SessionError
    ? error
    : { id: undefined, written: undefined };
  return { error: { code, message, id, written } };
}
