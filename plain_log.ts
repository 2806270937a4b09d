/**
 * The output of a terminal session as a person would have read it: the lines that
 * its screen showed, in order, without escape sequences and without characters that reorder
 * or hide text.
 *
 * The journal is played to the emulator; what scrolls off the normal screen is text
 * for good. A full-screen program draws on the alternate screen, of which only the last
 * state is text, so its last screen comes at the end.
 *
 * @module
 */
import { plainText } from "./clean_text.ts";
import { loadEmulator, type ScreenBuffer, type Terminal } from "./emulator.ts";
import { readLog } from "./logs.ts";
import { pathsFor, type RootOptions } from "./store.ts";
import { terminalStatus } from "./terminal_status.ts";

/** Lines that are kept until they are given on; more than any screen is high. */
const SCROLLBACK = 20_000;
/** The emulator is fed this much at a time: fewer lines than half of the scrollback. */
const PIECE_BYTES = 8 * 1024;

/**
 * The lines of a terminal session's output, as text. Needs `--allow-read` of the root and
 * of Deno's cache, without `root` `--allow-env`.
 *
 * @throws {SessionError} `not_found`, when iterated.
 *
 * @example
 * ```ts
 * import { readPlainLog } from "./mod.ts";
 * for await (const line of readPlainLog("demo")) console.log(line);
 * ```
 */
export async function* readPlainLog(
  id: string,
  options: RootOptions = {},
): AsyncGenerator<string, void> {
  const size = terminalStatus(pathsFor(id, options), false);
  const columns = size?.columns || 120;
  const rows = size?.rows || 40;
  const terminal = await loadEmulator({
    columns,
    rows,
    scrollback: SCROLLBACK,
  });
  const { normal, alternate } = terminal.buffer;
  let given = 0; // Lines of the normal screen's buffer that are given on.
  try {
    for await (const bytes of readLog(id, options)) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        terminal._core._inputHandler.parse(
          bytes.subarray(at, at + PIECE_BYTES),
        );
        if (normal.baseY < SCROLLBACK / 2) continue;
        yield* linesOf(normal, given, normal.baseY);
        clearScrollback(terminal);
        given = 0;
      }
    }
    yield* linesOf(normal, given, normal.length);
    if (terminal.buffer.active.type === "alternate") {
      yield* linesOf(alternate, 0, alternate.length);
    }
  } finally {
    terminal.dispose();
  }
}

/** Erases the lines above the screen, ED 3 (ECMA-48 and xterm). */
function clearScrollback(terminal: Terminal): void {
  terminal._core._inputHandler.parse(new TextEncoder().encode("\x1b[3J"));
}

/** Lines as text: those that only the width has broken are put together again. */
function* linesOf(
  buffer: ScreenBuffer,
  from: number,
  to: number,
): Generator<string> {
  let line: string | undefined;
  let blank = 0; // Empty lines count only if something follows.
  for (let y = from; y < to; y++) {
    const row = buffer.getLine(y);
    const next = buffer.getLine(y + 1);
    line = (line ?? "") + (row?.translateToString(!next?.isWrapped) ?? "");
    if (next?.isWrapped && y + 1 < to) continue;
    if (line === "") blank++;
    else {
      for (; blank > 0; blank--) yield "";
      yield plainText(line);
    }
    line = undefined;
  }
}
