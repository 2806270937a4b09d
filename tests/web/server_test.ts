import { folderOf } from "../../web/gate.ts";
import { createSession } from "../../session/create.ts";
import { getSession } from "../../session/find.ts";
import { deleteSession } from "../../session/stop.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  TestRoot,
  until,
} from "../helpers.ts";
import { TestServer } from "./page_server.ts";

/** The messages of a socket, parsed. */
// deno-lint-ignore no-explicit-any
function messagesOf(socket: WebSocket): any[] {
  // deno-lint-ignore no-explicit-any
  const messages: any[] = [];
  socket.onmessage = ({ data }) => messages.push(JSON.parse(data));
  return messages;
}

async function close(socket: WebSocket): Promise<void> {
  const closed = new Promise((wake) => socket.onclose = wake);
  socket.close();
  await closed;
}

/** Why an upgrade is refused, or that it isn't. */
async function upgradeOf(socket: WebSocket): Promise<string> {
  return await new Promise((resolve) => {
    socket.onopen = () => close(socket).then(() => resolve("open"));
    socket.onerror = (event) => {
      socket.onclose = () => resolve((event as ErrorEvent).message);
    };
  });
}

Deno.test("startServer() gives the page for the token, and the rest of its files for the cookie", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const first = await web.get(`/?token=${web.server.token}`, {});
  await first.body?.cancel();
  const cookie = first.headers.get("set-cookie")!;
  const folder = folderOf(web.server.token!);
  const location = `${folder}/`;
  assertEquals([first.status, first.headers.get("location")], [303, location]);
  assert(cookie.endsWith(`; HttpOnly; SameSite=Strict; Path=${location}`));
  await web.server.visited;
  const page = await web.get("/", { cookie: cookie.split(";")[0]! });
  assertEquals(page.status, 200);
  const html = await page.text();
  assertStringIncludes(html, "<!DOCTYPE html>");
  const nonce = /nonce="([^"]+)"/.exec(html)?.[1];
  const policy = page.headers.get("content-security-policy")!;
  assertStringIncludes(policy, `'nonce-${nonce}'`);
  const again = await (await web.get("/")).text();
  assert(!again.includes(nonce!), "each page has a nonce of its own");
  const paths = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)]
    .map(([, path]) => `/${path}`);
  assert(paths.length >= 3);
  for (const path of paths) {
    const file = await web.get(path);
    assertEquals(file.status, 200, path);
    assert((await file.text()).length > 0);
  }
});

Deno.test("startServer() has a proof of its own in each run, and another one for a looker", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  await using next = new TestServer(root);
  const look = web.headers(web.server.lookToken);
  const proofOf = async (headers = web.headers(), server = web) => {
    const response = await server.get("/proof", headers);
    assertEquals(response.status, 200);
    return await response.text();
  };
  const proof = await proofOf();
  assert(/^[\w-]{22}$/.test(proof), proof);
  assertEquals(await proofOf(), proof);
  const proofs = [proof, await proofOf(look)];
  proofs.push(await proofOf(next.headers(), next));
  assertEquals(new Set(proofs).size, 3);
});

Deno.test("startServer() unpacks a file for a client that takes no gzip", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const packed = await web.get("/page.css");
  const plain = await web.get("/page.css", {
    ...web.headers(),
    "accept-encoding": "identity",
  });
  assertEquals(plain.headers.get("content-encoding"), null);
  assertEquals(await plain.text(), await packed.text());
});

Deno.test("startServer() lets a visit by another site's link in by a second one", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  // The browser brings no cookie then, though it has one.
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
  const first = await web.get("/", link);
  assertEquals(first.status, 401);
  const [, next] = /content="0; url=([^"]+)"/.exec(await first.text()) ?? [];
  const second = await web.get(`/${next}`);
  await second.body?.cancel();
  const location = `${folderOf(web.server.token!)}/`;
  assertEquals([second.status, second.headers.get("location")], [
    303,
    location,
  ]);
  const stranger = await web.get(`/${next}`, {});
  assert(!(await stranger.text()).includes("refresh"), "no circle");
});

Deno.test("startServer() runs actions, and tells their errors", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const command = ["sh", "-c", "sleep 600"];
  const [status, { id }] = await web.act("start", { id: "a", command });
  assertEquals([status, id], [200, "a"]);
  const refused = async (name: string, args: unknown) => {
    const [status, { error }] = await web.act(name, args);
    assert(!/codex-session |\n/.test(error.message), error.message);
    return [status, error.code];
  };
  assertEquals(await refused("start", { id: "a", command }), [409, "exists"]);
  assertEquals(await refused("stop", { id: "b" }), [404, "not_found"]);
  assertEquals(await refused("send", { id: "a", text: "x" }), [
    409,
    "wrong_state",
  ]);
  assertEquals(await refused("stop", { id: 7 }), [400, "usage"]);
  assertEquals(await refused("constructor", {}), [404, "not_found"]);
  const born = new Date(0).toISOString();
  assertEquals(await refused("delete", { id: "a", born, force: true }), [
    404,
    "not_found",
  ]);
  assertEquals(await web.act("delete", { id: "a", force: true }), [200, {
    id: "a",
  }]);
});

Deno.test("startServer() wants JSON, not too long and not too slowly", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root, { bodyMs: 100 });
  const post = async (body: BodyInit, type = "application/json") => {
    const headers = { ...web.headers(), "content-type": type };
    const response = await web.post("answer", body, headers);
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await post("{}", "text/plain"), 415);
  assertEquals(await post("{}", "application/x-www-form-urlencoded"), 415);
  assertEquals(await post("{"), 400);
  assertEquals(await post(new Uint8Array([0x22, 0xff, 0x22])), 400);
  assertEquals(await post(""), 400);
  assertEquals(await post(" ".repeat(1024 * 1024)), 400);
  assertEquals(await post(" ".repeat(1024 * 1024 + 1)), 413);
  const { promise: never, resolve } = Promise.withResolvers<void>();
  const slow = new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("{"));
      await never;
      try {
        controller.close();
      } catch {
        // The server has left.
      }
    },
  });
  assertEquals(await post(slow), 408);
  resolve();
  assertEquals(web.reports, []);
});

Deno.test("startServer() ends the connection of a refused request that is too long", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const long = "Content-Length: 99999999999";
  const looker = Object.entries(web.headers(web.server.lookToken))
    .map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const { port, lookToken } = web.server;
  const cases = [
    ["POST /x", `${long}\r\n`],
    ["PUT /x", `${long}\r\n`],
    ["GET /", `${long}\r\n`],
    ["POST /x", "Transfer-Encoding: chunked\r\n"],
    [`POST ${folderOf(lookToken)}/api/start`, `${looker}${long}\r\n`],
    [
      `POST ${folderOf(lookToken)}/api/agents`,
      `${looker}Content-Type: application/json\r\n${long}\r\n`,
    ],
  ];
  await Promise.all(cases.map(async ([asked, headers]) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const head = `${asked} HTTP/1.1\r\nHost: ${web.host}\r\n${headers}\r\n`;
    await connection.write(new TextEncoder().encode(head));
    let isOpen = true;
    const read = async () => {
      while (await connection.read(new Uint8Array(4096)) !== null);
    };
    // It may be reset.
    const end = read().catch(() => {}).then(() => isOpen = false);
    const piece = new TextEncoder().encode("1000\r\n" + " ".repeat(4098));
    for (let i = 0; i < 8000 && isOpen; i++) {
      await connection.write(piece).catch(() => end);
    }
    assert(!isOpen, asked);
  }));
  const page = await web.get("/");
  await page.body?.cancel();
  assertEquals([page.status, web.reports], [200, []]);
});

Deno.test("startServer() tells the live list, to several viewers", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const one = web.socket("/api/rows");
  const two = web.socket("/api/rows", web.headers(web.server.lookToken));
  const [toOne, toTwo] = [messagesOf(one), messagesOf(two)];
  await until(() => toOne.length >= 2 && toTwo.length >= 2, "lists");
  assertEquals(toOne[0], {
    ...{ type: "hello", version: "1", readOnly: false, home: "/" },
    root: root.dir,
  });
  assertEquals([toTwo[0].readOnly, toTwo[1]], [true, {
    type: "rows",
    rows: [],
  }]);
  await web.act("start", {
    id: "a",
    command: ["sh", "-c", "echo hi; exec cat"],
    kind: "repl",
  });
  for (const messages of [toOne, toTwo]) {
    await until(
      () =>
        messages.at(-1).changed?.some(({ id }: { id: string }) => id === "a"),
      "the new session",
    );
  }
  one.send(JSON.stringify({ type: "look", ids: ["a"] }));
  await until(
    () => toTwo.at(-1).changed?.[0]?.line === "hi",
    "its last line, which one viewer looks at",
  );
  await web.act("delete", { id: "a", force: true });
  await until(() => toOne.at(-1).removed?.includes("a"), "its end");
  await Promise.all([close(one), close(two)]);
});

Deno.test("startServer() ends a list that is sent anything but the rows that it shows", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const messages = [
    ...["", "{", "null", "[]", '{"type":"look"}', '{"type":"look","ids":[1]}'],
    JSON.stringify({ type: "look", ids: ["../a"] }),
    JSON.stringify({ type: "look", ids: Array(201).fill("a") }),
    `{"type":"look","ids":["${"a".repeat(40_000)}"]}`,
    new Uint8Array(10),
  ];
  await Promise.all(messages.map(async (message) => {
    const socket = web.socket("/api/rows");
    const told = messagesOf(socket);
    const closed = new Promise<CloseEvent>((wake) => socket.onclose = wake);
    socket.onopen = () => socket.send(message);
    assertEquals((await closed).code, 1011);
    assertEquals(told.at(-1).code, "usage");
  }));
  assertEquals(web.reports, []);
});

Deno.test("startServer() watches nothing when nobody looks", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const watches = () =>
    [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        return /inotify/.test(Deno.readLinkSync(`/proc/self/fd/${name}`));
      } catch {
        return false;
      }
    }).length;
  const before = watches();
  const socket = web.socket("/api/rows");
  const messages = messagesOf(socket);
  await until(() => messages.length >= 2, "the list");
  await until(() => watches() > before, "a watch");
  await close(socket);
  await until(() => watches() <= before, "no watch");
});

Deno.test("startServer() shows a terminal and a log", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  await createSession({
    ...{ root: root.dir, id: "a", kind: "pty" },
    command: ["sh", "-c", "echo ready; read x; echo got $x; exec cat"],
  });
  const { createdAt } = await getSession("a", { root: root.dir });
  const query = `id=a&born=${createdAt.toISOString()}`;
  const terminal = web.socket(`/api/attach?${query}&columns=70&rows=20`);
  terminal.binaryType = "arraybuffer";
  let shown = "";
  terminal.onmessage = ({ data }) => shown += new TextDecoder().decode(data);
  await until(() => /ready/.test(shown), "the screen");
  terminal.send(new TextEncoder().encode("two\r"));
  await until(() => /got two/.test(shown), "the echo");
  const log = web.socket(`/api/log?${query}`);
  const lines = messagesOf(log);
  await until(() => JSON.stringify(lines).includes("got two"), "the log");
  await Promise.all([close(terminal), close(log)]);
  await deleteSession("a", { root: root.dir, force: true });
});

Deno.test("startServer() refuses a malformed query before the upgrade", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  for (
    const path of [
      ...["/api/attach", "/api/attach?id=../x", "/api/log?id=a/b"],
      ...["/api/attach?id=a&columns=0", "/api/attach?id=a&rows=1001"],
      ...["/api/attach?id=a&columns=1e9", "/api/log?id=a&born=x"],
      ...["/api/none", "/api/rows/", "/api//rows", "/api/start"],
    ]
  ) assert(await upgradeOf(web.socket(path)) !== "open", path);
  assertEquals(await upgradeOf(web.socket("/api/log?id=a")), "open");
  assertEquals(web.reports, []);
});

Deno.test("startServer() has room for 100 sockets, and 30 of lookers, who take none of the owner's", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const look = web.headers(web.server.lookToken);
  const fill = async (count: number, headers = web.headers()) => {
    const sockets = Array.from(
      { length: count },
      () => web.socket("/api/rows", headers),
    );
    await Promise.all(
      sockets.map((socket) => new Promise((wake) => socket.onopen = wake)),
    );
    assert(await upgradeOf(web.socket("/api/rows", headers)) !== "open");
    return sockets;
  };
  const looking = await fill(30, look);
  const sockets = await fill(100);
  await close(sockets.pop()!);
  await until(
    async () => await upgradeOf(web.socket("/api/rows")) === "open",
    "room again",
  );
  await Promise.all([...looking, ...sockets].map(close));
});

Deno.test("startServer() has all its room for lookers when nothing may be changed", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root, { readOnly: true });
  const look = web.headers(web.server.lookToken);
  const open = () => web.socket("/api/rows", look);
  const sockets = Array.from({ length: 30 }, open);
  await Promise.all(
    sockets.map((socket) => new Promise((wake) => socket.onopen = wake)),
  );
  assertEquals(await upgradeOf(open()), "open");
  await Promise.all(sockets.map(close));
});

Deno.test("startServer() acts for the owner while lookers' actions wait for their arguments", async () => {
  await using root = new TestRoot();
  await using web = new TestServer(root);
  const look = web.headers(web.server.lookToken);
  const connections: Deno.Conn[] = [];
  const head = [
    `POST ${web.path("/api/agents", look)} HTTP/1.1`,
    `Host: ${web.host}`,
    ...Object.entries(look).map(([name, value]) => `${name}: ${value}`),
    "Content-Type: application/json",
    "Content-Length: 2\r\n\r\n",
  ].join("\r\n");
  try {
    for (let i = 0; i < 30; i++) {
      const { port } = web.server;
      connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      await connections.at(-1)!.write(new TextEncoder().encode(head));
    }
    await until(async () => {
      const response = await web.post("agents", "{}", look);
      await response.body?.cancel();
      return response.status === 503;
    }, "no room for lookers");
    assertEquals((await web.act("agents", {}))[0], 200);
  } finally {
    for (const connection of connections) connection.close();
  }
});
