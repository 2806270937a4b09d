/**
 * The machine goes down in the middle, the clock is set.
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
  listSessions,
  pruneSessions,
  waitForSession,
} from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { ID, Stage } from "./stage.ts";
import { cli, complainOf, kill, until, World } from "./world.ts";

const reboot: Fault = {
  name: "reboot",
  about:
    "all killed at once, files cut off anywhere, the root moved and copied",
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

function goDown(kind: Kind, file: string, part: number): Case {
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
      const args of [
        ["list"],
        ["show", ID, "before"],
        [
          "wait",
          "--timeout",
          "2",
          ID,
        ],
        ["logs", ID],
        ["screen", ID],
      ]
    ) {
      const ended = await cli(root, args);
      if (ended.code === null || /^\s+at /m.test(ended.stderr)) {
        complaints.push(...complainOf(ended));
      }
    }
    complaints.push(
      ...await judge(world, {
        reaperKilled: true,
        relayKilled: true,
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
export const MACHINE_FAULTS: readonly Fault[] = [reboot, clock];
