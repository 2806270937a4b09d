import { readEvents } from "../../client/events.ts";
import { terminalStatus } from "../../client/terminal_status.ts";
import { waitForSession } from "../../client/wait.ts";
import { createSession } from "../../session/create.ts";
import { getSession } from "../../session/find.ts";
import { deleteSession } from "../../session/stop.ts";
import { serveViewer } from "../../web/viewer.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  TestRoot,
  until,
} from "../helpers.ts";
import { bornOf, SocketServer, SocketViewer } from "./sockets.ts";

/** A server of the session `a`. */
function serverFor({ dir }: TestRoot): SocketServer {
  return new SocketServer((socket, query, signal) =>
    serveViewer(socket, {
      id: "a",
      born: query.get("born") ?? undefined,
      columns: Number(query.get("columns") ?? 80),
      rows: Number(query.get("rows") ?? 24),
      look: query.has("look"),
      root: dir,
      signal,
    })
  );
}

/** The terminal session `a`; disposing of it stops it, which is faster than to kill all its processes. */
async function startShell(
  { dir }: TestRoot,
  script: string,
): Promise<AsyncDisposable> {
  await createSession({
    ...{ root: dir, id: "a", kind: "pty", command: ["sh", "-c", script] },
  });
  return {
    [Symbol.asyncDispose]: async () =>
      void await deleteSession("a", { root: dir, force: true }),
  };
}

const clients = ({ dir }: TestRoot) =>
  terminalStatus("a", { root: dir })?.clients;

Deno.test("serveViewer() shows the terminal, types, and tells the end", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(
    root,
    "echo one; read x; echo got $x; read x; exit 3",
  );
  await using server = serverFor(root);
  const born = await bornOf(root.dir, "a");
  await using viewer = await SocketViewer.open(server, `born=${born}`);
  await viewer.shows(/one/);
  await viewer.type("two\r");
  await viewer.shows(/got two/);
  // Nothing that is typed detaches.
  await viewer.type("\x1c");
  assertEquals(await viewer.end(), [{ type: "end", state: "exited" }, 1000]);
});

Deno.test("serveViewer() tells that a program can be typed to that has drawn nothing", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "exec cat");
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server);
  await until(() => viewer.isAttached, "an empty message");
  await viewer.type("hello\r");
  await viewer.shows(/hello/);
});

Deno.test("serveViewer() has many viewers; those that look type nothing", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "stty -echo; echo ready; exec cat");
  await using server = serverFor(root);
  await using typist = await SocketViewer.open(server);
  await using looker = await SocketViewer.open(server, "look");
  await looker.shows(/ready/);
  await looker.type("no\r");
  await typist.shows(/ready/);
  await typist.type("yes\r");
  await looker.shows(/yes/);
  await typist.shows(/yes/);
  assert(!/no/.test(typist.text), typist.text);
  assertEquals(clients(root), 2);
  await typist[Symbol.asyncDispose]();
  await until(() => clients(root) === 1, "one client");
  const types = (await readEvents({ root: root.dir })).map(({ type }) => type);
  assert(types.includes("detached"), `${types}`);
});

Deno.test("serveViewer() resizes the session's window", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(
    root,
    "trap 'stty size' WINCH; stty size; while :; do read x; done",
  );
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server, "columns=70&rows=20", {
    ...{ columns: 70, rows: 20 },
  });
  await viewer.shows(/20 70/);
  viewer.screen.resize(60, 15);
  await viewer.send(
    JSON.stringify({ type: "resize", columns: 60, rows: 15 }),
  );
  await viewer.shows(/15 60/);
});

Deno.test("serveViewer() shows the last screen of a session that has ended", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "echo the last words");
  await using server = serverFor(root);
  await waitForSession("a", { root: root.dir });
  await using viewer = await SocketViewer.open(server);
  assertEquals(await viewer.end(), [{ type: "end", state: "exited" }, 1000]);
  assertMatch(viewer.text, /the last words/);
});

Deno.test("serveViewer() refuses another session of that id, and what is no terminal", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "sleep 1000");
  await using server = serverFor(root);
  const born = await bornOf(root.dir, "a");
  await deleteSession("a", { root: root.dir, force: true });
  const command = ["cat"];
  await createSession({ root: root.dir, id: "a", kind: "pty", command });
  await using late = await SocketViewer.open(server, `born=${born}`);
  const [gone, code] = await late.end();
  assertEquals([gone!.type, gone!.code, code], ["error", "not_found", 1011]);
  assertEquals(late.text.trim(), "");
  await deleteSession("a", { root: root.dir, force: true });
  await createSession({ root: root.dir, id: "a", kind: "repl", command });
  await using viewer = await SocketViewer.open(server);
  assertEquals((await viewer.end())[0]!.code, "unsupported");
});

Deno.test("serveViewer() closes on nonsense, and on input that nobody reads", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "stty raw; sleep 1000");
  await using server = serverFor(root);
  const size = { type: "resize", columns: 80, rows: 24 };
  for (
    const nonsense of [
      "{",
      "null",
      `{"type":"resize"}`,
      JSON.stringify({ ...size, columns: -1 }),
      JSON.stringify({ ...size, more: "x".repeat(2000) }),
    ]
  ) {
    await using viewer = await SocketViewer.open(server);
    await viewer.send(nonsense);
    const [last, code] = await viewer.end();
    assertEquals([last!.type, last!.code, code], ["error", "usage", 1011]);
  }
  await using viewer = await SocketViewer.open(server);
  const megabyte = new Uint8Array(1024 * 1024).fill(0x78);
  for (let sent = 0; sent < 16; sent++) await viewer.send(megabyte);
  assertEquals((await viewer.end())[0]!.code, "input_full");
});

Deno.test("serveViewer() detaches when the server stops; the session goes on", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(root, "echo here; exec cat");
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server);
  await viewer.shows(/here/);
  server.stop();
  assertEquals((await viewer.end())[1], 1001);
  await until(() => clients(root) === 0, "no client");
  assertEquals(
    (await getSession("a", { root: root.dir })).state.state,
    "running",
  );
});
