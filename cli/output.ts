/**
 * The commands that show the output of a session: `logs`, `screen`.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { harmlessJson, parseLineCount } from "./format.ts";
import {
  type Handler,
  type Io,
  OK,
  onlyOperand,
  parsedValueOf,
  streamsOf,
  writerOf,
} from "./io.ts";
import { type Parsed } from "./options.ts";
import type { LogStream } from "../client/logs.ts";
import { resolveSelector } from "../session/find.ts";
import { withoutBlankEnd } from "../screen/screen_text.ts";
import { KINDS, pathsFor } from "../store.ts";
import { exists } from "../system/files.ts";

/** `screen`: the current screen of a terminal. */
export const screen: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "one session"));
  const { readScreen } = await import("../client/terminal.ts");
  const shown = await readScreen(id, {
    ansi: call.flags.has("ansi"),
    scrollback: parsedValueOf(call, "scrollback", parseLineCount),
  });
  if (io.json) {
    io.out(harmlessJson(shown, 2) + "\n");
    return OK;
  }
  const lines = call.flags.has("full")
    ? shown.lines
    : withoutBlankEnd(shown.lines);
  io.out(lines.map((line) => `${line}\n`).join(""));
  return OK;
};

/** `logs`: bytes as they were written, or lines of text. */
export const logs: Handler = async (call, io) => {
  const { flags } = call;
  const { id, meta, paths } = await resolveSelector(
    onlyOperand(call, "one session"),
  );
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  const streams = streamsOf(call, isTerminal);
  if (flags.has("plain") && flags.has("raw")) {
    throw new ArgumentError("Cannot use --plain with --raw");
  }
  if (flags.has("follow")) {
    const { checkNoEcho } = await import("../client/loops.ts");
    checkNoEcho(paths, streams, io.columns !== undefined);
  }
  // The bytes of a terminal would switch modes of the caller's own, and ask it questions. An agent
  // may have damaged the record of its kind.
  const wasTerminal = isTerminal || meta === null ||
    exists(`${paths.dir}/terminal.json`);
  const harmless = wasTerminal && io.columns !== undefined && !flags.has("raw");
  if (flags.has("plain") || harmless) await printLines(id, streams, call, io);
  else await printBytes(id, streams, call, io);
  return OK;
};

async function printBytes(
  id: string,
  streams: readonly LogStream[],
  call: Parsed,
  io: Io,
): Promise<void> {
  const { followStreams, readLog } = await import("../client/logs.ts");
  const tailLines = parsedValueOf(call, "tail", parseLineCount);
  if (!call.flags.has("follow")) {
    for (const stream of streams) {
      const write = writerOf(stream, streams, io);
      for await (const bytes of readLog(id, { stream, tailLines })) {
        write(bytes);
      }
    }
    return;
  }
  const options = { tailLines, signal: io.outputClosed() };
  const chunks = followStreams(pathsFor(id), streams, options);
  for await (const { stream, bytes } of chunks) {
    writerOf(stream, streams, io)(bytes);
  }
}

async function printLines(
  id: string,
  streams: readonly LogStream[],
  call: Parsed,
  io: Io,
): Promise<void> {
  const { followPlainLog, readPlainLog } = await import(
    "../client/plain_log.ts"
  );
  const follows = call.flags.has("follow");
  const options = {
    tailLines: parsedValueOf(call, "tail", parseLineCount),
    onNotice: (message: string) => io.err(`codex-session: ${message}\n`),
    signal: follows ? io.outputClosed() : undefined,
  };
  const print = async (stream: LogStream) => {
    const write = writerOf(stream, streams, io);
    const read = follows ? followPlainLog : readPlainLog;
    for await (const line of read(id, { ...options, stream })) {
      write(`${line}\n`);
    }
  };
  if (follows) await Promise.all(streams.map(print));
  else for (const stream of streams) await print(stream);
}
