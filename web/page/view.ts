/**
 * The open session: what it is, what can be done with it, and below that its terminal or its log.
 *
 * @module
 */

import type { ActionName, Row } from "../../views/row.ts";
import { ageChangesIn, ageText } from "./age.ts";
import { make, setAttribute, setText } from "./dom.ts";
import { labelsOf, MARKS } from "./list.ts";
import { showSession } from "./session.ts";

/** What the view's owner gives it. */
export interface ViewContext {
  readonly readOnly: boolean;
  /** A button was pressed. */
  onAction(action: ActionName, row: Row): void;
  /** The user goes back to the list. */
  onBack(): void;
  /** The user looks for others with this label, `key=value`. */
  onLabel(label: string): void;
}

/** A session that is shown. */
export interface View {
  readonly row: Row;
  update(row: Row): void;
  focus(): void;
  dispose(): void;
}

/** The actions that have a button, in their order, with their keys. */
export const BUTTONS: readonly {
  readonly action: ActionName;
  readonly text: string;
  readonly key: string;
  readonly changes: boolean;
}[] = [
  { action: "send", text: "Send", key: "s", changes: true },
  { action: "answer", text: "Last answer", key: "a", changes: false },
  { action: "resume", text: "Resume", key: "r", changes: true },
  { action: "restart", text: "Restart", key: "R", changes: true },
  { action: "stop", text: "Stop", key: "x", changes: true },
  { action: "delete", text: "Delete", key: "d", changes: true },
];

/** The actions that have a button for the session now. */
export function actionsOf(
  row: Row,
  readOnly: boolean,
): readonly ActionName[] {
  return BUTTONS
    .filter(({ action, changes }) =>
      row.can.includes(action) && !(changes && readOnly)
    )
    .map(({ action }) => action);
}

/** Shows a session in the element. */
export function showView(
  host: HTMLElement,
  first: Row,
  context: ViewContext,
): View {
  let row = first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let filled = "";

  const back = make("button", {
    type: "button",
    class: "plain back",
    "aria-label": "Back to the list",
    text: "‹",
  });
  back.onclick = () => context.onBack();
  const name = make("button", {
    type: "button",
    class: "plain",
    "aria-expanded": "false",
    "aria-controls": "facts",
    title: "Show what it is",
    text: row.id,
  });
  name.onclick = () => {
    facts.hidden = !facts.hidden;
    fillFacts();
  };
  const state = make("span", { class: "state" });
  const age = make("span", { class: "age" });
  const command = make("span", { class: "command" });
  const title = make(
    "div",
    { class: "view-title" },
    ...[make("h2", {}, name), state, age, command],
  );
  const actions = make("div", {
    class: "actions",
    role: "group",
    "aria-label": `Actions for ${row.id}`,
  });
  const bar = make("header", { class: "view-bar" }, back, title, actions);
  const facts = make("dl", { class: "facts", id: "facts", hidden: "" });
  const place = make("div", { class: "session-host" });
  host.replaceChildren(bar, facts, place);

  document.addEventListener("visibilitychange", tick);
  fill();
  const session = showSession(place, row, {
    readOnly: context.readOnly,
  });

  return {
    get row() {
      return row;
    },
    update(next) {
      row = next;
      fill();
      session.update(row);
    },
    focus: () => session.focus(),
    dispose() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", tick);
      session.dispose();
      host.replaceChildren();
    },
  };

  function fill(): void {
    setAttribute(title, "data-tone", row.tone);
    setText(state, `${MARKS[row.tone] ?? ""} ${row.text}`);
    setText(command, row.command);
    setButtons();
    fillFacts();
    tick();
  }

  /** Changes only the buttons that have come or gone, so that the focus stays. */
  function setButtons(): void {
    const wanted = actionsOf(row, context.readOnly);
    const had = [...actions.children].map((button) =>
      (button as HTMLElement).dataset.action
    );
    if (wanted.join() === had.join()) return;
    const isFocused = actions.contains(document.activeElement);
    const old = new Map([...actions.children].map((button) => [
      (button as HTMLElement).dataset.action,
      button,
    ]));
    actions.replaceChildren(
      ...wanted.map((action) => old.get(action) ?? makeButton(action)),
    );
    if (isFocused && !actions.contains(document.activeElement)) {
      (actions.firstElementChild as HTMLElement | null)?.focus();
    }
  }

  function makeButton(action: ActionName): HTMLButtonElement {
    const { text, key } = BUTTONS.find((one) => one.action === action)!;
    const button = make("button", {
      type: "button",
      "data-action": action,
      "aria-keyshortcuts": key,
      title: `${text} (${key})`,
      text,
    });
    button.onclick = () => context.onAction(action, row);
    return button;
  }

  function fillFacts(): void {
    setAttribute(name, "aria-expanded", String(!facts.hidden));
    if (facts.hidden) return;
    const all: readonly (readonly [string, string | null, boolean?])[] = [
      ["Command", row.command, true],
      ["Directory", row.cwd, true],
      ["Agent", row.agent],
      ["Prompt", row.prompt],
      ["Title", row.title],
      ["Says", row.message],
      ["Kind", row.kind],
      ["Started", timeText(row.createdAt)],
      ["Last output", timeText(row.lastOutputAt)],
      ["Attached", row.clients === null ? null : String(row.clients)],
    ];
    // What is made again loses the focus.
    const now = JSON.stringify([all, row.labels]);
    if (now === filled) return;
    filled = now;
    const labels = labelsOf(row).map(makeLabel);
    facts.replaceChildren(
      ...all.flatMap(([term, text, isCode]) =>
        text === null || text === "" ? [] : [
          make("dt", { text: term }),
          make("dd", { text, class: isCode ? "code" : undefined }),
        ]
      ),
      ...labels.length === 0
        ? []
        : [make("dt", { text: "Labels" }), make("dd", {}, ...labels)],
    );
  }

  function makeLabel(text: string): HTMLButtonElement {
    const title = `Show sessions with ${text}`;
    const label = make("button", {
      type: "button",
      class: "label",
      text,
      title,
    });
    label.onclick = () => context.onLabel(text);
    return label;
  }

  function tick(): void {
    clearTimeout(timer);
    if (document.hidden) return;
    const ms = Date.now() - Date.parse(row.since ?? row.createdAt);
    setText(age, ageText(ms));
    timer = setTimeout(tick, ageChangesIn(ms) + 20);
  }
}

/** A time in the words of the browser's language. */
function timeText(time: string | null): string | null {
  return time === null ? null : new Date(time).toLocaleString();
}
