/**
 * Text from other sources, made harmless before it reaches a terminal, a list, or a reader.
 *
 * A program's output, a session's files and its socket may hold anything.
 * {@linkcode plainText} leaves text only. {@linkcode styledText} also leaves
 * colours and attributes, blanks that are skipped or erased, and links.
 *
 * @module
 */

/**
 * Characters that control a terminal or mislead a reader: C0 and C1 controls; line and paragraph
 * separators; marks that reorder text; invisible characters (tags and annotations among
 * them), which hide text in text. The joiners (U+200C, U+200D) and the first sixteen
 * variation selectors are left in: scripts and emoji need them.
 */
export const HARMFUL: RegExp =
  // deno-lint-ignore no-control-regex
  /[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\ud82f[\udca0-\udca3]|\ud834[\udd73-\udd7a]|\udb40[\udc00-\udc7f\udd00-\uddef]/g;

/** The longest address of a link, in characters; the usual limit of terminals (VTE has it). */
export const MAX_LINK_LENGTH = 2083;

/** The longest `id` of a link, in characters. */
const MAX_LINK_ID_LENGTH = 250;

/** Text without {@linkcode HARMFUL} characters, cut to so many. Separators become blanks, as they take a cell. */
export function plainText(text: string, maxLength = Infinity): string {
  // Halves of a pair must not find each other when what is between them goes.
  const clean = text.toWellFormed().replace(/[\u2028\u2029]/g, " ")
    .replace(HARMFUL, "");
  if (clean.length <= maxLength) return clean;
  // Not cut in a surrogate pair.
  return clean.slice(0, maxLength).replace(/[\ud800-\udbff]$/, "");
}

/** They take a cell. */
const SEPARATORS = /[\u2028\u2029]/;

/** Lines of text: newline and tab are the only control characters left. */
export function cleanText(text: string): string {
  // Halves of a pair must not find each other when what is between them goes.
  return text.toWellFormed().replace(/\r\n?/g, "\n").replace(
    HARMFUL,
    (char) =>
      char === "\n" || char === "\t" ? char : SEPARATORS.test(char) ? " " : "",
  );
}

/**
 * Text as one line for a list (a title, a label, a command), at most so many characters of
 * UTF-16; a cut one ends in `…`.
 */
export function briefLine(text: string, maxLength = 200): string {
  // What is cut is cut first: cleaning takes time.
  const clean = cleanText(text.slice(0, 4 * maxLength))
    .replace(/[\n\t]/g, " ");
  const isWhole = clean.length <= maxLength && text.length <= 4 * maxLength;
  return isWhole ? clean : `${wholeStart(clean, maxLength - 1)}…`;
}

/** The first characters of a text, not cut in a pair. */
function wholeStart(text: string, length: number): string {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}

/** Tells whether a link's address is safe to print: printable ASCII, and not too long. */
export function isLink(uri: string): boolean {
  return uri.length <= MAX_LINK_LENGTH && /^[\x20-\x7e]+$/.test(uri);
}

/** Tells whether a link's `id` is safe to print: printable ASCII without the separators of parameters. */
export function isLinkId(id: string): boolean {
  return id.length <= MAX_LINK_ID_LENGTH && /^[!-9<-~]+$/.test(id);
}

/** SGR; CUF and ECH, which draw blanks; EL. */
// deno-lint-ignore no-control-regex
const STYLES = /^\x1b\[(?:[0-9;:]{0,200}m|\d{0,4}[CX]|[012]?K)$/;
/** SGR that resets all styles. */
const PLAIN = new Set(["\x1b[m", "\x1b[0m"]);
// deno-lint-ignore no-control-regex
const LINK = /^\x1b\]8;(?:id=([^;:]*))?;(.*)\x1b\\$/;
const PIECES =
  // deno-lint-ignore no-control-regex
  /\x1b\[[0-?]*[ -\/]*[@-~]|\x1b\][^\x00-\x1f\x7f-\x9f]*\x1b\\|[^\x1b]+|\x1b/g;

/**
 * A line whose only escape sequences are colours and attributes, cursor right, erasing, and
 * links, without {@linkcode HARMFUL} characters. Its end resets styles and links.
 */
export function styledText(line: string): string {
  let text = "";
  let isStyled = false;
  let isLinked = false;
  for (const piece of line.toWellFormed().match(PIECES) ?? []) {
    if (piece[0] !== "\x1b") text += plainText(piece);
    else if (STYLES.test(piece)) {
      text += piece;
      if (piece.endsWith("m")) isStyled = !PLAIN.has(piece);
    } else {
      const [, id, uri] = LINK.exec(piece) ?? [];
      if (uri === undefined || (uri !== "" && !isLink(uri))) continue;
      isLinked = uri !== "";
      const shown = isLinked && id !== undefined && isLinkId(id);
      text += `\x1b]8;${shown ? `id=${id}` : ""};${uri}\x1b\\`;
    }
  }
  return text + (isLinked ? "\x1b]8;;\x1b\\" : "") + (isStyled ? "\x1b[m" : "");
}

/** No line is longer than the widest terminal: a session has 1000 columns at most. */
const MAX_BLANKS = 1000;

/** The text of a line that {@linkcode styledText} has made, with the blanks that it skips. */
export function unstyledText(line: string): string {
  let left = MAX_BLANKS;
  return line
    // deno-lint-ignore no-control-regex
    .replace(/\x1b\[(\d*)C/g, (_, count) => {
      const blanks = Math.min(left, Number(count) || 1);
      left -= blanks;
      return " ".repeat(blanks);
    })
    // deno-lint-ignore no-control-regex
    .replace(/\x1b\[[0-9;:]*[A-Za-z]|\x1b\][^\x1b]*\x1b\\/g, "")
    .trimEnd();
}
