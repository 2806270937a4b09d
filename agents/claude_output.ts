/**
 * What `claude -p` writes, as far as it tells of its conversation. Seen in version 2.1.329.
 *
 * As text, standard output holds the answer alone. With `--output-format json` it holds one
 * object, with `--verbose` an array of them, and with `stream-json` one object a line. Each
 * object names the conversation; the last one is the result.
 *
 * @module
 */
import type { OutputFiles } from "./agent.ts";
import {
  type Answer,
  type Fields,
  fieldsOf,
  firstLine,
  isUuid,
  messageIn,
  numberIn,
  textIn,
  type Transcript,
} from "./transcript.ts";

/** A result holds the answer, and an array all that the tools have returned. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

function formatOf(args: readonly string[]): string {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  const name = "--output-format";
  const at = options.findIndex((arg) =>
    arg === name || arg.startsWith(`${name}=`)
  );
  const option = options[at] ?? `${name}=text`;
  return option === name
    ? options[at + 1] ?? ""
    : option.slice(name.length + 1);
}

/** The objects of a line: one, or an array of them. */
function objectsIn(line: string): Fields[] {
  try {
    return [JSON.parse(line)].flat().map(fieldsOf);
  } catch {
    return [];
  }
}

/** The conversation that Claude names at the beginning of its output. */
export function idInClaudeOutput(
  args: readonly string[],
  { stdout }: OutputFiles,
): string | undefined {
  if (!["json", "stream-json"].includes(formatOf(args))) return undefined;
  const [first] = objectsIn(firstLine(stdout, MAX_LINE_BYTES) ?? "");
  const id = first?.session_id;
  return ["system", "result"].includes(`${first?.type}`) && isUuid(id)
    ? id
    : undefined;
}

/** The turn and the answer in the lines of standard output, the last line first. */
export function readClaudeOutput(
  args: readonly string[],
  lines: Iterable<string | undefined>,
): Transcript | "text" | undefined {
  const format = formatOf(args);
  if (format === "text") return "text";
  if (format !== "json" && format !== "stream-json") return undefined;
  for (const line of lines) {
    const result = objectsIn(line ?? "").findLast(({ type }) =>
      type === "result"
    );
    if (result === undefined) continue;
    const text = textIn(result.result);
    // A refused request is a success with is_error.
    if (result.is_error !== false || text === undefined) {
      const message = messageIn(text) ?? messageIn(result.subtype);
      const httpStatus = numberIn(result.api_error_status);
      return { turn: { state: "failed", message, httpStatus } };
    }
    const tokens = tokensOf([fieldsOf(result.usage)]);
    const costUsd = numberIn(result.total_cost_usd);
    return {
      turn: { state: "done" },
      answer: {
        text,
        ...(tokens && { tokens }),
        // Claude adds up binary fractions: 0.00014000000000000001.
        ...(costUsd !== undefined && { costUsd: Number(costUsd.toFixed(9)) }),
      },
    };
  }
  return { turn: undefined };
}

/** The sum of all tokens, as Claude counts them; `undefined` if one number isn't known. */
export function tokensOf(usages: readonly Fields[]): Answer["tokens"] {
  let [input, output] = [0, 0];
  for (const usage of usages) {
    const counts = [
      usage.input_tokens,
      usage.cache_creation_input_tokens ?? 0,
      usage.cache_read_input_tokens ?? 0,
    ].map(numberIn);
    const written = numberIn(usage.output_tokens);
    if (counts.includes(undefined) || written === undefined) return undefined;
    input += counts.reduce<number>((sum, count) => sum + count!, 0);
    output += written;
  }
  return { input, output };
}
