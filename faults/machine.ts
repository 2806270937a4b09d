/**
 * The machine: it goes down in the middle, or its clock is set.
 *
 * These faults can't set the machine's clock, and a time namespace of Linux doesn't contain
 * it. Instead they set the times of files and in `meta.json` back and forward, and libfaketime
 * (Debian's package of that name) changes the clock for one command at a time.
 *
 * @module
 */
import {
  createSession,
  getSession,
  type Kind,
  listSessions,
  pruneSessions,
  waitForSession,
} from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { shell } from "./replacements.ts";
import { ID, Stage } from "./stage.ts";
import { cli, complainOf, kill, pause, there, until, World } from "./world.ts";

const reboot: Fault = {
  name: "reboot",
  about:
    "all processes killed at once, files cut off anywhere, the root restored from a copy",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of ["exec", "repl", "pty"] as const) {
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
          ...(kind === "pty" ? ["terminal.json"] : []),
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
    await injectAll(short ? random.sample(cases, 8) : cases);
  },
};

/** Commands that look at what is left. */
const LOOKS: readonly (readonly string[])[] = [
  ["list"],
  ["show", ID, "before"],
  ["wait", "--timeout", "2", ID],
  ["logs", ID],
  ["screen", ID],
];

function goDown(kind: Kind, file: string, part: number): Case {
  return async () => {
    await using stage = await Stage.set(kind);
    const { world } = stage;
    const { root } = world;
    await createSession({ root, id: "before", command: world.agent() });
    await waitForSession("before", { root });
    const at = new Date().toISOString();
    Deno.writeTextFileSync(
      `${root}/before/stop.json`,
      JSON.stringify({ by: "stop", at, signal: "SIGTERM" }) + "\n",
      { mode: 0o600 },
    );
    await cutPower(world);
    // On a busy machine the agent may have ended before that.
    const diary = world.diaries().find((one) => one.id === ID);
    const possible = diary?.exit === undefined
      ? ["lost", "damaged"]
      : ["lost", "damaged", "exited"];
    if (file !== "") {
      for (const id of [ID, "before"]) truncate(`${root}/${id}/${file}`, part);
    }
    await restore(root, `${world.dir}/copy`);
    const complaints: string[] = [];
    for (const { id, state } of await listSessions({ root })) {
      if (id === ID && !possible.includes(state.state)) {
        complaints.push(`${id} is listed as ${state.state}`);
      }
    }
    for (const args of LOOKS) {
      const ended = await cli(root, args);
      if (ended.code === null || /^\s+at /m.test(ended.stderr)) {
        complaints.push(...complainOf(ended));
      }
    }
    const excuses = {
      reaperKilled: true,
      relayKilled: true,
      damaged: file === "meta.json",
      logDamaged: file === "stdout.log",
    };
    return [...complaints, ...await judge(world, excuses)];
  };
}

/** Kills all processes, stopped first, so that none reacts to the death of another. */
async function cutPower(world: World): Promise<void> {
  const all = world.processes();
  for (const { pid } of all) kill(pid, "SIGSTOP");
  for (const { pid } of all) kill(pid, "SIGKILL");
  await until(() => world.processes().length === 0);
}

/** Cuts a file to a part of its size, if it exists. */
function truncate(path: string, part: number): void {
  if (!there(path)) return;
  Deno.truncateSync(path, Math.floor(Deno.statSync(path).size * part));
}

/** Replaces a root by its copy, as a backup does: other inodes, other times. */
async function restore(root: string, copy: string): Promise<void> {
  const script =
    'cp -a "$1" "$2" && rm -rf "$1" && cp -r "$2" "$1" && chmod 700 "$1" && rm -rf "$2"';
  await shell(script, root, copy);
}

const clock: Fault = {
  name: "clock",
  about:
    "times of files and metadata up to 100 years off (the clock itself is not set)",
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

const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

const set: Fault = {
  name: "clock-set",
  about: "the clock set an hour back or forward while a command waits",
  skip: () => there(FAKETIME) ? undefined : `${FAKETIME} is missing`,
  run: async ({ injectAll }) => {
    const cases: [string, Case][] = [];
    for (const seconds of [-3600, 3600]) {
      for (const what of Object.keys(WAITING)) {
        cases.push([`${what} ${seconds} s`, setMeanwhile(what, seconds)]);
      }
    }
    await injectAll(cases);
  },
};

/** A command that waits. */
interface Waiting {
  /** Its command line. */
  readonly args: readonly string[];
  /** The exit status that it must have. */
  readonly code: number;
  /** How long it must take at least and at most. */
  readonly seconds: readonly [least: number, most: number];
  /** The script of its agent. */
  readonly script: string;
}

const TALKING = "while :; do echo x; sleep 0.1; done";

const WAITING: Readonly<Record<string, Waiting>> = {
  "stop with grace": {
    args: ["stop", "-t", "8", ID],
    code: 0,
    seconds: [1, 6],
    script: "trap 'sleep 1.5; exit 7' TERM; while :; do sleep 0.1; done",
  },
  "stop without mercy": {
    args: ["stop", "-t", "1", ID],
    code: 0,
    seconds: [1, 6],
    script: "trap '' TERM; while :; do sleep 0.1; done",
  },
  "wait for idle": {
    args: ["wait", "--for", "idle=1", "--timeout", "8", ID],
    code: 0,
    seconds: [0.9, 6],
    script: "sleep 600",
  },
  "wait for idle in vain": {
    args: ["wait", "--for", "idle=1", "--timeout", "3", ID],
    code: 124,
    seconds: [2.9, 8],
    script: TALKING,
  },
  "wait in vain": {
    args: ["wait", "--timeout", "2", ID],
    code: 124,
    seconds: [1.9, 7],
    script: TALKING,
  },
};

function setMeanwhile(what: string, seconds: number): Case {
  return async () => {
    const { args, code, seconds: [least, most], script } = WAITING[what]!;
    await using world = await World.make();
    const { root } = world;
    Deno.mkdirSync(`${world.dir}/mine`);
    const file = `${world.dir}/mine/clock`;
    Deno.writeTextFileSync(file, "+0");
    const command = ["sh", "-c", script];
    const { paths } = await createSession({ root, id: ID, command });
    const startedAt = performance.now();
    const running = cli(root, args, {
      env: {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    });
    await pause(500);
    Deno.writeTextFileSync(file, `${seconds < 0 ? "" : "+"}${seconds}`);
    const ended = await running;
    const took = (performance.now() - startedAt) / 1000;
    const complaints = complainOf(ended, [code], [code]);
    if (took < least || took > most) {
      complaints.push(`it took ${took.toFixed(1)} s`);
    }
    const { state } = await getSession(ID, { root });
    const shown = JSON.stringify(state);
    if (what === "stop with grace" && !shown.includes('"code":7')) {
      complaints.push(`the agent got no grace period: ${shown}`);
    }
    if (what === "stop without mercy" && !shown.includes("SIGKILL")) {
      complaints.push(`SIGKILL did not end the agent: ${shown}`);
    }
    if (!there(paths.meta)) complaints.push("the session is gone");
    return [...complaints, ...await judge(world)];
  };
}

/** All faults of this file. */
export const MACHINE_FAULTS: readonly Fault[] = [reboot, clock, set];
