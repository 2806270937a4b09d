/**
 * Text as the input of a session: a line for a program that reads lines, text and Enter
 * for a terminal, unless the text would answer a dialog.
 *
 * @module
 */
import { sendInput } from "../client/input.ts";
import { waitUntilReady } from "../client/ready.ts";
import { sendKeys } from "../client/terminal.ts";
import { SessionError } from "../errors.ts";
import { dialogOf } from "./dialog.ts";
import type { Session } from "../session/find.ts";
import { dirname } from "../std.ts";
import { KINDS } from "../store.ts";

/** How text is sent. */
export interface TextOptions {
  /** End it with a newline, or with Enter. @default {true} */
  readonly enter?: boolean | undefined;
  /** Keys to press behind it, in a terminal: all of it is typed in one go. @default {none} */
  readonly keys?: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Waits until an agent that has just started takes text.
 *
 * @throws {SessionError} `blocked` if the text would answer a dialog.
 */
export async function awaitPrompt(
  session: Session,
  { force = false, signal }: {
    readonly force?: boolean | undefined;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { id, meta } = session;
  if (meta === null || !KINDS[meta.kind].isTerminal) return;
  await waitUntilReady(session, { signal });
  const dialog = force ? undefined : dialogOf(session);
  if (dialog === undefined) return;
  const message = `Cannot send text to session "${id}": ${dialog.why}`;
  throw new SessionError("blocked", message, { id });
}

/**
 * Sends text as a user would who types it.
 *
 * @throws {SessionError} as `sendInput()` and `sendKeys()` do.
 */
export async function sendText(
  { id, meta, paths }: Session,
  text: string,
  { enter = true, keys = [], signal }: TextOptions,
): Promise<void> {
  const options = { root: dirname(paths.dir), signal };
  if (meta !== null && KINDS[meta.kind].isTerminal) {
    const parts = [
      ...text === "" ? [] : [{ text }],
      ...[...enter ? ["enter"] : [], ...keys].map((key) => ({ key })),
    ];
    await sendKeys(id, parts, options);
  } else {
    await sendInput(id, enter ? `${text}\n` : text, options);
  }
}
