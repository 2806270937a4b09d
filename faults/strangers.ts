/**
 * Strangers that look like a session's processes, and a session's processes that look like
 * strangers or like its reaper; Workers that use sessions.
 *
 * A stranger carries the session's directory somewhere in its environment, runs as another
 * user, or stands in the record. A process of the session writes another id into the record,
 * or imitates the reaper. Every way of ending a session must end its processes and no others.
 *
 * @module
 */
import { createSession, type Paths, waitForSession } from "../mod.ts";
import { processesAt } from "../process/members.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, complainOf, kill, see, until, World } from "./world.ts";

const ID = "subject";
const OTHER = "54321";
const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;

/** Strangers to a session in `dir`: their programs, and variables in their environment. */
const STRANGERS: Readonly<
  Record<string, (dir: string) => readonly [string[], Record<string, string>]>
> = {
  "a saved environment": (dir) => [
    ["sleep", "1000"],
    { SAVED: `HOME=/\nCODEX_SESSION_DIR=${dir}\nPATH=/bin` },
  ],
  "another variable": (dir) => [
    ["sleep", "1000"],
    { MY_CODEX_SESSION_DIR: dir, CODEX_SESSION_DIRS: dir },
  ],
  "a longer directory": (dir) => [
    ["sleep", "1000"],
    { CODEX_SESSION_DIR: `${dir}2` },
  ],
  "a directory with a second line": (dir) => [
    ["sleep", "1000"],
    { CODEX_SESSION_DIR: `${dir}\n` },
  ],
  "another user": (dir) => [
    ["setpriv", "--reuid", OTHER, "--clear-groups", "sleep", "1000"],
    { CODEX_SESSION_DIR: dir },
  ],
  "another user's setuid program": (dir) => [
    ["setpriv", "--ruid", OTHER, "--clear-groups", "sleep", "1000"],
    { CODEX_SESSION_DIR: dir },
  ],
};

/** Ways to end a session, with their commands; `--rm` and a timeout need none. */
const ENDS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "timeout": [],
  "rm": [],
  "stop": [["show", ID], ["stop", "-t", "1", ID]],
  "delete": [["delete", "-f", ID]],
  "prune": [["stop", "-t", "1", ID], ["prune"]],
};

interface Stranger {
  readonly child: Deno.ChildProcess;
  readonly name: string;
}

async function startStranger(name: string, dir: string): Promise<Stranger> {
  const [[program, ...args], env] = STRANGERS[name]!(dir);
  const child = new Deno.Command(program!, {
    args,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until(() => /^\S*sleep /.test(see(child.pid)?.command ?? ""));
  return { child, name };
}

/** Ends strangers; complains about those that were ended or stopped already. */
async function complainFor(strangers: readonly Stranger[]): Promise<string[]> {
  const complaints: string[] = [];
  for (const { child, name } of strangers) {
    const seen = see(child.pid);
    if (seen === undefined) complaints.push(`a stranger is dead: ${name}`);
    if (seen?.state === "T") complaints.push(`a stranger is stopped: ${name}`);
    kill(child.pid, "SIGKILL");
    await child.status;
  }
  return complaints;
}

function lookingAlike(how: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const { paths } = await createSession({
      root,
      id: ID,
      command: world.agent({ linger: how === "rm" ? 0.3 : 600 }),
      ...(how === "timeout" ? { timeoutMs: 300, graceMs: 200 } : {}),
      rm: how === "rm",
    });
    const names = Object.keys(STRANGERS)
      .filter((name) => isRoot || !name.startsWith("another user"));
    const strangers = await Promise.all(
      names.map((name) => startStranger(name, paths.dir)),
    );
    const pids = strangers.map(({ child }) => child.pid);
    const shown = processesAt(paths).filter(({ pid }) => pids.includes(pid));
    const complaints = shown.map(({ pid, role }) =>
      `stranger ${pid} is listed as ${role}`
    );
    for (const args of ENDS[how]!) {
      complaints.push(...complainOf(await cli(root, args)));
    }
    await until(() => world.processes().every(({ pid }) => pids.includes(pid)));
    complaints.push(...await complainFor(strangers));
    return [...complaints, ...await judge(world)];
  };
}

const strangers: Fault = {
  name: "strangers",
  about: "strangers that carry the session's directory or run as another user",
  run: async ({ injectAll }) => {
    await injectAll(
      Object.keys(ENDS).map((how) => [how, lookingAlike(how)] as const),
    );
  },
};

/** Records that an agent can write, given a stranger that leads a kernel session. */
const RECORDS: Readonly<Record<string, (stranger: number) => string>> = {
  "1 1": () => "1 1",
  "itself twice": () => "$$ $$",
  "its reaper twice": () => "$PPID $PPID",
  "turned around": () => "$$ $PPID",
  "a leader": (pid) => `${pid} ${pid}`,
  "a leader as its agent": (pid) => `$PPID ${pid}`,
  "numbers that nobody has": () => "4194000 4194001",
  "nothing": () => "",
};

function forged(name: string, how: string, reaperLives: boolean): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const child = new Deno.Command("sleep", {
      args: ["1000"],
      detached: true,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const stranger = { child, name: `named by ${name}` };
    const record = RECORDS[name]!(child.pid);
    // One child has an empty environment: only its parent shows that it belongs to the session.
    // delete has a grace period of ten seconds, so there the agent obeys SIGTERM.
    const trap = how === "delete" ? "" : "trap '' TERM;";
    const script =
      `echo "${record}" >"$CODEX_SESSION_DIR/pid"; echo ready; env -i sleep 900 & ${trap} sleep 901; sleep 902`;
    const { paths, pids } = await createSession({
      root,
      id: ID,
      command: ["sh", "-c", script],
      ...(how === "timeout" ? { timeoutMs: 300, graceMs: 200 } : {}),
    });
    const ready = () =>
      Deno.readTextFileSync(paths.stdout) === "ready\n" &&
      own(paths).length === (reaperLives ? 4 : 3);
    if (!reaperLives) kill(pids.reaper, "SIGKILL");
    await until(ready);
    const session = own(paths);
    const complaints: string[] = [];
    for (const args of ENDS[how]!) {
      const { code, stderr } = await cli(root, args);
      if (code !== 0 && args[0] !== "prune") {
        complaints.push(`${args}: ${stderr}`);
      }
    }
    await until(() => !session.some((pid) => see(pid)));
    for (const pid of session) {
      const left = see(pid);
      if (left !== undefined) complaints.push(`${left.command} still runs`);
      kill(pid, "SIGKILL");
    }
    complaints.push(...await complainFor([stranger]));
    const excuses = { forged: true, reaperKilled: !reaperLives };
    return [...complaints, ...await judge(world, excuses)];
  };
}

/** The ids of a session's processes, without the reaper's helpers. */
function own(paths: Paths): number[] {
  return processesAt(paths).filter(({ role }) => role !== "helper")
    .map(({ pid }) => pid);
}

const forgedRecords: Fault = {
  name: "forged-pids",
  about: "an agent that writes other process ids into the record",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const name of Object.keys(RECORDS)) {
      for (const how of ["timeout", "stop", "delete"]) {
        for (const reaperLives of [true, false]) {
          const life = reaperLives ? "alive" : "dead";
          cases.push([
            `${name}, reaper ${life}, ${how}`,
            forged(name, how, reaperLives),
          ]);
        }
      }
    }
    await injectAll(short ? random.sample(cases, 6) : cases);
  },
};

// Looks like the reaper by its arguments, and waits for ever at a pipe ($0).
const LIKE_REAPER = 'cat "$CODEX_SESSION_DIR/reaper.sh" "$0"';

/** Agents that make processes which imitate the reaper or its helpers. */
const MIMICS: Readonly<Record<string, string>> = {
  "the agent": `exec ${LIKE_REAPER}`,
  "the agent, twice": `${LIKE_REAPER} & exec ${LIKE_REAPER}`,
  "a leader": `setsid ${LIKE_REAPER} & exec cat`,
  "an orphaned leader": `(setsid ${LIKE_REAPER} &); exec cat`,
  "a leader, the reaper dead":
    `(setsid ${LIKE_REAPER} &); kill -KILL $PPID; exec cat`,
};

function mimicked(name: string, command: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const pipe = `${world.dir}/mine`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    await createSession({
      root,
      id: ID,
      kind: "repl",
      command: ["sh", "-c", MIMICS[name]!, pipe],
    });
    const looksAlike = /^\S*cat \S*\/reaper\.sh /;
    await until(() =>
      world.processes().some(({ command }) => looksAlike.test(command))
    );
    const args = command === "stop" ? ["stop", "-t", "1"] : ["delete", "-f"];
    const ended = await cli(root, [...args, ID], { timeoutMs: 40_000 });
    const complaints = complainOf(ended, [0]);
    for (const { command } of world.processes()) {
      complaints.push(`${command} still runs`);
    }
    const excuses = { forged: true, reaperKilled: true };
    return [...complaints, ...await judge(world, excuses)];
  };
}

const mimics: Fault = {
  name: "mimics",
  about: "processes of a session that imitate its reaper or its helpers",
  run: async ({ short, injectAll }) => {
    const cases = Object.keys(MIMICS).flatMap((name) =>
      ["stop", "delete"].map((command) =>
        [`${name}, ${command}`, mimicked(name, command)] as const
      )
    );
    // The others look like helpers, and stop gives helpers ten seconds.
    const quick = cases.filter(([name]) => /^an? .*leader, stop/.test(name));
    await injectAll(short ? quick : cases);
  },
};

/** How many Workers use sessions while the main thread starts them. */
const THREADS = 4;

// Lists, stops and waits for sessions; posts its complaints.
const WORKER = (root: string, mod: string) => `
import { createSession, listSessions, stopSession, waitForSession } from "${mod}";
const root = "${root}";
const complaints = [];
await createSession({ root, command: ["true"] }).then(
  () => complaints.push("a Worker started a session"),
  ({ code }) => code === "unsupported" || complaints.push("refused with " + code),
);
for (let round = 0; round < 20; round++) {
  for (const { id, state } of await listSessions({ root })) {
    try {
      if (state.state !== "exited") await stopSession(id, { root, graceMs: 500 });
      await waitForSession(id, { root, timeoutMs: 10_000 });
    } catch (error) {
      if (!/wrong_state|not_found/.test(error.code)) complaints.push(String(error));
    }
  }
}
self.postMessage(complaints);`;

const threads: Fault = {
  name: "threads",
  about: "Workers that use sessions while the main thread starts some",
  run: async ({ inject }) => {
    await inject(`${THREADS} Workers`, async () => {
      await using world = await World.make();
      const { root } = world;
      const mod = new URL("../mod.ts", import.meta.url).href;
      const script = new Blob([WORKER(root, mod)], {
        type: "application/javascript",
      });
      const url = URL.createObjectURL(script);
      const workers = Array.from(
        { length: THREADS },
        () => new Worker(url, { type: "module" }),
      );
      const told = workers.map((worker) =>
        new Promise<string[]>((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => {
            event.preventDefault();
            resolve([event.message]);
          };
        })
      );
      for (let i = 0; i < 20; i++) {
        const command = world.agent({ linger: i % 2 * 600 });
        await createSession({ root, id: `${ID}-${i}`, command });
      }
      const complaints = (await Promise.all(told)).flat();
      for (const worker of workers) worker.terminate();
      for (let i = 0; i < 20; i += 2) {
        await waitForSession(`${ID}-${i}`, { root, timeoutMs: 10_000 });
      }
      return [...complaints, ...await judge(world)];
    });
  },
};

/** All faults of this file. */
export const STRANGER_FAULTS: readonly Fault[] = [
  strangers,
  forgedRecords,
  mimics,
  threads,
];
