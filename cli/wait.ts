/**
 * The command that waits: `wait`.
 *
 * @module
 */
import type { Condition, Found } from "../client/wait.ts";
import { ArgumentError, messageOf, SessionError } from "../errors.ts";
import { harmlessJson, parseDuration, parsePeriod } from "./format.ts";
import {
  type Handler,
  OK,
  parsedValueOf,
  unknownEnding,
  valueOf,
} from "./io.ts";
import { choose, FILES, forEachChosen } from "./selection.ts";
import { exitStatus, isLive } from "../store.ts";
import { roomForSessions } from "../system/limits.ts";

/** What to write for a condition without its value. */
const EXAMPLES: ReadonlyMap<unknown, string> = new Map([
  ["idle", "idle needs a duration: --for idle=10s"],
  ["output", "output needs a pattern: --for output='tests passed'"],
  ["screen", "screen needs a pattern: --for screen='tests passed'"],
]);

/** `--for`: `exit`, `output=REGEX`, `idle=D` or `screen=REGEX`. */
export function parseCondition(text: string): Condition {
  const [, what, value = ""] = /^(\w+)(?:=([^]*))?$/.exec(text) ?? [];
  if (what === "exit" && value === "") return { for: "exit" };
  const example = value === "" ? EXAMPLES.get(what) : undefined;
  if (example !== undefined) throw new ArgumentError(example);
  if (what === "idle") return { for: "idle", idleMs: parsePeriod(value) };
  if ((what !== "output" && what !== "screen") || value === "") {
    throw new ArgumentError(
      `Cannot wait for "${text}": use exit, output=REGEX, idle=D or screen=REGEX`,
    );
  }
  try {
    return { for: what, pattern: new RegExp(value, "m") };
  } catch (error) {
    throw new ArgumentError(messageOf(error), { cause: error });
  }
}

/** What has made the condition true, for JSON. */
export function factsOf(found: Found): object {
  switch (found.for) {
    case "exit": {
      const { state } = found;
      return state.state === "exited"
        ? { exitStatus: exitStatus(state.ending), ...state.ending }
        : { state: state.state };
    }
    case "output":
      return { match: found.match, stream: found.stream };
    case "screen":
      return { match: found.match };
    case "idle":
      return {};
  }
}

/** Refuses to wait for more at the same time than there may be open files for. */
function checkRoom(count: number, condition: Condition): void {
  // The others do with a look now and then.
  if (condition.for !== "output" && condition.for !== "screen") return;
  if (count <= 1) return;
  const most = roomForSessions(FILES);
  if (count <= most) return;
  throw new SessionError(
    "unsupported",
    `Cannot wait for the ${condition.for} of ${count} sessions at the same time, only of ${most}: raise the limit of open files (ulimit -n)`,
  );
}

/** `wait`: prints a line per session as it ends, or as the condition comes true. */
export const wait: Handler = async (call, io) => {
  const { waitForSession } = await import("../client/wait.ts");
  const timeoutMs = parsedValueOf(call, "timeout", parseDuration);
  const condition = parseCondition(valueOf(call, "for") ?? "exit");
  // What has ended is never idle; its output, and how it ended, are still there.
  const chosen = await choose(
    call,
    io,
    ({ meta, state }) =>
      meta !== null && (condition.for !== "idle" || isLive(state)),
  );
  checkRoom(chosen.length, condition);
  const waiting = chosen.map((one) =>
    forEachChosen([one], io, async ({ id }) => {
      if (condition.for !== "exit") {
        const { waitFor } = await import("../client/wait.ts");
        const found = await waitFor(id, condition, { timeoutMs });
        io.out(
          io.json ? harmlessJson({ id, ...factsOf(found) }) + "\n" : `${id}\n`,
        );
        return OK;
      }
      const { state } = await waitForSession(id, { timeoutMs });
      if (state.state !== "exited") {
        io.out(
          io.json
            ? harmlessJson({ id, state: state.state }) + "\n"
            : `${id} ${state.state}\n`,
        );
        throw unknownEnding(id, state);
      }
      const code = exitStatus(state);
      io.out(
        io.json
          ? harmlessJson({ id, exitStatus: code, ...state.ending }) + "\n"
          : `${id} ${code}\n`,
      );
      return code;
    })
  );
  const statuses = await Promise.all(waiting);
  return statuses.find((status) => status !== OK) ?? OK;
};
