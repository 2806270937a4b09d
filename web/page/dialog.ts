/**
 * The frame of all dialogs: opening, sending its form, telling what went wrong, keeping drafts.
 *
 * Each is a `<dialog>` of the page: the browser keeps the focus inside, closes it with Escape and
 * gives the focus back. What the server refuses stays in the dialog, with a way on where there is
 * one.
 *
 * @module
 */

import { type Api, ApiError, messageOf } from "./api.ts";
import { byId, find, make } from "./dom.ts";

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
export function openDialog(
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
export const drafts = new Map<string, string>();

/** Puts into a field what was written there the last time, and keeps what is written now. */
export function keepDraft(field: HTMLInputElement, name: string): void {
  field.value = drafts.get(name) ?? "";
  field.oninput = () => drafts.set(name, field.value);
}

/** The field of the form with this name. */
export function fieldOf<Field extends HTMLElement = HTMLInputElement>(
  form: HTMLFormElement,
  name: string,
): Field {
  return form.elements.namedItem(name) as Field;
}

/** Sends a `<textarea>`'s form with Ctrl+Enter; Enter alone is a new line. */
export function submitByKey(form: HTMLFormElement): void {
  form.onkeydown = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  };
}
