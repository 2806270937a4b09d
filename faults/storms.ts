/**
 * Storms: each part of a session killed in every order, or stopped; and many programs that
 * create, delete and prune the same few ids at the same time.
 *
 * @module
 */
import type { Kind } from "../mod.ts";
import { PROJECT } from "../tests/helpers.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { ID, type Part, PARTS, Stage } from "./stage.ts";
import { cli, complainOf, kill, pause, until, World } from "./world.ts";

const KINDS: readonly Kind[] = ["exec", "repl", "pty"];

function* permutations<T>(from: readonly T[]): Generator<T[]> {
  if (from.length <= 1) return yield [...from];
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
  kind: Kind,
  order: readonly Part[],
  ms: number,
): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    // Found before the first one dies: later their parents can't tell them apart.
    const targets = order.map((part) => stage.pids(part));
    for (const pids of targets) {
      for (const pid of pids) kill(pid, "SIGKILL");
      if (ms > 0) await pause(ms);
    }
    return await judge(stage.world, {
      reaperKilled: order.includes("reaper"),
      relayKilled: order.includes("relay"),
    });
  };
}

const killStorm: Fault = {
  name: "storm-kill",
  about:
    "SIGKILL of reaper, relay, agent, child, helper, client, in every order",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of KINDS) {
      for (const order of orders(PARTS[kind])) {
        for (const ms of [0, 15]) {
          const name = `${kind} ${order.join(" ")} ${ms}ms`;
          cases.push([name, storm(kind, order, ms)]);
        }
      }
    }
    await injectAll(short ? random.sample(cases, 9) : cases);
  },
};

const stopStorm: Fault = {
  name: "storm-stop",
  about: "SIGSTOP of each part, then list, stop or delete, then SIGCONT",
  run: async ({ short, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of KINDS) {
      for (const part of PARTS[kind]) {
        for (const action of ["wait", "stop", "delete", "kill-agent"]) {
          const ms = short
            ? 300
            : (part === "reaper" || part === "relay") && action === "wait"
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
  kind: Kind,
  part: Part,
  action: string,
  ms: number,
): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    const { world } = stage;
    const { root } = world;
    const isRelay = part === "relay";
    const pids = stage.pids(part);
    for (const pid of pids) kill(pid, "SIGSTOP");
    const complaints: string[] = [];
    if (action === "wait") {
      await pause(ms);
      complaints.push(
        ...await judge(world, {
          keep: true,
          // A stopped relay has not read yet what the agent wrote last.
          relayKilled: isRelay,
          reaperStopped: part === "reaper" || isRelay,
        }),
      );
    } else if (action === "stop") {
      const ended = await cli(root, ["stop", "-t", "1", ID]);
      complaints.push(...complainOf(ended, [0, 4]));
      const gone = await until(() => world.processes().length === 0, 500);
      if (ended.code === 0 && !gone) {
        complaints.push("stop succeeded, but a process still runs");
      }
    } else if (action === "delete") {
      const ended = await cli(root, ["delete", "-f", ID]);
      complaints.push(...complainOf(ended, [0]));
    } else {
      for (const pid of stage.pids("agent")) kill(pid, "SIGKILL");
      await pause(50);
    }
    for (const pid of pids) kill(pid, "SIGCONT");
    // SIGKILL ends a stop, and with it the relay.
    const relayKilled = isRelay && action === "stop";
    return [...complaints, ...await judge(world, { relayKilled })];
  };
}

const idStorm: Fault = {
  name: "storm-ids",
  about: "creators, deleters and pruners of a few ids at the same time",
  run: async ({ short, seed, inject }) => {
    for (const mode of ["peace", "force"]) {
      for (let round = 0; round < (short ? 1 : 10); round++) {
        const ms = short ? 1500 : 10_000;
        const name = `${mode} ${round}`;
        await inject(name, useAgain(mode, seed * 100 + round * 10, ms));
      }
    }
  },
};

function useAgain(mode: string, seed: number, ms: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const diaries = `${world.dir}/mine`;
    Deno.mkdirSync(diaries);
    const complaints: string[] = [];
    const workers = Array.from({ length: 3 }, async (_, index) => {
      const { stdout, stderr, code } = await new Deno.Command(
        Deno.execPath(),
        {
          args: [
            ...[
              "run",
              "-A",
              "--no-check",
              `${PROJECT}faults/storm_ids_main.ts`,
            ],
            ...[root, diaries, `${seed + index}`, `${ms}`, mode],
          ],
        },
      ).output();
      const decoder = new TextDecoder();
      const said = decoder.decode(stdout) + decoder.decode(stderr);
      if (code !== 0 || said !== "") complaints.push(`${code}: ${said}`);
    });
    await Promise.all(workers);
    // No program starts sessions any more.
    const all = () =>
      [...Deno.readDirSync(diaries)].map(({ name }) =>
        Deno.readTextFileSync(`${diaries}/${name}`)
      );
    const cutOff = () => all().filter((text) => !text.endsWith("end\n"));
    if (mode === "peace" && !await until(() => cutOff().length === 0, 5000)) {
      const count = cutOff().length;
      complaints.push(`${count} of ${all().length} agents were killed`);
    }
    return all().length === 0 ? null : [...complaints, ...await judge(world)];
  };
}

/** All faults of this file. */
export const STORM_FAULTS: readonly Fault[] = [killStorm, stopStorm, idStorm];
