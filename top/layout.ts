/**
 * What the dashboard looks like: from what it shows and the size of the terminal to rows of text.
 *
 * Pure: it reads no clock, no terminal and no file. Where the terminal is narrow, columns of the list are left out. A state
 * is told in words; its colour only adds to them.
 *
 * @module
 */
import { type Areas, areasOf, pageRows } from "./areas.ts";
import { cut, formatAge, widthOf } from "../cli/format.ts";
import { plainText } from "../screen/clean_text.ts";
import { choiceName, type Field, type Form } from "./form.ts";
import { helpLines, hintLine, hintsFor } from "./help.ts";
import type { Place, Size } from "./frame.ts";
import { scrollTo } from "./list.ts";
import { beside, cutStyled } from "./styled.ts";
import { BOLD, DIM, fit, REVERSE, styled, wrap } from "./text.ts";
import type { LineEditor } from "./line_editor.ts";
import type { Mode, View } from "./view.ts";
import { type Row, type Tone, URGENCIES, type Urgency } from "../views/row.ts";

/** The smallest terminal that the dashboard is drawn on. */
const SMALLEST: Size = { columns: 40, rows: 10 };
/** A last line in fewer cells tells nothing. */
const LEAST_LINE_CELLS = 16;
/** The widest text of a state, while there is something else to show. */
const TEXT_CELLS = 32;
/** It is cut to so much for a last line. */
const LEAST_TEXT_CELLS = 20;
const AGENT_CELLS = 8;
/** An id may be cut to this. */
const LEAST_ID_CELLS = 12;
/** A column is no narrower than its heading. */
const LEAST_CELLS = 6;
/** `now`, `59s`, `999d`. */
const AGE_CELLS = 4;
const MARK_CELLS = 2;
const GAP = "  ";
/** An age of so much or more is told in this unit: `59s`, `59m`, `23h`. */
const UNITS_MS = [1000, 60_000, 3_600_000] as const;

/** What takes the whole terminal. */
const WITHOUT_LIST: readonly Mode["name"][] = [
  "form",
  "help",
  "labels",
  "pages",
];

/** What to draw. */
export interface Picture {
  /** The rows of the terminal, each at most as wide. */
  readonly rows: readonly string[];
  /** Where the cursor stands, from 0; it is hidden without. */
  readonly cursor?: Place;
}

/** The picture of a view on a terminal of this size. */
export function layout(view: View, size: Size): Picture {
  const { columns, rows } = size;
  if (columns < SMALLEST.columns || rows < SMALLEST.rows) {
    const text =
      `Too small: needs ${SMALLEST.columns}x${SMALLEST.rows}; q quits`;
    return { rows: fill([cut(text, columns)], rows) };
  }
  const bottom = bottomOf(view, columns);
  const body = bodyOf(view, size);
  // A long question or error covers what is above it.
  const most = Math.floor(rows / 2);
  const lines = bottom.lines.slice(0, most);
  const kept = rows - lines.length;
  const all = [
    ...fill([headerOf(view, size), ...body.rows], kept),
    ...lines,
  ];
  const cursor = bottom.cursor === undefined
    ? body.cursor
    : { column: bottom.cursor, row: rows - 1 };
  return { rows: all, ...cursor && { cursor } };
}

/**
 * How long until ages that are listed read differently, in milliseconds; `undefined` if none is listed. All of
 * them change together, with the clock: one drawing a second while one of them is in seconds, else one a minute
 * or an hour.
 */
export function untilNextAge(view: View, size: Size): number | undefined {
  if (WITHOUT_LIST.includes(view.mode.name)) return undefined;
  const units = shownRows(view, areasOf(size))
    .filter(({ since }) => since !== null)
    .map(({ since }) => {
      const age = view.now - Date.parse(since!);
      return UNITS_MS.findLast((unit) => age >= unit) ?? UNITS_MS[0];
    });
  if (units.length === 0) return undefined;
  const unit = Math.min(...units);
  return unit - view.now % unit;
}

/** The sessions that the list shows now. */
export function shownRows(
  { list: { rows, offset } }: View,
  areas: Areas,
): Row[] {
  return rows.slice(offset, offset + areas.list.rows);
}

/** So many rows: more are left out, and missing ones are blank. */
function fill(rows: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => rows[i] ?? "");
}

const TONES: Readonly<Record<Tone, string>> = {
  blocked: "1;33",
  error: "1;31",
  working: "32",
  quiet: "",
  warning: "33",
  ended: DIM,
};

/** The attributes of a tone; without colours, only what is no colour. */
function attributesOf(tone: Tone, color: boolean): string {
  if (color) return TONES[tone];
  return tone === "blocked" || tone === "error"
    ? BOLD
    : tone === "ended"
    ? DIM
    : "";
}

const TONE_OF: Readonly<Record<Urgency, Tone>> = {
  blocked: "blocked",
  error: "error",
  working: "working",
  idle: "quiet",
  ended: "ended",
};

/** The top line: how many sessions need what, and which are listed. */
function headerOf(view: View, size: Size): string {
  const { columns, rows: height } = size;
  const { list, color, mode } = view;
  const { counts, filter, label, rows } = list;
  if (mode.name === "pages") {
    const { rows, offset, title } = mode.pages;
    const last = Math.min(rows.length, offset + height - 2);
    const place = `${last} of ${rows.length} `;
    const name = fit(` ${title}`, columns - place.length);
    return styled(name + place, REVERSE);
  }
  if (mode.name === "help") return title("Keys", columns);
  if (mode.name === "form") return title("New session", columns);
  const parts: (readonly [string, string])[] = [];
  const total = URGENCIES.reduce((sum, urgency) => sum + counts[urgency], 0);
  for (const only of view.onlyLabels) {
    parts.push([`-l ${plainText(only)}`, BOLD]);
  }
  if (label !== null) parts.push([`label ${label}`, BOLD]);
  if (filter !== "") parts.push([`/${filter}`, BOLD]);
  if (parts.length > 0) parts.push([`${rows.length} of ${total}`, BOLD]);
  for (const urgency of URGENCIES) {
    if (counts[urgency] === 0) continue;
    const attributes = attributesOf(TONE_OF[urgency], color);
    parts.push([`${counts[urgency]} ${urgency}`, attributes]);
  }
  if (rows.length > areasOf(size).list.rows) {
    parts.push([`${list.index + 1}/${rows.length}`, ""]);
  }
  const name = "codex-session";
  const needed = parts.reduce((sum, [text]) => sum + widthOf(text) + 2, 0);
  let line = "";
  let left = columns;
  if (needed + name.length <= columns) {
    line += styled(name, BOLD) + GAP;
    left -= name.length + 2;
  }
  for (const [text, attributes] of parts) {
    const short = cut(text, Math.max(12, left));
    if (widthOf(short) > left) break;
    line += styled(short, attributes) + (left > widthOf(short) + 2 ? GAP : "");
    left -= widthOf(short) + 2;
  }
  return line;
}

function title(text: string, columns: number): string {
  return styled(fit(` ${text}`, columns), REVERSE);
}

/** What stands between the top line and the bottom line. */
function bodyOf(view: View, size: Size): Picture {
  const { mode } = view;
  const { columns } = size;
  const height = pageRows(size);
  switch (mode.name) {
    case "form":
      return formOf(mode.form, size);
    case "help": {
      const lines = helpLines(view.detachKeys, columns);
      return { rows: lines.slice(mode.offset, mode.offset + height) };
    }
    case "pages": {
      const { rows, offset } = mode.pages;
      if (rows.length === 0) return { rows: [styled("Nothing yet", DIM)] };
      return {
        rows: rows.slice(offset, offset + height)
          .map((row) => cutStyled(row, columns)),
      };
    }
    case "labels":
      return { rows: labelsOf(mode, size) };
    default:
      return { rows: dashboardOf(view, size) };
  }
}

/** The list and the pane. */
function dashboardOf(view: View, size: Size): string[] {
  const areas = areasOf(size);
  const { list, pane, isWide } = areas;
  const left = listOf(view, areas);
  const row = view.list.rows[view.list.index];
  const heading = row === undefined ? "" : headingOf(row);
  const lines = view.list.pane.slice(0, pane.rows)
    .map((line) => cutStyled(line, pane.columns));
  if (!isWide) {
    const rule = heading === "" ? "" : ` ${heading} `;
    const text = cut(`──${rule}`, pane.columns);
    const rest = "─".repeat(Math.max(0, pane.columns - widthOf(text)));
    const height = list.rows + Number(areas.hasHeading);
    return [...fill(left, height), styled(text + rest, DIM), ...lines];
  }
  const right = [styled(cut(` ${heading}`, pane.columns), BOLD), ...lines];
  const border = styled("│", DIM);
  return Array.from({ length: pane.rows + 1 }, (_, i) => {
    return beside(left[i] ?? "", list.columns, border + (right[i] ?? ""));
  });
}

/** The line over the pane. */
function headingOf(row: Row): string {
  const parts = [row.id, row.agent ?? row.command, row.cwd ?? ""];
  if (row.title !== null && row.title !== "") parts.splice(1, 0, row.title);
  return parts.filter((part) => part !== "").join(" · ");
}

/** The widths of the list's columns, in cells; 0 for one that is left out. */
interface Columns {
  readonly id: number;
  readonly text: number;
  readonly agent: number;
  readonly line: number;
}

function columnsFor(rows: readonly Row[], width: number): Columns {
  const widest = (cell: (row: Row) => string, most: number) => {
    let size = LEAST_CELLS;
    for (const row of rows) {
      size = Math.max(size, widthOf(cell(row)));
      if (size >= most) return most;
    }
    return size;
  };
  const room = width - MARK_CELLS - AGE_CELLS - 2 * GAP.length;
  const text = widest(({ text }) => text, TEXT_CELLS);
  const idIn = (cells: number) =>
    widest(({ id }) => id, Math.max(LEAST_ID_CELLS, cells));
  const id = idIn(Math.floor(width / 4));
  const left = room - id - GAP.length;
  const short = Math.min(
    text,
    Math.max(LEAST_TEXT_CELLS, left - LEAST_LINE_CELLS),
  );
  let rest = left - short;
  if (rest < LEAST_LINE_CELLS) {
    const id = idIn(room - text);
    return { id, text: room - id, agent: 0, line: 0 };
  }
  const agent = rest - AGENT_CELLS - GAP.length >= 2 * LEAST_LINE_CELLS
    ? widest(agentOf, AGENT_CELLS)
    : 0;
  if (agent > 0) rest -= agent + GAP.length;
  return { id, text: short, agent, line: rest };
}

/** The agent, else the name of the program. */
function agentOf({ agent, command }: Row): string {
  return agent ?? command.split(" ", 1)[0]!.split("/").at(-1)!;
}

/** What a session said last, or else what it is about. */
function lastOf({ line, title, prompt, command }: Row): string {
  return line || title || prompt || command;
}

/** The rows of the list, each exactly as wide. */
function listOf(view: View, areas: Areas): string[] {
  const { rows, index, offset } = view.list;
  const height = areas.list.rows;
  // A blank before the border.
  const columns = areas.list.columns - Number(areas.isWide);
  if (rows.length === 0) {
    return [
      ...areas.hasHeading ? [" ".repeat(columns)] : [],
      ...emptyText(view).flatMap((text) =>
        wrap(text, columns - 2).map((row) => fit(`  ${row}`, columns))
      ),
    ];
  }
  const widths = columnsFor(rows, columns);
  const shown = rows.slice(offset, offset + height);
  const lines = shown.map((row, i) =>
    listRow(row, { view, widths, isSelected: offset + i === index, columns })
  );
  return areas.hasHeading ? [listHeading(widths, columns), ...lines] : lines;
}

function emptyText({ isReady, list, onlyLabels }: View): string[] {
  const { filter, label } = list;
  if (!isReady) return ["Looking for sessions…"];
  if (filter !== "" || label !== null) {
    return ["No session matches; press Escape to show all."];
  }
  if (onlyLabels.length > 0) {
    const labels = onlyLabels.map((label) => `-l ${plainText(label)}`);
    return [`No session has ${labels.join(" ")}; press n to start one.`];
  }
  return ["No sessions yet; press n to start one."];
}

function listHeading(widths: Columns, columns: number): string {
  const { id, text, agent, line } = widths;
  const cells = [
    "  " + fit("ID", id),
    fit("STATUS", text),
    "AGE".padStart(AGE_CELLS),
    ...agent > 0 ? [fit("AGENT", agent)] : [],
    ...line > 0 ? [fit("LAST", line)] : [],
  ];
  return styled(fit(cells.join(GAP), columns), DIM);
}

function listRow(
  row: Row,
  { view, widths, isSelected, columns }: {
    readonly view: View;
    readonly widths: Columns;
    readonly isSelected: boolean;
    readonly columns: number;
  },
): string {
  const { id, text, agent, line } = widths;
  const age = row.since === null
    ? ""
    : formatAge(view.now - Date.parse(row.since));
  const before = (isSelected ? "> " : "  ") + fit(row.id, id) + GAP;
  const rest = [
    age.padStart(AGE_CELLS),
    ...agent > 0 ? [fit(agentOf(row), agent)] : [],
    ...line > 0 ? [fit(lastOf(row), line)] : [],
  ].join(GAP);
  const after = GAP + rest;
  const blanks = " ".repeat(
    Math.max(0, columns - widthOf(before) - text - widthOf(after)),
  );
  const mark = isSelected ? REVERSE : row.urgency === "ended" ? DIM : "";
  // A colour would change only these cells of the bar. A failure is not dimmed.
  const tone = attributesOf(row.tone, view.color && !isSelected);
  const around = row.tone === "error" && !isSelected ? "" : mark;
  return styled(before, mark) + styled(fit(row.text, text), around, tone) +
    styled(after + blanks, mark);
}

/** The labels to choose from. */
function labelsOf(
  { choices, index }: Extract<Mode, { name: "labels" }>,
  size: Size,
): string[] {
  const height = pageRows(size) - 1;
  const offset = scrollTo(index, index - Math.floor(height / 2), {
    height,
    count: choices.length,
  });
  const rows = choices.slice(offset, offset + height).map((choice, i) => {
    const isChosen = offset + i === index;
    const count = String(choice.count).padStart(4);
    const text = `${isChosen ? ">" : " "}${count}  ${
      choice.label ?? "all sessions"
    }`;
    return styled(fit(text, size.columns), isChosen ? REVERSE : "");
  });
  return [styled("Sessions with the label", BOLD), ...rows];
}

const FIELD_NAMES: Readonly<Record<Field, string>> = {
  what: "Start",
  command: "Command",
  cwd: "Directory",
  prompt: "Prompt",
};
const FIELD_CELLS = 12;

/** The form of a new session. */
function formOf(form: Form, { columns }: Size): Picture {
  let cursor: Picture["cursor"];
  const room = columns - FIELD_CELLS;
  const rows = form.fields.map((field, i) => {
    const isFocused = i === form.focus;
    const name = fit(
      `${isFocused ? "> " : "  "}${FIELD_NAMES[field]}`,
      FIELD_CELLS,
    );
    const label = styled(name, isFocused ? BOLD : "");
    if (field === "what") return label + choicesOf(form, room, isFocused);
    const shown = form.editors[field].view(room);
    // Row 0 is the top line, row 1 blank.
    if (isFocused) cursor = { column: FIELD_CELLS + shown.column, row: i + 2 };
    return label + shown.text;
  });
  return { rows: ["", ...rows], ...cursor && { cursor } };
}

/** All choices, or where there is no room for them, the chosen one. */
function choicesOf(form: Form, room: number, isFocused: boolean): string {
  const { choices, chosen } = form;
  const names = choices.map(choiceName);
  if (names.join("   ").length + 2 <= room) {
    return names.map((name, i) =>
      i === chosen
        ? styled(`[${name}]`, isFocused ? REVERSE : BOLD)
        : ` ${name} `
    ).join(" ");
  }
  const name = cut(`[${names[chosen] ?? ""}]`, room - 8);
  return styled(name, isFocused ? REVERSE : BOLD) +
    ` ${chosen + 1} of ${choices.length}`;
}

/** The lines at the bottom: a question, what is typed, a notice, or the keys. */
function bottomOf(
  view: View,
  columns: number,
): { readonly lines: readonly string[]; readonly cursor?: number } {
  const { mode } = view;
  const notice = noticeOf(view, columns);
  switch (mode.name) {
    case "filter":
      return typing("/", mode.editor, columns, notice);
    case "line":
      return typing(`${mode.prompt}: `, mode.editor, columns, notice);
    case "ask": {
      const lines = wrap(`${mode.question} y/n`, columns);
      return { lines: lines.map((line) => styled(line, BOLD)) };
    }
    default:
      if (notice.length > 0) return { lines: notice };
      return { lines: [hintLine(hintsOf(view), columns)] };
  }
}

function hintsOf({ mode, list, detachKeys }: View) {
  const { rows, index, filter, label } = list;
  const isNarrowed = filter !== "" || label !== null;
  return hintsFor(mode.name, { row: rows[index], isNarrowed, detachKeys });
}

function noticeOf({ notice, doing, color }: View, columns: number): string[] {
  if (notice !== null) {
    const attributes = notice.isError ? color ? "1;31" : BOLD : BOLD;
    return wrap(notice.text, columns).map((line) => styled(line, attributes));
  }
  return doing === null ? [] : [styled(cut(doing, columns), BOLD)];
}

/** A line that is being typed, below a notice. */
function typing(
  prompt: string,
  editor: LineEditor,
  columns: number,
  notice: readonly string[],
): { readonly lines: readonly string[]; readonly cursor: number } {
  const label = cut(prompt, Math.floor(columns / 2));
  const { text, column } = editor.view(columns - widthOf(label));
  const line = styled(label, BOLD) + text;
  return { lines: [...notice, line], cursor: widthOf(label) + column };
}
