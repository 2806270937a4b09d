/**
 * Events of processes: learning from the system that one has ended, whose parent this program
 * isn't.
 *
 * @module
 */
import { readsProc } from "./files.ts";
import { closeQuietly, pidfdOpen } from "./libc.ts";
import { whenReadable } from "./readable.ts";

/**
 * Calls a function once when a process has ended, unless the result is disposed of before. What is
 * found out about the process after this call holds for the one that is watched, even if its number is
 * used again. `undefined` where the system can't tell: without `--allow-ffi`, without pidfds,
 * or if too many files are open. pidfd_open(2)
 *
 * @throws {Deno.errors.NotFound} if there is no such process.
 */
export function whenEnded(
  pid: number,
  onEnded: () => void,
): Disposable | undefined {
  if (!readsProc()) return undefined;
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  let readable: Disposable | undefined;
  const close = () => {
    if (readable === undefined) return;
    readable[Symbol.dispose]();
    readable = undefined;
    closeQuietly(pidfd);
  };
  try {
    readable = whenReadable(pidfd, () => {
      close();
      onEnded();
    });
  } catch {
    closeQuietly(pidfd);
    return undefined;
  }
  return { [Symbol.dispose]: close };
}
