/**
 * The page's dialogs: to start, send, confirm, and to read an answer.
 *
 * Each is a `<dialog>` of the page: the browser keeps the focus inside, closes it with Escape and
 * gives the focus back. What the server refuses stays in the dialog, with a way on where there is
 * one.
 *
 * @module
 */

import type { ActionName, Row } from "../../views/row.ts";
import { splitCommand } from "../../views/split_command.ts";
import { type Api, ApiError, messageOf } from "./api.ts";
import { byId, find, make } from "./dom.ts";
import { labelsOf } from "./list.ts";

/** What all dialogs need. */
export interface DialogContext {
  readonly api: Api;
  /** Tells that something was done. */
  onDone(text: string): void;
  /** Opens a session. */
  onOpen(id: string): void;
  onDeleted(id: string): void;
}

/** Tells whether a dialog is open: then keys are the dialog's. */
export function isDialogOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}

/** A dialog of the page, opened. */
interface Opened {
  readonly dialog: HTMLDialogElement;
  readonly form: HTMLFormElement;
  /** What went wrong, to read. */
  readonly problem: HTMLElement;
  /** The button that goes on in spite of it. */
  readonly force: HTMLButtonElement | null;
  /** Shows or hides the element with `data-for`. */
  show(name: string, isShown: boolean): void;
  /** Whether the user still sees it. */
  isHere(): boolean;
  close(): void;
}

/** The dialog that was opened last: what comes late for another one doesn't touch it. */
let latest: Opened | undefined;
/** After so long, a form says that it waits. */
const PATIENCE_MS = 500;

/**
 * Opens a dialog; `submit` does its work, with `force` if the user insists. What goes wrong after
 * the user has left the dialog goes to `onLate`.
 */
function open(
  id: string,
  submit: (opened: Opened, force: boolean) => Promise<void>,
  onLate: (problem: string) => void = () => {},
): Opened {
  const dialog = byId(id) as HTMLDialogElement;
  const form = find<HTMLFormElement>(dialog, "form");
  const problem = dialog.querySelector<HTMLElement>(".problem") ?? make("p");
  const force = dialog.querySelector<HTMLButtonElement>("[data-force]");
  const isHere = (): boolean => latest === opened && dialog.open;
  const opened: Opened = {
    ...{ dialog, form, problem, force, isHere },
    show(name, isShown) {
      find(form, `[data-for="${name}"]`).hidden = !isShown;
    },
    close() {
      if (isHere()) dialog.close();
    },
  };
  latest = opened;
  form.reset();
  setBusy(false);
  say("");
  form.onsubmit = (event) => {
    event.preventDefault();
    run(false);
  };
  if (force !== null) force.onclick = () => run(true);
  for (const button of dialog.querySelectorAll("[data-close]")) {
    (button as HTMLElement).onclick = opened.close;
  }
  // A press on what is behind the dialog closes it, unless something is written in it.
  dialog.onpointerdown = (event) => {
    if (event.target === dialog && !hasText(form)) opened.close();
  };
  dialog.showModal();
  return opened;

  function say(text: string, canForce = false): void {
    problem.textContent = text;
    if (force !== null) force.hidden = !canForce;
  }

  function setBusy(isBusy: boolean): void {
    form.ariaBusy = isBusy ? "true" : null;
  }

  async function run(isForced: boolean): Promise<void> {
    if (form.ariaBusy === "true") return;
    setBusy(true);
    say("");
    const timer = setTimeout(
      () => isHere() && say("Waiting for the session…"),
      PATIENCE_MS,
    );
    try {
      await submit(opened, isForced);
    } catch (error) {
      const canForce = error instanceof ApiError && !isForced &&
        FORCEABLE.includes(error.code);
      if (isHere()) say(messageOf(error), canForce);
      else onLate(messageOf(error));
    } finally {
      clearTimeout(timer);
      if (latest === opened) setBusy(false);
    }
  }
}

/** What the user may insist against: a guard has said no. */
const FORCEABLE: readonly string[] = [
  "blocked",
  "wrong_state",
  "damaged",
  "timeout",
];

function hasText(form: HTMLFormElement): boolean {
  return [...form.querySelectorAll("textarea, input")].some((field) => {
    const { value, type, hidden } = field as HTMLInputElement;
    return !hidden && type !== "checkbox" && value.trim() !== "";
  });
}

/** What was written and not sent, by what it is for. */
const drafts = new Map<string, string>();

/** Puts into a field what was written there the last time, and keeps what is written now. */
function keepDraft(field: HTMLInputElement, name: string): void {
  field.value = drafts.get(name) ?? "";
  field.oninput = () => drafts.set(name, field.value);
}

function fieldOf<Field extends HTMLElement = HTMLInputElement>(
  form: HTMLFormElement,
  name: string,
): Field {
  return form.elements.namedItem(name) as Field;
}

/** Sends a `<textarea>`'s form with Ctrl+Enter; Enter alone is a new line. */
function submitByKey(form: HTMLFormElement): void {
  form.onkeydown = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  };
}

/** An agent that is installed. */
interface Agent {
  readonly name: string;
  readonly kinds: readonly string[];
}

/** What the kinds of sessions mean, the most useful here first. */
const KINDS: readonly (readonly [kind: string, text: string])[] = [
  ["pty", "in a terminal"],
  ["exec", "to its end, without input"],
  ["repl", "with lines as input"],
];

/** The fields of what is to be started. */
const STARTED_BY = ["prompt", "command"] as const;

/** Asks what to start, and starts it. */
export async function openStart(
  { api, onDone, onOpen, home, rows }: DialogContext & {
    readonly home: string;
    readonly rows: readonly Row[];
  },
): Promise<void> {
  const { form, show, close, isHere, problem } = open(
    "start-dialog",
    async () => {
      const { id } = await api.call("start", argumentsOf(form));
      for (const name of STARTED_BY) drafts.delete(name);
      close();
      onDone(`Started ${id}.`);
      onOpen(String(id));
    },
    onDone,
  );
  const agent = fieldOf<HTMLSelectElement>(form, "agent");
  const cwd = fieldOf(form, "cwd");
  let agents: readonly Agent[] = [];
  cwd.value = home;
  for (const name of STARTED_BY) keepDraft(fieldOf(form, name), name);
  const known = new Set([home, ...rows.flatMap(({ cwd }) => cwd ?? [])]
    .filter((path) => path !== "" && !path.endsWith("…")));
  byId("directories").replaceChildren(
    ...[...known].sort().map((value) => make("option", { value })),
  );
  submitByKey(form);
  agent.onchange = choose;
  offer("");
  try {
    const answer = await api.call("agents", {});
    if (!isHere()) return;
    agents = answer.agents as readonly Agent[];
    const hasBegun = fieldOf(form, "command").value !== "";
    const first = agents.find(({ name }) => name === answer.usual) ?? agents[0];
    offer(hasBegun ? "" : first?.name ?? "");
  } catch (error) {
    if (!isHere()) return;
    problem.textContent = messageOf(error);
  }
  fieldOf(form, agent.value === "" ? "command" : "prompt").focus();

  function offer(chosen: string): void {
    agent.replaceChildren(
      ...agents.map(({ name }) => make("option", { value: name, text: name })),
      make("option", { value: "", text: "none: a command" }),
    );
    agent.value = chosen;
    choose();
  }

  function choose(): void {
    const chosen = agents.find(({ name }) => name === agent.value);
    show("prompt", chosen !== undefined);
    show("command", chosen === undefined);
    fieldOf(form, "command").required = chosen === undefined;
    fieldOf(form, "kind").replaceChildren(
      ...KINDS.filter(([kind]) => chosen?.kinds.includes(kind) ?? true)
        .map(([value, text]) => make("option", { value, text })),
    );
  }
}

/** What the form says, as the action `start` takes it. */
function argumentsOf(form: HTMLFormElement): Record<string, unknown> {
  const text = (name: string) => fieldOf(form, name).value.trim();
  const given = (name: string) => text(name) && { [name]: text(name) };
  const labels = splitCommand(text("labels")).map((pair) => {
    const at = pair.indexOf("=");
    return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
  });
  return {
    ...text("agent") === ""
      ? { command: splitCommand(text("command")) }
      : { ...given("agent"), ...given("prompt") },
    ...{ ...given("kind"), ...given("cwd"), ...given("id") },
    ...labels.length > 0 && { labels: Object.fromEntries(labels) },
  };
}

/** The keys that a form offers, by their names for the action `keys`. */
const KEYS: readonly (readonly [text: string, key: string])[] = [
  ["Enter", "enter"],
  ["Esc", "escape"],
  ["Tab", "tab"],
  ["Shift+Tab", "shift-tab"],
  ["↑", "up"],
  ["↓", "down"],
  ["Ctrl+C", "ctrl-c"],
];

/** Asks what to send to the session, and sends it. */
function openSend(row: Row, { api, onDone }: DialogContext): void {
  const { id, born } = row;
  const name = `${id} ${born}`;
  const { dialog, form, show, close, isHere, problem } = open(
    "send-dialog",
    async (_, force) => {
      const text = fieldOf(form, "text").value;
      if (text === "") throw new Error("There is no text to send.");
      const enter = fieldOf(form, "enter").checked;
      const args = { id, born, text, ...force && { force } };
      await api.call("send", row.isTerminal ? { ...args, enter } : args);
      if (drafts.get(name) === text) drafts.delete(name);
      close();
      onDone(`Sent to ${id}.`);
    },
    onDone,
  );
  find(dialog, "h2").textContent = `Send to ${id}`;
  find(dialog, ".about").textContent = row.text;
  show("enter", row.isTerminal);
  show("keys", row.can.includes("keys"));
  const said = find(dialog, "[data-said]");
  said.textContent = "";
  find(dialog, ".keys").replaceChildren(...KEYS.map(([text, key]) => {
    const button = make("button", { type: "button", text });
    button.onclick = async () => {
      try {
        await api.call("keys", { id, born, keys: [key] });
        if (!isHere()) return;
        problem.textContent = "";
        said.textContent = `Pressed ${text}.`;
      } catch (error) {
        if (!isHere()) return;
        said.textContent = "";
        problem.textContent = messageOf(error);
      }
    };
    return button;
  }));
  submitByKey(form);
  const text = fieldOf(form, "text");
  keepDraft(text, name);
  text.focus();
}

/** A question before an action. */
interface Question {
  readonly title: (id: string) => string;
  readonly text: (row: Row) => string;
  readonly button: string;
  /** The button that insists. */
  readonly force: string;
  readonly asksPrompt?: boolean;
  readonly done: (id: string) => string;
}

const QUESTIONS: Readonly<
  Record<"stop" | "delete" | "resume" | "restart", Question>
> = {
  stop: {
    title: (id) => `Stop ${id}?`,
    text: ({ text }) =>
      `Its processes end; its output stays. Its status now: ${text}.`,
    button: "Stop",
    force: "Stop anyway",
    done: (id) => `Stopped ${id}.`,
  },
  delete: {
    title: (id) => `Delete ${id}?`,
    text: ({ can, text }) =>
      `${
        can.includes("stop")
          ? `It still runs, and is stopped first. Its status now: ${text}. `
          : ""
      }Its output is deleted for good.`,
    button: "Delete",
    force: "Stop and delete",
    done: (id) => `Deleted ${id}.`,
  },
  resume: {
    title: (id) => `Resume ${id}?`,
    text: () => "A new session goes on with its conversation.",
    button: "Resume",
    force: "Resume anyway",
    asksPrompt: true,
    done: (id) => `Resumed as ${id}.`,
  },
  restart: {
    title: (id) => `Restart ${id}?`,
    text: ({ command }) => `It runs again: ${command}`,
    button: "Restart",
    force: "Restart anyway",
    done: (id) => `Restarted ${id}.`,
  },
};

/** Asks before an action, and does it. */
function ask(
  action: keyof typeof QUESTIONS,
  row: Row,
  { api, onDone, onOpen, onDeleted }: DialogContext,
): void {
  const { id, born } = row;
  const { title, text, button, force, asksPrompt = false, done } =
    QUESTIONS[action];
  // One that lives must be stopped first: the question says so.
  const mustForce = action === "delete" && row.can.includes("stop");
  const opened = open("ask-dialog", async (_, isForced) => {
    const prompt = asksPrompt ? fieldOf(form, "prompt").value.trim() : "";
    const answer = await api.call(action, {
      ...{ id, born },
      ...prompt && { prompt },
      ...(isForced || mustForce) && { force: true },
    });
    opened.close();
    const now = typeof answer.id === "string" ? answer.id : id;
    onDone(done(now));
    if (action === "delete") onDeleted(id);
    if (action === "resume" || action === "restart") onOpen(now);
  }, onDone);
  const { dialog, form, show } = opened;
  find(dialog, "h2").textContent = title(id);
  find(dialog, ".about").textContent = text(row);
  find(dialog, "[type=submit]").textContent = mustForce ? force : button;
  opened.force!.textContent = force;
  show("prompt", asksPrompt);
  submitByKey(form);
  // Not the button that does it: who believes to be typing into a terminal presses Enter soon.
  (asksPrompt ? fieldOf(form, "prompt") : find(dialog, "[data-close]")).focus();
}

/** Shows the last answer of the session's agent. */
async function openAnswer(
  { id, born }: Row,
  { api, onDone }: DialogContext,
): Promise<void> {
  const { dialog, close, isHere, problem } = open("answer-dialog", () => {
    close();
    return Promise.resolve();
  });
  const about = find(dialog, ".about");
  const answer = find(dialog, ".answer");
  const copy = find<HTMLButtonElement>(dialog, "[data-copy]");
  find(dialog, "h2").textContent = `Last answer of ${id}`;
  about.textContent = "Reading…";
  answer.textContent = "";
  answer.hidden = copy.hidden = true;
  try {
    const { text, lastTurn, isCut } = await api.call("answer", { id, born });
    if (!isHere()) return;
    if (typeof text !== "string" || text === "") {
      about.textContent = "It has given no answer yet.";
      return;
    }
    const { state } = (lastTurn ?? {}) as { readonly state?: string };
    about.textContent = [
      ...state === undefined || state === "done"
        ? []
        : [`Its last turn: ${state}. This is the answer before it.`],
      ...isCut ? ["Only the beginning is shown."] : [],
    ].join(" ");
    answer.textContent = text;
    answer.hidden = copy.hidden = false;
    copy.onclick = async () => {
      await navigator.clipboard.writeText(text);
      onDone("Copied.");
    };
    answer.focus();
  } catch (error) {
    if (!isHere()) return;
    about.textContent = "";
    problem.textContent = messageOf(error);
  }
}

/** Offers the labels of all sessions, and none: `null`. */
export function openLabels(
  rows: readonly Row[],
  onChoose: (label: string | null) => void,
): void {
  const { dialog, close } = open("label-dialog", () => {
    close();
    return Promise.resolve();
  });
  const counts = new Map<string, number>();
  for (const label of rows.flatMap(labelsOf)) {
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const choice = (label: string | null, text: string) => {
    const button = make("button", { type: "button", text });
    button.onclick = () => {
      close();
      onChoose(label);
    };
    return button;
  };
  const buttons = [...counts].sort().map(([label, count]) =>
    choice(label, `${label} (${count})`)
  );
  if (buttons.length > 0) buttons.push(choice(null, "All sessions"));
  find(dialog, ".choices").replaceChildren(
    ...buttons.length > 0
      ? buttons
      : [make("p", { class: "about", text: "No session has a label." })],
  );
  buttons[0]?.focus();
  find(dialog, ".choices").onkeydown = (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
  };
}

const STEPS: Readonly<Record<string, number>> = {
  ...{ ArrowDown: 1, ArrowRight: 1, j: 1 },
  ...{ ArrowUp: -1, ArrowLeft: -1, k: -1 },
};

/** Shows the keys. */
export function openHelp(
  keys: readonly (readonly [keys: readonly string[], text: string])[],
): void {
  const { dialog, close } = open("help-dialog", () => {
    close();
    return Promise.resolve();
  });
  find(dialog, ".help").replaceChildren(...keys.flatMap(([names, text]) => [
    make(
      "dt",
      {},
      ...names.flatMap((name, i) => [
        ...i > 0 ? [" "] : [],
        make("kbd", { text: name }),
      ]),
    ),
    make("dd", { text }),
  ]));
  find(dialog, "[type=submit]").focus();
}

/** What has a dialog of its own. */
export function openFor(
  action: ActionName,
  row: Row,
  context: DialogContext,
): void {
  switch (action) {
    case "send":
      return openSend(row, context);
    case "answer":
      openAnswer(row, context);
      return;
    case "stop":
    case "delete":
    case "resume":
    case "restart":
      return ask(action, row, context);
  }
}
