/**
 * Answers a program's questions to its terminal while nobody is attached.
 *
 * A terminal that is silent makes agents wait (Codex: 2 s for each cursor position).
 * The answers are those of an xterm with 256 and true colours that knows the kitty
 * keyboard: who has it can use it once attached, and whose terminal has not sends
 * the plain keys, which programs go on to understand. Cursor, size and modes are
 * the true ones. What was not asked is never said.
 *
 * Facts: xterm's ctlseqs; https://vt100.net/docs/vt510-rm/DECRQM.html.
 *
 * @module
 */
import type { Screen } from "./screen.ts";

const TEXT_COLOR = "rgb:d0d0/d0d0/d0d0";
const BACKGROUND_COLOR = "rgb:0000/0000/0000";

/** The capabilities that XTGETTCAP tells, from terminfo's xterm-256color. */
const CAPABILITIES: Readonly<Record<string, string>> = {
  Co: "256",
  colors: "256",
  TN: "xterm-256color",
  name: "xterm-256color",
  RGB: "8/8/8",
};

/** Modes whose state is told; the others are unknown. */
// deno-fmt-ignore
const KNOWN_MODES = new Set([
  1, 5, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004, 2026,
]);

/** Tells whether the answer depends on what the emulator shows. */
export function needsScreen(query: string): boolean {
  return query === "\x1b[6n" || query === "\x1b[?6n";
}

function hexToText(hex: string): string {
  let text = "";
  for (let i = 0; i + 1 < hex.length; i += 2) {
    text += String.fromCharCode(parseInt(hex.slice(i, i + 2), 16) || 63);
  }
  return text;
}

function textToHex(text: string): string {
  return [...text].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("").toUpperCase();
}

/** xterm's 256 colours: 16 named ones, a cube of 6, a ramp of greys. */
function paletteColor(index: number): string {
  const named = "000000cd000000cd00cdcd000000eecd00cd00cdcde5e5e5" +
    "7f7f7fff000000ff00ffff005c5cffff00ff00ffffffffff";
  let parts: string[];
  if (index < 16) {
    parts = [0, 2, 4].map((i) => named.slice(index * 6 + i, index * 6 + i + 2));
  } else {
    const level = (n: number) => n === 0 ? 0 : 55 + 40 * n;
    const cube = index - 16;
    const values = index < 232
      ? [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level)
      : new Array<number>(3).fill(8 + 10 * (index - 232));
    parts = values.map((value) => value.toString(16).padStart(2, "0"));
  }
  return "rgb:" + parts.map((part) => part + part).join("/");
}

/**
 * The answer to a question that {@linkcode Modes.apply} has recognised, empty if
 * there is none. The emulator of `screen` has to be at the question for
 * those that {@linkcode needsScreen}.
 */
export function answer(query: string, screen: Screen, until: number): string {
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
    const number = Number(mode[2]);
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
      const column = Math.min(cursorX, terminal.cols - 1) + 1;
      return `\x1b[${query[0] === "?" ? "?" : ""}${
        cursorY - top + 1
      };${column}R`;
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
  const [command = "", ...parameters] = query.split(";");
  if (command !== "4") {
    const own = screen.modes.colorOf(command);
    const color = own ??
      (command === "11" ? BACKGROUND_COLOR : TEXT_COLOR);
    return `\x1b]${command};${color}\x1b\\`;
  }
  let text = "";
  for (let i = 0; i + 1 < parameters.length; i += 2) {
    const index = Number(parameters[i]);
    if (parameters[i + 1] !== "?" || !(index >= 0 && index < 256)) continue;
    text += `\x1b]4;${index};${paletteColor(index)}\x1b\\`;
  }
  return text;
}

function answerDcs(query: string, screen: Screen): string {
  if (query.startsWith("+q")) {
    return query.slice(2).split(";").map((hex) => {
      const value = CAPABILITIES[hexToText(hex)];
      return value === undefined
        ? `\x1bP0+r${hex}\x1b\\`
        : `\x1bP1+r${hex}=${textToHex(value)}\x1b\\`;
    }).join("");
  }
  switch (query) {
    case "$qr":
      return `\x1bP1$r${screen.modes.margins ?? `1;${screen.rows}`}r\x1b\\`;
    case "$qm":
      return "\x1bP1$r0m\x1b\\";
    default:
      return "\x1bP0$r\x1b\\";
  }
}
