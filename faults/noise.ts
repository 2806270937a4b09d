/**
 * Generates text, values and bytes for fuzzing, the same for the same random numbers.
 *
 * @module
 */
import type { Random } from "./fault.ts";

const SCRAPS = [
  ...["", " ", "\n", "\0", "\t", "\r\n", "-", "--", "=", "/", "..", "0", "1"],
  ...["-1", "1e309", "9".repeat(30), "NaN", "null", "true", "[]", "{}", '"'],
  ...[
    "\\",
    "\\u0000",
    "\ufeff",
    "é",
    "会",
    "😀",
    "\ud800",
    "\u202e",
    "\x1b[2J",
  ],
  ...[
    "\x9b",
    "%s",
    "$(id)",
    "`id`",
    "'",
    "code",
    "signal",
    "code 0\n",
    "x".repeat(300),
  ],
  ...["__proto__", "constructor", "toString", "format", "2026-13-45T99:00:00Z"],
];

/** A few characters and scraps of text that parsers may stumble over. */
export function junk(random: Random, length = 4): string {
  let text = "";
  for (let i = random.below(length); i >= 0; i--) {
    text += random.below(3) === 0
      ? String.fromCharCode(random.below(256))
      : random.pick(SCRAPS);
  }
  return text;
}

/** A value of any type, sometimes deep. */
export function anything(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 5 : 8)) {
    case 0:
      return null;
    case 1:
      return random.pick([0, -1, 1.5, 1e308, 2 ** 53, NaN, 1, 2]);
    case 2:
      return random.below(2) === 0;
    case 3:
    case 4:
      return junk(random);
    case 5:
      return Array.from(
        { length: random.below(4) },
        () => anything(random, depth + 1),
      );
    default: {
      const entries = Array.from({ length: random.below(4) }, () => [
        junk(random, 2),
        anything(random, depth + 1),
      ]);
      return Object.fromEntries(entries);
    }
  }
}

/** Text or bytes, damaged in a few places. */
export function damage(
  random: Random,
  whole: string | Uint8Array,
): Uint8Array<ArrayBuffer> {
  const bytes = [
    ...(typeof whole === "string" ? new TextEncoder().encode(whole) : whole),
  ];
  for (let i = random.below(5); i >= 0; i--) {
    const at = random.below(bytes.length + 1);
    switch (random.below(5)) {
      case 0:
        bytes.length = at;
        break;
      case 1:
        bytes.splice(at, 1);
        break;
      case 2:
        bytes.splice(at, 0, ...new TextEncoder().encode(junk(random)));
        break;
      case 3:
        bytes.splice(at, random.below(20));
        break;
      default:
        if (at < bytes.length) bytes[at] = random.below(256);
    }
  }
  return new Uint8Array(bytes);
}
