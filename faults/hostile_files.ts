/**
 * Hostile files: something else in the place of each file of a session, of the root, and of
 * the root's other entries.
 *
 * A replacement is made while the session runs or after it has ended, then every command is
 * tried: none may hang, print a stack trace or anything that steers a terminal, and nothing
 * outside may change.
 *
 * @module
 */
import { createSession, waitForSession } from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { REPLACEMENTS, shell } from "./replacements.ts";
import { cli, complainOf, steering, there, until, World } from "./world.ts";

const ID = "subject";

const FILES = [
  "meta.json",
  "pid",
  "exit",
  "lock",
  "stop.json",
  "stdout.log",
  "stderr.log",
  "events.jsonl",
  "events.jsonl.1",
  "stdin.pipe",
  "eof.pipe",
  "reaper.log",
  "reaper.sh",
  "ready.pipe",
] as const;

/** What can stand in a file's place. */
const HOWS: Readonly<Record<string, string>> = {
  ...REPLACEMENTS,
  "link to a folder": 'ln -s "$2/outside/folder" "$1"',
  "empty file": ': >"$1"',
  "forbidden": 'echo x >"$1"; chmod 0 "$1"',
};

/** The commands that are tried, in this order; the last ones end the session. */
const COMMANDS: readonly (readonly string[])[] = [
  ["list"],
  ["list", "--json"],
  ["show", ID],
  ["logs", ID],
  ["logs", "-n", "3", "--stderr", ID],
  ["send", "--timeout", "1", ID, "hello"],
  ["send", "--timeout", "1", ID, "--eof"],
  ["events"],
  ["events", "--json", ID],
  ["wait", "--timeout", "1", ID],
  ["logs", "-n", "3", "--plain", ID],
  ["prune", "--dry-run"],
  ["stop", "-t", "1", ID],
  ["prune"],
  ["delete", "-f", ID],
];

function replaced(
  life: "ended" | "live",
  file: string,
  how: string,
  commands: readonly (readonly string[])[],
): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    if (life === "live") {
      await createSession({
        root,
        id: ID,
        kind: "repl",
        command: world.echo(),
      });
      await until(() => world.diaries().length > 0);
    } else {
      await createSession({ root, id: ID, command: world.agent() });
      await waitForSession(ID, { root });
    }
    const path = `${root}/${ID}/${file}`;
    await shell('rm -rf "$1"; ' + HOWS[how], path, world.dir);
    const complaints: string[] = [];
    for (const args of commands) {
      // Waiting for a session that does not end is no fault.
      const endless = life === "live" && args[0] === "wait";
      const ended = await cli(root, args, { timeoutMs: 30_000 });
      const found = complainOf(
        ended,
        args[0] === "wait" ? undefined : [0, 1, 3, 4],
      ).concat(steering(ended.stdout, args));
      if (endless && ended.code === 124) continue;
      if (args[0] === "wait" && ended.code === 7) continue;
      for (const text of found) {
        // The agent's standard error goes there as it was written.
        const isRaw = args[0] === "logs" && !args.includes("--plain");
        if (isRaw && text.startsWith("control")) continue;
        complaints.push(`${args.join(" ")}: ${text}`);
      }
    }
    complaints.push(
      ...await judge(world, {
        damaged: true,
        forged: true,
        logDamaged: true,
        reaperKilled: true,
        settleMs: 6000,
      }),
    );
    return complaints;
  };
}

const files: Fault = {
  name: "hostile-files",
  about: "links, pipes, folders, garbage in the place of every file",
  run: async ({ short, random, injectAll }) => {
    const all: [string, Case][] = [];
    for (const life of ["ended", "live"] as const) {
      for (const file of FILES) {
        for (const how of Object.keys(HOWS)) {
          const commands = short
            ? [
              ...random.sample(COMMANDS.slice(0, -3), 2),
              ...COMMANDS.slice(-1),
            ]
            : COMMANDS;
          all.push([
            `${life} ${file}: ${how}`,
            replaced(life, file, how, commands),
          ]);
        }
      }
    }
    await injectAll(short ? random.sample(all, 6) : all);
  },
};

/** Puts a file, a link and a pipe in the place of a session's file in turns, without pause. */
const SWAPPER = `
const [path, file, link, pipe] = Deno.args;
const others = [link, pipe, file];
for (let turn = 0;; turn++) {
  try {
    Deno.linkSync(others[turn % 3], path + ".swap");
    Deno.renameSync(path + ".swap", path);
  } catch {
    if (turn > 0 && turn % 1000 === 0) Deno.lstatSync(file);
  }
}
`;

function swapped(life: "ended" | "live", file: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    await createSession({
      root,
      id: ID,
      kind: "repl",
      command: life === "live" ? world.echo() : world.agent(),
    });
    if (life === "ended") await waitForSession(ID, { root });
    else await until(() => world.diaries().length > 0);
    const path = `${root}/${ID}/${file}`;
    const mine = `${world.dir}/mine`;
    await shell(
      `mkdir "$2"; echo x >"$2/file"; ln -s "$3/outside/file" "$2/link"
       [ ! -f "$1" ] || cp -p "$1" "$2/file"
       [ -p "$1" ] && ln "$1" "$2/pipe" || mkfifo "$2/pipe"`,
      ...[path, mine, world.dir],
    );
    Deno.writeTextFileSync(`${mine}/swapper.ts`, SWAPPER);
    const swapper = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", `${mine}/swapper.ts`, path],
        ...["file", "link", "pipe"].map((name) => `${mine}/${name}`),
      ],
      stderr: "null",
    }).spawn();
    const complaints: string[] = [];
    try {
      for (const args of SWAPPED_COMMANDS) {
        const ended = await cli(root, args, { timeoutMs: 30_000 });
        // Logs may be cut off and the session damaged: only hanging is a fault.
        const text = complainOf(ended, [0, 1, 3, 4, 7, 124], [0, 7]);
        complaints.push(...text.map((one) => `${args.join(" ")}: ${one}`));
      }
    } finally {
      swapper.kill("SIGKILL");
      await swapper.status;
    }
    const forgiving = { damaged: true, forged: true, logDamaged: true };
    complaints.push(
      ...await judge(world, { ...forgiving, reaperKilled: true }),
    );
    return complaints;
  };
}

const SWAPPED_COMMANDS: readonly (readonly string[])[] = [
  ["list"],
  ["show", ID],
  ["logs", "--stdout", ID],
  ["logs", "--stdout", "-n", "3", ID],
  ["send", "--timeout", "1", ID, "evil"],
  ["events", ID],
  ["wait", "--timeout", "1", ID],
  ["list", "--json"],
  ["prune", "--dry-run"],
  ["delete", "-f", ID],
];

const swaps: Fault = {
  name: "hostile-swaps",
  about: "a file that is swapped for a link and a pipe without pause",
  run: async ({ short, random, injectAll }) => {
    const all = (["ended", "live"] as const).flatMap((life) =>
      [...FILES, "terminal.json", "stdout.log.1"].map((file) =>
        [`${life} ${file}`, swapped(life, file)] as const
      )
    );
    await injectAll(short ? random.sample(all, 3) : all);
  },
};

/** What a root can be: a shell command with the root as $1 and the world as $2; whether it is usable. */
const ROOTS: Readonly<Record<string, readonly [string, boolean]>> = {
  "of somebody else": ['chown 65534 "$1"', false],
  "group-writable": ['chmod 770 "$1"', false],
  "world-writable": ['chmod 777 "$1"', false],
  "sticky and world-writable": ['chmod 1777 "$1"', false],
  "in a group-writable folder": [
    'chmod 770 "$2/mine"; rmdir "$1"; mkdir -m 700 "$2/mine/root"; ln -s "$2/mine/root" "$1"',
    true,
  ],
  "a file": ['rmdir "$1"; echo x >"$1"', false],
  "a pipe": ['rmdir "$1"; mkfifo "$1"', false],
  "a dangling link": ['rmdir "$1"; ln -s "$2/nowhere" "$1"', false],
  "a link to itself": ['rmdir "$1"; ln -s "$1" "$1"', false],
  "read-only folder": ['rmdir "$1"; ln -s /proc/sys "$1"', false],
};

function rootCase(how: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    Deno.mkdirSync(`${world.dir}/mine`);
    const [script, usable] = ROOTS[how]!;
    await shell(script, root, world.dir);
    const complaints: string[] = [];
    const run = ["run", "--id", ID, "--", ...world.agent()];
    for (
      const args of [run, ["list"], ["prune"], ["delete", "-f", ID], [
        "show",
        ID,
      ]]
    ) {
      const ended = await cli(root, args, { timeoutMs: 30_000 });
      complaints.push(
        ...complainOf(ended).map((text) => `${args[0]}: ${text}`),
      );
      if (args === run && ended.code === 0 && !usable) {
        complaints.push("run: it uses a root that others may change");
      }
    }
    complaints.push(...world.harm());
    for (const { command } of world.processes()) {
      complaints.push(`${command} still runs`);
    }
    await shell('rm -rf "$1"; mkdir -m 700 "$1"', root);
    return complaints;
  };
}

const roots: Fault = {
  name: "hostile-roots",
  about:
    "roots that belong to others, that others may write to, that are no directory",
  skip: () => Deno.uid() === 0 ? undefined : "needs root to give a folder away",
  run: async ({ short, random, injectAll }) => {
    const hows = Object.keys(ROOTS);
    await injectAll(
      (short ? random.sample(hows, 4) : hows)
        .map((how) => [how, rootCase(how)] as const),
    );
  },
};

/** Neighbours of a session: a shell command with the root as $1 and the world as $2. */
const NEIGHBOURS: Readonly<Record<string, string>> = {
  "foreign folder": 'mkdir "$1/foreign"; echo x >"$1/foreign/file"',
  "foreign file": 'echo x >"$1/foreign"',
  "link to a folder outside": 'ln -s "$2/outside/folder" "$1/foreign"',
  "hidden link named .old-":
    'ln -s "$2/outside/folder" "$1/.old-foreign"; ln -s "$2/outside/folder" "$1/.new-foreign"',
  "link to a session elsewhere":
    'cp -r "$1/subject" "$2/mine/foreign"; ln -s "$2/mine/foreign" "$1/foreign"',
  "pipe": 'mkfifo "$1/foreign"',
  "link inside a session":
    'ln -s "$2/outside/folder" "$1/subject/link"; ln -s "$2/outside/file" "$1/subject/other"',
};

const NEIGHBOUR_COMMANDS: readonly (readonly string[])[] = [
  ["list"],
  ["show", ID],
  ["show", "foreign"],
  ["stop", "-t", "1", ID],
  ["delete", "-f", "foreign"],
  ["prune"],
];

function besides(name: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const command = world.agent({ linger: 600 });
    await createSession({ root, id: ID, command });
    Deno.mkdirSync(`${world.dir}/mine`);
    await shell(NEIGHBOURS[name]!, root, world.dir);
    const complaints: string[] = [];
    for (const args of NEIGHBOUR_COMMANDS) {
      const ended = await cli(root, args, { timeoutMs: 30_000 });
      complaints.push(...complainOf(ended));
    }
    if (name.startsWith("foreign") && !there(`${root}/foreign`)) {
      complaints.push("a foreign file was deleted");
    }
    const elsewhere = `${world.dir}/mine/foreign/meta.json`;
    if (name === "link to a session elsewhere" && !there(elsewhere)) {
      complaints.push("a session outside was deleted through a link");
    }
    await shell('rm -f "$1/.old-foreign" "$1/.new-foreign"', root);
    return [...complaints, ...await judge(world)];
  };
}

const neighbours: Fault = {
  name: "hostile-neighbours",
  about: "other files, links and folders in the root and in a session",
  run: async ({ short, random, injectAll }) => {
    const names = Object.keys(NEIGHBOURS);
    const some = short ? random.sample(names, 3) : names;
    await injectAll(some.map((name) => [name, besides(name)] as const));
  },
};

/** All faults of this file. */
export const HOSTILE_FILE_FAULTS: readonly Fault[] = [
  files,
  swaps,
  roots,
  neighbours,
];
