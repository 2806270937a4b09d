/**
 * What the real programs have recorded, Codex 0.169.0 and Claude Code 2.1.329 with a stand-in
 * for the model: paths and long texts are replaced, lines that no test needs are empty shells.
 *
 * @module
 */
import { PROJECT } from "../helpers.ts";

const DATA = `${PROJECT}tests/agents/testdata`;

/** The first lines of a record, or all of them. */
export function recorded(name: string, count?: number): string[] {
  const text = Deno.readTextFileSync(`${DATA}/${name}.jsonl`);
  return text.trimEnd().split("\n").slice(0, count);
}

/** The same as the readers want them: the last line first. */
export function recordedFromEnd(name: string, count?: number): string[] {
  return recorded(name, count).reverse();
}
