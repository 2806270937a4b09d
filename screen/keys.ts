/**
 * Names of keys, and the bytes that a terminal sends for them.
 *
 * The bytes depend on modes that the program has set: application
 * cursor keys, and the kitty keyboard's disambiguation of escape codes.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** The modes on which a key's bytes depend. */
export interface KeyModes {
  /** Application cursor keys, DECCKM. @default {false} */
  readonly applicationCursor?: boolean;
  /** Flags of the kitty keyboard protocol. @default {0} */
  readonly kittyFlags?: number;
}

/** Keys with a final letter: CSI letter, SS3 letter in application mode. */
const LETTERS: Readonly<Record<string, string>> = {
  up: "A",
  down: "B",
  right: "C",
  left: "D",
  end: "F",
  home: "H",
};

/** Keys with a number: CSI number ~. */
const NUMBERS: Readonly<Record<string, number>> = {
  insert: 2,
  delete: 3,
  pageup: 5,
  pagedown: 6,
  f5: 15,
  f6: 17,
  f7: 18,
  f8: 19,
  f9: 20,
  f10: 21,
  f11: 23,
  f12: 24,
};

/** Keys that are a character. */
const CHARACTERS: Readonly<Record<string, string>> = {
  enter: "\r",
  tab: "\t",
  escape: "\x1b",
  backspace: "\x7f",
  space: " ",
};

const ALIASES: Readonly<Record<string, string>> = {
  return: "enter",
  esc: "escape",
  del: "delete",
  ins: "insert",
  pgup: "pageup",
  pgdn: "pagedown",
  "page-up": "pageup",
  "page-down": "pagedown",
  bs: "backspace",
  backtab: "shift-tab",
  // tmux's names.
  bspace: "backspace",
  btab: "shift-tab",
  dc: "delete",
  ic: "insert",
  npage: "pagedown",
  ppage: "pageup",
};

const MODIFIERS: Readonly<Record<string, number>> = {
  shift: 1,
  alt: 2,
  meta: 2,
  ctrl: 4,
  control: 4,
  // As in tmux.
  s: 1,
  m: 2,
  c: 4,
};

/** Examples of keys, for messages. */
const EXAMPLES = "enter, tab, escape, space, backspace, up, pagedown, f5, " +
  "ctrl-c, alt-x, shift-tab or a single character";

/**
 * The bytes, as text, that the key `name` sends: `enter`, `up`, `f1`, `ctrl-c`,
 * `alt-enter`, `shift-tab`, `x`; also tmux's names, such as `C-c` and `BSpace`. Case and `+` or `-` between modifiers don't matter.
 *
 * @throws {ArgumentError} if there is no such key.
 *
 * @example
 * ```ts
 * import { encodeKey } from "./screen/keys.ts";
 * console.log(encodeKey("ctrl-c") === "\x03"); // true
 * ```
 */
export function encodeKey(name: string, modes: KeyModes = {}): string {
  const { applicationCursor = false, kittyFlags = 0 } = modes;
  let rest = ALIASES[name.toLowerCase()] ?? name;
  let modifiers = 0;
  for (;;) {
    const match = /^([A-Za-z]+)[-+](?=.)/s.exec(rest);
    const modifier = match && MODIFIERS[match[1]!.toLowerCase()];
    if (!match || modifier === undefined || modifier === null) break;
    modifiers |= modifier;
    rest = rest.slice(match[0].length);
  }
  const key = [...rest].length === 1
    ? rest
    : ALIASES[rest.toLowerCase()] ?? rest.toLowerCase();
  const m = modifiers === 0 ? "" : `;${modifiers + 1}`;
  const letter = LETTERS[key];
  if (letter !== undefined) {
    if (m !== "") return `\x1b[1${m}${letter}`;
    return (applicationCursor ? "\x1bO" : "\x1b[") + letter;
  }
  const number = NUMBERS[key];
  if (number !== undefined) return `\x1b[${number}${m}~`;
  const f = /^f([1-4])$/.exec(key);
  if (f !== null) {
    const final = "PQRS"[Number(f[1]) - 1]!;
    return m === "" ? `\x1bO${final}` : `\x1b[1${m}${final}`;
  }
  const character = CHARACTERS[key] ??
    ([...key].length === 1 ? key : undefined);
  if (character === undefined) {
    throw new ArgumentError(`Unknown key "${name}": try ${EXAMPLES}`);
  }
  return encodeCharacter(character, modifiers, kittyFlags, name);
}

function encodeCharacter(
  character: string,
  modifiers: number,
  kittyFlags: number,
  name: string,
): string {
  const isText = character !== "\r" && character !== "\t" &&
    character !== "\x7f";
  if (
    (kittyFlags & 1) !== 0 &&
    (character === "\x1b" || (modifiers & (isText ? 6 : 7)) !== 0)
  ) {
    const code = character.toLowerCase().codePointAt(0)!;
    return `\x1b[${code}${modifiers === 0 ? "" : `;${modifiers + 1}`}u`;
  }
  let text = character;
  if (modifiers & 1) {
    if (character === "\t") text = "\x1b[Z";
    else text = character.toUpperCase();
  }
  if (modifiers & 4 && isText) text = controlOf(character, name);
  else if (modifiers & 4 && character === "\x7f") text = "\x08";
  return modifiers & 2 ? `\x1b${text}` : text;
}

/** The control character of a character, as a terminal's Ctrl key makes it. */
function controlOf(character: string, name: string): string {
  const code = character.toUpperCase().charCodeAt(0);
  if (code >= 0x40 && code <= 0x5f) return String.fromCharCode(code - 0x40);
  switch (character) {
    case " ":
    case "2":
      return "\0";
    case "?":
    case "8":
      return "\x7f";
    case "/":
    case "-":
      return "\x1f";
    case "\x1b":
      return "\x1b";
    default:
      throw new ArgumentError(
        `Unknown key "${name}": it has no control character`,
      );
  }
}

/** Text as a paste for a program that has turned on bracketed paste. */
export function bracketedPaste(text: string): string {
  // The end mark within the text would end the paste early. Removing its ESC makes it text;
  // removing all of it might join what stands around it to another end mark.
  // deno-lint-ignore no-control-regex
  return `\x1b[200~${text.replace(/\x1b+(?=\[201~)/g, "")}\x1b[201~`;
}
