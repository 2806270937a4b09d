/**
 * Sessions that would show themselves: what such a loop shows once, it shows for ever, at full
 * speed.
 *
 * A process knows the session that it runs in by `CODEX_SESSION_DIR`. A client tells it to the
 * relay, and the relay records in `terminal.json` on whose terminals its session is shown. So
 * the way from a session to its viewers, and to theirs, takes a few small files.
 *
 * As with tmux, a process without that variable is believed to run outside of all sessions.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { basename } from "../std.ts";
import { isLive, type Paths, pathsIn, readState } from "../store.ts";
import { exists, identityAt, identityOf, isGranted } from "../system/files.ts";
import { factsOf } from "../system/libc.ts";
import type { LogStream } from "./logs.ts";
import { viewersOf } from "./terminal_status.ts";

/** More sessions than this are not searched for a loop. */
const MAX_SEARCHED = 100;

/** The directory of the session that this process runs in; `undefined` outside of all sessions. */
export function ownSession(): string | undefined {
  const dir = Deno.env.get("CODEX_SESSION_DIR");
  if (!dir) return undefined;
  try {
    return Deno.realPathSync(dir);
  } catch {
    return dir; // It was deleted, or is outside of what this program may read.
  }
}

/**
 * Refuses to show a session on a terminal of its own, directly or by way of others.
 *
 * @throws {SessionError} `unsupported`.
 */
export function checkNoLoop({ id, dir }: Paths): void {
  const own = ownSession();
  if (own === undefined) return;
  if (own === dir) {
    throw new SessionError(
      "unsupported",
      `Cannot attach to session "${id}" inside itself: it would show itself without end`,
      { id },
    );
  }
  const shown = [own];
  for (const at of shown) { // It grows meanwhile.
    for (const viewer of liveViewersOf(at)) {
      if (viewer === dir) throw shownAlready(id, basename(own));
      if (shown.includes(viewer) || shown.length > MAX_SEARCHED) continue;
      shown.push(viewer);
    }
  }
}

/**
 * The same once the relay knows of this client. Refuses also if the relay has not recorded it, on
 * a full disk for example: then the other sessions of a loop can't see it either.
 *
 * @throws {SessionError} `unsupported`.
 */
export function checkNoLoopRecorded(paths: Paths): void {
  checkNoLoop(paths);
  const own = ownSession();
  const { id, dir } = paths;
  if (own === undefined || viewersOf(dir).includes(own)) return;
  throw new SessionError(
    "unsupported",
    `Cannot attach to session "${id}" inside session "${
      basename(own)
    }": its relay can't record it, so they might show each other without end`,
    { id },
  );
}

function liveViewersOf(dir: string): readonly string[] {
  try {
    // The record of a killed relay is out of date.
    return isLive(readState(pathsIn(dir, basename(dir)))) ? viewersOf(dir) : [];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return []; // Another root: without the permission nobody can tell.
  }
}

function shownAlready(id: string, own: string): SessionError {
  return new SessionError(
    "unsupported",
    `Cannot attach to session "${id}" inside session "${own}": they would show each other without end`,
    { id },
  );
}

/**
 * Refuses to follow logs into themselves: where standard output or error is one of them, or
 * standard output, if it is a terminal, that of the session.
 *
 * @throws {SessionError} `unsupported`.
 */
export function checkNoEcho(
  paths: Paths,
  streams: readonly LogStream[],
  isTerminal: boolean,
): void {
  const isOnTerminal = isTerminal && ownSession() === paths.dir &&
    exists(`${paths.dir}/terminal.json`);
  const logs = streams.map((stream) => identityAt(paths[stream]));
  // Without the permission nobody can tell.
  const isInLog = isGranted({ name: "ffi" }) &&
    [1, 2].some((fd) =>
      logs.includes(identityOf(factsOf(fd, `/dev/fd/${fd}`)))
    );
  if (!isOnTerminal && !isInLog) return;
  const { id } = paths;
  throw new SessionError(
    "unsupported",
    `Cannot follow session "${id}" inside itself: it would print its own output without end`,
    { id },
  );
}
