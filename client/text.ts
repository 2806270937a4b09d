/**
 * The output of a session as one string: what most programs want of it.
 *
 * @module
 */
import { checkOptions } from "../errors.ts";
import { isTerminal } from "../store.ts";
import {
  checkMaxBytes,
  checkStream,
  checkTailLines,
  existingPaths,
  readEndOfLog,
  type ReadLogOptions,
} from "./logs.ts";
import { concat } from "../system/bytes.ts";

/** Options of {@linkcode readText}. */
export interface ReadTextOptions extends ReadLogOptions {
  /**
   * Only the last so many bytes of the log.
   *
   * @default {Infinity}
   */
  readonly maxBytes?: number;
}

/**
 * A session's output until now as a string; empty if the log is missing. Bytes that are no
 * UTF-8 become U+FFFD. Of a terminal session, the text of {@linkcode readPlainLog},
 * without escape sequences.
 *
 * Needs `--allow-read` of the root and, without `root`, `--allow-env`; for a terminal also
 * `--allow-read` of Deno's cache.
 *
 * @throws {SessionError} `not_found`.
 * @throws {ArgumentError} if the id or stream is unknown; {RangeError} if a number is negative,
 * or if the text is longer than a string can be (512 MiB).
 *
 * @example
 * ```ts
 * import { pathsFor, readText, spawnExec, waitForSession } from "./mod.ts";
 * const root = Deno.makeTempDirSync();
 * await spawnExec(pathsFor("demo", { root }), ["hello"], { program: "echo" });
 * await waitForSession("demo", { root });
 * console.log(await readText("demo", { root })); // "hello\n"
 * ```
 */
export async function readText(
  id: string,
  options: ReadTextOptions = {},
): Promise<string> {
  checkOptions(options);
  const { stream = "stdout", tailLines = Infinity, maxBytes = Infinity } =
    options;
  checkStream(stream);
  checkTailLines(tailLines);
  checkMaxBytes(maxBytes);
  const paths = existingPaths(id, options);
  if (stream === "stdout" && isTerminal(paths)) {
    const { readPlainLog } = await import("./plain_log.ts");
    const lines = await Array.fromAsync(readPlainLog(id, options));
    return lines.map((line) => `${line}\n`).join("");
  }
  const start = { lines: tailLines, bytes: maxBytes };
  const chunks = await Array.fromAsync(readEndOfLog(paths, stream, start));
  const bytes = concat(chunks.map((chunk) => chunk.bytes));
  const isCut = chunks[0]?.isCut ?? false;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(isCut ? fromCharacter(bytes) : bytes);
}

/** Bytes from the first whole character of UTF-8 on. */
function fromCharacter(bytes: Uint8Array): Uint8Array {
  const start = bytes.subarray(0, 4).findIndex((byte) => byte >> 6 !== 0b10);
  return bytes.subarray(Math.max(0, start));
}
