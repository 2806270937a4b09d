/**
 * The C library: what Deno's own API can't do to files, descriptors and processes.
 *
 * Each function turns a negative result into the `Deno.errors` class of its errno,
 * with the errno's name as `code`. `open` is called with two arguments only, which
 * are fixed ones everywhere. All calls need `--allow-ffi`.
 *
 * @module
 */
import {
  attempt,
  call,
  cPath,
  cString,
  FILL,
  hasSymbol,
  readCString,
  symbol,
  systemError,
} from "./ffi.ts";
import { OS } from "./os.ts";

// fcntl.h, poll.h, sys/file.h: the same on every system.
const O_RDONLY = 0;
const O_WRONLY = 1;
export const O_RDWR = 2;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** `poll`: there is something to read. */
export const POLLIN = 1;
/** `poll`: writing will not block. */
export const POLLOUT = 4;
/** `poll`: an error; a pipe without readers. */
export const POLLERR = 8;
/** `poll`: the other side is gone. */
export const POLLHUP = 16;

/** How {@linkcode open} opens: the flags of open(2) by name. */
export interface OpenOptions {
  /** @default "read" */
  readonly access?: "read" | "write" | "both";
  /** Don't wait for the other side of a pipe. @default {true} */
  readonly nonblocking?: boolean;
  /** Let processes started from here on inherit it. @default {false} */
  readonly inherit?: boolean;
  /** Fail with ELOOP if a link stands there. @default {false} */
  readonly noFollow?: boolean;
  /** Fail with ENOTDIR if anything but a directory stands there. @default {false} */
  readonly directory?: boolean;
}

/** Opens an existing file and returns its descriptor. open(2); ENXIO: a pipe without a reader. */
export function open(path: string, options: OpenOptions = {}): number {
  const { access = "read", nonblocking = true, inherit = false } = options;
  let flags = OS.open.NOCTTY;
  if (options.noFollow) flags |= OS.open.NOFOLLOW;
  if (options.directory) flags |= OS.open.DIRECTORY;
  flags |= { read: O_RDONLY, write: O_WRONLY, both: O_RDWR }[access];
  if (nonblocking) flags |= OS.open.NONBLOCK;
  if (!inherit) flags |= OS.open.CLOEXEC;
  return call("open", `Cannot open "${path}"`, cString(path), flags);
}

/** ENOENT, ENXIO, ENOTDIR, ELOOP: nothing is there, or a link, or a socket. */
const ABSENT: readonly number[] = [2, 6, 20, OS.errno.ELOOP];

/**
 * Opens what stands at `path` to read it, no link's target, and without waiting for the
 * writer of a pipe; -1 if there is nothing, without an error to construct.
 */
export function openItself(path: string): number {
  const flags = O_RDONLY | OS.open.NOFOLLOW | OS.open.NONBLOCK |
    OS.open.NOCTTY | OS.open.CLOEXEC;
  const fd = attempt("open", cPath(path), flags);
  if (fd >= 0) return fd;
  if (ABSENT.includes(-fd)) return -1;
  throw systemError(-fd, `Cannot open "${path}"`);
}

/** What is known of a file, in Deno's words. */
export type Facts =
  & Pick<
    Deno.FileInfo,
    | "isFile"
    | "isDirectory"
    | "isSymlink"
    | "isFifo"
    | "size"
    | "uid"
    | "dev"
    | "ino"
  >
  & { readonly mtime: Date | null };

const EMPTY_PATH = cString("");
const statxBytes = new Uint8Array(256);
const statxView = new DataView(statxBytes.buffer);
const STATX_BASIC_STATS = 0x7ff;

/** The facts about what stands at `path`, of a link its own; `undefined` if none can be had. statx(2), Linux only. */
export function factsAt(path: string): Facts | undefined {
  const AT_FDCWD = -100;
  const AT_SYMLINK_NOFOLLOW = 0x100;
  const mask = STATX_BASIC_STATS;
  const at = cPath(path);
  return symbol("statx")(AT_FDCWD, at, AT_SYMLINK_NOFOLLOW, mask, statxBytes)
    ? undefined
    : statxFacts();
}

/**
 * The facts about an open file. statx(2), whose structure is the same on every processor;
 * macOS has none: there `path` is looked at as well, which was never tried.
 */
export function factsOf(fd: number, path: string): Facts {
  if (!OS.hasStatx) return factsByPath(fd, path);
  const AT_EMPTY_PATH = 0x1000;
  const what = `Cannot look at "${path}"`;
  const mask = STATX_BASIC_STATS;
  call("statx", what, fd, EMPTY_PATH, AT_EMPTY_PATH, mask, statxBytes);
  return statxFacts();
}

/** What the last statx(2) has filled in. */
function statxFacts(): Facts {
  const type = statxView.getUint16(28, true) & 0o170000;
  const seconds = Number(statxView.getBigInt64(112, true));
  const nanoseconds = statxView.getUint32(120, true);
  return {
    isFile: type === 0o100000,
    isDirectory: type === 0o040000,
    isSymlink: type === 0o120000,
    isFifo: type === 0o010000,
    size: Number(statxView.getBigUint64(40, true)),
    uid: statxView.getUint32(20, true),
    mtime: new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6)),
    dev: makeDevice(
      statxView.getUint32(136, true),
      statxView.getUint32(140, true),
    ),
    ino: Number(statxView.getBigUint64(32, true)),
  };
}

/** The number of a device as stat(2) has it. makedev(3). */
function makeDevice(major: number, minor: number): number {
  return (major & 0xfff) * 0x100 + (minor & 0xff) +
    (minor >>> 8) * 0x100000 + (major >>> 12) * 0x100000000000;
}

/** The name may mean another file by now, but what has no position is no file in either case. */
function factsByPath(fd: number, path: string): Facts {
  const info = Deno.lstatSync(path);
  const SEEK_END = 2;
  const size = Number(symbol("lseek")(fd, 0, SEEK_END));
  return { ...info, isFile: info.isFile && size >= 0, size };
}

/** Reads from an offset on; 0 is the end. -1: not a file that can be read so. pread(2). */
export function readAt(
  fd: number,
  buffer: Uint8Array<ArrayBuffer>,
  offset: number,
): number {
  const count = attempt("pread", fd, buffer, buffer.length, offset);
  if (count >= 0) return count;
  if (count === -ESPIPE || count === -EISDIR) return -1;
  throw systemError(-count, "Cannot read");
}

/** Closes a descriptor. close(2). */
export function close(fd: number): void {
  call("close", `Cannot close descriptor ${fd}`, fd);
}

/** Closes what was only read: close(2) frees a descriptor whatever it says. */
export function closeQuietly(fd: number): void {
  attempt("close", fd);
}

/** Reads up to `buffer.length` bytes; 0 is the end. read(2); EAGAIN: `Deno.errors.WouldBlock`. */
export function read(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  return call("read", "Cannot read", fd, buffer, BigInt(buffer.length));
}

/** Writes and returns how many bytes were taken. write(2); EAGAIN: `Deno.errors.WouldBlock`. */
export function write(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  return call("write", "Cannot write", fd, bytes, BigInt(bytes.length));
}

/** Grows to the largest of these files, whose size nobody can ask for. */
let scratch = new Uint8Array(16 * 1024);

/**
 * The bytes of a file of `/proc` or `/sys`; `undefined` if it is gone, `null` if it may not
 * be read. Deno itself wants `--allow-all` to read one.
 */
export function readSystemBytes(path: string): Uint8Array | undefined | null {
  let fd = -1;
  try {
    fd = open(path);
    let length = 0;
    for (;;) {
      if (length === scratch.length) {
        const larger = new Uint8Array(length * 4);
        larger.set(scratch);
        scratch = larger;
      }
      const room = scratch.subarray(length);
      const count = read(fd, room);
      length += count;
      // These files give as much as there is: less than the room is the end.
      if (count < room.length) return scratch.slice(0, length);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return null;
    throw error;
  } finally {
    if (fd >= 0) close(fd);
  }
}

/** The text of a file of `/proc` or `/sys`; `undefined` if there is none, or none to read. */
export function readSystemFile(path: string): string | undefined {
  const bytes = readSystemBytes(path);
  return bytes ? new TextDecoder().decode(bytes) : undefined;
}

const EINTR = 4;
const EISDIR = 21;
const ESPIPE = 29;

/**
 * Like {@linkcode read}, without an error to construct when there is nothing:
 * -1 means nothing yet (EAGAIN), -2 the end or an error (EIO: the other side of a
 * pseudo-terminal is gone). For loops that read at full speed.
 */
export function readNow(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const count = attempt("read", fd, buffer, BigInt(buffer.length));
  if (count > 0) return count;
  return count === -OS.errno.EAGAIN || count === -EINTR ? -1 : -2;
}

/** Like {@linkcode write}: -1 means that it would have to wait, -2 an error. */
export function writeNow(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  const count = attempt("write", fd, bytes, BigInt(bytes.length));
  if (count >= 0) return count;
  return count === -OS.errno.EAGAIN || count === -EINTR ? -1 : -2;
}

/** Takes the lock of an open file and tells whether that worked, without waiting. flock(2). */
export function tryFlock(fd: number, kind: "shared" | "exclusive"): boolean {
  try {
    const operation = (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB;
    call("flock", "Cannot lock", fd, operation);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.WouldBlock) return false;
    throw error;
  }
}

/** Removes a file of an open directory, if it is there and can be removed. unlinkat(2). */
export function unlinkAt(directory: number, name: string): void {
  symbol("unlinkat")(directory, cString(name), 0);
}

/** Makes a named pipe with mode 0600. mkfifo(3). */
export function mkfifo(path: string): void {
  call("mkfifo", `Cannot make the pipe "${path}"`, cString(path), 0o600);
}

/** Where a symbolic link leads, `undefined` if there is none. readlink(2); Deno refuses it below `/proc`. */
export function readLink(path: string): string | undefined {
  const buffer = new Uint8Array(4096);
  const length = Number(symbol("readlink")(cString(path), buffer, 4096n));
  return length < 0
    ? undefined
    : new TextDecoder().decode(buffer.subarray(0, length));
}

/** Sends a signal by number; 0 only asks whether the process exists. kill(2). */
export function kill(pid: number, signal: number): void {
  // 0, -1 and -n mean groups, or everybody: never here.
  if (!Number.isInteger(pid) || pid <= 0) {
    throw new RangeError(`Cannot signal process ${pid}: not a process id`);
  }
  call("kill", `Cannot signal process ${pid}`, pid, signal);
}

/**
 * A descriptor that means this process for good, whatever becomes of its number;
 * readable once it has ended; not inherited. `undefined` where the system has no
 * such thing. pidfd_open(2).
 */
export function pidfdOpen(pid: number): number | undefined {
  if (!hasSymbol("pidfd_open")) return undefined;
  try {
    return call("pidfd_open", `Cannot open process ${pid}`, pid, 0);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    return undefined; // ENOSYS of an old kernel, EPERM of an old sandbox.
  }
}

/** Sends a signal by number to the process of a {@linkcode pidfdOpen}. pidfd_send_signal(2). */
export function pidfdSendSignal(pidfd: number, signal: number): void {
  call("pidfd_send_signal", "Cannot signal process", pidfd, signal, null, 0);
}

/** Tells whether a process exists, a zombie included. kill(2). */
export function processExists(pid: number): boolean {
  try {
    kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.PermissionDenied) return true;
    throw error;
  }
}

/** The id of the session that a process belongs to. getsid(2). */
export function getsid(pid: number): number {
  return call("getsid", `Cannot get the session of process ${pid}`, pid);
}

/** A variable of this process's environment, without a permission for it. getenv(3). */
export function getenv(name: string): string | undefined {
  const value = symbol("getenv")(cString(name));
  return value === null ? undefined : readCString(value);
}

/** The effective user id. geteuid(2). */
export function geteuid(): number {
  return symbol("geteuid")();
}

/** Keeps a descriptor from being inherited by what is started from here on, or no longer. fcntl(2). */
export function setCloseOnExec(fd: number, on = true): void {
  const what = `Cannot set close-on-exec on descriptor ${fd}`;
  call("fcntl", what, fd, F_SETFD, ...FILL, BigInt(on ? FD_CLOEXEC : 0));
}

/** Gives an open file, not inherited, a descriptor of at least `least`; the old one is closed. fcntl(2) */
export function moveUp(fd: number, least: number): number {
  if (fd >= least) return fd;
  const what = `Cannot duplicate descriptor ${fd}`;
  try {
    const { F_DUPFD_CLOEXEC } = OS;
    return call("fcntl", what, fd, F_DUPFD_CLOEXEC, ...FILL, BigInt(least));
  } finally {
    closeQuietly(fd);
  }
}

/** Makes reads and writes of a descriptor return at once. fcntl(2). */
export function setNonblocking(fd: number): void {
  const what = `Cannot make descriptor ${fd} nonblocking`;
  const flags = call("fcntl", what, fd, F_GETFL, ...FILL, 0n);
  call("fcntl", what, fd, F_SETFL, ...FILL, BigInt(flags | OS.open.NONBLOCK));
}

/**
 * Waits, on a thread of Deno's pool, until something happens to one descriptor
 * or `timeoutMs` is over (-1: for ever); returns the `POLL…` bits, 0 on timeout. poll(2).
 */
export async function poll(
  fd: number,
  events: number,
  timeoutMs: number,
): Promise<number> {
  const pollfd = new DataView(new ArrayBuffer(8));
  pollfd.setInt32(0, fd, true);
  pollfd.setInt16(4, events, true);
  const buffer = new Uint8Array(pollfd.buffer);
  // A failed call (EINTR) leaves revents 0, which reads as a timeout: callers loop.
  await symbol("poll")(buffer, 1n, timeoutMs);
  return pollfd.getInt16(6, true);
}

/** The default effect of a signal, as a handler. signal.h */
export const SIG_DFL = 0n;
/** Ignoring a signal, as a handler. */
export const SIG_IGN = 1n;

/**
 * What a process does at a signal, struct sigaction. On Linux (x86-64, arm64) and macOS the
 * handler comes first; all else is opaque, and the room is larger than any system's structure.
 */
export type SignalAction = BigUint64Array<ArrayBuffer>;

/** An action with nothing but a handler. */
export function actionWith(handler: bigint): SignalAction {
  const action = new BigUint64Array(32);
  action[0] = handler;
  return action;
}

/** What this process does at a signal. sigaction(2) */
export function signalAction(signal: number): SignalAction {
  const action = new BigUint64Array(32);
  call("sigaction", `Cannot look at signal ${signal}`, signal, null, action);
  return action;
}

/** Sets what this process does at a signal. sigaction(2) */
export function setSignalAction(signal: number, action: SignalAction): void {
  call("sigaction", `Cannot set signal ${signal}`, signal, action, null);
}

/** Gives a signal its default effect again; SIGKILL, for one, never has another. sigaction(2) */
export function resetSignal(signal: number): void {
  symbol("sigaction")(signal, actionWith(SIG_DFL), null);
}

/** Keeps this process from leaving a core file when a signal ends it. setrlimit(2). */
export function disableCoreDumps(): void {
  const RLIMIT_CORE = 4;
  const none = new Uint8Array(16);
  call("setrlimit", "Cannot limit core files", RLIMIT_CORE, none);
}

/** Gives memory that is free in the C library back to the system. malloc_trim(3), glibc only. */
export function trimMemory(): void {
  try {
    symbol("malloc_trim")(0n);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
  }
}
