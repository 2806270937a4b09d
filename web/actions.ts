/**
 * Actions that the page asks for: `POST /api/NAME` with the arguments as JSON.
 *
 * The table of actions says which of them change something: who may only look is refused by it,
 * here, whatever the page shows.
 *
 * @module
 */
import { describeError } from "../cli/io.ts";
import { withoutCommands } from "../cli/hints.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import { plainText } from "../screen/clean_text.ts";
import { startTimer } from "../system/async.ts";
import { type ActionName, ACTIONS } from "../views/actions.ts";
import type { Access } from "./gate.ts";
import { cutOff, giveJson } from "./responses.ts";

/** What an action works on, and for whom. */
export interface Acting {
  readonly root: string;
  readonly access: Access;
  /** The server ends. That the page is gone ends no action: it is done, as a command would. */
  readonly signal: AbortSignal;
  /** How long the arguments may take to arrive, in milliseconds. */
  readonly bodyMs: number;
}

/** The longest arguments: a prompt or a text to send can be long. */
export const MAX_BODY_BYTES = 1024 * 1024;
const MAX_MESSAGE_LENGTH = 2000;

/** Runs an action; every error is an answer. */
export async function act(
  request: Request,
  name: string,
  { root, access, signal, bodyMs }: Acting,
): Promise<Response> {
  if (!isAction(name)) return giveError(404, "not_found", "No such action");
  const { changes, run } = ACTIONS[name];
  if (changes && access === "look") {
    const message = "This page was opened to look: it can change nothing";
    return giveError(403, "permission", message);
  }
  const [type] = (request.headers.get("content-type") ?? "").split(";");
  if (type?.trim().toLowerCase() !== "application/json") {
    return giveError(415, "usage", "The arguments must be JSON");
  }
  try {
    const body = await readBody(request, bodyMs);
    if (typeof body === "number") {
      return body === 413
        ? cutOff(giveError(413, "usage", "This is more than 1 MB"))
        : giveError(408, "timeout", "The arguments didn't arrive in time");
    }
    return giveJson(200, await run(parse(body), { root, signal }));
  } catch (error) {
    const { code, message } = describeError(error);
    return giveError(statusOf(error), code, withoutCommands(message));
  }
}

function isAction(name: string): name is ActionName {
  return Object.hasOwn(ACTIONS, name);
}

function giveError(status: number, code: string, message: string): Response {
  const text = plainText(message, MAX_MESSAGE_LENGTH);
  return giveJson(status, { error: { code, message: text } });
}

/** The body of a request; the status if it is too long or too slow. */
async function readBody(
  request: Request,
  bodyMs: number,
): Promise<Uint8Array<ArrayBuffer> | 408 | 413> {
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  let isLate = false;
  const giveUp = () => {
    isLate = true;
    reader.cancel().catch(() => {});
  };
  using _ = startTimer(bodyMs, giveUp);
  const bytes = new Uint8Array(MAX_BODY_BYTES);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (isLate) return 408;
    if (done) return bytes.subarray(0, length);
    if (length + value.length > MAX_BODY_BYTES) {
      reader.cancel().catch(() => {});
      return 413;
    }
    bytes.set(value, length);
    length += value.length;
  }
}

function parse(body: Uint8Array<ArrayBuffer>): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new ArgumentError("The arguments are not JSON");
  }
}

function statusOf(error: unknown): number {
  if (error instanceof ArgumentError || error instanceof RangeError) return 400;
  if (error instanceof Deno.errors.NotCapable) return 403;
  if (!(error instanceof SessionError)) return 500;
  switch (error.code) {
    case "not_found":
      return 404;
    case "timeout":
      return 504;
    case "spawn_failed":
    case "root_unusable":
      return 500;
    default:
      return 409;
  }
}
