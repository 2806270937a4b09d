import { assertEquals } from "../helpers.ts";
import { ageChangesIn, ageText } from "../../web/page/age.ts";

Deno.test("ageText() has one number and one letter", () => {
  const ages = [-5, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 90_000_000]
    .map(ageText);
  assertEquals(ages, ["now", "now", "1s", "59s", "1m", "59m", "1h", "1d"]);
});

Deno.test("ageChangesIn() is the time until the text is another one", () => {
  for (const ms of [0, 1, 999, 1000, 1500, 59_001, 60_000, 61_000, 5_000_000]) {
    const next = ms + ageChangesIn(ms);
    assertEquals(ageText(next - 1), ageText(ms));
    assertEquals(ageText(next) === ageText(ms), false);
  }
  assertEquals(ageChangesIn(-5000), 1000);
});
