/**
 * Waiting for many descriptors at once, on one thread of Deno's pool: epoll(7). Each descriptor
 * costs a few bytes in the kernel while nothing happens, be there one or a thousand.
 *
 * The thread waits as long as there is a descriptor to wait for, and keeps the program running so long. Linux
 * only; needs `--allow-ffi`.
 *
 * @module
 */
import { call, symbol } from "./ffi.ts";
import { closeQuietly, readNow, writeNow } from "./libc.ts";
import { OS } from "./os.ts";

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
/** How many descriptors one wait may tell of; the others are told of by the next one. */
const MOST = 64;
/** The number of the bell. */
const BELL = 0;

/** What the thread waits with. */
interface Waiting {
  readonly epoll: number;
  /** An eventfd(2): writing to it ends a wait whose descriptors are all gone. */
  readonly bell: number;
}

let waiting: Waiting | undefined;
/** By number, and not by descriptor: a closed one may be another file's at once. */
const calls = new Map<number, () => void>();
let lastNumber = BELL;

/**
 * Calls a function whenever a descriptor is readable, again and again until it is read empty or the
 * result is disposed of. Dispose of it before the descriptor is closed.
 *
 * @throws an error of the system, for example if too many files are open.
 */
export function whenReadable(fd: number, onReadable: () => void): Disposable {
  const isFirst = waiting === undefined;
  const { epoll, bell } = waiting ??= begin();
  const number = ++lastNumber;
  try {
    control(epoll, EPOLL_CTL_ADD, fd, number);
  } catch (error) {
    if (isFirst) end({ epoll, bell });
    throw error;
  }
  calls.set(number, onReadable);
  if (isFirst) dispatch({ epoll, bell });
  return {
    [Symbol.dispose]() {
      if (!calls.delete(number)) return;
      control(epoll, EPOLL_CTL_DEL, fd, number);
      if (calls.size === 0) writeNow(bell, new Uint8Array([1, ...ZEROS]));
    },
  };
}

const ZEROS: readonly number[] = new Array(7).fill(0);

function begin(): Waiting {
  const what = "Cannot wait for events";
  const epoll = call("epoll_create1", what, OS.open.CLOEXEC);
  try {
    const flags = OS.open.CLOEXEC | OS.open.NONBLOCK;
    const bell = call("eventfd", what, 0, flags);
    const begun = { epoll, bell };
    try {
      control(epoll, EPOLL_CTL_ADD, bell, BELL);
      return begun;
    } catch (error) {
      closeQuietly(bell);
      throw error;
    }
  } catch (error) {
    closeQuietly(epoll);
    throw error;
  }
}

function end({ epoll, bell }: Waiting): void {
  waiting = undefined;
  closeQuietly(epoll);
  closeQuietly(bell);
}

/** Begins or ends the waiting for a descriptor. epoll_ctl(2) */
function control(
  epoll: number,
  operation: number,
  fd: number,
  number: number,
): void {
  const { bytes, dataAt } = OS.epollEvent;
  const event = new DataView(new ArrayBuffer(bytes));
  event.setUint32(0, EPOLLIN, true);
  event.setUint32(dataAt, number, true);
  const buffer = new Uint8Array(event.buffer);
  call("epoll_ctl", "Cannot wait for events", epoll, operation, fd, buffer);
}

/** Makes the calls, as long as there is a descriptor to wait for. */
async function dispatch({ epoll, bell }: Waiting): Promise<void> {
  const { bytes, dataAt } = OS.epollEvent;
  const buffer = new Uint8Array(MOST * bytes);
  const view = new DataView(buffer.buffer);
  const rung = new Uint8Array(8);
  while (calls.size > 0) {
    // A failed wait (EINTR) gives -1.
    const count = await symbol("epoll_wait")(epoll, buffer, MOST, -1);
    for (let i = 0; i < count; i++) {
      const number = view.getUint32(i * bytes + dataAt, true);
      if (number === BELL) readNow(bell, rung);
      else calls.get(number)?.();
    }
  }
  end({ epoll, bell });
}
