/**
 * Files that may be hostile: whoever may write to their directory may put a pipe, a link or
 * a device in their place, at any moment.
 *
 * A file is opened without following a link and without waiting, and then it is the opened
 * file that is looked at, not its name: there is no moment between look and opening. Deno's
 * own open(2) waits for the writer of a pipe, so libc opens. Without `--allow-ffi`, and on
 * Windows, Deno opens, and the look comes before: what is swapped in that moment makes it
 * wait. Reading is bounded; a small file that has grown is no small file.
 *
 * libc asks for no permission of Deno: unless all may be read, Deno looks at the file first.
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

/** A regular file that is open for reading. */
export interface OpenFile extends Disposable {
  /** Its device and inode; no other file has them as long as it is open. */
  readonly identity: string;
  /** Its size now, in bytes. */
  size(): number;
  /** Reads from an offset on and tells how many bytes; 0 at the end. */
  readNow(buffer: Uint8Array<ArrayBuffer>, offset: number): number;
  /** The same, and lets other work go on between two full buffers. */
  read(buffer: Uint8Array<ArrayBuffer>, offset: number): Promise<number>;
  /** Takes its lock, without waiting, and tells whether that worked. flock(2). */
  tryLock(kind: "shared" | "exclusive"): boolean;
}

/** How much of a file is read if not told otherwise, in bytes. */
const SMALL_BYTES = 64 * 1024;

/** Whether libc opens, and whether Deno has to be asked before; found at the first file. */
let usesLibc: boolean | undefined;
let readsAll = false;

/** Asked, not tried: on a terminal Deno would ask the user for what it takes. */
function libcOpens(): boolean {
  const granted = (name: "ffi" | "read") =>
    Deno.permissions.querySync({ name }).state === "granted";
  if (usesLibc === undefined) {
    usesLibc = Deno.build.os !== "windows" && granted("ffi");
    readsAll = usesLibc && granted("read");
  }
  return usesLibc;
}

/** Compiles the calls that reading takes, see ffi.ts: 2 ms, which hundreds of files are worth. */
export function readQuickly(): void {
  if (libcOpens()) compile(["open", "pread", "close", "statx"]);
}

/** The descriptor of a file, by libc; -1 if there is none. */
function openByLibc(path: string): number {
  if (!readsAll && statOptional(path) === undefined) return -1;
  return openItself(path);
}

/** Small at first: most files are, and memory that was never touched costs a cold start. */
let buffer = new Uint8Array(4096);
// With a byte order mark JSON is none, as ever.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The text of a file; `undefined` if there is none, if what stands there is no file, or if
 * it has more than `maxBytes`.
 */
export function readFile(
  path: string,
  maxBytes = SMALL_BYTES,
): string | undefined {
  if (libcOpens()) {
    const fd = openByLibc(path);
    if (fd < 0) return undefined;
    try {
      // Neither pipe nor directory can be read at an offset: no look is needed.
      return readText((room, offset) => readAt(fd, room, offset), maxBytes);
    } finally {
      closeQuietly(fd);
    }
  }
  using file = openFile(path);
  return file && textOf(file, maxBytes);
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
    // A file gives as much as there is: less than the room is the end.
    if (count < room.length) return decoder.decode(buffer.subarray(0, length));
  }
}

/** The text of an open file; `undefined` if it has more than `maxBytes`. */
export function textOf(
  file: OpenFile,
  maxBytes = SMALL_BYTES,
): string | undefined {
  return readText((room, offset) => file.readNow(room, offset), maxBytes);
}

/** Opens a file for reading; `undefined` if there is none, or what stands there is no file. */
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
    // A pause of no length, on another thread: whoever reads on and on keeps nobody waiting.
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

/** The {@linkcode OpenFile.identity} that facts tell. */
export function identityOf({ dev, ino }: Pick<Facts, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

/** The {@linkcode OpenFile.identity} of what stands at `path`; `undefined` if there is nothing. */
export function identityAt(path: string): string | undefined {
  try {
    return identityOf(Deno.lstatSync(path));
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** Tells whether an error says that there is nothing at a path. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

/** Tells whether there is something at `path`, a dangling link included. */
export function exists(path: string): boolean {
  return identityAt(path) !== undefined;
}

/**
 * The facts about a file, of a link its own; `undefined` if there is none, or none to see.
 * Without a time if that is one that no date can tell, as somebody may set it.
 */
export function statOptional(path: string): Facts | undefined {
  const info = lookAt(path);
  if (!Number.isNaN(info?.mtime?.getTime())) return info;
  return { ...info!, mtime: null };
}

function lookAt(path: string): Facts | undefined {
  if (libcOpens() && readsAll && Deno.build.os === "linux") {
    return factsAt(path);
  }
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

/** Removes a file or a whole directory, links in it as links; nothing there is fine. */
export function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Makes a file anew: into what is there, or where a link leads, nothing is written. Mode 0600. */
export function makeFile(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { createNew: true, mode: OWN });
  restoreMode(path);
}

/** The mode of a session's files. */
const OWN = 0o600;

/** Gives what was just made at `path` mode 0600, if the umask has taken something away. */
export function restoreMode(path: string): void {
  const { mode } = Deno.lstatSync(path);
  if (mode !== null && (mode & 0o777) !== OWN) Deno.chmodSync(path, OWN);
}

/**
 * Writes a file whole or not at all: under a temporary name that nobody can have taken,
 * then rename(2). Mode 0600.
 */
export function writeAtomic(path: string, text: string): void {
  const random = Math.random().toString(36).slice(2, 10);
  const temporary = `${path}.${Deno.pid}.${random}tmp`;
  // Anew or not at all: what stands there, a link for one, is not written to.
  try {
    makeFile(temporary, text);
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was never there.
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
