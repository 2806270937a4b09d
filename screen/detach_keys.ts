/**
 * Finds the keys that detach in a user's input.
 *
 * A key may come as its plain byte, in the kitty keyboard's form (`CSI 92;5u`), or in xterm's
 * (`CSI 27;5;92~`), as the program in the session has requested. Typed twice in a row, the
 * keys go to the program once. So once they are typed, the user has a moment to
 * repeat them before the client detaches.
 *
 * @module
 */
import { fromLatin1, toLatin1 } from "../system/bytes.ts";
import { encodeKey } from "./keys.ts";

/** The key that detaches if nothing else is said. */
const DETACH_KEYS = "ctrl-\\";

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

  /**
   * Finds the sequence in `keys`; an empty text never detaches.
   *
   * @throws {TypeError} if it names an unknown key.
   */
  constructor(keys: string = DETACH_KEYS) {
    this.#keys = keys === "" ? [] : parseKeys(keys);
  }

  /** Takes typed bytes. */
  feed(bytes: Uint8Array): Typed {
    if (this.#keys.length === 0) return { forward: bytes, detach: "no" };
    // One character for each byte: exactly the bytes that came are forwarded.
    const text = toLatin1(bytes);
    let forward = "";
    // deno-lint-ignore no-control-regex
    for (const unit of text.match(/\x1b\[[0-?]*[ -/]*[@-~]|[^]/g) ?? []) {
      const expected = this.#keys[this.#matched]!;
      const what = matches(unit, expected);
      if (what === "release") continue;
      if (what === "press") {
        this.#held += unit;
        this.#matched++;
        if (this.#matched === this.#keys.length) {
          if (this.#complete !== "") {
            forward += this.#held;
            this.#complete = "";
          } else this.#complete = this.#held;
          this.#held = "";
          this.#matched = 0;
        }
        continue;
      }
      if (this.#complete !== "") {
        return { forward: fromLatin1(forward), detach: "now" };
      }
      // Not the sequence after all; this key may be the first of another attempt.
      forward += this.#held;
      this.#held = "";
      this.#matched = 0;
      if (matches(unit, this.#keys[0]!) === "press") {
        this.#held = unit;
        this.#matched = 1;
      } else forward += unit;
    }
    const detach = this.#complete !== "" ? "maybe" : "no";
    return { forward: fromLatin1(forward), detach };
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
