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
import { ArgumentError, checkWhole, messageOf } from "../errors.ts";
import { plainText } from "../screen/clean_text.ts";
import { checkId } from "../store.ts";
import { sleep, within } from "../system/async.ts";
import { act, MAX_BODY_BYTES } from "./actions.ts";
import { type Access, admit, type Gate, newProof, newToken } from "./gate.ts";
import { serveLog } from "./log.ts";
import {
  cutOff,
  giveFile,
  giveProof,
  goToPage,
  refuse,
  tell,
} from "./responses.ts";
import { type Hello, LiveRows } from "./rows.ts";
import { serveViewer } from "./viewer.ts";

/** What a server serves, and where. */
export interface ServerOptions extends Hello {
  /** The address or name to listen on. */
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** How long a request may take to arrive, in milliseconds. @default {30 000} */
  readonly bodyMs?: number;
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
  /** Resolves when a browser has come with a token. */
  readonly visited: Promise<void>;
  /** Ends it at once: what is being started is complete or undone. */
  stop(): Promise<void>;
}

/**
 * How many sockets, and actions under way, there may be of each kind of viewer: lookers can't lock
 * the owner out. A socket costs a megabyte or two if its page reads nothing.
 */
const MOST: Readonly<Record<Access, number>> = { full: 100, look: 30 };
/** How long actions may take to give up at the end, in milliseconds. */
const GIVE_UP_MS = 700;
/** The most columns, and rows, of a page's terminal. */
const MOST_CELLS = 1000;
const MAX_MESSAGE_LENGTH = 500;
/** How soon to listen again. */
const LISTEN_AGAIN_MS = 200;

/** Serves a socket; returns at once, throws nothing, and resolves when the socket is closed. */
type ServeSocket = (socket: WebSocket) => Promise<void>;

/**
 * Starts a server.
 *
 * @throws {Deno.errors.AddrInUse} Another program has the port.
 */
export function startServer(options: ServerOptions): PageServer {
  const { root, host, readOnly, bodyMs = 30_000, report } = options;
  const over = new AbortController();
  const { signal } = over;
  const gate: Gate = {
    token: readOnly ? null : newToken(),
    lookToken: newToken(),
    host,
  };
  // Who may only look must not pass for the server of a page that may do more.
  const proofs = { full: newProof(), look: newProof() };
  const list = new LiveRows({ root, signal });
  const visited = Promise.withResolvers<void>();
  const most = readOnly ? { full: 0, look: MOST.full } : MOST;
  const actions = { full: new Set<unknown>(), look: new Set<unknown>() };
  const sockets = { full: 0, look: 0 };

  /** How to serve a path's sockets, if it has any. A malformed query fails here, before the upgrade. */
  function socketAt(
    path: string,
    query: URLSearchParams,
    access: Access,
  ): ServeSocket | undefined {
    const { version, home } = options;
    const isLook = access === "look";
    switch (path) {
      case "/api/rows":
        return (socket) =>
          list.serve(socket, { version, readOnly: isLook, home, root });
      case "/api/attach": {
        const look = isLook || query.get("look") === "1";
        const size = { columns: 80, rows: 24, ...sizeInQuery(query) };
        const viewer = { ...sessionIn(query), ...size, root, look, signal };
        return (socket) => serveViewer(socket, viewer);
      }
      case "/api/log": {
        const viewer = { ...sessionIn(query), root, signal };
        return (socket) => serveLog(socket, viewer);
      }
    }
  }

  function upgrade(
    request: Request,
    access: Access,
    serveSocket: ServeSocket,
  ): Response {
    if (sockets[access] >= most[access]) {
      return tell(503, "Too many pages are open.");
    }
    const { socket, response } = Deno.upgradeWebSocket(request);
    sockets[access]++;
    serveSocket(socket).finally(() => sockets[access]--);
    return response;
  }

  function run(request: Request, path: string, access: Access) {
    const [, name] = /^\/api\/([a-z]+)$/.exec(path) ?? [];
    if (name === undefined) return tell(404, "There is nothing here.");
    const own = actions[access];
    if (own.size >= most[access]) return tell(503, "Too much to do.");
    const acting = act(request, name, { root, access, signal, bodyMs });
    own.add(acting);
    return acting.finally(() => own.delete(acting));
  }

  function answer(request: Request): Response | Promise<Response> {
    const admission = admit(request, gate);
    if ("status" in admission) return refuse(request, admission);
    const { access, url, folder, cookie } = admission;
    const { pathname: path, search, searchParams: query } = url;
    if (request.method === "POST") return run(request, path, access);
    if (cookie !== undefined) {
      visited.resolve();
      return goToPage(folder, cookie);
    }
    if (path === "/" && search !== "") return goToPage(folder);
    if (path === "/proof") return giveProof(proofs[access]);
    try {
      const serveSocket = socketAt(path, query, access);
      if (serveSocket === undefined) {
        return giveFile(request, path, proofs[access]);
      }
      return upgrade(request, access, serveSocket);
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) {
        return tell(400, plainText(messageOf(error), MAX_MESSAGE_LENGTH));
      }
      throw error;
    }
  }

  /** Answers; then nothing comes any more that nobody has asked for. */
  async function answerLong(request: Request): Promise<Response> {
    const response = await answer(request);
    return request.bodyUsed ? response : cutOff(response);
  }

  function serve(request: Request): Response | Promise<Response> {
    if (!mayBeLong(request)) return answer(request);
    // Deno shows no body of other methods, and no response can end an upgrade.
    if (request.method === "POST") return answerLong(request);
    return cutOff(tell(400, "Only an action has arguments."));
  }

  const listen = (port: number) =>
    Deno.serve({
      ...{ hostname: host, port, signal },
      onListen() {},
      onError(error) {
        report(error);
        return tell(500, "The server has failed.");
      },
    }, serve);
  const first = listen(options.port);
  const { port } = first.addr;
  const finished = keepListening(first, () => listen(port), options, signal);

  return {
    port,
    token: gate.token,
    lookToken: gate.lookToken,
    visited: visited.promise,
    async stop() {
      over.abort();
      await within(
        GIVE_UP_MS,
        Promise.allSettled([...actions.full, ...actions.look, finished]),
      );
    },
  };
}

/**
 * Listens again whenever Deno gives up. It does so when too many files are open, and whoever reaches
 * the port can open connections.
 */
async function keepListening(
  server: Deno.HttpServer,
  again: () => Deno.HttpServer,
  { report }: Pick<ServerOptions, "report">,
  signal: AbortSignal,
): Promise<void> {
  let told = "";
  for (;;) {
    try {
      await server.finished;
    } catch (error) {
      if (told !== (told = messageOf(error))) report(error);
    }
    do {
      if (signal.aborted) return;
      await sleep(LISTEN_AGAIN_MS, signal).catch(() => {});
    } while (!signal.aborted && !listens());
  }

  function listens(): boolean {
    try {
      server = again();
      return true;
    } catch {
      return false; // Still too many, or another program has the port.
    }
  }
}

/** Tells whether a request brings, or may bring, more than the longest arguments. */
function mayBeLong({ headers }: Request): boolean {
  return headers.has("transfer-encoding") ||
    Number(headers.get("content-length") ?? 0) > MAX_BODY_BYTES;
}

/** The session that a query names. @throws {ArgumentError} */
function sessionIn(query: URLSearchParams): { id: string; born?: string } {
  const id = checkId(query.get("id") ?? "");
  const born = query.get("born");
  if (born === null) return { id };
  if (isNaN(Date.parse(born))) throw new ArgumentError("born must be a time");
  return { id, born };
}

/** The size that a query names. @throws {RangeError} */
function sizeInQuery(
  query: URLSearchParams,
): { columns?: number; rows?: number } {
  const size: { columns?: number; rows?: number } = {};
  for (const name of ["columns", "rows"] as const) {
    const text = query.get(name);
    if (text === null) continue;
    checkWhole(name, Number(text), 1, MOST_CELLS);
    size[name] = Number(text);
  }
  return size;
}
