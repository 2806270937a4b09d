/**
 * What a terminal's program tells: the answer that makes it tell, the files that keep it, and
 * what ends it. In real sessions.
 */
import { sendKeys } from "../../client/terminal.ts";
import { readConversation } from "../../events/conversation_file.ts";
import { readTold } from "../../events/status_file.ts";
import type { Paths } from "../../store.ts";
import { pathsIn, readPids, readState } from "../../store.ts";
import { exists } from "../../system/files.ts";
import { geteuid } from "../../system/libc.ts";
import {
  assert,
  assertEquals,
  isRunning,
  PROJECT,
  SmallDisk,
  TestRoot,
  until,
} from "../helpers.ts";
import { attachCommand, startTerminal, TestWindow } from "../pty.ts";

/** Prints what it is told to, in the form of printf(1). */
const PRINTER = 'stty -echo; echo ready; while read -r x; do printf "$x"; done';
const BODY = {
  working: "\\033]7501;state=working\\a",
  blocked: "\\033]7501;state=blocked:kind=permission\\033\\\\",
  done: "\\033]7501;state=done\\a",
  clear: "\\033]7501;state=clear\\a",
};

/** A session of a program that prints what it is told to. */
class Printer implements AsyncDisposable {
  private constructor(
    readonly root: TestRoot,
    readonly dir: string,
    readonly paths: Paths,
  ) {}

  static async start(
    { name = "printer", script = PRINTER, args = [] as string[] } = {},
  ): Promise<Printer> {
    const root = new TestRoot();
    // The relay knows an agent by its program's name.
    Deno.copyFileSync("/bin/sh", `${root.dir}/${name}`);
    const argv = [`${root.dir}/${name}`, "-c", script, ...args];
    const paths = await startTerminal(root.dir, "a", argv);
    const printer = new Printer(root, root.dir, paths);
    await printer.hasPrinted("ready");
    return printer;
  }

  get log(): string {
    return Deno.readTextFileSync(this.paths.stdout);
  }

  async hasPrinted(text: string): Promise<void> {
    await until(() => this.log.includes(text), text);
  }

  async print(text: string): Promise<void> {
    await sendKeys("a", [{ text }, { key: "enter" }], { root: this.dir });
  }

  /** The events without their times; those of input only if they are asked for. */
  events(withInput = false): Record<string, unknown>[] {
    return Deno.readTextFileSync(this.paths.events).split("\n").slice(0, -1)
      .map((line) => {
        const { at, ...facts } = JSON.parse(line);
        assert(Math.abs(Date.parse(at) - Date.now()) < 60_000);
        return facts;
      })
      .filter(({ type }) => withInput || type !== "input");
  }

  /** The values of the events about the status. */
  get statuses(): unknown[] {
    return this.events().filter(({ type }) => type === "status")
      .map(({ status }) => (status as { value: string } | null)?.value ?? null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.root[Symbol.asyncDispose]();
  }
}

/** Asks in both forms, each before the question behind which an agent stops waiting. */
const PROBE = `
import os, select, sys, time, tty
tty.setraw(0)
os.write(1, b"ready")
for end in ("\\x07", "\\x1b\\\\"):
    sys.stdin.buffer.raw.read(1)
    os.write(1, ("\\x1b]7501;?" + end + "\\x1b[c").encode())
    got = b""
    while not got.endswith(b"c"): got += os.read(0, 4096)
    open("answers", "a").write(got.decode().replace("\\x1b", "E").replace("\\x07", "B") + "\\n")
`;

for (const how of ["nobody", "a client"]) {
  Deno.test(`relay answers the query of OSC 7501 before CSI c while ${how} is attached`, async () => {
    await using root = new TestRoot();
    const { dir } = root;
    const answers = () => {
      try {
        return Deno.readTextFileSync(`${dir}/answers`).trim().split("\n");
      } catch {
        return [];
      }
    };
    const paths = await startTerminal(dir, "a", ["python3", "-c", PROBE]);
    await until(() => Deno.readTextFileSync(paths.stdout).includes("ready"));
    await using stack = new AsyncDisposableStack();
    const term = how === "nobody"
      ? undefined
      : stack.use(await TestWindow.open(attachCommand(dir, "a")));
    await term?.shows(/ready/);
    for (const count of [1, 2]) {
      // Not typed by the window: it must not lead with anything but its answer.
      await sendKeys("a", [{ text: "x" }], { root: dir });
      if (term !== undefined) {
        const asked = () => term.output.split("\x1b[c").length === count + 1;
        await until(asked, "the question at the client's terminal");
        term.type("\x1b[?62c");
      }
      await until(() => answers().length === count, "the answers");
    }
    const device = how === "nobody" ? "E[?1;2c" : "E[?62c";
    assertEquals(answers(), [
      `E]7501;?B${device}`,
      `E]7501;?E\\${device}`,
    ]);
    // Its terminal must not answer, too.
    assert(!term?.output.includes("7501"));
  });
}

Deno.test("relay shows no client a query of OSC 7501 that comes in two parts", async () => {
  // The answer stands before the next line.
  const script = PRINTER.replace("$x", "${x##*@}");
  await using printer = await Printer.start({ script });
  await using term = await TestWindow.open(attachCommand(printer.dir, "a"));
  await term.shows(/ready/);
  const query = "\x1b]7501;?\x1b\\";
  for (const cut of [1, 5, query.length - 1]) {
    const [one, two] = [query.slice(0, cut), query.slice(cut)].map((text) =>
      text.replaceAll("\\", "\\\\").replaceAll("\x1b", "\\033")
    );
    await printer.print(`@<${cut}${one}`);
    await until(() => term.output.includes(`<${cut}`), `part ${cut}`);
    await printer.print(`@${two}>`);
    await until(() => term.output.includes(`<${cut}>`), `all of ${cut}`);
  }
  assertEquals(printer.log.split(query).length, 4);
});

Deno.test("relay keeps what only begins like a query of OSC 7501", async () => {
  const script = "stty raw -echo; printf 'ready\\033]75'";
  await using printer = await Printer.start({ script });
  await until(() => readState(printer.paths).state === "exited");
  assert(printer.log.endsWith("ready\x1b]75"));
});

Deno.test("relay ends the conversation with a program that types back all that it gets", async () => {
  const script = "stty raw -echo; printf 'ready\\033]7501;?\\033\\\\'; cat";
  await using printer = await Printer.start({ script });
  await sendKeys("a", [{ text: "end" }], { root: printer.dir });
  await printer.hasPrinted("end");
  const rounds = printer.log.split("7501;?").length - 1;
  assert(rounds > 1 && rounds < 20, `${rounds} rounds`);
});

Deno.test("Observer keeps what a program reports, and passes it on to clients", async () => {
  await using printer = await Printer.start();
  const { dir, paths } = printer;
  assert(!exists(paths.status));
  assertEquals(printer.events(), []);
  await using term = await TestWindow.open(attachCommand(dir, "a"));
  await term.shows(/ready/);
  const { working, blocked, done, clear } = BODY;
  await printer.print(working + working + blocked);
  const told = await until(() => {
    const told = readTold(paths);
    return told?.records[0]?.value === "blocked" ? told : undefined;
  });
  const { kind, since } = told.records[0]!;
  assertEquals(kind, "permission");
  assert(Math.abs(since - Date.now()) < 60_000);
  assertEquals(
    told.group,
    readState(paths).state === "running"
      ? JSON.parse(Deno.readTextFileSync(`${paths.dir}/terminal.json`)).agent
      : undefined,
  );
  assertEquals(Deno.statSync(paths.status).mode! & 0o777, 0o600);
  await until(() => term.output.includes("\x1b]7501;state=working\x07"));
  // Cut in the middle.
  await printer.print(`${done.slice(0, 9)}`);
  await printer.print(done.slice(9));
  await until(() => printer.statuses.at(-1) === "done");
  await printer.print(clear);
  await until(() => printer.statuses.at(-1) === null);
  await until(() => readTold(paths)?.records.length === 0);
  assertEquals(printer.events(), [
    { type: "attached", clients: 1 },
    { type: "status", status: { value: "working", source: "terminal" } },
    {
      type: "status",
      status: { value: "blocked", kind: "permission", source: "terminal" },
    },
    { type: "status", status: { value: "done", source: "terminal" } },
    { type: "status", status: null },
  ]);
  term.type("\x1c");
  await term.ended();
  await until(() => printer.events().at(-1)?.type === "detached");
});

Deno.test("Observer ends a status with its program, at a shell's prompt, and at a reset", async () => {
  await using printer = await Printer.start();
  const { working, done } = BODY;
  await printer.print(`${working}\\033]133;A\\a`);
  await until(() => printer.statuses.at(-1) === null);
  await printer.print(`${done}\\033]133;A\\a\\033c`);
  await until(() => printer.statuses.length === 4);
  assertEquals(printer.statuses, ["working", null, "done", null]);
});

Deno.test("Observer ends the status of a file that was shown, once the program is gone that did", async () => {
  const script = "echo ready; exec bash --norc --noprofile -i";
  await using printer = await Printer.start({ script });
  Deno.writeTextFileSync(
    `${printer.dir}/evil`,
    "\x1b]7501;state=blocked:kind=permission\x07",
  );
  await printer.print("(cat evil; sleep 0.3)");
  await until(() => printer.statuses.includes("blocked"));
  await printer.print("echo over");
  await until(() => printer.statuses.at(-1) === null);
});

Deno.test("Observer takes Gemini's title for a status, and no shell's", async () => {
  const titles = [
    ...["✦  Thinking (x)", "✋  Action Required (x)", "◇  Ready (x)", "x"],
  ].map((title) => `\\033]0;${title}\\a`);
  for (const name of ["gemini", "printer"]) {
    await using printer = await Printer.start({ name });
    for (const [i, title] of titles.entries()) {
      await printer.print(`${title}${i}.`);
      await printer.hasPrinted(`${i}.`);
    }
    await until(() => printer.events().at(-1)?.title === "x");
    const told = printer.events().filter(({ type }) => type === "status")
      .map(({ status }) => status);
    assertEquals(
      told,
      name === "printer" ? [] : [
        { value: "working", message: "Thinking (x)", source: "rule" },
        { value: "blocked", source: "rule" },
        { value: "idle", source: "rule" },
        null,
      ],
    );
    assertEquals(exists(printer.paths.status), name === "gemini");
    // Its own word is better.
    await printer.print(BODY.done + titles[1] + BODY.clear + titles[0]);
    await until(() => printer.events().at(-1)?.title === "✦  Thinking (x)");
    assertEquals(printer.statuses.slice(told.length), ["done", null]);
  }
});

Deno.test("Observer tells a title once, whatever its spinner shows, and notifications", async () => {
  await using printer = await Printer.start();
  const title = (text: string) => `\\033]0;${text}\\a`;
  await printer.print(
    ["⠋ make", "⠙ make", "⠹ make"].map(title).join("") + "1.",
  );
  await until(() => printer.events().length === 1);
  await printer.print(title("⠸ make") + "\\033]9;Done\\a\\a\\a2.");
  await printer.print(title("other") + "3.");
  await until(() => printer.events().at(-1)?.type === "title");
  await until(() => printer.events().at(-1)?.title === "other");
  assertEquals(printer.events(), [
    { type: "title", title: "⠹ make" },
    { type: "notification", body: "Done" },
    { type: "notification", body: "" },
    { type: "title", title: "other" },
  ]);
});

Deno.test("Observer notes input before the program gets it, and once until something else happens", async () => {
  await using printer = await Printer.start();
  await printer.print("one.");
  await printer.print("two.");
  await printer.hasPrinted("two.");
  assertEquals(printer.events(true), [{ type: "input" }]);
  await printer.print(BODY.working);
  await until(() => printer.statuses.length === 1);
  await printer.print("three.");
  await printer.hasPrinted("three.");
  const types = printer.events(true).map(({ type }) => type);
  assertEquals(types, ["input", "status", "input"]);
});

Deno.test("Observer writes little, however fast and however much a program tells", async () => {
  const message = new TextEncoder().encode("m".repeat(2000)).toBase64();
  const script = `echo ready; read x; i=0
    while [ $i -lt 254 ]; do
      printf '\\033]7501;state=idle:id=%s:msg=${message}\\a' $i; i=$((i+1))
    done
    printf '\\033]7501;state=blocked\\a'
    i=0; while [ $i -lt 3000 ]; do
      printf '\\033]7501;state=working:id=x\\a\\033]7501;state=done:id=x\\a'
      printf '\\033]9;note\\a\\033]0;t%s\\a' $i; i=$((i+1))
    done
    echo end; read x`;
  await using printer = await Printer.start({ script });
  await printer.print("");
  await printer.hasPrinted("end");
  // The last title comes late.
  await until(() => printer.events().at(-1)?.title === "t2999");
  const { size } = Deno.statSync(printer.paths.status);
  assert(size > 20_000 && size <= 32 * 1024, `${size} bytes`);
  assertEquals(readTold(printer.paths)?.records[0]?.value, "blocked");
  assert(printer.events().length < 200, `${printer.events().length} events`);
});

Deno.test("Observer and relay write nothing into another session when a link to that is in the directory's place", async () => {
  await using other = await Printer.start();
  // It swaps its own directory, and ends.
  const script = `echo ready; read x; mv a moved; ln -s "$0" a
    printf '${BODY.blocked}\\033]0;title\\a'; sleep 0.6`;
  await using printer = await Printer.start({
    script,
    args: [other.paths.dir],
  });
  const stateOf = () =>
    JSON.stringify(
      [...Deno.readDirSync(other.paths.dir)].map(({ name }) => name).sort()
        .map((name) => [
          name,
          Deno.statSync(`${other.paths.dir}/${name}`).mtime,
          Deno.statSync(`${other.paths.dir}/${name}`).ino,
        ]),
    );
  const before = stateOf();
  await printer.print("");
  const pids = await until(() =>
    readPids(pathsIn(`${printer.dir}/moved`, "a"))
  );
  await until(() => !isRunning(pids.agent)); // The relay.
  assertEquals(stateOf(), before);
});

Deno.test({
  name:
    "Observer records the conversation of the agent that a terminal's shell has started",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const id = "01a1ffb2-430a-7eb0-af3a-365bdf430a3c";
    const name = `rollout-2026-11-21T20-00-35-${id}.jsonl`;
    const script = `cp /bin/sleep codex; echo ready; read x
      (sleep 0.2; printf '${BODY.working}') & exec ./codex 60 3<${name}`;
    await using printer = await Printer.start({ script });
    Deno.copyFileSync(
      `${PROJECT}tests/agents/testdata/codex_turns.jsonl`,
      `${printer.dir}/${name}`,
    );
    await printer.print("");
    const found = await until(() => readConversation(printer.paths));
    const { agent, how, home } = found;
    assertEquals([agent, found.id, how], ["codex", id, "process"]);
    assert(home?.endsWith("/.codex"));
  },
});

Deno.test({
  name: "Observer on a full disk loses the status, and has it again with room",
  ignore: geteuid() !== 0, // Only root can mount one.
  async fn() {
    await using root = new TestRoot();
    await using disk = await SmallDisk.mount(`${root.dir}/disk`, "300k");
    if (disk === undefined) return;
    const { dir } = disk;
    const paths = await startTerminal(dir, "a", ["sh", "-c", PRINTER]);
    const print = (text: string) =>
      sendKeys("a", [{ text }, { key: "enter" }], { root: dir });
    await print(BODY.working);
    await until(() => readTold(paths)?.records[0]?.value === "working");
    disk.fill();
    await print(BODY.blocked);
    // No old status stays.
    await until(() => readTold(paths) === undefined);
    assertEquals(readState(paths).state, "running");
    disk.empty();
    await until(() => readTold(paths)?.records[0]?.value === "blocked");
  },
});
