/**
 * A real client of a real server: the official library of the protocol, over pipes.
 *
 * @module
 */
import { Client } from "npm:@modelcontextprotocol/client@2.4.0";
import { StdioClientTransport } from "npm:@modelcontextprotocol/client@2.4.0/stdio";
import { CLI } from "../helpers.ts";
import { within } from "../../system/async.ts";

/** How {@linkcode connect} starts the server. */
export interface ServerOptions {
  /** Options of `mcp`. */
  readonly args?: readonly string[];
  /** Variables, added to ours and the root's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The command line in front of `mcp`. @default {from the checkout} */
  readonly command?: readonly string[];
  /** `auto`: the newer protocol, which the server speaks. @default {"legacy"} */
  readonly protocol?: "legacy" | "auto";
}

/** How long a server may take to end, in milliseconds. */
const END_MS = 10_000;

/** The library's, which would leave a timer behind when it is closed. */
class Transport extends StdioClientTransport {
  override async close(): Promise<void> {
    // deno-lint-ignore no-explicit-any
    const child = (this as any)._process;
    if (child) {
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      child.once("close", resolve);
      child.stdin.end();
      await within(END_MS, ended);
    }
    await super.close();
  }
}

/** A client and its server. */
export interface Connection extends AsyncDisposable {
  readonly client: Client;
  /** The server's process. */
  readonly pid: number;
  /** Calls a tool and returns its structured result; fails if that is an error. */
  // deno-lint-ignore no-explicit-any
  readonly call: (name: string, args?: object) => Promise<any>;
  /** Calls a tool and returns its error; fails if there is none. */
  // deno-lint-ignore no-explicit-any
  readonly refused: (name: string, args?: object) => Promise<any>;
}

/** Starts a server on a root and connects to it. */
export async function connect(
  root: string,
  { args = [], env, cwd, command = CLI, protocol = "legacy" }: ServerOptions =
    {},
): Promise<Connection> {
  const [program, ...words] = [...command, "mcp", ...args];
  const transport = new Transport({
    command: program!,
    args: words,
    env: {
      ...Deno.env.toObject(),
      CODEX_SESSION_HOME: root,
      XDG_CONFIG_HOME: `${root}/.config`, // Not that of the user who runs the tests.
      ...env,
    },
    cwd,
  });
  const client = new Client({ name: "test", version: "1" }, {
    versionNegotiation: { mode: protocol },
  });
  await client.connect(transport);
  const callTool = async (name: string, args: object = {}) =>
    await client.callTool({ name, arguments: { ...args } });
  return {
    client,
    pid: transport.pid!,
    async call(name, args) {
      const { isError, structuredContent, content } = await callTool(
        name,
        args,
      );
      if (isError) throw new Error(`${name}: ${JSON.stringify(content)}`);
      return structuredContent;
    },
    async refused(name, args) {
      const { isError, structuredContent, content } = await callTool(
        name,
        args,
      );
      if (!isError) throw new Error(`${name}: ${JSON.stringify(content)}`);
      // deno-lint-ignore no-explicit-any
      return (structuredContent as any)?.error ?? content;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}
