import { attachSession } from "../../client/attach.ts";
import { readEvents } from "../../client/events.ts";
import {
  followScreen,
  type FollowScreenOptions,
} from "../../client/follow_screen.ts";
import { sendKeys } from "../../client/terminal.ts";
import { terminalStatus } from "../../client/terminal_status.ts";
import { ArgumentError, SessionError } from "../../errors.ts";
import { encode, Frame, PROTOCOL } from "../../relay/protocol.ts";
import type { ScreenText } from "../../screen/screen_text.ts";
import { createSession } from "../../session/create.ts";
import { deleteSession } from "../../session/stop.ts";
import { readPids } from "../../store.ts";
import { within } from "../../system/async.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
  TestRoot,
  until,
} from "../helpers.ts";
import { startTerminal } from "../pty.ts";

/** The screens of session `a`, one by one. */
class Viewer implements AsyncDisposable {
  readonly #screens: AsyncIterator<ScreenText>;
  readonly #leave = new AbortController();

  constructor(root: string, options: FollowScreenOptions = {}) {
    const { signal } = this.#leave;
    const screens = followScreen("a", { root, signal, ...options });
    this.#screens = screens[Symbol.asyncIterator]();
  }

  /** The next screen; `undefined` at the end. */
  async next(): Promise<ScreenText | undefined> {
    const next = await within(10_000, this.#screens.next());
    if (next === undefined) throw new Error("No screen within 10 s");
    return next.done ? undefined : next.value;
  }

  /** The next screen that fits. */
  async find(fits: (screen: ScreenText) => boolean): Promise<ScreenText> {
    for (let screen; (screen = await this.next()) !== undefined;) {
      if (fits(screen)) return screen;
    }
    throw new Error("It ended before");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave.abort();
    await this.#screens.return?.();
  }
}

const has = (text: string) => ({ lines }: ScreenText) =>
  lines.join("\n").includes(text);

Deno.test("followScreen() gives the screen whenever it has changed, and nobody notices", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script = "printf '\\033[31mred\\033[m\\n'; exec cat";
  await createSession({
    ...{ root: dir, id: "a", kind: "pty", command: ["sh", "-c", script] },
  });
  await using viewer = new Viewer(dir, { ansi: true });
  const { columns } = await viewer.find(has("31mred"));
  await sendKeys("a", [{ text: "hello" }], { root: dir });
  const hello = await viewer.find(has("hello"));
  assertEquals(hello.cursor.column, 5);
  // What changes nothing is no new screen.
  await sendKeys("a", [{ key: "backspace" }, { text: "o" }], { root: dir });
  await sendKeys("a", [{ text: "!" }], { root: dir });
  let before = hello;
  await viewer.find((screen) => {
    assert(JSON.stringify(screen) !== JSON.stringify(before));
    before = screen;
    return has("hello!")(screen);
  });
  assertEquals(terminalStatus("a", { root: dir })?.clients, 0);
  const types = (await readEvents({ root: dir })).map(({ type }) => type);
  assert(!types.includes("attached"), `${types}`);
  // A size that changes without output.
  const leave = new AbortController();
  const { signal } = leave;
  const stdout = new WritableStream();
  const attached = attachSession("a", { root: dir, stdout, signal });
  attached.resize(columns - 9, 17);
  const resized = await viewer.find(({ rows }) => rows === 17);
  assertEquals([resized.columns, resized.lines.length], [columns - 9, 17]);
  leave.abort();
  await attached;
});

Deno.test("followScreen() gives so many screens a second and the latest one, whatever the output", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const script =
    "read x; i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo the last; read x";
  await startTerminal(dir, "a", ["sh", "-c", script]);
  await using viewer = new Viewer(dir, { perSecond: 20 });
  await viewer.next();
  const start = performance.now();
  await sendKeys("a", [{ key: "enter" }], { root: dir });
  let count = 0;
  await viewer.find((screen) => ++count > 0 && has("the last")(screen));
  const seconds = (performance.now() - start) / 1000;
  assert(count <= seconds * 20 + 1, `${count} screens in ${seconds} s`);
});

Deno.test("followScreen() ends with the last screen, however the session ends", async () => {
  for (const way of ["exits", "is killed", "has ended"]) {
    await using root = new TestRoot();
    const { dir } = root;
    const paths = await startTerminal(dir, "a", [
      "sh",
      "-c",
      "read x; echo over",
    ]);
    const enter = () => sendKeys("a", [{ key: "enter" }], { root: dir });
    if (way === "has ended") {
      await enter();
      await until(() => readPids(paths) && root.strays().length === 0);
    }
    await using viewer = new Viewer(dir);
    const first = await viewer.next();
    if (way === "exits") await enter();
    if (way === "is killed") {
      const { reaper, agent: relay } = readPids(paths)!;
      for (const pid of [reaper, relay]) Deno.kill(pid, "SIGKILL");
    }
    let last = first;
    for (let screen; (screen = await viewer.next()) !== undefined;) {
      last = screen;
    }
    assertEquals(has("over")(last!), way !== "is killed", way);
  }
});

Deno.test("followScreen() goes on after a relay was suspended, and ends with the signal's reason", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const paths = await startTerminal(dir, "a", ["cat"]);
  const { agent: relay } = readPids(paths)!;
  const leave = new AbortController();
  await using viewer = new Viewer(dir, { signal: leave.signal });
  await viewer.next();
  Deno.kill(relay, "SIGSTOP");
  const next = viewer.find(has("x"));
  Deno.kill(relay, "SIGCONT");
  await sendKeys("a", [{ text: "x" }], { root: dir });
  await next;
  const last = viewer.next();
  leave.abort(new TypeError("enough"));
  await assertRejects(() => last, TypeError, "enough");
});

Deno.test("followScreen() refuses what is no terminal, what is missing or gone, and another version", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const failure = async () => {
    await using viewer = new Viewer(dir);
    const error = await assertRejects(() => viewer.next(), SessionError);
    return error.code;
  };
  assertEquals(await failure(), "not_found");
  await createSession({ root: dir, id: "a", command: ["true"] });
  assertEquals(await failure(), "unsupported");
  await deleteSession("a", { root: dir, force: true });
  const live = await startTerminal(dir, "a", ["cat"]);
  {
    await using viewer = new Viewer(dir);
    await viewer.next();
    const next = viewer.next();
    Deno.renameSync(live.dir, `${dir}/away`);
    const error = await assertRejects(() => next, SessionError);
    assertEquals((error as SessionError).code, "not_found");
    Deno.renameSync(`${dir}/away`, live.dir);
  }
  // A relay of the future, in the place of a real one.
  const path = `${live.dir}/attach.sock`;
  Deno.removeSync(path);
  using listener = Deno.listen({ transport: "unix", path });
  const serving = listener.accept().then(async (conn) => {
    await conn.write(encode(Frame.HELLO, { protocol: PROTOCOL + 1 }));
    await new Response(conn.readable).text();
  });
  assertEquals(await failure(), "unsupported");
  await serving;
});

Deno.test("followScreen() refuses wrong arguments at the call", () => {
  using root = new TestRoot();
  const follow = (options: object) => () =>
    followScreen("a", { root: root.dir, ...options });
  for (const perSecond of [0, -1, NaN]) {
    assertMatch(
      assertThrows(follow({ perSecond }), RangeError).message,
      /screens in a second/,
    );
  }
  assertThrows(follow({ ansi: "yes" }), ArgumentError, "ansi");
  assertThrows(() => followScreen("a/b", { root: root.dir }), ArgumentError);
});
