/**
 * The page's dialogs: to send, confirm, read an answer, choose a label, and the help.
 *
 * @module
 */

import type { ActionName, Row } from "../../views/row.ts";
import { messageOf } from "./api.ts";
import {
  type DialogContext,
  drafts,
  fieldOf,
  keepDraft,
  openDialog,
  submitByKey,
} from "./dialog.ts";
import { find, make } from "./dom.ts";
import { labelsOf } from "./list.ts";

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
  const { dialog, form, show, close, isHere, problem } = openDialog(
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
  const opened = openDialog("ask-dialog", async (_, isForced) => {
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
  const { dialog, close, isHere, problem } = openDialog("answer-dialog", () => {
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
  const { dialog, close } = openDialog("label-dialog", () => {
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
  const { dialog, close } = openDialog("help-dialog", () => {
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
