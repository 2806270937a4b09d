/**
 * What `codex exec` writes, as far as it tells of its conversation. Seen in version 0.169.
 *
 * Without `--json`, standard output holds the answer alone, and standard error begins with a
 * header that Codex writes before anything of the model. With `--json`, standard output has one
 * JSON object a line, and the first one names the conversation.
 *
 * @module
 */
import type { OutputFiles } from "./agent.ts";
import {
  type Fields,
  fieldsOf,
  firstBytes,
  firstLine,
  isUuid,
  messageIn,
  numberIn,
  parseFields,
  textIn,
  type Transcript,
} from "./transcript.ts";

/** The first line with `--json` has a hundred bytes, the header some hundred. */
const MAX_START_BYTES = 8 * 1024;

/** Warnings about the configuration stand before it. */
const HEADER =
  /^(?:warning: [^\n]*\n)*(?:Reading additional input from stdin\.\.\.\n)?OpenAI Codex v[^\n]*\n-{8}\n((?:[a-z ]+: [^\n]*\n)+)-{8}\nuser\n/;

function isJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  return options.includes("--json");
}

/** The conversation that Codex names at the beginning of its output. */
export function idInCodexOutput(
  args: readonly string[],
  { stdout, stderr }: OutputFiles,
): string | undefined {
  if (isJson(args)) {
    const first = parseFields(firstLine(stdout, MAX_START_BYTES) ?? "");
    const { type, thread_id: id } = first;
    return type === "thread.started" && isUuid(id) ? id : undefined;
  }
  const [, header = ""] = HEADER.exec(firstBytes(stderr, MAX_START_BYTES)) ??
    [];
  const ids = [...header.matchAll(/^session id: (.*)$/gm)];
  const id = ids[0]?.[1];
  return ids.length === 1 && isUuid(id) ? id : undefined;
}

/** The turn and the answer in the lines of standard output, the last line first. */
export function readCodexOutput(
  args: readonly string[],
  lines: Iterable<string | undefined>,
): Transcript | "text" {
  if (!isJson(args)) return "text";
  let end: Fields | undefined;
  for (const line of lines) {
    const fields = parseFields(line ?? "");
    if (fields.type === "turn.failed") {
      const message = messageIn(fieldsOf(fields.error).message);
      return { turn: { state: "failed", message } };
    }
    if (fields.type === "turn.completed") end ??= fields;
    const { type, text } = fieldsOf(fields.item);
    const answer = textIn(text);
    if (end === undefined || type !== "agent_message" || answer === undefined) {
      continue;
    }
    const { input_tokens, output_tokens } = fieldsOf(end.usage);
    const [input, output] = [numberIn(input_tokens), numberIn(output_tokens)];
    const isKnown = input !== undefined && output !== undefined;
    const tokens = isKnown ? { tokens: { input, output } } : {};
    return { turn: { state: "done" }, answer: { text: answer, ...tokens } };
  }
  return { turn: end && { state: "done" } };
}
