/**
 * The foreign-function interface to the C library: its functions, how to call one, and the
 * meaning of a failure. No other file opens a library.
 *
 * The first call opens the library, the import doesn't. Functions are called by their address.
 * For a function that `dlopen` is asked for by name, Deno compiles a trampoline: this takes
 * 0.5 ms, and makes each call 2 µs shorter. Only reading thousands of files is worth it, see
 * {@linkcode compile}.
 *
 * Apple silicon passes the variadic argument of `fcntl` and `ioctl` on the stack, other
 * processors in a register. There, {@linkcode FILL} occupies the remaining registers.
 *
 * All calls need `--allow-ffi`. Linux (glibc and musl) and macOS; untested on macOS.
 *
 * @module
 */
import { OS } from "./os.ts";

/** The arguments that fill the registers before a variadic one. */
export const FILL: readonly 0[] = new Array<0>(OS.variadicFill).fill(0);

const int = (count: number) => new Array<"i32">(count).fill("i32");

/** Functions that read files. */
const READING = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // An isize would be a BigInt; no call asks for more than an i32 can count.
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  // Linux only; glibc 2.28.
  statx: {
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
  },
  __errno_location: { parameters: [], result: "pointer" },
  __error: { parameters: [], result: "pointer" },
} as const;

/** Functions that start a session. */
const STARTING = {
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  getsid: { parameters: ["i32"], result: "i32" },
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  fcntl: {
    parameters: ["i32", "i32", ...int(OS.variadicFill), "i64"],
    result: "i32",
  },
  poll: {
    parameters: ["buffer", "u64", "i32"],
    result: "i32",
    nonblocking: true,
  },
} as const;

/** All other functions. */
const FURTHER = {
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  // Linux only, and only with glibc 2.36 or later.
  pidfd_open: { parameters: ["i32", "u32"], result: "i32" },
  pidfd_send_signal: {
    parameters: ["i32", "i32", "pointer", "u32"],
    result: "i32",
  },
  // Linux only.
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: {
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  getenv: { parameters: ["buffer"], result: "pointer" },
  geteuid: { parameters: [], result: "u32" },
  ioctl: {
    parameters: ["i32", "u64", ...int(OS.variadicFill), "buffer"],
    result: "i32",
  },
  posix_openpt: { parameters: ["i32"], result: "i32" },
  grantpt: { parameters: ["i32"], result: "i32" },
  unlockpt: { parameters: ["i32"], result: "i32" },
  ptsname: { parameters: ["i32"], result: "pointer" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  tcgetpgrp: { parameters: ["i32"], result: "i32" },
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
  tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  tcflush: { parameters: ["i32", "i32"], result: "i32" },
  tcflow: { parameters: ["i32", "i32"], result: "i32" },
  cfmakeraw: { parameters: ["buffer"], result: "void" },
  // glibc only.
  malloc_trim: { parameters: ["usize"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

/** Opened one by one: looking up a name takes time at a cold start. */
const GROUPS: readonly object[] = [READING, STARTING, FURTHER];
const SYMBOLS = { ...READING, ...STARTING, ...FURTHER };

type Name = keyof typeof SYMBOLS;
const ERRNO: Name = OS.errnoFunction;
// deno-lint-ignore no-explicit-any
type Function_ = (...args: any[]) => any;
type Addresses = Partial<Record<Name, Deno.PointerValue>>;
const loaded = new Map<Name, Function_>();
const compiled = new Set<Name>();
let library: string | undefined;
const opened = new Map<object, Addresses>();

/** The addresses of a group of functions; `null` for each that is not there. */
function addresses(group: object): Addresses {
  const known = opened.get(group);
  if (known !== undefined) return known;
  if (OS.libraries.length === 0) {
    throw new Deno.errors.NotSupported(`No C library is known on ${OS.name}`);
  }
  const wanted: Record<string, Deno.ForeignStatic> = {};
  for (const name of Object.keys(group)) {
    wanted[name] = { type: "pointer", optional: true };
  }
  let failure: unknown;
  for (const file of OS.libraries) {
    try {
      const found = Deno.dlopen(file, wanted).symbols as Addresses;
      opened.set(group, found);
      library = file;
      return found;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      failure = error;
    }
  }
  throw new Deno.errors.NotSupported(
    `Cannot open the C library: tried ${OS.libraries.join(", ")}`,
    { cause: failure },
  );
}

function addressOf(name: Name): Deno.PointerValue | undefined {
  return addresses(GROUPS.find((group) => name in group)!)[name];
}

/** Tells whether the C library has a function. */
export function hasSymbol(name: Name): boolean {
  return Boolean(addressOf(name));
}

/** Lets Deno compile trampolines for functions that will be called thousands of times. */
export function compile(names: readonly Name[]): void {
  symbol(ERRNO); // Before the first call that fails.
  const wanted: Record<string, Deno.ForeignFunction> = {};
  for (const name of names) {
    if (hasSymbol(name) && !compiled.has(name)) wanted[name] = SYMBOLS[name];
  }
  if (Object.keys(wanted).length === 0) return;
  const { symbols } = Deno.dlopen(library!, wanted);
  for (const [name, found] of Object.entries(symbols)) {
    loaded.set(name as Name, found as Function_);
    compiled.add(name as Name);
  }
}

/** A function, to be called with the arguments that its row lists. */
export function symbol(name: Name): Function_ {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  // First, because looking it up after a failed call might change errno.
  if (name !== ERRNO) symbol(ERRNO);
  const address = addressOf(name);
  if (!address) {
    throw new Deno.errors.NotSupported(`The C library has no ${name}`);
  }
  const definition: Deno.ForeignFunction = SYMBOLS[name];
  // deno-lint-ignore no-explicit-any
  const pointer = new Deno.UnsafeFnPointer(address as any, definition);
  const found = pointer.call.bind(pointer) as Function_;
  loaded.set(name, found);
  return found;
}

/** The result of {@linkcode checkSymbols}. */
export interface Symbols {
  /** The file name of the C library. */
  readonly library: string | undefined;
  /** The number of functions that were looked up. */
  readonly count: number;
  /** Required functions that it lacks. */
  readonly missing: readonly string[];
  /** Optional functions that it lacks. */
  readonly lacking: readonly string[];
}

/** Looks up every function that may be called, to find missing ones before they are needed. */
export function checkSymbols(): Symbols {
  const spare: Name[] = ["pidfd_open", "pidfd_send_signal", "malloc_trim"];
  const wanted = (Object.keys(SYMBOLS) as Name[]).filter((name) =>
    !OS.foreignFunctions.includes(name)
  );
  const absent = wanted.filter((name) => !hasSymbol(name));
  return {
    library,
    count: wanted.length,
    missing: absent.filter((name) => !spare.includes(name)),
    lacking: absent.filter((name) => spare.includes(name)),
  };
}

type ErrorClass = new (message: string, options?: ErrorOptions) => Error;

/** errno to name and class. */
const ERRORS: readonly [number, string, ErrorClass][] = [
  [1, "EPERM", Deno.errors.PermissionDenied],
  [2, "ENOENT", Deno.errors.NotFound],
  [3, "ESRCH", Deno.errors.NotFound],
  [4, "EINTR", Deno.errors.Interrupted],
  [6, "ENXIO", Deno.errors.NotFound],
  [9, "EBADF", Deno.errors.BadResource],
  [OS.errno.EAGAIN, "EAGAIN", Deno.errors.WouldBlock],
  [13, "EACCES", Deno.errors.PermissionDenied],
  [17, "EEXIST", Deno.errors.AlreadyExists],
  [20, "ENOTDIR", Deno.errors.NotADirectory],
  [21, "EISDIR", Deno.errors.IsADirectory],
  [32, "EPIPE", Deno.errors.BrokenPipe],
  [OS.errno.ELOOP, "ELOOP", Deno.errors.FilesystemLoop],
];

const OTHER_NAMES: Readonly<Record<number, string>> = {
  5: "EIO",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
};

/** The calling thread's errno. V8's own system calls may have changed it since the last call. */
function errno(): number {
  const where = symbol(ERRNO)();
  return new Deno.UnsafePointerView(where).getInt32();
}

/** The error of an errno; its message begins with `what`. */
export function systemError(number: number, what: string): Error {
  const [, name, Class = Error] = ERRORS.find(([known]) => known === number) ??
    [];
  const code = name ?? OTHER_NAMES[number] ?? `errno ${number}`;
  return Object.assign(new Class(`${what}: ${code}`), { code });
}

/** Never tried again: a closed descriptor and a process id may belong to another at once. */
const ONCE: readonly Name[] = ["close", "kill"];

/** Errors that V8 may leave in errno: ENOENT, EINTR, EAGAIN, ETIMEDOUT. */
const DOUBTFUL: readonly number[] = [2, 4, OS.errno.EAGAIN, OS.errno.ETIMEDOUT];

/**
 * Calls `name` and returns `-errno` if it fails. Before errno is read, V8 may make system calls
 * that fail: when it first waits for a lock, it looks for the processor's frequency in a file
 * that few systems have (ENOENT). So an error that V8 may have left counts only if it comes twice
 * in a row. Trying again is safe, because a call that fails has no effect.
 */
export function attempt(name: Name, ...args: unknown[]): number {
  for (let before = 0;;) {
    const result = Number(symbol(name)(...args));
    if (result >= 0) return result;
    const number = errno();
    const isDoubtful = DOUBTFUL.includes(number) && !ONCE.includes(name);
    if (!isDoubtful || number === before) return -number;
    before = number;
  }
}

/** Calls `name` and throws an error that begins with `what` if it fails. */
export function call(name: Name, what: string, ...args: unknown[]): number {
  const result = attempt(name, ...args);
  if (result < 0) throw systemError(-result, what);
  return result;
}

const encoder = new TextEncoder();

/** The bytes of a C string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError("A path can't hold a NUL character");
  }
  return encoder.encode(text + "\0");
}

const pathBytes = new Uint8Array(4096);

/** A path as a C string, valid until the next call: a list of thousands allocates nothing. */
export function cPath(path: string): Uint8Array<ArrayBuffer> {
  const { read, written } = encoder.encodeInto(path, pathBytes);
  // Too long for any system, or no path: the callee or cString() throws.
  if (written === pathBytes.length || path.includes("\0")) return cString(path);
  if (read < path.length) return cString(path);
  pathBytes[written] = 0;
  return pathBytes;
}

/** The text of a C string. */
export function readCString(pointer: Deno.PointerObject): string {
  return Deno.UnsafePointerView.getCString(pointer);
}
