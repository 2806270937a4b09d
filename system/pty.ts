/**
 * The C library's pseudo-terminals. All calls need `--allow-ffi`.
 *
 * @module
 */
import { attempt, call, FILL, readCString, symbol } from "./ffi.ts";
import { close, O_RDWR, setCloseOnExec, setNonblocking } from "./libc.ts";
import { OS } from "./os.ts";

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
  const master = call("posix_openpt", what, O_RDWR | OS.open.NOCTTY);
  try {
    setCloseOnExec(master);
    setNonblocking(master);
    call("grantpt", what, master);
    call("unlockpt", what, master);
    const name = symbol("ptsname")(master);
    if (name === null) throw new Error(`${what}: its slave has no name`);
    return { master, slavePath: readCString(name) };
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
  call("ioctl", what, fd, OS.ioctl.TIOCSWINSZ, ...FILL, winsize);
}

/** The number of bytes that wait for the program, by the slave's descriptor. ioctl_tty(2) */
export function unreadInput(slave: number): number {
  const count = new Int32Array(1);
  const what = `Cannot get the input of terminal ${slave}`;
  call(
    "ioctl",
    what,
    slave,
    OS.ioctl.FIONREAD,
    ...FILL,
    new Uint8Array(count.buffer),
  );
  return count[0]!;
}

/**
 * The process group in the foreground of a terminal, by the master's descriptor; `undefined` if
 * there is none. tcgetpgrp(3); untested on macOS.
 */
export function foregroundGroup(master: number): number | undefined {
  const group = attempt("tcgetpgrp", master);
  return group > 0 ? group : undefined;
}

/** A terminal's settings, struct termios. tcgetattr(3) */
export type TerminalSettings = DataView<ArrayBuffer>;

/** Gets a terminal's settings, to be set again by {@linkcode setSettings}. tcgetattr(3) */
export function settingsOf(fd: number): TerminalSettings {
  const termios = new DataView(new ArrayBuffer(128));
  const what = `Cannot get the settings of terminal ${fd}`;
  call("tcgetattr", what, fd, new Uint8Array(termios.buffer));
  return termios;
}

/** Tells whether a terminal lets its user edit lines (ICANON). tcgetattr(3) */
export function isCanonical(fd: number): boolean {
  const { localFlags, ICANON } = OS.termios;
  return (settingsOf(fd).getUint32(localFlags, true) & ICANON) !== 0;
}

/**
 * Sets a terminal's settings at once: Deno's own `setRaw` waits until the terminal has taken all
 * output, for ever if it is frozen. tcsetattr(3)
 */
export function setSettings(fd: number, settings: TerminalSettings): void {
  const what = `Cannot change the settings of terminal ${fd}`;
  call("tcsetattr", what, fd, 0, new Uint8Array(settings.buffer)); // TCSANOW
}

/** How {@linkcode makeRaw} changes a terminal. */
export interface RawOptions {
  /** Keys such as Ctrl-C still send signals. @default {false} */
  readonly keepsSignalKeys?: boolean;
}

/** Makes a terminal raw: keys come as they are typed, and output passes unchanged. cfmakeraw(3) */
export function makeRaw(fd: number, options: RawOptions = {}): void {
  const { localFlags, ISIG } = OS.termios;
  const settings = settingsOf(fd);
  symbol("cfmakeraw")(new Uint8Array(settings.buffer));
  if (options.keepsSignalKeys) {
    const flags = settings.getUint32(localFlags, true);
    settings.setUint32(localFlags, flags | ISIG, true);
  }
  setSettings(fd, settings);
}

/** Throws away what a terminal has not taken yet; a write that waits goes on. tcflush(3), tcflow(3) */
export function dropOutput(fd: number): void {
  const { TCOFLUSH, TCOOFF, TCOON } = OS.termios;
  const what = `Cannot drop the output of terminal ${fd}`;
  call("tcflush", what, fd, TCOFLUSH);
  // Linux wakes no writer of a pseudo-terminal at a flush, but when output goes on.
  call("tcflow", what, fd, TCOOFF);
  call("tcflow", what, fd, TCOON);
}

/** Input flags come first in struct termios, and this one is the same on Linux and macOS (untested). */
const IUTF8 = 0x4000;

/** Makes backspace erase whole characters of UTF-8 while the terminal edits lines. tcsetattr(3) */
export function eraseCharacters(fd: number): void {
  const settings = settingsOf(fd);
  settings.setUint32(0, settings.getUint32(0, true) | IUTF8, true);
  setSettings(fd, settings);
}
