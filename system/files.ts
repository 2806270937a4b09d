/**
 * Files that may be hostile: a program that may write to their directory can put a pipe, a link
 * or a device in their place at any moment.
 *
 * A file is opened without following a link and without waiting. Then the opened file is
 * checked, not its path, so that nothing can be swapped in between. Deno's own open(2) waits for
 * the writer of a pipe, so libc opens files. Without `--allow-ffi`, and on Windows, Deno checks
 * the path and then opens it: a pipe that is swapped in between makes it wait. Reads are
 * bounded: a small file that has grown too large can't be read.
 *
 * libc ignores Deno's permissions. So unless everything may be read, Deno checks the path first.
 *
 * @module
 */
import { resolve } from "../std.ts";
import { compile } from "./ffi.ts";
import {
  closeQuietly,
  type Facts,
  factsAt,
  factsOf,
  openItself,
  poll,
  readAt,
  tryFlock,
} from "./libc.ts";
import { OS } from "./os.ts";

/** A regular file that is open for reading. */
export interface OpenFile extends Disposable {
  /** Its device and inode: unique as long as it is open. */
  readonly identity: string;
  /** Its size now, in bytes. */
  size(): number;
  /** Reads from an offset and returns the number of bytes; 0 at the end. */
  readNow(buffer: Uint8Array<ArrayBuffer>, offset: number): number;
  /** The same, but lets other work run after each full buffer. */
  read(buffer: Uint8Array<ArrayBuffer>, offset: number): Promise<number>;
  /** Tries to take its lock, without waiting; tells whether it has it. flock(2) */
  tryLock(kind: "shared" | "exclusive"): boolean;
}

/** The largest file that is read by default, in bytes. */
const SMALL_BYTES = 64 * 1024;

/** Whether libc opens files, and whether it may read all of them; found at the first file. */
let usesLibc: boolean | undefined;
let readsAll = false;

/** Tells whether Deno has a permission. Trying instead would prompt the user on a terminal. */
export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** Whether `/proc` can be read through libc. Without it, ps(1) would have to be started. */
export function readsProc(): boolean {
  return OS.hasProc && isGranted({ name: "ffi" });
}

function libcOpens(): boolean {
  if (usesLibc === undefined) {
    usesLibc = OS.libraries.length > 0 && isGranted({ name: "ffi" });
    readsAll = usesLibc && isGranted({ name: "read" });
  }
  return usesLibc;
}

/** Compiles the calls that read files, see ffi.ts: it takes 2 ms and pays for hundreds of files. */
export function readQuickly(): void {
  if (libcOpens()) compile(["open", "pread", "close", "statx"]);
}

/** The descriptor of a file, by libc; -1 if there is none. */
function openByLibc(path: string): number {
  if (!readsAll && statOptional(path) === undefined) return -1;
  return openItself(path);
}

/** Small at first, like most files: touching new memory takes time at a cold start. */
let buffer = new Uint8Array(4096);
// A byte order mark stays, and JSON.parse() rejects it.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The text of a file; `undefined` if there is none, if it is no regular file, or if it is
 * larger than `maxBytes`.
 */
export function readFile(
  path: string,
  maxBytes = SMALL_BYTES,
): string | undefined {
  if (libcOpens()) {
    const fd = openByLibc(path);
    if (fd < 0) return undefined;
    try {
      // A pipe or directory can't be read at an offset: no check is needed.
      return readText((room, offset) => readAt(fd, room, offset), maxBytes);
    } finally {
      closeQuietly(fd);
    }
  }
  using file = openFile(path);
  return file && textOf(file, maxBytes);
}

/**
 * The value in a JSON file of a session, unchecked; `undefined` if there is no such file, or it
 * is longer than `maxBytes`, or holds no JSON.
 */
export function readJsonFile(path: string, maxBytes: number): unknown {
  const text = readFile(path, maxBytes);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function readText(
  read: (room: Uint8Array<ArrayBuffer>, offset: number) => number,
  maxBytes: number,
): string | undefined {
  for (let length = 0;;) {
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(length * 4, maxBytes + 1));
      larger.set(buffer);
      buffer = larger;
    }
    const room = buffer.subarray(length, maxBytes + 1);
    const count = read(room, length);
    if (count < 0) return undefined;
    length += count;
    if (length > maxBytes) return undefined;
    // One read gives all that there is: a short one means the end.
    if (count < room.length) return decoder.decode(buffer.subarray(0, length));
  }
}

/** The text of an open file; `undefined` if it is larger than `maxBytes`. */
export function textOf(
  file: OpenFile,
  maxBytes = SMALL_BYTES,
): string | undefined {
  return readText((room, offset) => file.readNow(room, offset), maxBytes);
}

/** Opens a file for reading; `undefined` if there is none, or if it is no regular file. */
export function openFile(path: string): OpenFile | undefined {
  if (!libcOpens()) return openByDeno(path);
  const fd = openByLibc(path);
  if (fd < 0) return undefined;
  try {
    const facts = factsOf(fd, path);
    if (facts.isFile) return new Descriptor(fd, path, identityOf(facts));
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
  closeQuietly(fd);
  return undefined;
}

class Descriptor implements OpenFile {
  readonly identity: string;
  readonly #path: string;
  #fd: number;

  constructor(fd: number, path: string, identity: string) {
    this.#fd = fd;
    this.#path = path;
    this.identity = identity;
  }

  size(): number {
    return factsOf(this.#fd, this.#path).size;
  }

  readNow(buffer: Uint8Array<ArrayBuffer>, offset: number): number {
    return Math.max(0, readAt(this.#fd, buffer, offset));
  }

  async read(
    buffer: Uint8Array<ArrayBuffer>,
    offset: number,
  ): Promise<number> {
    const count = this.readNow(buffer, offset);
    // An empty pause, on another thread: a long series of reads must not block other work.
    if (count === buffer.length) await poll(-1, 0, 0);
    return count;
  }

  tryLock(kind: "shared" | "exclusive"): boolean {
    return tryFlock(this.#fd, kind);
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }
}

function openByDeno(path: string): OpenFile | undefined {
  try {
    if (!Deno.lstatSync(path).isFile) return undefined;
    return new DenoFile(Deno.openSync(path));
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

class DenoFile implements OpenFile {
  readonly #file: Deno.FsFile;
  readonly identity: string;

  constructor(file: Deno.FsFile) {
    this.#file = file;
    this.identity = identityOf(file.statSync());
  }

  size(): number {
    return this.#file.statSync().size;
  }

  readNow(buffer: Uint8Array<ArrayBuffer>, offset: number): number {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    return this.#file.readSync(buffer) ?? 0;
  }

  async read(
    buffer: Uint8Array<ArrayBuffer>,
    offset: number,
  ): Promise<number> {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    return await this.#file.read(buffer) ?? 0;
  }

  tryLock(kind: "shared" | "exclusive"): boolean {
    return this.#file.tryLockSync(kind === "exclusive");
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** The {@linkcode OpenFile.identity} of a file with these facts. */
export function identityOf({ dev, ino }: Pick<Facts, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

/** Tells a file from every other one, also from one that gets its inode's number later. */
export function lastingIdentityOf(info: Deno.FileInfo): string {
  return `${identityOf(info)}:${info.birthtime?.getTime() ?? ""}`;
}

/** The {@linkcode OpenFile.identity} of a path; `undefined` if there is nothing. */
export function identityAt(path: string): string | undefined {
  try {
    return identityOf(Deno.lstatSync(path));
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/**
 * What tells whether a path still means the directory that it means now. Without an answer, as
 * after a removal, it doesn't.
 */
export function placeAt(dir: string): () => boolean {
  const identity = () => {
    const facts = statOptional(dir);
    return facts && identityOf(facts);
  };
  const first = identity();
  return () => first !== undefined && identity() === first;
}

/** Tells whether an error means that a path doesn't exist. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

/** Tells whether a path exists; a dangling link does. */
export function exists(path: string): boolean {
  return identityAt(path) !== undefined;
}

/**
 * The facts about a file, of a link about itself; `undefined` if there are none. `mtime` is
 * `null` if no `Date` can hold it: anybody may set such a time.
 */
export function statOptional(path: string): Facts | undefined {
  const info = lookAt(path);
  if (!Number.isNaN(info?.mtime?.getTime())) return info;
  return { ...info!, mtime: null };
}

function lookAt(path: string): Facts | undefined {
  if (libcOpens() && readsAll && OS.hasStatx) {
    return factsAt(path);
  }
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

/** Removes a file or a whole directory, without following links; a missing one is fine. */
export function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Creates a file with mode 0600; never writes to an existing file or through a link. */
export function makeFile(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { createNew: true, mode: OWN });
  restoreMode(path);
}

/** The mode of a session's files. */
const OWN = 0o600;

/** Gives a new file mode 0600, if the umask has removed bits. */
export function restoreMode(path: string): void {
  const { mode } = Deno.lstatSync(path);
  if (mode !== null && (mode & 0o777) !== OWN) Deno.chmodSync(path, OWN);
}

/**
 * Writes a whole file or none, with mode 0600: under a temporary name that nobody can guess,
 * then by rename(2).
 */
export function writeAtomic(path: string, text: string): void {
  const random = Math.random().toString(36).slice(2, 10);
  const temporary = `${path}.${Deno.pid}.${random}tmp`;
  // Created, never opened: an existing file or link is not written to.
  try {
    makeFile(temporary, text);
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was never made.
    }
    throw error;
  }
}

/** Where {@linkcode findProgram} looks. */
export interface SearchOptions {
  /** The value of `PATH`. @default {"/usr/local/bin:/usr/bin:/bin"} */
  readonly path?: string;
  /** Where a relative path starts. @default {Deno.cwd()} */
  readonly cwd?: string;
}

/**
 * The absolute path of a program, which is given as a path or as a name to be found on
 * `PATH`; `undefined` if there is no file that somebody may execute. Needs `--allow-read` of
 * the directories.
 */
export function findProgram(
  program: string,
  options: SearchOptions = {},
): string | undefined {
  const { path = "/usr/local/bin:/usr/bin:/bin", cwd = "" } = options;
  for (const folder of program.includes("/") ? [""] : path.split(":")) {
    try {
      const file = resolve(cwd, folder, program);
      const { isFile, mode } = Deno.statSync(file);
      if (isFile && ((mode ?? 0o111) & 0o111) !== 0) return file;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
    }
  }
  return undefined;
}
