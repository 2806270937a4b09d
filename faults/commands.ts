/**
 * Commands, broken: SIGKILL at, and errors from, every system call that touches the root.
 *
 * strace follows only the command's main thread, which does all of its file work, and neither
 * agent nor reaper. See `tracing.ts` for how a call is hit.
 *
 * @module
 */
import { createSession, waitForSession } from "../mod.ts";
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
import {
  cli,
  CODE,
  complainOf,
  type Ended,
  there,
  until,
  World,
} from "./world.ts";

/** A command to break, and what it must have done. */
interface Scenario {
  readonly name: string;
  /** The command line. */
  readonly args: (world: World) => readonly string[];
  readonly env?: (world: World) => Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Prepares the world. */
  readonly before?: (world: World) => Promise<void>;
  /** Complains if the command has not done what it reported. */
  readonly after?: (world: World, ended: Ended) => Promise<string[]>;
  /** The agent's exit status, if the command ends with that. */
  readonly agents?: number;
  /** Whether it changes nothing: then only errors are injected. */
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

/** A terminal session whose agent runs: one that echoes lines if `typed`. */
const terminal = (typed: boolean) => async (world: World) => {
  await createSession({
    root: world.root,
    id: ID,
    kind: "pty",
    command: typed ? world.echo() : world.agent({ linger: 600 }),
  });
  const count = typed ? 0 : 5;
  await until(() => world.diaries()[0]?.lines.length === count);
};

async function endedTerminal(world: World): Promise<void> {
  const command = world.agent();
  await createSession({ root: world.root, id: ID, kind: "pty", command });
  await waitForSession(ID, { root: world.root });
}

async function hears(world: World, { code }: Ended): Promise<string[]> {
  const has = () => world.diaries()[0]?.lines.includes("hello there") ?? false;
  if (code !== 0 || await until(has)) return [];
  return ["send succeeded, but the agent did not get the text"];
}

async function dead(world: World, { code }: Ended): Promise<string[]> {
  return code === 0 && !await until(() => world.processes().length === 0, 200)
    ? ["stop succeeded, but a process still runs"]
    : [];
}

/** A command that failed must not have started anything; one that succeeded must. */
// deno-lint-ignore require-await
async function allOrNothing(world: World, { code }: Ended): Promise<string[]> {
  const made = there(`${world.root}/${ID}`);
  if (code === 0 && !made) return ["it succeeded, but there is no session"];
  if (code !== 0 && code !== 137 && made) {
    return [`it failed (${code}), but there is a session`];
  }
  return [];
}

// deno-lint-ignore require-await
async function gone(world: World, { code }: Ended): Promise<string[]> {
  const left = there(`${world.root}/${ID}`);
  return code === 0 && left
    ? ["it succeeded, but the session is still there"]
    : [];
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
      return gone ? [] : ["--rm: it ended, but is not deleted"];
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
    after: hears,
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
      // The same command again must succeed, or report that it is done already.
      const again = await cli(world.root, ["send", ID, "--eof"]);
      const done = await until(() => world.diaries()[0]?.exit !== undefined);
      return done ? [] : [`--eof once more: ${JSON.stringify(again)}`];
    },
  },
  {
    name: "stop",
    before: live,
    args: () => ["stop", "-t", "1", ID],
    after: dead,
  },
  { name: "delete", before: ended, args: () => ["delete", ID], after: gone },
  {
    name: "delete-f",
    before: live,
    args: () => ["delete", "-f", ID],
    after: gone,
  },
  // An injected error can make the session look damaged, and prune keeps damaged ones.
  { name: "prune", before: ended, args: () => ["prune"] },
  { name: "list", before: live, args: () => ["list"], reads: true },
  { name: "show", before: live, args: () => ["show", ID], reads: true },
  { name: "events", before: ended, args: () => ["events", ID], reads: true },
  { name: "logs", before: ended, args: () => ["logs", ID], reads: true },
  {
    name: "wait",
    before: ended,
    args: () => ["wait", ID],
    reads: true,
    agents: CODE,
  },
  {
    name: "run-t",
    args: (world) => ["run", "-t", "--id", ID, "--", ...world.agent()],
    after: allOrNothing,
  },
  {
    name: "send-t",
    before: terminal(true),
    args: () => ["send", ID, "hello there"],
    after: hears,
  },
  {
    name: "stop-t",
    before: terminal(false),
    args: () => ["stop", "-t", "1", ID],
    after: dead,
  },
  {
    name: "delete-f-t",
    before: terminal(false),
    args: () => ["delete", "-f", ID],
    after: gone,
  },
  {
    name: "screen",
    before: terminal(false),
    args: () => ["screen", ID],
    reads: true,
  },
  {
    name: "screen-ended",
    before: endedTerminal,
    args: () => ["screen", ID],
    reads: true,
  },
  {
    name: "wait-screen",
    before: terminal(false),
    args: () => ["wait", "--for", "screen=line 5", ID],
    reads: true,
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
    // Ordinals count calls by name, so an error may hit a call that doesn't touch the root.
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

async function* casesOf(
  scenario: Scenario,
  errors: readonly string[],
): AsyncGenerator<readonly [string, Case]> {
  for (const call of await trace(scenario)) {
    yield* casesAt(call, errors, (what) => caseOf(scenario, call, what));
  }
}

const BROKEN = SCENARIOS.map((scenario) => ({
  ...brokenAtCalls({
    name: scenario.name,
    subject: scenario.name,
    skip: needsStrace,
    cases: (errors) => casesOf(scenario, errors),
  }),
  reads: scenario.reads,
}));

/** Every command, broken by SIGKILL, then by errors. */
export const COMMAND_FAULTS: readonly Fault[] = [
  ...BROKEN.filter(({ reads }) => !reads).map(({ kill }) => kill),
  ...BROKEN.map(({ error }) => error),
];
