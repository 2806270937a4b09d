/**
 * The command that attaches: `attach`. `create -a` and `run -a` do the same.
 *
 * @module
 */
import { attachStreams } from "../client/attach.ts";
import { attachConsole } from "../client/attach_console.ts";
import { checkNoLoop, ownSession } from "../client/loops.ts";
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
import { sleep } from "../system/async.ts";
import {
  listSessions,
  resolveSelector,
  type Session,
} from "../session/find.ts";
import {
  exitStatus,
  isLive,
  KINDS,
  pathsFor,
  readStopRequest,
} from "../store.ts";
import type { EndState, FinalState } from "../client/watch.ts";

/** How long a user may read how to leave, before the screen comes, in milliseconds. */
const HINT_MS = 400;

/** `attach`: live output and typed lines, or a screen. */
export const attach: Handler = async (call, io) => {
  const { id, meta, paths, state } = call.operands.length === 0
    ? await liveSession(io)
    : await resolveSelector(onlyOperand(call, "one session"));
  checkNoLoop(paths);
  if (meta !== null && KINDS[meta.kind].isTerminal) {
    if (state.state === "exited" || state.state === "lost") {
      return await printLastScreen(id, state, io);
    }
    checkConsole(io);
    sayHowToDetach(id, io, valueOf(call, "detach-keys"));
    await sleep(HINT_MS);
    return await attachScreen(id, io, call);
  }
  if (io.stdinIsTerminal && isLive(state)) {
    sayHowToDetach(id, io, "Ctrl-C");
  }
  const attach = attacher(io, {
    tailLines: parsedValueOf(call, "tail", parseLineCount),
    stderr: call.flags.has("stderr"),
    readOnly: call.flags.has("read-only"),
  });
  return await attach(id);
};

/** The only session that is running; of several, the one that the user chooses. */
async function liveSession(io: Io): Promise<Session> {
  const own = ownSession();
  const sessions = await listSessions();
  const live = sessions.filter(({ state, paths }) =>
    isLive(state) && paths.dir !== own
  );
  const [first, second] = live;
  if (first === undefined) {
    throw new SessionError(
      "not_found",
      "No session is running; start one with: codex-session run -t -a -- COMMAND",
    );
  }
  if (second === undefined) return first;
  const candidates = live.map(({ id }) => id);
  if (!io.stdinIsTerminal) {
    throw new SessionError(
      "ambiguous",
      `Several sessions are running, name one: ${candidates.join(", ")}`,
      { candidates },
    );
  }
  const { chooseSession } = await import("./menu.ts");
  return await chooseSession(sessions, live, io);
}

/** The last screen of a terminal session that has ended, and the status of its agent. */
async function printLastScreen(
  id: string,
  state: EndState,
  io: Io,
): Promise<number> {
  const { readScreen } = await import("../client/terminal.ts");
  const { lines } = await readScreen(id, { ansi: io.color });
  const count = lines.findLastIndex((line) => line !== "") + 1;
  io.out(lines.slice(0, count).map((line) => `${line}\n`).join(""));
  return afterwards(id, { state }, io);
}

/** Refuses to attach to a terminal session without a terminal, before anything is started. */
export function checkConsole(io: Io): void {
  if (io.stdinIsTerminal && io.columns !== undefined) return;
  throw new SessionError(
    "unsupported",
    "Cannot attach to a terminal session: standard input and output must be a terminal; without one, use: codex-session screen, logs or send",
  );
}

/** Says how to leave a session. The screen of a terminal comes next, and hides that. */
export function sayHowToDetach(id: string, io: Io, keys = "ctrl-\\"): void {
  const isUser = io.stdinIsTerminal && keys !== "";
  const how = isUser ? `; press ${harmless(keys)} to detach` : "";
  io.err(`Session ${id}${how}\n`);
}

/** Attaches this terminal to a terminal session; subscribes when it is called. */
export async function attachScreen(
  id: string,
  io: Io,
  call: Parsed,
): Promise<number> {
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

/**
 * Reports how attaching has ended, and gives the exit status: the agent's, or success after a
 * detach. To a script the status says enough of an agent that has exited by itself.
 */
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
  if (state.state !== "exited") throw unknownEnding(id, state);
  const how = howEnded(id, state);
  if (io.stdinIsTerminal || !how.startsWith("exited")) {
    io.err(`Session ${id} ${how}\n`);
  }
  return exitStatus(state.ending);
}

/** How a session ended: `exited with code 2`, `was stopped`, … */
function howEnded(
  id: string,
  { ending }: Extract<FinalState, { state: "exited" }>,
): string {
  const by = readStopRequest(pathsFor(id))?.by;
  if (by === "timeout") return "timed out";
  if (by !== undefined) return "was stopped";
  return "signal" in ending
    ? `was ended by ${ending.signal}`
    : `exited with code ${ending.code}`;
}
