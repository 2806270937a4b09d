/**
 * The command that attaches: `attach`. `create -a` and `run -a` do the same.
 *
 * @module
 */
import { type AttachStreamOptions, attachStreams } from "../client/attach.ts";
import { attachConsole } from "../client/attach_console.ts";
import { checkNoLoop, ownSession } from "../client/loops.ts";
import {
  type Handler,
  type Io,
  OK,
  onlyOperand,
  parsedValueOf,
  streamsOf,
  valueOf,
  writerOf,
} from "./io.ts";
import { SessionError } from "../errors.ts";
import { configured } from "./config.ts";
import { unknownEnding } from "./going_on.ts";
import { harmless, parseLineCount } from "./format.ts";
import type { Parsed } from "./options.ts";
import type { LogStream } from "../client/logs.ts";
import { withoutBlankEnd } from "../screen/screen_text.ts";
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
const HINT_MS = 250;

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
    const keys = valueOf(call, "detach-keys") ?? configured("detachKeys");
    sayHowToDetach(id, io, keys);
    // A user who chose the keys knows them.
    if (keys === undefined && io.stderrIsTerminal) await sleep(HINT_MS);
    return await attachScreen(id, io, call, keys);
  }
  if (io.stdinIsTerminal && isLive(state)) {
    sayHowToDetach(id, io, "Ctrl-C");
  }
  const attach = attacher(io, {
    streams: streamsOf(call),
    takesInput: meta !== null && KINDS[meta.kind].accepts.length > 0,
    tailLines: parsedValueOf(call, "tail", parseLineCount),
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
    const self = sessions.find(({ state, paths }) =>
      isLive(state) && paths.dir === own
    );
    const none = self === undefined
      ? "No session is running"
      : `No other session is running, only this one, "${self.id}"`;
    throw new SessionError(
      "not_found",
      `${none}; start one with: codex-session run -t -a -- COMMAND`,
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
  io.out(withoutBlankEnd(lines).map((line) => `${line}\n`).join(""));
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
  detachKeys: string | undefined,
): Promise<number> {
  const result = await attachConsole(id, {
    detachKeys,
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
  return exitStatus(state);
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
