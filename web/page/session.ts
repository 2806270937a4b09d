/**
 * A session in the page: its terminal or its log, with a bar above that says how it is connected.
 *
 * A terminal has a log, too: the lines that it has shown, to be searched. A small window (a phone)
 * first only looks at a terminal: the agent's window keeps its size until the user types.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";
import { ApiError, SERVER_GONE } from "./api.ts";
import { make, setText } from "./dom.ts";
import { type KeyBar, makeKeyBar } from "./keybar.ts";
import { type PageLog, showLog } from "./log.ts";
import { read, remember } from "./remember.ts";
import {
  type Connection,
  openAddress,
  type PageTerminal,
  showTerminal,
} from "./terminal.ts";

/** What the page gives a session's view. */
export interface SessionContext {
  /** Nobody can type or change anything. */
  readonly readOnly: boolean;
}

/** A session that is shown. */
export interface SessionView {
  /** The session has changed. */
  update(row: Row): void;
  focus(): void;
  dispose(): void;
}

/** A phone, upright or on its side. */
const SMALL = "(max-width: 700px), (max-height: 500px)";
const FONT_SIZES = { least: 8, most: 28 };

/** Shows a session in an element. */
export function showSession(
  host: HTMLElement,
  row: Row,
  context: SessionContext,
): SessionView {
  let shown = new Shown(host, row, context);
  return {
    update(next) {
      const isSame = next.id === row.id && next.born === row.born &&
        next.isTerminal === row.isTerminal;
      row = next;
      if (isSame) return shown.update(next);
      shown.dispose();
      shown = new Shown(host, next, context);
    },
    focus: () => shown.focus(),
    dispose: () => shown.dispose(),
  };
}

/** One session, from its first row to the last. */
class Shown {
  readonly #host: HTMLElement;
  readonly #context: SessionContext;
  #row: Row;
  readonly #over = new AbortController();
  readonly #word = make("p", { class: "session-word", role: "status" });
  readonly #act = make("button", { type: "button", hidden: "" });
  readonly #link = make("p", { class: "session-link", hidden: "" });
  readonly #screen = make("div", { class: "session-screen" });
  readonly #logTools = make("div", { class: "log-tools" });
  readonly #text = make("div", { class: "session-log", hidden: "" });
  readonly #tabs: Readonly<Record<"screen" | "log", HTMLButtonElement>>;
  readonly #sizes: readonly HTMLButtonElement[];
  readonly #reader: HTMLButtonElement;
  readonly #keys: KeyBar;
  readonly #paste: HTMLElement;
  #terminal: PageTerminal | undefined;
  #log: PageLog | undefined;
  #wantsFocus = false;
  #isLog: boolean;
  /** Of each of both, as it was told last. */
  #connections: Record<"screen" | "log", Connection> = {
    screen: { is: "connecting" },
    log: { is: "connecting" },
  };

  constructor(host: HTMLElement, row: Row, context: SessionContext) {
    this.#host = host;
    this.#row = row;
    this.#context = context;
    this.#isLog = !row.isTerminal;
    const tab = (name: "screen" | "log", text: string) =>
      button(text, {}, () => this.#choose(name === "log"));
    this.#tabs = { screen: tab("screen", "Screen"), log: tab("log", "Log") };
    this.#sizes = [
      button("A−", { "aria-label": "Smaller text" }, () => this.#resize(-1)),
      button("A+", { "aria-label": "Larger text" }, () => this.#resize(1)),
    ];
    this.#reader = button("Reader", {
      title: "Let a screen reader read the output",
      "aria-label": "Screen reader",
    }, () => this.#setReader(!isReaderOn()));
    this.#act.onclick = () => this.#connect();
    this.#paste = this.#makePaste();
    this.#keys = makeKeyBar({
      target: () => this.#takenOver(),
      onKeyboard: () => this.#terminal?.toggleKeyboard(),
      onPaste: () => this.#takenOver() && this.#pasteFromClipboard(),
    });
    const tabs = make(
      "div",
      { class: "session-tabs", role: "group", "aria-label": "Show" },
      ...row.isTerminal ? [this.#tabs.screen, this.#tabs.log] : [],
    );
    const tools = make(
      "div",
      { class: "session-tools" },
      ...this.#sizes,
      this.#reader,
    );
    host.replaceChildren(
      make(
        "div",
        { class: "session-bar" },
        ...[tabs, this.#word, this.#act, this.#logTools, tools],
      ),
      ...[this.#screen, this.#text, this.#link, this.#paste],
      this.#keys.element,
    );
    followKeyboard(this.#over.signal);
    this.#setFontSize(fontSize());
    this.#setReader(isReaderOn());
    this.#choose(this.#isLog);
    if (row.isTerminal) this.#openTerminal();
  }

  update(row: Row): void {
    const was = this.#row;
    this.#row = row;
    const isBack = was.urgency === "ended" && row.urgency !== "ended";
    if (isBack) {
      this.#terminal?.reconnect();
      this.#log?.reconnect();
    }
    this.#tell();
  }

  focus(): void {
    this.#wantsFocus = true;
    if (this.#isLog) this.#log?.focus();
    else this.#terminal?.focus();
  }

  dispose(): void {
    this.#over.abort();
    this.#terminal?.dispose();
    this.#log?.dispose();
    this.#host.replaceChildren();
  }

  async #openTerminal(): Promise<void> {
    const { id, born } = this.#row;
    const { readOnly } = this.#context;
    try {
      const terminal = await showTerminal(this.#screen, {
        ...{ id, born, readOnly },
        look: matchMedia(SMALL).matches,
        fontSize: fontSize(),
        screenReader: isReaderOn(),
        onConnection: (connection) => this.#take("screen", connection),
        onLink: (address) => this.#showLink(address, false),
        onOpenLink: (address) => this.#showLink(address, true),
        typed: (data) => this.#keys.typed(data),
      });
      if (this.#over.signal.aborted) return terminal.dispose();
      this.#terminal = terminal;
      if (this.#wantsFocus && !this.#isLog) terminal.focus();
    } catch (error) {
      // The server has gone before its terminal was loaded.
      this.#take("screen", {
        is: "failed",
        message: error instanceof ApiError
          ? error.message
          : "The terminal can't be loaded.",
      });
    }
  }

  #openLog(): void {
    const { id, born } = this.#row;
    this.#log = showLog(this.#text, {
      ...{ id, born },
      tools: this.#logTools,
      screenReader: isReaderOn(),
      onConnection: (connection) => this.#take("log", connection),
    });
  }

  /** Shows the log, or the screen. */
  #choose(isLog: boolean): void {
    this.#isLog = isLog;
    this.#screen.hidden = isLog;
    this.#text.hidden = !isLog;
    this.#paste.hidden = true;
    setPressed(this.#tabs.screen, !isLog);
    setPressed(this.#tabs.log, isLog);
    if (isLog) this.#openLog();
    else {
      this.#log?.dispose();
      this.#log = undefined;
      this.#connections.log = { is: "connecting" };
    }
    this.#tell();
    if (this.#wantsFocus) this.focus();
  }

  #take(which: "screen" | "log", connection: Connection): void {
    this.#connections[which] = connection;
    this.#tell();
  }

  get #connection(): Connection {
    return this.#connections[this.#isLog ? "log" : "screen"];
  }

  /** Says how it is connected, and offers what can be done about that. */
  #tell(): void {
    const connection = this.#connection;
    setText(this.#word, this.#wordOf(connection));
    const offer = this.#offerOf(connection);
    this.#act.hidden = offer === "";
    setText(this.#act, offer);
    this.#keys.element.hidden = this.#isLog || this.#context.readOnly ||
      connection.is === "ended" || connection.is === "failed";
    this.#host.dataset.connection = connection.is;
  }

  #wordOf(connection: Connection): string {
    switch (connection.is) {
      case "connecting":
        return "Connecting…";
      case "live":
        return "";
      case "looking":
        return this.#context.readOnly
          ? "Read-only: you can look, not type."
          : "Only looking: the window keeps its size.";
      case "lost":
        return "Connection lost. Trying again…";
      case "refused":
        return SERVER_GONE;
      case "ended":
        return this.#isLog
          ? `Ended: ${this.#row.text}.`
          : `Ended: ${this.#row.text}. This is the last screen.`;
      case "failed":
        return connection.message;
    }
  }

  #offerOf({ is }: Connection): string {
    if (is === "lost" || is === "refused" || is === "failed") {
      return "Try again";
    }
    if (this.#context.readOnly || this.#isLog) return "";
    if (is === "looking") return "Take over";
    return is === "live" && matchMedia(SMALL).matches ? "Only look" : "";
  }

  #connect(): void {
    const { is } = this.#connection;
    if (is === "looking") this.#terminal?.setLook(false);
    else if (is === "live") this.#terminal?.setLook(true);
    else if (this.#isLog) this.#log?.reconnect();
    else if (this.#terminal === undefined) this.#openTerminal();
    else this.#terminal.reconnect();
  }

  /** A link's address, and a way to open it if it was chosen. As text: a program made it. */
  #showLink(address: string | null, isChosen: boolean): void {
    const isPinned = this.#link.querySelector("button") !== null;
    if (isPinned && !isChosen) return;
    this.#link.hidden = address === null;
    if (address === null) return;
    // The host first: of a long address only the beginning is in sight.
    this.#link.replaceChildren(
      make("b", { text: new URL(address).host }),
      make("span", { text: address }),
    );
    if (!isChosen) return;
    const close = () => {
      this.#link.replaceChildren();
      this.#link.hidden = true;
      this.focus();
    };
    const open = button("Open", { class: "primary" }, () => {
      openAddress(address);
      close();
    });
    const cancel = button("Cancel", {}, close);
    this.#link.append(open, cancel);
    // Not Open: who goes on typing into the terminal presses Enter soon.
    cancel.focus();
  }

  /** The terminal for a key of the bar. While it is only looked at, the key takes it over, no more. */
  #takenOver(): PageTerminal | undefined {
    if (this.#connections.screen.is !== "looking") return this.#terminal;
    this.#terminal?.setLook(false);
  }

  async #pasteFromClipboard(): Promise<void> {
    try {
      this.#terminal?.paste(await navigator.clipboard.readText());
    } catch {
      // Not allowed, or the browser hasn't got it: the user pastes by hand.
      this.#paste.hidden = false;
      this.#paste.querySelector("textarea")!.focus();
    }
  }

  #makePaste(): HTMLElement {
    const field = make("textarea", {
      rows: "3",
      "aria-label": "Text to paste",
      placeholder: "Paste here",
    });
    const close = () => {
      field.value = "";
      form.hidden = true;
      this.focus();
    };
    const form = make(
      "form",
      { class: "session-paste", hidden: "" },
      field,
      make("button", { class: "primary", text: "Paste" }),
      button("Cancel", {}, close),
    );
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#terminal?.paste(field.value);
      close();
    };
    form.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
    };
    return form;
  }

  #resize(step: number): void {
    const { least, most } = FONT_SIZES;
    const size = Math.min(most, Math.max(least, fontSize() + step));
    remember("fontSize", String(size));
    this.#setFontSize(size);
  }

  #setFontSize(size: number): void {
    this.#text.style.setProperty("--log-size", `${size}px`);
    this.#terminal?.setFontSize(size);
  }

  #setReader(isOn: boolean): void {
    remember("screenReader", isOn ? "on" : null);
    setPressed(this.#reader, isOn);
    this.#terminal?.setScreenReader(isOn);
    this.#log?.setScreenReader(isOn);
  }
}

function fontSize(): number {
  const { least, most } = FONT_SIZES;
  const size = Number(read("fontSize"));
  if (size >= least && size <= most) return size;
  return matchMedia(SMALL).matches ? 12 : 14;
}

function isReaderOn(): boolean {
  return read("screenReader") === "on";
}

function button(
  text: string,
  attributes: Readonly<Record<string, string>>,
  press: () => void,
): HTMLButtonElement {
  const made = make("button", { type: "button", text, ...attributes });
  made.onclick = press;
  return made;
}

function setPressed(button: HTMLButtonElement, isPressed: boolean): void {
  button.setAttribute("aria-pressed", String(isPressed));
}

/**
 * Keeps the page above a phone's keyboard. Where that only covers the page (Safari), the layout
 * doesn't know of it, but the visual viewport does.
 */
function followKeyboard(signal: AbortSignal): void {
  const viewport = globalThis.visualViewport;
  if (!viewport) return;
  const { style } = document.body;
  const fit = () => {
    const covered = innerHeight - viewport.height * viewport.scale;
    style.height = covered > 60 ? `${viewport.height}px` : "";
    if (covered > 60) scrollTo(0, 0);
  };
  viewport.addEventListener("resize", fit, { signal });
  signal.addEventListener("abort", () => style.height = "");
  fit();
}
