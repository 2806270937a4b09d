import { Screen } from "../../screen/screen.ts";
import { type Notification, Notifications } from "../../screen/told.ts";
import { assertEquals } from "../helpers.ts";

const base64 = (text: string) => new TextEncoder().encode(text).toBase64();

/** What this output tells, byte by byte. */
function toldBy(output: string): unknown[] {
  const told: unknown[] = [];
  const notifications = new Notifications();
  const screen = new Screen(80, 24, (one) => {
    const shown = one.type === "notification"
      ? notifications.take(one.part)
      : one.type === "report"
      ? one.body
      : one.type;
    if (shown !== undefined) told.push(shown);
  });
  for (const byte of new TextEncoder().encode(output)) {
    screen.append(Uint8Array.of(byte));
  }
  return told;
}

Deno.test("toldIn() finds reports, prompts, resets and bells, however they end", () => {
  const output = "a\x07\x1b]7501;state=idle\x07b\x1b]7501;state=done\x1b\\" +
    "\u009d7501;state=error\u009c\x1b]133;A\x07\x1b]133;A;k=i\x07\x1bc";
  assertEquals(toldBy(output), [
    ...["bell", "state=idle", "state=done", "state=error"],
    ...["prompt", "prompt", "reset"],
  ]);
  // Others, one that is called off, and one that is too long.
  const long = "x".repeat(20_000);
  const silent = "\x1b]133;B\x07\x1b]133;AB\x07\x1b]75011;state=idle\x07" +
    "\x1b]7501;state=idle\x18\x1b]7501;state=idle:msg=\x01\x07" +
    `\x1b]7501;state=idle:x=${long}\x07`;
  assertEquals(toldBy(silent), []);
});

Deno.test("Notifications.take() gives the notifications of iTerm2, rxvt and kitty, cleaned", () => {
  const cases: [string, Notification[]][] = [
    ["9;Done: «x»", [{ body: "Done: «x»" }]],
    ["9;4;1;50", []],
    ["9;4", []],
    ["9;9;/tmp", []],
    ["777;notify;Title;a;b", [{ title: "Title", body: "a;b" }]],
    ["777;precmd", []],
    ["99;;Hello", [{ body: "Hello" }]],
    ["99;i=1:p=body;Hello", [{ body: "Hello" }]],
    [`99;e=1;${base64("Hello\x1b[2J")}`, [{ body: "Hello[2J" }]],
    ["99;e=1;%%%", []],
    ["99;i=1:p=?;", []],
    ["99;i=1:p=icon;x", []],
    ["99", []],
    ["9;", []],
    [`9;${"x".repeat(3000)}`, [{ body: "x".repeat(500) }]],
    ["9;a\u202eb", [{ body: "ab" }]],
  ];
  for (const [sequence, expected] of cases) {
    assertEquals(toldBy(`\x1b]${sequence}\x1b\\`), expected, sequence);
  }
});

Deno.test("Notifications.take() joins the parts of kitty's notifications, and forgets the oldest", () => {
  const parts = (...all: string[]) =>
    toldBy(all.map((one) => `\x1b]99;${one}\x1b\\`).join(""));
  assertEquals(
    parts("i=1:d=0;He", "i=2;other", "i=1:d=0;llo", "i=1:p=body;there"),
    [{ body: "other" }, { title: "Hello", body: "there" }],
  );
  const open = Array.from({ length: 17 }, (_, i) => `i=${i}:d=0;begin ${i}`);
  assertEquals(parts(...open, "i=0;0", "i=16;!"), [
    { body: "0" },
    { body: "begin 16!" },
  ]);
});
