/**
 * The keys that a phone's keyboard lacks. Pressing one neither takes the focus nor shows the keyboard.
 *
 * @module
 */
import { make } from "./dom.ts";
import type { PageTerminal } from "./terminal.ts";

/** The keys. */
export interface KeyBar {
  readonly element: HTMLElement;
  /** Makes a control character of a letter that was typed after Ctrl. */
  typed(data: string): string;
}

type Target = Pick<PageTerminal, "input" | "hasApplicationKeys">;

/** What the keys do. */
export interface KeyBarOptions {
  /** Where a key that is pressed now goes; `undefined` if it goes nowhere. */
  target(): Target | undefined;
  /** Shows or hides the phone's keyboard. */
  onKeyboard(): void;
  /** Somebody wants to paste. */
  onPaste(): void;
}

/** Keys whose text stays the same. */
const PLAIN = {
  esc: ["Esc", "Escape", "\x1b"],
  tab: ["Tab", "Tab", "\t"],
  back: ["⇧Tab", "Shift Tab", "\x1b[Z"],
  stop: ["^C", "Control C", "\x03"],
  enter: ["⏎", "Enter", "\r"],
} as const;

const ARROWS = {
  up: ["↑", "Up", "A"],
  down: ["↓", "Down", "B"],
  right: ["→", "Right", "C"],
  left: ["←", "Left", "D"],
} as const;

const REPEAT_AFTER_MS = 400;
const REPEAT_MS = 70;

/** Makes the bar. */
export function makeKeyBar(
  { target, onKeyboard, onPaste }: KeyBarOptions,
): KeyBar {
  let isCtrl = false;
  const ctrl = button(
    "Ctrl",
    "Control, for the next key",
    () => setCtrl(!isCtrl),
  );
  setCtrl(false);

  function setCtrl(isOn: boolean): void {
    isCtrl = isOn;
    ctrl.setAttribute("aria-pressed", String(isOn));
  }

  function plain(key: keyof typeof PLAIN): HTMLButtonElement {
    const [text, label, data] = PLAIN[key];
    return button(text, label, () => {
      setCtrl(false);
      target()?.input(data);
    });
  }

  function arrow(key: keyof typeof ARROWS): HTMLButtonElement {
    const [text, label, final] = ARROWS[key];
    return button(text, label, () => {
      const terminal = target();
      const form = isCtrl
        ? "\x1b[1;5"
        : terminal?.hasApplicationKeys
        ? "\x1bO"
        : "\x1b[";
      setCtrl(false);
      terminal?.input(form + final);
    }, true);
  }

  const element = make(
    "div",
    { class: "key-bar", role: "toolbar", "aria-label": "Keys" },
    ...[plain("esc"), plain("tab"), plain("back"), plain("stop")],
    ...[arrow("up"), button("Paste", "Paste", onPaste)],
    ...[ctrl, plain("enter")],
    button("⌨", "Keyboard", onKeyboard),
    ...[arrow("left"), arrow("down"), arrow("right")],
  );
  // Otherwise the press takes the focus from the terminal, and the keyboard slides away.
  element.addEventListener("pointerdown", (event) => event.preventDefault());
  element.addEventListener("mousedown", (event) => event.preventDefault());
  return {
    element,
    typed(data) {
      if (!isCtrl) return data;
      setCtrl(false);
      return controlOf(data) ?? data;
    },
  };
}

/** What a key gives together with Ctrl: `\x03` for `c`. */
function controlOf(data: string): string | undefined {
  if (data === " ") return "\0";
  const code = data.toUpperCase().charCodeAt(0);
  return data.length === 1 && code >= 0x40 && code <= 0x5f
    ? String.fromCharCode(code & 0x1f)
    : undefined;
}

function button(
  text: string,
  label: string,
  press: () => void,
  repeats = false,
): HTMLButtonElement {
  const key = make("button", { type: "button", "aria-label": label, text });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasRepeated = false;
  key.onclick = () => {
    // The finger has left: it counted already.
    if (!hasRepeated) press();
    hasRepeated = false;
  };
  if (!repeats) return key;
  const repeat = (): void => {
    hasRepeated = true;
    press();
    timer = setTimeout(repeat, REPEAT_MS);
  };
  key.addEventListener("pointerdown", () => {
    hasRepeated = false;
    timer = setTimeout(repeat, REPEAT_AFTER_MS);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"] as const) {
    key.addEventListener(end, () => clearTimeout(timer));
  }
  // A long press is no menu here.
  key.addEventListener("contextmenu", (event) => event.preventDefault());
  return key;
}
