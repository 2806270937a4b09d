/**
 * The commands that show the output of a session: `logs`, `screen`.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { harmlessJson, parseLineCount } from "./format.ts";
import { type Handler, type Io, OK, onlyOperand, parsedValueOf } from "./io.ts";
import { type Parsed } from "./options.ts";
import { resolveSelector } from "../session/find.ts";

/** `screen`: the current screen of a terminal. */
export const screen: Handler = async (call, io) => {
  const { id } = await resolveSelector(onlyOperand(call, "one session"));
  const { readScreen } = await import("../client/terminal.ts");
  const shown = await readScreen(id, {
    ansi: call.flags.has("ansi"),
    scrollback: parsedValueOf(call, "scrollback", parseLineCount),
  });
  io.out(
    io.json
      ? harmlessJson(shown, 2) + "\n"
      : shown.lines.map((line) => `${line}\n`).join(""),
  );
  return OK;
};

/** `logs`: bytes as they were written, or as text. */
export const logs: Handler = async (call, io) => {
  const { id, paths } = await resolveSelector(
    onlyOperand(call, "one session"),
  );
  if (call.flags.has("plain")) return await plainLog(id, call, io);
  const { followLog, followLogs, readLog } = await import("../client/logs.ts");
  const tailLines = parsedValueOf(call, "tail", parseLineCount);
  const both = call.flags.has("all");
  const streams = both
    ? ["stdout", "stderr"] as const
    : [call.flags.has("stderr") ? "stderr" : "stdout"] as const;
  if (call.flags.has("follow")) {
    const { checkNoEcho } = await import("../client/loops.ts");
    checkNoEcho(paths, streams, io.columns !== undefined);
  }
  // One stream goes to standard output; with --all each goes to its own.
  const write = (stream: string, bytes: Uint8Array) =>
    both && stream === "stderr" ? io.err(bytes) : io.out(bytes);
  if (!call.flags.has("follow")) {
    for (const stream of streams) {
      for await (const bytes of readLog(id, { stream, tailLines })) {
        write(stream, bytes);
      }
    }
  } else if (both) {
    for await (const { stream, bytes } of followLogs(id, { tailLines })) {
      write(stream, bytes);
    }
  } else {
    const [stream] = streams;
    for await (const bytes of followLog(id, { stream, tailLines })) {
      io.out(bytes);
    }
  }
  return OK;
};

async function plainLog(id: string, call: Parsed, io: Io): Promise<number> {
  for (const other of ["follow", "stderr", "all"]) {
    if (call.flags.has(other)) {
      throw new ArgumentError(`Cannot use --plain with --${other}`);
    }
  }
  const { readPlainLog } = await import("../client/replay.ts");
  const tailLines = parsedValueOf(call, "tail", parseLineCount);
  for await (const line of readPlainLog(id, { tailLines })) {
    io.out(`${line}\n`);
  }
  return OK;
}
