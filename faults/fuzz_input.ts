/**
 * Fuzzing of files, arguments and command lines, repeatable by the seed.
 *
 * The library reads files in this process, thousands a second. Command lines go through the
 * parser in this process, and a smaller number through the real program.
 *
 * Each must give a result or one clear error: no other exception, no hang, no effect outside.
 *
 * @module
 */
import { describeError, type Io } from "../cli/io.ts";
import { list, show } from "../cli/list.ts";
import { wait } from "../cli/wait.ts";
import {
  ArgumentError,
  createSession,
  deleteSession,
  getSession,
  listSessions,
  pathsFor,
  pruneSessions,
  readLog,
  resolveSelector,
  SessionError,
  stopSession,
  waitFor,
  waitForSession,
} from "../mod.ts";
import { events } from "../cli/events.ts";
import { lastEntry } from "../events/journal.ts";
import { timesAt } from "../store.ts";
import { parseOptions } from "../cli/options.ts";
import { readPids, readState, readStopRequest } from "../store.ts";
import { COMMANDS, findCommand, optionsOf } from "../cli/usage.ts";
import {
  type Complaint,
  type Context,
  type Fault,
  type Random,
  within,
} from "./fault.ts";
import { judge } from "./judgement.ts";
import { anything, damage, junk } from "./noise.ts";
import { cli, complainOf, STEERING, World } from "./world.ts";

const META = {
  format: 1,
  id: "subject",
  kind: "exec",
  argv: ["true"],
  cwd: "/",
  env: ["A"],
  labels: { a: "b" },
  prompt: "true",
  createdAt: "2026-01-01T00:00:00.000Z",
  timeoutMs: 1000,
  rm: false,
};

const STOP =
  '{"by":"stop","at":"2026-01-01T00:00:00.000Z","signal":"SIGTERM"}\n';

const STATUS =
  '{"at":"2026-01-01T00:00:00Z","type":"status","status":{"value":"done","source":"rule","message":"m","progress":5}}\n';
const TITLE = '{"at":"2026-01-01T00:00:00Z","type":"title","title":"t"}\n';

type File = "meta" | "pid" | "exit" | "stop" | "lock" | "events";

function content(random: Random, file: File): Uint8Array<ArrayBuffer> {
  const number = () =>
    random.pick([
      "0",
      "1",
      "-1",
      "64",
      "65",
      "255",
      "256",
      "999",
      "4194305",
      "99999999999",
      "1.5",
      "1e3",
      " ",
      "",
    ]);
  switch (file) {
    case "meta": {
      if (random.below(3) === 0) return damage(random, JSON.stringify(META));
      const meta: Record<string, unknown> = { ...META };
      for (let i = random.below(3); i >= 0; i--) {
        const key = random.pick([...Object.keys(META), "new"]);
        if (random.below(4) === 0) delete meta[key];
        else if (random.below(3) === 0) {
          meta[key] = random.pick<unknown>([[junk(random)], {
            [junk(random)]: junk(random),
          }, junk(random)]);
        } else meta[key] = anything(random);
      }
      return new TextEncoder().encode(JSON.stringify(meta));
    }
    case "events":
      return damage(random, random.pick([STATUS, TITLE]).repeat(2));
    case "stop":
      return random.below(2) === 0
        ? damage(random, STOP)
        : new TextEncoder().encode(JSON.stringify(anything(random)));
    default: {
      const text = file === "pid"
        ? `${number()} ${number()} ${number()}\n`
        : `${
          random.pick(["code", "signal", "CODE", "", "core"])
        } ${number()}\n`;
      return random.below(2) === 0
        ? new TextEncoder().encode(text)
        : damage(random, text);
    }
  }
}

/** An {@linkcode Io} that collects what is printed. */
function fakeIo(said: string[], json: boolean): Io {
  const decoder = new TextDecoder();
  const say = (content: string | Uint8Array) => {
    said.push(typeof content === "string" ? content : decoder.decode(content));
  };
  return {
    out: say,
    err: say,
    columns: undefined,
    color: false,
    json,
    stdin: new ReadableStream({ start: (controller) => controller.close() }),
    stdinIsTerminal: false,
    stderrIsTerminal: false,
    interrupted: () => new AbortController().signal,
  } as Io;
}

function isClear(error: unknown): boolean {
  return error instanceof SessionError || error instanceof ArgumentError ||
    error instanceof RangeError;
}

async function fuzzFiles({ short, random, count, seed, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const paths = pathsFor("subject", { root });
  Deno.mkdirSync(paths.dir);
  const complaints: Complaint[] = [];
  const files: readonly File[] = [
    ...["meta", "pid", "exit", "stop", "lock", "events"] as const,
  ];
  const none = { flags: new Set<string>(), operands: [], values: new Map() };
  const total = short ? 2000 : 60_000;
  let done = 0;
  const home = Deno.env.get("CODEX_SESSION_HOME");
  Deno.env.set("CODEX_SESSION_HOME", root);
  for (; done < total && !over(); done++) {
    const contents: Partial<Record<File, string>> = {};
    for (const file of files) {
      Deno.writeTextFileSync(
        paths[file],
        file === "meta" ? JSON.stringify(META) : "",
      );
      if (file !== "lock" && random.below(2) === 0) {
        Deno.removeSync(paths[file]);
      }
      if (random.below(2) === 0) {
        const bytes = content(random, file);
        Deno.writeFileSync(paths[file], bytes);
        contents[file] = new TextDecoder().decode(bytes);
      }
    }
    const complain = (text: string) => {
      const name = `case ${done} ${JSON.stringify(contents)}`;
      complaints.push({ case: name, text });
    };
    const said: string[] = [];
    const looks: Record<string, () => unknown> = {
      listSessions: () => listSessions({ root }),
      getSession: () => getSession("subject", { root }),
      resolveSelector: () => resolveSelector("0", { root }),
      readState: () => readState(paths),
      readPids: () => readPids(paths),
      timesAt: () => timesAt(paths),
      readStopRequest: () => readStopRequest(paths),
      waitForSession: () => waitForSession("subject", { root, timeoutMs: 0 }),
      lastEntry: () => lastEntry(paths),
      events: () => events(none, fakeIo(said, false)),
      list: () => list(none, fakeIo(said, false)),
      "list --json": () => list(none, fakeIo(said, true)),
      ...(done % 20 === 0
        ? {
          show: () =>
            show({ ...none, operands: ["subject"] }, fakeIo(said, false)),
          wait: () =>
            wait({
              ...none,
              operands: ["subject"],
              values: new Map([["timeout", ["0"]]]),
            }, fakeIo(said, false)),
          prune: () => pruneSessions({ root, dryRun: true }),
        }
        : {}),
    };
    for (const [name, look] of Object.entries(looks)) {
      try {
        await look();
      } catch (error) {
        if (!isClear(error)) complain(`${name} throws ${error}`);
      }
    }
    const found = STEERING.exec(said.join(""));
    if (found !== null) {
      complain(`prints U+${found[0].charCodeAt(0).toString(16)}`);
    }
    if (complaints.length > 20) break;
  }
  if (home === undefined) Deno.env.delete("CODEX_SESSION_HOME");
  else Deno.env.set("CODEX_SESSION_HOME", home);
  try {
    await deleteSession("subject", { root, force: true });
  } catch (error) {
    if (!isClear(error)) {
      complaints.push({ case: "the last", text: `${error}` });
    }
    Deno.removeSync(paths.dir, { recursive: true });
  }
  for (const text of await judge(world)) {
    complaints.push({ case: `seed ${seed}`, text });
  }
  count(done, complaints);
}

/** Options of `createSession` that get any value. */
const ARGUMENTS = [
  ...["command", "kind", "id", "labels", "prompt", "timeoutMs", "graceMs"],
  ...["rm", "env", "clearEnv", "cwd", "scope", "columns", "logLimitBytes"],
  ...["beforeStart"],
];

async function fuzzArguments({ short, random, count, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const complaints: Complaint[] = [];
  const total = short ? 500 : 20_000;
  const works: Record<string, (value: unknown) => unknown> = {
    stopSession: (value) =>
      stopSession("none", { root, graceMs: value } as never),
    pruneSessions: (value) =>
      pruneSessions({ root, olderThanMs: value } as never),
    waitForSession: (value) =>
      waitForSession("none", { root, timeoutMs: value } as never),
    waitFor: (value) => waitFor("none", value as never, { root }),
    getSession: (value) => getSession(value as never, { root }),
    readLog: (value) =>
      Array.fromAsync(readLog("none", { root, tailLines: value } as never)),
  };
  let done = 0;
  for (; done < total && !over(); done++) {
    const value = anything(random);
    let shown = "";
    const inTime = async (name: string, work: () => unknown) => {
      shown = `${name} ${JSON.stringify(value)}`;
      try {
        await within(Promise.resolve(work()), 10_000);
      } catch (error) {
        const text = error instanceof Error ? error.message : "";
        if (isClear(error) && text !== "") return;
        complaints.push({ case: shown, text: `throws ${error}` });
      }
    };
    // Nothing starts, because the program does not exist.
    const name = random.pick(ARGUMENTS);
    const options = { root, scope: "never", command: ["/nonexistent"] };
    await inTime(
      `createSession ${name}`,
      () => createSession({ ...options, [name]: value } as never),
    );
    const [other, work] = random.pick(Object.entries(works));
    await inTime(other, () => work(value));
    const left = [...Deno.readDirSync(root)].map((entry) => entry.name);
    if (left.length > 0) {
      complaints.push({ case: shown, text: `leaves ${left}` });
    }
    if (complaints.length > 20) break;
  }
  for (const text of await judge(world)) complaints.push({ case: "", text });
  count(done, complaints);
}

const WORDS = [
  ...COMMANDS.flatMap(({ name, aliases = [], options }) => [
    ...[name, ...aliases],
    ...options.map((option) => `--${option.name}`),
    ...options.map((option) => `-${option.short ?? "x"}`),
  ]),
  ...[
    "--json",
    "--help",
    "-h",
    "--version",
    "-V",
    "--",
    "-",
    "subject",
    "live",
    "subj",
  ],
  ...[
    "true",
    "false",
    "0",
    "1",
    "7",
    "99",
    "1s",
    "10ms",
    "0.1",
    "-1",
    "1h30m",
    "A=1",
    "=",
    "A=",
  ],
  ...[
    "TERM",
    "KILL",
    "exec",
    "repl",
    "pty",
    "running",
    "lost",
    "bash",
    "/nonexistent",
    "/dev/null",
  ],
];

// Left out, because these words make a command that does not end by itself.
const ENDLESS = ["--follow", "-f", "attach", "--attach", "-a", "screen"];

function vector(random: Random): string[] {
  const args = [random.below(10) === 0 ? junk(random, 2) : random.pick(WORDS)];
  for (let i = random.below(6); i > 0; i--) {
    args.push(random.below(4) === 0 ? junk(random, 2) : random.pick(WORDS));
  }
  return args.map((word) => word.replaceAll("\0", ""))
    .filter((word) => !ENDLESS.includes(word));
}

// deno-lint-ignore require-await
async function fuzzOptions({ short, random, count, over }: Context) {
  const complaints: Complaint[] = [];
  const total = short ? 20_000 : 500_000;
  let done = 0;
  for (; done < total && !over(); done++) {
    const args = vector(random);
    const command = findCommand(args[0] ?? "") ?? random.pick(COMMANDS);
    try {
      parseOptions(args.slice(1), optionsOf(command), command);
    } catch (error) {
      const { code, message } = describeError(error);
      if (code === "usage" && message !== "" && !message.includes("\n")) {
        continue;
      }
      complaints.push({ case: JSON.stringify(args), text: `throws ${error}` });
    }
  }
  count(done, complaints);
}

async function fuzzCommands({ short, random, injectAll }: Context) {
  const cases = Array.from({ length: short ? 20 : 1500 }, () => {
    const args = vector(random);
    return [JSON.stringify(args), async () => {
      await using world = await World.make();
      const { root } = world;
      await createSession({ root, id: "subject", command: world.agent() });
      await createSession({
        root,
        id: "live",
        kind: "repl",
        command: world.echo(),
      });
      const ended = await cli(root, args, {
        stdin: "y\n",
        timeoutMs: 60_000,
        // Ends commands that wait.
        prefix: ["timeout", "-s", "INT", "8"],
      });
      // These may end with the agent's status, or with timeout(1)'s.
      const any = Array.from({ length: 256 }, (_, code) => code);
      const waits = ["wait", "logs", "events"].includes(args[0] ?? "");
      const complaints = complainOf(ended, waits ? any : undefined);
      // A call may name several sessions: then each failure has a line.
      const told = complaints.filter((text) =>
        !text.startsWith("more than one")
      );
      const silent = waits || ended.stdout !== "";
      return [
        ...told.filter((text) => !(silent && text.includes("silently"))),
        ...await judge(world),
      ];
    }] as const;
  });
  await injectAll(cases);
}

/** All faults of this file. */
export const FUZZ_INPUT_FAULTS: readonly Fault[] = [
  {
    name: "fuzz-files",
    about:
      "meta.json, pid, exit, stop.json and lock, read by the library and by list",
    run: fuzzFiles,
  },
  {
    name: "fuzz-arguments",
    about: "values of any type as arguments of the library's functions",
    run: fuzzArguments,
  },
  {
    name: "fuzz-options",
    about: "command lines, parsed",
    run: fuzzOptions,
  },
  {
    name: "fuzz-commands",
    about: "command lines, run",
    run: fuzzCommands,
  },
];
