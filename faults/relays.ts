/**
 * A terminal's relay, broken: SIGKILL at, and errors from, every system call that touches the
 * root.
 *
 * The reaper starts the relay through a shell that waits at a gate, a named pipe, until
 * strace(1) is attached: so the tracer is no part of the session and holds none of its files.
 * strace follows only the relay's main thread, which does all of its file work, never the
 * agent. See `tracing.ts`.
 *
 * @module
 */
import {
  createSession,
  getSession,
  readScreen,
  sendKeys,
  SessionError,
  stopSession,
} from "../mod.ts";
import { relayCommand } from "../relay/command.ts";
import { pathsFor, readPids } from "../store.ts";
import { attachTerminal } from "../client/attach_terminal.ts";
import { type Case, type Fault, within } from "./fault.ts";
import { judge } from "./judgement.ts";
import {
  brokenAtCalls,
  type Call,
  callsIn,
  casesAt,
  injectAt,
  needsAttaching,
} from "./tracing.ts";
import { cli, complainOf, kill, there, until, World } from "./world.ts";

const ID = "subject";

/** The smallest journal that a relay keeps, so that its first half fills soon. */
const LOG_LIMIT_BYTES = 16 * 1024;

/** A relay to break. */
interface RelayScenario {
  readonly name: string;
  readonly command: (world: World) => string[];
  /** The program that is told of its status. */
  readonly notify?: string;
  /** Runs once the session runs. */
  readonly then?: (world: World) => Promise<void>;
}

const RELAYS: readonly RelayScenario[] = [
  { name: "plain", command: (world) => world.agent() },
  {
    // Reads the screen, attaches, resizes, and makes the journal begin a second file.
    name: "busy",
    command: (world) => world.echo(),
    async then(world) {
      const { root } = world;
      await readScreen(ID, { root, scrollback: 10 });
      const stdout = new WritableStream<Uint8Array>();
      const size = { columns: 90, rows: 20 };
      const attached = await attachTerminal(ID, { root, stdout, ...size });
      attached.resize(100, 30);
      // Until then the terminal would echo what is typed.
      await until(() => world.diaries()[0]?.pid !== undefined);
      for (const count of [150, 10]) {
        const text = `${"x".repeat(60)}\n`.repeat(count);
        await sendKeys(ID, [{ text }], { root });
        await readScreen(ID, { root });
      }
      attached.detach();
      await attached.done;
      await sendKeys(ID, [{ key: "ctrl-d" }], { root });
    },
  },
  {
    name: "told",
    notify: "/bin/true",
    command: (world) => [
      ...[
        "sh",
        "-c",
        'printf "\\033]7501;state=blocked\\007"; exec "$@"',
        "sh",
      ],
      ...world.agent(),
    ],
  },
  {
    name: "stopped",
    command: (world) => world.agent({ linger: 600 }),
    then: (world) =>
      stopSession(ID, { root: world.root, graceMs: 500 }).then(() => {}),
  },
];

/** The result of a session whose relay was traced. */
interface Ran {
  /** The trace. */
  readonly trace: string;
  readonly complaints: readonly string[];
}

/** Runs a session whose relay is traced, start to finish. */
async function runRelay(
  world: World,
  scenario: RelayScenario,
  strace: readonly string[],
): Promise<Ran> {
  const { root } = world;
  const log = `${world.dir}/canary.trace`;
  const gate = `${world.dir}/canary.gate`;
  const dir = `${root}/${ID}`;
  const relay = relayCommand({ dir, argv: ["-"] });
  const complaints: string[] = [];
  await new Deno.Command("mkfifo", { args: [gate] }).output();
  let over = false;
  const creating = createSession({
    root,
    id: ID,
    kind: "pty",
    command: scenario.command(world),
    notify: scenario.notify,
    logLimitBytes: LOG_LIMIT_BYTES,
    relayCommand: [
      ...["sh", "-c", 'read -r _ <"$0"; exec "$@"', gate],
      ...relay.slice(0, relay.indexOf(dir)),
    ],
  }).finally(() => over = true);
  creating.catch(() => {}); // Looked at below.
  const pidOf = () => readPids(pathsFor(ID, { root }))?.agent;
  await until(() => over || pidOf() !== undefined);
  const tracer = new Deno.Command("strace", {
    args: ["-qq", "-o", log, ...strace, "-p", `${pidOf()}`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const isTraced = () =>
    !/TracerPid:\t0\n/.test(Deno.readTextFileSync(`/proc/${pidOf()}/status`));
  await until(isTraced);
  (await within(Deno.open(gate, { write: true }), 5000)).close();
  try {
    await within(creating, 15_000);
    try {
      await within(scenario.then?.(world) ?? Promise.resolve(), 15_000);
    } catch (error) {
      // The relay may be dead or have failed.
      if (!(error instanceof SessionError)) complaints.push(`${error}`);
    }
    const over = async () => {
      const { state } = await getSession(ID, { root });
      return state.state !== "running" && state.state !== "starting";
    };
    if (!await until(over)) complaints.push("the session does not end");
  } catch (error) {
    if (!(error instanceof SessionError)) complaints.push(`${error}`);
    if (there(dir)) complaints.push(`${error}, but there is a session`);
  }
  if (!await ended(tracer)) {
    complaints.push("the relay still runs");
    kill(tracer.pid, "SIGKILL");
    await tracer.status;
  }
  return { trace: Deno.readTextFileSync(log), complaints };
}

/** Tells whether a child ends within 5 s. */
async function ended(child: Deno.ChildProcess): Promise<boolean> {
  try {
    await within(child.status, 5000);
    return true;
  } catch {
    return false;
  }
}

/** Complains if the session's log or screen can't be read. */
async function readable(world: World, wasKilled: boolean): Promise<string[]> {
  const dir = `${world.root}/${ID}`;
  if (!there(dir)) return [];
  const complaints: string[] = [];
  // A relay killed while it changes logs leaves only the old one. Readers handle that.
  const hasLog = there(`${dir}/stdout.log`) ||
    wasKilled && there(`${dir}/stdout.log.1`);
  if (!hasLog) complaints.push("no log is left");
  for (const command of ["logs", "screen"]) {
    const ended = await cli(world.root, [command, ID]);
    for (const text of complainOf(ended, [0])) {
      complaints.push(`${command}: ${text}`);
    }
  }
  return complaints;
}

async function* relayCases(
  scenario: RelayScenario,
  errors: readonly string[],
): AsyncGenerator<readonly [string, Case]> {
  await using world = await World.make();
  const traced = ["-y", "-e", "trace=%file,%desc"];
  const { trace, complaints } = await runRelay(world, scenario, traced);
  if (complaints.length > 0) throw new Error(complaints.join("; "));
  for (const call of callsIn(trace, world.root)) {
    yield* casesAt(call, errors, (what) => relayCase(scenario, call, what));
  }
}

function relayCase(scenario: RelayScenario, call: Call, what: string): Case {
  return async () => {
    await using world = await World.make();
    const injection = ["-y", ...injectAt(call, what, world.root)];
    const { trace, complaints } = await runRelay(world, scenario, injection);
    const kills = what.startsWith("signal");
    const hit = trace.split("\n").find((line) =>
      kills
        ? line.includes("killed by SIGKILL")
        : line.includes("(INJECTED)") && line.includes(world.root)
    );
    if (hit === undefined) return null;
    return [
      ...complaints,
      ...await readable(world, kills),
      ...await judge(world, {
        relayKilled: kills,
        // Output that could not be written is missing. Look at the call that was hit: the
        // order of calls depends on the machine, so it may differ from the first run's.
        // And what tells a status is no line of the agent's.
        logDamaged: scenario.notify !== undefined ||
          /^write\(/.test(hit) && hit.includes("stdout.log"),
      }),
    ];
  };
}

/** The relay, broken by SIGKILL and by errors. */
export const RELAY_FAULTS: readonly Fault[] = RELAYS.flatMap((scenario) => {
  const { kill, error } = brokenAtCalls({
    name: `relay-${scenario.name}`,
    subject: `the relay (${scenario.name})`,
    skip: needsAttaching,
    cases: (errors) => relayCases(scenario, errors),
  });
  return [kill, error];
});
