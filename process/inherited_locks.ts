/**
 * The locks of sessions that this process has inherited: it runs in a session, or is its relay.
 *
 * @module
 */
import { scriptPath } from "./reaper.ts";
import { dirname } from "../std.ts";
import { isGranted } from "../system/files.ts";
import { factsAt, readLink, setCloseOnExec } from "../system/libc.ts";
import { OS } from "../system/os.ts";

let hasKeptLocks = false;

/**
 * Keeps what this process starts from inheriting them. An agent that creates a session has its own
 * session's lock, and those of the sessions around it: with them, the new session's processes would
 * make the old sessions seem to live. The same is true of a notifier. The locks are found by their paths in `/proc`, once: a process inherits
 * descriptors only when it starts.
 */
export function keepInheritedLocks(): void {
  if (hasKeptLocks || !OS.hasProc) return;
  hasKeptLocks = true;
  for (const fd of ownDescriptors()) {
    const path = readLink(`/proc/self/fd/${fd}`);
    if (path === undefined || !path.endsWith("/lock")) continue;
    if (factsAt(scriptPath(dirname(path))) !== undefined) setCloseOnExec(fd);
  }
}

/** The descriptors that this process may have inherited. */
function ownDescriptors(): number[] {
  const path = "/proc/self/fd";
  try {
    if (isGranted({ name: "read", path })) {
      return [...Deno.readDirSync(path)].map(({ name }) => Number(name));
    }
  } catch {
    // Newer versions of Deno want --allow-all for it.
  }
  return Array.from({ length: 1024 }, (_, fd) => fd);
}
