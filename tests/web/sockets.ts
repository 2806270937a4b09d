/**
 * Helpers of the tests of WebSockets: a server of nothing but them, and viewers.
 *
 * @module
 */
import { Screen } from "../../screen/screen.ts";
import { getSession } from "../../session/find.ts";
import { until } from "../helpers.ts";

/** What serves a socket; `query` is what stands behind the `?` of its address. */
export type Serve = (
  socket: WebSocket,
  query: URLSearchParams,
  signal: AbortSignal,
) => Promise<void>;

/** A server on a free port, which serves all sockets with one function. */
export class SocketServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();
  /** All sockets so far, at the server's end. */
  readonly sockets: WebSocket[] = [];
  /** How many are not done yet. */
  open = 0;

  constructor(serve: Serve) {
    const { signal } = this.#stop;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => {
        const query = new URL(request.url).searchParams;
        const { socket, response } = Deno.upgradeWebSocket(request);
        this.sockets.push(socket);
        this.open++;
        serve(socket, query, signal).then(() => this.open--);
        return response;
      },
    );
  }

  get port(): number {
    return this.#server.addr.port;
  }

  /** Ends all conversations. */
  stop(): void {
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await until(() => this.open === 0, "sockets closed");
    await this.#server.shutdown();
  }
}

/** A viewer with a terminal, as the page is one. */
export class SocketViewer implements AsyncDisposable {
  readonly screen: Screen;
  /** The text messages, parsed. */
  readonly messages: Record<string, unknown>[] = [];
  /** Whether it has got a binary message, be it empty. */
  isAttached = false;
  /** The code it was closed with. */
  code: number | undefined;
  readonly #socket: WebSocket;
  readonly #closed = Promise.withResolvers<void>();

  private constructor(screen: Screen, socket: WebSocket) {
    this.screen = screen;
    this.#socket = socket;
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.messages.push(JSON.parse(data));
      else {
        this.isAttached = true;
        this.screen.append(new Uint8Array(data));
      }
    };
    this.#socket.onclose = ({ code }) => {
      this.code = code;
      this.#closed.resolve();
    };
  }

  static async open(
    { port }: SocketServer | { readonly port: number },
    query = "",
    { columns = 80, rows = 24, path = "/", headers = {} } = {},
  ): Promise<SocketViewer> {
    const screen = new Screen(columns, rows);
    await screen.load();
    const url = `ws://127.0.0.1:${port}${path}?${query}`;
    return new SocketViewer(screen, new WebSocket(url, { headers }));
  }

  /** Sends text as text, bytes as bytes. */
  async send(message: string | Uint8Array<ArrayBuffer>): Promise<void> {
    await until(() => this.#socket.readyState !== WebSocket.CONNECTING);
    this.#socket.send(message);
  }

  /** Types. */
  async type(text: string): Promise<void> {
    await this.send(new TextEncoder().encode(text));
  }

  get text(): string {
    return this.screen.text().lines.join("\n");
  }

  /** The texts of a log so far. */
  get log(): string {
    return this.messages.map(({ text = "" }) => text).join("");
  }

  /** Waits until the screen shows it. */
  async shows(pattern: RegExp): Promise<void> {
    try {
      await until(() => pattern.test(this.text), String(pattern));
    } catch (error) {
      throw new Error(`${error}; the screen is:\n${this.text}`);
    }
  }

  /** Waits until it is closed; gives the last message and the code. */
  async end(): Promise<[Record<string, unknown> | undefined, number]> {
    await until(() => this.code !== undefined, "the socket's end");
    return [this.messages.at(-1), this.code!];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#closed.promise;
  }
}

/** A viewer that reads only when it is told to, as the page in a tab that is asleep. */
export class SleepingViewer implements Disposable {
  readonly #connection: Deno.TcpConn;
  #unread = new Uint8Array();

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async open(
    { port }: SocketServer,
    query = "",
  ): Promise<SleepingViewer> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const viewer = new SleepingViewer(connection);
    const request = [
      `GET /?${query} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${btoa("0123456789abcdef")}`,
    ];
    await connection.write(
      new TextEncoder().encode(`${request.join("\r\n")}\r\n\r\n`),
    );
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      head += String.fromCharCode(...await viewer.#take(1));
    }
    return viewer;
  }

  /** Reads until a message matches; gives all text that was read. */
  async reads(pattern: RegExp): Promise<string> {
    let all = "";
    for (;;) {
      const text = new TextDecoder().decode(await this.#message());
      all += text;
      if (pattern.test(text)) return all;
    }
  }

  /** The next message, see RFC 6455, 5.2: a server doesn't mask. */
  async #message(): Promise<Uint8Array> {
    const [, length] = await this.#take(2);
    if (length! < 126) return await this.#take(length!);
    const bytes = await this.#take(length === 126 ? 2 : 8);
    return await this.#take(
      bytes.reduce((number, byte) => number * 256 + byte, 0),
    );
  }

  async #take(count: number): Promise<Uint8Array> {
    const taken = new Uint8Array(count);
    for (let at = 0; at < count;) {
      if (this.#unread.length === 0) {
        const buffer = new Uint8Array(65536);
        const read = await this.#connection.read(buffer);
        if (read === null) throw new Error("The server has closed it");
        this.#unread = buffer.subarray(0, read);
      }
      const part = this.#unread.subarray(0, count - at);
      taken.set(part, at);
      this.#unread = this.#unread.subarray(part.length);
      at += part.length;
    }
    return taken;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** When a session was created, as a view tells it. */
export async function bornOf(root: string, id: string): Promise<string> {
  return (await getSession(id, { root })).createdAt.toISOString();
}
