/**
 * What is typed at a program that asks its terminal something: nothing of what it wrote.
 */
import { Screen } from "../../screen/screen.ts";
import { answer, answerStatus } from "../../screen/query.ts";
import { assertEquals } from "../helpers.ts";

const encoder = new TextEncoder();

/** All that is typed in answer to this output. */
async function answersTo(output: string): Promise<string> {
  const screen = new Screen(80, 24);
  await screen.load();
  return screen.append(encoder.encode(output))
    .map(({ text, end }) => answer(text, screen, end)).join("");
}

Deno.test("answer() repeats nothing of what was asked by XTGETTCAP", async () => {
  const cases: [string, string][] = [
    ["+q\rtouch x\r", ""],
    ["+qtouch x", "\x1bP0+r\x1b\\"],
    ["+q74657374", "\x1bP0+r\x1b\\"],
    ["+q636f6e7374727563746f72", "\x1bP0+r\x1b\\"], // constructor
    ["+q", "\x1bP0+r\x1b\\"],
    ["+q436F", "\x1bP1+r436F=323536\x1b\\"],
    ["+q436f;zz", "\x1bP1+r436f=323536\x1b\\\x1bP0+r\x1b\\"],
    ["$q\r", ""],
    ["$qtouch x", "\x1bP0$r\x1b\\"],
  ];
  for (const [asked, expected] of cases) {
    assertEquals(await answersTo(`\x1bP${asked}\x1b\\`), expected, asked);
  }
  // As many as a program wants to know, not as many as fit.
  const many = await answersTo(`\x1bP+q${";".repeat(4000)}\x1b\\`);
  assertEquals(many, "\x1bP0+r\x1b\\".repeat(64));
});

Deno.test("answer() tells colours that are colours, printed anew", async () => {
  const ask = "\x1b]10;?\x07";
  const own = (color: string) => `\x1b]10;rgb:${color}\x1b\\`;
  const cases: [string, string][] = [
    ["touch /tmp/Y;", own("d0d0/d0d0/d0d0")],
    ["\ntouch /tmp/Y", own("d0d0/d0d0/d0d0")],
    ["red", own("d0d0/d0d0/d0d0")],
    ["rgb:12/34/56/", own("d0d0/d0d0/d0d0")],
    ["rgb:12/34/56touch", own("d0d0/d0d0/d0d0")],
    ["rgb:1/0f/FfF", own("1111/0f0f/ffff")],
    ["#fff", own("ffff/ffff/ffff")],
    ["#123456", own("1212/3434/5656")],
    ["#0123456789ab", own("0123/4567/89ab")],
    ["#1234", own("d0d0/d0d0/d0d0")],
  ];
  for (const [color, expected] of cases) {
    assertEquals(await answersTo(`\x1b]10;${color}\x07${ask}`), expected);
  }
  // Several at once, as xterm has it.
  assertEquals(
    await answersTo("\x1b]10;#111;#222\x07\x1b]10;?;?;?;?\x07"),
    "\x1b]10;rgb:1111/1111/1111\x1b\\\x1b]11;rgb:2222/2222/2222\x1b\\" +
      "\x1b]12;rgb:d0d0/d0d0/d0d0\x1b\\",
  );
  assertEquals(
    await answersTo("\x1b]4;1;#abc;1;?;999;?;0x2;?;2;?\x07"),
    "\x1b]4;1;rgb:aaaa/bbbb/cccc\x1b\\\x1b]4;2;rgb:0000/cdcd/0000\x1b\\",
  );
  assertEquals(
    await answersTo("\x1b]4;1;#abc\x07\x1b]104;1\x07\x1b]4;1;?\x07"),
    "\x1b]4;1;rgb:cdcd/0000/0000\x1b\\",
  );
});

Deno.test("answer() tells numbers that are bounded", async () => {
  const nines = "9".repeat(300);
  const cases: [string, string][] = [
    [`\x1b[${nines};${nines}r\x1bP$qr\x1b\\`, "\x1bP1$r99999;99999r\x1b\\"],
    ["\x1b[5;7r\x1bP$qr\x1b\\", "\x1bP1$r5;7r\x1b\\"],
    [`\x1b[?${nines}$p`, "\x1b[?99999;0$y"],
    [`\x1b[=${nines}u\x1b[?u`, "\x1b[?31u"],
  ];
  for (const [output, expected] of cases) {
    assertEquals(await answersTo(output), expected);
  }
});

Deno.test("answerStatus() is one of two strings, by the end of the query", () => {
  const bell = "\x1b]7501;?\x07";
  const st = "\x1b]7501;?\x1b\\";
  const cases: [string, string][] = [
    [bell, bell],
    [st, st],
    ["\u009d7501;?\u009c", st],
    [`${bell}\x1b[c${st}`, bell + st],
    ["\x1b]7501;?x\x07\x1b]7501;\x07\x1b]7501;?;?\x07\x1b]07501;?\x07", ""],
    ["\x1b]7501;?\x18\x1b]7501;\x01?\x07\x1bP7501;?\x1b\\", ""],
  ];
  for (const [output, expected] of cases) {
    const screen = new Screen(80, 24);
    const bytes = encoder.encode(output);
    // Cut anywhere.
    const answers = [...bytes].flatMap((byte) =>
      screen.append(Uint8Array.of(byte)).map(({ text }) => answerStatus(text))
    );
    assertEquals(answers.join(""), expected, JSON.stringify(output));
  }
});
