/**
 * The search in a log: all matches counted, those in view marked, one of them the current one.
 *
 * Matches are found run by run, so new output costs only itself, and are marked by highlights
 * (`CSS.highlights`): the text's elements stay as they are. A browser without them selects the
 * current match.
 *
 * @module
 */
import { make, setText } from "./dom.ts";

/** A part of the output. */
export interface Run {
  readonly stream: "stdout" | "stderr" | "gap";
  readonly element: HTMLElement;
  readonly node: Text;
}

/** The log that is searched. */
export interface LogSearchOptions {
  /** The element that scrolls. */
  readonly view: HTMLElement;
  /** The output, the oldest first. */
  runs(): readonly Run[];
  /** The search shows a match: the log must not scroll away. */
  onMove(): void;
  readonly signal: AbortSignal;
}

/** One match. */
interface Match {
  readonly run: Run;
  readonly start: number;
  readonly length: number;
}

/** Typing goes on for so long, in milliseconds. */
const PAUSE_MS = 150;
/** Highlights of more matches would slow the browser down. */
const MAX_MARKED = 2000;
const MARKED = "log-match";
const CURRENT = "log-current";

/** A search. */
export class LogSearch {
  /** The field and its buttons. */
  readonly element: HTMLElement;
  readonly #options: LogSearchOptions;
  readonly #field: HTMLInputElement;
  readonly #count: HTMLElement;
  readonly #observer: IntersectionObserver;
  readonly #visible = new Set<Run>();
  readonly #runOf = new WeakMap<Element, Run>();
  #found = new Map<Run, readonly (readonly [start: number, end: number])[]>();
  #total = 0;
  #pattern: RegExp | null = null;
  #current: Match | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isMarkDue = false;

  constructor(options: LogSearchOptions) {
    this.#options = options;
    this.#field = make("input", {
      type: "search",
      placeholder: "Search the output",
      "aria-label": "Search the output",
      "aria-keyshortcuts": "/",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      enterkeyhint: "search",
    });
    this.#count = make("span", { class: "log-count", role: "status" });
    this.element = make(
      "div",
      { class: "log-search", role: "search" },
      this.#field,
      this.#count,
      this.#button("↑", "Previous match (Shift+Enter)", -1),
      this.#button("↓", "Next match (Enter)", 1),
    );
    this.#field.oninput = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#start(), PAUSE_MS);
    };
    this.#field.onkeydown = (event) => this.#press(event);
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const run = this.#runOf.get(target)!;
        if (isIntersecting) this.#visible.add(run);
        else this.#visible.delete(run);
      }
      this.#markSoon();
    }, { root: options.view, rootMargin: "300px 0px" });
    options.signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      this.#observer.disconnect();
      this.forget();
    });
  }

  focus(): void {
    this.#field.focus();
    this.#field.select();
  }

  /** There is a new run. */
  watch(run: Run): void {
    this.#runOf.set(run.element, run);
    this.#observer.observe(run.element);
  }

  /** A run is dropped. */
  drop(run: Run): void {
    this.#observer.unobserve(run.element);
    this.#visible.delete(run);
    this.#total -= this.#found.get(run)?.length ?? 0;
    this.#found.delete(run);
    if (this.#current?.run === run) this.#current = null;
  }

  /** All of them are dropped. */
  forget(): void {
    this.#observer.disconnect();
    this.#visible.clear();
    this.#found.clear();
    this.#total = 0;
    this.#current = null;
    this.#mark();
    this.tell();
  }

  /** A run has grown. */
  look(run: Run): void {
    if (this.#pattern === null || run.stream === "gap") return;
    const found = [...run.node.data.matchAll(this.#pattern)]
      .map((match) => [match.index, match.index + match[0].length] as const);
    this.#total += found.length - (this.#found.get(run)?.length ?? 0);
    if (found.length > 0) this.#found.set(run, found);
    else this.#found.delete(run);
    if (this.#visible.has(run)) this.#markSoon();
  }

  /** Says how many there are, and which one it is. */
  tell(): void {
    const total = this.#total.toLocaleString("en");
    const text = this.#pattern === null
      ? ""
      : this.#total === 0
      ? "None"
      : this.#current === null
      ? total
      : `${this.#numberOf(this.#current).toLocaleString("en")} of ${total}`;
    setText(this.#count, text);
  }

  /** Goes to the next match, or to the one before; from the last to the first. */
  move(step: 1 | -1): void {
    if (this.#timer !== undefined) this.#start();
    if (this.#total === 0) return;
    const next = this.#current === null
      ? this.#nearest()
      : this.#neighbour(this.#current, step);
    this.#show(next);
  }

  #button(text: string, label: string, step: 1 | -1): HTMLButtonElement {
    const button = make("button", {
      type: "button",
      "aria-label": label,
      title: label,
      text,
    });
    button.onclick = () => this.move(step);
    return button;
  }

  #press(event: KeyboardEvent): void {
    const { key, shiftKey, isComposing } = event;
    if (isComposing) return;
    if (key === "Enter") this.move(shiftKey ? -1 : 1);
    else if (key === "Escape") {
      if (this.#field.value === "") return;
      this.#field.value = "";
      this.#start();
      this.#options.view.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { value } = this.#field;
    // As editors do it: a capital letter means that case matters.
    const flags = value === value.toLowerCase() ? "giu" : "gu";
    this.#pattern = value === "" ? null : new RegExp(escaped(value), flags);
    this.#found.clear();
    this.#total = 0;
    this.#current = null;
    for (const run of this.#options.runs()) this.look(run);
    if (this.#total > 0) this.#show(this.#nearest());
    else {
      this.#mark();
      this.tell();
    }
  }

  /** The first match in view or below it, else the last one. */
  #nearest(): Match {
    const { view, runs } = this.#options;
    const top = view.getBoundingClientRect().top;
    let last: Match | null = null;
    for (const run of runs()) {
      const found = this.#found.get(run);
      if (found === undefined) continue;
      last = this.#matchAt(run, -1);
      if (run.element.getBoundingClientRect().bottom <= top) continue;
      const index = found.findIndex(([start, end]) => {
        const range = rangeOf({ run, start, length: end - start });
        return range.getBoundingClientRect().bottom > top;
      });
      if (index >= 0) return this.#matchAt(run, index);
    }
    return last!;
  }

  #matchAt(run: Run, index: number): Match {
    const [start, end] = this.#found.get(run)!.at(index)!;
    return { run, start, length: end - start };
  }

  #neighbour({ run, start }: Match, step: 1 | -1): Match {
    const index = this.#indexOf(run, start) + step;
    if (index >= 0 && index < (this.#found.get(run)?.length ?? 0)) {
      return this.#matchAt(run, index);
    }
    const runs = this.#options.runs();
    let at = runs.indexOf(run);
    do at = (at + step + runs.length) % runs.length; while (
      !this.#found.has(runs[at]!)
    );
    return this.#matchAt(runs[at]!, step === 1 ? 0 : -1);
  }

  #indexOf(run: Run, start: number): number {
    return this.#found.get(run)!.findIndex(([from]) => from >= start);
  }

  #numberOf({ run, start }: Match): number {
    let before = 0;
    for (const other of this.#options.runs()) {
      if (other === run) break;
      before += this.#found.get(other)?.length ?? 0;
    }
    return before + this.#indexOf(run, start) + 1;
  }

  #show(match: Match): void {
    this.#options.onMove();
    this.#current = match;
    this.tell();
    this.#mark();
    // The first scroll makes the browser lay out the run; only then it knows where the match is.
    match.run.element.scrollIntoView({ block: "nearest" });
    requestAnimationFrame(() => {
      const { view } = this.#options;
      const found = rangeOf(match).getBoundingClientRect();
      const { top, height } = view.getBoundingClientRect();
      const isSeen = found.top > top && found.bottom < top + height;
      if (!isSeen) view.scrollTop += found.top - top - height / 2;
      this.#mark();
    });
  }

  #markSoon(): void {
    if (this.#isMarkDue || this.#pattern === null) return;
    this.#isMarkDue = true;
    requestAnimationFrame(() => {
      this.#isMarkDue = false;
      this.#mark();
    });
  }

  #mark(): void {
    const current = this.#current === null ? [] : [rangeOf(this.#current)];
    if (!("highlights" in CSS)) {
      if (current[0] !== undefined) select(current[0]);
      return;
    }
    const ranges: Range[] = [];
    for (const run of this.#visible) {
      for (const [start, end] of this.#found.get(run) ?? []) {
        if (ranges.length >= MAX_MARKED) break;
        ranges.push(rangeOf({ run, start, length: end - start }));
      }
    }
    CSS.highlights.set(MARKED, new Highlight(...ranges));
    const mark = new Highlight(...current);
    mark.priority = 1;
    CSS.highlights.set(CURRENT, mark);
  }
}

function rangeOf({ run, start, length }: Match): Range {
  const range = document.createRange();
  range.setStart(run.node, start);
  range.setEnd(run.node, start + length);
  return range;
}

function select(range: Range): void {
  const selection = getSelection();
  selection?.removeAllRanges();
  selection?.addRange(range);
}

/** The text as a pattern that matches just that. */
function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
