/**
 * The last screen of a terminal session that has ended.
 *
 * The relay leaves `screen.json` where it had an emulator; where it had none, the
 * journal is complete and simple enough to be drawn again.
 *
 * @module
 */
import { openFile } from "../system/files.ts";
import { Screen } from "../screen/screen.ts";
import {
  parseScreen,
  type ScreenText,
  SCROLLBACK,
} from "../screen/screen_text.ts";
import type { Paths } from "../store.ts";
import { readJsonFile, terminalStatus } from "./terminal_status.ts";

/** More than the greatest `screen.json`. */
const MAX_SCREEN_BYTES = 32 * 1024 * 1024;
/** So much of each file of the journal is drawn again, its end; a journal is longer only by its agent's doing. */
const MAX_REPLAY_BYTES = 256 * 1024 * 1024;

/** Reads or redraws the last screen of the session with these files. */
export async function readLastScreen(
  paths: Paths,
  options: { readonly ansi: boolean; readonly scrollback: number },
): Promise<ScreenText> {
  const { ansi, scrollback } = options;
  const last = parseScreen(
    readJsonFile(`${paths.dir}/screen.json`, MAX_SCREEN_BYTES),
    { styled: true, ansi },
  );
  if (last !== undefined) {
    const count = Math.min(scrollback, last.scrollback);
    const lines = last.lines.slice(last.scrollback - count);
    return { ...last, scrollback: count, lines };
  }
  const size = terminalStatus(paths, false);
  const screen = new Screen(size?.columns || 120, size?.rows || 40);
  await screen.load();
  for (const path of [`${paths.stdout}.1`, paths.stdout]) replay(screen, path);
  const text = screen.text({
    ansi,
    scrollback: Math.min(scrollback, SCROLLBACK),
  });
  return parseScreen(text, { styled: ansi, ansi }) ?? text;
}

function replay(screen: Screen, path: string): void {
  using file = openFile(path);
  if (file === undefined) return;
  const buffer = new Uint8Array(256 * 1024);
  let offset = Math.max(0, file.size() - MAX_REPLAY_BYTES);
  for (let count; (count = file.readNow(buffer, offset)) > 0; offset += count) {
    screen.append(buffer.subarray(0, count));
    if (screen.isBehind) screen.catchUp();
  }
}
