/**
 * The command that waits: `wait`.
 *
 * @module
 */
import type { Condition } from "../client/wait.ts";
import { ArgumentError, messageOf } from "../errors.ts";
import { harmlessJson, parseDuration, parsePeriod } from "./format.ts";
import {
  type Handler,
  OK,
  parsedValueOf,
  unknownEnding,
  valueOf,
} from "./io.ts";
import { choose, forEachChosen } from "./selection.ts";
import { exitStatus } from "../store.ts";

/** `wait --for`: `exit`, `output=REGEX`, `idle=D` or `screen=REGEX`. */
function parseCondition(text: string): Condition {
  const [, what, value = ""] = /^(\w+)(?:=([^]*))?$/.exec(text) ?? [];
  if (what === "exit" && value === "") return { for: "exit" };
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

/** `wait`: prints a line per session as it ends, or as the condition comes true. */
export const wait: Handler = async (call, io) => {
  const { waitForSession } = await import("../client/wait.ts");
  const timeoutMs = parsedValueOf(call, "timeout", parseDuration);
  const condition = parseCondition(valueOf(call, "for") ?? "exit");
  const chosen = await choose(call, io, ({ meta }) => meta !== null);
  const waiting = chosen.map((one) =>
    forEachChosen([one], io, async ({ id }) => {
      if (condition.for !== "exit") {
        const { waitFor } = await import("../client/wait.ts");
        await waitFor(id, condition, { timeoutMs });
        io.out(io.json ? harmlessJson({ id }) + "\n" : `${id}\n`);
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
      const code = exitStatus(state.ending);
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
