import { OutputSearch } from "../../client/output_search.ts";
import { assertEquals } from "../helpers.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Adds output piece by piece; tells the match, and from where to where in bytes. */
function search(pattern: RegExp, pieces: readonly Uint8Array[], start = 0) {
  const search = new OutputSearch(pattern);
  let offset = start;
  for (const piece of pieces) {
    offset += piece.length;
    const found = search.add(piece, { file: "f", offset });
    if (found) return [found.match[0], found.offset, found.end.offset];
  }
}

Deno.test("OutputSearch.add() finds what is cut anywhere, and tells where in bytes", () => {
  const output = bytes("é🎉 \x1b[1mdö\x1b[0mne🎉\r\nmore");
  const whole = ["döne🎉", 11, 24];
  for (let cut = 0; cut <= output.length; cut++) {
    const pieces = [output.subarray(0, cut), output.subarray(cut)];
    assertEquals(search(/d.ne🎉$/m, pieces), whole, `cut at ${cut}`);
  }
  const single = [...output].map((byte) => Uint8Array.of(byte));
  assertEquals(search(/d.ne🎉$/gm, single), whole);
});

Deno.test("OutputSearch.add() counts bytes that are not UTF-8 as they are", () => {
  const output = [...bytes("ok "), 0xff, 0xfe, 0xe2, 0x82, ...bytes(" go")];
  assertEquals(search(/go/, [Uint8Array.from(output)], 100), ["go", 108, 110]);
});

Deno.test("OutputSearch.add() begins with a whole character", () => {
  const output = bytes("🎉go").subarray(2);
  assertEquals(search(/^go/, [output], 2), ["go", 4, 6]);
});

Deno.test("OutputSearch.add() forgets output from long ago, not the place", () => {
  const flood = Array.from({ length: 40 }, () => bytes("x".repeat(65536)));
  const pieces = [bytes("early"), ...flood, bytes("late")];
  const at = 40 * 65536 + 5;
  assertEquals(search(/early[^]*late|late/, pieces), ["late", at, at + 4]);
});
