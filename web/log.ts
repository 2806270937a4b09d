/**
 * A session's log over a WebSocket, followed, as plain text.
 *
 * Messages are JSON: `{type: "text", stream, text}`, `{type: "skipped", stream, bytes}` for output that is
 * left out, then `{type: "end", state}` or `{type: "error", code, message}`. The viewer sends nothing.
 *
 * It begins with the last part of the output. A viewer that reads more slowly than the session writes
 * (a tab that was asleep, say) skips what it has missed but for the last part, too: a log has no
 * limit, and nobody waits for gigabytes to pass.
 *
 * Of a terminal, the lines are what `followPlainLog` makes of them. Other output comes as it is
 * written, without escape sequences: a question that has no newline yet is seen, too.
 *
 * @module
 */
import { bytesSince, endOfLog, type LogPosition } from "../client/log_files.ts";
import { followStreams, type LogStream } from "../client/logs.ts";
import { followPlainLog } from "../client/plain_log.ts";
import { ArgumentError } from "../errors.ts";
import { plainText } from "../screen/clean_text.ts";
import { isTerminal, noSuchSession, type Paths, pathsFor } from "../store.ts";
import { type Born, watchBorn } from "./born.ts";
import { converse } from "./socket.ts";

/** So much of each stream is sent at first, and after a gap. */
const LAST_BYTES = 1024 * 1024;
/** A viewer that is further behind skips. */
const MAX_BEHIND_BYTES = 8 * 1024 * 1024;
/** A longer escape sequence is none. */
const MAX_SEQUENCE_LENGTH = 4096;

/** Which log to show. */
export interface LogViewer extends Born {
  /** Stops it. */
  readonly signal: AbortSignal;
}

/** What a viewer is sent before the end. */
type Piece =
  | {
    readonly type: "text";
    readonly stream: LogStream;
    readonly text: string;
  }
  | {
    readonly type: "skipped";
    readonly stream: LogStream;
    readonly bytes: number;
  };

/**
 * Shows a log until the session ends or the viewer leaves; call it before the response of the
 * upgrade is returned. Never throws and never rejects; resolves when the socket is closed.
 */
export function serveLog(socket: WebSocket, viewer: LogViewer): Promise<void> {
  const { id, root } = viewer;
  return converse(socket, {
    signal: viewer.signal,
    receive() {
      throw new ArgumentError("A log takes no input");
    },
    async talk({ send, signal }) {
      using watch = await watchBorn(viewer);
      const paths = pathsFor(id, { root });
      const follow = isTerminal(paths) ? followLines : followOutput;
      let isSure = false;
      for await (const piece of follow(paths, { ...viewer, signal })) {
        // Its files are open by now, and it is still there: so they are this session's.
        isSure ||= watch.isStill();
        if (!isSure) throw noSuchSession(id);
        await send(JSON.stringify(piece));
      }
      return { type: "end", state: watch.finalState()?.state ?? "deleted" };
    },
  });
}

/** The lines of a terminal. */
async function* followLines(
  paths: Paths,
  { root, signal }: LogViewer,
): AsyncGenerator<Piece, void> {
  const stream = "stdout";
  const sizes = [paths.stdout, `${paths.stdout}.1`]
    .map((path) => endOfLog(path)?.offset ?? 0);
  const bytes = Math.max(...sizes) - LAST_BYTES;
  if (bytes > 0) yield { type: "skipped", stream, bytes };
  const options = { root, maxBytes: LAST_BYTES, signal };
  for await (const line of followPlainLog(paths.id, options)) {
    yield { type: "text", stream, text: `${line}\n` };
  }
}

/** What a session without a terminal writes. */
async function* followOutput(
  paths: Paths,
  { signal }: LogViewer,
): AsyncGenerator<Piece, void> {
  const streams = ["stdout", "stderr"] as const;
  const since: Record<LogStream, LogPosition | null> = {
    stdout: null,
    stderr: null,
  };
  const texts = { stdout: new PlainText(), stderr: new PlainText() };
  for (let isBehind = true; isBehind;) {
    isBehind = false;
    const chunks = followStreams(paths, streams, {
      ...{ since: { ...since }, tailBytes: LAST_BYTES, signal },
    });
    for await (const { stream, bytes, end } of chunks) {
      const before = since[stream]?.offset ?? 0;
      const skipped = end.offset - bytes.length - before;
      since[stream] = end;
      if (skipped > 0) {
        yield { type: "skipped", stream, bytes: skipped };
        texts[stream] = new PlainText();
      }
      const text = texts[stream].add(skipped > 0 ? fromLine(bytes) : bytes);
      if (text !== "") yield { type: "text", stream, text };
      isBehind = (bytesSince(paths[stream], end) ?? 0) > MAX_BEHIND_BYTES;
      if (isBehind) break;
    }
  }
}

/** Bytes from the first whole line on; all of them if there is none. */
function fromLine(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes.indexOf(0x0a) + 1);
}

const SEQUENCES =
  // deno-lint-ignore no-control-regex
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])/g;
/** What may go on in the next piece: a sequence, a line end. */
const UNFINISHED =
  // deno-lint-ignore no-control-regex
  /(?:\r+|\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*))$/;

/** The text in output that comes in pieces. */
class PlainText {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #held = "";
  #isInLine = false;

  add(bytes: Uint8Array): string {
    const decoded = this.#decoder.decode(bytes, { stream: true });
    let text = (this.#held + decoded).replace(SEQUENCES, "");
    this.#held = UNFINISHED.exec(text)?.[0] ?? "";
    if (this.#held.length > MAX_SEQUENCE_LENGTH) this.#held = "";
    text = text.slice(0, text.length - this.#held.length);
    const lines = text.replace(/\r+\n/g, "\n").split("\n").map(
      (line, index) => {
        // A carriage return begins the line anew: a progress display does that.
        const start = line.lastIndexOf("\r") + 1;
        const isAnew = start > 0 && index === 0 && this.#isInLine;
        const parts = line.slice(start).split("\t").map((part) =>
          plainText(part)
        );
        return (isAnew ? "\n" : "") + parts.join("\t");
      },
    );
    if (text !== "") this.#isInLine = lines.at(-1) !== "";
    return lines.join("\n");
  }
}
