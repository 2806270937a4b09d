/** Bytes of a keyboard, cut anywhere: which keys and pastes they are. */
import type { Keyboard } from "../../client/own_terminal.ts";
import { type Input, KeyReader, readKeys } from "../../top/keys.ts";
import { assert, assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();

/** One word for each input: the name of a key, or a paste in quotes. */
const word = (input: Input) =>
  "paste" in input ? JSON.stringify(input.paste) : input.name;

function* inputs(reader: KeyReader): Generator<Input> {
  for (let input; (input = reader.next()) !== undefined;) yield input;
}

/** What comes of some pieces; where a piece is empty, nothing more came for a while. */
function read(...pieces: readonly (string | Uint8Array)[]): string {
  const reader = new KeyReader();
  const found: Input[] = [];
  for (const piece of pieces) {
    if (piece.length === 0) {
      assert(reader.waitMs !== undefined);
      const input = reader.giveUp();
      if (input !== undefined) found.push(input);
    } else {
      reader.feed(typeof piece === "string" ? encoder.encode(piece) : piece);
      found.push(...inputs(reader));
    }
  }
  return found.map(word).join(" ");
}

const KEYS: readonly (readonly [string, string])[] = [
  ["jJé漢👍", "j J é 漢 👍"],
  [" \r\n\t\x7f\b", "space enter ctrl-j tab backspace backspace"],
  ["\x01\x03\x1a\0\x1c\x1f", "ctrl-a ctrl-c ctrl-z ctrl-space ctrl-\\ ctrl-_"],
  ["\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", "up down right left home end"],
  ["\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF", "up down right left home end"],
  ["\x1b[1~\x1b[4~\x1b[7~\x1b[8~", "home end home end"],
  ["\x1b[2~\x1b[3~\x1b[5~\x1b[6~", "insert delete page-up page-down"],
  ["\x1b[Z\x1bOM", "shift-tab enter"],
  ["\x1bOP\x1b[15~\x1b[24~", "f1 f5 f12"],
  ["\x1b[1;5C\x1b[1;2A\x1b[3;3~", "ctrl-right shift-up alt-delete"],
  ["\x1b[1;6D\x1b[1;129A", "ctrl-shift-left up"],
  ["\x1bx\x1bé\x1b\x7f\x1b[", "alt-x alt-é alt-backspace"],
  ["\x1b\x1b[Aj", "escape up j"],
  ["\x1b[200~rm -rf\r\nd\td\x1b[Ax\x1b[201~q", '"rm -rf\\nd\\td[Ax" q'],
  ["\x1b[200~\x1b[201~q", "q"],
];

const REPORTS: readonly string[] = [
  "\x1b[I\x1b[O",
  "\x1b[?62;22c\x1b[>0;276;0c\x1b[0n\x1b[24;80R\x1b[?2026;2$y",
  "\x1b]11;rgb:0000/0000/0000\x1b\\",
  "\x1b]4;1;rgb:cdcd/0000/0000\x07",
  "\x1bP>|tmux 3.3a\x1b\\\x1bP1$r0m\x1b\\\x1b_Gi=1;OK\x1b\\",
  "\x1b[<0;10;20M\x1b[<0;10;20m\x1b[67;10;20M\x1b[Mabc\x1b[M !\x1b",
  "\x1b[97;1:3u\x1b[1;1:3A\x1b[8;40;120t\x1b[[A\x1b[99~\x1b[;A",
  "\u009b\u200b\u202e\ufeff",
];

Deno.test("KeyReader gives keys and pastes, and drops what the terminal reports", () => {
  for (const [typed, expected] of KEYS) assertEquals(read(typed), expected);
  for (const report of REPORTS) {
    assertEquals(read(`a${report}b`), "a b", JSON.stringify(report));
  }
});

Deno.test("KeyReader gives the same wherever its bytes are cut", () => {
  const texts = [...KEYS.map(([typed]) => typed), ...REPORTS];
  for (const text of texts) {
    const bytes = encoder.encode(text);
    const whole = read(bytes);
    assertEquals(read(...[...bytes].map((byte) => Uint8Array.of(byte))), whole);
    for (let at = 1; at < bytes.length; at++) {
      const parts = [bytes.subarray(0, at), bytes.subarray(at)];
      assertEquals(read(...parts), whole, `${JSON.stringify(text)} at ${at}`);
    }
  }
});

Deno.test("KeyReader takes ESC for a key once nothing follows, and what follows late for no key", () => {
  assertEquals(read("a\x1b", ""), "a escape");
  assertEquals(read("\x1b", "", "j"), "escape j");
  assertEquals(read("\x1b]", "", "\x1bO", ""), "alt-] alt-O");
  assertEquals(read("\x1b[1", "", "d"), "d");
  // A slow line has cut a sequence behind ESC.
  assertEquals(read("\x1b", "", "[A"), "escape up");
  assertEquals(read("\x1b", "", "[200~dd\x1b[201~x"), 'escape "dd" x');
  assertEquals(read("\x1b", "", "]11;rgb:0/0/0\x07x"), "escape x");
});

Deno.test("KeyReader takes no part of a paste for keys, even if its end is late or lost", () => {
  assertEquals(
    read("\x1b[200~dd", "", "dd\r", "d\x1b[201~j"),
    '"dd" "dd\\nd" j',
  );
  assertEquals(read("\x1b[200~dd", "", "j", "k"), '"dd" j k');
  assertEquals(read("\x1b[200~dd", "", "\x1b[A", "é"), '"dd" up é');
  const reader = new KeyReader();
  const piece = new Uint8Array(65536).fill(0x64);
  reader.feed(encoder.encode("\x1b[200~"));
  for (let i = 0; i < 20; i++) {
    reader.feed(piece);
    assertEquals(reader.next(), undefined);
  }
  reader.feed(encoder.encode("\x1b[201~q"));
  const lengths = [...inputs(reader)]
    .map((input) => "paste" in input ? input.paste.length : input.name);
  assertEquals(lengths, [1024 * 1024, "q"]);
});

Deno.test("KeyReader drops a sequence without end, and goes on behind it", () => {
  const endless = "1".repeat(100_000);
  for (const start of ["\x1b[", "\x1b]1", "\x1bP1"]) {
    assertEquals(
      read(`${start}${endless}`, endless, "\x1b\\", "j"),
      "j",
      start,
    );
    assertEquals(read(`${start}${endless}`, "", "j"), "j", start);
  }
  assertEquals(read("\x1b]1\x07\x1b]1\x1b\\".repeat(20_000), "j"), "j");
});

/** Numbers from 0 to below 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

Deno.test("KeyReader survives any bytes, cuts and pauses, and is usable then", () => {
  const parts = [
    ..."\x1b[]OP_GMZ~0;:?<200u\\\x07\r aé",
    "\x1b[200~",
    "\x1b[201~",
  ];
  for (let seed = 0; seed < 300; seed++) {
    const random = randomFrom(seed);
    const pick = () =>
      random() < 0.2
        ? Uint8Array.of(random() * 256)
        : encoder.encode(parts[Math.floor(random() * parts.length)]!);
    const bytes = new Uint8Array(
      Array.from({ length: 200 }, pick).flatMap((part) => [...part]),
    );
    const whole = new KeyReader();
    whole.feed(bytes);
    const expected = [...inputs(whole)];
    const cut = new KeyReader();
    const found: Input[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + Math.floor(random() * 9);
      cut.feed(bytes.subarray(at, end));
      found.push(...inputs(cut));
      at = end;
    }
    assertEquals(found, expected, `seed ${seed}`);
    for (const input of found) {
      const text = "paste" in input ? input.paste : input.name;
      // deno-lint-ignore no-control-regex
      assert(!/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(text), `seed ${seed}`);
    }
    for (const reader of [whole, cut]) {
      while (reader.waitMs !== undefined) reader.giveUp();
      reader.feed(encoder.encode("q"));
      assertEquals(
        [...inputs(reader)],
        [{ name: "q", text: "q" }],
        `seed ${seed}`,
      );
    }
  }
});

Deno.test("KeyReader gives one paste for whatever is between its marks", () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = randomFrom(seed);
    const inside = Uint8Array.from({ length: 50 }, () => random() * 256);
    const reader = new KeyReader();
    for (const part of ["a\x1b[200~x", inside, "\x1b[201~b"]) {
      reader.feed(typeof part === "string" ? encoder.encode(part) : part);
      if (part === inside) {
        assertEquals(reader.next(), { name: "a", text: "a" });
      }
    }
    const found = [...inputs(reader)];
    assertEquals(found.map((one) => "paste" in one), [true, false]);
  }
});

/** A keyboard on which some pieces are typed, one after the other; then nothing comes. */
class FakeKeyboard implements Keyboard {
  readonly #pieces: string[];
  #over = Promise.withResolvers<null>();

  constructor(...pieces: string[]) {
    this.#pieces = pieces;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const piece = this.#pieces.shift();
    if (piece === undefined) return await this.#over.promise;
    return encoder.encodeInto(piece, buffer).written;
  }

  [Symbol.dispose](): void {
    this.#over.resolve(null);
  }
}

Deno.test("readKeys() gives keys one by one, until its caller leaves", async () => {
  using keyboard = new FakeKeyboard("j\x1b", "[Aé\rls");
  const found: string[] = [];
  for await (const input of readKeys(keyboard)) {
    found.push(word(input));
    if (found.at(-1) === "enter") break;
  }
  assertEquals(found, ["j", "up", "é", "enter"]);
});

Deno.test("readKeys() gives Escape after a moment, and ends with the keyboard", async () => {
  using keyboard = new FakeKeyboard("a\x1b");
  const found: string[] = [];
  for await (const input of readKeys(keyboard)) {
    found.push(word(input));
    if (found.at(-1) === "escape") keyboard[Symbol.dispose]();
  }
  assertEquals(found, ["a", "escape"]);
});
