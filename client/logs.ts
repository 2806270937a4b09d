/**
 * Reading a session's output: all of it, its last lines, and following it while it grows.
 *
 * Following goes in rounds: look whether the session is over, note the log's size,
 * read up to there, and end if it was over, else wait. The look comes before the
 * reading, so everything written before the end is read. The size bounds a round, so
 * an agent that never stops writing can't delay the look.
 *
 * @module
 */
import {
  ArgumentError,
  checkOptions,
  checkString,
  checkType,
} from "../errors.ts";
import { exists } from "../system/files.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import {
  endOfLog,
  type LogPosition,
  type LogStart,
  openLog,
} from "./log_files.ts";
import { type FinalState, watchSession } from "./watch.ts";

/** The name of an output stream. */
export type LogStream = "stdout" | "stderr";

/** Where to begin in the output. */
export interface TailOptions extends RootOptions {
  /**
   * Start with the last so many lines; text after the last newline counts as one.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
  /**
   * Start here, whatever `tailLines` says. What is no longer kept is left out.
   *
   * @default {the beginning}
   */
  readonly since?: LogCursor;
}

/** A place in the output of a session, in both its streams; `null` is the beginning. */
export interface LogCursor {
  /** The place in standard output. */
  readonly stdout: LogPosition | null;
  /** The place in standard error. */
  readonly stderr: LogPosition | null;
  /**
   * The place in the journal of events, for statuses and turns.
   *
   * @default {what is so at the call counts, too}
   */
  readonly events?: LogPosition | null;
  /**
   * When it was taken, in milliseconds since 1970: silence counts from then on.
   *
   * @default {the call}
   */
  readonly at?: number;
}

/**
 * The end of a session's output as it is now: a starting point for {@linkcode readLog},
 * {@linkcode followLogs} and `waitFor`. Take it before you send input. Needs `--allow-read`
 * of the root and, without `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found`.
 *
 * @example
 * ```ts
 * import { readLogCursor, sendInput, waitFor } from "./mod.ts";
 * const since = readLogCursor("calc");
 * await sendInput("calc", "6*7\n");
 * const { match } = await waitFor("calc", { for: "output", pattern: /\d+/ }, { since });
 * console.log(match[0]); // 42
 * ```
 */
export function readLogCursor(
  id: string,
  options: RootOptions = {},
): LogCursor {
  const paths = existingPaths(id, options);
  return {
    stdout: endOfLog(paths.stdout),
    stderr: endOfLog(paths.stderr),
    events: endOfLog(paths.events),
    at: Date.now(),
  };
}

/** Where reading of a stream begins. */
function startOf(
  stream: LogStream,
  { tailLines = Infinity, since }: TailOptions,
): LogStart {
  checkTailLines(tailLines);
  checkCursor(since);
  return since === undefined ? { lines: tailLines } : { from: since[stream] };
}

/** Checks a starting point; `undefined` passes. */
export function checkCursor(since: unknown): void {
  if (since === undefined) return;
  const { stdout, stderr, events = null, at = 0 } = (since ?? {}) as Partial<
    LogCursor
  >;
  const isPlace = (at: unknown) => at === null || isPosition(at);
  const isTime = Number.isFinite(at);
  if (isTime && [stdout, stderr, events].every(isPlace)) return;
  throw new ArgumentError("since must be what readLogCursor returns");
}

/** Tells whether a value, which may have been kept as JSON, is a place in a log. */
function isPosition(value: unknown): value is LogPosition {
  const { file, offset } = (value ?? {}) as Partial<LogPosition>;
  return typeof file === "string" && Number.isSafeInteger(offset) &&
    offset! >= 0;
}

/** Options of {@linkcode readLog}. */
export interface ReadLogOptions extends TailOptions {
  /**
   * The stream to read.
   *
   * @default {"stdout"}
   */
  readonly stream?: LogStream;
}

/** Options of {@linkcode followLog}. */
export interface FollowLogOptions extends ReadLogOptions {
  /** Stops the following. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode followLogs}. */
export interface FollowLogsOptions extends TailOptions {
  /** Stops the following. */
  readonly signal?: AbortSignal;
}

/** A piece of output and its stream. */
export interface LogChunk {
  /** The stream that the agent wrote it to. */
  readonly stream: LogStream;
  /** The bytes as written; a line may be cut anywhere. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where it ends in its stream. */
  readonly end: LogPosition;
}

/**
 * A session's output until now, in pieces of up to 64 KiB; nothing if the log is
 * missing. The last lines of a long log are searched from its end. The files are opened when
 * the iteration begins. Needs `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 *
 * @example
 * ```ts
 * import { createSession, readLog, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["echo", "hello"] });
 * await waitForSession(id);
 * for await (const bytes of readLog(id)) Deno.stdout.writeSync(bytes);
 * ```
 */
export function readLog(
  id: string,
  options: ReadLogOptions = {},
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  checkOptions(options);
  const { stream = "stdout" } = options;
  const start = startOf(checkStream(stream), options);
  return readNow(existingPaths(id, options), stream, start);
}

async function* readNow(
  paths: Paths,
  stream: LogStream,
  start: LogStart,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  using log = openLog(paths[stream], start);
  if (!log.mark()) checkIsThere(paths); // Deleted since the call?
  for (let bytes; (bytes = await log.read());) yield bytes;
}

/** A piece of the end of a log. */
export interface LogEnd {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether there is output before the first of these pieces. */
  readonly isCut: boolean;
  /** Where it ends; `null` before anything was read. */
  readonly end: LogPosition | null;
}

/**
 * The end of a session's output.
 *
 * @throws {SessionError} `not_found`, when iterated.
 */
export async function* readEndOfLog(
  paths: Paths,
  stream: LogStream,
  start: LogStart,
): AsyncGenerator<LogEnd, void> {
  using log = openLog(paths[stream], start);
  if (!log.mark()) checkIsThere(paths);
  for (let bytes; (bytes = await log.read());) {
    yield { bytes, isCut: log.isCut, end: log.position };
  }
}

/** The paths of a session that is there. */
export function existingPaths(id: string, options: RootOptions): Paths {
  const paths = pathsFor(id, options);
  checkIsThere(paths);
  return paths;
}

function checkIsThere({ id, meta, lock, stdout }: Paths): void {
  // The log alone is enough to read it: of a damaged session, somebody may need just that.
  if (![meta, lock, stdout].some(exists)) throw noSuchSession(id);
}

/**
 * A session's output from the beginning, then live, until the session has ended and
 * all is read; if the session is deleted, until the rest is read. It waits for file events, so
 * following an idle session costs nothing. A slow consumer slows nothing else. Needs
 * `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * The files are opened when the iteration begins. Leaving the loop frees them; use `signal`
 * to leave while it waits.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 * @throws the signal's reason, once it is aborted, when iterated.
 *
 * @example
 * ```ts
 * import { createSession, followLog } from "./mod.ts";
 * const script = "echo one; sleep 0.2; echo two";
 * const { id } = await createSession({ command: ["sh", "-c", script] });
 * for await (const bytes of followLog(id)) Deno.stdout.writeSync(bytes);
 * ```
 */
export function followLog(
  id: string,
  options: FollowLogOptions = {},
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  checkOptions(options);
  const { stream = "stdout", tailLines, since, signal } = options;
  const streams = [checkStream(stream)];
  startOf(stream, options); // Wrong arguments are told before a missing session.
  return bytesOf(
    followStreams(existingPaths(id, options), streams, {
      tailLines,
      since,
      signal,
    }),
  );
}

/**
 * Both streams of a session, each like {@linkcode followLog}. The pieces of one
 * stream are in order. The order between both streams is only approximate, since each is a
 * file of its own. `tailLines` counts for each stream.
 *
 * @throws {SessionError} `not_found`, at the call.
 * @throws {ArgumentError} if the id is malformed; {RangeError} if `tailLines` is negative.
 * @throws the signal's reason, once it is aborted, when iterated.
 *
 * @example
 * ```ts
 * import { followLogs, pathsFor, spawnExec } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * const script = "echo good; echo bad >&2";
 * await spawnExec(pathsFor("demo", { root }), ["-c", script], { program: "sh" });
 * for await (const { stream, bytes } of followLogs("demo", { root })) {
 *   Deno[stream].writeSync(bytes);
 * }
 * ```
 */
export function followLogs(
  id: string,
  options: FollowLogsOptions = {},
): AsyncIterable<LogChunk> {
  checkOptions(options);
  const { tailLines, since, signal } = options;
  const streams = ["stdout", "stderr"] as const;
  startOf("stdout", options);
  const paths = existingPaths(id, options);
  return followStreams(paths, streams, { tailLines, since, signal });
}

async function* bytesOf(
  chunks: AsyncIterable<LogChunk>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for await (const { bytes } of chunks) yield bytes;
}

/** Options of {@linkcode followStreams}. */
export interface FollowStreamsOptions extends Omit<TailOptions, "root"> {
  /** Start with the last so many bytes. */
  readonly tailBytes?: number;
  /** Each time all that is there was read, yield a piece without bytes, which may have no `end`. */
  readonly pauses?: boolean;
  /** Stops the following at once, with its reason. */
  readonly signal?: AbortSignal;
  /** Ends the following once the output that is there was read; no error. */
  readonly leave?: AbortSignal;
}

/** Follows some streams of a session; returns its final state, `undefined` if it was left. */
export function followStreams(
  paths: Paths,
  streams: readonly LogStream[],
  options: FollowStreamsOptions = {},
): AsyncGenerator<LogChunk & LogEnd, FinalState | undefined> {
  const starts = streams.map((stream) => ({
    stream,
    start: { bytes: options.tailBytes, ...startOf(stream, options) },
  }));
  return follow(paths, starts, options);
}

const NOTHING = new Uint8Array(0);

async function* follow(
  paths: Paths,
  starts: readonly { readonly stream: LogStream; readonly start: LogStart }[],
  { pauses, signal, leave }: FollowStreamsOptions,
): AsyncGenerator<LogChunk & LogEnd, FinalState | undefined> {
  using stack = new DisposableStack();
  const watch = stack.use(
    watchSession(paths, {
      files: starts.map(({ stream }) => paths[stream]),
      signal,
    }),
  );
  leave?.addEventListener("abort", watch.ring);
  stack.defer(() => leave?.removeEventListener("abort", watch.ring));
  const logs = starts.map(({ stream, start }) => {
    const log = stack.use(openLog(paths[stream], start));
    return { stream, log };
  });
  // The first mark opens all logs before anything is awaited: so a session that is deleted while
  // the consumer is busy with one stream still yields the other.
  for (;;) {
    const leaving = leave?.aborted ?? false;
    const final = watch.finalState();
    for (const { log } of logs) log.mark(watch.isStill);
    let open = logs;
    while (open.length > 0) { // In turns: no stream waits for the other's end.
      const rest: typeof logs = [];
      for (const entry of open) {
        const bytes = await entry.log.read();
        signal?.throwIfAborted();
        if (bytes === undefined) continue;
        rest.push(entry);
        yield {
          stream: entry.stream,
          bytes,
          end: entry.log.position!,
          isCut: entry.log.isCut,
        };
        signal?.throwIfAborted();
      }
      open = rest;
    }
    if (final !== undefined) return final;
    if (leaving) return undefined;
    if (pauses) {
      for (const { stream, log } of logs) {
        yield {
          stream,
          bytes: NOTHING,
          end: log.position!,
          isCut: log.isCut,
        };
      }
    }
    await watch.next();
  }
}

/** Checks the name of a stream. */
export function checkStream(stream: LogStream): LogStream {
  checkString("stream", stream);
  if (stream === "stdout" || stream === "stderr") return stream;
  throw new ArgumentError(
    `Unknown stream "${stream}": use "stdout" or "stderr"`,
  );
}

/** Checks a number of last lines; `Infinity` is allowed. */
export function checkTailLines(lines: number): void {
  checkType("tailLines", lines, "number");
  if (lines === Infinity || Number.isSafeInteger(lines) && lines >= 0) return;
  throw new RangeError(
    `Cannot read the last ${lines} lines: give a whole number, 0 or more`,
  );
}

/** Checks a number of last bytes; `Infinity` is allowed. */
export function checkMaxBytes(bytes: number): void {
  checkType("maxBytes", bytes, "number");
  if (bytes === Infinity || Number.isSafeInteger(bytes) && bytes >= 0) return;
  throw new RangeError(
    `Cannot read the last ${bytes} bytes: give a whole number, 0 or more`,
  );
}
