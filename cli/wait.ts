/**
 * The command that waits: `wait`.
 *
 * @module
 */
import type { Condition, Found } from "../client/wait.ts";
import { ArgumentError, messageOf, SessionError } from "../errors.ts";
import { unknownEnding } from "./going_on.ts";
import { harmlessJson, parseDuration, parsePeriod } from "./format.ts";
import { type Handler, OK, parsedValueOf, valueOf } from "./io.ts";
import { choose, FILES, forEachChosen, parseStatuses } from "./selection.ts";
import { blocked, statusJson } from "./status.ts";
import type { EndState } from "../client/watch.ts";
import { lookForConversation } from "../events/conversation.ts";
import type { SessionStatus } from "../events/status.ts";
import { exitStatus, isLive, type Kind, KINDS } from "../store.ts";
import { roomForSessions } from "../system/limits.ts";

/** What to write for a condition without its value. */
const EXAMPLES: ReadonlyMap<unknown, string> = new Map([
  ["idle", "idle needs a duration: --for idle=10s"],
  ["output", "output needs a pattern: --for output='tests passed'"],
  ["screen", "screen needs a pattern: --for screen='tests passed'"],
  ["status", "status needs values: --for status=blocked,done,error"],
]);

/** `--for`: `exit`, `turn`, `status=S`, `output=REGEX`, `idle=D` or `screen=REGEX`. */
export function parseCondition(text: string): Condition {
  const [, what, value = ""] = /^(\w+)(?:=([^]*))?$/.exec(text) ?? [];
  if ((what === "exit" || what === "turn") && value === "") {
    return { for: what };
  }
  const example = value === "" ? EXAMPLES.get(what) : undefined;
  if (example !== undefined) throw new ArgumentError(example);
  if (what === "idle") return { for: "idle", idleMs: parsePeriod(value) };
  if (what === "status") {
    return { for: "status", values: parseStatuses(value) };
  }
  if ((what !== "output" && what !== "screen") || value === "") {
    throw new ArgumentError(
      `Cannot wait for "${text}": use exit, turn, status=S, output=REGEX, idle=D or screen=REGEX`,
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
    case "exit":
      return endFacts(found.state);
    case "output":
      return { match: found.match, stream: found.stream };
    case "screen":
      return { match: found.match };
    case "idle":
      return {};
    case "status":
      return { status: statusJson(found.status) };
    case "turn":
      return {
        status: statusJson(found.status),
        ...found.state && endFacts(found.state),
      };
  }
}

function endFacts(state: EndState): object {
  return state.state === "exited"
    ? { exitStatus: exitStatus(state.ending), ...state.ending }
    : { state: state.state };
}

/** How a wait has come true, behind the id. */
function wordsOf(found: Found): string {
  if (found.for === "status") return ` ${found.status.value}`;
  return found.for === "turn" && found.status ? ` ${found.status.value}` : "";
}

/** The end of the session, if that is what was waited for. */
function endOf(found: Found): EndState | undefined {
  return found.for === "exit" || found.for === "turn" ? found.state : undefined;
}

/**
 * The exit status of a wait that has come true: that of the session, if it has ended.
 *
 * @throws {SessionError} for a turn that has failed, or is blocked.
 */
export function statusOfEnd(id: string, found: Found): number {
  const state = endOf(found);
  if (state === undefined) {
    if (found.for === "turn") checkTurn(id, found.status);
    return OK;
  }
  if (state.state !== "exited") throw unknownEnding(id, state);
  return exitStatus(state.ending);
}

/** Refuses to take a turn for done that isn't. */
function checkTurn(id: string, status: SessionStatus | null): void {
  if (status?.value === "blocked") {
    throw blocked(id, status, `The turn of session "${id}" is not done`);
  }
  if (status?.value !== "error") return;
  const {
    message = `it doesn't say why; see: codex-session logs ${id}`,
  } = status;
  throw new SessionError(
    "turn_failed",
    `The turn of session "${id}" has failed: ${message}`,
    { id },
  );
}

/** Tells whether waiting makes sense for a session that has ended. */
function isForEnded(condition: Condition, kind: Kind): boolean {
  switch (condition.for) {
    case "exit":
    case "output":
    case "screen":
      return true;
    case "turn":
      return KINDS[kind].accepts.length === 0;
    case "idle":
    case "status":
      return false;
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
  const { waitFor, waitForSession } = await import("../client/wait.ts");
  const timeoutMs = parsedValueOf(call, "timeout", parseDuration);
  const condition = parseCondition(valueOf(call, "for") ?? "exit");
  const chosen = await choose(
    call,
    io,
    ({ meta, state }) =>
      meta !== null && (isLive(state) || isForEnded(condition, meta.kind)),
  );
  checkRoom(chosen.length, condition);
  const waiting = chosen.map((one) =>
    forEachChosen([one], io, async (session) => {
      const { id } = session;
      const over = new AbortController();
      using _ = { [Symbol.dispose]: () => over.abort() };
      // What it doesn't see is only less known later.
      lookForConversation(session, over.signal).catch(() => {});
      const found = condition.for === "exit"
        ? { for: "exit", ...await waitForSession(id, { timeoutMs }) } as const
        : await waitFor(id, condition, { timeoutMs });
      const state = endOf(found);
      const words = state === undefined
        ? wordsOf(found)
        : ` ${exitStatus(state) ?? state.state}`;
      io.out(
        io.json
          ? harmlessJson({ id, ...factsOf(found) }) + "\n"
          : `${id}${words}\n`,
      );
      return statusOfEnd(id, found);
    })
  );
  const statuses = await Promise.all(waiting);
  return statuses.find((status) => status !== OK) ?? OK;
};
