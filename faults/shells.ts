/**
 * The reaper's script in each shell that it was written for: with an environment that makes
 * shells misbehave, and with a full process table.
 *
 * @module
 */
import { waitForSession } from "../mod.ts";
import { reaperScript } from "../process/reaper.ts";
import { PROJECT } from "../tests/helpers.ts";
import {
  findShell,
  FORKER,
  hostileEnvironment,
  runIn,
  SHELLS,
} from "../tests/shells.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { kill, pause, seeAll, there, until, World } from "./world.ts";

const ID = "subject";

/** The sessions to start. No environment changes what their agents do. */
const SESSIONS: Readonly<Record<string, Record<string, unknown>>> = {
  "exec": { command: ["/bin/true"] },
  "repl": { command: ["/bin/cat"], kind: "repl" },
  "timeout": {
    command: ["/usr/bin/setsid", "/bin/sleep", "1000"],
    timeoutMs: 200,
  },
  "rm": {
    command: ["/usr/bin/setsid", "-f", "/bin/sleep", "1000"],
    rm: true,
  },
};

function inEnvironment(shell: string, name: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const dir = `${world.dir}/mine`;
    Deno.mkdirSync(dir);
    const env = hostileEnvironment(dir);
    const options = { root, id: ID, env, ...SESSIONS[name] };
    const script = `import { createSession } from "${PROJECT}mod.ts";
      await createSession(JSON.parse(Deno.args[0]));`;
    Deno.writeTextFileSync(`${dir}/start.ts`, script);
    const run = [Deno.execPath(), "run", "-A", "--quiet", `${dir}/start.ts`];
    await runIn(shell, [...run, JSON.stringify(options)]);
    const complaints: string[] = [];
    if (name === "repl") {
      // Longer than TMOUT in this environment, which limits how long bash reads.
      await pause(1300);
      if (!world.processes().some(({ command }) => command === "/bin/cat")) {
        complaints.push("the input has ended");
      }
    } else if (name === "rm") {
      if (!await until(() => world.processes().length === 0)) {
        complaints.push("processes are left");
      }
      if (!await until(() => !there(`${root}/${ID}`))) {
        complaints.push("the session is not removed");
      }
    } else {
      const { state } = await waitForSession(ID, { root, timeoutMs: 10_000 });
      const { ending } = state as { ending?: { signal?: string } };
      const expected = name === "timeout" ? "SIGTERM" : undefined;
      if (ending?.signal !== expected) {
        complaints.push(`its end is ${JSON.stringify(state)}`);
      }
    }
    if (there(`${dir}/touched`)) {
      complaints.push("a program of the environment ran");
    }
    return [...complaints, ...await judge(world)];
  };
}

const environments: Fault = {
  name: "environments",
  about: "variables and functions that make a shell misbehave",
  skip: () => skipAll(),
  run: async ({ short, random, injectAll }) => {
    const cases = usable().flatMap((shell) =>
      Object.keys(SESSIONS).map((name) =>
        [`${shell} ${name}`, inEnvironment(shell, name)] as const
      )
    );
    await injectAll(short ? random.sample(cases, 4) : cases);
  },
};

/** The first user id of the cases; RLIMIT_NPROC gives each user a process table of its own. */
const USER = 54400;

/** Agents that fork until they can't. */
const FORKERS: Readonly<Record<string, string>> = {
  "obeys": FORKER.replace(/^signal\.signal.*$/m, ""),
  "ignores SIGTERM": FORKER,
  "stays in its group": FORKER.replace(/^.*setsid.*$/m, ""),
  "forks in each child": FORKER.replace("time.sleep(1000)", "continue")
    .replace(/^.*setsid.*$/m, ""),
  "forks at once": FORKER.replace("while True:", "time.sleep(0)\nwhile True:"),
};

function withFullTable(shell: string, name: string, user: number): Case {
  return async () => {
    await using world = await World.make();
    const dir = `${world.dir}/mine`;
    Deno.chmodSync(world.dir, 0o711);
    Deno.mkdirSync(dir);
    Deno.writeTextFileSync(`${dir}/forker.py`, FORKERS[name]!);
    Deno.writeTextFileSync(`${dir}/reaper.log`, "reaper:\n");
    // The table may still be full: then nobody is told.
    const [setsid, program] = ["/usr/bin/setsid", "/bin/true"];
    const notifier = { setsid, program, tail: '"session":{}}' };
    const options = { timeoutMs: 500, graceMs: 400, notifier };
    Deno.writeTextFileSync(`${dir}/reaper.sh`, reaperScript(options));
    const script =
      `mkfifo "$1/ready.pipe" && chown -R "$2" "$1" && cd "$1" || exit
      CODEX_SESSION_DIR=$1 timeout -k 1 90 setsid -w setpriv --reuid "$2" --clear-groups \\
        prlimit --nproc=40 /bin/sh "$1/reaper.sh" python3 forker.py 3<>ready.pipe`;
    const complaints: string[] = [];
    try {
      await runIn(shell, ["sh", "-c", script, "sh", dir, `${user}`]);
    } catch (error) {
      complaints.push(`the reaper failed: ${error}`);
    }
    const left = () => seeAll().filter(({ owner }) => owner?.endsWith(dir));
    if (!await until(() => left().length === 0, 40_000)) {
      complaints.push(`${left().length} processes are left`);
    }
    for (let round = 0; round < 50 && left().length > 0; round++) {
      for (const { pid } of left()) kill(pid, "SIGKILL");
      await pause(10);
    }
    for (
      const [file, said] of [["exit", "signal "], ["stop.json", '"timeout"']]
    ) {
      const path = `${dir}/${file}`;
      const text = there(path) ? Deno.readTextFileSync(path) : "nothing";
      if (!text.includes(said!)) complaints.push(`${file} says ${text}`);
    }
    return [...complaints, ...world.harm()];
  };
}

const fullTable: Fault = {
  name: "full-table",
  about:
    "agents that fill the process table, past their timeout (RLIMIT_NPROC)",
  skip: () => skipAll(),
  run: async ({ short, injectAll }) => {
    // bash tries to fork for 15 seconds, mksh for 31.
    const shells = short ? ["dash"] : usable();
    const names = Object.keys(FORKERS).slice(0, short ? 2 : undefined);
    await injectAll(
      shells.flatMap((shell) => names.map((name) => [shell, name] as const))
        .map(([shell, name], index) =>
          [
            `${shell}, ${name}`,
            withFullTable(shell, name, USER + index),
          ] as const
        ),
    );
  },
};

/** The shells that can be put in the place of `/bin/sh` here. */
function usable(): string[] {
  return SHELLS.filter((shell) => "path" in findShell(shell));
}

/** Why none of the shells can be used here; `undefined` if one can. */
function skipAll(): string | undefined {
  const found = SHELLS.map(findShell);
  if (found.some((one) => "path" in one)) return undefined;
  return found.map((one) => "why" in one ? one.why : "")[0];
}

/** All faults of this file. */
export const SHELL_FAULTS: readonly Fault[] = [environments, fullTable];
