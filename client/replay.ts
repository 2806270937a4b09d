/**
 * The last screen of a terminal session that has ended, without its relay.
 *
 * The relay leaves its last screen in `screen.json` where it had an emulator. Where it
 * had none, the log is complete and simple enough to be played to an emulator again.
 *
 * @module
 */
import { windowSize } from "./terminal_status.ts";
import { Screen } from "../screen/screen.ts";
import {
  parseScreen,
  type ScreenText,
  SCROLLBACK,
} from "../screen/screen_text.ts";
import type { Paths } from "../store.ts";
import { openFile, readJsonFile } from "../system/files.ts";

/** More than the greatest `screen.json`. */
const MAX_SCREEN_BYTES = 32 * 1024 * 1024;
/** The end of each log file is played, at most this much; only its agent can make it longer. */
const MAX_REPLAY_BYTES = 256 * 1024 * 1024;
/** The log is read in blocks of this size. */
const BLOCK_BYTES = 256 * 1024;

/** Reads or plays the last screen of a session that has ended. */
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
  const { columns, rows } = windowSize(paths);
  const screen = new Screen(columns, rows);
  await screen.load();
  for (const path of [`${paths.stdout}.1`, paths.stdout]) feed(screen, path);
  const text = screen.text({
    ansi,
    scrollback: Math.min(scrollback, SCROLLBACK),
  });
  return parseScreen(text, { styled: ansi, ansi }) ?? text;
}

/** Feeds a screen the end of a log file. */
function feed(screen: Screen, path: string): void {
  using file = openFile(path);
  if (file === undefined) return;
  const buffer = new Uint8Array(BLOCK_BYTES);
  let offset = Math.max(0, file.size() - MAX_REPLAY_BYTES);
  for (let count; (count = file.readNow(buffer, offset)) > 0; offset += count) {
    screen.append(buffer.subarray(0, count));
    if (screen.isBehind) screen.catchUp();
  }
}
