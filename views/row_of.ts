/**
 * A session's row, from what its files tell.
 *
 * Everything in it may come from a hostile program or a damaged file: each text is one clean line
 * with a bound.
 *
 * @module
 */
import type { Agent } from "../agents/agent.ts";
import { clientsOf, commandText } from "../cli/list.ts";
import { type Activity, activityOf } from "../cli/status.ts";
import { agentOf } from "../events/conversation.ts";
import type { SessionStatus } from "../events/status.ts";
import { briefLine } from "../screen/clean_text.ts";
import type { Session } from "../session/find.ts";
import { basename } from "../std.ts";
import { exitStatus, isLive, KINDS, type Meta, timesAt } from "../store.ts";
import { statOptional } from "../system/files.ts";
import type { ActionName, Row, Urgency } from "./row.ts";

/** The longest command, prompt and line, in UTF-16 units. */
const LONG = 500;
/** The longest title, message and path. */
const SHORT = 200;
/** More labels, or longer ones, are left out. */
const MOST_LABELS = 50;
const LABEL_LENGTH = 100;

/** What a row tells besides its session. */
export interface RowFacts {
  /** What the session is doing, by `statusOf()`. */
  readonly status: SessionStatus | null;
  /** The last title of its terminal. @default {none} */
  readonly title?: string | undefined;
  /** The last line of its output. @default {none} */
  readonly lastLine?: string | undefined;
  /** The time by which it is judged silent, in milliseconds since 1970. */
  readonly now: number;
}

/** The row of a session. */
export function rowOf(session: Session, facts: RowFacts): Row {
  const { id, meta, state } = session;
  const { status, now } = facts;
  const activity = activityOf(session, status, now);
  const agent = agentOf(meta);
  const name = agent?.name ?? shortOrNone(meta?.agent);
  const title = titleOf(status?.title) ?? titleOf(facts.title);
  return {
    id,
    born: session.createdAt.toISOString(),
    kind: meta?.kind ?? null,
    state: state.state,
    urgency: urgencyOf(session, activity),
    text: wordsOf(activity),
    tone: toneOf(session, activity),
    since: sinceOf(session, activity)?.toISOString() ?? null,
    message: shortOrNone(status?.message),
    title,
    line: lineOf(session, activity, { ...facts, title, name }),
    command: commandOf(session),
    prompt: name !== null && meta?.prompt && !isCommand(meta)
      ? briefLine(meta.prompt, LONG)
      : null,
    agent: name,
    cwd: meta && briefLine(meta.cwd, SHORT),
    labels: labelsOf(meta),
    clients: clientsOf(session),
    createdAt: session.createdAt.toISOString(),
    lastOutputAt: session.lastOutputAt?.toISOString() ?? null,
    isTerminal: meta !== null && KINDS[meta.kind].isTerminal,
    can: possible(session, agent),
  };
}

/** A text; `null` if it is blank. */
function shortOrNone(text: string | undefined): string | null {
  return briefLine(text ?? "", SHORT).trim() || null;
}

function urgencyOf({ state }: Session, { tone }: Activity): Urgency {
  if (!isLive(state)) return "ended";
  return tone === "quiet" || tone === "warning" || tone === "ended"
    ? "idle"
    : tone;
}

/** The command as it can be pasted into a shell, or the beginning of it. */
function commandOf(session: Session): string {
  const { meta } = session;
  const argv = meta?.argv.slice(0, LONG).map((word) => word.slice(0, LONG));
  const bounded = meta && argv ? { ...meta, argv } : meta;
  return briefLine(commandText({ ...session, meta: bounded }), LONG);
}

/** Stopped on purpose, it has not failed. */
function toneOf({ state }: Session, { tone, text }: Activity): Row["tone"] {
  const isStopped = state.state === "exited" && text === "stopped";
  return isStopped && exitStatus(state) !== 0 ? "ended" : tone;
}

function wordsOf({ text, about }: Activity): string {
  return briefLine(about === undefined ? text : `${text}: ${about}`, SHORT);
}

function sinceOf(
  { state, paths, lastOutputAt }: Session,
  { since }: Activity,
): Date | null {
  if (since !== null) return since;
  switch (state.state) {
    case "running":
      return timesAt(paths).startedAt;
    case "exited":
      return timesAt(paths).endedAt;
    case "lost":
      return lastOutputAt ?? statOptional(paths.meta)?.mtime ?? null;
    default:
      return null;
  }
}

/** A title without the sign in front of it, which turns while a program works, and stays after. */
function titleOf(text: string | undefined): string | null {
  return shortOrNone(text?.replace(/^\s*(?:\p{So}|[\u00b7*])\ufe0f?\s+/u, ""));
}

/** Whether the prompt in the metadata is only the command again: it was started without one. */
function isCommand({ argv, prompt }: Meta): boolean {
  const words = argv.slice(0, LONG).map((word) => word.slice(0, LONG));
  return words.join(" ").replace(/\s+/g, " ").startsWith(prompt);
}

/** What tells the most of what it does: its own words, its title, what it was asked. */
function lineOf(
  { meta, state }: Session,
  { about }: Activity,
  { status, title, name, lastLine }: Pick<RowFacts, "status" | "lastLine"> & {
    readonly title: string | null;
    readonly name: string | null;
  },
): string {
  const own = about === undefined ? status?.message : undefined;
  // Until an agent knows better, its title is its name or the directory's.
  const saysNothing =
    title?.toLowerCase().replace(/ (?:code|cli)$/, "") === name ||
    title === basename(meta?.cwd ?? "");
  const asked = name !== null ? meta?.prompt : undefined;
  const texts = isLive(state)
    ? [own, status?.title, lastLine, saysNothing ? null : title, asked]
    : [own, lastLine, asked];
  const told = texts.find((text) => text?.trim());
  return briefLine(told ?? "", LONG).trim();
}

function labelsOf(meta: Meta | null): Row["labels"] {
  const all = Object.entries(meta?.labels ?? {}).slice(0, MOST_LABELS);
  return Object.fromEntries(
    all.map(([key, value]) => [
      briefLine(key, LABEL_LENGTH),
      briefLine(value, LABEL_LENGTH),
    ]),
  );
}

/** What can be done with a session now. */
function possible(
  { meta, state }: Session,
  agent: Agent | undefined,
): readonly ActionName[] {
  if (meta === null) return ["delete"];
  const { accepts } = KINDS[meta.kind];
  const live = isLive(state);
  const goesOn = agent !== undefined && agent.support.resume !== "no" &&
    agent.commands[meta.kind] !== undefined;
  const can: readonly (readonly [ActionName, boolean])[] = [
    ["send", live && accepts.length > 0],
    ["keys", live && accepts.includes("keys")],
    ["answer", agent !== undefined && agent.support.answer !== "no"],
    ["stop", live],
    ["resume", !live && goesOn],
    ["restart", !live],
    ["delete", true],
  ];
  return can.flatMap(([name, is]) => is ? [name] : []);
}
