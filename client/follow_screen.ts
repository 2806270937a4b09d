/**
 * Following the screen of a terminal session without attaching: its relay tells that there was output,
 * and is asked for the screen then. Nothing is recorded of it, and the window keeps its size.
 *
 * One connection for both. While nothing changes, nothing is sent and no timer runs. The size is
 * in the relay's record and changes without output.
 *
 * @module
 */
import { checkOptions, SessionError } from "../errors.ts";
import {
  ANSWER_MS,
  connectRelay,
  isGone,
  type RelayConnection,
} from "../relay/connection.ts";
import { encode, Frame } from "../relay/protocol.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import { onAbort, startTimer } from "../system/async.ts";
import { readScreen, screenIn } from "./terminal.ts";
import { windowSize } from "./terminal_status.ts";
import { type SessionWatch, watchSession } from "./watch.ts";

/** Options of {@linkcode followScreen}. */
export interface FollowScreenOptions extends RootOptions {
  /**
   * Keep colours and attributes, as escape sequences.
   *
   * @default {false}
   */
  readonly ansi?: boolean;
  /**
   * How many screens to give in a second at most.
   *
   * @default {10}
   */
  readonly perSecond?: number;
  /** Stops the following. */
  readonly signal?: AbortSignal;
}

/**
 * The screen of a terminal session as it is now, and again whenever it has changed, as
 * {@linkcode readScreen} gives it; the last screen when the session ends, and then it is over. A
 * consumer that takes its time gets the latest screen, and none that is older.
 *
 * Nobody notices it: it is no client of the terminal, leaves the size of its window, and is not
 * among the session's events. While the screen stays the same it costs nothing. Leaving the loop
 * frees all; use `signal` to leave while it waits.
 *
 * Needs `--allow-read` and `--allow-write` of the root, without `root` `--allow-env`.
 *
 * @throws {ArgumentError} if an option has the wrong type; {RangeError} if `perSecond` is not above 0;
 * at the call.
 * @throws {SessionError} when iterated: `not_found`, also if it is deleted meanwhile;
 * `unsupported` if it is no terminal, or its relay is of another version; `timeout` if its relay
 * doesn't answer, for example because it is suspended.
 * @throws the signal's reason, once it is aborted, when iterated.
 *
 * @example
 * ```ts
 * import { createSession, followScreen } from "./mod.ts";
 * const { id } = await createSession({ kind: "pty", command: ["sh", "-c", "echo a; sleep 1"] });
 * for await (const { lines } of followScreen(id, { ansi: true })) {
 *   console.log(lines.join("\n"));
 * }
 * ```
 */
export function followScreen(
  id: string,
  options: FollowScreenOptions = {},
): AsyncIterable<ScreenText> {
  checkOptions(options, { ansi: "boolean", perSecond: "number" });
  const { ansi = false, perSecond = 10, root, signal } = options;
  if (!(perSecond > 0)) {
    throw new RangeError(
      `Cannot give ${perSecond} screens in a second: give a number above 0`,
    );
  }
  const paths = pathsFor(id, { root });
  return follow(paths, { ansi, everyMs: 1000 / perSecond, signal, root });
}

interface Following extends RootOptions {
  readonly ansi: boolean;
  readonly everyMs: number;
  readonly signal: AbortSignal | undefined;
}

async function* follow(
  paths: Paths,
  following: Following,
): AsyncGenerator<ScreenText, void> {
  const { ansi, signal, root } = following;
  signal?.throwIfAborted();
  let last: string | undefined;
  const isNew = (screen: ScreenText) => {
    const before = last;
    last = JSON.stringify(screen);
    return last !== before;
  };
  // Before connecting: then the connection is to this session, if it is still there after that.
  using watch = watchSession(paths, { files: [`${paths.dir}/terminal.json`] });
  for await (const screen of liveScreens(paths, watch, following)) {
    if (!watch.isStill()) break;
    if (isNew(screen)) yield screen;
  }
  signal?.throwIfAborted();
  if (!watch.isStill()) throw noSuchSession(paths.id);
  const final = await readScreen(paths.id, { root, ansi, signal });
  if (isNew(final)) yield final;
}

/** The screens until the relay is gone; some may be the same. */
async function* liveScreens(
  paths: Paths,
  watch: SessionWatch,
  { ansi, everyMs, signal }: Following,
): AsyncGenerator<ScreenText, void> {
  let relay: RelayConnection;
  try {
    relay = await connectRelay(paths, encode(Frame.WATCH), { signal });
  } catch (error) {
    if (error instanceof SessionError && error.code === "wrong_state") return;
    throw error;
  }
  const close = () => relay[Symbol.dispose]();
  using stack = new DisposableStack();
  stack.defer(close);
  stack.use(onAbort(signal, close));
  let bell = Promise.withResolvers<void>();
  let hasChanged = false; // The first ACTIVITY comes at once.
  let answer: ScreenText | undefined;
  let isOver = false;
  const receive = async () => {
    try {
      for (let frame; (frame = await relay.next()) !== undefined;) {
        if (frame.type === Frame.ACTIVITY) hasChanged = true;
        else if (frame.type === Frame.SCREEN_REPLY) {
          answer = screenIn(frame, paths.id, ansi);
        } else if (frame.type === Frame.END) return;
        bell.resolve();
      }
    } finally {
      isOver = true;
      bell.resolve();
    }
  };
  const changed = () => {
    hasChanged = true;
    bell.resolve();
  };
  stack.use(whenChanged(watch, paths, { changed, gone: close }));
  const received = receive();
  received.catch(() => {}); // Its error is thrown at the end.
  const until = async (isThere: () => boolean) => {
    while (!isOver && !isThere()) {
      await bell.promise;
      bell = Promise.withResolvers();
    }
    return !isOver;
  };
  const request = encode(Frame.SCREEN, { ansi, scrollback: 0 });
  const ask = async () => {
    using _ = relay.giveUpAfter(ANSWER_MS);
    hasChanged = false;
    answer = undefined;
    await relay.send(request).catch((error) => {
      if (!isGone(error)) throw error; // The end of receive() tells.
    });
    await until(() => answer !== undefined);
  };
  try {
    for (let earliest = 0; await until(() => hasChanged);) {
      const leftMs = earliest - performance.now();
      if (leftMs > 0) {
        using _ = startTimer(leftMs, () => bell.resolve());
        await until(() => performance.now() >= earliest);
      }
      if (isOver) break;
      earliest = performance.now() + everyMs;
      await ask();
      if (answer !== undefined) yield answer;
    }
    await received;
  } finally {
    close();
    await received.catch(() => {});
  }
}

/** Tells that the size of the window may have changed, and that the session's directory is gone. */
function whenChanged(
  watch: SessionWatch,
  paths: Paths,
  { changed, gone }: {
    readonly changed: () => void;
    readonly gone: () => void;
  },
): Disposable {
  let isOver = false;
  const sizeNow = () => JSON.stringify(windowSize(paths));
  let size = sizeNow();
  const look = async () => {
    for (; !isOver; await watch.next()) {
      if (!watch.isStill()) return gone();
      const before = size;
      size = sizeNow();
      if (size !== before) changed();
    }
  };
  look().catch(gone);
  return {
    [Symbol.dispose]() {
      isOver = true;
    },
  };
}
