/**
 * Kill storms: each part of a session killed or stopped in every order, the machine going
 * down in the middle, the clock set.
 *
 * The wall clock itself is not touched (a time namespace of Linux does not hold it, and
 * the machine's is not ours to set): what it leaves behind, the times of files
 * and in `meta.json`, is set a year back and forth.
 *
 * @module
 */
import {
  createSession,
  getSession,
  type Kind,
  listProcesses,
  listSessions,
  type Paths,
  pathsFor,
  pruneSessions,
  type Role,
  waitForSession,
} from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { CLI, cli, complainOf, kill, pause, until, World } from "./world.ts";

const ID = "subject";

type Part = Extract<Role, "reaper" | "agent" | "child" | "helper"> | "client";

const PARTS: Readonly<Record<"exec" | "repl", readonly Part[]>> = {
  exec: ["reaper", "agent", "child", "client"],
  repl: ["reaper", "agent", "helper", "client"],
};

/** A running session, whose parts all live, and a client attached to it. */
class Stage implements AsyncDisposable {
  readonly #client: Deno.ChildProcess;

  private constructor(readonly world: World, client: Deno.ChildProcess) {
    this.#client = client;
  }

  static async set(kind: Kind): Promise<Stage> {
    const world = await World.make();
    const { root } = world;
    const command = kind === "repl"
      ? world.echo()
      : world.agent({ pause: 0.02, lines: 20, linger: 0.3 });
    const { paths } = await createSession({ root, id: ID, kind, command });
    await until(() => world.diaries()[0]?.pid !== undefined);
    const [program, ...args] = CLI;
    const client = new Deno.Command(program!, {
      args: [...args, "attach", ID],
      env: { CODEX_SESSION_HOME: root, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    // Not before: a Deno that is stopped while it starts may hold the lock on Deno's own
    // cache, and with it up every other one.
    await until(() => hasOpen(client.pid, paths.lock));
    if (kind === "exec") {
      await until(() =>
        listProcesses(paths).some((one) => one.role === "child")
      );
    }
    return new Stage(world, client);
  }

  /** The processes of one part. */
  pids(part: Part): number[] {
    if (part === "client") return [this.#client.pid];
    const { root } = this.world;
    return listProcesses(pathsIn(root))
      .filter(({ role }) => role === part).map(({ pid }) => pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.#client.pid, "SIGKILL");
    await this.#client.status;
    await this.world[Symbol.asyncDispose]();
  }
}

function pathsIn(root: string): Paths {
  return pathsFor(ID, { root });
}

/** Tells whether a process has a file open. */
function hasOpen(pid: number, path: string): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path;
    });
  } catch {
    return false; // It has ended, or has closed that one meanwhile.
  }
}

function* permutations<T>(from: readonly T[]): Generator<T[]> {
  if (from.length <= 1) yield [...from];
  for (const [index, one] of from.entries()) {
    const rest = from.filter((_, at) => at !== index);
    for (const order of permutations(rest)) yield [one, ...order];
  }
}

/** Every order of every choice of parts. */
function orders(parts: readonly Part[]): Part[][] {
  const all: Part[][] = [];
  for (let bits = 1; bits < 1 << parts.length; bits++) {
    const some = parts.filter((_, index) => bits & (1 << index));
    all.push(...permutations(some));
  }
  return all;
}

function storm(
  kind: "exec" | "repl",
  order: readonly Part[],
  ms: number,
): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    // Who is who is asked before: afterwards nobody may be there to tell by.
    const targets = order.map((part) => stage.pids(part));
    for (const pids of targets) {
      for (const pid of pids) kill(pid, "SIGKILL");
      if (ms > 0) await pause(ms);
    }
    return await judge(stage.world, {
      reaperKilled: order.includes("reaper"),
    });
  };
}

const killStorm: Fault = {
  name: "storm-kill",
  about: "SIGKILL of reaper, agent, child, helper, client, in every order",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of ["exec", "repl"] as const) {
      for (const order of orders(PARTS[kind])) {
        for (const ms of [0, 15]) {
          const name = `${kind} ${order.join(" ")} ${ms}ms`;
          cases.push([name, storm(kind, order, ms)]);
        }
      }
    }
    await injectAll(short ? random.sample(cases, 6) : cases);
  },
};

const stopStorm: Fault = {
  name: "storm-stop",
  about: "SIGSTOP of each part, a look, a stop or delete meanwhile, SIGCONT",
  run: async ({ short, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of ["exec", "repl"] as const) {
      for (const part of PARTS[kind]) {
        for (const action of ["wait", "stop", "delete", "kill-agent"]) {
          const ms = short
            ? 300
            : part === "reaper" && action === "wait"
            ? 10_000
            : 1000;
          cases.push([
            `${kind} ${part} ${action}`,
            freeze(kind, part, action, ms),
          ]);
        }
      }
    }
    await injectAll(short ? cases.filter((_, i) => i % 5 === 0) : cases);
  },
};

function freeze(
  kind: "exec" | "repl",
  part: Part,
  action: string,
  ms: number,
): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    const { world } = stage;
    const { root } = world;
    const pids = stage.pids(part);
    for (const pid of pids) kill(pid, "SIGSTOP");
    const complaints: string[] = [];
    if (action === "wait") {
      await pause(ms);
      complaints.push(
        ...await judge(world, { keep: true }).then((all) =>
          // The agent may have exited meanwhile: its reaper is stopped, not dead.
          part === "reaper"
            ? all.filter((one) =>
              !/exited with \d+, and is (running|starting)/.test(one)
            )
            : all
        ),
      );
    } else if (action === "stop") {
      const ended = await cli(root, ["stop", "-t", "1", ID]);
      complaints.push(...complainOf(ended, [0, 4]));
      if (
        await until(() => world.processes().length === 0, 500)
      ) { /* as promised */ } else if (ended.code === 0) {
        complaints.push("stop worked, and it lives");
      }
    } else if (action === "delete") {
      const ended = await cli(root, ["delete", "-f", ID]);
      complaints.push(...complainOf(ended, [0]));
    } else {
      for (const pid of stage.pids("agent")) kill(pid, "SIGKILL");
      await pause(50);
    }
    for (const pid of pids) kill(pid, "SIGCONT");
    return [...complaints, ...await judge(world)];
  };
}

const reboot: Fault = {
  name: "reboot",
  about:
    "all killed at once, files cut off anywhere, the root moved and copied",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of ["exec", "repl"] as const) {
      for (
        const file of [
          "",
          "meta.json",
          "pid",
          "exit",
          "lock",
          "stop.json",
          "reaper.sh",
          "stdout.log",
        ]
      ) {
        for (const part of file === "" ? [1] : [0, 0.3, 0.7, 0.99]) {
          cases.push([
            `${kind} ${file || "nothing"} cut to ${part}`,
            goDown(kind, file, part),
          ]);
        }
      }
    }
    await injectAll(short ? random.sample(cases, 6) : cases);
  },
};

function goDown(kind: "exec" | "repl", file: string, part: number): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    const { world } = stage;
    const { root } = world;
    await createSession({ root, id: "before", command: world.agent() });
    await waitForSession("before", { root });
    Deno.writeTextFileSync(
      `${root}/before/stop.json`,
      `{"by":"stop","at":"${new Date().toISOString()}","signal":"SIGTERM"}\n`,
      { mode: 0o600 },
    );
    // Frozen first, so that none does anything any more: as if the power failed.
    const all = world.processes();
    for (const { pid } of all) kill(pid, "SIGSTOP");
    for (const { pid } of all) kill(pid, "SIGKILL");
    await until(() => world.processes().length === 0);
    if (file !== "") {
      for (const id of [ID, "before"]) {
        const path = `${root}/${id}/${file}`;
        try {
          const size = Deno.statSync(path).size;
          Deno.truncateSync(path, Math.floor(size * part));
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      }
    }
    // Restored from a backup: other inodes, other times.
    await new Deno.Command("sh", {
      args: [
        "-c",
        'cp -a "$1" "$2" && rm -rf "$1" && cp -r "$2" "$1" && chmod 700 "$1" && rm -rf "$2"',
        "sh",
        root,
        `${world.dir}/copy`,
      ],
    }).output();
    const complaints: string[] = [];
    for (const { id, state } of await listSessions({ root })) {
      if (id === ID && state.state === "exited") {
        complaints.push(`${id} is said to have exited`);
      }
      if (
        id === ID && (state.state === "running" || state.state === "starting")
      ) {
        complaints.push(`${id} is said to be ${state.state}`);
      }
    }
    for (
      const args of [["list"], ["show", ID, "before"], [
        "wait",
        "--timeout",
        "2",
        ID,
      ], ["logs", ID]]
    ) {
      const ended = await cli(root, args);
      if (ended.code === null || /^\s+at /m.test(ended.stderr)) {
        complaints.push(...complainOf(ended));
      }
    }
    complaints.push(
      ...await judge(world, {
        reaperKilled: true,
        damaged: file === "meta.json",
        logDamaged: file === "stdout.log",
      }),
    );
    return complaints;
  };
}

const clock: Fault = {
  name: "clock",
  about:
    "times of files and metadata a year back and forth (the clock itself is not ours)",
  run: async ({ injectAll }) => {
    const cases: [string, Case][] = [];
    for (const days of [-365, -1, 1, 365, 36500]) {
      cases.push([`${days} days`, setClock(days)]);
    }
    await injectAll(cases);
  },
};

function setClock(days: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const complaints: string[] = [];
    await createSession({ root, id: "ended", command: world.agent() });
    await createSession({
      root,
      id: "live",
      command: world.agent({ linger: 60 }),
    });
    await waitForSession("ended", { root });
    const then = new Date(Date.now() + days * 86_400_000);
    for (const id of ["ended", "live"]) {
      const { paths, meta } = await getSession(id, { root });
      Deno.writeTextFileSync(
        paths.meta,
        JSON.stringify({ ...meta, createdAt: then.toISOString() }),
      );
      for (const { name } of Deno.readDirSync(paths.dir)) {
        Deno.utimeSync(`${paths.dir}/${name}`, then, then);
      }
      Deno.utimeSync(paths.dir, then, then);
    }
    for (
      const args of [["list"], ["show", "ended", "live"], ["list", "--json"]]
    ) {
      const ended = await cli(root, args);
      complaints.push(...complainOf(ended, [0]));
      if (
        /NaN|null|-\d+[smhd]\b/.test(
          args[0] === "list"
            ? ended.stdout.replace(/"[^"]*":null|null/g, "")
            : "",
        )
      ) {
        complaints.push(`list shows ${ended.stdout}`);
      }
    }
    const { deleted } = await pruneSessions({ root, olderThanMs: 3_600_000 });
    const ids = deleted.map(({ id }) => id).join();
    if (ids !== (days < 0 ? "ended" : "")) {
      complaints.push(`prune --older-than 1h deleted "${ids}"`);
    }
    complaints.push(...await judge(world));
    return complaints;
  };
}

/** See above. */
export const STORM_FAULTS: readonly Fault[] = [
  killStorm,
  stopStorm,
  reboot,
  clock,
];
