/**
 * Fuzzing of terminals: frames that clients send to a relay, output that programs write.
 *
 * One live relay gets random bytes on its socket, over and over. It must close that client
 * with a clear reason, and keep serving a client that behaves. Output goes through the code
 * that keeps, draws and prints a screen, thousands of times in this process; a smaller number
 * goes through real sessions and the program.
 *
 * @module
 */
import { createSession, readPlainLog, waitForSession } from "../mod.ts";
import {
  decode,
  encodeFrame,
  Frame,
  FrameReader,
  PROTOCOL,
} from "../relay/protocol.ts";
import { connectRelay, type RelayConnection } from "../relay/connection.ts";
import { Crop } from "../screen/crop.ts";
import { StatusRecords } from "../screen/program_status.ts";
import { Screen } from "../screen/screen.ts";
import { Notifications, type Told } from "../screen/told.ts";
import { connectIn } from "../relay/socket.ts";
import { pathsFor } from "../store.ts";
import { concat } from "../system/bytes.ts";
import { terminalStatusAt } from "../client/terminal_status.ts";
import {
  type Complaint,
  type Context,
  type Fault,
  type Random,
  within,
} from "./fault.ts";
import { judge } from "./judgement.ts";
import { anything, damage, junk } from "./noise.ts";
import { cli, complainOf, see, until, World } from "./world.ts";

const ID = "subject";

const HELLO = encodeFrame(Frame.HELLO, { protocol: PROTOCOL });

/** A frame that a client could send, valid or slightly invalid. */
function frame(random: Random): Uint8Array<ArrayBuffer> {
  const number = () =>
    random.pick<unknown>([1, 24, 80, 1000, 0, -1, 1.5, 1e99, "80", null]);
  const size = () => ({ columns: number(), rows: number() });
  switch (random.below(11)) {
    case 0:
      return encodeFrame(Frame.ATTACH, {
        ...size(),
        readOnly: random.pick<unknown>([true, false, 7, undefined]),
      });
    case 1:
      return encodeFrame(Frame.INPUT, junk(random));
    case 2:
      return encodeFrame(Frame.RESIZE, size());
    case 3:
      return encodeFrame(Frame.DETACH);
    case 4:
      return encodeFrame(Frame.SCREEN, {
        scrollback: number(),
        ansi: random.below(2) === 0,
      });
    case 5: {
      const part = random.pick<unknown>([
        { text: junk(random) },
        { key: random.pick(["enter", "up", "ctrl-c", "nope", "", "f99"]) },
        { raw: random.pick(["AAAA", "%%%", "A", ""]) },
        anything(random),
      ]);
      const parts = random.pick<unknown>([[part], part, [part, part]]);
      return encodeFrame(Frame.SEND, { parts, timeoutMs: 100 });
    }
    case 6:
      return encodeFrame(Frame.WATCH);
    case 7:
      return HELLO;
    case 8:
      return encodeFrame(random.below(12), JSON.stringify(anything(random)));
    case 9:
      return encodeFrame(random.below(256), junk(random));
    default: {
      // A length that does not match what follows.
      const bytes = encodeFrame(random.below(40), junk(random));
      const length = random.pick([0, 1, 5, 4096, 8388608, 8388609, 4294967295]);
      new DataView(bytes.buffer).setUint32(0, length, true);
      return bytes;
    }
  }
}

/** Everything that one client sends. */
function talk(random: Random): Uint8Array<ArrayBuffer> {
  if (random.below(8) === 0) {
    return Uint8Array.from(
      { length: random.below(3000) },
      () => random.below(256),
    );
  }
  const greeting = random.below(5) === 0
    ? encodeFrame(Frame.HELLO, { protocol: anything(random) })
    : HELLO;
  const frames = Array.from({ length: random.below(6) }, () => frame(random));
  const bytes = concat([
    ...(random.below(12) === 0 ? [] : [greeting]),
    ...frames,
  ]);
  return random.below(3) === 0 ? damage(random, bytes) : bytes;
}

/** Sends bytes to the relay and reads its answer; complains about what is wrong with it. */
async function say(dir: string, bytes: Uint8Array): Promise<string[]> {
  using conn = await connectIn(dir);
  const reader = new FrameReader(256 * 1024 * 1024);
  const complaints: string[] = [];
  const hear = async () => {
    for (let count; (count = await conn.read(reader.room)) !== null;) {
      reader.filled(count);
      for (let heard = reader.next(); heard; heard = reader.next()) {
        if (heard.type !== Frame.ERROR) continue;
        const { code, message } = decode(Frame.ERROR, heard);
        if (code !== "malformed" && code !== "version") {
          complaints.push(`the error code is ${code}`);
        }
        if (/Cannot read|is not (a function|iterable)|\n/.test(`${message}`)) {
          complaints.push(`the message is ${message}`);
        }
      }
    }
  };
  const listening = hear().catch((error) => {
    // The relay may close while we still send.
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  });
  try {
    for (let at = 0; at < bytes.length;) {
      at += await conn.write(bytes.subarray(at));
    }
    await conn.closeWrite();
  } catch {
    // The relay has closed already.
  }
  await within(listening, 10_000);
  return complaints;
}

async function screenOf(good: RelayConnection): Promise<void> {
  await good.send(encodeFrame(Frame.SCREEN, { scrollback: 0, ansi: false }));
  for (;;) {
    const heard = await good.next();
    if (heard === undefined) {
      throw new Error("the relay closed the good client");
    }
    if (heard.type === Frame.SCREEN_REPLY) return;
  }
}

async function fuzzProtocol({ short, random, count, seed, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const complaints: Complaint[] = [];
  // The program writes everything that is typed, escape sequences included.
  const command = ["sh", "-c", "stty raw -echo; echo ready; exec cat"];
  const session = await createSession({ root, id: ID, kind: "pty", command });
  const { paths, pids } = session;
  const ready = () => Deno.readTextFileSync(paths.stdout).includes("ready");
  await until(ready);
  const files = () => [...Deno.readDirSync(`/proc/${pids.relay!}/fd`)].length;
  let done = 0;
  {
    using good = await connectRelay(paths);
    await screenOf(good);
    const before = files();
    const total = short ? 1500 : 60_000;
    for (; done < total && !over(); done++) {
      const bytes = talk(random);
      const complain = (text: string) => {
        const hex = [...bytes.subarray(0, 400)]
          .map((byte) => byte.toString(16).padStart(2, "0")).join("");
        complaints.push({ case: `case ${done} ${hex}`, text });
      };
      try {
        for (const text of await say(paths.dir, bytes)) complain(text);
        if (done % 50 === 0) await within(screenOf(good), 10_000);
      } catch (error) {
        complain(`${error}`);
      }
      if (see(pids.relay!) === undefined) complain("the relay is dead");
      if (complaints.length > 20 || see(pids.relay!) === undefined) break;
    }
    const none = () => terminalStatusAt(paths, true)?.clients === 0;
    if (!await until(() => none() && files() <= before)) {
      complaints.push({
        case: `seed ${seed}`,
        text: `the relay has ${files()} open files, ${before} before`,
      });
    }
  }
  const said = Deno.readTextFileSync(paths.stderr);
  if (said !== "") {
    complaints.push({ case: `seed ${seed}`, text: `the relay says ${said}` });
  }
  for (const text of await judge(world)) {
    complaints.push({ case: `seed ${seed}`, text });
  }
  count(done, complaints);
}

const FINALS = "@ABCDEFGHIJKLMPSTXZ`abcdefghilmnpqrstuxyz{|}~";

/** A piece of what a program writes. */
function piece(random: Random): string {
  const number = () =>
    random.pick(["", "0", "1", "2", "5", "80", "999", "99999999999", "-1"]);
  const numbers = () =>
    Array.from({ length: random.below(4) }, number)
      .join(random.pick([";", ":"]));
  switch (random.below(14)) {
    case 0:
    case 1:
      return "word ".repeat(random.below(30));
    case 2:
      return random.pick(["\r\n", "\n", "\r", "\t", "\b", "\x0b", "\x0c"]);
    case 3:
    case 4:
    case 5:
      return `\x1b[${random.pick(["", "", "?", ">", "=", "!"])}${numbers()}${
        random.pick(["", "", "", " ", "$", "'"])
      }${random.pick([...FINALS])}`;
    case 6: {
      const mode = random.pick([1, 5, 6, 7, 12, 25, 47, 69, 1000, 1006, 1047])
        .toString();
      const one = random.pick([mode, "1048", "1049", "2004", "2026", "3"]);
      return `\x1b[?${one}${random.pick(["h", "l"])}`;
    }
    case 7:
      return `\x1b]${
        random.pick(["0", "2", "4", "8", "10", "52", "1337", ""])
      };${junk(random)}${random.pick(["\x07", "\x1b\\", "\x9c", ""])}`;
    case 8:
      return `\x1b${random.pick(["P", "_", "^", "X"])}${junk(random)}${
        random.pick(["\x1b\\", "", "\x18"])
      }`;
    case 9:
      return `\x1b${random.pick([..."78=>cDEHMNOZ#8(0)B*A"])}`;
    case 10:
      return `\x1b[${numbers()}m${
        random.pick(["会议", "é", "e\u0301", "👩‍👩‍👧", "🇩🇪", "ｗ", "\u200b"])
      }`;
    case 12:
      return telling(random);
    case 11:
      return `\x1b[${number()};${number()}${random.pick(["H", "r", "s"])}`;
    default:
      return junk(random);
  }
}

/** What a program tells beside the screen: reports, notifications, prompts. */
function telling(random: Random): string {
  const text = () => {
    const bytes = new TextEncoder().encode(junk(random, 300));
    return random.pick([junk(random), bytes.toBase64(), "a".repeat(4000)]);
  };
  const word = () => random.pick(["working", "done", "x", junk(random)]);
  const pair = () =>
    random.pick([
      ...[`state=${word()}`, "state=blocked", "state=clear", "state=working"],
      ...[`id=${word()}`, `id=${random.below(400)}`, "id=a/b", "kind=auth"],
      ...[`msg=${text()}`, `title=${text()}`, `app=${word()}`, text()],
      ...[`progress=${random.pick(["0", "50", "101", "-1", "1e3"])}`, ":::"],
    ]);
  const pairs = () =>
    Array.from({ length: random.below(6) }, pair).join(
      random.pick([":", ":", ";"]),
    );
  const body = random.pick([
    ...[`7501;state=idle:${pairs()}`, `7501;${pairs()}`, "7501;?"],
    ...[`9;${text()}`, "9;4;1;50", `777;notify;${text()};${text()}`],
    ...[`99;${pairs()};${text()}`, `99;i=1:d=0:e=1;${text()}`, "133;A"],
    ...[`0;${text()}`, `2;${text()}`],
  ]);
  const end = random.pick(["\x07", "\x1b\\", "\u009c", "", "\x18"]);
  return `${random.pick(["\x1b]", "\u009d"])}${body}${end}\x07`;
}

/** Takes what is told as a relay does, and complains about what it keeps. */
class Listener {
  readonly #records = new StatusRecords();
  readonly #notifications = new Notifications();
  readonly complaints: string[] = [];

  take(told: Told): void {
    if (told.type === "report") this.#records.apply(told.body, Date.now());
    if (told.type === "prompt") this.#records.endActivity();
    if (told.type === "reset") this.#records.reset();
    if (told.type !== "notification") return;
    this.#check(this.#notifications.take(told.part));
  }

  /** Complains about the records. */
  end(): string[] {
    const records = this.#records.byUrgency;
    if (records.length > 256) this.complaints.push("more than 256 records");
    for (const record of records) this.#check(record);
    return this.complaints;
  }

  #check(kept: object | undefined): void {
    for (const [name, value] of Object.entries(kept ?? {})) {
      if (typeof value !== "string") continue;
      const isBad = CONTROL.test(value) || value.length > 2048 ||
        /[\u202a-\u202e\u2066-\u2069]/.test(value);
      if (isBad) {
        this.complaints.push(`${name} is ${JSON.stringify(value)}`);
      }
    }
  }
}

function output(random: Random): Uint8Array<ArrayBuffer> {
  const pieces = Array.from({ length: random.below(40) }, () => piece(random));
  const bytes = new TextEncoder().encode(pieces.join(""));
  switch (random.below(4)) {
    case 0:
      return damage(random, bytes);
    case 1: // Cut anywhere, also in the middle of a character.
      return bytes.slice(0, random.below(bytes.length + 1));
    default:
      return bytes;
  }
}

// Text may have marks of direction, but nothing that steers a terminal.
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
// deno-lint-ignore no-control-regex
const STYLES = /\x1b\[[0-9;:]*[A-Za-z]|\x1b\]8;[^\x00-\x1f]*\x1b\\/g;

/** The text of a screen. Blanks at the ends of lines may be drawn or left out, so they go. */
function trimmed(screen: Screen): string {
  return screen.text().lines.map((line) => line.trimEnd()).join("\n");
}

/** A window of another size. After many paintings it must show what one whole painting shows. */
async function openWindow(random: Random) {
  const columns = 1 + random.below(100);
  const rows = 1 + random.below(40);
  const open = async () => {
    const view = new Screen(Math.max(2, columns), rows);
    await view.load();
    return { view, crop: new Crop() };
  };
  const show = (
    screen: Screen,
    { view, crop }: Awaited<ReturnType<typeof open>>,
  ) => {
    const { text } = screen.paint(crop, { columns, rows });
    view.append(new TextEncoder().encode(text));
    return view.text().lines.join("\n");
  };
  const kept = await open();
  return {
    paint: (screen: Screen) => void show(screen, kept),
    async complain(screen: Screen): Promise<string[]> {
      // A hidden cursor would leave the view where it was.
      screen.append(new TextEncoder().encode("\x18\x1b\\\x1b[?25h"));
      const [shown, whole] = [show(screen, kept), show(screen, await open())];
      return shown === whole ? [] : [
        `painted ${JSON.stringify(shown)}, as a whole ${JSON.stringify(whole)}`,
      ];
    },
  };
}

/** Feeds output to a screen as a relay does, in pieces, with changing sizes; checks its text and redraw. */
async function draw(random: Random, bytes: Uint8Array): Promise<string[]> {
  const complaints: string[] = [];
  const listener = new Listener();
  const screen = new Screen(
    1 + random.below(100),
    1 + random.below(40),
    (told) => listener.take(told),
  );
  if (random.below(2) === 0) await screen.load();
  const window = await openWindow(random);
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random.below(500);
    screen.append(bytes.subarray(at, at + length));
    at += length;
    if (random.below(5) > 0) continue;
    await screen.load();
    screen.resize(1 + random.below(100), 1 + random.below(40));
    window.paint(screen);
  }
  complaints.push(...listener.end());
  await screen.load();
  complaints.push(...await window.complain(screen));
  const { lines, ...rest } = screen.text({ scrollback: 50 });
  for (const line of lines) {
    if (CONTROL.test(line)) complaints.push(`text: ${JSON.stringify(line)}`);
  }
  for (const line of screen.text({ scrollback: 50, ansi: true }).lines) {
    if (CONTROL.test(line.replace(STYLES, ""))) {
      complaints.push(`ansi: ${JSON.stringify(line)}`);
    }
  }
  const again = new Screen(rest.columns, rest.rows);
  await again.load();
  again.append(new TextEncoder().encode(screen.redraw()));
  const shown = trimmed(screen);
  const redrawn = trimmed(again);
  // Not redrawn exactly: a character without a width alone in a cell, and a wide character
  // that a narrower window has cut in half.
  const isOdd = /[\p{Cf}\p{M}]|[\u1100-\u{10ffff}]$/mu.test(shown);
  if (shown !== redrawn && !isOdd) {
    complaints.push(
      `${JSON.stringify(shown)} is drawn as ${JSON.stringify(redrawn)}`,
    );
  }
  return complaints;
}

/** Reads the same output as the log of an ended session, as text. */
async function readPlain(root: string, bytes: Uint8Array): Promise<string[]> {
  Deno.writeFileSync(pathsFor(ID, { root }).stdout, bytes);
  for await (const line of readPlainLog(ID, { root })) {
    if (CONTROL.test(line)) return [`logs --plain: ${JSON.stringify(line)}`];
  }
  return [];
}

async function fuzzOutput({ short, random, count, seed, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const complaints: Complaint[] = [];
  await createSession({ root, id: ID, kind: "pty", command: ["true"] });
  await waitForSession(ID, { root });
  const total = short ? 800 : 40_000;
  let done = 0;
  for (; done < total && !over(); done++) {
    const bytes = output(random);
    const found: string[] = [];
    try {
      found.push(...await within(draw(random, bytes), 10_000));
      found.push(...await within(readPlain(root, bytes), 10_000));
    } catch (error) {
      found.push(`${error instanceof Error ? error.stack : error}`);
    }
    const shown = JSON.stringify(new TextDecoder().decode(bytes));
    for (const text of found) {
      complaints.push({ case: `case ${done} ${shown}`, text });
    }
    if (complaints.length > 20) break;
  }
  for (const text of await judge(world)) {
    complaints.push({ case: `seed ${seed}`, text });
  }
  count(done, complaints);
}

function controls(text: string): string[] {
  const found = CONTROL.exec(text.replaceAll("\n", ""));
  return found === null ? [] : [`it prints ${JSON.stringify(found[0])}`];
}

/** Complains about the files of what a program has told. */
function complainOfTelling(root: string): string[] {
  const { status, events } = pathsFor(ID, { root });
  const complaints: string[] = [];
  for (const path of [status, events]) {
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch {
      continue; // It has told nothing.
    }
    if (path === status && text.length > 32 * 1024) {
      complaints.push(`status.json has ${text.length} characters`);
    }
    for (const line of text.split("\n").slice(0, -1)) {
      JSON.parse(line, (_, value) => {
        if (typeof value === "string" && CONTROL.test(value)) {
          complaints.push(`${path}: ${line}`);
        }
      });
    }
  }
  return complaints;
}

/** Generated output of real programs, read by the real commands while they run and afterwards. */
async function fuzzScreens({ short, random, injectAll }: Context) {
  const cases = Array.from({ length: short ? 6 : 150 }, (_, i) => {
    const bytes = output(random);
    return [`case ${i}`, async () => {
      await using world = await World.make();
      const { root } = world;
      const file = `${world.dir}/canary.output`;
      Deno.writeFileSync(file, bytes);
      const command = ["sh", "-c", 'cat "$1"; stty raw; read -r _', "sh", file];
      await createSession({ root, id: ID, kind: "pty", command });
      const calls = [["screen"], ["screen", "--json"], ["logs", "--plain"]];
      const complaints: string[] = [];
      const look = async (args: readonly string[]) => {
        const ended = await cli(root, args);
        const found = [...complainOf(ended, [0]), ...controls(ended.stdout)];
        complaints.push(...found.map((text) => `${args.join(" ")}: ${text}`));
      };
      for (const call of calls) await look([...call, ID]);
      await look(["list"]);
      await look(["show", ID]);
      complaints.push(...complainOfTelling(root));
      await cli(root, ["stop", "-t", "1", ID]);
      for (const call of calls) await look([...call, ID]);
      return [...complaints, ...await judge(world)];
    }] as const;
  });
  await injectAll(cases);
}

/** All faults of this file. */
export const FUZZ_TERMINAL_FAULTS: readonly Fault[] = [
  {
    name: "fuzz-protocol",
    about: "bytes and frames of the attach protocol, sent to a live relay",
    run: fuzzProtocol,
  },
  {
    name: "fuzz-output",
    about: "terminal output, drawn, redrawn and printed",
    run: fuzzOutput,
  },
  {
    name: "fuzz-screens",
    about: "terminal output of real sessions, read by the real commands",
    run: fuzzScreens,
  },
];
