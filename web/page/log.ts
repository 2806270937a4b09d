/**
 * A session's log, followed, with a search.
 *
 * The text is kept in runs: some kilobytes of one stream, an element each. The browser lays out only
 * the runs near the view (`content-visibility`), so a hundred thousand lines cost little; its own
 * search, selection and screen reader have all of them. Older runs go when there are too many.
 *
 * @module
 */
import { make, setText } from "./dom.ts";
import { LogSearch, type Run } from "./log_search.ts";
import { socketUrl } from "./api.ts";
import { openSocket } from "./socket.ts";
import type { Connection } from "./terminal.ts";

/** Which log, and whom to tell. */
export interface LogOptions {
  readonly id: string;
  readonly born: string;
  /** Where the search and so on go. */
  readonly tools: HTMLElement;
  /** New lines are read out. */
  readonly screenReader: boolean;
  onConnection(connection: Connection): void;
}

/** A log in the page. */
export interface PageLog {
  focus(): void;
  setScreenReader(isOn: boolean): void;
  reconnect(): void;
  dispose(): void;
}

/** A run, and how many lines it has. */
interface CountedRun extends Run {
  lines: number;
}

/** A run takes whole lines until it has this length. */
const RUN_LENGTH = 8 * 1024;
/** A longer line is broken. */
const MAX_RUN_LENGTH = 64 * 1024;
/** What is kept; older output goes. */
const MAX_LINES = 100_000;
const MAX_LENGTH = 16 * 1024 * 1024;
const LINE_EM = 1.4;
/** What a user scrolls with. */
const SCROLLING = ["wheel", "touchmove", "keydown", "pointerdown"] as const;
/** So near to its end, a log is at its end. */
const NEAR_END_PX = 24;

/** Shows a log in an element, and its tools in another one. */
export function showLog(host: HTMLElement, options: LogOptions): PageLog {
  const { id, born, tools } = options;
  const over = new AbortController();
  const { signal } = over;
  let runs: CountedRun[] = [];
  let lines = 0;
  let length = 0;
  let leftOutLines = 0;
  let skippedBytes = 0;
  let isFollowing = true;
  let isNew = true;
  let isScrolling = false;
  let scrolledAt = -Infinity;

  const leftOut = make("p", { class: "log-left-out", hidden: "" });
  const text = make("div", { class: "log-text" });
  const view = make(
    "div",
    {
      class: "log-view",
      ...{ role: "log", "aria-label": `Output of ${id}`, tabindex: "0" },
    },
    leftOut,
    text,
  );
  setScreenReader(options.screenReader);
  const follow = make("button", {
    type: "button",
    title: "Show new lines as they come",
    text: "Follow",
  });
  follow.onclick = () => setFollowing(!isFollowing);
  const search = new LogSearch({
    view,
    runs: () => runs,
    onMove() {
      scrolledAt = -Infinity;
      setFollowing(false);
    },
    signal,
  });
  tools.replaceChildren(search.element, follow);
  host.replaceChildren(view);
  setFollowing(true);

  const socket = openSocket({
    url: () => socketUrl("api/log", { id, born }),
    onOpen() {
      isNew = true;
      // There may be no output yet, and so no message.
      options.onConnection({ is: "live" });
    },
    onMessage(message) {
      if (isNew) begin();
      if (message.type === "text") {
        append(
          message.stream === "stderr" ? "stderr" : "stdout",
          String(message.text),
        );
      } else if (message.type === "skipped") skip(Number(message.bytes));
      else if (message.type === "end") options.onConnection({ is: "ended" });
    },
    onLost: (isRefused) =>
      options.onConnection({ is: isRefused ? "refused" : "lost" }),
    onError(_code, message) {
      options.onConnection({ is: "failed", message });
    },
  });

  /** The server tells the output anew. */
  function begin(): void {
    isNew = false;
    runs = [];
    lines =
      length =
      leftOutLines =
      skippedBytes =
        0;
    const { scrollTop } = view;
    text.replaceChildren();
    tellLeftOut();
    search.forget();
    if (!isFollowing) requestAnimationFrame(() => view.scrollTop = scrollTop);
  }

  function append(stream: Run["stream"], added: string): void {
    for (let rest = added; rest !== "";) {
      const run = roomFor(stream);
      const end = pieceEnd(rest, run.node.length);
      const piece = rest.slice(0, end);
      rest = rest.slice(end);
      run.node.appendData(piece);
      const count = linesIn(piece);
      run.lines += count;
      // What the browser takes for its height until it is near the view.
      const height = `auto ${(run.lines + 1) * LINE_EM}em`;
      run.element.style.setProperty("contain-intrinsic-size", height);
      lines += count;
      length += piece.length;
      search.look(run);
    }
    trim();
    search.tell();
    if (isFollowing) toEnd();
  }

  /** The last run, or a new one if that is full. */
  function roomFor(stream: Run["stream"]): CountedRun {
    const last = runs.at(-1);
    if (last?.stream === stream) {
      const { data } = last.node;
      const isFull = data.length >= MAX_RUN_LENGTH ||
        data.length >= RUN_LENGTH && data.endsWith("\n");
      if (!isFull) return last;
    }
    const node = document.createTextNode("");
    const element = make("div", { class: `run ${stream}` });
    // Not only a colour: a word for those who listen, a line at the side for those who look.
    if (stream === "stderr" && last?.stream !== "stderr") {
      element.append(make("span", { class: "unseen", text: "stderr: " }));
    }
    element.append(node);
    const run = { stream, element, node, lines: 0 };
    runs.push(run);
    text.append(element);
    search.watch(run);
    return run;
  }

  /** Lets the oldest output go. */
  function trim(): void {
    let count = 0;
    while (
      count < runs.length - 1 && (lines > MAX_LINES || length > MAX_LENGTH)
    ) {
      const run = runs[count++]!;
      lines -= run.lines;
      length -= run.node.length;
      leftOutLines += run.lines;
      search.drop(run);
      run.element.remove();
    }
    if (count === 0) return;
    runs.splice(0, count);
    tellLeftOut();
  }

  function skip(bytes: number): void {
    if (runs.length === 0) {
      skippedBytes += bytes;
      tellLeftOut();
    } else append("gap", `${sizeText(bytes)} of output left out here\n`);
  }

  function tellLeftOut(): void {
    const parts = [
      ...skippedBytes > 0 ? [sizeText(skippedBytes)] : [],
      ...leftOutLines > 0 ? [`${leftOutLines.toLocaleString("en")} lines`] : [],
    ];
    leftOut.hidden = parts.length === 0;
    setText(leftOut, `Older output is left out here: ${parts.join(" and ")}.`);
  }

  function toEnd(): void {
    if (isScrolling) return;
    isScrolling = true;
    requestAnimationFrame(() => {
      isScrolling = false;
      if (isFollowing) view.scrollTop = view.scrollHeight;
    });
  }

  function setFollowing(isOn: boolean): void {
    isFollowing = isOn;
    follow.setAttribute("aria-pressed", String(isOn));
    if (isOn) toEnd();
  }

  /** Only the user's own scrolling stops it: heights change by themselves. */
  function whenScrolled(): void {
    const below = view.scrollHeight - view.clientHeight - view.scrollTop;
    const isAtEnd = below < NEAR_END_PX;
    if (isAtEnd !== isFollowing) setFollowing(isAtEnd);
  }
  for (const name of SCROLLING) {
    view.addEventListener(name, () => scrolledAt = performance.now(), {
      passive: true,
      signal,
    });
  }
  view.addEventListener("scroll", () => {
    const isUsers = performance.now() - scrolledAt < 1000;
    if (isUsers) {
      scrolledAt = performance.now();
      whenScrolled();
    } else if (isFollowing) toEnd();
  }, { passive: true, signal });
  const observer = new ResizeObserver(() => isFollowing && toEnd());
  observer.observe(view);
  observer.observe(text);

  const press = (event: KeyboardEvent) => {
    const isField = event.target instanceof HTMLInputElement;
    if (event.key === "F3") search.move(event.shiftKey ? -1 : 1);
    else if (event.key === "/" && !isField) search.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  for (const part of [view, tools]) {
    part.addEventListener("keydown", press, { signal });
  }

  function setScreenReader(isOn: boolean): void {
    view.setAttribute("aria-live", isOn ? "polite" : "off");
  }

  return {
    focus: () => view.focus(),
    setScreenReader,
    reconnect: () => socket.reopen(),
    dispose() {
      over.abort();
      observer.disconnect();
      socket.close();
      search.forget();
      host.replaceChildren();
      tools.replaceChildren();
    },
  };
}

/** Where to cut a text that is added to so much: behind a line if it can be. */
function pieceEnd(text: string, had: number): number {
  const room = RUN_LENGTH - had;
  if (text.length <= room) return text.length;
  const end = text.indexOf("\n", Math.max(0, room - 1)) + 1;
  const most = MAX_RUN_LENGTH - had;
  if (end > 0 && end <= most) return end;
  if (text.length <= most) return text.length;
  // Not between the halves of a character.
  const code = text.charCodeAt(most - 1);
  return code >= 0xd800 && code < 0xdc00 && most > 1 ? most - 1 : most;
}

function linesIn(text: string): number {
  let count = 0;
  for (let at = -1; (at = text.indexOf("\n", at + 1)) >= 0;) count++;
  return count;
}

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const [size, unit] = bytes < 1024 ** 2
    ? [bytes / 1024, "KB"]
    : [bytes / 1024 ** 2, "MB"];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}
