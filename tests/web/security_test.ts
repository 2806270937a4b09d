/**
 * What docs/security.md promises of the page, sentence by sentence, at the running server.
 *
 * @module
 */
import { createSession } from "../../session/create.ts";
import { deleteSession } from "../../session/stop.ts";
import { HARMFUL } from "../../screen/clean_text.ts";
import { ACTIONS } from "../../views/actions.ts";
import { newToken } from "../../web/gate.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";
import { exchange, TestServer } from "./page_server.ts";

/** All that can be asked for, with the method for it. */
const EVERYTHING: readonly (readonly [string, string])[] = [
  ...[
    "/",
    "/page.js",
    "/page.css",
    "/xterm.js",
    "/xterm.css",
    "/icon.svg",
    "/proof",
  ],
  ...["/api/rows", "/api/attach?id=a", "/api/log?id=a"],
].map((path): [string, string] => ["GET", path])
  .concat(Object.keys(ACTIONS).map((name) => ["POST", `/api/${name}`]));

/** The status of a request whose head is written as it is here. */
async function statusOf(
  web: TestServer,
  [method, path]: readonly [string, string],
  headers: Readonly<Record<string, string>>,
): Promise<number> {
  const upgrade = /rows|attach|log/.test(path)
    ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    : "Connection: close\r\n";
  const body = "Content-Type: application/json\r\nContent-Length: 2\r\n";
  const head = Object.entries(headers).map(([name, value]) =>
    `${name}: ${value}\r\n`
  ).join("");
  const answer = await exchange(
    web.server.port,
    `${method} ${web.path(path, headers)} HTTP/1.1\r\n${head}${upgrade}${
      method === "POST" ? `${body}\r\n{}` : "\r\n"
    }`,
  );
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

Deno.test("web: nothing is given without the token, nor for a wrong one", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const right = { host: web.host, ...web.headers() };
  const without = { host: web.host, ...web.headers(null) };
  const wrong = web.headers(newToken());
  for (const what of EVERYTHING) {
    assertEquals(await statusOf(web, what, without), 401, what[1]);
    assertEquals(
      await statusOf(web, what, { ...without, ...wrong }),
      401,
      what[1],
    );
    assert(await statusOf(web, what, right) !== 401, what[1]);
  }
});

Deno.test("web: a name that leads here by DNS rebinding gets nothing", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const { port, token } = web.server;
  for (const name of ["evil.example", `evil.example:${port}`]) {
    const headers = {
      host: name,
      origin: `http://${name}`,
      cookie: `codex_session=${token}`,
    };
    for (const what of EVERYTHING) {
      assertEquals(await statusOf(web, what, headers), 421, what[1]);
    }
  }
});

Deno.test("web: another page of the user's browser can act on nothing, and opens no socket", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const { cookie } = web.headers();
  const origins = [
    ...["http://evil.example", "null", `http://localhost:${web.server.port}`],
    `http://127.0.0.1:${web.server.port + 1}`,
  ];
  for (const origin of origins) {
    const headers = { host: web.host, origin, cookie: cookie! };
    for (const what of EVERYTHING) {
      assertEquals(await statusOf(web, what, headers), 403, what[1]);
    }
  }
  const silent = { host: web.host, cookie: cookie! };
  for (const what of EVERYTHING) {
    if (!what[1].startsWith("/api/")) continue;
    assertEquals(await statusOf(web, what, silent), 403, what[1]);
  }
});

Deno.test("web: every answer keeps the page to itself", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const responses = [
    await web.get("/"),
    await web.get("/page.js"),
    await web.get("/none"),
    await web.get("/proof"),
    await web.get("/", {}),
    await web.get("/api/rows"),
    await web.get(`/?token=${web.server.token}`),
    await web.post("answer", "{}"),
    await web.get("/", { origin: "http://evil.example" }),
  ];
  for (const response of responses) {
    const { headers, url } = response;
    await response.body?.cancel();
    assertEquals(headers.get("referrer-policy"), "no-referrer", url);
    assertEquals(headers.get("cache-control"), "no-store", url);
    assertEquals(headers.get("x-content-type-options"), "nosniff", url);
    assertEquals(headers.get("cross-origin-resource-policy"), "same-origin");
    assertEquals(headers.get("cross-origin-opener-policy"), "same-origin");
    for (const [name] of headers) assert(!name.startsWith("access-control"));
    const policy = headers.get("content-security-policy")!;
    assertMatch(policy, /^default-src 'none'; /);
    assertMatch(policy, /frame-ancestors 'none'/);
    assert(!/unsafe|\*|http|data:/.test(policy), policy);
  }
});

Deno.test("web: the token is in no page, no error, no report", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const { token, lookToken } = web.server;
  const responses = [
    await web.get("/"),
    await web.get("/none"),
    await web.get(`/?token=${token}x`, {}),
    await web.get(`/none?token=${token}`, {}),
    await web.get(`/api/attach?id=${token}&columns=0`),
    await web.post("start", JSON.stringify({ command: [] })),
    await web.post(token!.toLowerCase().replace(/\W|\d/g, ""), "{}"),
  ];
  for (const response of responses) {
    const text = await response.text();
    assert(!text.includes(token!) && !text.includes(lookToken), text);
    assert(!/\bat .*:\d+:\d+/.test(text), text);
  }
  assertEquals(web.reports, []);
  assertMatch(token!, /^[\w-]{43}$/);
  await using next = new TestServer(root);
  assert(next.server.token !== token, "each run has a token of its own");
});

Deno.test("web: paths are names in a table, no files", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const headers = { host: web.host, ...web.headers() };
  const paths = [
    ...[
      "/../../../../etc/passwd",
      "/..%2f..%2fetc/passwd",
      "/%2e%2e/deno.json",
    ],
    ...["//etc/passwd", "/page.js/", "/page.js%00", "/PAGE.JS", "/%70age.js"],
    ...["/web/server.ts", "/page_files.ts", "/__proto__", "/constructor"],
    ...["/./page.jsx", "/page.js/../x", "\\etc\\passwd", "/api/../api/rows/x"],
    "/page.html",
  ];
  for (const path of paths) {
    const status = await statusOf(web, ["GET", path], headers);
    assert([400, 401, 404].includes(status), `${path}: ${status}`);
  }
});

Deno.test("web: who may only look changes nothing, by the table of actions", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const command = ["sh", "-c", "stty -echo; echo ready; read x; echo got $x"];
  await createSession({ root: root.dir, id: "a", kind: "pty", command });
  const look = web.headers(web.server.lookToken);
  for (const { name, changes } of Object.values(ACTIONS)) {
    const response = await web.post(name, JSON.stringify({ id: "a" }), look);
    const { error } = await response.json();
    assertEquals(error?.code === "permission", changes, name);
    assertEquals(response.status === 403, changes, name);
  }
  assert(Object.values(ACTIONS).filter(({ changes }) => changes).length >= 7);
  // Whatever its page asks for.
  const viewer = web.socket("/api/attach?id=a&look=0&columns=50&rows=9", look);
  viewer.binaryType = "arraybuffer";
  let shown = "";
  viewer.onmessage = ({ data }) => {
    // Text tells of the window, or of the end.
    if (typeof data !== "string") shown += new TextDecoder().decode(data);
  };
  await until(() => /ready/.test(shown), "the screen");
  viewer.send(new TextEncoder().encode("typed by a looker\r"));
  viewer.send(JSON.stringify({ type: "resize", columns: 40, rows: 8 }));
  const [status] = await web.act("send", { id: "a", text: "by an owner" });
  assertEquals(status, 200);
  await until(() => /got /.test(shown), "an answer");
  assertStringIncludes(shown, "got by an owner");
  const closed = new Promise((wake) => viewer.onclose = wake);
  viewer.close();
  await closed;
  await deleteSession("a", { root: root.dir, force: true });
});

Deno.test("web: no text of the list has a character that steers, hides or turns text", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const evil = "\x1b]0;x\x07\x1b[31m<b>\x9b2J\u202e";
  const title = "\\033]2;\\342\\200\\256title<img src=x onerror=alert(1)>\\007";
  await createSession({
    ...{ root: root.dir, id: "a", kind: "pty", prompt: evil },
    command: ["sh", "-c", `printf '${title}'; sleep 600`, evil],
  });
  const list = web.socket("/api/rows");
  const messages: string[] = [];
  list.onmessage = ({ data }) => messages.push(data);
  await until(() => messages.some((one) => /"rows"/.test(one)), "the list");
  list.send(JSON.stringify({ type: "look", ids: ["a"] }));
  await until(() => messages.some((one) => /title</.test(one)), "the title");
  const texts = (value: unknown): string[] =>
    typeof value === "string"
      ? [value]
      : typeof value === "object" && value !== null
      ? [...Object.keys(value), ...Object.values(value).flatMap(texts)]
      : [];
  for (const text of messages.flatMap((one) => texts(JSON.parse(one)))) {
    assert(text.search(HARMFUL) < 0, JSON.stringify(text));
  }
  const closed = new Promise((wake) => list.onclose = wake);
  list.close();
  await closed;
  await deleteSession("a", { root: root.dir, force: true });
});

Deno.test("web: no shell interprets the words of a command", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const words = ["$(id)", "`id`", "; id", "a\nb"];
  const command = ["sh", "-c", 'printf "%s|" "$@"; read x', "sh", ...words];
  await web.act("start", { id: "a", command, kind: "repl" });
  const log = web.socket("/api/log?id=a");
  let text = "";
  log.onmessage = ({ data }) => text += JSON.parse(data).text ?? "";
  await until(() => text.split("|").length > words.length, "the output");
  assertEquals(text, words.map((word) => `${word}|`).join(""));
  const closed = new Promise((wake) => log.onclose = wake);
  log.close();
  await closed;
  await deleteSession("a", { root: root.dir, force: true });
});

Deno.test("web: a thousand guesses are refused alike, and the server goes on", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const answers = new Set<string>();
  for (let i = 0; i < 10; i++) {
    await Promise.all(Array.from({ length: 100 }, async () => {
      const response = await web.get(`/?token=${newToken()}`, {});
      answers.add(`${response.status} ${await response.text()}`);
    }));
  }
  const { length } = [...answers];
  assertEquals(length, 1);
  const page = await web.get("/");
  await page.body?.cancel();
  assertEquals(page.status, 200);
});
