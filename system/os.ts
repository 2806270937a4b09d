/**
 * What differs between operating systems: one entry for each, and no test for a system
 * anywhere else.
 *
 * Linux (x86-64, arm64; glibc, musl) is where the project is developed and tested, on x86-64
 * with glibc. The entry of macOS comes from its headers and manual pages: untested. On
 * Windows, and on every system without an entry, sessions can't be started.
 *
 * @module
 */

/** What one system has, and what its numbers are. */
interface System {
  /** Its name in messages. */
  readonly name: string;
  /** Whether sessions can be started: it takes named pipes, a shell and the C library. */
  readonly canStart: boolean;
  /** Whether `/proc` shows processes, descriptors and limits. Without it, ps(1) lists processes. */
  readonly hasProc: boolean;
  /** Whether the C library has statx(2). */
  readonly hasStatx: boolean;
  /** Whether it has inotify(7). */
  readonly hasInotify: boolean;
  /** Whether systemd may run: logins, scopes. */
  readonly hasSystemd: boolean;
  /** Whether a user's data belong below `%LOCALAPPDATA%`, not below `$HOME`. */
  readonly hasLocalAppData: boolean;
  /** The program that opens a file in the user's browser. */
  readonly opener: string;
  /** The longest path of a Unix socket, in bytes. unix(7) */
  readonly socketPathBytes: number;
  /** The C library's file names, most likely first. */
  readonly libraries: readonly string[];
  /** The function that tells where errno is. */
  readonly errnoFunction: "__errno_location" | "__error";
  /** Functions of other systems. */
  readonly foreignFunctions: readonly string[];
  /** How many registers to fill before a variadic argument reaches the stack. */
  readonly variadicFill: number;
  /** Flags of open(2). */
  readonly open: {
    readonly NOCTTY: number;
    readonly NONBLOCK: number;
    readonly CLOEXEC: number;
    readonly NOFOLLOW: number;
    readonly DIRECTORY: number;
    readonly APPEND: number;
    /** Linux only. */
    readonly PATH: number;
  };
  /** A command of fcntl(2). */
  readonly F_DUPFD_CLOEXEC: number;
  /** Those errors whose numbers differ. errno(3) */
  readonly errno: {
    readonly EAGAIN: number;
    readonly ELOOP: number;
    readonly ETIMEDOUT: number;
  };
  /** How large struct epoll_event is, and where its data are, in bytes. epoll_ctl(2); Linux only. */
  readonly epollEvent: { readonly bytes: number; readonly dataAt: number };
  /** Requests of ioctl(2) to a terminal. */
  readonly ioctl: { readonly TIOCSWINSZ: bigint; readonly FIONREAD: bigint };
  /** Where struct termios has its flags, in bytes, two of them, and what tcflush and tcflow do. termios(3) */
  readonly termios: {
    readonly localFlags: number;
    readonly ICANON: number;
    readonly ISIG: number;
    readonly TCOFLUSH: number;
    readonly TCOOFF: number;
    readonly TCOON: number;
  };
  /** The numbers of signals(7) by name. */
  readonly signals: Readonly<Record<string, number>>;
}

const isArm = Deno.build.arch === "aarch64";

const LINUX: System = {
  name: "Linux",
  canStart: true,
  hasProc: true,
  hasStatx: true,
  hasInotify: true,
  hasSystemd: true,
  hasLocalAppData: false,
  opener: "xdg-open",
  socketPathBytes: 107,
  libraries: [
    "libc.so.6",
    `libc.musl-${isArm ? "aarch64" : "x86_64"}.so.1`,
    "libc.so",
  ],
  errnoFunction: "__errno_location",
  foreignFunctions: ["__error"],
  variadicFill: 0,
  open: {
    NOCTTY: 0o400,
    NONBLOCK: 0o4000,
    CLOEXEC: 0o2000000,
    NOFOLLOW: isArm ? 0o100000 : 0o400000,
    DIRECTORY: isArm ? 0o40000 : 0o200000,
    APPEND: 0o2000,
    PATH: 0o10000000,
  },
  F_DUPFD_CLOEXEC: 1030,
  errno: { EAGAIN: 11, ELOOP: 40, ETIMEDOUT: 110 },
  // Packed on x86-64 only.
  epollEvent: isArm ? { bytes: 16, dataAt: 8 } : { bytes: 12, dataAt: 4 },
  ioctl: { TIOCSWINSZ: 0x5414n, FIONREAD: 0x541bn },
  termios: {
    localFlags: 12,
    ICANON: 0x2,
    ISIG: 0x1,
    TCOFLUSH: 1,
    TCOOFF: 0,
    TCOON: 1,
  },
  // deno-fmt-ignore
  signals: { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, STKFLT: 16, CHLD: 17, CONT: 18, STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, IO: 29, PWR: 30, SYS: 31 },
};

/** Untested. */
const MACOS: System = {
  name: "macOS",
  canStart: true,
  hasProc: false,
  hasStatx: false,
  hasInotify: false,
  hasSystemd: false,
  hasLocalAppData: false,
  opener: "open",
  socketPathBytes: 103,
  libraries: ["libSystem.B.dylib"],
  errnoFunction: "__error",
  foreignFunctions: [
    ...["__errno_location", "statx"],
    ...["inotify_init1", "inotify_add_watch", "inotify_rm_watch"],
    ...["epoll_create1", "epoll_ctl", "epoll_wait", "eventfd"],
  ],
  // Apple silicon passes variadic arguments on the stack.
  variadicFill: isArm ? 6 : 0,
  open: {
    NOCTTY: 0x20000,
    NONBLOCK: 0x4,
    CLOEXEC: 0x1000000,
    NOFOLLOW: 0x100,
    DIRECTORY: 0x100000,
    APPEND: 0x8,
    PATH: 0,
  },
  F_DUPFD_CLOEXEC: 67,
  errno: { EAGAIN: 35, ELOOP: 62, ETIMEDOUT: 60 },
  epollEvent: { bytes: 0, dataAt: 0 },
  ioctl: { TIOCSWINSZ: 0x80087467n, FIONREAD: 0x4004667fn },
  termios: {
    localFlags: 24,
    ICANON: 0x100,
    ISIG: 0x80,
    TCOFLUSH: 2,
    TCOOFF: 1,
    TCOON: 2,
  },
  // deno-fmt-ignore
  signals: { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, EMT: 7, FPE: 8, KILL: 9, BUS: 10, SEGV: 11, SYS: 12, PIPE: 13, ALRM: 14, TERM: 15, URG: 16, STOP: 17, TSTP: 18, CONT: 19, CHLD: 20, TTIN: 21, TTOU: 22, IO: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, INFO: 29, USR1: 30, USR2: 31 },
};

/** A system without an entry. The numbers are Linux's and never used: there is no library. */
const OTHER: System = {
  ...LINUX,
  name: Deno.build.os,
  canStart: false,
  hasProc: false,
  hasStatx: false,
  hasInotify: false,
  hasSystemd: false,
  libraries: [],
};

const WINDOWS: System = { ...OTHER, name: "Windows", hasLocalAppData: true };

const SYSTEMS: Partial<Record<typeof Deno.build.os, System>> = {
  linux: LINUX,
  darwin: MACOS,
  windows: WINDOWS,
};

/** The system that this program runs on. */
export const OS: System = SYSTEMS[Deno.build.os] ?? OTHER;
