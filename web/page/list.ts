/**
 * The list of sessions, by urgency, each a link to it.
 *
 * An element is made once for each session and changed where its row changed. Elements out of sight
 * cost the browser nothing (`content-visibility`), so that hundreds need no scrolling of our own.
 * One link is in the order of Tab at a time; arrows go from one to the next.
 *
 * @module
 */
import {
  byUrgency,
  fits,
  type Row,
  type Tone,
  URGENCIES,
  type Urgency,
} from "../../views/row.ts";
import { ageChangesIn, ageText } from "./age.ts";
import { make, setAttribute, setText } from "./dom.ts";
import { read, remember } from "./remember.ts";

/** A sign for each colour: nobody has to tell colours apart. */
export const MARKS: Readonly<Record<Tone, string>> = {
  blocked: "!",
  error: "✕",
  working: "●",
  quiet: "○",
  warning: "▲",
  ended: "·",
};

const TITLES: Readonly<Record<Urgency, string>> = {
  blocked: "Blocked",
  error: "Error",
  working: "Working",
  idle: "Idle",
  ended: "Ended",
};

/** More ended sessions than this are folded away, if there are others. */
const MOST_ENDED = 8;
const FOLD_KEY = "ended";

/** Where to go from the link that has the focus. */
export type Step =
  | "next"
  | "previous"
  | "first"
  | "last"
  | "page-down"
  | "page-up";

/** The list. */
export interface List {
  /** All sessions anew. */
  set(rows: readonly Row[]): void;
  change(changed: readonly Row[], removed: readonly string[]): void;
  get(id: string): Row | undefined;
  rows(): readonly Row[];
  /** Shows only sessions that fit the words, and have the label (`key=value`) if it isn't `null`. */
  filter(words: string, label: string | null): void;
  /** Marks the session as the one that is open. */
  select(id: string | null): void;
  /** Moves the focus. */
  move(step: Step): void;
  focus(): void;
  /** The session that a key means: of the link that has the focus, or had it last. */
  pointed(): Row | undefined;
}

/** Who is told. */
export interface ListListener {
  /** The sessions that are on the screen now. */
  onShown(ids: readonly string[]): void;
  /** How many the filter has found; null without one. */
  onFound(count: number | null): void;
}

/** The parts of a session's element. */
interface Item {
  row: Row;
  readonly li: HTMLLIElement;
  readonly link: HTMLAnchorElement;
  readonly mark: HTMLElement;
  readonly name: HTMLElement;
  readonly about: HTMLElement;
  readonly state: HTMLElement;
  readonly line: HTMLElement;
  readonly age: HTMLElement;
}

/** A heading and its sessions. */
interface Group {
  readonly section: HTMLElement;
  readonly count: HTMLElement;
  readonly ul: HTMLUListElement;
}

/** Shows the list in the element. */
export function showList(host: HTMLElement, listener: ListListener): List {
  let rows = new Map<string, Row>();
  const items = new Map<string, Item>();
  const visible = new Set<string>();
  let words = "";
  let label: string | null = null;
  let selected: string | null = null;
  let pointed: string | null = null;
  let order: readonly string[] = [];
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lookTimer: ReturnType<typeof setTimeout> | undefined;
  let isFolded = readFold();
  let isTold = false;

  const fold = make("button", {
    type: "button",
    "aria-controls": "group-ended",
  });
  const groups = new Map(
    URGENCIES.map((urgency) => [urgency, makeGroup(urgency, fold)]),
  );
  const nothing = make("p", { class: "nothing" });
  host.append(...[...groups.values()].map(({ section }) => section), nothing);

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const id = (target as HTMLElement).dataset.id!;
      if (isIntersecting) visible.add(id);
      else visible.delete(id);
    }
    lookTimer ??= setTimeout(tellShown, 150);
    tick();
  }, { root: host, rootMargin: "100px 0px" });

  fold.addEventListener("click", () => {
    isFolded = fold.getAttribute("aria-expanded") === "true";
    remember(FOLD_KEY, isFolded ? "folded" : "open");
    draw();
  });
  host.addEventListener("focusin", ({ target }) => {
    const id = (target as HTMLElement).closest("li")?.dataset.id;
    if (id !== undefined) point(id);
  });
  document.addEventListener("visibilitychange", tick);

  return {
    set(all) {
      isTold = true;
      rows = new Map(all.map((row) => [row.id, row]));
      drawSoon();
    },
    change(changed, removed) {
      for (const id of removed) rows.delete(id);
      for (const row of changed) rows.set(row.id, row);
      drawSoon();
    },
    get: (id) => rows.get(id),
    rows: () => [...rows.values()],
    filter(text, chosen) {
      words = text;
      label = chosen;
      draw();
    },
    select(id) {
      selected = id;
      if (id !== null) point(id);
      draw();
      if (id !== null) items.get(id)?.li.scrollIntoView({ block: "nearest" });
    },
    move,
    focus() {
      items.get(pointed ?? order[0] ?? "")?.link.focus();
    },
    pointed: () => rows.get(pointed ?? ""),
  };

  /** Draws with the next picture, once for all changes until then; a tab out of sight draws later. */
  function drawSoon(): void {
    frame ||= requestAnimationFrame(draw);
  }

  function draw(): void {
    cancelAnimationFrame(frame);
    frame = 0;
    const focused = items.get(pointed ?? "")?.link === document.activeElement;
    const sorted = [...rows.values()].sort(byUrgency);
    const found = sorted.filter((row) =>
      (label === null || labelsOf(row).includes(label)) && fits(row, words)
    );
    const isOpen = isEndedOpen(sorted);
    const shown: string[] = [];
    for (const [urgency, group] of groups) {
      const all = found.filter((row) => row.urgency === urgency);
      const here = urgency === "ended" && !isOpen
        ? all.filter(({ id }) => id === selected)
        : all;
      drawGroup(group, all.length, here);
      shown.push(...here.map(({ id }) => id));
    }
    const before = order.indexOf(pointed ?? "");
    order = shown;
    setAttribute(fold, "aria-expanded", String(isOpen));
    for (const [id, { li }] of items) {
      if (rows.has(id)) continue;
      watcher.unobserve(li);
      visible.delete(id);
      items.delete(id);
    }
    keepPointed(before);
    if (focused) items.get(pointed ?? "")?.link.focus({ preventScroll: true });
    setText(nothing, rows.size > 0 ? "No session fits." : "No sessions yet.");
    nothing.hidden = found.length > 0 || !isTold;
    listener.onFound(isFiltered() ? found.length : null);
    tick();
  }

  function isFiltered(): boolean {
    return words !== "" || label !== null;
  }

  /** Ended sessions are folded away where there are many; never while the user looks for one. */
  function isEndedOpen(sorted: readonly Row[]): boolean {
    if (isFiltered()) return true;
    if (isFolded !== null) return !isFolded;
    const ended = sorted.filter(({ urgency }) => urgency === "ended").length;
    return ended <= MOST_ENDED || ended === sorted.length;
  }

  function drawGroup(
    { section, count, ul }: Group,
    total: number,
    here: readonly Row[],
  ): void {
    section.hidden = total === 0;
    setText(count, String(total));
    let at = ul.firstElementChild;
    for (const row of here) {
      const { li } = itemOf(row);
      // An element that left this place: then only it moves, not all after it.
      if (at !== li && at?.nextElementSibling === li) {
        at.remove();
        at = li;
      }
      if (at === li) at = li.nextElementSibling;
      else ul.insertBefore(li, at);
    }
    while (at !== null) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
  }

  function itemOf(row: Row): Item {
    let item = items.get(row.id);
    if (item === undefined) {
      item = makeItem(row);
      items.set(row.id, item);
      watcher.observe(item.li);
      fill(item);
    } else if (item.row !== row) {
      item.row = row;
      fill(item);
    }
    setAttribute(
      item.link,
      "aria-current",
      row.id === selected ? "page" : null,
    );
    return item;
  }

  /** Keeps one link in the order of Tab: the same, or the one that took its place. */
  function keepPointed(before: number): void {
    if (pointed !== null && order.includes(pointed)) return point(pointed);
    const id = order[Math.max(0, Math.min(before, order.length - 1))];
    if (id !== undefined) point(id);
  }

  function point(id: string): void {
    if (pointed !== null) {
      items.get(pointed)?.link.setAttribute("tabindex", "-1");
    }
    pointed = id;
    items.get(id)?.link.setAttribute("tabindex", "0");
  }

  function move(step: Step): void {
    const at = pointed === null ? -1 : order.indexOf(pointed);
    const isFocused = host.contains(document.activeElement);
    const page = Math.max(1, Math.floor(host.clientHeight / 46) - 1);
    const to = {
      // The first key only shows where one is.
      next: isFocused ? at + 1 : at,
      previous: isFocused ? at - 1 : at,
      first: 0,
      last: order.length - 1,
      "page-down": at + page,
      "page-up": at - page,
    }[step];
    const id = order[Math.max(0, Math.min(order.length - 1, to))];
    if (id === undefined) return;
    items.get(id)!.link.focus();
    items.get(id)!.li.scrollIntoView({ block: "nearest" });
  }

  /** Writes the ages, and again when the next of them changes: no timer runs without a change. */
  function tick(): void {
    clearTimeout(timer);
    if (document.hidden) return;
    const now = Date.now();
    let nextMs = Infinity;
    for (const id of visible) {
      const item = items.get(id);
      if (item === undefined) continue;
      const ms = now - Date.parse(item.row.since ?? item.row.createdAt);
      setText(item.age, ageText(ms));
      nextMs = Math.min(nextMs, ageChangesIn(ms));
    }
    if (nextMs < Infinity) timer = setTimeout(tick, nextMs + 20);
  }

  function tellShown(): void {
    lookTimer = undefined;
    listener.onShown(order.filter((id) => visible.has(id)));
  }
}

function makeGroup(urgency: Urgency, fold: HTMLButtonElement): Group {
  const id = `group-${urgency}`;
  const count = make("span", { class: "count" });
  const title = make("span", { text: TITLES[urgency], id: `${id}-title` });
  const heading = make("h2");
  if (urgency === "ended") {
    fold.append(title, " ", count);
    heading.append(fold);
  } else {
    heading.append(title, " ", count);
  }
  const ul = make("ul", { id, role: "list", "aria-labelledby": `${id}-title` });
  return { section: make("section", {}, heading, ul), count, ul };
}

function makeItem(row: Row): Item {
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  const name = make("b", { text: row.id });
  const about = make("span");
  const state = make("span", { class: "state" });
  const line = make("span");
  const age = make("span", { class: "age" });
  const link = make(
    "a",
    { class: "row", href: `#/${row.id}`, tabindex: "-1" },
    mark,
    make("span", { class: "name" }, name, " ", about),
    make("span", { class: "line" }, state, " ", line),
    age,
  );
  const li = make("li", { "data-id": row.id }, link);
  return { row, li, link, mark, name, about, state, line, age };
}

function fill({ row, link, mark, about, state, line, age }: Item): void {
  setAttribute(link, "data-tone", row.tone);
  setAttribute(link, "data-urgency", row.urgency);
  setText(mark, MARKS[row.tone]);
  setText(about, aboutOf(row));
  setText(state, row.text);
  setText(
    line,
    row.line === row.text || row.text.endsWith(row.line) ? "" : row.line,
  );
  setText(age, ageText(Date.now() - Date.parse(row.since ?? row.createdAt)));
}

/** What tells sessions apart at a glance: the agent or the program, and the labels. */
function aboutOf({ agent, command, labels }: Row): string {
  const program = agent ?? command.split(" ")[0]!.replace(/.*\//, "");
  return [program, ...labelsOf({ labels })].join(" · ");
}

/** The labels of a session, each as `key=value`. */
export function labelsOf({ labels }: Pick<Row, "labels">): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

function readFold(): boolean | null {
  const value = read(FOLD_KEY);
  return value === null ? null : value === "folded";
}
