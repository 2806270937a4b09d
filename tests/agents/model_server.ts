/**
 * A stand-in for the servers of models, as far as Codex and Claude Code need one. The last
 * prompt tells what it answers:
 *
 *     #answer=TEXT    the answer, to the end of the line
 *     #sh=COMMAND     first asks for this command to be run, to the end of the line
 *     #ask=COMMAND    the same, and Codex is to ask its user for a permission; start it with
 *                     -a on-request -s workspace-write
 *     #error=STATUS   fails with this HTTP status
 *     #wait=NAME      waits with all of this until `release(NAME)`
 *     #mcp=TOOL JSON  asks for this tool of the MCP server `codex-session`, with these arguments.
 *                     Several are asked for one after the other. Of the arguments, and of the
 *                     answer behind them, `$id` is what the last result with an `id` said, and so
 *                     on; see {@linkcode fillIn}
 *
 * @module
 */

/** The name of the MCP server in the agents' configurations. */
export const SERVER_NAME = "codex-session";

/** A call of an MCP tool. */
interface McpCall {
  readonly tool: string;
  readonly args: string;
}

/** What an agent is to do next. */
interface Step {
  readonly command?: string;
  /** Codex is to ask its user. */
  readonly asks?: boolean;
  readonly mcp?: McpCall;
  readonly text: string;
}

interface Item {
  readonly type?: string;
  readonly role?: string;
  readonly content?: string | readonly Item[];
  readonly text?: string;
  readonly output?: string | readonly Item[];
}

interface Body {
  readonly input?: readonly Item[];
  readonly messages?: readonly Item[];
  readonly tools?: readonly { readonly name?: string }[];
}

type Event = readonly [type: string, data?: Record<string, unknown>];

function textOf({ content = "" }: Item): string {
  if (typeof content === "string") return content;
  return content.map(({ text = "" }) => text).join("\n");
}

/** The last prompt, and what the tools have said since. */
function readTurn(
  items: readonly Item[],
): { prompt: string; results: readonly string[] } {
  const isPrompt = (item: Item) =>
    item.role === "user" &&
    /#(answer|sh|ask|error|wait|mcp)=/.test(textOf(item));
  const at = items.findLastIndex(isPrompt);
  const results = items.slice(at + 1).flatMap((item) => [
    item,
    ...(Array.isArray(item.content) ? item.content as Item[] : []),
  ]).filter(({ type }) => /_output$|tool_result/.test(type ?? ""));
  return {
    prompt: at < 0 ? "" : textOf(items[at]!),
    results: results.map(({ output, content }) =>
      textOf({ content: output ?? content })
    ),
  };
}

/** The JSON of a result, on a line of its own: agents put words around it. */
function factsIn(result: string): unknown {
  try {
    return JSON.parse(/^\{.*\}$/m.exec(result)?.[0] ?? "");
  } catch {
    return undefined;
  }
}

/**
 * Replaces each `$name` by what the last result with this field says. The text is JSON or plain
 * and gets what JSON has between the quotes.
 */
export function fillIn(text: string, results: readonly unknown[]): string {
  return text.replace(/\$(\w+)/g, (word, name) => {
    const last = results.findLast((result) =>
      typeof result === "object" && result !== null && name in result
    );
    const value = (last as Record<string, unknown> | undefined)?.[name];
    return typeof value === "string"
      ? JSON.stringify(value).slice(1, -1)
      : word;
  });
}

/** The events of an answer to Codex: OpenAI's Responses. */
function codexEvents({ text, command, asks, mcp }: Step): Event[] {
  const id = crypto.randomUUID();
  const permission = asks && {
    sandbox_permissions: "require_escalated",
    justification: "may I?",
  };
  const call = { type: "function_call", id, call_id: id, status: "completed" };
  const item = mcp !== undefined
    ? {
      ...call,
      namespace: `mcp__${SERVER_NAME.replaceAll("-", "_")}`,
      name: mcp.tool,
      arguments: mcp.args,
    }
    : command === undefined
    ? {
      type: "message",
      id,
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text, annotations: [] }],
    }
    : {
      ...call,
      name: "exec_command",
      arguments: JSON.stringify({ cmd: command, ...permission }),
    };
  const usage = { input_tokens: 10, output_tokens: 5, total_tokens: 15 };
  const response = { id, object: "response", output: [item] };
  return [
    ["response.created", { response: { ...response, output: [] } }],
    ["response.output_item.added", { output_index: 0, item }],
    ["response.output_item.done", { output_index: 0, item }],
    ["response.completed", { response: { ...response, usage } }],
  ];
}

/** The events of an answer to Claude Code: Anthropic's Messages. */
function claudeEvents({ text, command, mcp }: Step): Event[] {
  const id = crypto.randomUUID();
  const isCall = command !== undefined || mcp !== undefined;
  const name = mcp ? `mcp__${SERVER_NAME}__${mcp.tool}` : "Bash";
  const input = mcp?.args ?? JSON.stringify({ command, description: "test" });
  const usage = { input_tokens: 10, output_tokens: 5 };
  const message = {
    ...{ id, type: "message", role: "assistant", model: "stand-in", usage },
    ...{ content: [], stop_reason: null },
  };
  const block = isCall
    ? { type: "tool_use", id, name, input: {} }
    : { type: "text", text: "" };
  const delta = isCall
    ? { type: "input_json_delta", partial_json: input }
    : { type: "text_delta", text };
  const stop = { stop_reason: isCall ? "tool_use" : "end_turn" };
  return [
    ["message_start", { message }],
    ["content_block_start", { index: 0, content_block: block }],
    ["content_block_delta", { index: 0, delta }],
    ["content_block_stop", { index: 0 }],
    ["message_delta", { delta: stop, usage }],
    ["message_stop"],
  ];
}

/** The server, on a port of its own on the loopback. */
export class ModelServer implements AsyncDisposable {
  readonly #waits = new Map<string, PromiseWithResolvers<void>>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );
  /** What the agent has told the model last of the results of its MCP calls, in their order. */
  mcpResults: readonly unknown[] = [];
  readonly url = `http://127.0.0.1:${this.#server.addr.port}`;

  /** Tells whether an answer waits for this name, or has waited. */
  isWaiting(name: string): boolean {
    return this.#waits.has(name);
  }

  /** Lets the answers go that wait for this name, and later ones. */
  release(name: string): void {
    this.#wait(name).resolve();
  }

  #wait(name: string): PromiseWithResolvers<void> {
    const wait = this.#waits.get(name) ?? Promise.withResolvers<void>();
    this.#waits.set(name, wait);
    return wait;
  }

  async #answer(request: Request): Promise<Response> {
    const isCodex = request.url.includes("/v1/responses");
    const body: Body = await request.json().catch(() => ({}));
    if (!isCodex && !/\/v1\/messages(\?|$)/.test(request.url)) {
      return Response.json({ object: "list", data: [], input_tokens: 10 });
    }
    const turn = readTurn(body.input ?? body.messages ?? []);
    const calls = [...turn.prompt.matchAll(/#mcp=(\w+) (\{.*\})/g)];
    const prompt = turn.prompt.replaceAll(/#mcp=.*/g, "");
    const ran = turn.results.length > 0;
    const value = (name: string) =>
      new RegExp(`#${name}=(.+)`).exec(prompt)?.[1]?.trim();
    // Requests without tools are an agent's own, such as for a title.
    const hasTools = (body.tools ?? []).length > 0;
    const wait = hasTools && !ran ? value("wait") : undefined;
    if (wait !== undefined) await this.#wait(wait).promise;
    const error = hasTools ? value("error") : undefined;
    if (error !== undefined) {
      const message = "stand-in error";
      const details = { type: "error", error: { type: "api_error", message } };
      return Response.json(details, { status: Number(error) });
    }
    const facts = turn.results.map((result) => factsIn(result) ?? result);
    if (calls.length > 0) this.mcpResults = facts;
    const [, tool, args] = hasTools ? calls[facts.length] ?? [] : [];
    const asked = value("ask");
    const step: Step = {
      command: hasTools && !ran ? asked ?? value("sh") : undefined,
      asks: asked !== undefined,
      mcp: tool ? { tool, args: fillIn(args!, facts) } : undefined,
      text: hasTools ? fillIn(value("answer") ?? "no answer", facts) : "title",
    };
    const events = isCodex ? codexEvents(step) : claudeEvents(step);
    const stream = events.map(([type, data]) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`
    );
    return new Response(stream.join(""), {
      headers: { "content-type": "text/event-stream" },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { resolve } of this.#waits.values()) resolve();
    await this.#server.shutdown();
  }
}
