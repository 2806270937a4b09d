/**
 * The last screen of a terminal session that has ended.
 *
 * The relay leaves `screen.json` where it had an emulator; where it had none, the
 * journal is complete and simple enough to be drawn again.
 *
 * @module
 */
import { Screen, type ScreenText, SCROLLBACK } from "./screen.ts";
import type { Paths } from "./store.ts";

interface LastScreen extends ScreenText {
  /** What draws it. */
  readonly redraw: string;
}

function readJson<T>(path: string): Partial<T> | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError
    ) return undefined;
    throw error;
  }
}

/** Reads or redraws the last screen of the session with these files. */
export async function readLastScreen(
  paths: Paths,
  options: { readonly ansi: boolean; readonly scrollback: number },
): Promise<ScreenText> {
  const { ansi, scrollback } = options;
  const last = readJson<LastScreen>(`${paths.dir}/screen.json`);
  if (last?.lines && last.redraw !== undefined) {
    const { redraw: _, scrollback: above = 0, lines, ...rest } = last;
    const count = Math.min(scrollback, above);
    const kept = lines.slice(above - count);
    return {
      ...rest as ScreenText,
      scrollback: count,
      lines: ansi ? kept : kept.map(stripStyles),
    };
  }
  const size = readJson<ScreenText>(`${paths.dir}/terminal.json`);
  const screen = new Screen(size?.columns ?? 120, size?.rows ?? 40);
  await screen.load();
  for (const path of [`${paths.stdout}.1`, paths.stdout]) replay(screen, path);
  return screen.text({ ansi, scrollback: Math.min(scrollback, SCROLLBACK) });
}

function replay(screen: Screen, path: string): void {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  using _ = file;
  const buffer = new Uint8Array(256 * 1024);
  for (;;) {
    const count = file.readSync(buffer);
    if (count === null) return;
    screen.append(buffer.subarray(0, count));
    if (screen.isBehind) screen.catchUp();
  }
}

/** A line that ansiLine of redraw.ts has made, as text. */
function stripStyles(line: string): string {
  return line
    // deno-lint-ignore no-control-regex
    .replace(/\x1b\[(\d+)C/g, (_, count) => " ".repeat(Number(count)))
    // deno-lint-ignore no-control-regex
    .replace(/\x1b\[[0-9;:]*[A-Za-z]|\x1b\][^\x1b]*\x1b\\/g, "")
    .trimEnd();
}
