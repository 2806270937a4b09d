/**
 * What the selected session shows: the live screen of a terminal, the end of the log of
 * any other, as lines that are cut to the room for them.
 *
 * At most one session is followed at a time, over one connection: the one before is left as soon as
 * another one is selected, and that one is followed once the selection rests. So to scroll
 * through hundreds of sessions connects to few of them. Nobody notices the following: it attaches
 * to nothing, and is no event.
 *
 * Bounded: so many screens a second, so many lines; of a flood of output only its end. What goes wrong
 * becomes text. No byte of output gets through but what the emulator has drawn; see styled.ts.
 *
 * A terminal on which this program itself is shown is not shown: each picture would
 * change the next one. Two dashboards that show each other's terminal can't tell, but they come to
 * rest: each shows the other's screen below or beside its own list, so with each round a change moves
 * further down or to the right, until it is out of view.
 *
 * @module
 */
import { followScreen } from "../client/follow_screen.ts";
import { SessionError } from "../errors.ts";
import { viewStart } from "../screen/crop.ts";
import type { ScreenText } from "../screen/screen_text.ts";
import type { RootOptions } from "../store.ts";
import { sleep } from "../system/async.ts";
import type { Size } from "./frame.ts";
import { checkIsElsewhere, type Followed, followLog, lineOf } from "./log.ts";
import { cutStyled } from "./styled.ts";
import { wrap } from "./text.ts";

/** Lines of a log that a pane keeps; hardly any terminal has more rows. */
const KEPT_LINES = 300;
/** A selection that moves rests after so long, in milliseconds. */
const REST_MS = 100;
/** A selection that has rested for so long does not move, in milliseconds. */
const MOVE_MS = 400;
/** A terminal that doesn't answer is asked again after so long, in milliseconds. */
const RETRY_MS = 5000;
/** Options of {@linkcode Pane}. */
export interface PaneOptions extends RootOptions {
  /** Takes what is shown from now on: plain or styled lines, no more and no wider than there is room for. */
  readonly onLines: (lines: readonly string[]) => void;
}

/** What one session after another shows. */
export class Pane implements AsyncDisposable {
  readonly #options: PaneOptions;
  #row: Followed | undefined;
  #size: Size = { columns: 0, rows: 0 };
  /** The lines that fit into a size; they can be asked for again. */
  #linesIn: (size: Size) => readonly string[] = () => [];
  /** When another session was selected. */
  #selectedAt = -Infinity;
  #restMs = 0;
  /** Following the session has failed. */
  #hasFailed = false;
  /** Leaves the session that is followed. */
  #leave = new AbortController();
  #running: Promise<void> | undefined;

  /** A pane that shows nothing yet. */
  constructor(options: PaneOptions) {
    this.#options = options;
  }

  /**
   * Shows a session, or none, in this size from now on. To call it again costs nothing: do so
   * whenever the row has changed.
   */
  show(row: Followed | undefined, size: Size): void {
    const before = this.#row;
    const isSame = row?.id === before?.id && row?.born === before?.born &&
      row?.isTerminal === before?.isTerminal;
    const isSameSize = size.columns === this.#size.columns &&
      size.rows === this.#size.rows;
    this.#row = row;
    this.#size = size;
    if (!isSame) this.#select();
    // What has failed may work once something has changed.
    else if (this.#hasFailed && row !== before) {
      this.#restMs = REST_MS;
      this.#follow();
    } else if (!isSameSize) this.#show();
  }

  /** Leaves the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#row = undefined;
    this.#leave.abort();
    await this.#running;
  }

  #select(): void {
    const now = performance.now();
    this.#restMs = now - this.#selectedAt < MOVE_MS ? REST_MS : 0;
    this.#selectedAt = now;
    this.#show(() => []);
    this.#follow();
  }

  #show(linesIn = this.#linesIn): void {
    this.#linesIn = linesIn;
    this.#options.onLines(linesIn(this.#size));
  }

  /** Follows the selected session once the one before is left. */
  #follow(): void {
    this.#hasFailed = false;
    this.#leave.abort();
    this.#leave = new AbortController();
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async #run(): Promise<void> {
    let signal: AbortSignal;
    do {
      signal = this.#leave.signal;
      try {
        await sleep(this.#restMs, signal);
        if (this.#row !== undefined) await this.#view(this.#row, signal);
      } catch (error) {
        if (signal.aborted) continue;
        this.#hasFailed = true;
        this.#say(lineOf(error));
      }
    } while (signal !== this.#leave.signal);
  }

  /** Shows a session until it is over or left. */
  async #view(row: Followed, signal: AbortSignal): Promise<void> {
    const { root } = this.#options;
    if (!row.isTerminal) {
      let kept: string[] = [];
      const onLines = (lines: readonly string[]) => {
        kept = [...kept, ...lines].slice(-KEPT_LINES);
        this.#show((size) => endOf(kept, size));
      };
      const options = { root, tailLines: KEPT_LINES, signal, onLines };
      return await followLog(row, options);
    }
    for (;;) {
      try {
        return await this.#viewScreen(row.id, signal);
      } catch (error) {
        if (!isTimeout(error)) throw error;
        this.#say(lineOf(error));
      }
      await sleep(RETRY_MS, signal);
    }
  }

  async #viewScreen(id: string, signal: AbortSignal): Promise<void> {
    const { root } = this.#options;
    checkIsElsewhere(id, root);
    for await (const screen of followScreen(id, { root, ansi: true, signal })) {
      signal.throwIfAborted();
      checkIsElsewhere(id, root); // Somebody may have attached meanwhile.
      this.#show((size) => partOf(screen, size));
    }
  }

  #say(text: string): void {
    this.#show(({ columns, rows }) =>
      wrap(text, Math.max(1, columns)).slice(0, rows)
    );
  }
}

/** The part of a screen around its cursor, or the end of its text if the cursor is hidden. */
function partOf(screen: ScreenText, { columns, rows }: Size): string[] {
  const { lines, cursor } = screen;
  const last = lines.findLastIndex((line) => line !== "");
  const at = cursor.visible ? cursor.row : last;
  const top = viewStart(at, Math.max(at, last) + 1, rows);
  const left = cursor.visible
    ? viewStart(cursor.column, screen.columns, columns)
    : 0;
  return lines.slice(top, top + rows)
    .map((line) => cutStyled(line, columns, left));
}

/** The last of some lines of plain text, broken into rows. */
function endOf(lines: readonly string[], { columns, rows }: Size): string[] {
  const shown: string[] = [];
  for (let at = lines.length - 1; at >= 0 && shown.length < rows; at--) {
    shown.unshift(...wrap(lines[at]!, Math.max(1, columns)));
  }
  return shown.slice(Math.max(0, shown.length - rows));
}

function isTimeout(error: unknown): boolean {
  return error instanceof SessionError && error.code === "timeout";
}
