/**
 * The scanner's idea of where sequences are, against the emulator's.
 */
import { loadEmulator } from "../../screen/emulator.ts";
import { Scanner } from "../../screen/scanner.ts";
import { assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();

/** The sequences that a scanner finds; `undefined` for those that mean nothing. */
function sequencesIn(bytes: Uint8Array, size = bytes.length) {
  const found: (string | undefined)[] = [];
  const nothing = () => {};
  const scanner = new Scanner({
    sequence: (text) => void found.push(text),
    control: nothing,
    style: nothing,
    line: nothing,
  });
  for (let at = 0; at < bytes.length; at += size) {
    scanner.scan(bytes.subarray(at, at + size));
  }
  return found;
}

Deno.test("Scanner gives no string that holds a control character, wherever it is cut", () => {
  const nothing = [
    "\x1bP+q\rtouch x\r\x1b\\",
    "\x1bP+q43\x7f6f\x1b\\",
    "\x1b]10;\ntouch x;\x07",
    "\x1b]2;a\x00b\x1b\\",
    "\u0090+q\r\u009c",
    "\u009d2;\tb\x07",
  ];
  for (const text of nothing) {
    const bytes = encoder.encode(text);
    for (const size of [1, 2, 3, 100]) {
      const [first, ...rest] = sequencesIn(bytes, size);
      assertEquals([first, rest], [undefined, []], JSON.stringify(text));
    }
  }
  const others: [string, string[]][] = [
    ["\x1bP+q436f\x1b\\", ["\x1bP+q436f"]],
    ["\u009d2;é\u009c", ["\x1b]2;é"]],
    // A C1 control ends a string and is one itself.
    ["\x1b]2;a\u009b6n", ["\x1b[6n"]],
    ["\x1b]2;a\u0085b\x07", ["\x1bE"]],
    // C0 controls act at once within a control sequence, which goes on.
    ["\x1b\r[\n6\tn", ["\x1b[6n"]],
    ["\x1b\x7f[6\x7fn", ["\x1b[6n"]],
  ];
  for (const [text, expected] of others) {
    const bytes = encoder.encode(text);
    for (const size of [1, 2, 100]) {
      assertEquals(sequencesIn(bytes, size), expected, JSON.stringify(text));
    }
  }
});

Deno.test("Scanner stands between two sequences only if the emulator does, whatever comes", async () => {
  // deno-lint-ignore no-explicit-any
  const terminal: any = await loadEmulator({
    columns: 40,
    rows: 12,
    scrollback: 10,
  });
  const parser = terminal._core._inputHandler._parser;
  const scraps = [
    ...[0x1b, 0x5b, 0x5d, 0x50, 0x5f, 0x58, 0x5c, 0x07, 0x18, 0x7f, 0x0a, 0x3b],
    ...[0x3f, 0x3c, 0x24, 0x20, 0x31, 0x6d, 0x71, 0x63, 0x80, 0x85, 0x90, 0x98],
    ...[0x9b, 0x9c, 0x9d, 0x9f, 0xa9, 0xbf, 0xc2, 0xc3, 0xe2, 0xef, 0xf0, 0xff],
  ];
  // A fixed sequence of numbers: what fails here fails again.
  let state = 1;
  const next = (below: number) => {
    state = Math.imul(state, 1103515245) + 12345 >>> 0;
    return (state >>> 8) % below;
  };
  const nothing = () => {};
  const events = {
    sequence: nothing,
    control: nothing,
    style: nothing,
    line: nothing,
  };
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(
      { length: 1 + next(9) },
      () => scraps[next(scraps.length)]!,
    );
    const scanner = new Scanner(events);
    terminal._core._inputHandler._utf8Decoder.clear();
    parser.reset();
    for (const byte of bytes) {
      const one = Uint8Array.of(byte);
      scanner.scan(one);
      terminal._core._inputHandler.parse(one);
      if (!scanner.isAtGround) continue;
      assertEquals(parser.currentState, 0, `${[...bytes]}`);
    }
  }
});
