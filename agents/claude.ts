/**
 * Claude Code.
 *
 * Each process of it tells about itself in `CLAUDE_CONFIG_DIR/sessions/PID.json`, from half a
 * second after its start to its end: its conversation, and what it is doing. It records each
 * conversation in `CLAUDE_CONFIG_DIR/projects/FOLDER/ID.jsonl`, from the first prompt on. None
 * of this is documented; it was seen in version 2.1.329.
 *
 * @module
 */
import type {
  Agent,
  AgentProcess,
  AgentStatus,
  CommandLines,
  Environment,
  Found,
} from "./agent.ts";
import {
  type Answer,
  type Fields,
  fieldsOf,
  isUuid,
  messageIn,
  namesIn,
  numberIn,
  parseFields,
  textIn,
  timeIn,
  type Transcript,
  type Turn,
} from "./transcript.ts";
import {
  idInClaudeOutput,
  readClaudeOutput,
  tokensOf,
} from "./claude_output.ts";
import { withNewId } from "./command_line.ts";
import type { BlockedKind, StatusValue } from "../screen/program_status.ts";
import { isAbsolute } from "../std.ts";
import { readFile, statOptional } from "../system/files.ts";

/** Claude Code. Its markers: what it sets for tool calls, seen in version 2.1.329, and the caller's editor. */
export const CLAUDE: Agent = {
  name: "claude",
  programs: ["claude"],
  packages: /claude/,
  npmPackage: "@anthropic-ai/claude-code",
  // deno-fmt-ignore
  markers: [
    "AI_AGENT", "CLAUDECODE", "CLAUDE_CODE_CHILD_NOTES_DIR", "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN", "CLAUDE_CODE_MESSAGING_*", "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_SSE_PORT", "CLAUDE_EFFORT", "CLAUDE_PID",
  ],
  commands: {
    exec: commandLines(["-p"], { needsPrompt: true }),
    pty: commandLines([]),
  },
  tellsTerminal: true,
  idInArguments,
  findConversation: readOwnRecord,
  homeOf,
  findTranscript,
  readLines: readTranscript,
  homeVariable: "CLAUDE_CONFIG_DIR",
  idInOutput: idInClaudeOutput,
  readOutput: readClaudeOutput,
  withNewId,
  ownOptions: /^--(print|session-id|resume|continue)(=|$)|^-[prc]/,
  support: { status: "tried", answer: "tried", resume: "tried" },
};

function commandLines(
  options: readonly string[],
  { needsPrompt = false } = {},
): CommandLines {
  return {
    program: () => ["claude"],
    needsPrompt,
    start: (args, newId) => {
      const chosen = newId === undefined || choosesConversation(args)
        ? []
        : ["--session-id", newId];
      return [...chosen, ...options, ...args];
    },
    resume: (id, prompt) => {
      if (needsPrompt && prompt === undefined) return undefined;
      // A prompt may begin with a dash.
      const rest = prompt === undefined ? [] : ["--", prompt];
      return [...options, "--resume", id, ...rest];
    },
  };
}

/** The options that decide which conversation it is, or that make Claude refuse an id. */
const CHOICES =
  /^(--(session-id|resume|continue|fork-session|from-pr|no-session-persistence)(=|$)|-[rc])/;

function choosesConversation(args: readonly string[]): boolean {
  return optionsIn(args).some((arg) => CHOICES.test(arg));
}

/** What stands before `--`. */
function optionsIn(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end < 0 ? args : args.slice(0, end);
}

/** `--session-id ID` and `--resume ID`. A fork gets an id that nobody has chosen. */
function idInArguments(args: readonly string[]): string | undefined {
  const options = optionsIn(args);
  const id = valueOf(options, "--session-id");
  if (id !== undefined) return id;
  if (options.includes("--fork-session")) return undefined;
  return valueOf(options, "--resume") ?? valueOf(options, "-r");
}

/** The value of an option, `--name ID` or `--name=ID`, if it is an id and the only one. */
function valueOf(args: readonly string[], name: string): string | undefined {
  const values = args.flatMap((arg, at) => {
    if (arg === name) return [args[at + 1]];
    return arg.startsWith(`${name}=`) ? [arg.slice(name.length + 1)] : [];
  });
  return values.length === 1 && isUuid(values[0]) ? values[0] : undefined;
}

/** Claude's folder. */
function homeOf(env: Environment): string | undefined {
  const home = env("HOME");
  const own = env("CLAUDE_CONFIG_DIR") || (home && `${home}/.claude`);
  return own && isAbsolute(own) ? own : undefined;
}

/** What a process has recorded about itself. */
function readOwnRecord(process: AgentProcess): Found | undefined {
  const { pid, startTicks, env } = process;
  const home = homeOf(env);
  if (home === undefined) return undefined;
  const record = parseFields(readFile(`${home}/sessions/${pid}.json`) ?? "");
  // A process that was killed leaves its record behind, and another one gets its number.
  if (record.pid !== pid || record.procStart !== `${startTicks}`) {
    return undefined;
  }
  const id = record.sessionId;
  if (!isUuid(id)) return undefined;
  const told = statusIn(record);
  return { id, transcript: findTranscript(id, home), ...(told && { told }) };
}

const VALUES: Readonly<Record<string, StatusValue>> = {
  idle: "idle",
  busy: "working",
  waiting: "blocked",
};

/** What it waits for, as Claude's own report to a terminal names it. */
const BLOCKED_KINDS: Readonly<Record<string, BlockedKind>> = {
  "permission prompt": "permission",
  "sandbox request": "permission",
  "worker request": "permission",
  "goal proposal": "permission",
  "input needed": "question",
};

/** The status in a record; `undefined` in its first moments, and for one that isn't known. */
function statusIn(record: Fields): AgentStatus | undefined {
  const status = textIn(record.status) ?? "";
  if (!Object.hasOwn(VALUES, status)) return undefined;
  const value = VALUES[status]!;
  const since = numberIn(record.statusUpdatedAt);
  const reason = textIn(record.waitingFor) ?? "";
  if (value !== "blocked") return { value, since };
  const kind = Object.hasOwn(BLOCKED_KINDS, reason)
    ? BLOCKED_KINDS[reason]
    : undefined;
  return { value, kind, message: messageIn(reason), since };
}

/**
 * The record of a conversation. Its folder is named after the directory in which it began, in a
 * way that differs between versions; so all are looked through.
 */
function findTranscript(id: string, home: string): string | undefined {
  if (!isUuid(id)) return undefined;
  const found = namesIn(`${home}/projects`)
    .map((folder) => `${home}/projects/${folder}/${id}.jsonl`)
    .filter((path) => statOptional(path)?.isFile);
  return found.length === 1 ? found[0] : undefined;
}

/** A turn, or its end as far as it has been read, the last line first. */
interface Part {
  id?: string;
  startedAt?: number;
  /** `unknown` if its last line doesn't tell. */
  state?: Turn["state"] | "unknown";
  since?: number;
  message?: string;
  httpStatus?: number;
  /** Which message is the answer: one has a line for each of its blocks. */
  messageId?: unknown;
  at?: number;
  /** The texts of that message, the last one first. */
  texts: string[];
  /** The cost of each message, by its id. */
  readonly usage: Map<unknown, Fields>;
}

const newPart = (): Part => ({ texts: [], usage: new Map() });

/**
 * The last turn and answer of a record. Its helpers have records of their own, or side chains.
 * Without a prompt nothing is known: another version may record prompts in another way.
 */
function readTranscript(lines: Iterable<string | undefined>): Transcript {
  const last = newPart();
  let part = last;
  let answer: Answer | undefined;
  for (const line of lines) {
    if (line === undefined) break; // Too far from the end.
    const fields = parseFields(line);
    if (fields.isSidechain === true) continue;
    if (fields.type === "assistant") readMessage(part, fields);
    else if (fields.type === "system" && fields.subtype === "turn_duration") {
      end(part, "done", fields);
    } else if (fields.type === "user") {
      const input = inputIn(fields);
      if (input === "interruption") end(part, "aborted", fields);
      else if (input !== "note") end(part, "working", fields);
      if (input !== "prompt") continue;
      part.id = textIn(fields.promptId) ?? textIn(fields.uuid);
      part.startedAt = timeIn(fields.timestamp);
      answer = answerOf(part);
      if (answer !== undefined) break;
      part = newPart();
    }
  }
  return { turn: turnOf(last), ...(answer && { answer }) };
}

/** Sets the state that a line tells, if no later line has told one. */
function end(
  part: Part,
  state: Turn["state"] | "unknown",
  fields: Fields,
): void {
  if (part.state !== undefined) return;
  part.state = state;
  part.since = timeIn(fields.timestamp);
}

/** What a line of the user's side is: much of it is none of the user's. */
function inputIn(
  fields: Fields,
): "prompt" | "result" | "interruption" | "note" {
  const { content } = fieldsOf(fields.message);
  const blocks = Array.isArray(content) ? content.map(fieldsOf) : [];
  if (blocks.some(({ type }) => type === "tool_result")) return "result";
  const text = textIn(content) ?? textIn(blocks[0]?.text) ?? "";
  // A prompt that the user has typed is no list.
  if (blocks.length === 1 && text.startsWith("[Request interrupted")) {
    return "interruption";
  }
  if (fields.isMeta === true || fields.isCompactSummary === true) return "note";
  // Commands that Claude itself obeys, such as /clear, begin no turn.
  const isLocal = /^<(command|local-command|bash)-/.test(text) &&
    fields.turnOrigin === undefined;
  return isLocal ? "note" : "prompt";
}

/** Reads a line of the agent's side: a block of a message, or what stands for one. */
function readMessage(part: Part, fields: Fields): void {
  const message = fieldsOf(fields.message);
  const blocks = Array.isArray(message.content)
    ? message.content.map(fieldsOf)
    : [];
  const texts = blocks.filter(({ type }) => type === "text")
    .map(({ text }) => textIn(text) ?? "");
  if (fields.isApiErrorMessage === true) {
    if (part.state === undefined) {
      part.message = messageIn(texts.join(" "));
      part.httpStatus = numberIn(fields.apiErrorStatus);
    }
    return end(part, "failed", fields);
  }
  // "No response requested.", after a resume.
  if (message.model === "<synthetic>") return;
  end(part, stateAfter(message, blocks), fields);
  if (!part.usage.has(message.id)) {
    part.usage.set(message.id, fieldsOf(message.usage));
  }
  if (part.state !== "done") return;
  part.messageId ??= message.id;
  if (part.messageId !== message.id) return;
  part.at ??= timeIn(fields.timestamp);
  part.texts.push(...texts.toReversed());
}

/** What a message at the end means for its turn. */
function stateAfter(
  message: Fields,
  blocks: readonly Fields[],
): Part["state"] & string {
  const reason = textIn(message.stop_reason);
  if (reason === "tool_use" || blocks.some(({ type }) => type === "tool_use")) {
    return "working";
  }
  if (reason === "pause_turn") return "working";
  // Without a reason, it is not complete, or an older version has recorded it.
  return reason === undefined ? "unknown" : "done";
}

/** The turn of a part; `undefined` if its state isn't known. */
function turnOf(part: Part): Turn | undefined {
  const { id, startedAt, state, message, httpStatus } = part;
  if (state === undefined || state === "unknown") return undefined;
  const since = state === "working" ? startedAt : part.since;
  return {
    ...{ id, state, startedAt, since },
    ...(state === "failed" && { message, httpStatus }),
  };
}

/** The answer of a part that is a whole turn. */
function answerOf(part: Part): Answer | undefined {
  const { id: turn, state, texts, at, usage } = part;
  if (state !== "done" || texts.length === 0) return undefined;
  const tokens = tokensOf([...usage.values()]);
  const text = texts.toReversed().join("");
  return { text, turn, at, ...(tokens && { tokens }) };
}
