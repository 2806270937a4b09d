/**
 * Fuzzing of the text that a relay types and draws by itself.
 *
 * A million outputs contain a marker wherever there is room for one: in names that are asked
 * for, in colours, numbers, titles, between introducers and ends, cut anywhere. No answer may
 * contain the marker, or a character that no answer needs. No drawing may contain a control
 * character of the output. And some kilobytes that multiply must not take long.
 *
 * @module
 */
import { Screen } from "../screen/screen.ts";
import { answer, answerStatus } from "../screen/query.ts";
import type { Complaint, Context, Fault, Random } from "./fault.ts";
import { junk } from "./noise.ts";

/** No answer contains these letters for another reason. */
const MARKER = "wvyz";

const encoder = new TextEncoder();

/** Text with the marker in it, disguised in various ways. */
function marked(random: Random): string {
  const hex = [...MARKER].map((c) => c.charCodeAt(0).toString(16)).join("");
  return random.pick([
    ...[MARKER, `\r${MARKER}\r`, `\n${MARKER}\n`, `;${MARKER};`, `\t${MARKER}`],
    ...[`rgb:${MARKER}`, `#${MARKER}`, `rgb:1/2/3${MARKER}`, `1;${MARKER}`],
    ...[`?${MARKER}`, `?;${MARKER}`, `${MARKER};?`, `1;?;${MARKER};?`],
    ...[`#fff;${MARKER}`, `436f;${MARKER}`, `${MARKER}436F`, `$${MARKER}`],
    ...[`\x00${MARKER}`, `\u0085${MARKER}`, `é${MARKER}`, `\x7f${MARKER}`],
    ...[hex, `${hex};436f`, `\u202e${MARKER}`, junk(random) + MARKER],
  ]);
}

const BEGINNINGS = [
  ...["\x1bP+q", "\x1bP$q", "\x1bP", "\u0090+q", "\u0090$q", "\x1bP1;2+q"],
  ...["\x1b]4;", "\x1b]4;1;", "\x1b]10;", "\x1b]11;", "\x1b]12;", "\x1b]104;"],
  ...["\x1b]0;", "\x1b]2;", "\x1b]8;;", "\x1b]8;id=", "\x1b]52;c;", "\x1b]"],
  ...["\x1b[", "\x1b[?", "\x1b[>", "\u009b", "\x1b_", "\x1b^", "\x1bX", "\x1b"],
  ...["\x1b]7501;", "\x1b]7501;?", "\u009d7501;?", "\x1b]99;i=1:p=?;"],
  ...["\u009d10;", "\u009e", "\x1b\r[", "\x1bP\x1b]10;", "\x1b]10;\x1bP+q"],
];
const ENDS = [
  ...["\x1b\\", "\x1b\\", "\x07", "\u009c", "\x18", "\x1a", "", "\x1b", "\x9c"],
  ...["c", "n", "$p", "m", "u", "q", "r", "t", "h", "\x1b\\\x1b\\", "\r\n"],
];
/** Questions whose answers may depend on earlier output. */
const QUESTIONS = [
  ...["\x1bP+q436f\x1b\\", "\x1bP+q544e;52474\x1b\\", "\x1bP$qr\x1b\\"],
  ...["\x1bP$qm\x1b\\", "\x1bP$q q\x1b\\", "\x1b]10;?\x07", "\x1b]11;?\x1b\\"],
  ...[
    "\x1b]10;?;?;?\x07",
    "\x1b]4;1;?;2;?\x07",
    "\x1b[c",
    "\x1b[>c",
    "\x1b[6n",
  ],
  ...["\x1b[?6n", "\x1b[5n", "\x1b[?996n", "\x1b[?u", "\x1b[18t", "\x1b[>q"],
  ...["\x1b]7501;?\x07", "\x1b]7501;?\x1b\\", "\u009d7501;?\u009c"],
  ...["\x1b[?25$p", "\x1b[4$p", "\x1b[21t", "\x1b[?2026$p", "\x1b[=c"],
];

/** An output: settings with the marker, and questions. */
function outputWithMarker(random: Random): string {
  let text = "";
  for (let i = random.below(4); i >= 0; i--) {
    text += random.pick(BEGINNINGS) + marked(random) + random.pick(ENDS);
    if (random.below(3) === 0) text += random.pick(QUESTIONS);
  }
  return text + random.pick(QUESTIONS);
}

// On purpose written independently of screen/query.ts.
// deno-lint-ignore no-control-regex
const INTRODUCED = /\x1b(?![[\]P\\])/;
// deno-lint-ignore no-control-regex
const NEVER_TYPED = /[\x00-\x1a\x1c-\x1f\x7f-\uffff]/;

function complainOfAnswer(reply: string): string[] {
  const shown = JSON.stringify(reply);
  // The only answers that end with BEL, or begin like what a program may write.
  if (["\x1b]7501;?\x07", "\x1b]7501;?\x1b\\"].includes(reply)) return [];
  if (reply.includes(MARKER)) return [`the answer ${shown} repeats the marker`];
  if (NEVER_TYPED.test(reply)) {
    return [`the answer ${shown} holds a control character`];
  }
  if (INTRODUCED.test(reply)) return [`the answer ${shown} holds a stray ESC`];
  // Text between two sequences would be typed.
  const rest = reply
    // deno-lint-ignore no-control-regex
    .replace(/\x1b[\]P][^\x1b]*\x1b\\|\x1b\[[0-?]*[ -/]*[@-~]/g, "");
  return rest === "" ? [] : [`the answer ${shown} types ${rest}`];
}

/** A drawing holds only these control characters: ESC, the two shifts, CAN at its beginning. */
// deno-lint-ignore no-control-regex
const NEVER_DRAWN = /[\x00-\x0d\x10-\x17\x19\x1a\x1c-\x1f\x7f-\x9f]/;

function complainOfDrawing(screen: Screen): string[] {
  const complaints: string[] = [];
  const restored = screen.modes.restoreSequence();
  if (restored.includes(MARKER)) {
    complaints.push(`restoring repeats the marker: ${restored}`);
  }
  if (restored.length > 20_000) {
    complaints.push(`restoring takes ${restored.length} characters`);
  }
  const drawing = screen.redraw();
  if (NEVER_DRAWN.test(drawing) || drawing.lastIndexOf("\x18") > 0) {
    complaints.push(`a control character is drawn: ${JSON.stringify(drawing)}`);
  }
  return complaints;
}

async function fuzzAnswers({ short, random, count, over }: Context) {
  const complaints: Complaint[] = [];
  const total = short ? 20_000 : 1_000_000;
  let screen = new Screen(80, 24);
  await screen.load();
  let done = 0;
  for (; done < total && !over(); done++) {
    // An unfinished sequence continues in the next output. Now and then a new screen begins.
    if (done % 500 === 0) {
      screen = new Screen(2 + random.below(100), 1 + random.below(40));
      await screen.load();
    }
    const text = outputWithMarker(random);
    const bytes = encoder.encode(text);
    const found: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = 1 + random.below(bytes.length);
      const questions = screen.append(bytes.subarray(at, at + length));
      at += length;
      for (const question of questions) {
        const reply = answer(question.text, screen, question.end);
        found.push(...complainOfAnswer(reply));
        found.push(...complainOfAnswer(answerStatus(question.text)));
      }
    }
    if (done % 50 === 0) found.push(...complainOfDrawing(screen));
    for (const one of found) {
      complaints.push({
        case: `case ${done} ${JSON.stringify(text)}`,
        text: one,
      });
    }
    if (complaints.length > 20) break;
  }
  count(done, complaints);
}

/** A few bytes that may cause much work. */
function multiplier(random: Random): string {
  const number = random.pick(["", "1", "5", "999", "99999", "2147483647"]);
  return random.pick([
    ...["x", "é", `e${"\u0301".repeat(random.below(300))}`, "漢"].map((c) =>
      `${c}\x1b[${number}b`
    ),
    ...[..."@ABCDEFGHIJKLMPSTXZ`abcdefghijklmnopqrstu"].map((final) =>
      `\x1b[${number}${final}`
    ),
    ...["\x1b[ @", "\x1b[ A", "\x1b['}", "\x1b['~", "\x1b[?J", "\x1b[?1;2J"],
    ...[
      "\x1bc",
      "\x1b#8",
      "\x1b[!p",
      "\x1bM",
      "\x1bD",
      "\x1bE",
      "\x1b7",
      "\x1b8",
    ],
    ...[
      "\x1b[?1049h\x1b[?1049l",
      "\x1b[?47h",
      "\x1b[?47l",
      "\x1b[?3h",
      "\x1bH",
    ],
    ...[
      "\x1b[1;5r\x1b[5H\n\n\n\n\n\n\n\n",
      "\x1b[H",
      "\n",
      "\r",
      "\t",
      "\x1b[4h",
    ],
    ...[`\x1b]8;;${"u".repeat(random.below(3000))}\x1b\\x`, "\x1b]8;;\x1b\\"],
    ...["\x1b]4;1;#123\x07", "\x1b]104\x07", "\x1b]2;title\x07", "\x1b[22t"],
    ...["\x1b[?1s", "\x1b[?1r", "\x1b[>1u", "\x1b[<9u", "\x1b[6n", "\x1b[c"],
  ]);
}

/** 64 KiB of such bytes must not take long: 1.5 s here, a tenth of that on an idle machine. */
async function fuzzFloods({ short, random, count, over }: Context) {
  const complaints: Complaint[] = [];
  const total = short ? 60 : 3000;
  let done = 0;
  for (; done < total && !over(); done++) {
    const pieces = Array.from(
      { length: 1 + random.below(3) },
      () => multiplier(random),
    );
    const unit = encoder.encode(pieces.join(""));
    const bytes = new Uint8Array(64 * 1024);
    for (let i = 0; i < bytes.length; i++) bytes[i] = unit[i % unit.length]!;
    const screen = new Screen(120, 40);
    await screen.load();
    screen.append(encoder.encode("text\r\n".repeat(random.below(2000))));
    screen.catchUp();
    const start = performance.now();
    const questions = screen.append(bytes);
    for (const { text, end } of questions.slice(0, 512)) {
      answer(text, screen, end);
    }
    screen.catchUp();
    const ms = performance.now() - start;
    const shown = JSON.stringify(pieces.join("").slice(0, 200));
    const complain = (text: string) =>
      complaints.push({ case: `case ${done} ${shown}`, text });
    if (ms > 1500) complain(`64 KiB took ${ms.toFixed()} ms`);
    const { lines } = screen.text({ scrollback: 1000, ansi: true });
    const length = lines.reduce((sum, line) => sum + line.length, 0);
    if (length > 4 * 1024 * 1024) complain(`${length} characters to print`);
  }
  count(done, complaints);
}

/** All faults of this file. */
export const FUZZ_ANSWER_FAULTS: readonly Fault[] = [
  {
    name: "fuzz-answers",
    about:
      "a marker in everything a program can ask or set: no answer repeats it",
    run: fuzzAnswers,
  },
  {
    name: "fuzz-floods",
    about: "64 KiB of a few bytes that cause much work",
    run: fuzzFloods,
  },
];
