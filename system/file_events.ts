/**
 * Events of files: learning from the system that a file, or a directory's entries, have changed.
 *
 * On Linux it is inotify(7) by way of the C library. One descriptor serves all watches, an event
 * costs the same with one watch as with hundreds, and no file is opened: a named pipe does no harm.
 * Elsewhere, and without `--allow-ffi`, it is `Deno.watchFs`. That opens every file that
 * an event names, to compare it with every path that is watched: a named pipe would block its
 * thread for good, and hundreds of watches take milliseconds for each event.
 *
 * @module
 */
import { dirname } from "../std.ts";
import { isGranted } from "./files.ts";
import { call, cString, symbol } from "./ffi.ts";
import { closeQuietly, readNow } from "./libc.ts";
import { OS } from "./os.ts";
import { whenReadable } from "./readable.ts";

/** A watch of a file or directory, until it is closed. Of each path, have one at a time. */
export interface FileEvents {
  /** Resolves once something has happened since the last call; `false` if nothing more will. */
  next(): Promise<boolean>;
  /** Ends it: a pending {@linkcode next} gives `false`. */
  close(): void;
}

/**
 * Watches a file: its content, its time, its name.
 *
 * @throws {Deno.errors.NotFound} if there is none; others if the system's limits are reached.
 */
export function watchFile(path: string): FileEvents {
  return hasInotify()
    ? new Watch(path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
    : watchByDeno(path, () => true);
}

/** Watches which entries a directory has. Throws as {@linkcode watchFile}. */
export function watchEntries(dir: string): FileEvents {
  if (hasInotify()) return new Watch(dir, IN_ENTRIES | IN_ONLYDIR);
  return watchByDeno(
    dir,
    ({ kind, paths }) =>
      kind !== "access" && kind !== "modify" &&
      paths.some((path) => dirname(path) === dir),
  );
}

function watchByDeno(
  path: string,
  counts: (event: Deno.FsEvent) => boolean,
): FileEvents {
  const watcher = Deno.watchFs(path, { recursive: false });
  const events = watcher[Symbol.asyncIterator]();
  let isOver = false;
  return {
    async next() {
      for (;;) {
        const { done, value } = await events.next();
        if (done) return false;
        if (counts(value)) return true;
      }
    },
    close() {
      if (!isOver) watcher.close();
      isOver = true;
    },
  };
}

// sys/inotify.h: the same on every processor.
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_DELETE_SELF = 0x400;
const IN_MOVE_SELF = 0x800;
/** IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, and the two above. */
const IN_ENTRIES = 0x100 | 0x200 | 0x40 | 0x80 | IN_DELETE_SELF | IN_MOVE_SELF;
const IN_ONLYDIR = 0x01000000;
const IN_DONT_FOLLOW = 0x02000000;
/** The wd of an event that stands for those that there was no room for. */
const OVERFLOW = -1;
/** The size of an event without the name in it. */
const EVENT_BYTES = 16;

/**
 * Whether a watch opens nothing and costs nothing while nothing happens. Then a directory with named
 * pipes may be watched.
 */
export function hasInotify(): boolean {
  return OS.hasInotify && isGranted({ name: "ffi" });
}

/** What the events come by, while there are watches. */
interface Inotify {
  readonly fd: number;
  readonly readable: Disposable;
}

let inotify: Inotify | undefined;
/** The watches by their number in the kernel. Those of one file share it. */
const watches = new Map<number, Set<Watch>>();

class Watch implements FileEvents {
  readonly #number: number;
  #answer: ((isOn: boolean) => void) | undefined;
  #hasRung = false;
  #isOver = false;

  constructor(path: string, mask: number) {
    this.#number = addWatch(path, mask);
    const same = watches.get(this.#number) ?? new Set();
    watches.set(this.#number, same.add(this));
  }

  ring(): void {
    if (this.#answer === undefined) this.#hasRung = true;
    else this.#answer(true);
    this.#answer = undefined;
  }

  async next(): Promise<boolean> {
    if (this.#isOver) return false;
    if (this.#hasRung) {
      this.#hasRung = false;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#answer = resolve;
    return await promise;
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answer?.(false);
    const same = watches.get(this.#number);
    same?.delete(this);
    if (same?.size !== 0) return;
    watches.delete(this.#number);
    removeWatch(this.#number);
  }
}

function addWatch(path: string, mask: number): number {
  const what = `Cannot watch "${path}"`;
  const { fd } = inotify ??= openInotify(what);
  const flags = mask | IN_DONT_FOLLOW;
  try {
    return call("inotify_add_watch", what, fd, cString(path), flags);
  } catch (error) {
    closeUnused();
    throw error;
  }
}

/** Removes a watch. It fails if the file is gone: then there is none any more. */
function removeWatch(number: number): void {
  symbol("inotify_rm_watch")(inotify!.fd, number);
  closeUnused();
}

function openInotify(what: string): Inotify {
  const flags = OS.open.CLOEXEC | OS.open.NONBLOCK;
  const fd = call("inotify_init1", what, flags);
  try {
    return { fd, readable: whenReadable(fd, () => dispatch(fd)) };
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
}

function closeUnused(): void {
  if (watches.size > 0 || inotify === undefined) return;
  inotify.readable[Symbol.dispose]();
  closeQuietly(inotify.fd);
  inotify = undefined;
}

const buffer = new Uint8Array(16 * 1024);
const view = new DataView(buffer.buffer);

/** Rings the watches that the events are about. */
function dispatch(fd: number): void {
  for (let length; (length = readNow(fd, buffer)) > 0;) {
    for (let at = 0; at < length;) {
      const number = view.getInt32(at, true);
      const about = number === OVERFLOW
        ? [...watches.values()].flatMap((same) => [...same])
        : watches.get(number) ?? [];
      for (const watch of about) watch.ring();
      at += EVENT_BYTES + view.getUint32(at + 12, true);
    }
  }
}
