/**
 * Positions in a log: one file, or two while the relay of a terminal keeps an older one.
 *
 * A log is only ever appended to by the agent. It may be missing (empty), truncated by
 * somebody (read from its beginning again, as tail(1) does), deleted (the open
 * descriptor still gives the rest), or put aside as `.1` for a new one (read to its
 * end, then the new one from its beginning; see relay/journal.ts).
 *
 * @module
 */
import {
  identityAt,
  isAbsence,
  lastingIdentityOf,
  type OpenFile,
  openFile,
} from "../system/files.ts";

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 10;

/** A place in a stream's log. It can be kept as JSON: it is good for as long as the log is kept. */
export interface LogPosition {
  /** The file: a terminal's log is continued in a new one now and then. */
  readonly file: string;
  /** Bytes from the beginning of that file. */
  readonly offset: number;
  /**
   * When the file was last written, in milliseconds, if this was its end. A terminal's output
   * changes it also where the file can't grow: a full disk, `ulimit -f`.
   */
  readonly writtenAt?: number;
}

/** The end of the log at `path` as it is now; `null` if there is no log. */
export function endOfLog(path: string): LogPosition | null {
  try {
    const info = Deno.lstatSync(path);
    const writtenAt = info.mtime?.getTime() ?? 0;
    return { file: lastingIdentityOf(info), offset: info.size, writtenAt };
  } catch (error) {
    if (isAbsence(error)) return null;
    throw error;
  }
}

/** How many bytes the log at `path` has behind a position; `undefined` if it no longer goes back so far. */
export function bytesSince(
  path: string,
  from: LogPosition | null,
): number | undefined {
  const log = endOfLog(path);
  const older = endOfLog(`${path}.1`);
  const length = log?.offset ?? 0;
  const isOlder = older !== null && older.file !== log?.file &&
    older.file === from?.file;
  if (!isOlder && log?.file !== from?.file) return undefined;
  const bytes = length - (from?.offset ?? 0) + (isOlder ? older.offset : 0);
  return bytes < 0 ? undefined : bytes;
}

/** A position in a log that may be missing, or appear. */
export interface Log extends Disposable {
  /**
   * Notes the log's size; `false` if there is no log.
   *
   * @param isStill Tells whether the path still means this session: else a file that has just been
   * opened there is left out. @default {() => true}
   */
  mark(isStill?: () => boolean): boolean;
  /** The next bytes before the mark, `undefined` at it. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Whether there is output before the position at which reading has begun. */
  readonly isCut: boolean;
  /** What was read last ends here; `null` before that. */
  readonly position: LogPosition | null;
}

/**
 * Where reading begins: at a position, `null` for the beginning, and before the last lines and the
 * last bytes of what the first mark notes.
 */
export interface LogStart {
  readonly from?: LogPosition | null;
  /** @default {Infinity} */
  readonly lines?: number;
  /** @default {Infinity} */
  readonly bytes?: number;
}

/** Opens the log at `path` with the first {@linkcode Log.mark}. */
export function openLog(path: string, start: LogStart): Log {
  /** The files to read, in order; a new one is added when the last was renamed to `.1`. */
  let files: LogFile[] = [];
  let hasBegun = false;
  let isCut = false;
  let position: LogPosition | null = null;
  let buffer: Uint8Array<ArrayBuffer> | undefined;
  const begin = async () => {
    hasBegun = true;
    const { from, lines = Infinity, bytes = Infinity } = start;
    if (from !== undefined) files = skipToPosition(files, from);
    if (lines !== Infinity) await skipToLines(files, lines);
    if (bytes !== Infinity) skipToBytes(files, bytes);
    isCut = files.some(({ position }) => position > 0);
  };
  return {
    get isCut() {
      return isCut;
    },
    get position() {
      return position;
    },
    mark(isStill = () => true) {
      const known = files.length;
      if (known === 0) files = openFiles(path);
      else addNewer(path, files);
      // Asked once they are open: before, the answer could change until then.
      if (files.length > known && !isStill()) {
        for (const { file } of files.splice(known)) file[Symbol.dispose]();
      }
      for (const log of files) {
        log.end = log.file.size();
        // Truncated: everything written since then is at the beginning.
        if (log.end < log.position) log.position = 0;
      }
      return files.length > 0;
    },
    async read() {
      if (!hasBegun) await begin();
      for (;;) {
        const [log, ...newer] = files;
        if (log === undefined) return undefined;
        if (log.position < log.end) {
          buffer ??= new Uint8Array(BLOCK_BYTES);
          const wanted = Math.min(log.end - log.position, BLOCK_BYTES);
          const room = buffer.subarray(0, wanted);
          const length = await log.file.read(room, log.position);
          log.position += length;
          position = { file: log.key, offset: log.position };
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
  /** The file of its {@linkcode LogPosition}s. */
  readonly key: string;
  position: number;
  end: number;
}

function openLogFile(path: string): LogFile | undefined {
  const file = openFile(path);
  // If it is put aside in between, this position will not be found again.
  const key = endOfLog(path)?.file ?? "";
  return file && { file, key, position: 0, end: 0 };
}

/** A log and, before it, the older one that a relay has put aside. */
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

/** Adds the new log, if the last of `files` was put aside. */
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

/** Leaves out what is before a position; nothing if its file is gone or was truncated. */
function skipToPosition(
  files: LogFile[],
  from: LogPosition | null,
): LogFile[] {
  const at = files.findIndex(({ key }) => key === from?.file);
  if (at < 0) return files;
  for (const { file } of files.slice(0, at)) file[Symbol.dispose]();
  const left = files.slice(at);
  const [log] = left;
  if (from!.offset <= log!.end) log!.position = from!.offset;
  return left;
}

/** Leaves out all but the last bytes. */
function skipToBytes(files: LogFile[], bytes: number): void {
  let left = bytes;
  for (const log of files.toReversed()) {
    log.position = Math.max(log.position, log.end - left);
    left -= log.end - log.position;
  }
}

/** Leaves out all but the last lines. */
async function skipToLines(files: LogFile[], lines: number): Promise<void> {
  let left = lines;
  for (const log of files.toReversed()) {
    const found = await findTail(log.file, log.end, left);
    log.position = found.position;
    left = found.left;
  }
}

/**
 * Where the last `lines` lines of the first `size` bytes begin, searched backwards from
 * there, and how many lines are missing.
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
