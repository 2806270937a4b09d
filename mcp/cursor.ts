/**
 * Cursors: a place in a session's output, and the agent's last turn there, as short text that a
 * model hands back. Another session may get the id later: a cursor also holds when its own was
 * created. Not encoded further: a model copies digits more surely than base64, at half the
 * tokens. What it hands back is checked like any argument: a wrong one can only make it read the
 * wrong part of its own session's output.
 *
 * @module
 */
import { type LogCursor, readLogCursor } from "../client/logs.ts";
import type { LogPosition } from "../client/log_files.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import type { TurnMark } from "../run/answer.ts";
import type { Session } from "../session/find.ts";
import type { RootOptions } from "../store.ts";
import type { Schema } from "./tool.ts";

/** What a cursor holds. */
export interface Cursor {
  /** The session. */
  readonly id: string;
  /** When that was created, in milliseconds since 1970. */
  readonly born: number;
  /** The place in its output and events. */
  readonly log: LogCursor;
  /** The last turn of its agent, for those who wait for the next one's answer. */
  readonly turn?: TurnMark;
  /** It goes on with a wait that began without a cursor: what was so then counts, too. */
  readonly all?: boolean;
}

/** More than a cursor has. */
const MAX_LENGTH = 1000;
/** Agents name their turns by UUIDs. A longer name is left out. */
const MAX_TURN_LENGTH = 200;

/** The argument `cursor`. */
export const CURSOR: Schema = {
  type: "string",
  maxLength: MAX_LENGTH,
  description: "A cursor that a tool returned for this session, unchanged",
};

/** A cursor as text: printable ASCII without blanks. */
export function encodeCursor({ id, born, log, turn, all }: Cursor): string {
  const places = [log.stdout, log.stderr, log.events].map(writePosition);
  const name = encodeURIComponent(turn?.id?.toWellFormed() ?? "");
  const hasTurn = turn !== undefined && name.length <= MAX_TURN_LENGTH;
  const start = all ? ALL : log.at === undefined ? "-" : `${log.at}`;
  return [id, born, ...places, start, ...(hasTurn ? [turn.state, name] : [])]
    .join("~");
}

/** A place in a session. */
export function placeIn({ id, createdAt }: Session, log: LogCursor): Cursor {
  return { id, born: createdAt.getTime(), log };
}

/** The end of a session's output as it is now. */
export function cursorNow(
  session: Session,
  options: RootOptions & { readonly turn?: TurnMark },
): string {
  const log = readLogCursor(session.id, options);
  return encodeCursor({ ...placeIn(session, log), turn: options.turn });
}

/**
 * The cursor that a model has handed back for a session.
 *
 * @throws {ArgumentError} as {@linkcode decodeCursor} does.
 * @throws {SessionError} `not_found` if its session is gone, and this is another one.
 */
export function cursorOf(session: Session, text: string): Cursor {
  const { id } = session;
  const cursor = decodeCursor(id, text);
  if (isOf(session, cursor)) return cursor;
  const message =
    `The session of this cursor is gone, and another one has the id "${id}" now: leave the cursor out if you mean that one`;
  throw new SessionError("not_found", message, { id });
}

/** Tells whether a cursor is of this session. Nobody knows when a damaged one was created. */
export function isOf(
  { meta, createdAt }: Session,
  { born }: Pick<Cursor, "born">,
): boolean {
  return meta === null || createdAt.getTime() === born;
}

/**
 * What {@linkcode encodeCursor} has made of a cursor of the session `id`.
 *
 * @throws {ArgumentError} if it is malformed, or another session's.
 */
export function decodeCursor(id: string, text: string): Cursor {
  const [own, born, stdout, stderr, events, start, state, ...name] = text.split(
    "~",
  );
  const places = [stdout, stderr, events].map(readPosition);
  const turn = readTurn(state, name.join("~"));
  if (
    text.length > MAX_LENGTH || turn === null || places.includes(undefined) ||
    !/^\d{1,15}$/.test(born ?? "") || !/^(all|-|\d{1,15})$/.test(start ?? "")
  ) {
    throw new ArgumentError(
      "Invalid cursor: pass one that a tool returned for this session, unchanged, or none",
    );
  }
  if (own !== id) {
    throw new ArgumentError(
      `Invalid cursor: it is not of session "${id}"; pass one that a tool returned for this session, or none`,
    );
  }
  const [out, err, journal] = places as (LogPosition | null)[];
  const at = Number(start);
  const hasTime = Number.isInteger(at);
  const log = { stdout: out!, stderr: err!, events: journal! };
  return {
    id,
    born: Number(born),
    log: { ...log, ...(hasTime && { at }) },
    ...(turn && { turn }),
    ...(start === ALL && { all: true }),
  };
}

/** In place of a time. */
const ALL = "all";

/** `-` is the beginning. */
function writePosition(position: LogPosition | null | undefined): string {
  if (!position) return "-";
  const { file, offset, writtenAt } = position;
  return [file, offset, ...(writtenAt === undefined ? [] : [writtenAt])]
    .join("@");
}

/** A position; `undefined` if the text is none. */
function readPosition(text = ""): LogPosition | null | undefined {
  if (text === "-") return null;
  const match = /^([\w:.+-]{1,100})@(\d{1,15})(?:@(\d{1,15}))?$/.exec(text);
  if (match === null) return undefined;
  const [, file, offset, writtenAt] = match;
  return {
    file: file!,
    offset: Number(offset),
    ...(writtenAt !== undefined && { writtenAt: Number(writtenAt) }),
  };
}

const TURN_STATES = ["working", "done", "aborted", "failed"] as const;

/** A turn; `undefined` if there is none, `null` if the text is none. */
function readTurn(word: string | undefined, name: string): TurnMark | null {
  if (word === undefined) return undefined;
  const state = TURN_STATES.find((one) => one === word);
  if (state === undefined || name.length > MAX_TURN_LENGTH) return null;
  try {
    return { ...(name && { id: decodeURIComponent(name) }), state };
  } catch {
    return null; // A broken escape.
  }
}
