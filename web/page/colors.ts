/**
 * The colours of the terminal: for a light and for a dark page.
 *
 * @module
 */
import type { ITheme } from "./xterm.ts";

const LIGHT: ITheme = {
  background: "#ffffff",
  foreground: "#1b1f27",
  cursor: "#0b6bcb",
  cursorAccent: "#ffffff",
  selectionBackground: "#b6d4f7",
  black: "#1b1f27",
  red: "#b3261e",
  green: "#1a7f37",
  yellow: "#8a5a00",
  blue: "#0b5cad",
  magenta: "#8f2a8c",
  cyan: "#0f6f7c",
  white: "#6a7385",
  brightBlack: "#586174",
  brightRed: "#d0342c",
  brightGreen: "#1f9943",
  brightYellow: "#a36d00",
  brightBlue: "#1673d6",
  brightMagenta: "#ab3aa7",
  brightCyan: "#14899a",
  brightWhite: "#3b4252",
};

const DARK: ITheme = {
  background: "#16181d",
  foreground: "#e4e7ec",
  cursor: "#6cb2ff",
  cursorAccent: "#16181d",
  selectionBackground: "#37507a",
  black: "#2c313a",
  red: "#ff7b72",
  green: "#5fd17f",
  yellow: "#e3b341",
  blue: "#6cb2ff",
  magenta: "#e08ae0",
  cyan: "#56c8d8",
  white: "#c9cfd9",
  brightBlack: "#7d8696",
  brightRed: "#ffa198",
  brightGreen: "#8be9a4",
  brightYellow: "#f2cc60",
  brightBlue: "#9ecbff",
  brightMagenta: "#f2b3f2",
  brightCyan: "#8adfeb",
  brightWhite: "#ffffff",
};

/** Tells the colours that fit the page now, and whenever that changes. */
export function followColors(
  set: (theme: ITheme, isDark: boolean) => void,
  signal: AbortSignal,
): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const tell = () => {
    const isDark = root.dataset.theme === undefined
      ? system.matches
      : root.dataset.theme === "dark";
    set(isDark ? DARK : LIGHT, isDark);
  };
  system.addEventListener("change", tell, { signal });
  const observer = new MutationObserver(tell);
  observer.observe(root, { attributeFilter: ["data-theme"] });
  signal.addEventListener("abort", () => observer.disconnect());
  tell();
}
