/**
 * Draws a terminal's screen as an SVG picture.
 *
 * @module
 */

const CELL = { width: 8.4, height: 18 };
// The palette of xterm, as far as it is used.
// deno-fmt-ignore
const PALETTE = ["#2e3436", "#cc0000", "#4e9a06", "#c4a000", "#3465a4", "#75507b", "#06989a", "#d3d7cf", "#888a85", "#ef2929", "#8ae234", "#fce94f", "#729fcf", "#ad7fa8", "#34e2e2", "#eeeeec"];
const FOREGROUND = "#d3d7cf";
const BACKGROUND = "#1d1f21";

interface Style {
  fg: string;
  bg: string;
  bold: boolean;
  dim: boolean;
  inverse: boolean;
}

const plain = (): Style => ({
  fg: FOREGROUND,
  bg: BACKGROUND,
  bold: false,
  dim: false,
  inverse: false,
});

/** The colour of `38;5;N` and `38;2;R;G;B` at the head of `codes`, which it shortens. */
function extended(codes: number[]): string {
  if (codes.shift() === 2) return `rgb(${codes.splice(0, 3).join(",")})`;
  const n = codes.shift() ?? 0;
  if (n < 16) return PALETTE[n]!;
  if (n >= 232) return `rgb(${Array(3).fill(8 + (n - 232) * 10).join(",")})`;
  const level = (value: number) => value === 0 ? 0 : 55 + value * 40;
  const i = n - 16;
  return `rgb(${
    [Math.floor(i / 36), Math.floor(i / 6) % 6, i % 6].map(level).join(",")
  })`;
}

/** Applies an SGR sequence, ECMA-48 8.3.117. */
function apply(style: Style, parameters: string): Style {
  let next = { ...style };
  const codes = parameters.split(/[;:]/).map(Number);
  while (codes.length > 0) {
    const code = codes.shift()!;
    if (code === 0) next = plain();
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 7) next.inverse = true;
    else if (code === 27) next.inverse = false;
    else if (code === 38) next.fg = extended(codes);
    else if (code === 48) next.bg = extended(codes);
    else if (code === 39) next.fg = FOREGROUND;
    else if (code === 49) next.bg = BACKGROUND;
    else if (code >= 30 && code < 38) next.fg = PALETTE[code - 30]!;
    else if (code >= 40 && code < 48) next.bg = PALETTE[code - 40]!;
    else if (code >= 90 && code < 98) next.fg = PALETTE[code - 82]!;
    else if (code >= 100 && code < 108) next.bg = PALETTE[code - 92]!;
  }
  return next;
}

/** For SVG. Blanks become such that no browser joins: not all know `xml:space` any more. */
const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll(" ", "\u00a0");

/** One line with its colours, as rectangles and text. */
function drawLine(line: string, row: number): string {
  let style = plain();
  let column = 0;
  let svg = "";
  for (
    const [, parameters, skip, text] of line.matchAll(
      // deno-lint-ignore no-control-regex
      /\x1b\[([\d;:]*)m|\x1b\[(\d*)C|([^\x1b]+)/g,
    )
  ) {
    if (parameters !== undefined) style = apply(style, parameters || "0");
    else if (skip !== undefined) column += Number(skip || 1);
    else if (text !== undefined) {
      const [fg, bg] = style.inverse
        ? [style.bg, style.fg]
        : [style.fg, style.bg];
      const x = (column * CELL.width + 12).toFixed(1);
      const y = row * CELL.height + 40;
      const width = ([...text].length * CELL.width).toFixed(1);
      if (bg !== BACKGROUND) {
        svg +=
          `<rect x="${x}" y="${y}" width="${width}" height="${CELL.height}" fill="${bg}"/>`;
      }
      svg += `<text x="${x}" y="${y + 13}" textLength="${width}" fill="${fg}"${
        style.bold ? ' font-weight="bold"' : ""
      }${style.dim ? ' opacity="0.6"' : ""}>${escape(text)}</text>`;
      column += [...text].length;
    }
  }
  return svg;
}

/** A window with the lines of a screen, as `readScreen()` gives them with `ansi`. */
export function drawScreen(
  lines: readonly string[],
  { columns, title }: { readonly columns: number; readonly title: string },
): string {
  const width = columns * CELL.width + 24;
  const height = lines.length * CELL.height + 52;
  const dots = ["#ff5f56", "#ffbd2e", "#27c93f"].map((fill, i) =>
    `<circle cx="${20 + i * 20}" cy="18" r="6" fill="${fill}"/>`
  );
  const caption = `<text x="${
    width / 2
  }" y="22" text-anchor="middle" fill="#888a85" font-size="13">${
    escape(title)
  }</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans Mono, Menlo, monospace" font-size="14">
<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>
${dots.join("")}${caption}
${lines.map(drawLine).filter(Boolean).join("\n")}
</svg>
`;
}
