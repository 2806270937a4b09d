/**
 * The commands that act on sessions: `send`, `stop`, `delete`, `prune`.
 *
 * @module
 */
import {
  FAILED,
  forEach,
  type Handler,
  OK,
  reportError,
  valueOf,
} from "./io.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { formatSize, harmlessJson, parseDuration } from "./format.ts";
import type { Parsed } from "./options.ts";
import { resolveSelector } from "../session/find.ts";
import { type Kind, KINDS } from "../store.ts";
import { signalNumber } from "../system/signals.ts";

/** `send`: text, keys, standard input, or the end of input. */
export const send: Handler = async (call, io) => {
  const [selector, ...words] = call.operands;
  if (selector === undefined) throw new ArgumentError("Name one session");
  const keys = call.values.get("key") ?? [];
  const typed = words.length > 0 || keys.length > 0;
  const ways = [typed, call.flags.has("stdin"), call.flags.has("eof")];
  if (ways.filter(Boolean).length !== 1) {
    throw new ArgumentError("Give either a text or keys, or --stdin, or --eof");
  }
  const timeout = valueOf(call, "timeout");
  const options = {
    timeoutMs: timeout === undefined ? undefined : parseDuration(timeout),
  };
  const { id, meta } = await resolveSelector(selector);
  const wantsEnd = !call.flags.has("no-newline");
  if (meta !== null) checkAccepts(id, meta.kind, call);
  if (meta !== null && KINDS[meta.kind].isTerminal) {
    const { sendKeys } = await import("../client/terminal.ts");
    if (call.flags.has("stdin")) {
      for await (const raw of io.stdin) await sendKeys(id, [{ raw }], options);
    } else {
      const enter = wantsEnd && keys.length === 0 ? ["enter"] : [];
      await sendKeys(id, [
        ...words.length > 0 ? [{ text: words.join(" ") }] : [],
        ...[...keys, ...enter].map((key) => ({ key })),
      ], options);
    }
  } else {
    const { sendEof, sendInput } = await import("../client/input.ts");
    if (call.flags.has("eof")) await sendEof(id, options);
    else if (call.flags.has("stdin")) await sendInput(id, io.stdin, options);
    else await sendInput(id, words.join(" ") + (wantsEnd ? "\n" : ""), options);
  }
  if (io.json) io.out(harmlessJson({ id, sent: true }) + "\n");
  return OK;
};

/** Refuses what a session of this kind can't be sent, and says what can. */
function checkAccepts(id: string, kind: Kind, call: Parsed): void {
  const { accepts } = KINDS[kind];
  const unsupported = (message: string) =>
    new SessionError("unsupported", message, { id });
  if (call.values.has("key") && !accepts.includes("keys")) {
    throw unsupported(
      `Cannot press keys in session "${id}": it is not a terminal (kind pty)`,
    );
  }
  // Where nothing can be sent, the library says so.
  if (call.flags.has("eof") && accepts.length > 0 && !accepts.includes("eof")) {
    throw unsupported(
      `Cannot end the input of terminal session "${id}": press a key instead: codex-session send ${id} --key ctrl-d`,
    );
  }
}

/** `stop`: several at once wait for their grace periods together. */
export const stop: Handler = async (call, io) => {
  const signal = valueOf(call, "signal") ?? "TERM";
  signalNumber(signal); // A wrong one is a usage error before anything is stopped.
  const grace = valueOf(call, "time");
  const graceMs = grace === undefined ? undefined : parseDuration(grace);
  const { stopSession } = await import("../session/stop.ts");
  return await together(
    call.operands,
    async (selectors) =>
      await forEach(selectors, io, async (selector) => {
        const { id } = await resolveSelector(selector);
        await stopSession(id, { signal, graceMs });
        io.out(
          io.json ? harmlessJson({ id, stopped: true }) + "\n" : `${id}\n`,
        );
      }),
  );
};

/** `delete`. */
export const delete_: Handler = async (call, io) => {
  const force = call.flags.has("force");
  const { deleteSession } = await import("../session/stop.ts");
  // Resolved before anything goes: numbers would shift.
  const ids: string[] = [];
  const unresolved = await forEach(call.operands, io, async (selector) => {
    ids.push((await resolveSelector(selector)).id);
  });
  if (ids.length === 0) return unresolved;
  const status = await together(
    ids,
    async (some) =>
      await forEach(some, io, async (id) => {
        await deleteSession(id, { force });
        io.out(
          io.json ? harmlessJson({ id, deleted: true }) + "\n" : `${id}\n`,
        );
      }),
  );
  return call.operands.length === 1 ? status : status || unresolved;
};

/** Does the work for each operand at the same time; the status as `forEach` gives it. */
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
  if (call.operands.length > 0) {
    throw new ArgumentError(
      `prune takes no operand, got "${call.operands[0]}"; did you mean delete?`,
    );
  }
  const age = valueOf(call, "older-than");
  const dryRun = call.flags.has("dry-run");
  const { pruneSessions } = await import("../session/prune.ts");
  const { deleted, bytes, failed } = await pruneSessions({
    olderThanMs: age === undefined ? undefined : parseDuration(age),
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
    `${dryRun ? "Would delete" : "Deleted"} ${count}, ${
      formatSize(bytes)
    } bytes\n`,
  );
  return status;
};
