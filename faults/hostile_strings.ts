/**
 * Hostile strings: ids that look like options and paths, escape sequences in every string
 * that is printed.
 *
 * @module
 */
import { type CreateOptions, createSession } from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, complainOf, steering, World } from "./world.ts";

const ID = "subject";

/** Steers a terminal, hides text, and is more than one line. */
const EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2028\x7f\r\n\t";

/** The same in one line, where more lines are refused. */
const EVIL_LINE = EVIL.replace("\n", "");

/** The same as the key of a label, which has no spaces. */
// deno-lint-ignore no-control-regex
const EVIL_KEY = EVIL.replace(/[\s\x00-\x20]/g, "");

const IDS = [
  "-rf",
  "--help",
  "-",
  "--",
  "..",
  ".",
  "../subject",
  "a/b",
  "/etc",
  "x".repeat(64),
  "x".repeat(65),
  "x".repeat(255),
  "x".repeat(5000),
  "äöü",
  "会议",
  "сессия",
  "a b",
  " ",
  "",
  "a\nb",
  "a\u202eb",
  "\x1b[31mred",
  "0",
  "99",
  "con",
  "*",
  "$(touch /tmp/owned)",
  "~",
  ".new-1-x",
  ".old-x",
];

function idCase(command: string, id: string): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const words: Readonly<Record<string, readonly string[]>> = {
      run: [`--id=${id}`, "--", ...world.agent()],
      send: ["--timeout", "1", "--", id, "x"],
      wait: ["--timeout", "1", "--", id],
    };
    const args = [command, ...words[command] ?? ["--", id]];
    const ended = await cli(root, args, { timeoutMs: 30_000 });
    const complaints = complainOf(ended);
    const made = [...Deno.readDirSync(root)].map(({ name }) => name);
    if (ended.code === 0 && (command !== "run" || made.join() !== id)) {
      complaints.push(`it succeeded and made ${made}`);
    }
    if (ended.code !== 0 && made.length > 0) {
      complaints.push(`it failed but left ${made}`);
    }
    return [...complaints, ...await judge(world)];
  };
}

const ids: Fault = {
  name: "hostile-ids",
  about: "ids that look like options or paths, are too long or not ASCII",
  run: async ({ short, random, injectAll }) => {
    const commands = ["run", "show", "delete", "stop", "logs", "send", "wait"];
    const cases = IDS.flatMap((id) =>
      commands.map((command) => {
        const shown = JSON.stringify(id).slice(0, 40);
        return [`${command} ${shown}`, idCase(command, id)] as const;
      })
    );
    await injectAll(short ? random.sample(cases, 12) : cases);
  },
};

/** Where a hostile string goes; `dir` is a folder of the case. */
interface Place {
  /** Options of the session, which runs an agent otherwise. */
  readonly options?: (dir: string, world: World) => Partial<CreateOptions>;
  /** Damage to the session's files, once it runs. */
  readonly damage?: (session: string) => void;
  /** Commands to try beside {@linkcode LOOKS}. */
  readonly calls?: (dir: string) => readonly (readonly string[])[];
}

const LOOKS: readonly (readonly string[])[] = [
  ["list"],
  ["list", "--json"],
  ["show", ID],
  ["wait", "--timeout", "0", ID],
  ["delete", ID],
];

/** Creating such labels is refused, but the agent can write them. */
function writeLabels(session: string, labels: Record<string, string>): void {
  const path = `${session}/meta.json`;
  const meta = JSON.parse(Deno.readTextFileSync(path));
  Deno.writeTextFileSync(path, JSON.stringify({ ...meta, labels }));
}

function makeFolder(path: string): string {
  Deno.mkdirSync(path, { mode: 0o700 });
  return path;
}

const PLACES: Readonly<Record<string, Place>> = {
  "argv": {
    options: (_, world) => ({
      command: [...world.agent({ linger: 600 }), EVIL_LINE],
    }),
  },
  "prompt": { options: () => ({ prompt: EVIL }) },
  "cwd": { options: (dir) => ({ cwd: makeFolder(`${dir}/${EVIL}`) }) },
  "env": { options: () => ({ env: { [EVIL]: "x" } }) },
  "root": { options: (dir) => ({ root: makeFolder(`${dir}/${EVIL_LINE}`) }) },
  "comm": {
    options: (dir) => {
      const program = `${dir}/${EVIL_LINE.slice(0, 12)}`;
      Deno.copyFileSync("/bin/sleep", program);
      return { command: [program, "600"] };
    },
  },
  "label key": {
    damage: (session) => writeLabels(session, { [EVIL_KEY]: "x" }),
  },
  "label value": { damage: (session) => writeLabels(session, { x: EVIL }) },
  "stop.json": {
    damage: (session) =>
      Deno.writeTextFileSync(
        `${session}/stop.json`,
        JSON.stringify({ by: EVIL, at: EVIL, signal: EVIL, more: EVIL }),
      ),
  },
  "program": {
    calls: () => [
      ["run", "--", EVIL],
      ["run", "--cwd", `/tmp/${EVIL}`, "true"],
    ],
  },
  "selector": {
    calls: () => [
      ...[["show", EVIL], ["logs", EVIL], ["delete", EVIL], ["list", EVIL]],
      ...[["show", "--json", EVIL], [EVIL], ["help", EVIL]],
      ["completions", EVIL],
    ],
  },
  "option": {
    calls: () => [
      ...[["list", `--${EVIL}`], ["list", "--state", EVIL], ["create", EVIL]],
      ...[["stop", "-s", EVIL, ID], ["wait", "--timeout", EVIL, ID]],
      ...[["run", "-e", EVIL, "true"], ["run", "-l", EVIL, "true"]],
      ...[["run", "--id", EVIL, "true"], ["logs", "-n", EVIL, ID]],
      ["run", "--cwd", EVIL, "true"],
    ],
  },
  "env-file": {
    calls: (dir) => {
      Deno.writeTextFileSync(`${dir}/env`, EVIL);
      return [
        ["run", "--env-file", `${dir}/env`, "true"],
        ["run", "--env-file", `${dir}/${EVIL}`, "true"],
      ];
    },
  },
};

function stringCase({ options, damage, calls }: Place): Case {
  return async () => {
    await using world = await World.make();
    const dir = makeFolder(`${world.dir}/mine`);
    const { root = world.root, ...rest } = options?.(dir, world) ?? {};
    const command = world.agent({ linger: 600 });
    await createSession({ root, id: ID, command, ...rest });
    damage?.(`${root}/${ID}`);
    const complaints: string[] = [];
    for (const args of [...LOOKS, ...calls?.(dir) ?? []]) {
      const ended = await cli(root, args, { timeoutMs: 30_000 });
      const found = [...complainOf(ended), ...steering(ended.stdout, args)];
      complaints.push(
        ...found.map((text) => `${JSON.stringify(args)}: ${text}`),
      );
    }
    if (root === world.root) return [...complaints, ...await judge(world)];
    // Roots that are refused: one that others may write to, one with a line break.
    Deno.mkdirSync(`${root}/open`);
    Deno.chmodSync(`${root}/open`, 0o777);
    for (const bad of [`${root}/open`, `${root}\n`]) {
      const ended = await cli(bad, ["run", "true"]);
      if (ended.code === 0) complaints.push("it uses a root that is unusable");
      complaints.push(...complainOf(ended));
    }
    await cli(root, ["delete", "-f", ID]);
    return [...complaints, ...world.harm()];
  };
}

const strings: Fault = {
  name: "hostile-strings",
  about:
    "escape sequences in every string that list, show, wait and errors print",
  run: async ({ short, random, injectAll }) => {
    const cases = Object.entries(PLACES)
      .map(([name, place]) => [name, stringCase(place)] as const);
    await injectAll(short ? random.sample(cases, 5) : cases);
  },
};

/** All faults of this file. */
export const HOSTILE_STRING_FAULTS: readonly Fault[] = [ids, strings];
