/**
 * Codex's rollouts: its records of conversations, `CODEX_HOME/sessions/Y/M/D/rollout-TIME-ID.jsonl`.
 *
 * Codex begins one with the first prompt and holds it open. What is read of it was seen in
 * version 0.169; `docs/agents.md` tells what that means for users.
 *
 * @module
 */
import type { AgentProcess, Environment, Found } from "./agent.ts";
import {
  type Answer,
  type Fields,
  fieldsOf,
  firstLine,
  isUuid,
  linesFromEnd,
  messageIn,
  namesIn,
  numberIn,
  parseFields,
  textIn,
  timeIn,
  type Transcript,
  type Turn,
} from "./transcript.ts";
import { statusOf } from "../process/table.ts";
import { isAbsolute } from "../std.ts";
import { openFile } from "../system/files.ts";
import { readLink } from "../system/libc.ts";

/** The name of a rollout: with its conversation's id and, after the user undid turns, its own. */
const ROLLOUT =
  /\/rollout-[^/]*-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:_([0-9a-f-]{36}))?\.jsonl$/;
/** The first line holds the instructions to the model: 20 kB and more. */
const MAX_META_BYTES = 1024 * 1024;
/** Codex has some 60 files open. Nobody looks through a million descriptors. */
const MAX_DESCRIPTORS = 4096;

/**
 * The conversation of a Codex process: the rollout that it holds open. After `/new` Codex keeps
 * the earlier one open, and its helpers have their own, such as a review. So of several it is
 * the one in which the user began a turn last.
 */
export function findOpenRollout({ pid }: AgentProcess): Found | undefined {
  const all = openRollouts(pid).map((one) => ({ ...one, owner: ownerOf(one) }));
  // One that can't be understood may be the one.
  if (all.some(({ owner }) => owner === undefined)) return undefined;
  const rollouts = all.filter(({ owner }) => owner === "user")
    .map(({ id, transcript }) => ({ id, transcript }));
  if (rollouts.length <= 1) return rollouts[0];
  const begun = rollouts.map((rollout) => {
    using file = openFile(rollout.transcript);
    return { rollout, at: file && lastStartIn(linesFromEnd(file)) };
  });
  if (begun.some(({ at }) => at === undefined)) return undefined;
  const [last, next] = begun.toSorted((a, b) => b.at! - a.at!);
  return last!.at === next!.at ? undefined : last!.rollout;
}

/** When the last turn of a rollout began; 0 without any, `undefined` if that can't be known. */
function lastStartIn(lines: Iterable<string | undefined>): number | undefined {
  let isEmpty = true;
  for (const line of lines) {
    const { timestamp, type, payload } = parseFields(line ?? "");
    if (type === "event_msg" && STARTS.includes(fieldsOf(payload).type)) {
      return timeIn(timestamp);
    }
    isEmpty &&= isPreface(type, fieldsOf(payload));
  }
  return isEmpty ? 0 : undefined;
}

/** A conversation with its rollout. */
interface Rollout {
  readonly id: string;
  readonly transcript: string;
}

/** The rollouts that a process holds open: `/proc/PID/fd`, proc_pid_fd(5). */
function openRollouts(pid: number): Rollout[] {
  const found = new Map<string, string>();
  const count = Math.min(Number(statusOf(pid, "FDSize")), MAX_DESCRIPTORS);
  for (let fd = 0; fd < count; fd++) {
    const transcript = readLink(`/proc/${pid}/fd/${fd}`) ?? "";
    const id = ROLLOUT.exec(transcript)?.[1];
    if (id !== undefined) found.set(transcript, id);
  }
  return [...found].map(([transcript, id]) => ({ id, transcript }));
}

/** Whose conversation a rollout holds, by its first line; `undefined` if that doesn't tell. */
function ownerOf({ id, transcript }: Rollout): "user" | "helper" | undefined {
  const line = firstLine(transcript, MAX_META_BYTES) ?? "";
  const { type, payload } = parseFields(line);
  const meta = fieldsOf(payload);
  if (type !== "session_meta" || meta.id !== id) return undefined;
  // A helper's source is an object, such as {"subagent":"review"}, and it has a parent.
  const isHelper = Object.keys(fieldsOf(meta.source)).length > 0 ||
    meta.thread_source === "subagent" || textIn(meta.parent_thread_id);
  if (isHelper) return "helper";
  return typeof meta.source === "string" ? "user" : undefined;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** The last moment of the year 9999: a later one has another form. */
const MAX_TIME = Date.UTC(10_000, 0) - 1;

/** Codex's folder. */
export function homeOf(env: Environment): string | undefined {
  const home = env("HOME");
  const own = env("CODEX_HOME") || (home && `${home}/.codex`);
  return own && isAbsolute(own) ? own : undefined;
}

/**
 * The rollout of a conversation. Its folder is the local day on which it began: that of the id, a
 * UUID with its time, or a later one after the user undid turns.
 */
export function findRollout(id: string, home: string): string | undefined {
  if (!isUuid(id)) return undefined;
  const madeAt = parseInt(id.replace("-", "").slice(0, 12), 16);
  // The agent's time zone isn't known.
  const first = new Date(Math.min(madeAt, MAX_TIME) - DAY_MS);
  const firstDay = first.toISOString().slice(0, 10).replaceAll("-", "/");
  const root = `${home}/sessions`;
  const folders = [""].flatMap(foldersIn(root, /^\/\d{4}$/))
    .flatMap(foldersIn(root, /\/\d\d$/))
    .flatMap(foldersIn(root, /\/\d\d$/))
    .filter((folder) => folder.slice(1) >= firstDay);
  const rollouts = folders.flatMap((folder) =>
    namesIn(root + folder).map((name) => ROLLOUT.exec(`${folder}/${name}`))
  ).filter((match) => match?.[1] === id);
  // The ids that rollouts have of their own begin with their times, too.
  const last = rollouts.toSorted((a, b) =>
    (a![2] ?? "") < (b![2] ?? "") ? -1 : 1
  ).at(-1);
  return last ? root + last.input : undefined;
}

/** Lists what is in a folder below `root` and has a path that fits. */
function foldersIn(root: string, fits: RegExp) {
  return (folder: string): string[] =>
    namesIn(root + folder).map((name) => `${folder}/${name}`)
      .filter((path) => fits.test(path));
}

/** The events that begin a turn and that end one, by their older and newer names. */
const STARTS: readonly unknown[] = ["task_started", "turn_started"];
const ENDS: readonly unknown[] = [
  "task_complete",
  "turn_complete",
  "turn_aborted",
];

/** Tells whether a line is one of those that stand before the first turn. */
function isPreface(type: unknown, event: Fields): boolean {
  return type === "session_meta" ||
    (type === "event_msg" && event.type === "thread_settings_applied");
}

/** An answer whose parts are still being looked for. */
type Draft = { -readonly [Key in keyof Answer]?: Answer[Key] };

/**
 * The last turn and answer of a rollout. Codex's helpers report their turns there, too: such a
 * turn has a root turn, the user's.
 */
export function readRollout(lines: Iterable<string | undefined>): Transcript {
  let turn: Turn | undefined;
  let draft: Draft | undefined;
  let isEmpty = true;
  for (const line of lines) {
    const { timestamp, type, payload } = parseFields(line ?? "");
    const event = fieldsOf(payload);
    isEmpty &&= isPreface(type, event);
    const id = textIn(event.turn_id);
    const root = textIn(event.root_turn_id) ?? id;
    const at = timeIn(timestamp);
    const isStart = type === "event_msg" && STARTS.includes(event.type);
    const isEnd = type === "event_msg" && ENDS.includes(event.type) &&
      id === root;
    if (isStart || isEnd) {
      const seen: Turn = isEnd
        ? endedTurn(event, at)
        : { id: root, state: "working", startedAt: at, since: at };
      turn ??= seen;
      if (draft && draft.turn !== root) {
        if (draft.text !== undefined) break;
        draft = undefined; // That turn has ended without a message.
      }
      if (seen.state === "done") {
        draft ??= { turn: id, at, text: textIn(event.last_agent_message) };
      }
    } else if (draft && draft.turn === root) {
      if (type === "token_usage_record") {
        draft.tokens ??= tokensIn(fieldsOf(event.turn_token_usage));
      } else if (event.type === "item_completed" && id === root) {
        // A review ends without a last message, but has recorded one.
        draft.text ??= messageOfItem(fieldsOf(event.item));
      }
    }
    if (draft?.tokens && draft.text !== undefined) break;
  }
  return {
    turn: turn ?? (isEmpty ? null : undefined),
    ...(draft?.text !== undefined && { answer: draft as Answer }),
  };
}

function endedTurn(event: Fields, at: number | undefined): Turn {
  const seconds = numberIn(event.started_at);
  const rest = {
    id: textIn(event.turn_id),
    since: at,
    ...(seconds && { startedAt: seconds * 1000 }),
  };
  if (event.type === "turn_aborted") return { ...rest, state: "aborted" };
  if ((event.error ?? null) === null) return { ...rest, state: "done" };
  const { message, codex_error_info: info } = fieldsOf(event.error);
  // {"response_too_many_failed_attempts":{"http_status_code":429}}
  const httpStatus = Object.values(fieldsOf(info))
    .map((detail) => numberIn(fieldsOf(detail).http_status_code))
    .find((status) => status !== undefined);
  return { ...rest, state: "failed", message: messageIn(message), httpStatus };
}

function tokensIn(usage: Fields): Answer["tokens"] {
  const input = numberIn(usage.input_tokens);
  const output = numberIn(usage.output_tokens);
  if (input === undefined || output === undefined) return undefined;
  return { input, output };
}

/** The text of an item, if it is a message of the agent. */
function messageOfItem(item: Fields): string | undefined {
  if (item.type !== "AgentMessage" || !Array.isArray(item.content)) {
    return undefined;
  }
  const texts = item.content.map((part) => textIn(fieldsOf(part).text) ?? "");
  return texts.join("");
}
