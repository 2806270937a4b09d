/**
 * Colours as programs send them to a terminal: parsed into numbers, printed anew.
 *
 * Only numeric X11 syntax is accepted: `#rgb` to `#rrrrggggbbbb`, `rgb:r/g/b` to
 * `rgb:rrrr/gggg/bbbb`, no names. A colour is later typed at the program that asks for it, and
 * written to the terminal of a client that attaches, so only its numbers are kept.
 *
 * Facts: XParseColor(3), https://invisible-island.net/xterm/ctlseqs/ctlseqs.html.
 *
 * @module
 */

/** Red, green and blue, each from 0 to 65535. */
export type Color = readonly [red: number, green: number, blue: number];

/** One part of a colour, scaled from 1 to 4 digits to four. */
function parsePart(digits: string): number {
  const most = 16 ** digits.length - 1;
  return Math.round(parseInt(digits, 16) * 0xffff / most);
}

/** The colour in a text; `undefined` if it is no numeric colour. */
export function parseColor(text: string): Color | undefined {
  const parts = text.startsWith("rgb:")
    ? text.slice(4).split("/")
    : text.startsWith("#") && (text.length - 1) % 3 === 0
    ? text.slice(1).match(new RegExp(`.{${(text.length - 1) / 3}}`, "g"))
    : null;
  if (parts?.length !== 3) return undefined;
  if (!parts.every((part) => /^[0-9A-Fa-f]{1,4}$/.test(part))) return undefined;
  const [red = "", green = "", blue = ""] = parts;
  return [parsePart(red), parsePart(green), parsePart(blue)];
}

/** A colour in the form that every terminal understands: `rgb:rrrr/gggg/bbbb`. */
export function printColor(color: Color): string {
  return "rgb:" +
    color.map((part) => part.toString(16).padStart(4, "0")).join("/");
}

/** xterm's 16 named colours. */
const NAMED = ("000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 " +
  "7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff").split(" ");

/** One of xterm's 256 colours: 16 named ones, a cube of 6, a ramp of greys. */
export function paletteColor(index: number): Color {
  const named = NAMED[index];
  if (named !== undefined) return parseColor(`#${named}`)!;
  const level = (n: number) => n === 0 ? 0 : 55 + 40 * n;
  const cube = index - 16;
  const [red = 0, green = 0, blue = 0] = index < 232
    ? [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level)
    : new Array<number>(3).fill(8 + 10 * (index - 232));
  return [red * 0x101, green * 0x101, blue * 0x101];
}
