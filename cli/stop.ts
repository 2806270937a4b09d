/**
 * The commands that end and remove sessions: `stop`, `delete`, `prune`.
 *
 * @module
 */
import { configured } from "./config.ts";
import { messageOf, SessionError } from "../errors.ts";
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
import { getSession, type Session } from "../session/find.ts";
import { formatBytes } from "../std.ts";
import { isLive } from "../store.ts";
import { signalNumber } from "../system/signals.ts";

/** `stop`. What has ended is done. */
export const stop: Handler = async (call, io) => {
  const killSignal = valueOf(call, "signal") ?? "TERM";
  signalNumber(killSignal); // A wrong one is a usage error, before anything is stopped.
  const graceMs = parsedValueOf(call, "time", parseDuration) ??
    configuredGrace(io);
  const { stopSession } = await import("../session/stop.ts");
  const isLeftOver = leftOverTest();
  const chosen = await choose(
    call,
    io,
    (session) => isLive(session.state) || isLeftOver(session) === true,
  );
  return await forEachChosen(chosen, io, async ({ id }) => {
    try {
      const onNotice = noticeOf(id, io);
      await stopSession(id, { killSignal, graceMs, onNotice });
    } catch (error) {
      if (!await hasEnded(id, error)) throw error;
    }
    io.out(io.json ? harmlessJson({ id, stopped: true }) + "\n" : `${id}\n`);
  });
};

/** The user's default. Nothing wrong with it may keep anybody from ending a session. */
function configuredGrace(io: Io): number | undefined {
  try {
    return configured("grace");
  } catch (error) {
    const notice = `${messageOf(error)}; used the default grace, 10s`;
    io.err(
      io.json
        ? harmlessJson({ notice }) + "\n"
        : `codex-session: ${harmless(notice)}\n`,
    );
    return undefined;
  }
}

/** Tells whether nothing could be stopped because all has ended. */
async function hasEnded(id: string, error: unknown): Promise<boolean> {
  if (!(error instanceof SessionError) || error.code !== "wrong_state") {
    return false;
  }
  return isEnded(await getSession(id));
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
  const { deleteSession } = await import("../session/stop.ts");
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
