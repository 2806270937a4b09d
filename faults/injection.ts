/**
 * SIGKILL at, and errors from, every system call that touches the root.
 *
 * The calls of a command are deterministic up to the root's names. So a first run under
 * strace(1) lists them, each with its ordinal among the calls of that name, and further
 * runs inject at one ordinal each. Only the command's main thread is traced, which does
 * all of its file work; the agent and the reaper never are. Whether the call that was hit
 * is the one that was meant is read from the trace.
 *
 * The reaper is run by hand, in the middle of a session that the library has prepared, and
 * is traced with what it forks, up to their exec.
 *
 * @module
 */
import { createSession, stopSession, waitForSession } from "../mod.ts";
import { newMeta, prepare } from "../launch.ts";
import { reaperScript } from "../reaper.ts";
import { makeBuildDirectory, pathsFor, pathsIn } from "../store.ts";
import type { Case, Context, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import {
  cli,
  CODE,
  complainOf,
  type Ended,
  pause,
  there,
  until,
  World,
} from "./world.ts";

/** One system call that touches the root. */
interface Call {
  readonly name: string;
  /** Which of the calls of its name, or of those on its path, from 1. */
  readonly ordinal: number;
  /** The path below the root, without what changes from run to run. */
  readonly about: string;
  /** The path is the same in every run. */
  readonly literal: boolean;
}

/** A command to break. */
interface Scenario {
  readonly name: string;
  /** The command line. */
  readonly args: (world: World) => readonly string[];
  readonly env?: (world: World) => Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** What must be there before. */
  readonly before?: (world: World) => Promise<void>;
  /** Further complaints about what it promised, given how it ended. */
  readonly after?: (world: World, ended: Ended) => Promise<string[]>;
  /** Its own status is the agent's. */
  readonly agents?: number;
  /** It changes nothing: only errors are injected. */
  readonly reads?: boolean;
}

const ID = "subject";

const ALLOWED = [0, 1, 2, 3, 4, 124, 126, 127, CODE];

const live = (world: World) =>
  createSession({
    root: world.root,
    id: ID,
    command: world.agent({ linger: 600 }),
  }).then(() => {});

async function ended(world: World): Promise<void> {
  await createSession({ root: world.root, id: ID, command: world.agent() });
  await waitForSession(ID, { root: world.root });
}

const repl = (world: World) =>
  createSession({
    root: world.root,
    id: ID,
    kind: "repl",
    command: world.echo(),
  }).then(() => {});

/** A command that says it failed must not have started anything; one that says it worked must. */
// deno-lint-ignore require-await
async function allOrNothing(world: World, { code }: Ended): Promise<string[]> {
  const made = there(`${world.root}/${ID}`);
  if (code === 0 && !made) return ["it says that it worked, and there is none"];
  if (code !== 0 && code !== 137 && made) {
    return [`it says that it failed (${code}), and there is a session`];
  }
  return [];
}

// deno-lint-ignore require-await
async function gone(world: World, { code }: Ended): Promise<string[]> {
  const left = there(`${world.root}/${ID}`);
  return code === 0 && left ? ["it says that it worked, and it is there"] : [];
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "run",
    args: (world) => ["run", "--id", ID, "--", ...world.agent()],
    after: allOrNothing,
  },
  {
    name: "run-i",
    args: (world) => ["run", "-i", "--id", ID, "--", ...world.echo()],
    after: allOrNothing,
  },
  {
    name: "run-rm",
    args: (world) => ["run", "--rm", "--id", ID, "--", ...world.agent()],
    async after(world, { code }) {
      if (code !== 0) return [];
      const gone = await until(() => !there(`${world.root}/${ID}`));
      return gone ? [] : ["--rm: it ended, and is not deleted"];
    },
  },
  {
    name: "run-timeout",
    args: (
      world,
    ) => ["run", "--timeout", "60", "--id", ID, "--", ...world.agent()],
    after: allOrNothing,
  },
  {
    name: "create",
    args: () => ["create", "--id", ID, "exec", "do it"],
    env: (world) => ({ CODEX_SESSION_EXEC: world.agent().join(" ") }),
    after: allOrNothing,
  },
  {
    name: "create-repl",
    args: () => ["create", "--id", ID, "repl"],
    env: (world) => ({ CODEX_SESSION_REPL: world.echo().join(" ") }),
    after: allOrNothing,
  },
  {
    name: "send",
    before: repl,
    args: () => ["send", ID, "hello there"],
    async after(world, { code }) {
      const hears = () => world.diaries()[0]?.lines.includes("hello there");
      if (code !== 0 || await until(() => hears() ?? false)) return [];
      return ["send says that it worked, and the agent has not got it"];
    },
  },
  {
    name: "send-eof",
    before: repl,
    args: () => ["send", ID, "--eof"],
    async after(world, { code }) {
      if (code === 0) {
        const { state } = await waitForSession(ID, {
          root: world.root,
          timeoutMs: 5000,
        });
        return state.state === "exited" ? [] : ["--eof had no effect"];
      }
      // Repeated, it has to be accepted or to be said to be done.
      const again = await cli(world.root, ["send", ID, "--eof"]);
      const done = await until(() => world.diaries()[0]?.exit !== undefined);
      return done ? [] : [`--eof once more: ${JSON.stringify(again)}`];
    },
  },
  {
    name: "stop",
    before: live,
    args: () => ["stop", "-t", "1", ID],
    after: async (world, { code }) =>
      code === 0 && !await until(() => world.processes().length === 0, 200)
        ? ["stop says that it worked, and it lives"]
        : [],
  },
  { name: "delete", before: ended, args: () => ["delete", ID], after: gone },
  {
    name: "delete-f",
    before: live,
    args: () => ["delete", "-f", ID],
    after: gone,
  },
  // A session that can't be read is damaged, and those stay.
  { name: "prune", before: ended, args: () => ["prune"] },
  { name: "list", before: live, args: () => ["list"], reads: true },
  { name: "show", before: live, args: () => ["show", ID], reads: true },
  { name: "logs", before: ended, args: () => ["logs", ID], reads: true },
  {
    name: "wait",
    before: ended,
    args: () => ["wait", ID],
    reads: true,
    agents: CODE,
  },
];

const STRACE = ["strace", "-qq", "-y", "-o"] as const;

/** Lists a command's calls that touch the root. */
async function trace(scenario: Scenario): Promise<Call[]> {
  await using world = await World.make();
  await scenario.before?.(world);
  const log = `${world.dir}/canary.trace`;
  const traced = await cli(world.root, scenario.args(world), {
    env: scenario.env?.(world),
    prefix: [...STRACE, log, "-e", "trace=%file,%desc"],
  });
  if (traced.code !== 0 && traced.code !== CODE) {
    throw new Error(`Tracing failed: ${JSON.stringify(traced)}`);
  }
  return callsIn(Deno.readTextFileSync(log), world.root);
}

function callsIn(log: string, root: string): Call[] {
  const counts = new Map<string, number>();
  const count = (key: string): number => {
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts.get(key)!;
  };
  const calls: Call[] = [];
  for (const line of log.split("\n")) {
    const name = /^(?:\d+ +)?(\w+)\(/.exec(line)?.[1];
    if (name === undefined) continue;
    const among = count(name);
    if (!line.includes(root) || name === "execve") continue;
    const at = line.indexOf(root) + root.length;
    const below = /^[^">]*/.exec(line.slice(at))![0];
    const about = below.replace(/\.(new|old)-[\w-]+/, ".$1")
      .replace(/\.\d+\.\w*tmp/, ".tmp");
    // How often /proc is read varies: a path that does not is a better measure.
    const literal = about === below;
    const ordinal = literal ? count(`${name} ${about}`) : among;
    calls.push({ name, ordinal, about, literal });
  }
  return calls;
}

/** What makes strace inject at a call. */
function injectAt(call: Call, what: string, root: string): string[] {
  const { name, ordinal, about, literal } = call;
  return [
    ...(literal ? ["-P", root + about] : []),
    ...["-e", `trace=${name}`],
    ...["-e", `inject=${name}:${what}:when=${ordinal}`],
  ];
}

/** Whether a call can fail: closing a directory never does, and Rust panics if it does. */
function canFail({ name, about }: Call): boolean {
  return name !== "close" || /\/[^/.]+\/[^/]+$/.test(about);
}

function caseOf(scenario: Scenario, call: Call, what: string): Case {
  return async () => {
    await using world = await World.make();
    await scenario.before?.(world);
    const log = `${world.dir}/canary.trace`;
    const ended = await cli(world.root, scenario.args(world), {
      env: scenario.env?.(world),
      prefix: [...STRACE, log, ...injectAt(call, what, world.root)],
    });
    const kills = what.startsWith("signal");
    const said = Deno.readTextFileSync(log);
    // Ordinals are of a call's name: an error may hit a call that is none of the root's.
    const hit = said.split("\n").some((line) =>
      kills
        ? line.includes("killed by SIGKILL")
        : line.includes("(INJECTED)") && line.includes(world.root)
    );
    if (!hit) return null;
    const complaints = kills
      ? []
      : complainOf(ended, ALLOWED, [0, scenario.agents ?? 0]);
    complaints.push(...await scenario.after?.(world, ended) ?? []);
    complaints.push(...await judge(world));
    return complaints;
  };
}

const ERRORS = ["ENOSPC", "EIO", "EACCES", "EMFILE", "EINTR"];

async function* casesOf(
  scenario: Scenario,
  errors: readonly string[],
): AsyncGenerator<readonly [string, Case]> {
  for (const call of await trace(scenario)) {
    const where = `${call.name}#${call.ordinal} ${call.about}`;
    if (errors.length === 0) {
      const kill = caseOf(scenario, call, "signal=KILL");
      yield [`KILL at ${where}`, kill];
    }
    for (const error of canFail(call) ? errors : []) {
      yield [
        `${error} from ${where}`,
        caseOf(scenario, call, `error=${error}`),
      ];
    }
  }
}

async function collect(
  { short, random }: Context,
  cases: AsyncIterable<readonly [string, Case]>,
  count: number,
): Promise<(readonly [string, Case])[]> {
  const all = await Array.fromAsync(cases);
  return short ? random.sample(all, count) : all;
}

/** Every scenario, broken by SIGKILL, then by errors. */
export const COMMAND_FAULTS: readonly Fault[] = [
  ...SCENARIOS.filter(({ reads }) => !reads).map((scenario): Fault => ({
    name: `kill-${scenario.name}`,
    about: `SIGKILL at each call of ${scenario.name}`,
    skip: needsStrace,
    run: async (context) => {
      await context.injectAll(
        await collect(context, casesOf(scenario, []), 4),
      );
    },
  })),
  ...SCENARIOS.map((scenario): Fault => ({
    name: `error-${scenario.name}`,
    about: `${ERRORS.join(", ")} from each call of ${scenario.name}`,
    skip: needsStrace,
    run: async (context) => {
      await context.injectAll(
        await collect(context, casesOf(scenario, ERRORS), 3),
      );
    },
  })),
];

function needsStrace(): string | undefined {
  try {
    const { success } = new Deno.Command("strace", { args: ["-V"] })
      .outputSync();
    if (success) return undefined;
  } catch {
    // The same.
  }
  return "strace is not installed";
}

/** A reaper to break: its kind and options. */
interface ReaperScenario {
  readonly name: string;
  readonly pipe?: boolean;
  readonly timeoutMs?: number;
  readonly rm?: boolean;
  /** What to do once the agent runs. */
  readonly then?: (world: World) => Promise<void>;
  readonly linger?: number;
}

const REAPERS: readonly ReaperScenario[] = [
  { name: "exec" },
  {
    name: "repl",
    pipe: true,
    then: async (world) => {
      const { sendEof, sendInput } = await import("../mod.ts");
      await sendInput(ID, "hello\n", { root: world.root });
      await sendEof(ID, { root: world.root });
    },
  },
  { name: "timeout", timeoutMs: 300, linger: 600 },
  { name: "rm", rm: true },
  {
    name: "stopped",
    linger: 600,
    then: (world) =>
      stopSession(ID, { root: world.root, graceMs: 500 }).then(() => {}),
  },
];

/** Starts a session whose reaper runs under strace, and waits until it and all of it has ended. */
async function runReaper(
  world: World,
  scenario: ReaperScenario,
  strace: readonly string[],
): Promise<string> {
  const { root } = world;
  const { pipe = false, timeoutMs, rm, linger } = scenario;
  const argv = pipe ? world.echo() : world.agent({ linger });
  const building = makeBuildDirectory(root);
  const meta = newMeta({
    id: ID,
    kind: pipe ? "repl" : "exec",
    argv,
    cwd: world.dir,
    timeoutMs,
    rm,
  });
  const prepared = prepare(pathsIn(building, ID), meta);
  const paths = pathsFor(ID, { root });
  Deno.renameSync(building, paths.dir);
  const log = `${world.dir}/canary.trace`;
  Deno.writeTextFileSync(
    `${paths.dir}/reaper.sh`,
    reaperScript({ pipe, timeoutMs, rm, graceMs: 1000 }),
  );
  // The tracer is neither of the session nor in its group, and the reaper leads it.
  const child = new Deno.Command("setsid", {
    args: [
      ...["strace", "-DDD", "-qq", "-f", "-b", "execve", "-o", log],
      ...["-E", `CODEX_SESSION_ID=${ID}`],
      ...["-E", `CODEX_SESSION_DIR=${paths.dir}`],
      ...[...strace, "/bin/sh", `${paths.dir}/reaper.sh`, ...argv],
    ],
    env: { CODEX_SESSION_ID: "", CODEX_SESSION_DIR: "" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  prepared.releaseLock();
  const { id } = meta;
  const runs = () => world.diaries().some((one) => one.id === id);
  let over = false;
  const status = child.status.finally(() => over = true);
  await until(() => runs() || over, 5000);
  try {
    if (runs()) await scenario.then?.(world);
  } catch {
    // The session may be over, its reaper being dead.
  }
  await until(() => over, linger === undefined ? 3000 : 1500);
  if (over) await status;
  prepared[Symbol.dispose]();
  await pause(20);
  return there(log) ? Deno.readTextFileSync(log) : "";
}

async function* reaperCases(
  scenario: ReaperScenario,
  errors: readonly string[],
): AsyncGenerator<readonly [string, Case]> {
  await using world = await World.make();
  const trace = ["-y", "-e", "trace=%file,%desc,%process"];
  const text = await runReaper(world, scenario, trace);
  // Each process counts its own calls: an ordinal may hit any of them.
  const calls = new Map<string, Call>();
  const byPid = Map.groupBy(text.split("\n"), (line) => line.split(" ")[0]);
  for (const lines of byPid.values()) {
    for (const call of callsIn(lines.join("\n"), world.root)) {
      calls.set(`${call.name}#${call.ordinal} ${call.about}`, call);
    }
  }
  for (const call of calls.values()) {
    const where = `${call.name}#${call.ordinal} ${call.about}`;
    const whats = errors.length === 0
      ? ["signal=KILL"]
      : (canFail(call) ? errors : []).map((error) => `error=${error}`);
    for (const what of whats) {
      const run: Case = async () => {
        await using world = await World.make();
        const said = await runReaper(
          world,
          scenario,
          injectAt(call, what, world.root),
        );
        if (!/killed by SIGKILL|\(INJECTED\)/.test(said)) return null;
        // Of SIGTERM a shell that can't read its own words gives the code, 143.
        return await judge(world, { reaperKilled: true, asShellsSay: true });
      };
      yield [`${what.replace(/^\w+=/, "")} at ${where}`, run];
    }
  }
}

/** The reaper, broken by SIGKILL and by errors. */
export const REAPER_FAULTS: readonly Fault[] = REAPERS.flatMap((scenario) => [
  {
    name: `kill-reaper-${scenario.name}`,
    about: `SIGKILL at each call of the reaper (${scenario.name})`,
    skip: needsStrace,
    run: async (context: Context) => {
      await context.injectAll(
        await collect(context, reaperCases(scenario, []), 4),
      );
    },
  },
  {
    name: `error-reaper-${scenario.name}`,
    about: `errors from each call of the reaper (${scenario.name})`,
    skip: needsStrace,
    run: async (context: Context) => {
      await context.injectAll(
        await collect(context, reaperCases(scenario, ERRORS), 3),
      );
    },
  },
]);
