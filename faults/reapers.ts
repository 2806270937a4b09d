/**
 * The reaper, broken: SIGKILL at, and errors from, every system call that touches the root.
 *
 * The library prepares a session, and this file starts its reaper under strace, which also
 * follows what the reaper forks, up to the exec. See `tracing.ts`.
 *
 * @module
 */
import { stopSession } from "../mod.ts";
import { makeBuildDirectory, newMeta, pathsFor, pathsIn } from "../store.ts";
import { notifierOf } from "../process/notifier.ts";
import { prepare } from "../process/prepare.ts";
import { reaperScript } from "../process/reaper.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import {
  brokenAtCalls,
  type Call,
  callsIn,
  casesAt,
  injectAt,
  needsStrace,
} from "./tracing.ts";
import { pause, there, until, World } from "./world.ts";

const ID = "subject";

/** A reaper to break: its options, and what happens to its session. */
interface ReaperScenario {
  readonly name: string;
  readonly pipe?: boolean;
  readonly timeoutMs?: number;
  readonly rm?: boolean;
  /** The program that is told of its end. */
  readonly notify?: string;
  /** Runs once the agent runs. */
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
  { name: "told", notify: "/bin/true", timeoutMs: 60_000 },
  { name: "told-rm", notify: "/bin/true", rm: true },
  {
    name: "stopped",
    linger: 600,
    then: (world) =>
      stopSession(ID, { root: world.root, graceMs: 500 }).then(() => {}),
  },
];

/** Starts a session whose reaper runs under strace, waits for its end, and returns the trace. */
async function runReaper(
  world: World,
  scenario: ReaperScenario,
  strace: readonly string[],
): Promise<string> {
  const { root } = world;
  const { pipe = false, timeoutMs, rm, notify, linger } = scenario;
  const argv = pipe ? world.echo() : world.agent({ linger });
  const building = makeBuildDirectory(root);
  const meta = newMeta({
    id: ID,
    kind: pipe ? "repl" : "exec",
    argv,
    cwd: world.dir,
    timeoutMs,
    rm,
    notify,
  });
  const notifier = notifierOf(meta);
  const prepared = prepare(pathsIn(building, ID), meta);
  const paths = pathsFor(ID, { root });
  Deno.renameSync(building, paths.dir);
  const log = `${world.dir}/canary.trace`;
  Deno.writeTextFileSync(
    `${paths.dir}/reaper.sh`,
    reaperScript({ pipe, timeoutMs, rm, notifier, graceMs: 1000 }),
  );
  const lent = prepared.lendLock();
  // -DDD: strace belongs neither to the session nor to its group, and the reaper leads it.
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
  lent[Symbol.dispose]();
  prepared.releaseLock();
  const { id } = meta;
  const runs = () => world.diaries().some((one) => one.id === id);
  let over = false;
  const status = child.status.finally(() => over = true);
  await until(() => runs() || over, 5000);
  try {
    if (runs()) await scenario.then?.(world);
  } catch {
    // The reaper is dead, so the session may be over.
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
    yield* casesAt(call, errors, (what) => async () => {
      await using world = await World.make();
      const said = await runReaper(
        world,
        scenario,
        injectAt(call, what, world.root),
      );
      if (!/killed by SIGKILL|\(INJECTED\)/.test(said)) return null;
      // A shell that can't read its own messages records SIGTERM as code 143.
      return await judge(world, { reaperKilled: true, asShellsSay: true });
    });
  }
}

/** The reaper, broken by SIGKILL and by errors. */
export const REAPER_FAULTS: readonly Fault[] = REAPERS.flatMap((scenario) => {
  const { kill, error } = brokenAtCalls({
    name: `reaper-${scenario.name}`,
    subject: `the reaper (${scenario.name})`,
    skip: needsStrace,
    cases: (errors) => reaperCases(scenario, errors),
  });
  return [kill, error];
});
