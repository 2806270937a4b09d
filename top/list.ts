/**
 * The list: which sessions it shows, and which of them is selected.
 *
 * A session is selected by its id and its birth. So the selection stays when the order changes, and never passes to
 * a later session with the same id.
 *
 * @module
 */
import { fits, type Row, URGENCIES, type Urgency } from "../views/row.ts";

/** A label of some sessions; `null` for all sessions. */
export interface LabelChoice {
  readonly label: string | null;
  readonly count: number;
}

/** The list; see the top of this file. */
export class List {
  /** The sessions that are listed, in their order. */
  rows: readonly Row[] = [];
  /** How many there are of each urgency, listed or not. */
  counts: Readonly<Record<Urgency, number>> = countsOf([]);
  /** The index of the selected session; -1 if none is listed. */
  index = -1;
  /** The first session that the list shows. */
  offset = 0;
  filter = "";
  label: string | null = null;
  /** The screen or log of the selected session, in rows as wide as the pane or wider. */
  pane: readonly string[] = [];
  #all: readonly Row[] = [];
  #height: number;
  #selected: { readonly id: string; readonly born: string } | null = null;
  /** Selected once it is listed: a session that was started here. */
  #awaited: string | null = null;

  constructor(height: number) {
    this.#height = height;
  }

  /** Takes all sessions, by urgency. */
  setRows(all: readonly Row[]): void {
    this.#all = all;
    this.counts = countsOf(all);
    this.#update();
  }

  /** Takes the number of rows that there is room for. */
  resize(height: number): void {
    this.#height = height;
    this.#scroll();
  }

  /** Lists the sessions that have these words and this label. */
  narrow(filter: string, label = this.label): void {
    this.filter = filter;
    this.label = label;
    this.#update();
  }

  /** Selects a new session once it is listed. */
  await(id: string): void {
    this.#awaited = id;
    this.#update();
  }

  /** Moves the selection; `false` if the key is another one. */
  move(name: string): boolean {
    const page = Math.max(1, this.#height - 1);
    const last = this.rows.length - 1;
    const to = {
      "up": this.index - 1,
      "k": this.index - 1,
      "down": this.index + 1,
      "j": this.index + 1,
      "page-up": this.index - page,
      "page-down": this.index + page,
      "home": 0,
      "g": 0,
      "end": last,
      "G": last,
    }[name];
    if (to === undefined) return false;
    this.#awaited = null;
    this.#select(Math.max(0, Math.min(last, to)));
    return true;
  }

  /** All labels, after the choice of none; empty if no session has one. */
  labels(): LabelChoice[] {
    const counts = new Map<string, number>();
    for (const { labels } of this.#all) {
      for (const [key, value] of Object.entries(labels)) {
        const label = `${key}=${value}`;
        counts.set(label, (counts.get(label) ?? 0) + 1);
      }
    }
    if (counts.size === 0) return [];
    return [
      { label: null, count: this.#all.length },
      ...[...counts].sort(([a], [b]) => a < b ? -1 : 1)
        .map(([label, count]) => ({ label, count })),
    ];
  }

  /** Lists what fits; what was selected stays so, or else what has its place. */
  #update(): void {
    const { filter, label } = this;
    this.rows = this.#all.filter((row) =>
      (label === null || hasLabel(row, label)) && fits(row, filter)
    );
    const awaited = this.rows.findIndex(({ id }) => id === this.#awaited);
    if (awaited >= 0) this.#awaited = null;
    const now = this.#selected;
    const same = awaited >= 0
      ? awaited
      : this.rows.findIndex(({ id, born }) =>
        id === now?.id && born === now.born
      );
    const index = same >= 0 ? same : Math.max(0, this.index);
    this.#select(Math.min(index, this.rows.length - 1));
  }

  #select(index: number): void {
    const row = this.rows[index];
    const isOther = row?.id !== this.#selected?.id ||
      row?.born !== this.#selected?.born;
    this.index = row === undefined ? -1 : index;
    this.#selected = row === undefined ? null : { id: row.id, born: row.born };
    if (isOther) this.pane = [];
    this.#scroll();
  }

  #scroll(): void {
    this.offset = scrollTo(Math.max(0, this.index), this.offset, {
      height: this.#height,
      count: this.rows.length,
    });
  }
}

/** The offset from which `index` is shown, near the one before. */
export function scrollTo(
  index: number,
  offset: number,
  { height, count }: { readonly height: number; readonly count: number },
): number {
  const most = Math.max(0, count - height);
  const near = Math.max(index - height + 1, Math.min(offset, index));
  return Math.max(0, Math.min(most, near));
}

function hasLabel({ labels }: Row, label: string): boolean {
  return Object.entries(labels).some(([key, value]) =>
    `${key}=${value}` === label
  );
}

function countsOf(rows: readonly Row[]): Record<Urgency, number> {
  const counts = Object.fromEntries(
    URGENCIES.map((urgency) => [urgency, 0]),
  ) as Record<Urgency, number>;
  for (const { urgency } of rows) counts[urgency]++;
  return counts;
}
