/**
 * What counts as typed: keys, pastes and clicks, and nothing that a terminal reports by itself.
 */
import { TypedInput } from "../../screen/typed.ts";
import { fromLatin1 } from "../../system/bytes.ts";
import { assertEquals } from "../helpers.ts";

const REPORTS: Readonly<Record<string, string>> = {
  "focus": "\x1b[I",
  "no focus": "\x1b[O",
  "motion": "\x1b[<35;10;20M",
  "a drag": "\x1b[<32;10;20M",
  "a release": "\x1b[<0;10;20m",
  "motion, X10": "\x1b[M\x43\x21\x21",
  "a release, X10": "\x1b[M\x23\x1b\x21",
  "motion, urxvt": "\x1b[67;10;20M",
  "DA1": "\x1b[?62;22c",
  "DA2": "\x1b[>0;276;0c",
  "DA3": "\x1bP!|7E565445\x1b\\",
  "DSR": "\x1b[0n",
  "CPR": "\x1b[24;80R",
  "DECXCPR": "\x1b[?24;80R",
  "DECRPM": "\x1b[?2026;2$y",
  "DECRPM, ANSI": "\x1b[4;2$y",
  "a colour": "\x1b]11;rgb:0000/0000/0000\x1b\\",
  "a colour and BEL": "\x1b]4;1;rgb:cdcd/0000/0000\x07",
  "the clipboard": "\x1b]52;c;aGVsbG8=\x1b\\",
  "XTVERSION": "\x1bP>|tmux 3.3a\x1b\\",
  "XTGETTCAP": "\x1bP1+r436f=323536\x1b\\",
  "DECRQSS": "\x1bP1$r0m\x1b\\",
  "kitty's flags": "\x1b[?5u",
  "kitty's graphics": "\x1b_Gi=1;OK\x1b\\",
  "a size in band": "\x1b[48;40;120;800;960t",
  "a size": "\x1b[8;40;120t",
  "a title": "\x1b]ltitle\x1b\\",
  "a colour scheme": "\x1b[?997;1n",
  "a key released": "\x1b[97;1:3u",
  "an arrow released": "\x1b[1;1:3A",
  "a key released, win32": "\x1b[65;30;97;0;0;1_",
};

const KEYS: Readonly<Record<string, string>> = {
  "a letter": "a",
  "a character": "\xc3\xa9",
  "ctrl-c": "\x03",
  "an arrow": "\x1b[A",
  "an arrow in application mode": "\x1bOA",
  "shift and an arrow, rxvt": "\x1b[c",
  "F5": "\x1b[15~",
  "shift-tab": "\x1b[Z",
  "alt-x": "\x1bx",
  "ctrl-c, kitty": "\x1b[99;5u",
  "a key held": "\x1b[97;1:2u",
  "a key, win32": "\x1b[65;30;97;1;0;1_",
  "ctrl-enter, xterm": "\x1b[27;5;13~",
  "a paste": "\x1b[200~x\x1b[201~",
  "a click": "\x1b[<0;10;20M",
  "a click, X10": "\x1b[M !!",
  "the wheel": "\x1b[<64;10;20M",
  "alt-] and a line": "\x1b]4;ls\r",
};

/** Whether any piece of a text counts as typed, cut into pieces of so many bytes. */
function isTyped(text: string, size: number): boolean {
  const input = new TypedInput();
  const bytes = fromLatin1(text);
  let typed = false;
  for (let at = 0; at < bytes.length; at += size) {
    typed = input.feed(bytes.subarray(at, at + size)) || typed;
  }
  assertEquals(input.isOpen, false, JSON.stringify(text));
  return typed;
}

Deno.test("TypedInput knows what a terminal reports, wherever it is cut", () => {
  const all = Object.values(REPORTS).join("");
  for (const size of [1, 2, 3, 5, 1000]) {
    for (const [name, text] of Object.entries(REPORTS)) {
      assertEquals(isTyped(text, size), false, name);
      assertEquals(isTyped(`${text}x`, size), true, `${name}, a key`);
    }
    assertEquals(isTyped(all, size), false, "all of them");
  }
});

Deno.test("TypedInput knows what a person types, wherever it is cut", () => {
  const all = Object.values(REPORTS).join("");
  for (const size of [1, 2, 3, 5, 1000]) {
    for (const [name, text] of Object.entries(KEYS)) {
      assertEquals(isTyped(text, size), true, name);
      assertEquals(isTyped(all + text + all, size), true, `${name} among all`);
    }
  }
});

Deno.test("TypedInput leaves Escape open, until more comes or it is given up", () => {
  const input = new TypedInput();
  assertEquals(input.feed(fromLatin1("\x1b")), false);
  assertEquals(input.isOpen, true);
  input.giveUp();
  assertEquals(input.feed(fromLatin1("[")), true);
  // A string without an end is text once it is too long.
  const long = new Uint8Array(2 * 1024 * 1024).fill(0x61);
  assertEquals(input.feed(fromLatin1("\x1b]52;")), false);
  assertEquals(input.feed(long), true);
  assertEquals(input.isOpen, false);
});
