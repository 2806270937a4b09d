/**
 * Attaching to a terminal session over streams that the caller gives.
 *
 * The client is a pipe with three duties: it draws the screen first, it finds
 * the keys that detach, and whatever happens it gives the user's terminal back: modes,
 * alternate screen, cursor, mouse, keyboard, colours. Raw mode and window size changes
 * of a real terminal are the caller's, see terminal_console.ts.
 *
 * @module
 */
import { DetachKeys } from "../screen/detach_keys.ts";
import { farewell } from "../screen/modes.ts";
import { decode, encode, Frame, MAX_REDRAW_BYTES } from "../relay/protocol.ts";
import { connectRelay, type RelayConnection } from "../relay/connection.ts";
import { pathsFor, type RootOptions } from "../store.ts";
import { type FinalState, watchSession } from "./watch.ts";

/** What is typed: a stream, or something with `read` such as `Deno.stdin`. */
export type TerminalInput = ReadableStream<Uint8Array> | {
  read(buffer: Uint8Array): Promise<number | null>;
};

/** Where the screen is shown: a stream, or something with `write` such as `Deno.stdout`. */
export type TerminalOutput = WritableStream<Uint8Array> | {
  write(bytes: Uint8Array): Promise<number>;
};

/** Options of {@linkcode attachTerminal}. */
export interface AttachTerminalOptions extends RootOptions {
  /** What the user types, as a terminal in raw mode gives it; its end detaches. Without it there is no input. */
  readonly stdin?: TerminalInput;
  /** The user's terminal; it must not put a CR before an LF (`stty -opost`), as it does in Deno's raw mode. */
  readonly stdout: TerminalOutput;
  /** The width of the user's terminal in characters. */
  readonly columns: number;
  /** Its height in lines. */
  readonly rows: number;
  /**
   * Keys that detach, separated by commas; typed twice they go through. An empty
   * text: none.
   *
   * @default {"ctrl-\\"}
   */
  readonly detachKeys?: string;
  /**
   * Only look on: nothing that is typed reaches the program, but the keys that detach work.
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
  /** Leaves; the session runs on. */
  detach(): void;
}

/** How long a complete detach sequence waits for its repetition, in milliseconds. */
const REPEAT_MS = 250;
/** How long a terminal that takes no output is given to be restored, in milliseconds. */
const FAREWELL_MS = 1000;

/** Typed input that may wait for the relay, in bytes. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

const encoder = new TextEncoder();

/**
 * Attaches to a terminal session: its screen, exactly as it is, then live. Resolves
 * once it is connected; `done` of what it gives tells how it ended.
 *
 * Needs `--allow-read` and `--allow-write` of the root, without `root` `--allow-env`,
 * and with a path of more than about 100 bytes `--allow-ffi`.
 *
 * @throws {SessionError} `not_found`; `wrong_state` if it has ended or is no terminal;
 * `unsupported` if its relay is of another version.
 * @throws {TypeError} if `detachKeys` names an unknown key.
 *
 * @example
 * ```ts
 * import { attachTerminal } from "./mod.ts";
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
  const { columns, rows, readOnly = false, root, signal } = options;
  const keys = new DetachKeys(options.detachKeys);
  const paths = pathsFor(id, { root });
  // Before connecting: it can't end unseen then, nor be replaced by a namesake.
  const watch = watchSession(paths);
  let connection: RelayConnection;
  try {
    signal?.throwIfAborted();
    const request = encode(Frame.ATTACH, { columns, rows, readOnly });
    connection = await connectRelay(paths, request, MAX_REDRAW_BYTES);
  } catch (error) {
    watch[Symbol.dispose]();
    throw error;
  }
  const leaving = Promise.withResolvers<"detached">();
  const view: View = { rows, isForeign: true };
  const attachment = {
    resize(columns: number, rows: number): void {
      view.rows = rows;
      connection.send(encode(Frame.RESIZE, { columns, rows })).catch(
        ignore,
      );
    },
    refresh(): void {
      view.isForeign = true;
      connection.send(encode(Frame.REFRESH)).catch(ignore);
    },
    detach: () => leaving.resolve("detached"),
  };
  signal?.addEventListener("abort", attachment.detach);
  if (signal?.aborted) attachment.detach();
  const output = openOutput(options.stdout);
  const input = openInput(options.stdin);
  async function run(): Promise<TerminalResult> {
    try {
      const typing = input === undefined
        ? new Promise<never>(() => {})
        : forward(input, connection, keys, readOnly, leaving.promise);
      const end = await Promise.race([
        show(connection, output, view),
        typing,
        leaving.promise,
      ]);
      if (end === "detached") {
        await within(100, connection.send(encode(Frame.DETACH)));
        return { detached: true };
      }
      // Its terminal is closed; how it ended is on disk in an instant.
      for (;;) {
        const state = watch.finalState();
        if (state !== undefined) return { state };
        const next = await Promise.race([
          watch.next().then(() => "changed"),
          leaving.promise,
        ]);
        if (next === "detached") return { detached: true };
      }
    } finally {
      signal?.removeEventListener("abort", attachment.detach);
      watch[Symbol.dispose]();
      connection[Symbol.dispose]();
      input?.release();
      const bytes = encoder.encode(farewell(view.rows));
      await within(FAREWELL_MS, output.write(bytes));
      output.release();
    }
  }
  return { ...attachment, done: run() };
}

function ignore(): void {}

/** Waits for something, whatever becomes of it, but not longer than that. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([work.catch(ignore), late.promise]);
  clearTimeout(timer);
}

interface Output {
  write(bytes: Uint8Array): Promise<void>;
  release(): void;
}

function openOutput(stdout: TerminalOutput): Output {
  if ("getWriter" in stdout) {
    const writer = stdout.getWriter();
    return {
      // The stream may keep what it is given: the frame's memory is used again.
      write: async (bytes) => {
        await writer.ready;
        await writer.write(bytes.slice());
      },
      release: () => writer.releaseLock(),
    };
  }
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length;) {
        at += await stdout.write(bytes.subarray(at));
      }
    },
    release() {},
  };
}

interface Input {
  read(): Promise<Uint8Array | null>;
  release(): void;
}

function openInput(stdin: TerminalInput | undefined): Input | undefined {
  if (stdin === undefined) return undefined;
  if ("getReader" in stdin) {
    const reader = stdin.getReader();
    return {
      read: async () => (await reader.read()).value ?? null,
      release: () => reader.releaseLock(),
    };
  }
  const buffer = new Uint8Array(65536);
  return {
    read: async () => {
      const count = await stdin.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    release() {},
  };
}

/** The user's terminal. */
interface View {
  rows: number;
  /** Whether what it shows is not the session's. */
  isForeign: boolean;
}

/** Writes what the relay sends until it ends. */
async function show(
  connection: RelayConnection,
  output: Output,
  view: View,
): Promise<"ended" | "detached"> {
  for (;;) {
    const frame = await connection.next();
    if (frame === undefined) return "ended";
    switch (frame.type) {
      case Frame.REDRAW:
        if (view.isForeign) {
          // What the user had on the screen moves up into his scrollback.
          const room = `\x1b[${view.rows};1H${"\n".repeat(view.rows)}`;
          await output.write(encoder.encode(room));
          view.isForeign = false;
        }
        await output.write(frame.payload);
        break;
      case Frame.OUTPUT:
        await output.write(frame.payload);
        break;
      case Frame.END:
        return decode(Frame.END, frame).reason === "detached"
          ? "detached"
          : "ended";
    }
  }
}

/** Sends what is typed until the user detaches. */
async function forward(
  input: Input,
  connection: RelayConnection,
  keys: DetachKeys,
  readOnly: boolean,
  leaving: Promise<unknown>,
): Promise<"detached"> {
  const never = new Promise<never>(() => {});
  let reading: Promise<Uint8Array | null> | undefined;
  let repeat: Promise<"late"> | undefined;
  // Not waited for, or what was pasted would keep the keys that detach from being heard.
  let waitingBytes = 0;
  const type = async (bytes: Uint8Array) => {
    waitingBytes += bytes.length;
    await connection.send(encode(Frame.INPUT, bytes));
    waitingBytes -= bytes.length;
  };
  const read = () => input.read().catch(() => null); // Released, or closed under us.
  for (;;) {
    reading ??= read();
    const bytes = await Promise.race([reading, repeat ?? never, leaving]);
    if (!(bytes instanceof Uint8Array)) return "detached";
    reading = undefined;
    const { forward, detach } = keys.feed(bytes);
    if (forward.length > 0 && !readOnly) {
      const sent = type(forward).catch(ignore); // The other half tells how it ended.
      if (waitingBytes > MAX_WAITING_BYTES) await Promise.race([sent, leaving]);
    }
    if (detach === "now") return "detached";
    repeat = detach === "maybe" ? repeat ?? sleepUntilRepeat() : undefined;
  }
}

function sleepUntilRepeat(): Promise<"late"> {
  return new Promise((resolve) => setTimeout(() => resolve("late"), REPEAT_MS));
}
