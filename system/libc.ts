/**
 * The C library: what Deno's own API can't do to files, descriptors and processes.
 *
 * A failing function throws the `Deno.errors` class of its errno, with the errno's name as
 * `code`. `open` is only called with two arguments, which are not variadic on any system. All
 * calls need `--allow-ffi`.
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
/** `poll`: the other side has closed it. */
export const POLLHUP = 16;

/** How {@linkcode open} opens: the flags of open(2) by name. */
export interface OpenOptions {
  /** @default "read" */
  readonly access?: "read" | "write" | "both";
  /** Don't wait for the other side of a pipe. @default {true} */
  readonly nonblocking?: boolean;
  /** Let new processes inherit it. @default {false} */
  readonly inherit?: boolean;
  /** Fail with ELOOP if the path is a link. @default {false} */
  readonly noFollow?: boolean;
  /** Fail with ENOTDIR if the path is no directory. @default {false} */
  readonly directory?: boolean;
  /** Each write goes to the end. @default {false} */
  readonly append?: boolean;
}

/** Opens an existing file and returns its descriptor. open(2); ENXIO: a pipe without a reader. */
export function open(path: string, options: OpenOptions = {}): number {
  const { access = "read", nonblocking = true, inherit = false } = options;
  let flags = OS.open.NOCTTY;
  if (options.noFollow) flags |= OS.open.NOFOLLOW;
  if (options.directory) flags |= OS.open.DIRECTORY;
  if (options.append) flags |= OS.open.APPEND;
  flags |= { read: O_RDONLY, write: O_WRONLY, both: O_RDWR }[access];
  if (nonblocking) flags |= OS.open.NONBLOCK;
  if (!inherit) flags |= OS.open.CLOEXEC;
  return call("open", `Cannot open "${path}"`, cString(path), flags);
}

/** ENOENT, ENXIO, ENOTDIR, ELOOP: the path is nothing, a socket or a link. */
const ABSENT: readonly number[] = [2, 6, 20, OS.errno.ELOOP];

/**
 * Opens `path` for reading, without following a link or waiting for the writer of a pipe.
 * Returns -1 if there is nothing to open: cheaper than an error.
 */
export function openItself(path: string): number {
  const flags = O_RDONLY | OS.open.NOFOLLOW | OS.open.NONBLOCK |
    OS.open.NOCTTY | OS.open.CLOEXEC;
  const fd = attempt("open", cPath(path), flags);
  if (fd >= 0) return fd;
  if (ABSENT.includes(-fd)) return -1;
  throw systemError(-fd, `Cannot open "${path}"`);
}

/** Opens what is at `path`, of whatever type and a link itself, only to refer to it. O_PATH, Linux only. */
export function openPlace(path: string): number {
  const flags = OS.open.PATH | OS.open.NOFOLLOW | OS.open.CLOEXEC;
  return call("open", `Cannot open "${path}"`, cString(path), flags);
}

/** Facts about a file, named as Deno names them. */
export type Facts =
  & Pick<
    Deno.FileInfo,
    | "isFile"
    | "isDirectory"
    | "isSymlink"
    | "isFifo"
    | "size"
    | "uid"
    | "mode"
    | "dev"
    | "ino"
  >
  & { readonly mtime: Date | null };

const EMPTY_PATH = cString("");
const statxBytes = new Uint8Array(256);
const statxView = new DataView(statxBytes.buffer);
const STATX_BASIC_STATS = 0x7ff;

/** The facts about a path, of a link about itself; `undefined` if there are none. statx(2), Linux only. */
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
 * The facts about an open file. statx(2): its structure is the same on every processor. macOS
 * has no statx: there the facts are those of `path`; untested.
 */
export function factsOf(fd: number, path: string): Facts {
  if (!OS.hasStatx) return factsByPath(fd, path);
  const AT_EMPTY_PATH = 0x1000;
  const what = `Cannot look at "${path}"`;
  const mask = STATX_BASIC_STATS;
  call("statx", what, fd, EMPTY_PATH, AT_EMPTY_PATH, mask, statxBytes);
  return statxFacts();
}

/** The facts that the last statx(2) has filled in. */
function statxFacts(): Facts {
  const mode = statxView.getUint16(28, true);
  const type = mode & 0o170000;
  const seconds = Number(statxView.getBigInt64(112, true));
  const nanoseconds = statxView.getUint32(120, true);
  return {
    isFile: type === 0o100000,
    isDirectory: type === 0o040000,
    isSymlink: type === 0o120000,
    isFifo: type === 0o010000,
    size: Number(statxView.getBigUint64(40, true)),
    uid: statxView.getUint32(20, true),
    mode,
    mtime: new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6)),
    dev: makeDevice(
      statxView.getUint32(136, true),
      statxView.getUint32(140, true),
    ),
    ino: Number(statxView.getBigUint64(32, true)),
  };
}

/** The number of a device as in stat(2). makedev(3) */
function makeDevice(major: number, minor: number): number {
  return (major & 0xfff) * 0x100 + (minor & 0xff) +
    (minor >>> 8) * 0x100000 + (major >>> 12) * 0x100000000000;
}

/** The path may be another file by now; but a descriptor without a position is no file in any case. */
function factsByPath(fd: number, path: string): Facts {
  const info = Deno.lstatSync(path);
  const SEEK_END = 2;
  const size = Number(symbol("lseek")(fd, 0, SEEK_END));
  return { ...info, isFile: info.isFile && size >= 0, size };
}

/** Reads from an offset; 0 means the end, -1 that it is no regular file. pread(2) */
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

/** Closes a descriptor and ignores errors: close(2) frees it in any case. */
export function closeQuietly(fd: number): void {
  attempt("close", fd);
}

/** Reads up to `buffer.length` bytes; 0 means the end. read(2); EAGAIN: `Deno.errors.WouldBlock`. */
export function read(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  return call("read", "Cannot read", fd, buffer, BigInt(buffer.length));
}

/** Writes and returns the number of bytes accepted. write(2); EAGAIN: `Deno.errors.WouldBlock`. */
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
      // One read gives all that there is: a short one means the end.
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

/** The text of a file of `/proc` or `/sys`; `undefined` if it can't be read. */
export function readSystemFile(path: string): string | undefined {
  const bytes = readSystemBytes(path);
  return bytes ? new TextDecoder().decode(bytes) : undefined;
}

const EINTR = 4;
const EISDIR = 21;
const ESPIPE = 29;

/**
 * Like {@linkcode read}, for loops that read at full speed, which an error would slow down: -1
 * means nothing yet (EAGAIN), -2 the end or an error (EIO: the other side of a
 * pseudo-terminal was closed).
 */
export function readNow(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const count = attempt("read", fd, buffer, BigInt(buffer.length));
  if (count > 0) return count;
  return count === -OS.errno.EAGAIN || count === -EINTR ? -1 : -2;
}

/** Like {@linkcode write}, in the same way: -1 means that it would block, -2 an error. */
export function writeNow(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  const count = attempt("write", fd, bytes, BigInt(bytes.length));
  if (count >= 0) return count;
  return count === -OS.errno.EAGAIN || count === -EINTR ? -1 : -2;
}

/** Tries to take the lock of an open file, without waiting; tells whether it has it. flock(2) */
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

/** Removes a file of an open directory, and ignores errors. unlinkat(2) */
export function unlinkAt(directory: number, name: string): void {
  symbol("unlinkat")(directory, cString(name), 0);
}

/** Makes a named pipe with mode 0600. mkfifo(3). */
export function mkfifo(path: string): void {
  call("mkfifo", `Cannot make the pipe "${path}"`, cString(path), 0o600);
}

/** The target of a symbolic link, `undefined` if there is none. readlink(2); Deno refuses it below `/proc`. */
export function readLink(path: string): string | undefined {
  const buffer = new Uint8Array(4096);
  const length = Number(symbol("readlink")(cString(path), buffer, 4096n));
  return length < 0
    ? undefined
    : new TextDecoder().decode(buffer.subarray(0, length));
}

/** Sends a signal by number; 0 only checks that the process exists. kill(2) */
export function kill(pid: number, signal: number): void {
  // 0, -1 and -n mean groups, or all processes: never wanted.
  if (!Number.isInteger(pid) || pid <= 0) {
    throw new RangeError(`Cannot signal process ${pid}: not a process id`);
  }
  call("kill", `Cannot signal process ${pid}`, pid, signal);
}

/** Tells whether a process group has a member; a zombie is one. kill(2) */
export function hasGroup(group: number): boolean {
  // -1 means all processes, 0 one's own group.
  if (!Number.isInteger(group) || group <= 1) return false;
  const EPERM = 1;
  return [0, -EPERM].includes(attempt("kill", -group, 0));
}

/**
 * A descriptor that stands for this process, even if its id is used again. It becomes readable
 * when the process ends, and is not inherited. `undefined` on systems without pidfds.
 * pidfd_open(2)
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

/** A variable of this process's environment; needs no `--allow-env`. getenv(3) */
export function getenv(name: string): string | undefined {
  const value = symbol("getenv")(cString(name));
  return value === null ? undefined : readCString(value);
}

/** The effective user id. geteuid(2). */
export function geteuid(): number {
  return symbol("geteuid")();
}

/** Controls whether new processes inherit a descriptor: with close-on-exec they don't. fcntl(2) */
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

/** Makes reads and writes return at once instead of blocking. fcntl(2) */
export function setNonblocking(fd: number): void {
  const what = `Cannot make descriptor ${fd} nonblocking`;
  const flags = call("fcntl", what, fd, F_GETFL, ...FILL, 0n);
  call("fcntl", what, fd, F_SETFL, ...FILL, BigInt(flags | OS.open.NONBLOCK));
}

/**
 * Waits, on a thread of Deno's pool, for an event on one descriptor, but no longer than
 * `timeoutMs` (-1: no limit). Returns the `POLL…` bits, 0 on timeout. poll(2)
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
  // A failed call (EINTR) leaves revents 0, like a timeout: callers loop.
  await symbol("poll")(buffer, 1n, timeoutMs);
  return pollfd.getInt16(6, true);
}

/**
 * Resolves once the other end of a pipe or socket is closed; never for a file. Waits on a thread
 * of Deno's pool, which doesn't keep a program from exiting.
 */
export async function readerGone(fd: number): Promise<void> {
  while (await poll(fd, 0, -1) === 0);
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

/** Prevents a core file when a signal ends this process. setrlimit(2) */
export function disableCoreDumps(): void {
  const RLIMIT_CORE = 4;
  const none = new Uint8Array(16);
  call("setrlimit", "Cannot limit core files", RLIMIT_CORE, none);
}

/** Returns the C library's free memory to the system. malloc_trim(3), glibc only */
export function trimMemory(): void {
  try {
    symbol("malloc_trim")(0n);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
  }
}
