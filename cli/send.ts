/**
 * The command that gives input: `send`.
 *
 * @module
 */
import { ArgumentError, SessionError } from "../errors.ts";
import { harmlessJson, parseDuration } from "./format.ts";
import { type Handler, type Io, OK, parsedValueOf, valueOf } from "./io.ts";
import { withResume } from "./going_on.ts";
import type { Parsed } from "./options.ts";
import { choose, forEachChosen, isFiltered } from "./selection.ts";
import type { SendOptions } from "../client/input.ts";
import type { Session } from "../session/find.ts";
import { dialogOf } from "../run/dialog.ts";
import { isLive, type Kind, KINDS } from "../store.ts";

/** `send`: text, keys, standard input, or the end of input. */
export const send: Handler = async (call, io) => {
  const several = isFiltered(call);
  const words = call.operands.slice(several ? 0 : 1);
  if (several && call.flags.has("stdin")) {
    throw new ArgumentError(
      "Cannot use --stdin with --label, --state, --status or --all: it goes to one session",
    );
  }
  if (several && call.values.has("for")) {
    throw new ArgumentError(
      "Cannot use --for with --label, --state, --status or --all: it prints what one session answers",
    );
  }
  if (call.flags.has("answer") && valueOf(call, "for") !== "turn") {
    throw new ArgumentError(
      "Cannot use --answer alone: it prints the answer of the turn that --for turn waits for",
    );
  }
  const keys = call.values.get("key") ?? [];
  const typed = words.length > 0 || keys.length > 0;
  const ways = [typed, call.flags.has("stdin"), call.flags.has("eof")];
  const count = ways.filter(Boolean).length;
  if (count === 0) {
    throw new ArgumentError(
      "Nothing to send: give TEXT, --key, --stdin or --eof",
    );
  }
  if (count > 1) {
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
    async (session) => {
      try {
        return await sendTo(session, words, call, io);
      } catch (error) {
        throw await withResume(error, session.id);
      }
    },
  );
};

async function sendTo(
  session: Session,
  words: readonly string[],
  call: Parsed,
  io: Io,
): Promise<number> {
  const { id, meta } = session;
  if (meta !== null) checkAccepts(id, meta.kind, call);
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  const timeoutMs = parsedValueOf(call, "timeout", parseDuration);
  const asked = valueOf(call, "for");
  const condition = asked === undefined
    ? undefined
    : (await import("./wait.ts")).parseCondition(asked);
  const isText = words.length > 0 || call.flags.has("stdin");
  let waitedMs = 0;
  if (isTerminal && isText) {
    waitedMs = await prepare(session, timeoutMs);
    if (!call.flags.has("force")) checkWaits(session);
  }
  const send = async (signal?: AbortSignal) => {
    const options = { timeoutMs, signal };
    if (isTerminal) await type(id, words, call, { io, options });
    else await write(id, words, call, { io, options });
  };
  if (condition !== undefined) {
    const leftMs = timeoutMs && Math.max(0, timeoutMs - waitedMs);
    if (call.flags.has("answer")) {
      const { ask } = await import("./answer.ts");
      return await ask({ id, send, timeoutMs: leftMs }, io);
    }
    const { exchange } = await import("./exchange.ts");
    const exchanged = { id, isTerminal, send, condition, timeoutMs: leftMs };
    return await exchange(exchanged, io);
  }
  await send();
  if (io.json) io.out(harmlessJson({ id, sent: true }) + "\n");
  return OK;
}

/** Where input comes from, and how long sending it may take. */
interface Sending {
  readonly io: Io;
  readonly options: SendOptions;
}

/** Types into a terminal. */
async function type(
  id: string,
  words: readonly string[],
  call: Parsed,
  { io, options }: Sending,
): Promise<void> {
  const { sendKeys } = await import("../client/terminal.ts");
  if (call.flags.has("stdin")) {
    for await (const raw of io.stdin) await sendKeys(id, [{ raw }], options);
    return;
  }
  const keys = call.values.get("key") ?? [];
  const wantsEnd = !call.flags.has("no-newline") && keys.length === 0;
  await sendKeys(id, [
    ...words.length > 0 ? [{ text: words.join(" ") }] : [],
    ...[...keys, ...wantsEnd ? ["enter"] : []].map((key) => ({ key })),
  ], options);
}

/** Writes to the pipe of a program that reads lines, or ends it. */
async function write(
  id: string,
  words: readonly string[],
  call: Parsed,
  { io, options }: Sending,
): Promise<void> {
  const { sendEof, sendInput } = await import("../client/input.ts");
  if (call.flags.has("eof")) return await sendEof(id, options);
  const end = call.flags.has("no-newline") ? "" : "\n";
  const input = call.flags.has("stdin") ? io.stdin : words.join(" ") + end;
  await sendInput(id, input, options);
}

/** Waits until an agent that has just started takes text. Returns how many milliseconds, rounded. */
async function prepare(
  session: Session,
  timeoutMs: number | undefined,
): Promise<number> {
  const { waitUntilReady } = await import("../client/ready.ts");
  const startedAt = performance.now();
  await waitUntilReady(session, { timeoutMs });
  return Math.floor((performance.now() - startedAt) / 100) * 100;
}

/** Refuses to type text that would answer a dialog. */
function checkWaits(session: Session): void {
  const { id } = session;
  const dialog = dialogOf(session);
  if (dialog === undefined) return;
  const look = dialog.isTold ? "" : `to look: codex-session screen ${id}; `;
  throw new SessionError(
    "blocked",
    `Cannot send text to session "${id}": ${dialog.why}; ${look}answer with keys (codex-session send ${id} -k KEY), attach (codex-session attach ${id}), or send it anyway with -f`,
    { id },
  );
}

/** Refuses what a session of this kind can't be sent, and says what can. */
function checkAccepts(id: string, kind: Kind, call: Parsed): void {
  const { accepts } = KINDS[kind];
  const unsupported = (message: string) =>
    new SessionError("unsupported", message, { id });
  if (call.values.has("key") && !accepts.includes("keys")) {
    throw unsupported(
      `Cannot press keys in session "${id}": it is not a terminal session; start one with run -t`,
    );
  }
  // Where nothing can be sent, the library says so.
  if (call.flags.has("eof") && accepts.length > 0 && !accepts.includes("eof")) {
    throw unsupported(
      `Cannot end the input of terminal session "${id}": press a key instead: codex-session send ${id} --key ctrl-d`,
    );
  }
}
