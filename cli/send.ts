/**
 * The command that gives input: `send`.
 *
 * @module
 */
import { ArgumentError, SessionError } from "../errors.ts";
import { harmlessJson, parseDuration } from "./format.ts";
import { type Handler, type Io, parsedValueOf } from "./io.ts";
import type { Parsed } from "./options.ts";
import { choose, forEachChosen, isFiltered } from "./selection.ts";
import type { Session } from "../session/find.ts";
import { isLive, type Kind, KINDS } from "../store.ts";

/** `send`: text, keys, standard input, or the end of input. */
export const send: Handler = async (call, io) => {
  const several = isFiltered(call);
  const words = call.operands.slice(several ? 0 : 1);
  if (several && call.flags.has("stdin")) {
    throw new ArgumentError(
      "Cannot use --stdin with --label, --state or --all: it goes to one session",
    );
  }
  const keys = call.values.get("key") ?? [];
  const typed = words.length > 0 || keys.length > 0;
  const ways = [typed, call.flags.has("stdin"), call.flags.has("eof")];
  if (ways.filter(Boolean).length !== 1) {
    throw new ArgumentError(
      "Invalid input: give text or keys, or --stdin, or --eof",
    );
  }
  const chosen = await choose(
    call,
    io,
    ({ meta, state }) =>
      isLive(state) && meta !== null && KINDS[meta.kind].accepts.length > 0,
    call.operands.slice(0, several ? 0 : 1),
  );
  return await forEachChosen(
    chosen,
    io,
    (session) => sendTo(session, words, call, io),
  );
};

async function sendTo(
  { id, meta }: Session,
  words: readonly string[],
  call: Parsed,
  io: Io,
): Promise<void> {
  const keys = call.values.get("key") ?? [];
  const timeoutMs = parsedValueOf(call, "timeout", parseDuration);
  const options = { timeoutMs };
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
}

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
