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
 *
 * @module
 */

interface Item {
  readonly type?: string;
  readonly role?: string;
  readonly content?: string | readonly Item[];
  readonly text?: string;
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

/** Whether a tool has run since the last prompt, and that prompt. */
function readTurn(items: readonly Item[]): { prompt: string; ran: boolean } {
  const isPrompt = (item: Item) =>
    item.role === "user" && /#(answer|sh|ask|error|wait)=/.test(textOf(item));
  const at = items.findLastIndex(isPrompt);
  const ran = items.slice(at + 1).flatMap((item) => [
    item,
    ...(Array.isArray(item.content) ? item.content : []),
  ]).some(({ type }) => /_output$|tool_result/.test(type ?? ""));
  return { prompt: at < 0 ? "" : textOf(items[at]!), ran };
}

/** The events of an answer to Codex: OpenAI's Responses. */
function codexEvents(
  text: string,
  command: string | undefined,
  asks: boolean,
): Event[] {
  const id = crypto.randomUUID();
  const permission = asks && {
    sandbox_permissions: "require_escalated",
    justification: "may I?",
  };
  const item = command === undefined
    ? {
      type: "message",
      id,
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text, annotations: [] }],
    }
    : {
      type: "function_call",
      id,
      call_id: id,
      name: "exec_command",
      status: "completed",
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
function claudeEvents(text: string, command: string | undefined): Event[] {
  const id = crypto.randomUUID();
  const isCall = command !== undefined;
  const input = JSON.stringify({ command, description: "test" });
  const usage = { input_tokens: 10, output_tokens: 5 };
  const message = {
    ...{ id, type: "message", role: "assistant", model: "stand-in", usage },
    ...{ content: [], stop_reason: null },
  };
  const block = isCall
    ? { type: "tool_use", id, name: "Bash", input: {} }
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
    const { prompt, ran } = readTurn(body.input ?? body.messages ?? []);
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
    const asked = value("ask");
    const command = hasTools && !ran ? asked ?? value("sh") : undefined;
    const text = hasTools ? value("answer") ?? "no answer" : "title";
    const events = isCodex
      ? codexEvents(text, command, asked !== undefined)
      : claudeEvents(text, command);
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
