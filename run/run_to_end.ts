/**
 * A session from its start to its end: starts it, waits, reads what it wrote, deletes it.
 *
 * It stands on both `session/`, which starts and deletes, and `client/`, which waits and reads.
 *
 * @module
 */
import { readLog } from "../client/logs.ts";
import { waitForSession } from "../client/wait.ts";
import { checkOptions, SessionError } from "../errors.ts";
import { type CreateOptions, createSession } from "../session/create.ts";
import { getSession } from "../session/find.ts";
import { deleteSession, stopSession } from "../session/stop.ts";
import { describeState, type Ending, type RootOptions } from "../store.ts";

/** Options of {@linkcode runToEnd}. */
export interface RunToEndOptions extends
  Omit<
    CreateOptions,
    "kind" | "rm" | "columns" | "rows" | "logLimitBytes" | "relayCommand"
  > {
  /**
   * Leave the session there when it has ended.
   *
   * @default {false}
   */
  readonly keep?: boolean;
  /** Stops the session. */
  readonly signal?: AbortSignal;
}

/** How a command ended and what it wrote. */
export interface RunResult {
  /** The id of its session, which is deleted unless `keep` was given. */
  readonly id: string;
  /** Its exit code, or the signal that ended it. */
  readonly ending: Ending;
  /** Its standard output as UTF-8. */
  readonly stdout: string;
  /** Its standard error as UTF-8. */
  readonly stderr: string;
}

/** The longest string of V8; no UTF-8 has more characters than bytes. */
const MAX_BYTES = 2 ** 29 - 24;

/**
 * Runs a command as a session of kind `exec` to its end, and returns how it ended and what it
 * wrote. No session is left behind, nor a process that the command has left, unless `keep` is
 * given or this program is killed: then the session goes on, as sessions do, and stays. A failure
 * of the command is a result, not an error.
 *
 * Needs the permissions of `createSession`.
 *
 * @throws {SessionError} as `createSession` does; `wrong_state` if its end is unknown, since its
 * supervisor was killed; `not_found` if somebody else has deleted it.
 * @throws {ArgumentError} and {RangeError} as `createSession` does; {RangeError} also if the
 * command has written 512 MiB or more to a stream: a string can't hold it. With `keep`,
 * `readLog` reads it.
 * @throws the signal's reason, once it is aborted; the session has been stopped then.
 *
 * @example
 * ```ts
 * import { runToEnd } from "./mod.ts";
 * const { ending, stdout } = await runToEnd({ command: ["sh", "-c", "echo hi; exit 3"] });
 * console.log(ending, stdout); // { code: 3 } "hi\n"
 * ```
 */
export async function runToEnd(options: RunToEndOptions): Promise<RunResult> {
  checkOptions(options, { keep: "boolean" });
  const { keep = false, root, signal, graceMs } = options;
  const { id } = await createSession({ ...options, kind: "exec", rm: false });
  const session = { root, graceMs };
  try {
    const { state } = await waitForSession(id, { root, signal });
    if (state.state !== "exited") {
      const why = describeState(state);
      throw new SessionError(
        "wrong_state",
        `Cannot tell how the agent of session "${id}" ended: ${why}`,
        { id },
      );
    }
    const { sizes } = await getSession(id, { root });
    checkSize(id, "stdout", sizes.stdout);
    checkSize(id, "stderr", sizes.stderr);
    const stdout = await readText(id, "stdout", { root });
    const stderr = await readText(id, "stderr", { root });
    return { id, ending: state.ending, stdout, stderr };
  } catch (error) {
    if (keep && signal?.aborted) {
      // It may just have ended.
      await unless(
        ["not_found", "wrong_state"],
        () => stopSession(id, session),
      );
    }
    throw error;
  } finally {
    if (!keep) {
      const how = { ...session, force: true };
      await unless(["not_found"], () => deleteSession(id, how));
    }
  }
}

function checkSize(id: string, stream: string, bytes: number): void {
  if (bytes <= MAX_BYTES) return;
  throw new RangeError(
    `Cannot return the ${stream} of session "${id}": it has ${bytes} bytes, a string holds ${MAX_BYTES}; use keep and readLog()`,
  );
}

async function readText(
  id: string,
  stream: "stdout" | "stderr",
  options: RootOptions,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of readLog(id, { ...options, stream })) {
    text += decoder.decode(bytes, { stream: true });
  }
  return text + decoder.decode();
}

/** Does some work; errors with these codes mean that somebody else has done it. */
async function unless(
  codes: readonly SessionError["code"][],
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isDone = error instanceof SessionError && codes.includes(error.code);
    if (!isDone) throw error;
  }
}
