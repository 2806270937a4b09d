import { type Access, admit, folderOf, type Gate } from "../../web/gate.ts";
import { assertEquals } from "../helpers.ts";

const TOKEN = "t".repeat(43);
const LOOK = "l".repeat(43);
const LOOK_FOLDER = folderOf(LOOK);
const GATE: Gate = { token: TOKEN, lookToken: LOOK, host: "127.0.0.1" };
const HERE = "127.0.0.1:7171";

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly gate?: Gate;
  /** The page's folder; by default the one of the token. */
  readonly folder?: string;
  /** Null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** What comes of a request, which is right but for what is given: its access, or the status. */
function outcome(
  {
    method = "GET",
    path = "/",
    gate = GATE,
    folder = folderOf(TOKEN),
    headers = {},
  }: Asked,
): Access | number {
  const all = {
    host: HERE,
    cookie: `codex_session=${TOKEN}`,
    ...(method === "POST" && { origin: `http://${HERE}` }),
    ...headers,
  };
  const given = Object.entries(all).filter(([, value]) => value !== null);
  const request = new Request(`http://${HERE}${folder}${path}`, {
    method,
    headers: given as [string, string][],
  });
  const verdict = admit(request, gate);
  return "status" in verdict ? verdict.status : verdict.access;
}

Deno.test("admit() takes a request with the cookie of this run only", () => {
  assertEquals(outcome({}), "full");
  const withCookie = (cookie: string | null) =>
    outcome({ headers: { cookie } });
  const look = { cookie: `codex_session=${LOOK}` };
  assertEquals(outcome({ folder: LOOK_FOLDER, headers: look }), "look");
  assertEquals(withCookie(`a=b; codex_session=${TOKEN}; c`), "full");
  for (
    const wrong of [
      ...[null, "", "=", ";;", TOKEN, `codex_session`],
      ...[
        "codex_session=",
        `codex_session=${TOKEN}x`,
        `codex_session=${TOKEN.slice(1)}`,
        `codex_session=${TOKEN.toUpperCase()}`,
        `codex_session_7172=${TOKEN}`,
        `codex_session=${LOOK}`,
        `xcodex_session=${TOKEN}`,
        "codex_session=null",
        "codex_session=undefined",
      ],
    ]
  ) assertEquals(withCookie(wrong), 401, String(wrong));
});

Deno.test("admit() lets no cookie that another server has set hide the right one", () => {
  const cookie =
    `codex_session=x; codex_session=${LOOK}; codex_session=${TOKEN}`;
  assertEquals(outcome({ headers: { cookie } }), "full");
});

Deno.test("admit() takes no full token when nothing may be changed", () => {
  const gate = { ...GATE, token: null };
  assertEquals(outcome({ gate }), 401);
  const folder = LOOK_FOLDER;
  const cookie = `codex_session=${LOOK}`;
  assertEquals(outcome({ gate, folder, headers: { cookie } }), "look");
  const empty = "codex_session=null";
  assertEquals(outcome({ gate, headers: { cookie: empty } }), 401);
});

Deno.test("admit() makes the token of a URL a cookie, at / only", () => {
  const at = (path: string, method = "GET") => {
    const headers = { host: HERE, origin: `http://${HERE}` };
    const request = new Request(`http://${HERE}${path}`, { method, headers });
    return admit(request, GATE);
  };
  const verdict = at(`/?token=${LOOK}`);
  if ("status" in verdict) throw new Error(verdict.reason);
  assertEquals(
    [verdict.access, verdict.cookie],
    [
      "look",
      `codex_session=${LOOK}; HttpOnly; SameSite=Strict; Path=${LOOK_FOLDER}/`,
    ],
  );
  for (
    const other of [
      at(`/?token=${LOOK}`, "POST"),
      at(`/page.js?token=${TOKEN}`),
      at(`/api/rows?token=${TOKEN}`),
      at("/?token="),
      at("/?token=x"),
      at(`/?token=${TOKEN}%00`),
      at(`/?token=x&token=${TOKEN}`),
    ]
  ) assertEquals("status" in other && other.status, 401);
});

Deno.test("admit() takes a cookie in its own folder only", () => {
  const folders = ["", "/", "/other678", LOOK_FOLDER, folderOf(TOKEN) + "x"];
  for (const folder of folders) {
    for (const path of ["/", "/page.js", "/api/rows"]) {
      assertEquals(outcome({ folder, path }), 401, folder + path);
    }
  }
  assertEquals(outcome({ folder: "", path: "/?token=old" }), 401);
});

Deno.test("admit() gives the path in the folder", () => {
  const at = (path: string) => {
    const headers = { host: HERE, cookie: `codex_session=${TOKEN}` };
    const url = `http://${HERE}${folderOf(TOKEN)}${path}`;
    const verdict = admit(new Request(url, { headers }), GATE);
    return "status" in verdict ? verdict : verdict.url.pathname;
  };
  assertEquals(at("/"), "/");
  assertEquals(at("/api/log?id=a"), "/api/log");
  assertEquals(at("//evil.example/x"), "//evil.example/x");
});

Deno.test("admit() refuses a name that is not this server's", () => {
  const at = (host: string | null, listens = "127.0.0.1") => {
    const cookie = `codex_session=${TOKEN}`;
    const gate = { ...GATE, host: listens };
    return outcome({ gate, headers: { host, cookie } });
  };
  for (
    const fine of ["127.0.0.1:1", "localhost:65535", "LOCALHOST", "[::1]:2"]
  ) {
    assertEquals(at(fine), "full", fine);
  }
  for (
    const wrong of [
      ...["evil.example", "evil.example:7171", "localhost.evil.example"],
      ...["127.0.0.1.evil.example", "x.localhost", "localhost.", "10.0.0.1"],
      ...["127.0.0.2", "0.0.0.0", "[::]", "2130706433", "0x7f.1"],
    ]
  ) assertEquals(at(wrong), 421, wrong);
  for (
    const broken of [
      ...[null, "", ":7171", "127.0.0.1:", "127.0.0.1:99999", "a b", "a@b"],
      ...["127.0.0.1:7171, evil", "[::1", "::1", "127.0.0.1/x", "localhost:x"],
    ]
  ) assertEquals(at(broken), 400, String(broken));
  // Beyond the loopback: addresses, which no name server can turn, and the name that was given.
  for (const fine of ["192.168.1.5:80", "[fe80::1]", "localhost", "box.lan"]) {
    assertEquals(at(fine, "box.lan"), "full", fine);
  }
  assertEquals(at("10.0.0.1", "0.0.0.0"), "full");
  assertEquals(at("[2001:db8::1]", "::"), "full");
  assertEquals(at("evil.example", "0.0.0.0"), 421);
  assertEquals(at("box.lan", "0.0.0.0"), 421);
  assertEquals(at("127.0.0.2", "127.0.0.2"), "full");
});

Deno.test("admit() refuses what another page asks for", () => {
  const origins = [
    ...["null", "", "http://evil.example", "https://127.0.0.1:7171"],
    ...["http://127.0.0.1:7172", "http://127.0.0.1", "http://localhost:7171"],
    ...["http://127.0.0.1:7171.evil.example", "HTTP://127.0.0.1:7171"],
    "http://127.0.0.1:7171/",
  ];
  for (const origin of origins) {
    for (const path of ["/", "/page.js", "/api/rows"]) {
      assertEquals(outcome({ path, headers: { origin } }), 403, origin);
    }
    const headers = { origin };
    assertEquals(outcome({ method: "POST", headers }), 403, origin);
  }
  for (const site of ["cross-site", "same-site", "x"]) {
    const headers = { "sec-fetch-site": site };
    assertEquals(outcome({ path: "/page.js", headers }), 403, site);
    assertEquals(outcome({ path: "/api/rows", headers }), 403, site);
    assertEquals(outcome({ method: "POST", headers }), 403, site);
    assertEquals(outcome({ headers }), "full", "A link leads to the page.");
  }
});

Deno.test("admit() wants to know the origin of what acts, and of what opens a socket", () => {
  assertEquals(outcome({ method: "POST" }), "full");
  assertEquals(outcome({ method: "POST", headers: { origin: null } }), 403);
  const headers = { upgrade: "websocket" };
  assertEquals(outcome({ path: "/api/rows", headers }), 403);
  const good = { ...headers, origin: `http://${HERE}` };
  assertEquals(outcome({ path: "/api/rows", headers: good }), "full");
});

Deno.test("admit() knows GET and POST only", () => {
  for (const method of ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "X"]) {
    assertEquals(outcome({ method }), 405, method);
  }
});
