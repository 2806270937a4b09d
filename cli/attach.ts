/**
 * The command that attaches: `attach`. `create -a` and `run -a` do the same.
 *
 * @module
 */
import { attachStreams } from "../client/attach.ts";
import {
  type Handler,
  type Io,
  OK,
  onlyOperand,
  parsedValueOf,
  unknownEnding,
  valueOf,
} from "./io.ts";
import { SessionError } from "../errors.ts";
import { harmless, parseLineCount } from "./format.ts";
import type { Parsed } from "./options.ts";
import { red } from "../std.ts";
import { resolveSelector } from "../session/find.ts";
import { exitStatus, KINDS } from "../store.ts";
import type { FinalState } from "../client/watch.ts";

/** `attach`: live output and typed lines, or a screen. */
export const attach: Handler = async (call, io) => {
  const { id, meta } = await resolveSelector(onlyOperand(call, "one session"));
  if (meta !== null && KINDS[meta.kind].isTerminal) {
    return await attachScreen(id, io, call);
  }
  const attach = attacher(io, {
    tailLines: parsedValueOf(call, "tail", parseLineCount),
    stderr: call.flags.has("stderr"),
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

interface View {
  readonly tailLines?: number;
  readonly stderr?: boolean;
  readonly readOnly?: boolean;
}

/** Attaches this terminal to a session; the returned function subscribes when it is called. */
export function attacher(
  io: Io,
  { stderr, ...view }: View = {},
): (id: string) => Promise<number> {
  return async (id) => {
    const result = await attachStreams(id, {
      ...view,
      stdin: view.readOnly && !io.stdinIsTerminal ? undefined : stdinOf(io),
      stdout: new WritableStream({ write: (bytes) => io.out(bytes) }),
      stderr: stderr ? markedStream(io) : undefined,
      signal: io.interrupted(),
      onNotice: (message) => io.err(`codex-session: ${harmless(message)}\n`),
    });
    return afterwards(id, result, io);
  };
}

/** The end of a terminal's input detaches; that of a file or a pipe only ends the input. */
function stdinOf(io: Io): ReadableStream<Uint8Array> {
  if (io.stdinIsTerminal) return io.stdin;
  const reader = io.stdin.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) await new Promise(() => {});
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** Standard error of the agent, each line marked. */
function markedStream(io: Io): WritableStream<Uint8Array> {
  const decoder = new TextDecoder();
  const mark = `${io.color ? red("[stderr]") : "[stderr]"} `;
  let atStart = true;
  return new WritableStream({
    write(bytes) {
      const text = decoder.decode(bytes, { stream: true });
      if (text === "") return;
      io.err((atStart ? mark : "") + text.replace(/\n(?=[^])/g, `\n${mark}`));
      atStart = text.endsWith("\n");
    },
  });
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
    return exitStatus(state);
  }
  throw unknownEnding(id, state);
}
