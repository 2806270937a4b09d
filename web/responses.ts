/**
 * What the server answers with: the page's files, and short texts. Each response has the headers
 * that keep the page to itself; nothing in it comes from the request.
 *
 * @module
 */
import type { Refusal } from "./gate.ts";
import { FILES } from "./page_files.ts";

/** For every response. The token must not leave by `Referer`, nor stay in a cache. */
const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": policy("default-src 'none'"),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The query of a second visit, which comes from the page of the first. */
const AGAIN = "?again";

function policy(...rules: readonly string[]): string {
  return [
    ...rules,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function respond(
  status: number,
  body: BodyInit | null,
  headers: Readonly<Record<string, string>>,
): Response {
  return new Response(body, { status, headers: { ...HEADERS, ...headers } });
}

/**
 * The same response, with which the connection ends: its body is shorter than its `content-length`.
 *
 * Deno goes on reading a request that nobody wants, at any length, and has no call that closes a
 * connection.
 */
export async function cutOff(response: Response): Promise<Response> {
  const bytes = await response.bytes();
  const { status, headers } = response;
  headers.set("content-length", String(bytes.length + 1));
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return new Response(body, { status, headers });
}

/** A line of text. */
export function tell(status: number, text: string): Response {
  return respond(status, `${text}\n`, {
    "content-type": "text/plain; charset=utf-8",
  });
}

/** A value as JSON. */
export function giveJson(status: number, value: unknown): Response {
  return respond(status, JSON.stringify(value), {
    "content-type": "application/json",
  });
}

/** Sends the browser to the page in its folder, with a cookie. */
export function goToPage(folder: string, cookie?: string): Response {
  return respond(303, null, {
    location: `${folder}/`,
    ...(cookie !== undefined && { "set-cookie": cookie }),
  });
}

/**
 * Says no. A visit by a link of another site brings no cookie (`SameSite=Strict`), even if there is
 * one: a page of ours then visits again, once.
 */
export function refuse(
  { method, url }: { readonly method: string; readonly url: string },
  { status, reason }: Refusal,
): Response {
  if (method !== "GET" || status !== 401) return tell(status, reason);
  const { pathname, search } = new URL(url);
  const isPage = pathname !== "/" && pathname.endsWith("/");
  if (!isPage || search !== "") return tell(status, reason);
  return respond(
    status,
    `<!DOCTYPE html><meta http-equiv="refresh" content="0; url=${AGAIN}"><title>codex-session</title><p>${reason}</p>\n`,
    { "content-type": "text/html; charset=utf-8" },
  );
}

/** The server's proof, which the page compares with its own. */
export function giveProof(proof: string): Response {
  return respond(200, proof, { "content-type": "text/plain; charset=utf-8" });
}

/** A file of the page, if there is one with this path. The page itself, `/`, carries the proof. */
export async function giveFile(
  request: Request,
  path: string,
  proof: string,
): Promise<Response> {
  if (!Object.hasOwn(FILES, path)) return tell(404, "There is nothing here.");
  const { type, gzip } = FILES[path]!;
  const packed = Uint8Array.fromBase64(gzip);
  if (path === "/") return givePage(await unpack(packed), proof);
  const takesGzip = /\bgzip\b/.test(
    request.headers.get("accept-encoding") ?? "",
  );
  if (!takesGzip) {
    return respond(200, await unpack(packed), { "content-type": type });
  }
  return respond(200, packed, {
    "content-type": type,
    "content-encoding": "gzip",
    vary: "accept-encoding",
  });
}

async function unpack(packed: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([packed]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

/** The page, whose scripts may make styles: xterm.js does, and the nonce says that it may. */
export function givePage(html: string, proof: string): Response {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const nonce = bytes.toBase64();
  const filled = html.replaceAll("{{NONCE}}", nonce)
    .replaceAll("{{PROOF}}", proof);
  return respond(200, filled, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy(
      "default-src 'none'",
      `script-src 'self' 'nonce-${nonce}'`,
      `style-src 'self' 'nonce-${nonce}'`,
      "img-src 'self'",
      "connect-src 'self'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ),
  });
}
