/**
 * Tells what a person typed from what a terminal reports by itself.
 *
 * Both come as the same stream of bytes. Reports are: focus, mouse motion and releases,
 * releases of keys, and the answers to a program's questions. What is no report is typed.
 * A sequence may be cut anywhere.
 *
 * Some sequences have two meanings. `CSI 1;2R` is shift-F3 or the cursor's position: it counts
 * as a report, since a key too few harms nobody.
 *
 * Facts: xterm's ctlseqs; https://sw.kovidgoyal.net/kitty/keyboard-protocol/.
 *
 * @module
 */
// deno-lint-ignore-file no-control-regex
import { toLatin1 } from "../system/bytes.ts";

/** An unfinished sequence that is longer than this is taken for text. */
const MAX_OPEN_LENGTH = 1024 * 1024;

/** Focus, answers, and keys that are released. No key has `?`, `>` or `=` behind `CSI`. */
const REPORT =
  /\x1b\[(?:[IO]|[?>=][\d;:]*[ -/]*[@-~]|\d[\d;]*(?:[ntx]|\$y)|\d+;\d+R|[\d:]*;\d*:3(?:;[\d:]*)?[A-HP-SZu~]|\d*;\d*;\d*;0?;\d*;\d*_)/y;
/** An answer in a string: OSC, DCS, or APC of kitty's graphics. */
const STRING =
  /\x1b(?:\](?=[\dlL])|P(?=[\d>!])|_G)[^\x00-\x1f\x7f]*(?:\x07|\x1b\\)/y;
/** The mouse: SGR, urxvt, and X10 with a byte for each number. */
const MOUSE = /\x1b\[(?:<(\d+);\d+;\d+([Mm])|(\d+);\d+;\d+M|M([^])[^]{2})/y;
/** The beginning of any of them, cut at the end. */
const OPEN =
  /\x1b(?:\[(?:[?<>=]?[\d;:]*[ -/]*|M[^]{0,2})|(?:\](?:[\dlL][^\x00-\x1f\x7f]*)?|P(?:[\d>!][^\x00-\x1f\x7f]*)?|_(?:G[^\x00-\x1f\x7f]*)?)\x1b?)?$/y;

/** The input of one terminal. */
export class TypedInput {
  #open = "";

  /** Whether the input ends within a sequence, or with the Escape key. */
  get isOpen(): boolean {
    return this.#open !== "";
  }

  /** Takes the next bytes, and tells whether a person has typed any of them. */
  feed(bytes: Uint8Array): boolean {
    if (this.#open === "" && !bytes.includes(0x1b)) return bytes.length > 0;
    const text = this.#open + toLatin1(bytes);
    this.#open = "";
    let isTyped = false;
    for (let at = 0; at < text.length;) {
      const escape = text.indexOf("\x1b", at);
      if (escape !== at) {
        isTyped = true;
        at = escape < 0 ? text.length : escape;
        continue;
      }
      const end = endOf(REPORT, text, at) ?? endOf(STRING, text, at) ??
        endOfMotion(text, at);
      if (end !== undefined) at = end;
      else if (endOf(OPEN, text, at) && text.length - at <= MAX_OPEN_LENGTH) {
        this.#open = text.slice(at);
        break;
      } else {
        isTyped = true;
        at++;
      }
    }
    return isTyped;
  }

  /** Nothing more came: what looked like the beginning of a sequence was a key. */
  giveUp(): void {
    this.#open = "";
  }
}

function endOf(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** The end of a report that the mouse has moved, or that its button was released. */
function endOfMotion(text: string, at: number): number | undefined {
  MOUSE.lastIndex = at;
  const match = MOUSE.exec(text);
  if (match === null) return undefined;
  const [, sgr, final, urxvt, x10] = match;
  const code = sgr !== undefined
    ? Number(sgr)
    : (urxvt !== undefined ? Number(urxvt) : x10!.charCodeAt(0)) - 32;
  const isRelease = sgr !== undefined
    ? final === "m"
    : (code & 3) === 3 && (code & 64) === 0;
  return isRelease || (code & 32) !== 0 ? MOUSE.lastIndex : undefined;
}

/** Whether input is nothing but reports of the mouse, as today's programs ask for them (SGR). */
export function isMouse(bytes: Uint8Array): boolean {
  // Others are not worth a look: a paste may be long.
  return bytes[0] === 0x1b && bytes.length < 4096 &&
    /^(?:\x1b\[<\d+;\d+;\d+[Mm])+$/.test(toLatin1(bytes));
}
