/**
 * The commands that end and remove sessions: `stop`, `delete`, `prune`.
 *
 * @module
 */
import { stopOrEnded, usualGrace } from "./ending.ts";
import { harmless, harmlessJson, parseDuration } from "./format.ts";
import {
  FAILED,
  type Handler,
  type Io,
  noOperands,
  OK,
  parsedValueOf,
  reportError,
  valueOf,
} from "./io.ts";
import { isEnded, leftOverTest } from "./left_over.ts";
import { choose, forEachChosen } from "./selection.ts";
import type { Session } from "../session/find.ts";
import { deleteSession } from "../session/stop.ts";
import { formatBytes } from "../std.ts";
import { isLive } from "../store.ts";
import { signalNumber } from "../system/signals.ts";

/** `stop`. What has ended is done. */
export const stop: Handler = async (call, io) => {
  const killSignal = valueOf(call, "signal") ?? "TERM";
  signalNumber(killSignal); // A wrong one is a usage error, before anything is stopped.
  const graceMs = parsedValueOf(call, "time", parseDuration) ??
    configuredGrace(io);
  const isLeftOver = leftOverTest();
  const chosen = await choose(
    call,
    io,
    (session) => isLive(session.state) || isLeftOver(session) === true,
  );
  return await forEachChosen(chosen, io, async ({ id }) => {
    const onNotice = noticeOf(id, io);
    await stopOrEnded(id, { killSignal, graceMs, onNotice });
    io.out(io.json ? harmlessJson({ id, stopped: true }) + "\n" : `${id}\n`);
  });
};

/** The user's default. */
function configuredGrace(io: Io): number | undefined {
  return usualGrace((notice) =>
    io.err(
      io.json
        ? harmlessJson({ notice }) + "\n"
        : `codex-session: ${harmless(notice)}\n`,
    )
  );
}

/** Prints what the user of a stopped session should know. */
function noticeOf(id: string, io: Io): (notice: string) => void {
  return (notice) =>
    io.err(
      io.json
        ? harmlessJson({ id, notice }) + "\n"
        : `codex-session: ${id}: ${notice}\n`,
    );
}

/** `delete`. Without `--force`, filters choose only what it can delete. */
export const delete_: Handler = async (call, io) => {
  const force = call.flags.has("force");
  let spared = 0;
  const fits = (session: Session) => {
    if (force || isEnded(session)) return true;
    spared++;
    return false;
  };
  const chosen = await choose(call, io, fits);
  if (spared > 0 && !io.json) {
    io.err(
      spared === 1
        ? "codex-session: Kept 1 session that runs or is damaged; -f deletes it, too\n"
        : `codex-session: Kept ${spared} sessions that run or are damaged; -f deletes them, too\n`,
    );
  }
  return await forEachChosen(chosen, io, async ({ id }) => {
    await deleteSession(id, { force, onNotice: noticeOf(id, io) });
    io.out(io.json ? harmlessJson({ id, deleted: true }) + "\n" : `${id}\n`);
  });
};

/** `prune`. */
export const prune: Handler = async (call, io) => {
  noOperands(call, "; did you mean delete?");
  const dryRun = call.flags.has("dry-run");
  const { pruneSessions } = await import("../session/prune.ts");
  const { deleted, bytes, failed } = await pruneSessions({
    olderThanMs: parsedValueOf(call, "older-than", parseDuration),
    dryRun,
  });
  for (const { error } of failed) reportError(error, io);
  const status = failed.length === 0 ? OK : FAILED;
  if (io.json) {
    io.out(harmlessJson({ dryRun, deleted, bytes }, 2) + "\n");
    return status;
  }
  for (const { id } of deleted) io.out(`${id}\n`);
  const count = `${deleted.length} session${deleted.length === 1 ? "" : "s"}`;
  io.err(
    `${dryRun ? "Would delete" : "Deleted"} ${count}, ${formatBytes(bytes)}\n`,
  );
  return status;
};
