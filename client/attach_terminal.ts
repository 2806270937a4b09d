/**
 * Attaching to a terminal session over streams that the caller gives.
 *
 * The client is a pipe with three duties: it draws the screen first, it finds
 * the keys that detach, and however it ends it restores the user's terminal: modes,
 * alternate screen, cursor, mouse, keyboard, colours. Raw mode and the size of a real
 * terminal are the caller's work, see attach_console.ts.
 *
 * @module
 */
import { messageOf, SessionError } from "../errors.ts";
import { DetachKeys } from "../screen/detach_keys.ts";
import { farewell, GREETING, makeRoom } from "../screen/modes.ts";
import {
  parseScreen,
  type ScreenText,
  withoutBlankEnd,
} from "../screen/screen_text.ts";
import {
  clamp,
  decode,
  encode,
  Frame,
  MAX_REDRAW_BYTES,
  type Payloads,
} from "../relay/protocol.ts";
import { connectRelay, type RelayConnection } from "../relay/connection.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import { sleep, within } from "../system/async.ts";
import { type FinalState, type SessionWatch, watchSession } from "./watch.ts";

/** The user's keyboard: a stream, or something with `read` such as `Deno.stdin`. */
export type TerminalInput = ReadableStream<Uint8Array> | {
  read(buffer: Uint8Array): Promise<number | null>;
};

/** The user's screen: a stream, or something with `write` such as `Deno.stdout`. */
export type TerminalOutput = WritableStream<Uint8Array> | {
  write(bytes: Uint8Array): Promise<number>;
};

/** Options of {@linkcode attachTerminal}. */
export interface AttachTerminalOptions extends RootOptions {
  /** The bytes of a terminal in raw mode; their end detaches. Without `stdin` there is no input. */
  readonly stdin?: TerminalInput;
  /** The user's terminal. It must not add a CR to an LF (`stty -opost`); Deno's raw mode leaves that on. */
  readonly stdout: TerminalOutput;
  /** The width of the user's terminal in characters. */
  readonly columns: number;
  /** Its height in lines. */
  readonly rows: number;
  /**
   * Keys that detach, separated by commas. Typed twice, they go to the program. An empty
   * text means none.
   *
   * @default {"ctrl-\\"}
   */
  readonly detachKeys?: string;
  /**
   * Ignore input, except for the keys that detach.
   *
   * @default {false}
   */
  readonly readOnly?: boolean;
  /** Detaches; no error. */
  readonly signal?: AbortSignal;
}

/** How an attachment ended. */
export type TerminalResult =
  | { readonly detached: true }
  | { readonly state: FinalState };

/** A client that is attached. */
export interface TerminalAttachment {
  /** Resolves once it is over and the user's terminal is restored. */
  readonly done: Promise<TerminalResult>;
  /** Tells the session the new size of the user's terminal. */
  resize(columns: number, rows: number): void;
  /** Draws the whole screen again: something else was on the user's terminal. */
  refresh(): void;
  /** Detaches; the session goes on. */
  detach(): void;
}

/** How long a complete detach sequence waits for its repetition, in milliseconds. */
const REPEAT_MS = 250;
/** How long the first keys of a detach sequence wait for the rest, in milliseconds. */
const HELD_MS = 1000;
/** That time is over. */
const HELD = Symbol("held");
/** How long a terminal that takes no output is given to be restored, in milliseconds. */
const FAREWELL_MS = 1000;
/** How long to wait until the relay has been told of a detach, in milliseconds. */
const DETACH_MS = 100;

/** How long the record of an ending may take after the relay's end, in milliseconds. */
const RECORD_MS = 2000;

/** Typed input that may wait for the relay, in bytes. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

const encoder = new TextEncoder();

/**
 * Attaches to a terminal session: its screen, exactly as it is, then live. Resolves
 * once it is connected; then `done` tells how it ended. Of a session that has ended, it
 * writes the last screen.
 *
 * Needs `--allow-read` and `--allow-write` of the root, without `root` `--allow-env`,
 * and with a path of more than about 100 bytes `--allow-ffi`.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if its relay can't be reached;
 * `unsupported` if it is no terminal, or its relay is of another version.
 * @throws {TypeError} if `detachKeys` names an unknown key.
 *
 * @example
 * ```ts
 * import { attachTerminal } from "./client/attach_terminal.ts";
 * const { columns, rows } = Deno.consoleSize();
 * Deno.stdin.setRaw(true);
 * const { stdin, stdout } = Deno;
 * const attached = await attachTerminal("demo", { stdin, stdout, columns, rows });
 * Deno.addSignalListener("SIGWINCH", () => {
 *   const { columns, rows } = Deno.consoleSize();
 *   attached.resize(columns, rows);
 * });
 * console.log(await attached.done); // { detached: true }
 * Deno.stdin.setRaw(false);
 * ```
 */
export async function attachTerminal(
  id: string,
  options: AttachTerminalOptions,
): Promise<TerminalAttachment> {
  const { connected, giveBack: _, ...attachment } = startAttaching(id, options);
  await connected;
  return attachment;
}

/** A client that is about to be attached. It can be resized and detached from now on. */
export interface StartedAttachment extends TerminalAttachment {
  /** Rejects if the session can't be attached to; so does `done`. */
  readonly connected: Promise<void>;
  /** The sequences that give the user's terminal back as it is now. */
  giveBack(): string;
}

/** Options of {@linkcode startAttaching}. */
export interface StartAttachingOptions extends AttachTerminalOptions {
  /** The directory of the session on whose terminal this one is shown. */
  readonly within?: string;
  /** Called once the relay knows of the client, before anything is drawn; an error detaches. */
  readonly onConnected?: () => void;
}

/** Begins what {@linkcode attachTerminal} does. */
export function startAttaching(
  id: string,
  options: StartAttachingOptions,
): StartedAttachment {
  const { columns, rows, readOnly = false, signal, onConnected } = options;
  const leaving = Promise.withResolvers<"detached">();
  const detach = () => leaving.resolve("detached");
  const view: View = { columns, rows, shown: "none", onConnected };
  let relay: RelayConnection | undefined;
  const tell = (frame: Uint8Array) => void relay?.send(frame).catch(ignore);
  const resize = (columns: number, rows: number) => {
    Object.assign(view, { columns, rows });
    tell(encode(Frame.RESIZE, { columns, rows }));
  };
  const refresh = () => {
    view.shown = "none";
    tell(encode(Frame.REFRESH));
  };
  const start = async () => {
    const keys = new DetachKeys(options.detachKeys);
    const paths = pathsFor(id, options);
    using stack = new DisposableStack();
    // Before connecting: then it can't end unseen, nor be replaced by a session of its name.
    const watch = stack.use(watchSession(paths));
    signal?.throwIfAborted();
    const output = stack.use(openOutput(options.stdout));
    const size = { columns, rows };
    const request = { ...size, readOnly, within: options.within };
    const connected = await connect(paths, request, watch, signal);
    if ("detached" in connected) return { ...connected, stack: stack.move() };
    if ("state" in connected) {
      return { ...connected, paths, output, stack: stack.move() };
    }
    relay = stack.use(connected);
    if (!watch.isStill()) throw noSuchSession(id);
    if (view.columns !== columns || view.rows !== rows) {
      resize(view.columns, view.rows);
    }
    signal?.addEventListener("abort", detach);
    stack.defer(() => signal?.removeEventListener("abort", detach));
    if (signal?.aborted) detach();
    const input = stack.use(openInput(options.stdin));
    return { keys, watch, relay, output, input, stack: stack.move() };
  };
  const started = start();
  const run = async (): Promise<TerminalResult> => {
    const { stack, ...ends } = await started;
    using _ = stack;
    if ("detached" in ends) return { detached: true };
    if ("state" in ends) {
      await ends.output.write(encoder.encode(await lastScreen(ends.paths)));
      return { state: ends.state };
    }
    let screen: ScreenText | undefined;
    try {
      const end = await converse(ends, view, readOnly, leaving.promise);
      ({ screen } = end);
      return end.result;
    } finally {
      ends.relay[Symbol.dispose](); // Nothing more is drawn behind the farewell.
      const bytes = encoder.encode(farewellTo(view) + remains(view, screen));
      await within(FAREWELL_MS, ends.output.write(bytes).catch(ignore));
    }
  };
  const connected = started.then(ignore);
  const done = run();
  // Both reject with the same: a caller that waits for one hears of it.
  connected.catch(ignore);
  done.catch(ignore);
  const giveBack = () => farewellTo(view);
  return { connected, done, resize, refresh, detach, giveBack };
}

/** What a client joins together. */
interface Ends {
  readonly keys: DetachKeys;
  readonly watch: SessionWatch;
  readonly relay: RelayConnection;
  readonly output: Output;
  readonly input: Input | undefined;
}

/**
 * Connects to the relay. If it is gone because the session has ended, gives the final state; if
 * the caller gives up, nothing is drawn any more.
 */
async function connect(
  paths: Paths,
  request: Payloads[typeof Frame.ATTACH],
  watch: SessionWatch,
  signal: AbortSignal | undefined,
): Promise<RelayConnection | TerminalResult> {
  const frame = encode(Frame.ATTACH, request);
  try {
    return await connectRelay(paths, frame, {
      maxFrameBytes: MAX_REDRAW_BYTES,
      signal,
    });
  } catch (error) {
    if (signal?.aborted) return { detached: true };
    if (!(error instanceof SessionError) || error.code !== "wrong_state") {
      throw error;
    }
    const state = await finalState(watch, { longestMs: RECORD_MS });
    const isGone = state?.state === "deleted" || !watch.isStill();
    if (state === undefined || isGone) throw error;
    return { state };
  }
}

/** Waits for the record of the ending; `undefined` if `leaving` resolves before, or it takes longer. */
async function finalState(
  watch: SessionWatch,
  { leaving, longestMs = Infinity }: {
    readonly leaving?: Promise<"detached">;
    readonly longestMs?: number;
  },
): Promise<FinalState | undefined> {
  const deadline = performance.now() + longestMs;
  for (;;) {
    const state = watch.finalState();
    if (state !== undefined) return state;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return undefined;
    const next = watch.next(leftMs);
    if (await Promise.race(leaving ? [next, leaving] : [next])) {
      return undefined;
    }
  }
}

/** How a conversation ended; `screen` is the last one if the agent has ended. */
interface End {
  readonly result: TerminalResult;
  readonly screen?: ScreenText;
}

/** Shows the screen and sends what is typed, until the session ends or the user detaches. */
async function converse(
  { keys, watch, relay, output, input }: Ends,
  view: View,
  readOnly: boolean,
  leaving: Promise<"detached">,
): Promise<End> {
  const typing = input === undefined
    ? new Promise<never>(() => {})
    : forward(input, relay, keys, readOnly, leaving);
  const showing = show(relay, output, view);
  showing.catch(ignore); // The first of these counts.
  const end = await Promise.race([showing, typing, leaving]);
  const detached: End = { result: { detached: true } };
  if (end === "detached") {
    const told = relay.send(encode(Frame.DETACH)).then(() => showing);
    await within(DETACH_MS, told.then(ignore, ignore));
    return detached;
  }
  // The relay has gone. The reaper records the ending in a moment.
  const state = await finalState(watch, { leaving });
  return state === undefined
    ? detached
    : { result: { state }, screen: end.screen };
}

/** The text of a screen up to its last line that is not blank. */
function textOf({ lines }: ScreenText): string {
  return withoutBlankEnd(lines).map((line) => `${line}\r\n`).join("");
}

/** The last screen of a session that has ended, as text. */
async function lastScreen(paths: Paths): Promise<string> {
  const { readLastScreen } = await import("./replay.ts");
  return textOf(await readLastScreen(paths, { ansi: true, scrollback: 0 }));
}

/** What is printed behind the farewell: the last screen, unless the user's own still shows it. */
function remains({ shown }: View, screen: ScreenText | undefined): string {
  if (screen === undefined) return "";
  return shown === "main" && !screen.alternate ? "" : textOf(screen);
}

function ignore(): void {}

/** The user's screen; disposing of it leaves the stream as it is. */
interface Output extends Disposable {
  write(bytes: Uint8Array): Promise<void>;
}

function openOutput(stdout: TerminalOutput): Output {
  if ("getWriter" in stdout) {
    const writer = stdout.getWriter();
    return {
      // A copy: the stream may keep its chunks, and the frame's memory is used again.
      write: async (bytes) => {
        await writer.ready;
        await writer.write(bytes.slice());
      },
      [Symbol.dispose]: () => writer.releaseLock(),
    };
  }
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length;) {
        at += await stdout.write(bytes.subarray(at));
      }
    },
    [Symbol.dispose]() {},
  };
}

/** The user's keyboard; disposing of it leaves the stream as it is. */
interface Input extends Disposable {
  read(): Promise<Uint8Array | null>;
}

function openInput(stdin: TerminalInput | undefined): Input | undefined {
  if (stdin === undefined) return undefined;
  if ("getReader" in stdin) {
    const reader = stdin.getReader();
    return {
      read: async () => (await reader.read()).value ?? null,
      [Symbol.dispose]: () => reader.releaseLock(),
    };
  }
  const buffer = new Uint8Array(65536);
  return {
    read: async () => {
      const count = await stdin.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    [Symbol.dispose]() {},
  };
}

/** The user's terminal. */
interface View {
  columns: number;
  rows: number;
  /** Which of its screens show the session's: `alternate` alone, or `main` as well. */
  shown: "none" | "alternate" | "main";
  /** The last row of the main screen that the session uses, if that is known. */
  bottom?: number;
  /** See {@linkcode StartAttachingOptions}. */
  readonly onConnected?: (() => void) | undefined;
}

/** The sequences that a terminal needs before a frame that draws. */
function greetingOf(view: View, needsMain: boolean): string {
  let text = "";
  if (view.shown === "none") {
    text += GREETING;
    view.shown = "alternate";
  }
  if (needsMain && view.shown === "alternate") {
    text += makeRoom(view.rows);
    view.shown = "main";
  }
  return text;
}

function farewellTo({ shown, rows, bottom = rows }: View): string {
  if (shown === "none") return "";
  return farewell(shown === "main" ? Math.min(bottom, rows) : undefined);
}

/** Writes what the relay sends until it ends; gives the last screen if the agent has ended. */
async function show(
  connection: RelayConnection,
  output: Output,
  view: View,
): Promise<{ readonly screen?: ScreenText } | "detached"> {
  let isFirst = true;
  for (;;) {
    const frame = await connection.next();
    if (frame === undefined) return {};
    switch (frame.type) {
      case Frame.REDRAW:
      case Frame.OUTPUT: {
        if (isFirst) view.onConnected?.();
        isFirst = false;
        const greeting = greetingOf(view, frame.type === Frame.REDRAW);
        if (greeting !== "") await output.write(encoder.encode(greeting));
        await output.write(frame.payload);
        break;
      }
      case Frame.END: {
        const { reason, bottom, screen } = decode(Frame.END, frame);
        view.bottom = clamp(bottom, view.rows);
        if (reason === "detached") return reason;
        return { screen: parseScreen(screen, { styled: true, ansi: true }) };
      }
    }
  }
}

/**
 * Sends what is typed until the user detaches.
 *
 * @throws the error of reading the input.
 */
async function forward(
  input: Input,
  connection: RelayConnection,
  keys: DetachKeys,
  readOnly: boolean,
  leaving: Promise<unknown>,
): Promise<"detached"> {
  const never = new Promise<never>(() => {});
  let reading: Promise<Uint8Array | null> | undefined;
  let repeat: Promise<void> | undefined;
  let held: Promise<typeof HELD> | undefined;
  let askedAt = 0;
  // Writes are not waited for: the keys that detach must work while a paste is stuck.
  let waitingBytes = 0;
  const type = async (bytes: Uint8Array) => {
    waitingBytes += bytes.length;
    await connection.send(encode(Frame.INPUT, bytes));
    waitingBytes -= bytes.length;
  };
  const read = async () => {
    try {
      return await input.read();
    } catch (error) {
      const why = messageOf(error);
      throw new Error(`Cannot read the terminal: ${why}`, { cause: error });
    }
  };
  for (;;) {
    if (reading === undefined) {
      askedAt = performance.now();
      reading = read();
      reading.catch(ignore); // Once nobody waits for it, it is released.
    }
    const bytes = await Promise.race([
      reading,
      repeat ?? held ?? never,
      leaving,
    ]);
    if (bytes === HELD) {
      held = undefined;
      if (!readOnly) type(keys.release()).catch(ignore);
      continue;
    }
    if (!(bytes instanceof Uint8Array)) return "detached";
    reading = undefined;
    const silentMs = performance.now() - askedAt;
    const { forward, detach } = keys.feed(bytes, silentMs);
    if (forward.length > 0 && !readOnly) {
      const sent = type(forward).catch(ignore); // show() learns how it ended.
      if (waitingBytes > MAX_WAITING_BYTES) await Promise.race([sent, leaving]);
    }
    if (detach === "now") return "detached";
    repeat = detach === "maybe" ? repeat ?? sleep(REPEAT_MS) : undefined;
    held = keys.isHolding ? sleep(HELD_MS).then(() => HELD) : undefined;
  }
}
