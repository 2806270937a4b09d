import { folderOf } from "../../web/gate.ts";
import { readEvents } from "../../client/events.ts";
import { readScreen, sendKeys } from "../../client/terminal.ts";
import { terminalStatus } from "../../client/terminal_status.ts";
import { createSession } from "../../session/create.ts";
import { getSession } from "../../session/find.ts";
import { deleteSession } from "../../session/stop.ts";
import { serveViewer } from "../../web/viewer.ts";
import { assert, assertEquals, startCli, TestRoot, until } from "../helpers.ts";
import { SleepingViewer, SocketServer, SocketViewer } from "./sockets.ts";

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

function serverFor({ dir }: TestRoot): SocketServer {
  const size = { columns: 80, rows: 24 };
  return new SocketServer((socket, _, signal) =>
    serveViewer(socket, { id: "a", ...size, look: false, root: dir, signal })
  );
}

Deno.test("serveViewer() shows 20 viewers the same end of a flood", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(
    root,
    "read x; seq 1 100000; echo the end; exec cat",
  );
  await using server = serverFor(root);
  await using stack = new AsyncDisposableStack();
  const opening = Array.from(
    { length: 20 },
    async () => stack.use(await SocketViewer.open(server)),
  );
  const viewers = await Promise.all(opening);
  const clients = () => terminalStatus("a", { root: root.dir })?.clients;
  await until(() => clients() === 20, "20 clients");
  await viewers[0]!.type("\r");
  await Promise.all(viewers.map((viewer) => viewer.shows(/the end/)));
  for (const { text } of viewers) assertEquals(text, viewers[0]!.text);
});

Deno.test("serveViewer() lets a viewer sleep: nothing waits for it, and it is drawn anew", async () => {
  await using root = new TestRoot();
  const stop = `${root.dir}/.stop`;
  await using _ = await startShell(
    root,
    `echo ready; read x; until [ -e ${stop} ]; do seq 1 50000; done; echo the end; exec cat`,
  );
  await using server = serverFor(root);
  using sleeper = await SleepingViewer.open(server);
  await sleeper.reads(/ready/);
  await sendKeys("a", [{ key: "enter" }], { root: root.dir });
  const [socket] = server.sockets;
  const waiting = () => socket!.bufferedAmount;
  await until(() => waiting() > 256 * 1024, "a full buffer");
  Deno.writeTextFileSync(stop, "");
  await until(async () => {
    assert(waiting() < 1024 * 1024, `${waiting()} bytes wait`);
    const { lines } = await readScreen("a", { root: root.dir });
    return lines.join("\n").includes("the end");
  }, "the end of the flood");
  await sleeper.reads(/the end/);
  await sendKeys("a", [{ text: "hello" }], { root: root.dir });
  await sleeper.reads(/hello/);
});

/** The server that users start, as a process. */
class PageServer implements AsyncDisposable {
  private constructor(
    readonly process: Deno.ChildProcess,
    readonly port: number,
    readonly token: string,
  ) {}

  static async start({ dir }: TestRoot): Promise<PageServer> {
    const process = startCli(dir, ["web", "--port", "0", "--json"]);
    await process.stdin.close();
    const reader = process.stdout.getReader();
    let text = "";
    while (!text.endsWith("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The server has ended");
      text += new TextDecoder().decode(value);
    }
    reader.releaseLock();
    const { port, token } = JSON.parse(text);
    return new PageServer(process, port, token);
  }

  /** A viewer with the cookie that the page has. */
  async view(): Promise<SocketViewer> {
    const { port, token } = this;
    return await SocketViewer.open({ port }, "id=a", {
      path: `${folderOf(token)}/api/attach`,
      headers: {
        cookie: `codex_session=${token}`,
        origin: `http://127.0.0.1:${port}`,
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.process.output();
  }
}

Deno.test("web may be killed: sessions don't notice, and another server shows the same screen", async () => {
  await using root = new TestRoot();
  await using _ = await startShell(
    root,
    "printf '\\033[1mbold\\033[m\\n'; exec cat",
  );
  const { dir } = root;
  let before: unknown;
  {
    await using server = await PageServer.start(root);
    await using viewer = await server.view();
    await viewer.shows(/bold/);
    await viewer.type("hello\r");
    await viewer.shows(/hello\n+hello/);
    before = viewer.screen.text({ ansi: true });
    server.process.kill("SIGKILL");
    assertEquals((await viewer.end())[0], undefined);
  }
  const clients = () => terminalStatus("a", { root: dir })?.clients;
  await until(() => clients() === 0, "no client");
  const { state } = await getSession("a", { root: dir });
  assertEquals(state.state, "running");
  const types = (await readEvents({ root: dir })).map(({ type }) => type);
  assertEquals(types.at(-1), "detached");
  await using server = await PageServer.start(root);
  await using viewer = await server.view();
  await viewer.shows(/hello\n+hello/);
  assertEquals(viewer.screen.text({ ansi: true }), before);
});
