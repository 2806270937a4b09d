/**
 * The server of the page, in the test's own process, and requests to it.
 *
 * @module
 */
import { folderOf } from "../../web/gate.ts";
import { type PageServer, startServer } from "../../web/server.ts";
import { TestRoot } from "../helpers.ts";

/** A server on a free port. */
export class TestServer implements AsyncDisposable {
  readonly server: PageServer;
  readonly host: string;
  /** What it has reported as its own failures. */
  readonly reports: unknown[] = [];

  constructor(
    { dir }: TestRoot,
    options: { readonly readOnly?: boolean; readonly bodyMs?: number } = {},
  ) {
    this.server = startServer({
      ...{ root: dir, host: "127.0.0.1", port: 0, home: "/", version: "1" },
      ...{ readOnly: false, ...options },
      report: (error) => this.reports.push(error),
    });
    this.host = `127.0.0.1:${this.server.port}`;
  }

  get origin(): string {
    return `http://${this.host}`;
  }

  /** The headers of the page's own requests; without a token, those of nobody. */
  headers(token: string | null = this.server.token): Record<string, string> {
    const cookie = `codex_session=${token}`;
    return { origin: this.origin, ...(token !== null && { cookie }) };
  }

  /** A path of the page as the server knows it: in the folder of the token that is in a cookie. */
  path(path: string, { cookie }: Readonly<Record<string, string>>): string {
    if (path.startsWith("/?token=")) return path;
    const { token, lookToken } = this.server;
    const own = cookie?.split("=")[1] ?? token ?? lookToken;
    return folderOf(own) + path;
  }

  get(
    path: string,
    headers: Readonly<Record<string, string>> = this.headers(),
  ): Promise<Response> {
    const url = this.origin + this.path(path, headers);
    return fetch(url, { headers, redirect: "manual" });
  }

  post(
    name: string,
    body: BodyInit,
    headers: Readonly<Record<string, string>> = this.headers(),
  ): Promise<Response> {
    return fetch(this.origin + this.path(`/api/${name}`, headers), {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
  }

  /** Runs an action: its status, and its answer. */
  async act(
    name: string,
    args: unknown,
    token = this.server.token,
    // deno-lint-ignore no-explicit-any
  ): Promise<[number, any]> {
    const body = JSON.stringify(args);
    const response = await this.post(name, body, this.headers(token));
    return [response.status, await response.json()];
  }

  /** Opens a socket of the page. */
  socket(path: string, headers = this.headers()): WebSocket {
    return new WebSocket(
      `ws://${this.host}${this.path(path, headers)}`,
      { headers } as unknown as string[],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

/** Sends bytes, and returns what comes until the other end closes, or a head has come. */
export async function exchange(port: number, head: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(head));
  let text = "";
  const decoder = new TextDecoder("latin1");
  const buffer = new Uint8Array(4096);
  while (!text.includes("\r\n\r\n")) {
    const length = await connection.read(buffer);
    if (length === null) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return text;
}
