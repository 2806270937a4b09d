/**
 * The keys of the dashboard, for its users: the help, and the hints in the bottom line.
 *
 * @module
 */
import { cut, widthOf } from "../cli/format.ts";
import { BOLD, fit, styled, wrap } from "./text.ts";
import { isLive } from "../store.ts";
import type { Row } from "../views/row.ts";

/** A key and what it does. */
type Hint = readonly [string, string];

const KEY_CELLS = 10;

/** The help, in rows of so many cells. */
export function helpLines(detachKeys: string, columns: number): string[] {
  const back = detachKeys === ""
    ? "no keys detach: config.json says so"
    : `${detachKeys} detaches and comes back here`;
  const keys: readonly (Hint | string)[] = [
    "The selected session",
    ["Enter", `attach to its terminal; ${back}. Others: show the log`],
    ["s", "send it text"],
    ["a", "show the last answer of its agent"],
    ["x", "stop it (asks first)"],
    ["d", "delete it and its output (asks first)"],
    ["r", "resume: go on with its conversation in a new session"],
    ["R", "restart: run its command again in a new session (asks first)"],
    "All sessions",
    ["n", "start a new session"],
    ["/", "filter: all words must match; Enter keeps it"],
    ["l", "only those with a label"],
    ["Escape", "show all again"],
    "Moving",
    ["Up Down", "also k and j: select"],
    ["PgUp PgDn", "by pages; Home and End, also g and G: first and last"],
    "The dashboard",
    ["?", "this help"],
    ["Ctrl-L", "draw everything again"],
    ["Ctrl-Z", "suspend; fg comes back"],
    ["q", "leave, also Ctrl-C; the sessions go on"],
  ];
  return keys.flatMap((entry, i) => {
    if (typeof entry === "string") {
      return [...i === 0 ? [] : [""], styled(cut(entry, columns), BOLD)];
    }
    const [key, what] = entry;
    return wrap(what, columns - KEY_CELLS - 2).map((line, i) =>
      "  " + fit(i === 0 ? key : "", KEY_CELLS) + line
    );
  });
}

/** The hints for what has the keys, the most important first. */
export function hintsFor(
  mode: string,
  { row, isNarrowed, detachKeys }: {
    readonly row: Row | undefined;
    readonly isNarrowed: boolean;
    readonly detachKeys: string;
  },
): readonly Hint[] {
  switch (mode) {
    case "form":
      return [
        ["Enter", "next, then start"],
        ["Esc", "cancel"],
        ["Tab", "field"],
        ["←→", "choose"],
      ];
    case "help":
    case "pages":
      return [["q", "back"], ["↑↓", "scroll"], ["PgUp/PgDn", "pages"]];
    case "labels":
      return [["Enter", "choose"], ["Esc", "cancel"], ["↑↓", "move"]];
  }
  const escape: readonly Hint[] = isNarrowed ? [["Esc", "all"]] : [];
  const of: readonly Hint[] = row === undefined ? [] : hintsOf(row, detachKeys);
  return [
    ["?", "help"],
    ...escape,
    ...of,
    ["n", "new"],
    ["/", "filter"],
    ["l", "label"],
    ["q", "quit"],
  ];
}

/** What can be done with a session now. */
function hintsOf(row: Row, detachKeys: string): Hint[] {
  const back = detachKeys === "" ? "" : ` (${detachKeys} detaches)`;
  const enter = isAttachable(row) ? `attach${back}` : "log";
  const known: readonly (readonly [Row["can"][number], string])[] = [
    ["send", "s"],
    ["answer", "a"],
    ["stop", "x"],
    ["resume", "r"],
    ["restart", "R"],
    ["delete", "d"],
  ];
  return [
    ["Enter", enter],
    ...known.filter(([name]) => row.can.includes(name))
      .map(([name, key]): Hint => [key, name]),
  ];
}

/** Whether Enter attaches: it runs in a terminal. */
export function isAttachable(row: Row): boolean {
  return row.isTerminal && isLive(row);
}

/** As many of the hints as there is room for. */
export function hintLine(hints: readonly Hint[], columns: number): string {
  const shown: string[] = [];
  let left = columns;
  for (const [key, what] of hints) {
    const cells = widthOf(key) + 1 + widthOf(what);
    if (cells > left) continue;
    shown.push(`${styled(key, BOLD)} ${what}`);
    left -= cells + 2;
  }
  return shown.join("  ");
}
