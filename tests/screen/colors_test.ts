import { paletteColor, parseColor, printColor } from "../../screen/colors.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("parseColor() knows colours as numbers, and nothing else", () => {
  const white = [0xffff, 0xffff, 0xffff];
  for (const text of ["#fff", "#ffffff", "rgb:f/ff/fff", "#FFFFFFFFFFFF"]) {
    assertEquals(parseColor(text), white as never, text);
  }
  assertEquals(printColor(parseColor("rgb:1/23/4567")!), "rgb:1111/2323/4567");
  // deno-fmt-ignore
  const others = [
    "", "#", "#ff", "#ffff", "#ggg", "rgb:", "rgb:1/2", "rgb:1/2/3/4", "rgb:12345/0/0", "rgb:-1/0/0",
    "rgb:1/2/3\n", "rgb: 1/2/3", "white", "?", "#fff;", "rgba:1/2/3/4", "#fffffffffffffff",
  ];
  for (const text of others) assertEquals(parseColor(text), undefined, text);
  const shown = [1, 16, 196, 232, 255].map((i) => printColor(paletteColor(i)));
  assertEquals(shown, [
    "rgb:cdcd/0000/0000",
    "rgb:0000/0000/0000",
    "rgb:ffff/0000/0000",
    "rgb:0808/0808/0808",
    "rgb:eeee/eeee/eeee",
  ]);
});
