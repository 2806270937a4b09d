/**
 * Wrong arguments of the library: a `TypeError` that names the argument.
 *
 * @module
 */
import * as library from "../mod.ts";
import { ArgumentError, SessionError, spawnExec, waitFor } from "../mod.ts";
import { assertEquals, assertRejects } from "./helpers.ts";

/** Wrong of every type that an argument has. */
const WRONG = Symbol.iterator as never;
const root = "/nonexistent";
const HOW = "killSignal graceMs onNotice signal";
const OUTPUT = "stream tailLines since";
const PLAIN = `${OUTPUT} maxBytes screen onNotice`;
const TO_RUN = "command id labels prompt timeoutMs startTimeoutMs graceMs " +
  "awaitClient scope beforeStart signal cwd env clearEnv";
const AGAIN = `${
  TO_RUN.replace(/command |prompt |cwd /g, "")
} force onNotice rm columns rows`;

/** The arguments of each function, and the options of those that take some. */
const FUNCTIONS: Readonly<Record<string, readonly [string, string?]>> = {
  attachConsole: ["id", "detachKeys readOnly atOnce signal"],
  attachSession: [
    "id",
    "stdin stdout stderr stdinEnd readOnly tailLines onNotice noticeAfterMs " +
    "columns rows detachKeys signal",
  ],
  codexProgram: ["kind"],
  createSession: ["", `${TO_RUN} kind rm columns rows logLimitBytes`],
  defaultRoot: [""],
  deleteSession: ["id", `${HOW} force createdAt`],
  diagnose: ["", "relayCommand timeoutMs"],
  exitStatus: ["ended"],
  followEvents: ["", "ids types since fits onWatching signal"],
  followLog: ["id", `${OUTPUT} signal`],
  followLogs: ["id", "tailLines since signal"],
  followPlainLog: ["id", `${PLAIN} signal`],
  followScreen: ["id", "ansi perSecond signal"],
  getSession: ["id", ""],
  listAgents: [""],
  listProcesses: ["id", ""],
  listSessions: ["", "state labels"],
  pathsFor: ["id", ""],
  pruneSessions: ["", "olderThanMs dryRun signal"],
  readAnswer: ["id", ""],
  readEvents: ["", "ids types since fits"],
  readLog: ["id", OUTPUT],
  readLogCursor: ["id", ""],
  readPlainLog: ["id", PLAIN],
  readScreen: ["id", "ansi scrollback"],
  readText: ["id", "stream tailLines maxBytes"],
  readStatus: ["id", ""],
  readTimes: ["id", ""],
  reportStatus: ["value", "kind message title progress pid"],
  resolveSelector: ["selector", ""],
  restartSession: ["id", AGAIN],
  resumeSession: ["id", `${AGAIN} prompt kind agentArgs`],
  runRelay: ["args"],
  runToEnd: ["", `${TO_RUN} keep`],
  sendEof: ["id", "timeoutMs signal"],
  sendInput: ["id input", "timeoutMs signal"],
  sendKeys: ["id parts", "timeoutMs signal"],
  spawnExec: ["paths args", "program cwd env clearEnv"],
  spawnRepl: ["paths args", "program cwd env clearEnv"],
  stopSession: ["id", `${HOW} by createdAt`],
  terminalStatus: ["id", ""],
  waitFor: ["id condition", "timeoutMs since signal"],
  waitForSession: ["id", "timeoutMs signal"],
};

/** An argument of each name that is right. */
const RIGHT: Readonly<Record<string, unknown>> = {
  ...{ id: "a", selector: "a", kind: "exec", input: "", parts: [], args: [] },
  ...{ condition: { for: "exit" }, ended: { code: 0 }, value: "working" },
  paths: { id: "a", dir: `${root}/a` },
};
/** Options that are required, where they are taken. */
const REQUIRED = { command: ["true"], stdout: new WritableStream() };

async function assertNamed(
  name: string,
  call: (...args: unknown[]) => unknown,
  args: readonly unknown[],
): Promise<void> {
  // deno-lint-ignore require-await
  const run = async () => call(...args);
  await assertRejects(run, ArgumentError, `${name} must be`);
}

Deno.test("functions of the library name the argument that has the wrong type", async () => {
  const exported = Object.entries(library as Record<string, unknown>)
    .filter(([, it]) =>
      typeof it === "function" && it !== ArgumentError && it !== SessionError
    );
  assertEquals(
    exported.map(([name]) => name).sort(),
    Object.keys(FUNCTIONS).sort(),
  );
  for (const [name, it] of exported) {
    const call = it as (...args: unknown[]) => unknown;
    const [names, options] = FUNCTIONS[name]!;
    const words = names.split(" ").filter(Boolean);
    const right = words.map((word) => RIGHT[word]);
    for (const [i, word] of words.entries()) {
      for (const wrong of [WRONG, undefined, null, 5]) {
        const args = [...right.with(i, wrong), { root, ...REQUIRED }];
        await assertNamed(word, call, args);
      }
    }
    if (options === undefined) continue;
    const isRequired = options.includes("command") ||
      options.includes("stdout");
    for (const wrong of [null, "x", 5, ...isRequired ? [undefined] : []]) {
      await assertNamed("options", call, [...right, wrong]);
    }
    const own = ["root", ...options.split(" ").filter(Boolean)];
    if (name.startsWith("spawn")) own.shift(); // Its paths hold the root.
    for (const option of own) {
      const given = { root, ...REQUIRED, [option]: WRONG };
      await assertNamed(option, call, [...right, given]);
    }
  }
});

Deno.test("functions of the library name a wrong part of an argument", async () => {
  const { sendKeys, exitStatus } = library;
  await assertNamed("idleMs", waitFor as never, [
    ...["a", { for: "idle", idleMs: "1" }],
    { root },
  ]);
  await assertNamed("pattern", waitFor as never, [
    ...["a", { for: "output", pattern: "x" }],
    { root },
  ]);
  await assertNamed("paths.id", spawnExec as never, [{}, []]);
  await assertNamed("ended.signal", exitStatus as never, [{}]);
  for (const [name, parts] of [["", ["x"]], [".text", [{}]]] as const) {
    await assertNamed(`parts[0]${name}`, sendKeys as never, ["a", parts]);
  }
});
