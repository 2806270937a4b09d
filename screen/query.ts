/**
 * Answers a program's questions to its terminal while no client is attached, and always those
 * that only the relay can answer.
 *
 * A silent terminal makes agents wait (Codex: 2 s for each cursor position).
 * The answers are those of an xterm with 256 and true colours that has the kitty
 * keyboard. A client's terminal with that keyboard can use it once attached; any other sends
 * plain keys, which programs still understand. Cursor, size and modes are
 * the true ones. Nothing is said without a question.
 *
 * Invariant: **no answer that is typed holds a byte of the program's output** that was not
 * parsed into a number, a known name or a checked colour, and printed anew. An answer is typed
 * at whatever reads the terminal, a shell's prompt included. If it repeated the question,
 * a file that is shown by cat(1) could run commands. {@linkcode answer} asserts the invariant.
 *
 * Facts: xterm's ctlseqs; https://vt100.net/docs/vt510-rm/DECRQM.html.
 *
 * @module
 */
import { type Color, paletteColor, printColor } from "./colors.ts";
import { MAX_NUMBER, paletteIndex } from "./modes.ts";
import { STATUS_QUERIES } from "./program_status.ts";
import type { Screen } from "./screen.ts";

/** The answers to OSC 10 to 12 while the program has not changed those colours. */
const COLORS: ReadonlyMap<number, Color> = new Map([
  [10, [0xd0d0, 0xd0d0, 0xd0d0]],
  [11, [0, 0, 0]],
  [12, [0xd0d0, 0xd0d0, 0xd0d0]],
]);

/** The answers to XTGETTCAP, from terminfo's xterm-256color; names and values in hex. */
const CAPABILITIES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Co: "256",
    colors: "256",
    TN: "xterm-256color",
    name: "xterm-256color",
    RGB: "8/8/8",
  }).map(([name, value]) => [toHex(name), toHex(value)]),
);
/** How many capabilities one answer may have. */
const MAX_CAPABILITIES = 64;

/** Modes whose state is told; others are reported as unknown. */
// deno-fmt-ignore
const KNOWN_MODES = new Set([
  1, 5, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004, 2026,
]);

/** Every possible answer; see the invariant above. */
const ANSWERS =
  // deno-lint-ignore no-control-regex
  /^(?:\x1b\[[>?]?\d{1,5}(?:;\d{1,5}){0,2}(?:\$y|[Rcntu])|\x1b\](?:4;)?\d{1,3};rgb:[0-9a-f]{4}(?:\/[0-9a-f]{4}){2}\x1b\\|\x1bP(?:0\+r|1\+r[0-9A-Fa-f]+=[0-9A-F]+|0\$r|1\$r0m|1\$r\d{1,5};\d{1,5}r|>\|codex-session)\x1b\\)*$/;

/** Tells whether the answer depends on the emulator. */
export function needsScreen(query: string): boolean {
  return query === "\x1b[6n" || query === "\x1b[?6n";
}

/**
 * The answer to a query of OSC 7501, see program_status.ts: a copy of its own of the same
 * sequence. Empty for other questions, and for a terminal of a client to answer.
 */
export function answerStatus(query: string): string {
  return STATUS_QUERIES.find((one) => one === query) ?? "";
}

function toHex(text: string): string {
  return [...text].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("").toUpperCase();
}

/**
 * The answer to a question that {@linkcode Modes.apply} has recognised; empty if
 * there is none. The question ends at the offset `until` of the output. If it
 * {@linkcode needsScreen}, the emulator of `screen` must be loaded.
 */
export function answer(query: string, screen: Screen, until: number): string {
  const text = answerAny(query, screen, until);
  return ANSWERS.test(text) ? text : "";
}

function answerAny(query: string, screen: Screen, until: number): string {
  switch (query[1]) {
    case "[":
      return answerCsi(query.slice(2), screen, until);
    case "]":
      return answerOsc(query.slice(2), screen);
    case "P":
      return answerDcs(query.slice(2), screen);
    default:
      return "";
  }
}

function answerCsi(query: string, screen: Screen, until: number): string {
  const mode = /^(\??)(\d+)\$p$/.exec(query);
  if (mode !== null) {
    const number = Math.min(Number(mode[2]), MAX_NUMBER);
    if (mode[1] === "") return `\x1b[${number};0$y`;
    const state = KNOWN_MODES.has(number)
      ? (screen.modes.isOn(number) ? 1 : 2)
      : 0;
    return `\x1b[?${number};${state}$y`;
  }
  switch (query) {
    case "c":
    case "0c":
      return "\x1b[?1;2c";
    case ">c":
    case ">0c":
      return "\x1b[>0;276;0c";
    case "5n":
      return "\x1b[0n";
    case "6n":
    case "?6n": {
      const terminal = screen.catchUp(until);
      const { cursorX, cursorY } = terminal.buffer.active;
      const top = terminal.modes.originMode
        ? terminal._core.buffers[screen.modes.alternate ? "alt" : "normal"]
          .scrollTop
        : 0;
      const row = Math.max(0, cursorY - top) + 1;
      const column = Math.min(cursorX, terminal.cols - 1) + 1;
      return `\x1b[${query[0] === "?" ? "?" : ""}${row};${column}R`;
    }
    case ">q":
    case ">0q":
      return "\x1bP>|codex-session\x1b\\";
    case "?u":
      return `\x1b[?${screen.modes.kittyFlags}u`;
    case "18t":
      return `\x1b[8;${screen.rows};${screen.columns}t`;
    case "?996n":
      return "\x1b[?997;1n";
    default:
      return "";
  }
}

function answerOsc(query: string, screen: Screen): string {
  const [command, ...parameters] = query.split(";");
  const { modes } = screen;
  const replies: string[] = [];
  if (command === "4") {
    for (let i = 0; i + 1 < parameters.length; i += 2) {
      const index = paletteIndex(parameters[i]!);
      if (index === undefined || parameters[i + 1] !== "?") continue;
      const color = modes.paletteColorOf(index) ?? paletteColor(index);
      replies.push(`4;${index};${printColor(color)}`);
    }
  } else {
    for (const [i, parameter] of parameters.slice(0, COLORS.size).entries()) {
      const number = Number(command) + i;
      const color = modes.colorOf(number) ?? COLORS.get(number);
      if (parameter !== "?" || !COLORS.has(number)) continue;
      replies.push(`${number};${printColor(color!)}`);
    }
  }
  return replies.map((reply) => `\x1b]${reply}\x1b\\`).join("");
}

function answerDcs(query: string, screen: Screen): string {
  if (query.startsWith("+q")) {
    return query.slice(2).split(";", MAX_CAPABILITIES).map(answerCapability)
      .join("");
  }
  switch (query) {
    case "$qr": {
      const { rows, modes } = screen;
      const { top = 1, bottom = rows } = modes.margins ?? {};
      return `\x1bP1$r${top};${bottom || rows}r\x1b\\`;
    }
    case "$qm":
      return "\x1bP1$r0m\x1b\\";
    default:
      return "\x1bP0$r\x1b\\";
  }
}

/** An unknown name is not repeated: the program knows its own question. */
function answerCapability(asked: string): string {
  const name = asked.toUpperCase();
  const value = CAPABILITIES.get(name);
  if (value === undefined) return "\x1bP0+r\x1b\\";
  // In the case of the question: some programs compare it with that.
  const shown = asked === name ? name : name.toLowerCase();
  return `\x1bP1+r${shown}=${value}\x1b\\`;
}
