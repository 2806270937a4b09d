/**
 * The dashboard on the terminal: keys go to the machine of `app.ts`, its pictures to the screen.
 *
 * It draws when something has changed: after a key at once, otherwise a few times a second at most.
 * While nothing changes, nothing runs but one timer for the next age that reads differently. The
 * dashboard has the terminal while it is in front; while the user is attached, the session has it.
 *
 * A signal, or a terminal that was closed, ends it at once: no action is waited for.
 *
 * Keys for a session are never taken as commands. While attaching takes long, or after the session
 * has ended by itself, the user may be typing on: the list gets no key before a pause.
 *
 * @module
 */
import type { Act, App, Effect } from "./app.ts";
import { areasOf } from "./areas.ts";
import { harmless } from "../cli/format.ts";
import { describeError } from "../cli/io.ts";
import { attachConsole } from "../client/attach_console.ts";
import {
  consoleSize,
  dropKeys,
  type Keyboard,
  openKeyboard,
  takeTerminal,
  whenResized,
  writeConsole,
  writeLast,
} from "../client/own_terminal.ts";
import { Frame } from "./frame.ts";
import { readKeys } from "./keys.ts";
import { layout, shownRows, untilNextAge } from "./layout.ts";
import { followLog } from "./log.ts";
import { Pane } from "./pane.ts";
import { getSession } from "../session/find.ts";
import { noSuchSession } from "../store.ts";
import { ACTIONS } from "../views/actions.ts";
import type { Row } from "../views/row.ts";
import { type WatchedRows, watchRows } from "../views/sessions.ts";

/** The alternate screen; pastes are marked, so that none is taken for keys. */
const ENTER = "\x1b[?1049h\x1b[?2004h";
const LEAVE = "\x1b[?2026l\x1b[m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l";
/** The time between two drawings that no key has asked for, in milliseconds. */
const DRAW_MS = 50;
/** How long a user may read how to detach before the session's screen comes, in milliseconds. */
const HINT_MS = 250;
/** How long keys are dropped before the user is attached, in milliseconds. */
const SETTLE_MS = 100;
/** After the user has detached, keys are dropped until none has come for so long, in milliseconds. */
const DETACHED_MS = 50;
/** The same after a session has ended by itself, or could not be attached to: its user types on. */
const PAUSE_MS = 1000;
const PAUSE_HINT = "(keys work after a pause)";

/** The signals that end the dashboard, also while its user is attached. */
const LEAVING = ["SIGTERM", "SIGHUP"] as const;
/** Those that keys send: they only detach. */
const DETACHING = ["SIGINT", "SIGQUIT"] as const;

/** How the dashboard is run. */
export interface DashboardOptions {
  readonly root: string;
  /** The keys that detach, if the user has chosen some. */
  readonly detachKeys: string | undefined;
}

/**
 * Shows the dashboard until its user leaves, or a signal ends it. What it has begun may still run
 * then: end the program with `Deno.exit`.
 */
export async function runDashboard(
  app: App,
  options: DashboardOptions,
): Promise<void> {
  await new Dashboard(app, options).run();
}

class Dashboard {
  readonly #app: App;
  readonly #options: DashboardOptions;
  readonly #rows: WatchedRows;
  readonly #frame = new Frame();
  readonly #over = new AbortController();
  readonly #pane: Pane;
  /** The log that is followed, and what ends that. */
  #log: { readonly row: Row; readonly stop: AbortController } | undefined;
  /** The dashboard has the terminal. */
  #isInFront = false;
  /** What is written before the next picture. */
  #before = "";
  #writing: Promise<void> | undefined;
  /** The picture on the screen isn't the latest one. */
  #isStale = false;
  #drawnAt = 0;
  #drawTimer: ReturnType<typeof setTimeout> | undefined;
  #ageTimer: ReturnType<typeof setTimeout> | undefined;
  /** The ids that the list shows. */
  #shown = "";
  #hasAttached = false;
  /** Ends the next attachment, or the present one. */
  #detach = new AbortController();
  /** How attaching has ended, and how long no key may come before the list gets one. */
  #end:
    | {
      readonly text: string;
      readonly isError?: boolean;
      readonly pauseMs: number;
    }
    | undefined;

  constructor(app: App, options: DashboardOptions) {
    this.#app = app;
    this.#options = options;
    const { root } = options;
    const { signal } = this.#over;
    this.#pane = new Pane({
      root,
      onLines: (lines) => {
        this.#app.setPane(lines);
        this.#drawSoon();
      },
    });
    const onChange = () => this.#update();
    this.#rows = watchRows({ root, signal, onChange });
    this.#rows.ready.then(onChange, () => {});
    this.#rows.done.catch((error) => this.#over.abort(error));
  }

  async run(): Promise<void> {
    const { signal } = this.#over;
    // All the time, also while nobody has the terminal.
    using signals = new DisposableStack();
    const on = (name: Deno.Signal, call: () => void) => {
      Deno.addSignalListener(name, call);
      signals.defer(() => Deno.removeSignalListener(name, call));
    };
    for (const name of LEAVING) on(name, () => this.#over.abort());
    for (const name of DETACHING) on(name, () => this.#detach.abort());
    try {
      while (!signal.aborted) {
        const row = await this.#show();
        if (row !== undefined) await this.#attach(row);
      }
    } finally {
      this.#over.abort();
    }
    if (signal.reason.name !== "AbortError") throw signal.reason;
  }

  // The terminal.

  /** Takes the terminal until the user leaves, or wants to attach to the session that is returned. */
  async #show(): Promise<Row | undefined> {
    const { signal } = this.#over;
    using keyboard = openKeyboard();
    const stopReading = () => keyboard[Symbol.dispose]();
    signal.addEventListener("abort", stopReading);
    try {
      using _terminal = takeTerminal({
        onLeave: () => this.#over.abort(),
        giveBack: () => this.#goBack(),
        onContinue: () => this.#comeForward(),
      });
      using _resized = whenResized((size) => {
        this.#app.resize(size);
        this.#draw();
      });
      try {
        this.#comeForward();
        await this.#awaitPause();
        return await this.#takeKeys(keyboard);
      } finally {
        const end = this.#goBack();
        await writeLast(() => this.#write(end));
      }
    } finally {
      signal.removeEventListener("abort", stopReading);
    }
  }

  /** Drops what was typed for the session that the user was attached to. */
  async #awaitPause(): Promise<void> {
    if (this.#end === undefined) return;
    const { text, isError = false, pauseMs } = this.#end;
    this.#end = undefined;
    const say = (text: string) => {
      if (isError) this.#app.warn(text);
      else this.#app.say(text);
      this.#draw();
    };
    if (pauseMs === PAUSE_MS) say(`${text} ${PAUSE_HINT}`);
    const { signal } = this.#over;
    await dropKeys({ pauseMs, answer: this.#askTerminal(), signal });
    say(text);
  }

  /**
   * Asks the terminal where the cursor is, somewhere, and returns its answer. What the session has
   * asked it for is answered before that, and could be keys: a title, or the clipboard.
   */
  #askTerminal(): string {
    const { columns, rows } = this.#app.size;
    const at = (most: number) => 1 + Math.floor(Math.random() * most);
    const place = `${at(rows)};${at(columns)}`;
    this.#write(`\x1b[${place}H\x1b[6n`);
    this.#frame.forget();
    return `\x1b[${place}R`;
  }

  async #takeKeys(keyboard: Keyboard): Promise<Row | undefined> {
    const { signal } = this.#over;
    let row: Row | undefined;
    for await (const key of readKeys(keyboard)) {
      // Typed before the session's screen is there: a second Enter could answer its question.
      if (row !== undefined) continue;
      row = this.#take(this.#app.press(key));
      if (signal.aborted) return undefined;
      if (row !== undefined) {
        this.#detach = new AbortController();
        const ms = this.#sayHowToDetach(row);
        setTimeout(() => keyboard[Symbol.dispose](), ms);
      }
      this.#draw();
    }
    if (row === undefined) this.#over.abort(); // The terminal was closed.
    return signal.aborted ? undefined : row;
  }

  #comeForward(): void {
    this.#isInFront = true;
    this.#before = ENTER;
    this.#frame.forget();
    this.#app.resize(consoleSize());
    this.#draw();
  }

  /** Shows nothing more; returns what gives the terminal back. */
  #goBack(): string {
    this.#isInFront = false;
    this.#pane.show(undefined, areasOf(this.#app.size).pane);
    this.#rows.leave(this);
    this.#shown = "";
    clearTimeout(this.#drawTimer);
    clearTimeout(this.#ageTimer);
    this.#drawTimer = undefined;
    return LEAVE;
  }

  /** Does what a key asks for; returns the session to attach to. */
  #take(effects: readonly Effect[]): Row | undefined {
    for (const effect of effects) {
      switch (effect.type) {
        case "leave":
          this.#over.abort();
          break;
        case "suspend":
          this.#suspend();
          break;
        case "redraw":
          this.#frame.forget();
          break;
        case "attach":
          return effect.row;
        case "act":
          this.#act(effect);
          break;
        default:
          effect satisfies never;
      }
    }
    return undefined;
  }

  async #suspend(): Promise<void> {
    await Promise.resolve(); // The picture after the key comes first.
    await this.#writing;
    // The whole group, as the terminal does it: a program that has started this one waits for it.
    Deno.kill(0, "SIGTSTP");
  }

  // Actions and attaching.

  async #act(act: Act): Promise<void> {
    const app = this.#app;
    const { signal } = this.#over;
    app.begin(act);
    try {
      const result = await ACTIONS[act.action].run(act.args, {
        root: this.#options.root,
        signal,
        onNotice: (notice) => app.note(act, harmless(notice)),
      });
      app.finish(act, result);
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = describeError(error);
      app.fail(act, code, harmless(message));
    }
    this.#draw();
  }

  /** Says how to leave a session, the first time. Returns for how long, in milliseconds. */
  #sayHowToDetach({ id }: Row): number {
    const isKnown = this.#hasAttached ||
      this.#options.detachKeys !== undefined;
    this.#hasAttached = true;
    if (isKnown) return SETTLE_MS;
    this.#app.say(`Attaching to "${id}"; ${this.#app.detachKeys} detaches`);
    return HINT_MS;
  }

  /** Attaches to a session, and says how that has ended. */
  async #attach({ id, born }: Row): Promise<void> {
    const { detachKeys, root } = this.#options;
    const over = this.#over.signal;
    const signal = AbortSignal.any([over, this.#detach.signal]);
    const detached = { text: `Detached from "${id}"`, pauseMs: DETACHED_MS };
    try {
      const { createdAt } = await getSession(id, { root });
      if (createdAt.toISOString() !== born) throw noSuchSession(id);
      const options = { root, detachKeys, signal, atOnce: true };
      const result = await attachConsole(id, options);
      this.#end = "detached" in result
        ? detached
        : { text: `Ended: "${id}"`, pauseMs: PAUSE_MS };
    } catch (error) {
      const text = harmless(describeError(error).message);
      this.#end = signal.aborted
        ? detached
        : { text, isError: true, pauseMs: PAUSE_MS };
    }
  }

  // Drawing.

  /** Takes what has changed in the sessions. */
  #update(): void {
    this.#app.setRows(this.#rows.rows());
    this.#drawSoon();
  }

  #drawSoon(): void {
    if (this.#drawTimer !== undefined || !this.#isInFront) return;
    const ms = Math.max(0, this.#drawnAt + DRAW_MS - performance.now());
    this.#drawTimer = setTimeout(() => this.#draw(), ms);
  }

  /** Draws what has changed, and follows what is shown now. */
  #draw(): void {
    clearTimeout(this.#drawTimer);
    this.#drawTimer = undefined;
    if (!this.#isInFront) return;
    const app = this.#app;
    this.#follow();
    app.now = Date.now();
    this.#drawnAt = performance.now();
    // A terminal that takes its time gets the latest picture, and none in between.
    this.#isStale = this.#writing !== undefined;
    if (!this.#isStale) {
      const { rows, cursor } = layout(app, app.size);
      const text = this.#before + this.#frame.draw(rows, app.size, cursor);
      this.#before = "";
      this.#write(text);
    }
    clearTimeout(this.#ageTimer);
    const ms = untilNextAge(app, app.size);
    this.#ageTimer = ms === undefined
      ? undefined
      : setTimeout(() => this.#draw(), ms);
  }

  /** Writes to the terminal, after what is being written. */
  #write(text: string): Promise<void> {
    if (text === "") return Promise.resolve();
    const writing = this.#writeAfter(this.#writing, text);
    this.#writing = writing;
    writing.then(() => {
      if (this.#writing !== writing) return;
      this.#writing = undefined;
      if (this.#isStale) this.#draw();
    });
    return writing;
  }

  async #writeAfter(
    before: Promise<void> | undefined,
    text: string,
  ): Promise<void> {
    await before;
    try {
      let bytes = new TextEncoder().encode(text);
      while (bytes.length > 0) {
        bytes = bytes.subarray(await writeConsole(bytes));
      }
    } catch {
      this.#over.abort(); // The terminal was closed.
    }
  }

  /** Follows the sessions that are shown, and no others. */
  #follow(): void {
    const app = this.#app;
    const { row, logOf, size } = app;
    const areas = areasOf(size);
    const ids = shownRows(app, areas).map(({ id }) => id);
    if (ids.join(" ") !== this.#shown) {
      this.#shown = ids.join(" ");
      this.#rows.look(this, ids);
    }
    this.#pane.show(row, areas.pane);
    if (logOf !== (this.#log?.row ?? null)) this.#followLog(logOf);
  }

  #followLog(row: Row | null): void {
    this.#log?.stop.abort();
    this.#log = undefined;
    if (row === null) return;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#over.signal]);
    this.#log = { row, stop };
    const onLines = (lines: readonly string[]) => {
      if (signal.aborted) return;
      this.#app.addLines(lines);
      this.#drawSoon();
    };
    followLog(row, { root: this.#options.root, signal, onLines });
  }
}
