/**
 * The command that attaches: `attach`. `create -a` and `run -a` do the same.
 *
 * @module
 */
import { type AttachStreamOptions, attachStreams } from "../client/attach.ts";
import {
  type Handler,
  type Io,
  OK,
  onlyOperand,
  parsedValueOf,
  streamsOf,
  unknownEnding,
  valueOf,
  writerOf,
} from "./io.ts";
import { SessionError } from "../errors.ts";
import { harmless, parseLineCount } from "./format.ts";
import type { Parsed } from "./options.ts";
import { resolveSelector } from "../session/find.ts";
import { exitStatus, KINDS } from "../store.ts";
import type { LogStream } from "../client/logs.ts";
import type { FinalState } from "../client/watch.ts";

/** `attach`: live output and typed lines, or a screen. */
export const attach: Handler = async (call, io) => {
  const { id, meta } = await resolveSelector(onlyOperand(call, "one session"));
  if (meta !== null && KINDS[meta.kind].isTerminal) {
    return await attachScreen(id, io, call);
  }
  const attach = attacher(io, {
    streams: streamsOf(call),
    takesInput: meta !== null && KINDS[meta.kind].accepts.length > 0,
    tailLines: parsedValueOf(call, "tail", parseLineCount),
    readOnly: call.flags.has("read-only"),
  });
  return await attach(id);
};

/** Attaches this terminal to a terminal session. */
export async function attachScreen(
  id: string,
  io: Io,
  call: Parsed,
): Promise<number> {
  if (!io.stdinIsTerminal || io.columns === undefined) {
    throw new SessionError(
      "unsupported",
      `Cannot attach to terminal session "${id}": standard input and output must be a terminal; or use: codex-session screen, logs or send`,
      { id },
    );
  }
  const { attachConsole } = await import("../client/attach_console.ts");
  const result = await attachConsole(id, {
    detachKeys: valueOf(call, "detach-keys"),
    readOnly: call.flags.has("read-only"),
  });
  return afterwards(id, result, io);
}

/** How {@linkcode attacher} attaches. */
interface View {
  /** The streams to show: each on its own, or a single one on standard output. */
  readonly streams: readonly LogStream[];
  /** Whether the session takes input; otherwise only a terminal's is read, whose end detaches. */
  readonly takesInput: boolean;
  readonly stdinEnd?: AttachStreamOptions["stdinEnd"];
  readonly tailLines?: number;
  readonly readOnly?: boolean;
  /** Holds output and notices back until then. */
  readonly begin?: Promise<void>;
}

/** Attaches this terminal to a session; the returned function subscribes when it is called. */
export function attacher(
  io: Io,
  { streams, takesInput, begin, ...view }: View,
): (id: string) => Promise<number> {
  const streamFor = (stream: LogStream) => {
    if (!streams.includes(stream)) return undefined;
    const write = writerOf(stream, streams, io);
    return new WritableStream<Uint8Array>({
      start: () => begin,
      write: (bytes) => write(bytes),
    });
  };
  return async (id) => {
    const closed = io.outputClosed();
    const isRead = io.stdinIsTerminal || (takesInput && !view.readOnly);
    const result = await attachStreams(id, {
      ...view,
      stdin: isRead ? io.stdin : undefined,
      stdout: streamFor("stdout"),
      stderr: streamFor("stderr"),
      signal: AbortSignal.any([io.interrupted(), closed]),
      onNotice: (message) => {
        const print = () => io.err(`codex-session: ${harmless(message)}\n`);
        if (begin === undefined) print();
        else begin.then(print).catch(() => {}); // Nobody reads it any more.
      },
    });
    closed.throwIfAborted();
    return afterwards(id, result, io);
  };
}

/** The exit status of this program: the agent's, or success after a detach. */
function afterwards(
  id: string,
  result: { readonly detached: true } | { readonly state: FinalState },
  io: Io,
): number {
  if ("detached" in result) {
    io.err(
      `\nDetached; the session is still running. Reattach with: codex-session attach ${id}\n`,
    );
    return OK;
  }
  const { state } = result;
  if (state.state === "exited") {
    if ("signal" in state.ending) {
      io.err(`Session ${id} was ended by ${state.ending.signal}\n`);
    }
    return exitStatus(state.ending);
  }
  throw unknownEnding(id, state);
}
