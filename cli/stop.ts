/**
 * The commands that end and remove sessions: `stop`, `delete`, `prune`.
 *
 * @module
 */
import { harmlessJson, parseDuration } from "./format.ts";
import {
  FAILED,
  forEach,
  type Handler,
  type Io,
  noOperands,
  OK,
  parsedValueOf,
  reportError,
  valueOf,
} from "./io.ts";
import { resolveSelector } from "../session/find.ts";
import { formatBytes } from "../std.ts";
import { signalNumber } from "../system/signals.ts";

/** `stop`: stops all sessions at the same time, so that grace periods don't add up. */
export const stop: Handler = async (call, io) => {
  const killSignal = valueOf(call, "signal") ?? "TERM";
  signalNumber(killSignal); // A wrong one is a usage error, before anything is stopped.
  const graceMs = parsedValueOf(call, "time", parseDuration);
  const { stopSession } = await import("../session/stop.ts");
  return await together(
    call.operands,
    async (selectors) =>
      await forEach(selectors, io, async (selector) => {
        const { id } = await resolveSelector(selector);
        const onNotice = noticeOf(id, io);
        await stopSession(id, { killSignal, graceMs, onNotice });
        io.out(
          io.json ? harmlessJson({ id, stopped: true }) + "\n" : `${id}\n`,
        );
      }),
  );
};

/** Prints what the user of a stopped session should know. */
function noticeOf(id: string, io: Io): (notice: string) => void {
  return (notice) =>
    io.err(
      io.json
        ? harmlessJson({ id, notice }) + "\n"
        : `codex-session: ${id}: ${notice}\n`,
    );
}

/** `delete`. */
export const delete_: Handler = async (call, io) => {
  const force = call.flags.has("force");
  const { deleteSession } = await import("../session/stop.ts");
  // Resolve all before deleting one: deleting shifts the numbers.
  const ids: string[] = [];
  const unresolved = await forEach(call.operands, io, async (selector) => {
    ids.push((await resolveSelector(selector)).id);
  });
  if (ids.length === 0) return unresolved;
  const status = await together(
    ids,
    async (some) =>
      await forEach(some, io, async (id) => {
        await deleteSession(id, { force, onNotice: noticeOf(id, io) });
        io.out(
          io.json ? harmlessJson({ id, deleted: true }) + "\n" : `${id}\n`,
        );
      }),
  );
  return call.operands.length === 1 ? status : status || unresolved;
};

/** Does the work for all operands at the same time; the status is that of `forEach`. */
async function together(
  operands: readonly string[],
  work: (one: readonly string[]) => Promise<number>,
): Promise<number> {
  if (operands.length <= 1) return await work(operands);
  const unique = [...new Set(operands)];
  const statuses = await Promise.all(unique.map((operand) => work([operand])));
  return statuses.some((status) => status !== OK) ? 1 : OK;
}

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
