/**
 * The last line that a session has written, read from the end of its log, or of what its agent has
 * answered.
 *
 * A terminal's log holds what its program has drawn. Where that has moved the cursor to other
 * lines, the end of the log is no last line, and there is none.
 *
 * @module
 */
import { mayReadAgents, readTranscript } from "../agents/conversation.ts";
import { recordedConversation } from "../events/conversation.ts";
import type { Session } from "../session/find.ts";
import { KINDS } from "../store.ts";
import { openFile, statOptional } from "../system/files.ts";

/** How much is read; no view is wider. */
const MAX_BYTES = 4096;

/** How much of an agent's record is read for its last answer: most turns have less. */
const MAX_RECORD_BYTES = 1024 * 1024;

/** CSI, OSC, and the other escape sequences; one that is cut off at the end, too. */
const SEQUENCES =
  // deno-lint-ignore no-control-regex
  /\x1b(?:\[[0-?]*[ -\/]*[@-~]?|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -\/]*[0-~])/g;
/** CSI that move to other lines, erase them, or scroll; the alternate screen. */
// deno-lint-ignore no-control-regex
const DRAWING = /\x1b\[(?:[0-?]*[A-BE-FHJLMSTdfr]|\?(?:47|1047|1049)h)/;

const decoder = new TextDecoder();

/** The last line of a session's output that isn't blank; `undefined` if there is none. */
export function lastLineOf(
  { meta, paths }: Pick<Session, "meta" | "paths">,
): string | undefined {
  const logs = [paths.stdout, paths.stderr]
    .map((path) => ({ path, info: statOptional(path) }))
    .filter(({ info }) => info !== undefined && info.size > 0)
    .sort((a, b) => timeOf(b.info) - timeOf(a.info));
  const isTerminal = meta !== null && KINDS[meta.kind].isTerminal;
  for (const { path } of logs) {
    const text = endOf(path);
    if (isTerminal && DRAWING.test(text)) return undefined;
    const line = lastLineIn(text);
    if (line !== undefined) return line;
  }
  return undefined;
}

/**
 * The last line with words of its agent's last answer, as the agent has recorded it; `undefined` if
 * that isn't known, or may not be read.
 */
export function lastWordsOf(
  { paths }: Pick<Session, "paths">,
): string | undefined {
  const conversation = mayReadAgents()
    ? recordedConversation(paths)
    : undefined;
  const record = conversation &&
    readTranscript(conversation, { maxBytes: MAX_RECORD_BYTES });
  return record?.answer?.text.split("\n")
    .findLast((line) => /[\p{L}\p{N}]/u.test(line));
}

function timeOf(info: { readonly mtime: Date | null } | undefined): number {
  return info?.mtime?.getTime() ?? 0;
}

function endOf(path: string): string {
  using file = openFile(path);
  if (file === undefined) return "";
  const buffer = new Uint8Array(MAX_BYTES);
  const start = Math.max(0, file.size() - MAX_BYTES);
  const length = file.readNow(buffer, start);
  // What is left of a character at the beginning becomes U+FFFD.
  return decoder.decode(buffer.subarray(0, length)).replace(/^\ufffd+/, "");
}

/** A carriage return begins the line again: what stands behind it counts, unless that is nothing. */
function lastLineIn(text: string): string | undefined {
  return text.replace(SEQUENCES, "").split(/[\r\n]/)
    .findLast((line) => line.trim() !== "");
}
