/**
 * What a program tells its user beside the screen: its status, notifications, the bell. The
 * title is not here: `modes.ts` keeps it.
 *
 *     ESC ] 7501 ; …                         a status, see program_status.ts
 *     ESC ] 9 ; TEXT                         a notification (iTerm2); 9 ; N ; … is ConEmu's
 *     ESC ] 777 ; notify ; TITLE ; TEXT      a notification (rxvt)
 *     ESC ] 99 ; METADATA ; TEXT             a part of a notification (kitty)
 *     ESC ] 133 ; A                          a shell shows its prompt
 *     ESC c                                  the terminal is reset
 *
 * All text is untrusted: it is cleaned and cut.
 *
 * Facts: https://sw.kovidgoyal.net/kitty/desktop-notifications/,
 * https://conemu.github.io/en/AnsiEscapeCodes.html#ConEmu_specific_OSC.
 *
 * @module
 */
import { plainText } from "./clean_text.ts";
import { STATUS_INTRODUCER } from "./program_status.ts";

/** The longest notification, in characters. */
const MAX_BODY_LENGTH = 500;
/** The longest title of one. */
const MAX_TITLE_LENGTH = 200;
/** Notifications of kitty that are not complete, and the longest text of one. */
const MAX_PARTIAL = 16;

/** Something that a program tells its user. */
export type Told =
  /** A report of OSC 7501. */
  | { readonly type: "report"; readonly body: string }
  /** A notification, or a part of one. */
  | { readonly type: "notification"; readonly part: NotificationPart }
  /** A shell shows its prompt: what it has run is over. */
  | { readonly type: "prompt" }
  /** The terminal is reset (RIS). */
  | { readonly type: "reset" }
  /** The bell. */
  | { readonly type: "bell" };

/** A notification, or a part of one. Its texts are as the program has written them. */
export interface NotificationPart {
  /** Which one it is a part of; empty for none. */
  readonly id: string;
  /** Whether it is the last part. */
  readonly isLast: boolean;
  /** The title, or a part of it. */
  readonly title: string;
  /** The text, or a part of it. */
  readonly body: string;
}

/** A whole notification: each text is one line, harmless and bounded. */
export interface Notification {
  /** What it is about. */
  readonly title?: string;
  /** Its text. */
  readonly body: string;
}

/** The bell. */
export const BELL: Told = { type: "bell" };
const PROMPT: Told = { type: "prompt" };
const RESET: Told = { type: "reset" };

/** What a sequence tells, as a {@linkcode Scanner} gives it; `undefined` if nothing. */
export function toldIn(text: string): Told | undefined {
  if (text[1] !== "]") return text === "\x1bc" ? RESET : undefined;
  if (text.startsWith(STATUS_INTRODUCER)) {
    return { type: "report", body: text.slice(STATUS_INTRODUCER.length) };
  }
  if (text === "\x1b]133;A" || text.startsWith("\x1b]133;A;")) return PROMPT;
  const part = partIn(text.slice(2));
  return part && { type: "notification", part };
}

function partIn(text: string): NotificationPart | undefined {
  if (text.startsWith("9;")) {
    const body = text.slice(2);
    // ConEmu's commands, such as 9;4 for a progress, are numbers.
    return /^\d+(;|$)/.test(body)
      ? undefined
      : { id: "", isLast: true, title: "", body };
  }
  if (text.startsWith("777;notify;")) {
    const [title = "", ...body] = text.slice("777;notify;".length).split(";");
    return { id: "", isLast: true, title, body: body.join(";") };
  }
  return text.startsWith("99;") ? kittyPart(text.slice(3)) : undefined;
}

/** OSC 99: its metadata are `key=value` pairs with colons between them. */
function kittyPart(text: string): NotificationPart | undefined {
  const end = text.indexOf(";");
  if (end < 0) return undefined;
  const metadata = new Map(
    text.slice(0, end).split(":").map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), pair.slice(at + 1)] as const;
    }),
  );
  const what = metadata.get("p") ?? "title";
  // Others are questions, icons and buttons.
  if (what !== "title" && what !== "body") return undefined;
  const encoded = text.slice(end + 1);
  const payload = metadata.get("e") === "1" ? decodeBase64(encoded) : encoded;
  if (payload === undefined) return undefined;
  return {
    id: metadata.get("i") ?? "",
    isLast: metadata.get("d") !== "0",
    title: what === "title" ? payload : "",
    body: what === "body" ? payload : "",
  };
}

function decodeBase64(text: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(text));
  } catch {
    return undefined;
  }
}

/** Puts the parts of notifications together. */
export class Notifications {
  readonly #partial = new Map<string, { title: string; body: string }>();

  /** Takes a part; the notification, if this was its last one and it has a text. */
  take(
    { id, isLast, title, body }: NotificationPart,
  ): Notification | undefined {
    const before = this.#partial.get(id);
    this.#partial.delete(id);
    const whole = {
      title: plainText((before?.title ?? "") + title, MAX_TITLE_LENGTH),
      body: plainText((before?.body ?? "") + body, MAX_BODY_LENGTH),
    };
    if (!isLast) {
      this.#partial.set(id, whole);
      if (this.#partial.size > MAX_PARTIAL) {
        this.#partial.delete(this.#partial.keys().next().value!);
      }
      return undefined;
    }
    const [first, second] = [whole.title.trim(), whole.body.trim()];
    // Most programs have one text only, which kitty calls a title.
    if (second === "") return first === "" ? undefined : { body: first };
    return first === "" ? { body: second } : { title: first, body: second };
  }
}
