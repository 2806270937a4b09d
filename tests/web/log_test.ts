import type { LogStream } from "../../client/logs.ts";
import { createSession } from "../../session/create.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import { pathsFor } from "../../store.ts";
import { serveLog } from "../../web/log.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  TestRoot,
  until,
} from "../helpers.ts";
import {
  bornOf,
  SleepingViewer,
  SocketServer,
  SocketViewer,
} from "./sockets.ts";

/** A server of the log of the session `a`. */
function serverFor({ dir }: TestRoot): SocketServer {
  return new SocketServer((socket, query, signal) => {
    const born = query.get("born") ?? undefined;
    return serveLog(socket, { id: "a", born, root: dir, signal });
  });
}

/** The session `a`, which runs until it is deleted, by the end of the test at the latest. */
async function start({ dir }: TestRoot): Promise<AsyncDisposable> {
  const command = ["sleep", "1000"];
  await createSession({ root: dir, id: "a", command });
  const remove = () => deleteSession("a", { root: dir, force: true });
  return {
    [Symbol.asyncDispose]: () => remove().then(() => {}, () => {}),
  };
}

/** Writes what the session's program might have written. */
function write({ dir }: TestRoot, stream: LogStream, text: string): void {
  const path = pathsFor("a", { root: dir })[stream];
  Deno.writeTextFileSync(path, text, { append: true });
}

/** What a viewer was sent of a stream. */
function textOf(viewer: SocketViewer, stream: LogStream): string {
  return viewer.messages.filter((message) => message.stream === stream)
    .map(({ text = "" }) => text).join("");
}

Deno.test("serveLog() follows both streams as plain text, and tells the end", async () => {
  await using root = new TestRoot();
  await using _ = await start(root);
  await using server = serverFor(root);
  const born = await bornOf(root.dir, "a");
  await using viewer = await SocketViewer.open(server, `born=${born}`);
  const shows = (text: string) =>
    until(() => textOf(viewer, "stdout") === text, JSON.stringify(text));
  let text = "red\t<b>\nname? ";
  write(root, "stdout", "\x1b[31mred\x1b[m\t<b>\r\nname? ");
  await shows(text); // Also what has no newline yet.
  write(root, "stderr", "bad\n");
  await until(() => textOf(viewer, "stderr") === "bad\n");
  // Sequences, characters and line ends that come in two pieces.
  const pieces = { "me\x1b]8;;x:": "me", "\x1b": "", "\\link\x1b[3": "link" };
  for (const [piece, shown] of Object.entries(pieces)) {
    write(root, "stdout", piece);
    await shows(text += shown);
  }
  write(root, "stdout", "2mgreen\r");
  await shows(text += "green");
  // A progress display: a line that is drawn anew.
  write(root, "stdout", "\n1%\r2%\r3%");
  await shows(text += "\n3%");
  write(root, "stdout", "\r4%\r5%\n\u202e.");
  await shows(text += "\n5%\n.");
  await stopSession("a", { root: root.dir });
  assertEquals(await viewer.end(), [{ type: "end", state: "exited" }, 1000]);
});

Deno.test("serveLog() begins with the last part, from a whole line on", async () => {
  await using root = new TestRoot();
  await using _ = await start(root);
  const line = "x".repeat(99);
  write(root, "stdout", `${line}\n`.repeat(20_000));
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server);
  await until(() => textOf(viewer, "stdout").length > 1_000_000);
  const [skipped, first] = viewer.messages;
  assertEquals(skipped, {
    ...{ type: "skipped", stream: "stdout", bytes: 2_000_000 - 1024 * 1024 },
  });
  assert(String(first!.text).startsWith(`${line}\n`));
});

Deno.test("serveLog() lets a viewer that was asleep skip what it has missed", async () => {
  await using root = new TestRoot();
  await using _ = await start(root);
  await using server = serverFor(root);
  using sleeper = await SleepingViewer.open(server);
  write(root, "stdout", "before\n");
  await sleeper.reads(/before/);
  const writeMegabytes = (count: number) => {
    const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
    for (let written = 0; written < count; written++) {
      write(root, "stdout", line);
    }
  };
  const [socket] = server.sockets;
  await until(() => {
    if (socket!.bufferedAmount === 0) writeMegabytes(2);
    return socket!.bufferedAmount > 256 * 1024;
  }, "a full buffer");
  const full = socket!.bufferedAmount;
  assert(full < 512 * 1024, `${full}`);
  writeMegabytes(40);
  write(root, "stdout", "the last line\n");
  const text = await sleeper.reads(/the last line/);
  assertMatch(text, /"type":"skipped"/);
  assert(text.length < 20 * 1024 * 1024, `${text.length}`);
});

Deno.test("serveLog() gives the lines of a terminal", async () => {
  await using root = new TestRoot();
  const command = ["printf", "\x1b[31mone\x1b[m\ntwo"];
  await createSession({ root: root.dir, id: "a", kind: "pty", command });
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server);
  assertEquals((await viewer.end())[0], { type: "end", state: "exited" });
  assertEquals(textOf(viewer, "stdout"), "one\ntwo\n");
});

Deno.test("serveLog() refuses another session of that id, and input", async () => {
  await using root = new TestRoot();
  const session = await start(root);
  const born = await bornOf(root.dir, "a");
  await session[Symbol.asyncDispose]();
  await using _ = await start(root);
  await using server = serverFor(root);
  await using late = await SocketViewer.open(server, `born=${born}`);
  const [gone, code] = await late.end();
  assertEquals([gone!.type, gone!.code, code], ["error", "not_found", 1011]);
  await using typist = await SocketViewer.open(server);
  await typist.type("x");
  assertEquals((await typist.end())[0]!.code, "usage");
});

Deno.test("serveLog() tells that a session was deleted", async () => {
  await using root = new TestRoot();
  await using session = await start(root);
  await using server = serverFor(root);
  await using viewer = await SocketViewer.open(server);
  write(root, "stdout", "here\n");
  await until(() => textOf(viewer, "stdout") === "here\n");
  await session[Symbol.asyncDispose]();
  assertEquals((await viewer.end())[0]!.type, "end");
});
