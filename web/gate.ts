/**
 * Who gets in: the one place that decides about each request, by its head alone and before anything
 * else is done with it. Pure.
 *
 * Any page in the user's browser can send requests to 127.0.0.1, and any user of the machine can.
 * So each request must carry a cookie with this run's token, be meant for this server (`Host`: a
 * hostile page may give its own name our address), and come from no other page (`Origin`,
 * `Sec-Fetch-Site`: other ports of this host are the same site).
 *
 * Browsers send a cookie to every port of its host, to a program of an agent perhaps. So the cookie
 * belongs to a folder with a name that nobody can guess, and goes nowhere else (RFC 6265, 5.1.4).
 *
 * @module
 */

/** What a token allows: everything, or only to look. */
export type Access = "full" | "look";

/** What a server checks requests against. */
export interface Gate {
  /** The token that allows everything; `null` if nothing may be changed. */
  readonly token: string | null;
  /** The token that allows looking. */
  readonly lookToken: string;
  /** The name or address that the server was told to listen on. */
  readonly host: string;
}

/** What a server answers to a request that it doesn't let in. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 405 | 421;
  /** Why, for a person. It repeats nothing of the request. */
  readonly reason: string;
}

/** A request that is let in. */
export interface Admission {
  readonly access: Access;
  /** Its path in the page's folder, and its query. The host in it means nothing. */
  readonly url: URL;
  /** The page's folder, `/NAME`. */
  readonly folder: string;
  /** The cookie to set, if the request has brought the token in its URL. */
  readonly cookie?: string;
}

/** Lets a request in, or says why not. */
export function admit(request: Request, gate: Gate): Admission | Refusal {
  const { method, headers } = request;
  if (method !== "GET" && method !== "POST") {
    return { status: 405, reason: "Only GET and POST are known here." };
  }
  const asked = headers.get("host");
  const host = parseHost(asked ?? "");
  if (host === undefined) {
    return { status: 400, reason: "The request names no host." };
  }
  if (!isHere(host.name, gate.host)) {
    return { status: 421, reason: WRONG_HOST };
  }
  const url = urlOf(request);
  if (url === undefined) {
    return { status: 400, reason: "The request names no path." };
  }
  const [, folder = "", path = url.pathname] = IN_FOLDER.exec(url.pathname) ??
    [];
  const isVisit = method === "GET" && path === "/";
  if (!comesFromHere(headers, { host: asked!, isVisit })) {
    return { status: 403, reason: "Another page asks for this." };
  }
  const isAction = method === "POST" || headers.has("upgrade");
  if (isAction && !headers.has("origin")) {
    return { status: 403, reason: "The request doesn't tell its origin." };
  }
  const isArrival = isVisit && folder === "";
  const token = isArrival
    ? url.searchParams.get("token") ?? ""
    : tokenFor(folder, headers.get("cookie") ?? "");
  const access = accessBy(token, gate);
  if (access === undefined) return { status: 401, reason: NO_TOKEN };
  if (isArrival) {
    const folder = folderOf(token);
    const cookie =
      `${COOKIE}=${token}; HttpOnly; SameSite=Strict; Path=${folder}/`;
    return { access, url, folder, cookie };
  }
  url.pathname = path;
  return { access, url, folder };
}

const COOKIE = "codex_session";

/** A path in a folder that may be the page's. */
const IN_FOLDER = /^(\/[\w-]{8})(\/.*)$/;

/** The folder of the page for a token. The rest of the token stays a secret: 210 bits. */
export function folderOf(token: string): string {
  return `/${token.slice(0, 8)}`;
}

const WRONG_HOST =
  "This server isn't known by that name. Open the URL that codex-session web printed, or name it there with --host.";

const NO_TOKEN =
  "Open the URL that codex-session web printed: it holds the token of this run.";

/** A name, an IPv4 address or an IPv6 address in brackets, and the port. */
const HOST = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i;

function parseHost(
  text: string,
): { readonly name: string; readonly port: number } | undefined {
  const [, name, digits = "80"] = HOST.exec(text) ?? [];
  const port = Number(digits);
  if (name === undefined || port > 65535) return undefined;
  return { name: name.toLowerCase(), port };
}

/** Where browsers on this machine, and tunnels that end here, find a server. */
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/** Tells whether only this machine reaches a server at this address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Tells whether a name in `Host` means this server. A port may be a tunnel's, and is no matter. A
 * page that has given its own name our address sends that name; so beyond the loopback, addresses
 * are fine, and of names only the one that the user has chosen.
 */
function isHere(name: string, host: string): boolean {
  if (LOOPBACK.includes(name)) return true;
  const own = host.includes(":") ? `[${host}]` : host;
  if (name === own.toLowerCase()) return true;
  return !isLoopback(host) && /^(\d{1,3}(\.\d{1,3}){3}|\[.*\])$/.test(name);
}

/** Deno accepts requests of which it can't tell the URL: even asking for it throws then. */
function urlOf(request: Request): URL | undefined {
  try {
    return new URL(request.url);
  } catch {
    return undefined;
  }
}

/** Tells whether a request comes from our page, or from no page. A visit may come by a link. */
function comesFromHere(
  headers: Headers,
  { host, isVisit }: { readonly host: string; readonly isVisit: boolean },
): boolean {
  const origin = headers.get("origin");
  if (origin !== null && origin !== `http://${host}`) return false;
  const site = headers.get("sec-fetch-site") ?? "none";
  return site === "same-origin" || site === "none" || isVisit;
}

/** The token for a folder among the cookies; others are of other servers of the host. */
function tokenFor(folder: string, cookies: string): string {
  const tokens = cookies.split(";").map((one) => one.trim())
    .filter((one) => one.startsWith(`${COOKIE}=`))
    .map((one) => one.slice(COOKIE.length + 1));
  return tokens.find((token) => folderOf(token) === folder) ?? "";
}

function accessBy(token: string, gate: Gate): Access | undefined {
  if (gate.token !== null && isSame(token, gate.token)) return "full";
  return isSame(token, gate.lookToken) ? "look" : undefined;
}

/** Compares in a time that doesn't tell how much of it is right. */
function isSame(given: string, token: string): boolean {
  let difference = given.length ^ token.length;
  for (let i = 0; i < token.length; i++) {
    difference |= given.charCodeAt(i) ^ token.charCodeAt(i);
  }
  return difference === 0;
}

/** A token that can't be guessed: 256 random bits. */
export function newToken(): string {
  return newSecret(32);
}

/**
 * What a server shows a page that asks again, so that the page knows it from another program that
 * has got the port: 128 random bits.
 */
export function newProof(): string {
  return newSecret(16);
}

function newSecret(sizeBytes: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(sizeBytes));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
