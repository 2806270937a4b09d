/**
 * The page in the browser: the list of sessions beside the one that is open.
 *
 * The URL's hash names the open session, so that reloading keeps it and the back button leaves it.
 * All state is the server's; what is kept here is how it looks.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";
import { api, SERVER_GONE } from "./api.ts";
import { type DialogContext, isDialogOpen } from "./dialog.ts";
import { openFor, openHelp, openLabels } from "./dialogs.ts";
import { byId, make, setText } from "./dom.ts";
import { showList, type Step } from "./list.ts";
import { forgetNotification, notify, offerNotifications } from "./notify.ts";
import { read, remember } from "./remember.ts";
import { connectRows, type Hello, type RowsConnection } from "./rows.ts";
import { openStart } from "./start_dialog.ts";
import { actionsOf, BUTTONS, showView, type View } from "./view.ts";

/** How long a word on what was done stays. */
const NOTICE_MS = 4000;
/** How long a connection may be lost before the page says so: most come back at once. */
const PATIENCE_MS = 700;

const host = byId("view");
const filter = byId("filter") as HTMLInputElement;
const announcer = byId("announcer");

let hello: Hello | null = null;
/** The label that sessions must have to be listed, `key=value`; null without one. */
let label: string | null = null;
let isListed = false;
/** The session that was started here a moment ago: the list may not have it yet. */
let expected: string | null = null;
let view: View | null = null;
let noticeTimer: ReturnType<typeof setTimeout> | undefined;
let lostTimer: ReturnType<typeof setTimeout> | undefined;

const list = showList(byId("list"), {
  onShown: (ids) => rows.look(withOpen(ids)),
  onFound(count) {
    setText(
      byId("found"),
      count === null ? "" : count === 1 ? "1 session" : `${count} sessions`,
    );
  },
});
const rows = connectRows({
  onConnection: showConnection,
  onHello(next) {
    hello = next;
    byId("where").textContent = next.root;
    byId("read-only").hidden = !next.readOnly;
    byId("new").hidden = next.readOnly;
  },
  onRows(all) {
    tellBlocked(all);
    list.set(all);
    const isFirst = !isListed;
    isListed = true;
    afterChange();
    if (isFirst) requestAnimationFrame(focusFirst);
  },
  onChange(changed, removed) {
    tellBlocked(changed);
    for (const id of removed) forgetNotification(id);
    list.change(changed, removed);
    afterChange();
  },
});

showTheme(read("theme"));
offerNotifications(byId("notify"), say);
// An entry of the history says whether the one before it is the list.
if (history.state === null) history.replaceState({ fromList: false }, "");
route();

addEventListener("hashchange", ({ oldURL }) => {
  if (history.state === null) {
    const fromList = idIn(new URL(oldURL).hash) === null;
    history.replaceState({ fromList }, "");
  }
  route();
  if (openId() === null) list.focus();
  else focusOpened();
});
filter.addEventListener("input", () => list.filter(filter.value, label));
byId("label").addEventListener("click", () => {
  setLabel(null);
  list.focus();
});
filter.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    setFilter("");
    list.focus();
  } else if (event.key === "Enter" || event.key === "ArrowDown") {
    list.move("first");
  } else {
    return;
  }
  event.preventDefault();
});
byId("new").addEventListener("click", start);
byId("reconnect").addEventListener("click", () => rows.retry());
byId("theme").addEventListener("click", changeTheme);
byId("help").addEventListener("click", help);
byId("list").addEventListener("click", (event) => {
  // A press on the session that is open changes no hash.
  const link = (event.target as Element).closest("a");
  if (link?.hash === location.hash) focusOpened();
});
document.addEventListener("keydown", leaveByKey, { capture: true });
document.addEventListener("keydown", takeKey);

// The session that is open

function idIn(hash: string): string | null {
  return /^#\/([\w-]{1,64})$/.exec(hash)?.[1] ?? null;
}

function openId(): string | null {
  return idIn(location.hash);
}

function openSession(id: string): void {
  expected = id;
  if (openId() === id) update();
  else location.hash = `#/${id}`;
}

/** Back to the list, as the browser's back button does it. */
function leave(): void {
  if (openId() === null) return list.focus();
  if (history.state?.fromList) return history.back();
  history.pushState({ fromList: false }, "", "#/");
  route();
  list.focus();
}

/** Shows what the hash names. */
function route(): void {
  const id = openId();
  document.body.toggleAttribute("data-open", id !== null);
  list.select(id);
  update();
  showTitle();
}

/** Shows the open session as it is now. */
function update(): void {
  const id = openId();
  const row = id === null ? undefined : list.get(id);
  if (row === undefined) return showNone(id);
  if (view?.row.id === row.id && view.row.born === row.born) {
    if (view.row !== row) view.update(row);
    return;
  }
  closeView();
  host.setAttribute("aria-label", `Session ${row.id}`);
  view = showView(host, row, {
    readOnly: hello?.readOnly ?? true,
    onAction: (action, row) => openFor(action, row, context()),
    onBack: leave,
    onLabel(label) {
      if (isNarrow()) leave();
      setLabel(label);
    },
  });
  if (row.id !== expected) return;
  expected = null;
  focusOpened();
}

function closeView(): void {
  view?.dispose();
  view = null;
}

function showNone(id: string | null): void {
  const isGone = id !== null && isListed && id !== expected;
  const text = isGone
    ? `There is no session ${id}. It may have been deleted.`
    : id !== null
    ? "Loading…"
    : "Choose a session.";
  closeView();
  host.setAttribute("aria-label", "No session is open");
  const back = make("button", { type: "button", text: "Back to the list" });
  back.onclick = leave;
  host.replaceChildren(
    make(
      "div",
      { class: "empty" },
      make("p", { text }),
      ...isGone ? [back] : id === null ? [hint()] : [],
    ),
  );
}

function hint(): HTMLElement {
  const key = (name: string) => make("kbd", { text: name });
  return make(
    "p",
    {},
    ...[key("j"), " ", key("k"), " to move, ", key("Enter"), " to open, "],
    ...[key("?"), " for all keys"],
  );
}

/** Whether there is room for the list or the session only. */
function isNarrow(): boolean {
  return matchMedia(
    "(max-width: 700px), (max-width: 950px) and (max-height: 500px)",
  ).matches;
}

/** Puts the focus on the first session, if the user is nowhere yet: Enter opens it. */
function focusFirst(): void {
  if (document.activeElement !== document.body || openId() !== null) return;
  if (!matchMedia("(pointer: coarse)").matches) list.focus();
}

/** Puts the focus where the user works now. Fingers would only get a keyboard that they didn't ask for. */
function focusOpened(): void {
  if (view === null || matchMedia("(pointer: coarse)").matches) return;
  view.focus();
}

function withOpen(ids: readonly string[]): readonly string[] {
  const id = openId();
  return id === null || ids.includes(id) ? ids : [id, ...ids];
}

// What changes

function afterChange(): void {
  update();
  showTitle();
}

/** Tells, by voice and by notification, which sessions have begun to wait for their user. */
function tellBlocked(changed: readonly Row[]): void {
  const told: string[] = [];
  for (const row of changed) {
    const before = list.get(row.id);
    if (row.urgency !== "blocked") {
      forgetNotification(row.id);
    } else if (isListed && before?.urgency !== "blocked") {
      notify(row);
      told.push(`${row.id} is ${row.text}`);
    }
  }
  if (told.length > 0) announcer.textContent = told.join(". ");
}

function showTitle(): void {
  const blocked = list.rows().filter(({ urgency }) => urgency === "blocked");
  const count = blocked.length > 0 ? `(${blocked.length}) ` : "";
  const id = openId();
  document.title = `${count}${id === null ? "" : `${id} – `}codex-session`;
}

function showConnection(connection: RowsConnection): void {
  clearTimeout(lostTimer);
  const text = {
    open: "",
    lost: "Connection lost, trying again…",
    refused: SERVER_GONE,
  }[connection];
  const show = () => {
    setText(byId("connection"), text);
    byId("reconnect").hidden = text === "";
    document.body.toggleAttribute("data-offline", text !== "");
  };
  if (connection === "lost") lostTimer = setTimeout(show, PATIENCE_MS);
  else show();
}

/** A word on what was done. */
function say(text: string): void {
  clearTimeout(noticeTimer);
  byId("notice").textContent = text;
  noticeTimer = setTimeout(() => byId("notice").textContent = "", NOTICE_MS);
}

// What the user does

function context(): DialogContext {
  return {
    ...{ api, onDone: say, onOpen: openSession },
    onDeleted(id) {
      if (openId() === id) leave();
      // It went while its dialog was open: the browser has nothing to give the focus back to.
      else if (document.activeElement?.matches("body, dialog *")) list.focus();
    },
  };
}

function start(): void {
  if (hello === null) return;
  if (hello.readOnly) return say("New: this page can only look.");
  openStart({ ...context(), home: hello.home, rows: list.rows() });
}

function setFilter(words: string): void {
  filter.value = words;
  list.filter(words, label);
}

function setLabel(chosen: string | null): void {
  label = chosen;
  byId("label").hidden = label === null;
  setText(byId("label"), `${label} ✕`);
  list.filter(filter.value, label);
}

function focusFilter(): void {
  if (isNarrow() && openId() !== null) leave();
  filter.focus();
  filter.select();
}

/** Light, dark, as the system has it, in turns. */
function changeTheme(): void {
  const themes = [null, "light", "dark"];
  const now = document.documentElement.dataset.theme ?? null;
  const next = themes[(themes.indexOf(now) + 1) % themes.length]!;
  remember("theme", next);
  showTheme(next);
}

function showTheme(theme: string | null): void {
  const isChosen = theme === "light" || theme === "dark";
  if (isChosen) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  const label = `Colours: ${isChosen ? theme : "as the system has them"}`;
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
}

// Keys

const STEPS: Readonly<Record<string, Step>> = {
  ArrowDown: "next",
  j: "next",
  ArrowUp: "previous",
  k: "previous",
  Home: "first",
  g: "first",
  End: "last",
  G: "last",
  PageDown: "page-down",
  PageUp: "page-up",
};

function help(): void {
  const mayChange = hello?.readOnly === false;
  const actions = BUTTONS.filter(({ changes }) => mayChange || !changes);
  openHelp([
    [["↑", "↓", "j", "k"], "Move in the list"],
    [["g", "G", "Home", "End"], "The first, the last"],
    [["PgUp", "PgDn"], "A page up, down"],
    [["Enter"], "Open the session"],
    [["Esc", "F6"], "Back to the list"],
    [["/"], "Filter; in a log, search"],
    [["l"], "Filter by label"],
    ...mayChange ? [[["n"], "New session"] as const] : [],
    ...actions.map(({ key, text }) => [[key], text] as const),
    [["Ctrl+Shift+C"], "Copy what is selected in a terminal"],
    [["?"], "This help"],
  ]);
}

/** The way out of a terminal, which takes all other keys. */
function leaveByKey(event: KeyboardEvent): void {
  if (isDialogOpen()) return;
  const isInView = host.contains(event.target as Node);
  const isDetach = event.ctrlKey && event.key === "\\" && isInView;
  if (!isDetach && event.key !== "F6") return;
  event.preventDefault();
  event.stopPropagation();
  if (!isInView) return focusOpened();
  if (isNarrow()) leave();
  else list.focus();
}

function takeKey(event: KeyboardEvent): void {
  const { key, ctrlKey, metaKey, altKey } = event;
  if (event.defaultPrevented || ctrlKey || metaKey || altKey) return;
  if (isDialogOpen() || isTyping(event.target as Element)) return;
  const inView = host.contains(event.target as Node);
  const step = STEPS[key];
  const button = BUTTONS.find((one) => one.key === key);
  if (step !== undefined && !(inView && key.length > 1)) {
    list.move(step);
  } else if (button !== undefined) {
    const inList = byId("list").contains(event.target as Node);
    const row = inList ? list.pointed() : view?.row ?? list.pointed();
    if (row === undefined) return;
    if (!actionsOf(row, hello?.readOnly ?? true).includes(button.action)) {
      return say(`${button.text}: ${whyNot(button, row)}.`);
    }
    openFor(button.action, row, context());
  } else if (key === "/") {
    focusFilter();
  } else if (key === "l") {
    openLabels(list.rows(), setLabel);
  } else if (key === "n") {
    start();
  } else if (key === "?") {
    help();
  } else if (key === "Escape") {
    if (inView && !isNarrow()) list.focus();
    else if (openId() !== null) leave();
    else if (filter.value !== "" || label !== null) {
      setFilter("");
      setLabel(null);
    }
  } else {
    return;
  }
  event.preventDefault();
}

/** Why there is no such button for the session. */
function whyNot(
  { action, changes }: typeof BUTTONS[number],
  { id, agent, text, urgency }: Row,
): string {
  if (changes && hello?.readOnly !== false) return "this page can only look";
  const isOver = urgency === "ended";
  if (action === "answer" || action === "resume" && isOver) {
    return agent === null
      ? `${id} has no agent`
      : `${id} has no conversation that is known`;
  }
  if (action === "send" && !isOver) return `${id} takes no input`;
  return isOver ? `${id} is over: ${text}` : `${id} is running`;
}

/** Whether the keys are a field's or a terminal's. */
function isTyping(target: Element): boolean {
  return target.closest("input, textarea, select, .xterm") !== null;
}
