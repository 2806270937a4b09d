/**
 * The server of the page: a table of what can be asked for, and nothing else.
 *
 * It has no state of its own but its tokens, and nothing to do while nobody looks: it may be killed
 * at any time, and sessions don't notice.
 *
 * Between `Deno.upgradeWebSocket()` and the return of its response nothing may throw: it would end
 * the whole server.
 *
 * @module
 */
import { type Access, admit, type Gate, newToken } from "./gate.ts";
import { AGAIN, giveFile, goToPage, refuse, tell } from "./responses.ts";

/** What a server serves, and where. */
export interface ServerOptions {
  /** The state directory. */
  readonly root: string;
  /** The address or name to listen on. */
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Nobody may change anything. */
  readonly readOnly: boolean;
  /** Tells what went wrong in the server itself. */
  readonly report: (error: unknown) => void;
}

/** A server that listens. */
export interface PageServer {
  readonly port: number;
  /** The token that allows everything; `null` if nothing may be changed. */
  readonly token: string | null;
  /** The token that allows looking. */
  readonly lookToken: string;
  /** Ends it at once. */
  stop(): Promise<void>;
}

/** How many browsers' sockets there may be: each costs up to a megabyte or two. */
const MOST_SOCKETS = 100;

/** Serves a socket; returns at once, throws nothing, and resolves when the socket is closed. */
type Conversation = (socket: WebSocket) => Promise<void>;

/**
 * Starts a server.
 *
 * @throws {Deno.errors.AddrInUse} Another program has the port.
 */
export function startServer(options: ServerOptions): PageServer {
  const { host, readOnly, report } = options;
  const over = new AbortController();
  const gate: Gate = {
    token: readOnly ? null : newToken(),
    lookToken: newToken(),
    host,
  };
  let sockets = 0;

  /** What can be followed. A malformed query is an error here, before the upgrade. */
  function conversationAt(
    _path: string,
    _query: URLSearchParams,
    _access: Access,
  ): Conversation | undefined {
    return undefined;
  }

  function upgrade(request: Request, converse: Conversation): Response {
    if (sockets >= MOST_SOCKETS) {
      return tell(503, "Too many pages are open.");
    }
    const { socket, response } = Deno.upgradeWebSocket(request);
    sockets++;
    converse(socket).finally(() => sockets--);
    return response;
  }

  async function answer(request: Request): Promise<Response> {
    const admission = admit(request, gate);
    if ("status" in admission) return refuse(request, admission);
    const { access, url, cookie } = admission;
    const { pathname: path, search, searchParams } = url;
    if (cookie !== undefined) return goToPage(cookie);
    if (request.method === "POST") return tell(404, "There is nothing here.");
    if (path === "/" && search === AGAIN) return goToPage();
    if (request.headers.has("upgrade")) {
      const converse = conversationAt(path, searchParams, access);
      if (converse !== undefined) return upgrade(request, converse);
    }
    return await giveFile(request, path);
  }

  const server = Deno.serve({
    hostname: host,
    port: options.port,
    onListen() {},
    onError(error) {
      report(error);
      return tell(500, "The server has failed.");
    },
  }, answer);

  return {
    port: server.addr.port,
    token: gate.token,
    lookToken: gate.lookToken,
    async stop() {
      over.abort();
      await server.shutdown();
    },
  };
}
