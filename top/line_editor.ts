/**
 * One line of input: its text, its cursor, and the part of it that there is room for.
 *
 * It counts in characters as people see them: an accent or a joined emoji is a part of one.
 *
 * @module
 */
import { widthOf } from "../cli/format.ts";
import type { Input, Key } from "./keys.ts";

/** A longer text isn't taken, in UTF-16 units. */
const MAX_LENGTH = 256 * 1024;

/** Options of {@linkcode LineEditor}. */
export interface LineEditorOptions {
  /**
   * The text at first; the cursor is at its end.
   *
   * @default {""}
   */
  readonly text?: string;
  /**
   * Keeps the line ends of a paste, and shows them as `↵`. Otherwise they become blanks.
   *
   * @default {false}
   */
  readonly keepsLines?: boolean;
}

/** A part of a line, as it is shown. */
export interface LineView {
  /** Plain text, no wider than the room for it. */
  readonly text: string;
  /** The cursor's column in it, counted from 0. */
  readonly column: number;
}

/** A line that is being typed. */
export class LineEditor {
  #characters: string[];
  /** The cursor is before this one. */
  #cursor: number;
  /** The first one that is shown. */
  #first = 0;
  #length: number;
  readonly #keepsLines: boolean;

  /** An editor with some text. */
  constructor({ text = "", keepsLines = false }: LineEditorOptions = {}) {
    this.#keepsLines = keepsLines;
    this.#characters = charactersOf(text);
    this.#cursor = this.#characters.length;
    this.#length = text.length;
  }

  /** The text as it is now. */
  get text(): string {
    return this.#characters.join("");
  }

  /**
   * Takes what was typed: text, a paste, keys that move the cursor or delete. Tells whether it
   * was any of these; other keys (Enter, Escape, Tab, up, down and so on) are the caller's.
   */
  take(input: Input): boolean {
    if ("paste" in input) {
      const text = input.paste.replaceAll("\t", " ");
      this.#insert(this.#keepsLines ? text : text.replaceAll("\n", " "));
    } else if (input.text !== undefined) this.#insert(input.text);
    else return this.#edit(input);
    return true;
  }

  /** The part around the cursor that there is room for in so many columns. */
  view(columns: number): LineView {
    const all = this.#characters;
    const end = all.length;
    const isAtEnd = this.#cursor === end;
    // The cursor takes a cell, also behind the end. As little as possible moves.
    const least = this.#startOf(this.#cursor, columns - 1);
    const most = this.#startOf(end, isAtEnd ? columns - 1 : columns);
    const first = Math.min(Math.max(least, this.#first), most, this.#cursor);
    this.#first = first;
    let text = "";
    let width = 0;
    let column = 0;
    for (let at = first; at < end; at++) {
      if (at === this.#cursor) column = width;
      const character = shown(all[at]!);
      width += widthOf(character);
      if (width > columns) break;
      text += character;
    }
    return { text, column: isAtEnd ? width : column };
  }

  /** The first of the characters before `end` that have room together. */
  #startOf(end: number, columns: number): number {
    let width = 0;
    let start = end;
    while (start > 0) {
      width += widthOf(shown(this.#characters[start - 1]!));
      if (width > columns) break;
      start--;
    }
    return start;
  }

  #insert(text: string): void {
    if (this.#length + text.length > MAX_LENGTH) return;
    this.#length += text.length;
    // A mark joins the character before.
    const start = Math.max(0, this.#cursor - 1);
    const before = this.#characters[start];
    const isFirst = this.#cursor === 0;
    const more = charactersOf(isFirst ? text : before + text);
    this.#characters = [
      ...this.#characters.slice(0, start),
      ...more,
      ...this.#characters.slice(this.#cursor),
    ];
    this.#cursor = start + more.length;
  }

  #edit({ name }: Key): boolean {
    const end = this.#characters.length;
    switch (name) {
      case "left":
      case "ctrl-b":
        return this.#move(this.#cursor - 1);
      case "right":
      case "ctrl-f":
        return this.#move(this.#cursor + 1);
      case "home":
      case "ctrl-a":
        return this.#move(0);
      case "end":
      case "ctrl-e":
        return this.#move(end);
      case "ctrl-left":
      case "alt-left":
      case "alt-b":
        return this.#move(this.#wordStart());
      case "ctrl-right":
      case "alt-right":
      case "alt-f":
        return this.#move(this.#wordEnd());
      case "backspace":
        return this.#drop(this.#cursor - 1, this.#cursor);
      case "delete":
      case "ctrl-d":
        return this.#drop(this.#cursor, this.#cursor + 1);
      case "ctrl-w":
      case "alt-backspace":
        return this.#drop(this.#wordStart(), this.#cursor);
      case "ctrl-u":
        return this.#drop(0, this.#cursor);
      case "ctrl-k":
        return this.#drop(this.#cursor, end);
    }
    return false;
  }

  #move(cursor: number): true {
    this.#cursor = Math.min(Math.max(0, cursor), this.#characters.length);
    return true;
  }

  #drop(from: number, to: number): true {
    const start = Math.max(0, from);
    const dropped = this.#characters.splice(start, to - start);
    this.#length -= dropped.join("").length;
    return this.#move(Math.min(this.#cursor, start));
  }

  #wordStart(): number {
    let at = this.#cursor;
    while (at > 0 && isBlank(this.#characters[at - 1])) at--;
    while (at > 0 && !isBlank(this.#characters[at - 1])) at--;
    return at;
  }

  #wordEnd(): number {
    const end = this.#characters.length;
    let at = this.#cursor;
    while (at < end && isBlank(this.#characters[at])) at++;
    while (at < end && !isBlank(this.#characters[at])) at++;
    return at;
  }
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\n";
}

/** A character as it is shown. */
function shown(character: string): string {
  return character === "\n" ? "↵" : character;
}

let segmenter: Intl.Segmenter | undefined;

/** Text as characters that people see. */
function charactersOf(text: string): string[] {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter();
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}
