/**
 * The dashboard as a machine without a terminal: what it shows, and what each key does.
 *
 * It ties together the list, the form and the pager. It keeps no state of sessions: it is told of their rows. An
 * action names a session by its id and its birth, so it never hits a later session with the same id. No single key
 * harms a session: stop, delete and restart ask first and name it. What a key starts is returned as an effect, for
 * the caller to run.
 *
 * @module
 */
import type { Size } from "./frame.ts";
import { areasOf, pageRows } from "./areas.ts";
import { choiceName, Form } from "./form.ts";
import { List } from "./list.ts";
import { Pager, scrolled } from "./pager.ts";
import type { Mode, Notice, View } from "./view.ts";
import { helpLines, isAttachable } from "./help.ts";
import { type Input, keyName } from "./keys.ts";
import { LineEditor } from "./line_editor.ts";
import { isLive } from "../store.ts";
import type { ActionName } from "../views/actions.ts";
import { messageOf } from "../errors.ts";
import type { Row } from "../views/row.ts";

/** What to do after a key. */
export type Effect =
  | { readonly type: "leave" }
  | { readonly type: "suspend" }
  | { readonly type: "redraw" }
  | { readonly type: "attach"; readonly row: Row }
  | Act;

/** An action to run, whose end is told to {@linkcode App.finish} or {@linkcode App.fail}. */
export interface Act {
  readonly type: "act";
  readonly action: ActionName;
  readonly args: Readonly<Record<string, unknown>>;
  /** What is going on; an empty text for what takes no time to speak of. */
  readonly doing: string;
  /** Takes the result; returns what has been done, for people. */
  readonly done: (result: Readonly<Record<string, unknown>>) => string | null;
  /** Takes an error; `true` if nothing more is to be said. */
  readonly failed?: (code: string, message: string) => boolean;
}

/** What a new machine needs. */
export interface AppOptions {
  readonly size: Size;
  /** The directory for new sessions. */
  readonly cwd: string;
  /** The home directory, which is shown as `~`. */
  readonly home?: string | undefined;
  /** @default {"ctrl-\\"} */
  readonly detachKeys?: string;
  /** @default {true} */
  readonly color?: boolean;
  /** Which sessions are there for the dashboard at all. @default {all} */
  readonly only?: (row: Row) => boolean;
  /** Labels that these have, as the user has given them: `KEY` or `KEY=VALUE`. @default {none} */
  readonly onlyLabels?: readonly string[];
  /** @default {the clock} */
  readonly now?: number;
}

/** The keys that do something with the selected session. */
const OF_SESSIONS = ["enter", "s", "a", "r", "d", "x", "R"];

/** The machine; see the top of this file. */
export class App implements View {
  readonly list: List;
  isReady = false;
  mode: Mode = { name: "list" };
  notice: Notice | null = null;
  now: number;
  readonly color: boolean;
  readonly onlyLabels: readonly string[];
  readonly detachKeys: string;
  /** The session whose log is shown in full. */
  logOf: Row | null = null;

  #size: Size;
  readonly #only: (row: Row) => boolean;
  readonly #cwd: string;
  /** What `y` does. */
  #yes: () => readonly Effect[] = () => [];
  /** What any other answer does. */
  #no: () => void = () => {};
  /** What Enter does with a line. */
  #take: (text: string) => readonly Effect[] = () => [];
  /** Texts that could not be sent, by session. */
  readonly #unsent = new Map<string, string>();
  #acts: readonly Act[] = [];
  readonly #notes = new WeakMap<Act, readonly string[]>();
  #agents: readonly string[] = [];
  #isWarned = false;

  constructor(options: AppOptions) {
    const { size, cwd, home, detachKeys = "ctrl-\\", color = true } = options;
    this.#size = size;
    this.list = new List(areasOf(size).list.rows);
    this.#cwd = shortened(cwd, home);
    this.#only = options.only ?? (() => true);
    this.onlyLabels = options.onlyLabels ?? [];
    this.detachKeys = detachKeys;
    this.color = color;
    this.now = options.now ?? Date.now();
  }

  /** The size of the terminal. */
  get size(): Size {
    return this.#size;
  }

  /** The selected session. */
  get row(): Row | undefined {
    return this.list.rows[this.list.index];
  }

  get doing(): string | null {
    return this.#acts.findLast(({ doing }) => doing !== "")?.doing ?? null;
  }

  /** Takes all sessions, by urgency. */
  setRows(all: readonly Row[]): void {
    this.isReady = true;
    this.list.setRows(all.filter(this.#only));
  }

  /** Takes a new size of the terminal. */
  resize(size: Size): void {
    this.#size = size;
    this.list.resize(areasOf(size).list.rows);
    if (this.mode.name === "help") this.#scrollHelp(0);
    if (this.mode.name === "pages") this.mode.pages.resize(size);
  }

  /** Takes what the pane shows. */
  setPane(lines: readonly string[]): void {
    this.list.pane = lines;
  }

  /** Takes more lines of the log that is shown in full. */
  addLines(lines: readonly string[]): void {
    if (this.mode.name === "pages" && this.logOf !== null) {
      this.mode.pages.add(lines);
    }
  }

  /** Says what has been done. */
  say(text: string): void {
    this.notice = { text, isError: false };
  }

  /** Says what is wrong. */
  warn(text: string): void {
    this.notice = { text, isError: true };
  }

  /** Notes that an action runs. */
  begin(act: Act): void {
    this.#acts = [...this.#acts, act];
  }

  /** Takes what the user should know of an action, to be said at its end. */
  note(act: Act, notice: string): void {
    this.#notes.set(act, [...this.#notes.get(act) ?? [], notice]);
  }

  /** Takes the result of an action. */
  finish(act: Act, result: Readonly<Record<string, unknown>>): void {
    this.#acts = this.#acts.filter((one) => one !== act);
    const text = act.done(result);
    const notes = this.#notes.get(act) ?? [];
    if (text !== null) this.say([text, ...notes].join("; "));
  }

  /** Takes the error of an action. */
  fail(act: Act, code: string, message: string): void {
    this.#acts = this.#acts.filter((one) => one !== act);
    if (!act.failed?.(code, message)) this.warn(message);
  }

  /** What a key does. */
  press(key: Input): readonly Effect[] {
    this.notice = null;
    const name = keyName(key);
    if (name === "ctrl-z") return [{ type: "suspend" }];
    if (name === "ctrl-l") return [{ type: "redraw" }];
    switch (this.mode.name) {
      case "list":
        return this.#inList(name);
      case "filter":
        return this.#inFilter(key, this.mode);
      case "labels":
        return this.#inLabels(name, this.mode);
      case "ask":
        return this.#inQuestion(name, "isRushed" in key);
      case "line":
        return this.#inLine(key, this.mode);
      case "form":
        return this.#inForm(key, this.mode.form);
      case "help":
        return this.#inHelp(name, this.mode);
      case "pages":
        return this.#inPages(name, this.mode);
      default:
        return this.mode satisfies never;
    }
  }

  // The list.

  #inList(name: string): readonly Effect[] {
    if (name !== "q" && name !== "ctrl-c") this.#isWarned = false;
    if (this.list.move(name)) return [];
    switch (name) {
      case "q":
      case "ctrl-c":
        return this.#leave();
      case "escape":
        this.list.narrow("", null);
        return [];
      case "/":
        this.mode = {
          name: "filter",
          editor: new LineEditor({ text: this.list.filter }),
        };
        return [];
      case "l":
        return this.#chooseLabel();
      case "?":
        this.mode = { name: "help", offset: 0 };
        return [];
      case "n":
        return this.#newSession();
    }
    if (!OF_SESSIONS.includes(name)) return [];
    const { row } = this;
    if (row === undefined) {
      this.warn("No session is selected");
      return [];
    }
    return this.#withRow(name, row);
  }

  /** What a key does with the selected session. */
  #withRow(name: string, row: Row): readonly Effect[] {
    switch (name) {
      case "enter":
        if (isAttachable(row)) return [{ type: "attach", row }];
        this.#showPages(`Log of ${row.id}`, []);
        this.logOf = row;
        return [];
      case "s":
        return this.#send(row);
      case "a":
        return this.#answer(row);
      case "x":
        return this.#stop(row);
      case "d":
        return this.#delete(row);
      case "r":
        return this.#resume(row);
      default:
        return this.#restart(row);
    }
  }

  #leave(): readonly Effect[] {
    const changing = this.doing;
    if (changing === null || this.#isWarned) return [{ type: "leave" }];
    this.#isWarned = true;
    this.warn(`${changing} q again leaves, without waiting for that`);
    return [];
  }

  // The filter and the labels.

  #inFilter(
    key: Input,
    { editor }: Extract<Mode, { name: "filter" }>,
  ): readonly Effect[] {
    const name = keyName(key);
    const moves = ["up", "down", "page-up", "page-down"];
    if (moves.includes(name) && this.list.move(name)) return [];
    if (name === "enter") this.mode = { name: "list" };
    else if (isCancel(name)) {
      this.list.narrow("");
      this.mode = { name: "list" };
    } else {
      editor.take(key);
      this.list.narrow(editor.text);
    }
    return [];
  }

  #chooseLabel(): readonly Effect[] {
    const choices = this.list.labels();
    if (choices.length === 0) {
      this.warn("No session has a label");
      return [];
    }
    const { label: now } = this.list;
    const index = choices.findIndex(({ label }) => label === now);
    this.mode = { name: "labels", choices, index: Math.max(0, index) };
    return [];
  }

  #inLabels(
    name: string,
    mode: Extract<Mode, { name: "labels" }>,
  ): readonly Effect[] {
    const { choices, index } = mode;
    if (name === "enter") {
      this.list.narrow(this.list.filter, choices[index]!.label);
      this.mode = { name: "list" };
    } else if (isCancel(name) || name === "q") this.mode = { name: "list" };
    else {
      const page = pageRows(this.#size) - 1;
      const to = scrolled(name, index, page) ?? index;
      const last = choices.length - 1;
      this.mode = { ...mode, index: Math.max(0, Math.min(last, to)) };
    }
    return [];
  }

  // Questions and lines.

  #ask(
    question: string,
    yes: () => readonly Effect[],
    no = () => {},
  ): readonly Effect[] {
    this.mode = { name: "ask", question };
    this.#yes = yes;
    this.#no = no;
    return [];
  }

  #inQuestion(name: string, isRushed: boolean): readonly Effect[] {
    if (name === "y" || name === "Y") {
      if (isRushed) return []; // Nobody has read the question.
      this.mode = { name: "list" };
      return this.#yes();
    }
    if (isCancel(name) || ["n", "N", "q", "enter"].includes(name)) {
      this.mode = { name: "list" };
      this.#no();
    }
    return [];
  }

  #askFor(
    prompt: string,
    text: string,
    take: (text: string) => readonly Effect[],
  ): readonly Effect[] {
    this.mode = {
      name: "line",
      prompt,
      editor: new LineEditor({ text, keepsLines: true }),
    };
    this.#take = take;
    return [];
  }

  #inLine(
    key: Input,
    { editor }: Extract<Mode, { name: "line" }>,
  ): readonly Effect[] {
    const name = keyName(key);
    if (name === "enter") {
      this.mode = { name: "list" };
      return this.#take(editor.text);
    }
    if (isCancel(name)) this.mode = { name: "list" };
    else editor.take(key);
    return [];
  }

  // What can be done with a session.

  #send(row: Row): readonly Effect[] {
    const { id, born } = row;
    if (!row.can.includes("send")) {
      const why = isLive(row) ? "it takes no input" : whyNot(row);
      return this.#cannot("send to", id, why);
    }
    const key = `${id} ${born}`;
    const send = (text: string, force: boolean): Effect => ({
      type: "act",
      action: "send",
      args: { id, born, text, ...force && { force } },
      doing: `Sending to "${id}"…`,
      done: () => {
        this.#unsent.delete(key);
        return `Sent to "${id}"`;
      },
      failed: (code, message) => {
        this.#unsent.set(key, text);
        if (code !== "blocked" || force) return false;
        // Only where no other key is expected: the y is for this question.
        if (this.mode.name !== "list") return false;
        this.#ask(
          `${message}. Send it anyway?`,
          () => [send(text, true)],
          () => this.say(`Not sent; s on "${id}" has the text again`),
        );
        return true;
      },
    });
    const unsent = this.#unsent.get(key) ?? "";
    return this.#askFor(`Send to ${id}`, unsent, (text) => {
      this.#unsent.delete(key);
      return text === "" ? [] : [send(text, false)];
    });
  }

  #answer({ id, born }: Row): readonly Effect[] {
    return [{
      type: "act",
      action: "answer",
      args: { id, born },
      doing: `Reading the answer of "${id}"…`,
      done: ({ text }) => {
        if (this.mode.name !== "list") return null;
        this.#showPages(`Last answer of ${id}`, String(text).split("\n"));
        return null;
      },
    }];
  }

  #stop(row: Row): readonly Effect[] {
    const { id, born } = row;
    if (!row.can.includes("stop")) {
      return this.#cannot("stop", id, whyNot(row));
    }
    return this.#ask(`Stop "${id}"?`, () => [{
      type: "act",
      action: "stop",
      args: { id, born },
      doing: `Stopping "${id}"…`,
      done: () => `Stopped "${id}"`,
    }]);
  }

  #delete(row: Row): readonly Effect[] {
    const { id, born } = row;
    const needsForce = isLive(row) || row.state === "damaged";
    const question = isLive(row)
      ? `"${id}" is running. Stop it, and delete it with its output?`
      : `Delete "${id}" and its output?`;
    return this.#ask(question, () => [{
      type: "act",
      action: "delete",
      args: { id, born, ...needsForce && { force: true } },
      doing: `Deleting "${id}"…`,
      done: () => `Deleted "${id}"`,
    }]);
  }

  #resume(row: Row): readonly Effect[] {
    const { id, born } = row;
    if (!row.can.includes("resume")) {
      const why = isLive(row)
        ? "it is running"
        : "it ran no agent that can be resumed";
      return this.#cannot("resume", id, why);
    }
    const question = `Resume ${id}, prompt (may be empty)`;
    return this.#askFor(question, "", (prompt) => [{
      type: "act",
      action: "resume",
      args: { id, born, ...prompt !== "" && { prompt } },
      doing: `Resuming "${id}"…`,
      done: ({ id: other }) => {
        this.list.await(String(other));
        return `Resumed "${id}" as "${other}"`;
      },
    }]);
  }

  #restart(row: Row): readonly Effect[] {
    const { id, born } = row;
    if (!row.can.includes("restart")) {
      const why = isLive(row) ? "it is running" : whyNot(row);
      return this.#cannot("restart", id, why);
    }
    return this.#ask(`Run the command of "${id}" again?`, () => [{
      type: "act",
      action: "restart",
      args: { id, born },
      doing: `Restarting "${id}"…`,
      done: ({ id: other }) => {
        this.list.await(String(other));
        return `Restarted "${id}" as "${other}"`;
      },
    }]);
  }

  #cannot(what: string, id: string, why: string): readonly Effect[] {
    this.warn(`Cannot ${what} "${id}": ${why}`);
    return [];
  }

  // A new session.

  #newSession(): readonly Effect[] {
    this.mode = { name: "form", form: new Form(this.#cwd, this.#agents) };
    return [{
      type: "act",
      action: "agents",
      args: {},
      doing: "",
      done: (result) => {
        this.#agents = agentsIn(result);
        if (this.mode.name === "form") this.mode.form.setAgents(this.#agents);
        return null;
      },
    }];
  }

  #inForm(key: Input, form: Form): readonly Effect[] {
    const name = keyName(key);
    if (name === "enter" && form.isAtEnd) return this.#start(form);
    if (isCancel(name)) this.mode = { name: "list" };
    else form.take(key);
    return [];
  }

  #start(form: Form): readonly Effect[] {
    let args: Readonly<Record<string, unknown>>;
    try {
      args = form.args();
    } catch (error) {
      this.warn(messageOf(error));
      return [];
    }
    this.mode = { name: "list" };
    // Or else the new session would not be listed. A key alone leaves the value open.
    const labels = Object.fromEntries(
      this.onlyLabels.filter((label) => label.includes("="))
        .map((label) => label.split(/=(.*)/s, 2)),
    );
    return [{
      type: "act",
      action: "start",
      args: { ...args, ...Object.keys(labels).length > 0 && { labels } },
      doing: `Starting ${choiceName(form.choice)}…`,
      done: ({ id }) => {
        this.list.await(String(id));
        return `Started "${id}"`;
      },
      failed: () => {
        // What was entered is not lost.
        if (this.mode.name === "list") this.mode = { name: "form", form };
        return false;
      },
    }];
  }

  // Help, answers and logs.

  #inHelp(
    name: string,
    { offset }: Extract<Mode, { name: "help" }>,
  ): readonly Effect[] {
    if (isBack(name) || name === "?") this.mode = { name: "list" };
    else {
      const to = scrolled(name, offset, pageRows(this.#size) - 1);
      if (to !== undefined) this.#scrollHelp(to - offset);
    }
    return [];
  }

  #scrollHelp(by: number): void {
    if (this.mode.name !== "help") return;
    const { length } = helpLines(this.detachKeys, this.#size.columns);
    const most = Math.max(0, length - pageRows(this.#size));
    const offset = Math.max(0, Math.min(most, this.mode.offset + by));
    this.mode = { name: "help", offset };
  }

  #inPages(
    name: string,
    { pages }: Extract<Mode, { name: "pages" }>,
  ): readonly Effect[] {
    if (isBack(name)) {
      this.mode = { name: "list" };
      this.logOf = null;
    } else pages.take(name);
    return [];
  }

  #showPages(title: string, lines: readonly string[]): void {
    const pages = new Pager(title, lines, this.#size);
    this.mode = { name: "pages", pages };
  }
}

function isCancel(name: string): boolean {
  return name === "escape" || name === "ctrl-c";
}

function isBack(name: string): boolean {
  return isCancel(name) || name === "q";
}

/** Why something isn't possible: `it exited 3`. */
function whyNot(row: Row): string {
  return isLive(row) ? "it is running" : `it is over: ${row.text}`;
}

/** The names of the agents that are installed, the usual one first. */
function agentsIn({ agents, usual }: Readonly<Record<string, unknown>>) {
  const found = agents as readonly { readonly name: string }[];
  const names = found.map(({ name }) => name);
  const first = names.filter((name) => name === usual);
  return [...first, ...names.filter((name) => name !== usual)];
}

/** A directory as people write it: `~/project`. */
function shortened(path: string, home: string | undefined): string {
  if (home === undefined || home === "/") return path;
  if (path === home) return "~";
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
