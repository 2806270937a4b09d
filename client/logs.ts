/**
 * Reading logs: what is there, its last lines, and what is still to come.
 *
 * Owns positions in log files. A log is only ever appended to by the agent; it may be
 * missing (empty), truncated by somebody (read from its beginning again, as
 * tail(1) does), or deleted (the open descriptor still gives the rest).
 *
 * Following goes in rounds: look whether the session is over, note the log's size,
 * read up to there, and end if it was over, else wait. As the look comes before the
 * reading, whatever was written before the end is read after it was seen; as
 * the size bounds a round, an agent that never stops writing can't delay the look.
 *
 * @module
 */
import { ArgumentError, checkType } from "../errors.ts";
import {
  exists,
  identityAt,
  type OpenFile,
  openFile,
} from "../system/files.ts";
import {
  noSuchSession,
  type Paths,
  pathsFor,
  type RootOptions,
} from "../store.ts";
import { type FinalState, watchSession } from "./watch.ts";

/** The name of an output stream. */
export type LogStream = "stdout" | "stderr";

/** Which part of the output to read. */
export interface TailOptions extends RootOptions {
  /**
   * Start with the last so many lines; text after the last newline counts as one.
   *
   * @default {Infinity}
   */
  readonly tailLines?: number;
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
  /** Ends the following. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode followLogs}. */
export interface FollowLogsOptions extends TailOptions {
  /** Ends the following. */
  readonly signal?: AbortSignal;
}

/** A piece of output and where it comes from. */
export interface LogChunk {
  /** The stream that it was written to. */
  readonly stream: LogStream;
  /** The bytes as written; a line may be cut anywhere. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 10;

/**
 * What a session has written until now, in pieces of up to 64 KiB; nothing if the log is
 * missing. The last lines of a long log are found from its end. Needs
 * `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * @throws {SessionError} `not_found`, when iterated.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 *
 * @example
 * ```ts
 * import { pathsFor, readLog, spawnExec, waitForSession } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["hello"], { program: "echo" });
 * await waitForSession("demo", { root });
 * for await (const bytes of readLog("demo", { root })) Deno.stdout.writeSync(bytes);
 * ```
 */
export function readLog(
  id: string,
  options: ReadLogOptions = {},
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  const { stream = "stdout", tailLines = Infinity } = options;
  const paths = pathsFor(id, options);
  checkTailLines(tailLines);
  return readNow(paths, checkStream(stream), tailLines);
}

async function* readNow(
  paths: Paths,
  stream: LogStream,
  tailLines: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  using log = openLog(paths[stream], tailOf(tailLines));
  if (!log.mark() && !isSession(paths)) throw noSuchSession(paths.id);
  for (let bytes; (bytes = await log.read());) yield bytes;
}

/** A piece of the end of a log. */
export interface LogEnd {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether there is output before the first of these pieces. */
  readonly isCut: boolean;
}

/**
 * The last so many bytes of what a session has written to its standard output.
 *
 * @throws {SessionError} `not_found`, when iterated.
 */
export async function* readEndOfLog(
  paths: Paths,
  bytes: number,
): AsyncGenerator<LogEnd, void> {
  let isCut = false;
  using log = openLog(paths.stdout, (files) => {
    let left = bytes;
    for (const file of files.toReversed()) {
      file.position = Math.max(0, file.end - left);
      left -= file.end - file.position;
      if (file.position > 0) isCut = true;
    }
    return Promise.resolve();
  });
  if (!log.mark() && !isSession(paths)) throw noSuchSession(paths.id);
  for (let bytes; (bytes = await log.read());) yield { bytes, isCut };
}

function isSession(paths: Paths): boolean {
  return exists(paths.meta) || exists(paths.lock);
}

/**
 * What a session has written and what it still writes, until it has ended and
 * all is read. Waits for file events, so idle following costs nothing; a slow consumer
 * slows nobody else. Ends as well when the session is deleted, after the rest. Needs
 * `--allow-read` of the root and, without `root`, `--allow-env`.
 *
 * Leaving the loop frees what it holds; use `signal` to leave while it waits.
 *
 * @throws {SessionError} `not_found`, when iterated.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if `tailLines` is negative.
 * @throws the signal's reason, once it is aborted.
 *
 * @example
 * ```ts
 * import { followLog, pathsFor, spawnExec } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * const script = "echo one; sleep 0.2; echo two";
 * await spawnExec(pathsFor("demo", { root }), ["-c", script], { program: "sh" });
 * for await (const bytes of followLog("demo", { root })) Deno.stdout.writeSync(bytes);
 * ```
 */
export function followLog(
  id: string,
  options: FollowLogOptions = {},
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  const { stream = "stdout", tailLines, signal } = options;
  const streams = [checkStream(stream)];
  return bytesOf(
    followStreams(pathsFor(id, options), streams, { tailLines, signal }),
  );
}

/**
 * Both streams of a session, each as {@linkcode followLog} gives one. Pieces of one
 * stream are in order; which of two streams was written to first is known only roughly,
 * as each is a file of its own. `tailLines` counts for each.
 *
 * @throws {SessionError} `not_found`, when iterated.
 * @throws {ArgumentError} if the id is malformed; {RangeError} if `tailLines` is negative.
 * @throws the signal's reason, once it is aborted.
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
  const { tailLines, signal } = options;
  const streams = ["stdout", "stderr"] as const;
  return followStreams(pathsFor(id, options), streams, { tailLines, signal });
}

async function* bytesOf(
  chunks: AsyncIterable<LogChunk>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for await (const { bytes } of chunks) yield bytes;
}

/** Options of {@linkcode followStreams}. */
export interface FollowStreamsOptions {
  readonly tailLines?: number;
  /** Ends the following at once, with its reason. */
  readonly signal?: AbortSignal;
  /** Ends the following quietly, after what is there was read. */
  readonly leave?: AbortSignal;
}

/** Follows some streams of a session; returns its final state, `undefined` if left before. */
export function followStreams(
  paths: Paths,
  streams: readonly LogStream[],
  options: FollowStreamsOptions = {},
): AsyncGenerator<LogChunk, FinalState | undefined> {
  const { tailLines = Infinity, signal, leave } = options;
  checkTailLines(tailLines);
  return follow(paths, streams, { tailLines, signal, leave });
}

async function* follow(
  paths: Paths,
  streams: readonly LogStream[],
  options: FollowStreamsOptions & { readonly tailLines: number },
): AsyncGenerator<LogChunk, FinalState | undefined> {
  const { tailLines, signal, leave } = options;
  using stack = new DisposableStack();
  const watch = stack.use(
    watchSession(paths, {
      files: watchedFiles(paths, streams),
      signal,
    }),
  );
  leave?.addEventListener("abort", watch.ring);
  stack.defer(() => leave?.removeEventListener("abort", watch.ring));
  const logs = streams.map((stream) => {
    const log = stack.use(openLog(paths[stream], tailOf(tailLines)));
    return { stream, log };
  });
  // Opened with the first mark, before anything is awaited: a session that is deleted while
  // the consumer is busy with one stream gives the other one all the same.
  for (;;) {
    const leaving = leave?.aborted ?? false;
    const final = watch.finalState();
    for (const { log } of logs) log.mark();
    let open = logs;
    while (open.length > 0) { // In turns: no stream waits for the other's end.
      const rest: typeof logs = [];
      for (const entry of open) {
        const bytes = await entry.log.read();
        signal?.throwIfAborted();
        if (bytes === undefined) continue;
        rest.push(entry);
        yield { stream: entry.stream, bytes };
        signal?.throwIfAborted();
      }
      open = rest;
    }
    if (final !== undefined) return final;
    if (leaving) return undefined;
    await watch.next();
  }
}

/**
 * A terminal's journal is replaced by a new file now and then: there the directory is watched,
 * but not while a named pipe is in it, the creator's, for the reason that watch.ts gives.
 */
function watchedFiles(
  paths: Paths,
  streams: readonly LogStream[],
): readonly string[] {
  const { dir } = paths;
  return exists(`${dir}/terminal.json`) && !exists(`${dir}/ready.pipe`)
    ? [dir]
    : streams.map((stream) => paths[stream]);
}

/** A position in a log file that may be missing, or appear. */
interface Log extends Disposable {
  /** Notes the log's size; tells whether there is one. */
  mark(): boolean;
  /** The next bytes before the mark, `undefined` at it. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Sets the positions in the files to where reading begins, before the first reading. */
type Skip = (files: LogFile[]) => Promise<void>;

function tailOf(lines: number): Skip | undefined {
  return lines === Infinity ? undefined : (files) => skipToTail(files, lines);
}

function openLog(path: string, skip?: Skip): Log {
  /** The files to read, in order; a new one is added when the last was renamed to `.1`. */
  let files: LogFile[] = [];
  let buffer: Uint8Array<ArrayBuffer> | undefined;
  return {
    mark() {
      if (files.length === 0) files = openFiles(path);
      else addNewer(path, files);
      for (const log of files) {
        log.end = log.file.size();
        // Truncated. What was written since then is at the beginning.
        if (log.end < log.position) log.position = 0;
      }
      return files.length > 0;
    },
    async read() {
      const first = skip;
      skip = undefined;
      await first?.(files);
      for (;;) {
        const [log, ...newer] = files;
        if (log === undefined) return undefined;
        if (log.position < log.end) {
          buffer ??= new Uint8Array(BLOCK_BYTES);
          const wanted = Math.min(log.end - log.position, BLOCK_BYTES);
          const room = buffer.subarray(0, wanted);
          const length = await log.file.read(room, log.position);
          log.position += length;
          // 0: truncated since the mark. The next mark will tell.
          return length === 0 ? undefined : buffer.slice(0, length);
        }
        if (newer.length === 0) return undefined;
        log.file[Symbol.dispose]();
        files = newer;
      }
    },
    [Symbol.dispose]() {
      for (const { file } of files) file[Symbol.dispose]();
    },
  };
}

/** A log file that is being read. */
interface LogFile {
  readonly file: OpenFile;
  position: number;
  end: number;
}

function openLogFile(path: string): LogFile | undefined {
  const file = openFile(path);
  return file && { file, position: 0, end: 0 };
}

/** A log and, before it, what the journal of a terminal has put aside; see journal.ts. */
function openFiles(path: string): LogFile[] {
  const log = openLogFile(path);
  const older = openLogFile(`${path}.1`);
  // Put aside between the two: then the newer one is found by the next look.
  if (older !== undefined && older.file.identity === log?.file.identity) {
    older.file[Symbol.dispose]();
    return [log!];
  }
  return [older, log].filter((one) => one !== undefined);
}

/** Adds what has come after the last of `files`, if that was put aside. */
function addNewer(path: string, files: LogFile[]): void {
  const last = files.at(-1);
  if (identityAt(path) === last?.file.identity) return;
  for (const log of openFiles(path)) {
    const { identity } = log.file;
    if (files.some(({ file }) => file.identity === identity)) {
      log.file[Symbol.dispose]();
    } else files.push(log);
  }
}

/** Leaves out all but the last lines. */
async function skipToTail(files: LogFile[], lines: number): Promise<void> {
  let left = lines;
  for (const log of files.toReversed()) {
    const found = await findTail(log.file, log.end, left);
    log.position = found.position;
    left = found.left;
  }
}

/**
 * Where the last `lines` lines of the first `size` bytes begin, searched from there
 * backwards, and how many lines there were too few.
 */
async function findTail(
  file: OpenFile,
  size: number,
  lines: number,
): Promise<{ readonly position: number; readonly left: number }> {
  if (lines === 0) return { position: size, left: 0 };
  let left = lines;
  const buffer = new Uint8Array(BLOCK_BYTES);
  for (let start = size; start > 0;) {
    const wanted = Math.min(BLOCK_BYTES, start);
    start -= wanted;
    // Less than wanted: truncated meanwhile.
    const length = await file.read(buffer.subarray(0, wanted), start);
    for (let at = length; at > 0;) {
      at = buffer.lastIndexOf(NEWLINE, at - 1);
      if (at < 0) break;
      // The very last newline ends the last line, it doesn't begin another.
      if (start + at + 1 < size && --left === 0) {
        return { position: start + at + 1, left };
      }
    }
  }
  // The first line has no newline before it.
  return { position: 0, left: size > 0 ? left - 1 : left };
}

function checkStream(stream: LogStream): LogStream {
  if (stream === "stdout" || stream === "stderr") return stream;
  throw new ArgumentError(
    `Unknown stream "${stream}": use "stdout" or "stderr"`,
  );
}

/** Checks a number of last lines; `Infinity` is one. */
export function checkTailLines(lines: number): void {
  checkType("tailLines", lines, "number");
  if (lines === Infinity || Number.isSafeInteger(lines) && lines >= 0) return;
  throw new RangeError(
    `Cannot read the last ${lines} lines: give a whole number, 0 or more`,
  );
}
