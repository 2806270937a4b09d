/**
 * The C library, by FFI: what Deno's own API can't do.
 *
 * Nothing is opened at import; the first call opens the library. Each function
 * turns a negative result into the `Deno.errors` class of its errno, with the
 * errno's name as `code`. Linux (glibc and musl) and macOS; untested on macOS.
 *
 * Variadic functions (`fcntl`, `ioctl`) take their variadic argument on the
 * stack on Apple silicon and in a register elsewhere. {@linkcode VARIADIC}
 * fills the remaining argument registers there, so that it lands on the stack.
 * `open` is called with two arguments only, which are fixed ones everywhere.
 *
 * All calls need `--allow-ffi`.
 *
 * @module
 */

const darwin = Deno.build.os === "darwin";

/** Registers to fill before a variadic argument reaches the stack. */
const VARIADIC = darwin && Deno.build.arch === "aarch64" ? 6 : 0;
const FILL = new Array<0>(VARIADIC).fill(0);

// fcntl.h, sys/ioctl.h, poll.h, sys/file.h of Linux (x86-64, arm64) and macOS.
const O_CLOEXEC = darwin ? 0x1000000 : 0o2000000;
const O_NONBLOCK = darwin ? 0x4 : 0o4000;
const O_NOCTTY = darwin ? 0x20000 : 0o400;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const TIOCSWINSZ = darwin ? 0x80087467n : 0x5414n;
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

const int = (count: number) => new Array<"i32">(count).fill("i32");

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  getsid: { parameters: ["i32"], result: "i32" },
  // Linux only, and only with glibc 2.36 or later: null elsewhere.
  pidfd_open: { parameters: ["i32", "u32"], result: "i32", optional: true },
  pidfd_send_signal: {
    parameters: ["i32", "i32", "pointer", "u32"],
    result: "i32",
    optional: true,
  },
  geteuid: { parameters: [], result: "u32" },
  fcntl: {
    parameters: ["i32", "i32", ...int(VARIADIC), "i64"],
    result: "i32",
  },
  ioctl: {
    parameters: ["i32", "u64", ...int(VARIADIC), "buffer"],
    result: "i32",
  },
  poll: {
    parameters: ["buffer", "u64", "i32"],
    result: "i32",
    nonblocking: true,
  },
  posix_openpt: { parameters: ["i32"], result: "i32" },
  grantpt: { parameters: ["i32"], result: "i32" },
  unlockpt: { parameters: ["i32"], result: "i32" },
  ptsname: { parameters: ["i32"], result: "pointer" },
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "pointer" },
  // glibc only.
  malloc_trim: { parameters: ["usize"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
  __error: { parameters: [], result: "pointer" },
} as const;

type Name = keyof typeof SYMBOLS;
const ERRNO: Name = darwin ? "__error" : "__errno_location";
// deno-lint-ignore no-explicit-any
type Function_ = (...args: any[]) => any;
const loaded = new Map<Name, Function_>();
let library: string | undefined;

/** The C library's file names, most likely first. */
function candidates(): string[] {
  if (library !== undefined) return [library];
  if (darwin) return ["libSystem.B.dylib"];
  const arch = Deno.build.arch === "x86_64" ? "x86_64" : "aarch64";
  return ["libc.so.6", `libc.musl-${arch}.so.1`, "libc.so"];
}

/** One function. Deno compiles a trampoline for each (0.2 ms), so each is loaded at its first use. */
function symbol(name: Name): Function_ {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported("There is no libc on Windows");
  }
  // Loading would overwrite the errno that is to be read: it comes before all.
  if (name !== ERRNO) symbol(ERRNO);
  let failure: unknown;
  for (const file of candidates()) {
    try {
      const opened = Deno.dlopen(file, { [name]: SYMBOLS[name] });
      const found = opened.symbols[name] as unknown as Function_;
      library = file;
      loaded.set(name, found);
      return found;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      failure = error;
    }
  }
  throw new Deno.errors.NotSupported(
    `Cannot find ${name} in the C library: tried ${candidates().join(", ")}`,
    { cause: failure },
  );
}

/** What {@linkcode checkSymbols} has found. */
export interface Symbols {
  /** The file name of the C library. */
  readonly library: string | undefined;
  /** How many functions it was asked for. */
  readonly count: number;
  /** Those that nothing works without and that are not there. */
  readonly missing: readonly string[];
  /** Those that are not there and can be done without. */
  readonly lacking: readonly string[];
}

/** Loads every function that this module may call: what a system lacks, before it is needed. */
export function checkSymbols(): Symbols {
  const spare: Name[] = ["pidfd_open", "pidfd_send_signal", "malloc_trim"];
  const wanted = (Object.keys(SYMBOLS) as Name[]).filter((name) =>
    name === ERRNO || (name !== "__error" && name !== "__errno_location")
  );
  const absent = wanted.filter((name) => {
    try {
      return !symbol(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotSupported)) throw error;
      return true;
    }
  });
  return {
    library,
    count: wanted.length,
    missing: absent.filter((name) => !spare.includes(name)),
    lacking: absent.filter((name) => spare.includes(name)),
  };
}

type ErrorClass = new (message: string, options?: ErrorOptions) => Error;

/** errno to name and class; the numbers that differ are given as [Linux, macOS]. */
const ERRORS: readonly [number, number, string, ErrorClass][] = [
  [1, 1, "EPERM", Deno.errors.PermissionDenied],
  [2, 2, "ENOENT", Deno.errors.NotFound],
  [3, 3, "ESRCH", Deno.errors.NotFound],
  [4, 4, "EINTR", Deno.errors.Interrupted],
  [6, 6, "ENXIO", Deno.errors.NotFound],
  [9, 9, "EBADF", Deno.errors.BadResource],
  [11, 35, "EAGAIN", Deno.errors.WouldBlock],
  [13, 13, "EACCES", Deno.errors.PermissionDenied],
  [17, 17, "EEXIST", Deno.errors.AlreadyExists],
  [20, 20, "ENOTDIR", Deno.errors.NotADirectory],
  [21, 21, "EISDIR", Deno.errors.IsADirectory],
  [32, 32, "EPIPE", Deno.errors.BrokenPipe],
  [40, 62, "ELOOP", Deno.errors.FilesystemLoop],
];

const OTHER_NAMES: Readonly<Record<number, string>> = {
  5: "EIO",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
};

/** The calling thread's errno: valid directly after a failed, not nonblocking, call. */
function errno(): number {
  const where = symbol(ERRNO)();
  return new Deno.UnsafePointerView(where).getInt32();
}

function systemError(number: number, what: string): Error {
  const known = ERRORS.find((row) => row[darwin ? 1 : 0] === number);
  const code = known?.[2] ?? OTHER_NAMES[number] ?? `errno ${number}`;
  const Class = known?.[3] ?? Error;
  return Object.assign(new Class(`${what}: ${code}`), { code });
}

/** Calls `name`; a negative result becomes an error that begins with `what`. */
function call(name: Name, what: string, ...args: unknown[]): number {
  const result = Number(symbol(name)(...args));
  if (result < 0) throw systemError(errno(), what);
  return result;
}

const encoder = new TextEncoder();

function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError("A path can't hold a NUL character");
  }
  return encoder.encode(text + "\0");
}

/** How {@linkcode open} opens: the flags of open(2) by name. */
export interface OpenOptions {
  /** @default "read" */
  readonly access?: "read" | "write" | "both";
  /** Don't wait for the other side of a pipe. @default {true} */
  readonly nonblocking?: boolean;
  /** Let processes started from here on inherit it. @default {false} */
  readonly inherit?: boolean;
}

/** Opens an existing file and returns its descriptor. open(2); ENXIO: a pipe without a reader. */
export function open(path: string, options: OpenOptions = {}): number {
  const { access = "read", nonblocking = true, inherit = false } = options;
  let flags = O_NOCTTY;
  flags |= { read: O_RDONLY, write: O_WRONLY, both: O_RDWR }[access];
  if (nonblocking) flags |= O_NONBLOCK;
  if (!inherit) flags |= O_CLOEXEC;
  return call("open", `Cannot open "${path}"`, cString(path), flags);
}

/** Closes a descriptor. close(2). */
export function close(fd: number): void {
  call("close", `Cannot close descriptor ${fd}`, fd);
}

/** Reads up to `buffer.length` bytes; 0 is the end. read(2); EAGAIN: `Deno.errors.WouldBlock`. */
export function read(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  return call("read", "Cannot read", fd, buffer, BigInt(buffer.length));
}

/** Writes and returns how many bytes were taken. write(2); EAGAIN: `Deno.errors.WouldBlock`. */
export function write(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  return call("write", "Cannot write", fd, bytes, BigInt(bytes.length));
}

/** The errno of a call that would have had to wait. */
const EAGAIN = darwin ? 35 : 11;
const EINTR = 4;

/**
 * Like {@linkcode read}, without an error to construct when there is nothing:
 * -1 means nothing yet (EAGAIN), -2 the end or an error (EIO: the other side of a
 * pseudo-terminal is gone). For loops that read at full speed.
 */
export function readNow(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const count = Number(symbol("read")(fd, buffer, BigInt(buffer.length)));
  if (count > 0) return count;
  if (count === 0) return -2;
  const number = errno();
  return number === EAGAIN || number === EINTR ? -1 : -2;
}

/** Like {@linkcode write}: -1 means that it would have to wait, -2 an error. */
export function writeNow(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  const count = Number(symbol("write")(fd, bytes, BigInt(bytes.length)));
  if (count >= 0) return count;
  const number = errno();
  return number === EAGAIN || number === EINTR ? -1 : -2;
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
  if (!symbol("pidfd_open")) return undefined;
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

/** The effective user id. geteuid(2). */
export function geteuid(): number {
  return symbol("geteuid")();
}

/** Keeps a descriptor from being inherited by what is started from here on, or no longer. fcntl(2). */
export function setCloseOnExec(fd: number, on = true): void {
  const what = `Cannot set close-on-exec on descriptor ${fd}`;
  call("fcntl", what, fd, F_SETFD, ...FILL, BigInt(on ? FD_CLOEXEC : 0));
}

/** Makes reads and writes of a descriptor return at once. fcntl(2). */
export function setNonblocking(fd: number): void {
  const what = `Cannot make descriptor ${fd} nonblocking`;
  const flags = call("fcntl", what, fd, F_GETFL, ...FILL, 0n);
  call("fcntl", what, fd, F_SETFL, ...FILL, BigInt(flags | O_NONBLOCK));
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

/** A pseudo-terminal: the master's descriptor (nonblocking, not inherited) and the slave's path. */
export interface Pty {
  /** The master's descriptor. */
  readonly master: number;
  /** The slave's path, such as `/dev/pts/3`. */
  readonly slavePath: string;
}

/** Opens a new pseudo-terminal. posix_openpt(3), grantpt(3), unlockpt(3), ptsname(3), pty(7). */
export function openPty(): Pty {
  const what = "Cannot open a pseudo-terminal";
  const master = call("posix_openpt", what, O_RDWR | O_NOCTTY);
  try {
    setCloseOnExec(master);
    setNonblocking(master);
    call("grantpt", what, master);
    call("unlockpt", what, master);
    const name = symbol("ptsname")(master);
    if (name === null) throw new Error(`${what}: its slave has no name`);
    const slavePath = new Deno.UnsafePointerView(name).getCString();
    return { master, slavePath };
  } catch (error) {
    close(master);
    throw error;
  }
}

/** Sets a terminal's size, in characters; its foreground group gets SIGWINCH. ioctl_tty(2). */
export function setWindowSize(
  fd: number,
  columns: number,
  rows: number,
): void {
  const winsize = new Uint8Array(new Uint16Array([rows, columns, 0, 0]).buffer);
  const what = `Cannot set the terminal's size to ${columns}x${rows}`;
  call("ioctl", what, fd, TIOCSWINSZ, ...FILL, winsize);
}

/** Tells whether a terminal edits lines before its program reads them (ICANON). tcgetattr(3). */
export function isCanonical(fd: number): boolean {
  const termios = new DataView(new ArrayBuffer(128));
  const what = `Cannot get the settings of terminal ${fd}`;
  call("tcgetattr", what, fd, new Uint8Array(termios.buffer));
  // c_lflag: the fourth field, of 4 bytes each on Linux and 8 on macOS.
  return darwin
    ? (termios.getUint32(24, true) & 0x100) !== 0
    : (termios.getUint32(12, true) & 0x2) !== 0;
}

/** Gives a signal its default effect again. signal(2). */
export function resetSignal(signal: number): void {
  symbol("signal")(signal, 0n);
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
