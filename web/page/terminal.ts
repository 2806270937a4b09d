/**
 * A session's terminal: xterm.js, attached to the session over a WebSocket.
 *
 * It is a client like any other: what is typed goes to the session, whose window has the size of the
 * client that typed last. A viewer that only looks leaves that size alone and has it itself: where
 * there is no room for all of it, the picture follows the cursor, and can be moved.
 * After a lost connection the server sends the whole screen anew.
 *
 * Output is never believed: it becomes text in cells. The titles and the clipboard contents (OSC 52)
 * that it sets are ignored, and links are shown before they are opened. What would keep xterm.js busy for
 * hours is limited as in the relay.
 *
 * @module
 */
import { limitEmulator } from "../../screen/emulator_limits.ts";
import { followColors } from "./colors.ts";
import { allowStyles } from "./csp.ts";
import { checkServer, socketUrl } from "./api.ts";
import { openSocket } from "./socket.ts";
import type { Terminal } from "./xterm.ts";

/** How a terminal or a log is connected. */
export type Connection =
  | { readonly is: "connecting" | "live" | "looking" | "lost" | "refused" }
  | { readonly is: "ended" }
  | { readonly is: "failed"; readonly message: string };

/** What to show, and whom to tell. */
export interface TerminalOptions {
  readonly id: string;
  readonly born: string;
  /** Nobody can type here. */
  readonly readOnly: boolean;
  /** Looks only, until something is typed. */
  readonly look: boolean;
  readonly fontSize: number;
  readonly screenReader: boolean;
  onConnection(connection: Connection): void;
  /** The address of the link under the pointer; `null` if there is none. */
  onLink(address: string | null): void;
  /** A link was chosen: it is to be shown, and opened only if the user says so. */
  onOpenLink(address: string): void;
  /** Changes what was typed, for keys that are pressed one after the other. */
  typed(data: string): string;
}

/** A terminal in the page. */
export interface PageTerminal {
  /** Types, as the user's keyboard does. */
  input(data: string): void;
  /** Pastes; a program that asked for it is told that this is a paste. */
  paste(text: string): void;
  /** Whether the program wants the cursor keys in their application form. */
  readonly hasApplicationKeys: boolean;
  focus(): void;
  /** Shows or hides a phone's keyboard. */
  toggleKeyboard(): void;
  setFontSize(pixels: number): void;
  setScreenReader(isOn: boolean): void;
  /** Only look, and leave the window its size; or take it over. */
  setLook(look: boolean): void;
  /** Connects anew. */
  reconnect(): void;
  dispose(): void;
}

/** Output that may wait to be drawn, in bytes; beyond, the connection pauses. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** Lines above the screen that can be scrolled back to. */
const SCROLLBACK = 1000;
/** What may be typed until a session is taken over, in UTF-16 units. */
const MAX_HELD_LENGTH = 64 * 1024;
/** Sizes come in storms, when a window is dragged or a phone's keyboard slides in. */
const FIT_AFTER_MS = 60;
/** Attaching draws for so long, at first. */
const FIRST_DRAW_MS = 300;
/** What a mouse, a finger or the focus makes a terminal send. It takes nothing over. */
// deno-lint-ignore no-control-regex
const POINTING = /^\x1b\[(?:<|M|[IO]$)/;
/** Around the text; session.css has it, too. */
const PADDING_PX = 6;
const RESET = "\x1bc";
const HIDE_CURSOR = "\x1b[?25l";

const encoder = new TextEncoder();

/**
 * Shows a terminal in an element, which gives it its size and its font.
 *
 * @throws {ApiError} The page's server has gone.
 */
export async function showTerminal(
  host: HTMLElement,
  options: TerminalOptions,
): Promise<PageTerminal> {
  // xterm.js comes now: from nobody else.
  await checkServer();
  allowStyles();
  const [{ Terminal, FitAddon, Unicode11Addon }] = await Promise.all([
    import("./xterm.ts"),
    loadStyles(),
  ]);
  const { id, born, readOnly } = options;
  const over = new AbortController();
  const { signal } = over;
  const terminal = new Terminal({
    allowProposedApi: true,
    disableStdin: true,
    fontFamily: getComputedStyle(host).fontFamily,
    fontSize: options.fontSize,
    linkHandler: {
      activate(event, uri) {
        const address = addressOf(uri);
        if (address === null) return;
        // The pointer has shown it.
        if (event.ctrlKey || event.metaKey) openAddress(address);
        else options.onOpenLink(address);
      },
      hover: (_event, uri) => options.onLink(addressOf(uri)),
      leave: () => options.onLink(null),
    },
    logLevel: "off",
    macOptionClickForcesSelection: true,
    screenReaderMode: options.screenReader,
    scrollback: SCROLLBACK,
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  limitEmulator(terminal, SCROLLBACK);
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(host);
  terminal.textarea!.setAttribute("aria-label", `Terminal of ${id}`);
  followColors((theme, isDark) => {
    terminal.options.theme = theme;
    // Most programs choose their colours for a dark terminal.
    terminal.options.minimumContrastRatio = isDark ? 1 : 4.5;
  }, signal);
  fit.fit();

  let look = readOnly || options.look;
  /** Typed while a session is taken over; `null` at other times. */
  let held: string | null = null;
  let waitingBytes = 0;
  let isBehind = false;
  let isFirst = true;
  let isLastScreen = false;

  const socket = openSocket({
    url: () =>
      socketUrl("api/attach", {
        ...{ id, born, columns: terminal.cols, rows: terminal.rows },
        look: look ? "1" : undefined,
      }),
    onOpen() {
      isFirst = true;
      // It may have changed since.
      if (!look) tellSize();
      if (held !== null) socket.send(encoder.encode(held));
      held = null;
    },
    onBytes: draw,
    onMessage({ type, columns, rows }) {
      if (type === "end") end();
      else if (type === "size" && look) {
        terminal.resize(Number(columns), Number(rows));
      }
    },
    onLost(isRefused) {
      stopTyping();
      if (isLastScreen) return;
      options.onConnection({ is: isRefused ? "refused" : "lost" });
    },
    onError(_code, message) {
      stopTyping();
      // It was deleted as soon as it ended: its screen is still here.
      if (!isLastScreen) options.onConnection({ is: "failed", message });
    },
  });

  function draw(bytes: Uint8Array): void {
    if (isFirst) {
      isFirst = false;
      // Attaching moves a user's own screen out of the way. Here is none: no blank lines above.
      terminal.options.scrollback = 0;
      fitSoon(FIRST_DRAW_MS);
      terminal.write(RESET);
      if (!isLastScreen) {
        terminal.options.disableStdin = readOnly;
        options.onConnection({ is: look ? "looking" : "live" });
      }
    }
    waitingBytes += bytes.length;
    terminal.write(bytes, () => {
      waitingBytes -= bytes.length;
      if (look) picture.follow();
      catchUp();
    });
    if (waitingBytes > MAX_WAITING_BYTES) {
      isBehind = true;
      socket.pause();
    }
  }

  /** A tab that sleeps draws next to nothing. Once it has, and somebody looks, the screen comes anew. */
  function catchUp(): void {
    if (!isBehind || waitingBytes > 0 || document.hidden) return;
    isBehind = false;
    socket.reopen();
  }

  /**
   * The session is over. Its terminal was given back like a user's own, so the last screen may be
   * gone: ask for it once.
   */
  function end(): void {
    stopTyping();
    options.onConnection({ is: "ended" });
    if (isLastScreen) return terminal.write(HIDE_CURSOR);
    isLastScreen = true;
    socket.reopen();
  }

  function stopTyping(): void {
    terminal.options.disableStdin = true;
    held = null;
  }

  function setLook(wanted: boolean): void {
    if (readOnly || wanted === look) return;
    look = wanted;
    picture.begin();
    if (!look) fit.fit();
    reconnect();
  }

  function reconnect(): void {
    isLastScreen = false;
    isBehind = false;
    options.onConnection({ is: "connecting" });
    socket.reopen();
  }

  function type(data: string): void {
    if (look) {
      if (POINTING.test(data)) return;
      setLook(false);
      held = "";
    }
    if (held === null) socket.send(encoder.encode(data));
    else held = (held + data).slice(0, MAX_HELD_LENGTH);
  }

  function tellSize(): void {
    const { cols: columns, rows } = terminal;
    socket.send(JSON.stringify({ type: "resize", columns, rows }));
  }

  let fitting: ReturnType<typeof setTimeout> | undefined;
  function fitSoon(ms = FIT_AFTER_MS): void {
    clearTimeout(fitting);
    fitting = setTimeout(() => {
      // Without lines above there is no scrollbar, for a moment only.
      terminal.options.scrollback = SCROLLBACK;
      if (look) picture.follow();
      else if (host.clientWidth > 0) fit.fit();
    }, ms);
  }

  // The program's questions are answered by the same event; only the user takes a session over.
  let isTyped = false;
  // deno-lint-ignore no-explicit-any
  (terminal as any)._core.coreService.onUserInput(() => isTyped = true);
  terminal.onData((data) => {
    const wasTyped = isTyped;
    isTyped = false;
    if (wasTyped) type(options.typed(data));
    else if (!look) socket.send(encoder.encode(data));
  });
  terminal.onBinary((data) => {
    if (!look) socket.send(Uint8Array.from(data, (c) => c.charCodeAt(0)));
  });
  terminal.onResize(() => !look && tellSize());
  terminal.attachCustomKeyEventHandler((event) => !copies(event, terminal));
  host.addEventListener("paste", (event) => {
    event.preventDefault();
    event.stopPropagation();
    paste(event.clipboardData?.getData("text/plain") ?? "");
  }, { capture: true, signal });
  scrollByFinger(host, signal);
  const picture = movePicture(host, terminal, () => look, signal);
  const observer = new ResizeObserver(() => fitSoon());
  observer.observe(host);
  document.addEventListener("visibilitychange", catchUp, { signal });

  function paste(text: string): void {
    // With ESC in it, a text could end the paste by itself and go on as if it was typed.
    if (text !== "") terminal.paste(text.replaceAll("\x1b", ""));
  }

  return {
    input: (data) => terminal.input(data),
    paste,
    get hasApplicationKeys() {
      return terminal.modes.applicationCursorKeysMode;
    },
    focus: () => terminal.focus(),
    toggleKeyboard() {
      if (document.activeElement === terminal.textarea) terminal.blur();
      else terminal.focus();
    },
    setFontSize(pixels) {
      terminal.options.fontSize = pixels;
      fitSoon();
    },
    setScreenReader(isOn) {
      terminal.options.screenReaderMode = isOn;
    },
    setLook,
    reconnect,
    dispose() {
      clearTimeout(fitting);
      observer.disconnect();
      over.abort();
      socket.close();
      terminal.dispose();
    },
  };
}

/** Opens an address in a tab that can't reach this page. */
export function openAddress(address: string): void {
  globalThis.open(address, "_blank", "noopener,noreferrer");
}

/** The address as the browser understands it, if it is one of the web. */
function addressOf(uri: string): string | null {
  const url = URL.parse(uri);
  return url?.protocol === "http:" || url?.protocol === "https:"
    ? url.href
    : null;
}

let styles: Promise<void> | undefined;

function loadStyles(): Promise<void> {
  return styles ??= new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = "xterm.css";
    // Without them it can still be read.
    link.onload = link.onerror = () => resolve();
    document.head.append(link);
  });
}

/** Ctrl+Shift+C copies what is selected: Ctrl+C is the program's. */
function copies(
  event: KeyboardEvent,
  terminal: { hasSelection(): boolean; getSelection(): string },
): boolean {
  const { type, ctrlKey, shiftKey, code } = event;
  if (!ctrlKey || !shiftKey || code !== "KeyC") return false;
  event.preventDefault();
  if (type === "keydown" && terminal.hasSelection()) {
    navigator.clipboard.writeText(terminal.getSelection()).catch(() =>
      // xterm.js puts the selection into the event of this.
      document.execCommand("copy")
    );
  }
  return true;
}

/** A picture that is larger than its place. */
interface Picture {
  /** From now on it follows the cursor, until the user moves it. */
  begin(): void;
  /** Moves it to where the cursor is, or without one to the end of the text. */
  follow(): void;
}

/**
 * Moves the picture of a terminal while it is only looked at. xterm.js makes arrow keys of a wheel where
 * nothing can be scrolled: so it never gets a wheel then, but to scroll back.
 */
function movePicture(
  host: HTMLElement,
  terminal: Terminal,
  isLooking: () => boolean,
  signal: AbortSignal,
): Picture {
  let isFollowing = true;
  host.addEventListener("wheel", (event) => {
    if (!isLooking()) return;
    event.preventDefault();
    const { scrollLeft, scrollTop } = host;
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 20;
    host.scrollBy(event.deltaX * pixels, event.deltaY * pixels);
    const hasMoved = scrollLeft !== host.scrollLeft ||
      scrollTop !== host.scrollTop;
    if (hasMoved) isFollowing = false;
    const { type, baseY } = terminal.buffer.active;
    const scrollsBack = type === "normal" && baseY > 0 &&
      terminal.modes.mouseTrackingMode === "none";
    if (hasMoved || !scrollsBack) event.stopPropagation();
  }, { capture: true, passive: false, signal });
  return {
    begin() {
      isFollowing = true;
      host.scrollTo(0, 0);
    },
    follow() {
      if (!isFollowing) return;
      const { height } = host.querySelector(".xterm-screen")!
        .getBoundingClientRect();
      const row = height / terminal.rows;
      const bottom = (lastRow(terminal) + 1) * row + 2 * PADDING_PX;
      const top = bottom - row - 2 * PADDING_PX;
      const { scrollTop, clientHeight } = host;
      if (bottom > scrollTop + clientHeight) {
        host.scrollTop = bottom - clientHeight;
      } else if (top < scrollTop) host.scrollTop = top;
    },
  };
}

/** The row of the cursor; if it is hidden, the last one with text. */
function lastRow(terminal: Terminal): number {
  const { active } = terminal.buffer;
  // deno-lint-ignore no-explicit-any
  const core = (terminal as any)._core;
  if (!core.coreService.isCursorHidden) {
    return active.cursorY;
  }
  for (let row = terminal.rows - 1; row > 0; row--) {
    if (active.getLine(active.baseY + row)?.translateToString(true) !== "") {
      return row;
    }
  }
  return 0;
}

/** Scrolls as a wheel does: xterm.js knows no fingers. */
function scrollByFinger(host: HTMLElement, signal: AbortSignal): void {
  let last: Touch | undefined;
  host.addEventListener("touchstart", ({ touches }) => {
    last = touches.length === 1 ? touches[0] : undefined;
  }, { passive: true, signal });
  host.addEventListener("touchmove", (event) => {
    if (last === undefined) return;
    const now = event.touches[0]!;
    const { clientX, clientY } = now;
    const deltaX = last.clientX - clientX;
    const deltaY = last.clientY - clientY;
    last = now;
    event.preventDefault();
    event.target!.dispatchEvent(
      new WheelEvent("wheel", {
        ...{ clientX, clientY, deltaX, deltaY },
        bubbles: true,
        cancelable: true,
      }),
    );
  }, { passive: false, signal });
}
