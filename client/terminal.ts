/**
 * Terminal sessions for programs: read the screen, type, wait until something appears.
 *
 * Each function asks the session's relay over its socket. After the session has ended, its
 * last screen is read from its files.
 *
 * @module
 */
import { endOfLog, type LogPosition } from "./log_files.ts";
import type { LogCursor } from "./logs.ts";
import { type SessionWatch, watchSession } from "./watch.ts";
import {
  ArgumentError,
  checkInstance,
  checkObject,
  checkOptions,
  checkString,
  SessionError,
} from "../errors.ts";
import {
  ANSWER_MS,
  type ConnectOptions,
  connectRelay,
  isGone,
  type RelayConnection,
  unreachable,
} from "../relay/connection.ts";
import {
  decode,
  encode,
  Frame,
  ProtocolError,
  type Received,
  type SendReply,
} from "../relay/protocol.ts";
import { plainText } from "../screen/clean_text.ts";
import { encodeKey } from "../screen/keys.ts";
import { parseScreen, type ScreenText } from "../screen/screen_text.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  readState,
  type RootOptions,
} from "../store.ts";
import { checkTimeoutMs, onAbort } from "../system/async.ts";
import { toLatin1 } from "../system/bytes.ts";

/** The longest error of a relay that is passed on, in characters. */
const MAX_ERROR_LENGTH = 300;

/** Options of {@linkcode readScreen}. */
export interface ReadScreenOptions extends RootOptions {
  /**
   * Keep colours and attributes, as escape sequences.
   *
   * @default {false}
   */
  readonly ansi?: boolean;
  /**
   * Lines above the screen, at most 1000.
   *
   * @default {0}
   */
  readonly scrollback?: number;
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * The screen of a terminal session as it is now, or its last screen if it has ended.
 * The text holds no control characters and none that reorder or hide text. With `ansi` it holds
 * escape sequences for styles, blanks and links, and no others.
 *
 * Needs `--allow-read` and `--allow-write` of the root, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`; `unsupported` if it is no terminal; `wrong_state` if
 * its relay is gone; `timeout` if its relay doesn't answer, for example because it is suspended.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { readScreen } from "./mod.ts";
 * const { lines, cursor } = await readScreen("demo");
 * console.log(lines.join("\n"), cursor);
 * ```
 */
export async function readScreen(
  id: string,
  options: ReadScreenOptions = {},
): Promise<ScreenText> {
  checkOptions(options, { ansi: "boolean", scrollback: "number" });
  const { ansi = false, scrollback = 0, signal, root } = options;
  const paths = pathsFor(id, { root });
  signal?.throwIfAborted();
  try {
    using relay = await connectRelay(
      paths,
      encode(Frame.SCREEN, { ansi, scrollback }),
      { signal },
    );
    using _ = relay.giveUpAfter(ANSWER_MS);
    using _closing = onAbort(signal, relay[Symbol.dispose]);
    return await screenReply(relay, id, ansi);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof SessionError) || error.code !== "wrong_state") {
      throw error;
    }
    const { readLastScreen } = await import("./replay.ts");
    return await readLastScreen(paths, { ansi, scrollback });
  }
}

async function screenReply(
  relay: RelayConnection,
  id: string,
  ansi: boolean,
): Promise<ScreenText> {
  for (;;) {
    const frame = await relay.next();
    if (frame === undefined) throw unreachable(id, "exited");
    if (frame.type === Frame.SCREEN_REPLY) return screenIn(frame, id, ansi);
  }
}

/** The screen in an answer; throws if that is none. */
export function screenIn(
  frame: Received,
  id: string,
  ansi: boolean,
): ScreenText {
  const options = { styled: ansi, ansi };
  const screen = parseScreen(decode(Frame.SCREEN_REPLY, frame), options);
  if (screen === undefined) throw nonsense(id);
  return screen;
}

/** The error for an answer that no relay gives: something else is listening on the socket. */
function nonsense(id: string): ProtocolError {
  return new ProtocolError(
    `Cannot read the terminal of session "${id}": its relay answers nonsense`,
  );
}

/** One thing to type. */
export type TerminalInputPart =
  /** Text, pasted as such if the program understands that (bracketed paste). */
  | { readonly text: string }
  /** A key by its name: `enter`, `tab`, `escape`, `up`, `f1`, `ctrl-c`, `alt-x`, … */
  | { readonly key: string }
  /** Bytes as they are. */
  | { readonly raw: Uint8Array };

/** Options of {@linkcode sendKeys}. */
export interface SendKeysOptions extends RootOptions {
  /**
   * How long the program may read nothing, in milliseconds. The session's relay may take as long to
   * answer, or else 5 s.
   *
   * @default {2000}
   */
  readonly timeoutMs?: number;
  /** Stops the waiting; what the relay has got by then may still be typed. */
  readonly signal?: AbortSignal;
}

/**
 * Types into a terminal session, each part as a write of its own: an agent takes text and
 * Enter in one write for a paste. Returns how many bytes were typed.
 *
 * It types whatever the program is doing: an agent that is still starting loses the Enter, and
 * while one waits for a permission, Enter approves it. Ask `readStatus` before, as the command
 * `send` does.
 *
 * Needs `--allow-read` and `--allow-write` of the root, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if it has ended; `unsupported` if it is
 * no terminal; `input_full` with `written` if the program does not read its input; `timeout` if
 * its relay doesn't answer, for example because it is suspended.
 * @throws {ArgumentError} if a part is malformed, or there is no such key; {RangeError} if the
 * timeout is negative.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { sendKeys } from "./mod.ts";
 * await sendKeys("demo", [{ text: "fix the tests" }, { key: "enter" }]);
 * ```
 */
export async function sendKeys(
  id: string,
  parts: readonly TerminalInputPart[],
  options: SendKeysOptions = {},
): Promise<{ readonly written: number }> {
  checkOptions(options);
  checkParts(parts);
  const { timeoutMs = 2000, signal, root } = options;
  checkTimeoutMs(timeoutMs);
  const paths = pathsFor(id, { root });
  signal?.throwIfAborted();
  const encoded = parts.map((part) => {
    if ("key" in part) encodeKey(part.key); // Throws here if it is no key: the caller's mistake.
    return "raw" in part ? { raw: btoa(toLatin1(part.raw)) } : part;
  });
  const request = encode(Frame.SEND, { parts: encoded, timeoutMs });
  using relay = await connectRelay(paths, request, {
    timeoutMs: options.timeoutMs,
    signal,
  });
  // The program may take `timeoutMs` for each part, and for each page of a long one.
  const pages = parts.length + Math.ceil(request.length / 4096);
  using _ = relay.giveUpAfter(ANSWER_MS + pages * timeoutMs);
  using _closing = onAbort(signal, relay[Symbol.dispose]);
  for (;;) {
    const frame = await relay.next();
    signal?.throwIfAborted();
    if (frame === undefined) throw unreachable(id, readState(paths).state);
    if (frame.type !== Frame.SEND_REPLY) continue;
    const { written, total, error } = sendReplyIn(frame, id);
    if (error === undefined) return { written };
    throw new SessionError(
      "input_full",
      `Cannot send to session "${id}": ${error}; ${written} of ${total} bytes were typed`,
      { id, written },
    );
  }
}

function checkParts(parts: unknown): void {
  if (!Array.isArray(parts)) {
    throw new ArgumentError("parts must be an array of what to type");
  }
  for (const [index, part] of parts.entries()) {
    const name = `parts[${index}]`;
    checkObject(name, part);
    if ("key" in part) checkString(`${name}.key`, part.key);
    else if ("raw" in part) checkInstance(`${name}.raw`, part.raw, Uint8Array);
    else checkString(`${name}.text`, part.text);
  }
}

function sendReplyIn(frame: Received, id: string): SendReply {
  const { written, total, error } = decode(Frame.SEND_REPLY, frame);
  const isCount = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= 0;
  if (!isCount(written) || !isCount(total)) throw nonsense(id);
  if (error === undefined) return { written, total };
  return { written, total, error: plainText(String(error), MAX_ERROR_LENGTH) };
}

/** Options of {@linkcode waitForScreen}. */
export interface WaitForTerminalOptions extends RootOptions {
  /** A screen counts once there was output behind this place. */
  readonly since?: LogCursor;
  /**
   * How long the session's relay may take to greet, in milliseconds.
   *
   * @default {5000}
   */
  readonly timeoutMs?: number | undefined;
  /** Stops the waiting, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until the text of the screen (its lines joined by newlines) matches a pattern, and
 * returns that screen. It subscribes to output first and looks then, so it misses no
 * screen that stays; a screen that is overwritten within milliseconds may be missed.
 *
 * @throws {SessionError} as {@linkcode readScreen}; `wrong_state` if the session ends first;
 * `not_found` if it is deleted.
 * @throws the signal's reason.
 *
 * @example
 * ```ts
 * import { waitForScreen } from "./client/terminal.ts";
 * await waitForScreen("demo", /\$ $/m, { signal: AbortSignal.timeout(5000) });
 * ```
 */
export async function waitForScreen(
  id: string,
  pattern: RegExp,
  options: WaitForTerminalOptions = {},
): Promise<ScreenText> {
  const { since, timeoutMs, signal, root } = options;
  const paths = pathsFor(id, { root });
  signal?.throwIfAborted();
  // Before connecting: then the connection is to this session, if it is still there after that.
  using watch = watchSession(paths);
  const lookAgain = encode(Frame.SCREEN, { ansi: false, scrollback: 0 });
  using relay = await connectWatching(paths, { timeoutMs, signal });
  const close = () => relay?.[Symbol.dispose]();
  using _ = onAbort(signal, close);
  using _gone = whenGone(watch, close);
  // The first activity is no output, it tells that the subscription is made.
  let isFirst = true;
  const isDrawn = () => since === undefined || !isAt(since.stdout, paths);
  while (relay !== undefined) {
    const frame = await relay.next();
    signal?.throwIfAborted();
    if (frame === undefined || frame.type === Frame.END) break;
    if (frame.type === Frame.ACTIVITY) {
      if (isFirst && !isDrawn()) {
        isFirst = false;
        continue;
      }
      // If it ends in this instant, the next frame or the last screen tells.
      await relay.send(lookAgain).catch((error) => {
        if (!isGone(error)) throw error;
      });
    }
    if (frame.type !== Frame.SCREEN_REPLY) continue;
    const screen = screenIn(frame, id, false);
    if (matchIn(screen, pattern) !== null) return screen;
  }
  if (!watch.isStill()) throw noSuchSession(id);
  // Output right before its end counts as well.
  const last = await readScreen(id, { root, signal });
  if (isDrawn() && matchIn(last, pattern) !== null) return last;
  throw new SessionError(
    "wrong_state",
    `Session "${id}" has ended without showing ${pattern}`,
    { id },
  );
}

/** Calls a function once a session's directory is gone, of which its relay knows nothing. */
function whenGone(watch: SessionWatch, call: () => void): Disposable {
  let isOver = false;
  const look = async () => {
    for (; !isOver; await watch.next()) {
      if (!watch.isStill()) return call();
    }
  };
  look().catch(() => {}); // It watches nothing that can fail.
  return {
    [Symbol.dispose]() {
      isOver = true;
    },
  };
}

/** A connection that gets ACTIVITY frames; `undefined` if the session has ended. */
async function connectWatching(
  paths: Paths,
  options: ConnectOptions,
): Promise<RelayConnection | undefined> {
  try {
    return await connectRelay(paths, encode(Frame.WATCH), options);
  } catch (error) {
    if (error instanceof SessionError && error.code === "wrong_state") {
      return undefined;
    }
    throw error;
  }
}

/** A pattern's match in the text of a screen. */
export function matchIn(
  screen: ScreenText,
  pattern: RegExp,
): RegExpExecArray | null {
  pattern.lastIndex = 0;
  return pattern.exec(screen.lines.join("\n"));
}

/** Tells whether a terminal's output ends at a position. */
function isAt(position: LogPosition | null, { stdout }: Paths): boolean {
  const end = endOfLog(stdout);
  if (end?.file !== position?.file || end?.offset !== position?.offset) {
    return false;
  }
  const { writtenAt = end?.writtenAt } = position ?? {};
  return writtenAt === end?.writtenAt;
}
