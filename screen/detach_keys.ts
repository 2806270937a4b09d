/**
 * Finds the keys that detach in a user's input.
 *
 * A key may come as its plain byte, in the kitty keyboard's form (`CSI 92;5u`), or in xterm's
 * (`CSI 27;5;92~`), as the program in the session has requested. Typed twice in a row, the
 * keys go to the program once. So once they are typed, the user has a moment to
 * repeat them before the client detaches.
 *
 * Within a bracketed paste nothing is a key: the rest of the paste would be typed into the
 * user's own shell. A terminal sends a paste in one go, so one whose end has been lost is over
 * once nothing came for a while. Its marks may be cut anywhere.
 *
 * @module
 */
import { fromLatin1, toLatin1 } from "../system/bytes.ts";
import { encodeKey } from "./keys.ts";

/** The key that detaches if nothing else is said. */
const DETACH_KEYS = "ctrl-\\";

const PASTE_START = "\x1b[200~";
const PASTE_END = "\x1b[201~";
/** A paste is over if nothing more of it comes for so long, in milliseconds. */
const PASTE_MS = 2000;

/** A sequence, or a single byte. */
// deno-lint-ignore no-control-regex
const UNIT = /\x1b\[[0-?]*[ -/]*[@-~]|[^]/y;

interface DetachKey {
  readonly bytes: string;
  readonly code: number;
  readonly modifiers: number;
}

/** What to do with typed bytes. */
export interface Typed {
  /** Bytes for the program. */
  readonly forward: Uint8Array;
  /** `maybe`: the keys are complete; detach unless they are typed again. */
  readonly detach: "no" | "maybe" | "now";
}

/**
 * Parses keys separated by commas, such as `ctrl-p,ctrl-q`.
 *
 * @throws {TypeError} if one of them is no key.
 */
function parseKeys(text: string): DetachKey[] {
  return text.split(",").map((name) => {
    const bytes = encodeKey(name.trim());
    const match = /^(?:(ctrl|control|alt|meta)[-+])?(.)$/is.exec(name.trim());
    const isAlt = /^(alt|meta)/i.test(match?.[1] ?? "");
    return {
      bytes,
      code: match?.[2]?.toLowerCase().codePointAt(0) ?? -1,
      modifiers: match?.[1] === undefined ? 0 : isAlt ? 2 : 4,
    };
  });
}

/** Finds the keys that detach in a stream of typed bytes. */
export class DetachKeys {
  readonly #keys: readonly DetachKey[];
  /** How many of the keys have been typed. */
  #matched = 0;
  /** Their bytes, held back. */
  #held = "";
  /** The bytes of complete keys, which may be repeated now. */
  #complete = "";
  #isPasting = false;
  /** The last bytes that were typed: a mark of a paste may be cut. */
  #last = "";

  /**
   * Finds the sequence in `keys`; an empty text never detaches.
   *
   * @throws {TypeError} if it names an unknown key.
   */
  constructor(keys: string = DETACH_KEYS) {
    this.#keys = keys === "" ? [] : parseKeys(keys);
  }

  /** Whether some of the keys were typed, but not all: they are held back. */
  get isHolding(): boolean {
    return this.#held !== "";
  }

  /** Gives up waiting for the rest of the keys: returns those that were typed, for the program. */
  release(): Uint8Array {
    const held = this.#held;
    this.#held = "";
    this.#matched = 0;
    return fromLatin1(held);
  }

  /** Takes typed bytes, which came after the terminal was silent for `silentMs`. */
  feed(bytes: Uint8Array, silentMs = 0): Typed {
    if (this.#keys.length === 0) return { forward: bytes, detach: "no" };
    if (silentMs > PASTE_MS) this.#isPasting = false;
    // One character for each byte: exactly the bytes that came are forwarded.
    const text = toLatin1(bytes);
    let forward = "";
    let at = 0;
    while (at < text.length) {
      if (this.#isPasting) {
        const pasted = this.#pasted(text.slice(at));
        forward += pasted;
        at += pasted.length;
        continue;
      }
      UNIT.lastIndex = at;
      const unit = UNIT.exec(text)![0];
      at += unit.length;
      const typed = this.#type(unit);
      if (typed === undefined) {
        return { forward: fromLatin1(forward), detach: "now" };
      }
      forward += typed;
      this.#last = (this.#last + unit).slice(-PASTE_START.length);
      this.#isPasting = this.#last === PASTE_START;
    }
    const detach = this.#complete !== "" ? "maybe" : "no";
    return { forward: fromLatin1(forward), detach };
  }

  /** The beginning of a text that belongs to the paste. */
  #pasted(text: string): string {
    const before = this.#last;
    const end = (before + text).indexOf(PASTE_END);
    if (end >= 0) {
      this.#isPasting = false;
      this.#last = "";
      return text.slice(0, end + PASTE_END.length - before.length);
    }
    this.#last = (before + text).slice(1 - PASTE_END.length);
    return text;
  }

  /** What the program gets when one key was typed; `undefined` if that detaches at once. */
  #type(unit: string): string | undefined {
    const what = matches(unit, this.#keys[this.#matched]!);
    if (what === "release") return "";
    if (what === "press") {
      this.#held += unit;
      this.#matched++;
      if (this.#matched < this.#keys.length) return "";
      const twice = this.#complete !== "" ? this.#held : "";
      this.#complete = twice === "" ? this.#held : "";
      this.#held = "";
      this.#matched = 0;
      return twice;
    }
    if (this.#complete !== "") return undefined;
    // Not the sequence after all; this key may be the first of another attempt.
    const before = this.#held;
    this.#held = "";
    this.#matched = 0;
    if (matches(unit, this.#keys[0]!) !== "press") return before + unit;
    this.#held = unit;
    this.#matched = 1;
    return before;
  }
}

function matches(unit: string, key: DetachKey): "press" | "release" | "no" {
  if (unit === key.bytes) return "press";
  // deno-lint-ignore no-control-regex
  const kitty = /^\x1b\[(\d+)(?::\d*)*(?:;(\d*)(?::(\d))?)?(?:;[\d:]*)?u$/
    .exec(unit);
  if (kitty !== null) {
    // 64 and 128 are caps lock and num lock.
    const modifiers = (Number(kitty[2] || 1) - 1) & ~192;
    if (Number(kitty[1]) !== key.code || modifiers !== key.modifiers) {
      return "no";
    }
    return kitty[3] === "3" ? "release" : "press";
  }
  return unit === `\x1b[27;${key.modifiers + 1};${key.code}~` ? "press" : "no";
}
