/**
 * A socket that lies: an agent can put its own in the place of its relay's.
 */
import { encodeFrame, Frame, PROTOCOL } from "../../relay/protocol.ts";
import { connectRelay } from "../../relay/connection.ts";
import { connectIn } from "../../relay/socket.ts";
import { pathsFor } from "../../store.ts";
import { within } from "../../system/async.ts";
import { readScreen, sendKeys, waitForScreen } from "../../client/terminal.ts";
import { waitFor } from "../../client/wait.ts";
import { SessionError } from "../../errors.ts";
import { createSession } from "../../session/create.ts";
import { assert, assertEquals, assertRejects, TestRoot } from "../helpers.ts";
import { test } from "../process_helpers.ts";

const HELLO = encodeFrame(Frame.HELLO, { protocol: PROTOCOL });
const EVIL = "a\x1b]52;c;AAAA\x07\x1b[2J\x9b6n\u202eb\nc";
const SCREEN = {
  ...{ columns: 80, rows: 1, lines: [EVIL], scrollback: 0, title: EVIL },
  cursor: { column: 0, row: 0, visible: true },
  alternate: false,
};

/** A session whose socket says this to everybody. */
class Liar implements AsyncDisposable {
  readonly root = new TestRoot();
  readonly paths = pathsFor("a", { root: this.root.dir });
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;

  constructor(...frames: readonly Uint8Array[]) {
    Deno.mkdirSync(this.paths.dir);
    Deno.writeTextFileSync(`${this.paths.dir}/terminal.json`, "{}");
    Deno.writeTextFileSync(this.paths.lock, "");
    const path = `${this.paths.dir}/attach.sock`;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve(frames);
  }

  async #serve(frames: readonly Uint8Array[]): Promise<void> {
    const conns: Deno.Conn[] = [];
    for await (const conn of this.#listener) {
      conns.push(conn);
      for (const frame of frames) await conn.write(frame);
    }
    for (const conn of conns) conn.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
    this.root[Symbol.dispose]();
  }
}

Deno.test("readScreen() and waitForScreen() give clean text, whatever the relay answers", async () => {
  await using liar = new Liar(HELLO, encodeFrame(Frame.SCREEN_REPLY, SCREEN));
  const { dir: root } = liar.root;
  const clean = "a]52;c;AAAA[2J6nbc";
  const { lines, title } = await readScreen("a", { root });
  assertEquals([lines, title], [[clean], clean]);
  assertEquals((await waitForScreen("a", /6nbc/, { root })).lines, [clean]);
  const styled = await readScreen("a", { root, ansi: true });
  assertEquals(styled.lines, ["a]52;c;AAAA6nbc"]);
});

Deno.test({
  name:
    "connectIn() connects to what it has looked at when a link takes its place",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using own = new Liar(HELLO);
    await using other = new Liar();
    const path = `${own.paths.dir}/attach.sock`;
    const { connect } = Deno;
    // Right after the look, as fast as an agent can ever be.
    Deno.connect = ((options: Deno.UnixConnectOptions) => {
      Deno.renameSync(path, `${path}.real`);
      Deno.symlinkSync(`${other.paths.dir}/attach.sock`, path);
      return connect(options);
    }) as typeof connect;
    try {
      using conn = await connectIn(own.paths.dir);
      const answer = await within(5000, conn.read(new Uint8Array(100)));
      assertEquals(answer, HELLO.length);
    } finally {
      Deno.connect = connect;
    }
    const refused = () => connectIn(own.paths.dir);
    await assertRejects(refused, Deno.errors.PermissionDenied, "is a link");
  },
});

Deno.test("readScreen() and sendKeys() tell nonsense of a relay from an answer, in clean words", async () => {
  const nonsense = "answers nonsense";
  const send = (root: string) => sendKeys("a", [{ key: "x" }], { root });
  const read = (root: string) => readScreen("a", { root });
  const cases: [string, Uint8Array[], (root: string) => Promise<unknown>][] = [
    [nonsense, [HELLO, encodeFrame(Frame.SCREEN_REPLY, { lines: 5 })], read],
    [nonsense, [
      HELLO,
      encodeFrame(Frame.SCREEN_REPLY, { ...SCREEN, lines: [1] }),
    ], read],
    ["not JSON", [HELLO, encodeFrame(Frame.SCREEN_REPLY, "{")], read],
    ["no greeting", [encodeFrame(Frame.ACTIVITY)], read],
    ["a frame of 4294967295 bytes", [new Uint8Array(8).fill(255)], read],
    ["speaks version NaN", [
      encodeFrame(Frame.HELLO, { protocol: EVIL }),
    ], read],
    ["refused: a]52;c;AAAA[2J6nb", [
      encodeFrame(Frame.ERROR, { code: "x", message: EVIL }),
    ], read],
    ["a]52;c;AAAA[2J6nb", [
      encodeFrame(Frame.ERROR, { code: "version", message: EVIL }),
    ], read],
    [nonsense, [
      HELLO,
      encodeFrame(Frame.SEND_REPLY, { written: EVIL, total: 1 }),
    ], send],
    ["a]52;c;AAAA[2J6nb", [
      HELLO,
      encodeFrame(Frame.SEND_REPLY, { written: 0, total: 1, error: EVIL }),
    ], send],
  ];
  for (const [words, frames, work] of cases) {
    await using liar = new Liar(...frames);
    const error = await assertRejects(
      () => work(liar.root.dir),
      Error,
      words,
    );
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f\x7f-\x9f\u202e]/.test(error.message), error.message);
  }
});

Deno.test("connectRelay() gives up a relay that says nothing for too long", async () => {
  await using liar = new Liar(HELLO);
  using relay = await connectRelay(liar.paths);
  using _ = relay.giveUpAfter(20);
  const error = await assertRejects(
    () => relay.next(),
    SessionError,
    "its relay does not answer",
  );
  assertEquals(error.code, "timeout");
});

test("readScreen(), sendKeys() and waitFor() end when the relay is suspended", async (root) => {
  const at = { root: root.dir };
  const command = ["cat"];
  const { id, pids } = await createSession({ ...at, kind: "pty", command });
  const relay = pids.relay!;
  Deno.kill(relay, "SIGSTOP");
  const keys = [{ key: "x" }];
  const screen = { for: "screen", pattern: /x/ } as const;
  const works = [
    waitFor(id, screen, { ...at, timeoutMs: 200 }),
    sendKeys(id, keys, { ...at, timeoutMs: 100 }),
  ];
  const hint = `its relay is suspended; to continue: kill -CONT ${relay}`;
  await Promise.all(works.map(async (work) => {
    const error = await assertRejects(() => work, SessionError, hint);
    assertEquals(error.code, "timeout");
  }));
  const signal = AbortSignal.timeout(20);
  const read = () => readScreen(id, { ...at, signal });
  assertEquals((await assertRejects(read, DOMException)).name, "TimeoutError");
});
