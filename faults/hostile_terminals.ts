/**
 * Hostile terminals: something else in the place of a terminal's files and its relay's
 * socket, and hostile variables in its environment.
 *
 * No command may hang, follow a link out of the session, or print anything that steers a
 * terminal. Whatever is shown as a screen must have the form of one.
 *
 * @module
 */
import {
  createSession,
  readScreen,
  type ScreenText,
  sendKeys,
  stopSession,
  waitForSession,
} from "../mod.ts";
import { encodeFrame, Frame, PROTOCOL } from "../relay/protocol.ts";
import { pathsFor } from "../store.ts";
import { terminalStatusAt } from "../client/terminal_status.ts";
import {
  type Case,
  type Complaint,
  type Context,
  type Fault,
  type Random,
  within,
} from "./fault.ts";
import { judge } from "./judgement.ts";
import { anything, damage, junk } from "./noise.ts";
import { REPLACEMENTS, shell } from "./replacements.ts";
import { cli, complainOf, steering, there, until, World } from "./world.ts";

const ID = "subject";

const FILES = [
  ...["screen.json", "terminal.json", "attach.sock", "stdout.log"],
  ...["stdout.log.1", "status.json", "events.jsonl", "conversation.json"],
];

const EVIL = "\x1b]52;c;b3duZWQ=\x07\x1b[2J\x9b6n\x1b[31m\u202e\u2066\u{e0041}";

/** What can stand in a file's place. */
const HOWS: Readonly<Record<string, string>> = {
  ...REPLACEMENTS,
  "ten gigabytes": ': >"$1"; truncate -s 10G "$1"',
};

const COMMANDS: readonly (readonly string[])[] = [
  ["screen", ID],
  ["screen", "--ansi", "--scrollback", "9", ID],
  ["screen", "--json", ID],
  ["logs", "--plain", "-n", "3", ID],
  ["list"],
  ["show", ID],
  ["send", "--timeout", "1", ID, "-k", "enter"],
];

/** Colours, attributes, blanks and links, which may be printed. */
const STYLES =
  // deno-lint-ignore no-control-regex
  /\x1b\[[0-9;:]*m|\x1b\[\d*[CXK]|\x1b\]8;(?:id=[!-~]*)?;[ -~]*\x1b\\/g;

/** Complains about characters that a command must not print. */
function printed(stdout: string, args: readonly string[]): string[] {
  const text = args.includes("--ansi") ? stdout.replace(STYLES, "") : stdout;
  return steering(text, args);
}

async function tryAll(
  root: string,
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  const complaints: string[] = [];
  for (const args of commands) {
    const ended = await cli(root, args, { timeoutMs: 40_000 });
    const found = complainOf(ended, [0, 1, 3, 4])
      .concat(printed(ended.stdout, args));
    complaints.push(...found.map((text) => `${args.join(" ")}: ${text}`));
  }
  return complaints;
}

function replaced(
  life: "ended" | "live",
  file: string,
  how: string,
  commands: readonly (readonly string[])[],
): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const command = ["sh", "-c", `printf '%b' "$1"; read x`, "sh", "text\\n"];
    await createSession({ root, id: ID, kind: "pty", command });
    await readScreen(ID, { root });
    if (life === "ended") {
      await sendKeys(ID, [{ key: "enter" }], { root });
      await waitForSession(ID, { root });
    }
    const path = `${root}/${ID}/${file}`;
    // Repeated, because a live relay may be writing the file.
    const put = () =>
      shell(
        'rm -rf "$1" "$2"/canary.fifo; ' + HOWS[how],
        path,
        world.dir,
      )
        .then(() => true, () => false);
    if (!await until(put)) return [`cannot make the ${how}`];
    const complaints = await tryAll(root, commands);
    const excuses = { damaged: true, forged: true, logDamaged: true };
    return [...complaints, ...await judge(world, excuses)];
  };
}

const files: Fault = {
  name: "hostile-terminal-files",
  about:
    "links, pipes, folders, garbage in the place of a terminal's files, socket",
  run: async ({ short, random, injectAll }) => {
    const all: [string, Case][] = [];
    for (const life of ["ended", "live"] as const) {
      for (const file of FILES) {
        for (const how of Object.keys(HOWS)) {
          const some = short ? random.sample(COMMANDS, 2) : COMMANDS;
          all.push([
            `${life} ${file}: ${how}`,
            replaced(life, file, how, some),
          ]);
        }
      }
    }
    await injectAll(short ? random.sample(all, 4) : all);
  },
};

/** A screen, valid or slightly invalid, whose strings try to steer a terminal. */
function screen(random: Random): unknown {
  const word = () =>
    random.pick([EVIL, junk(random), "word", `\x1b[${junk(random)}`]);
  const line = () => Array.from({ length: random.below(5) }, word).join("");
  const number = () => random.pick<unknown>([0, 1, 5, 80, 1000, 1e9, -1, "1"]);
  const right = {
    columns: 80,
    rows: 3,
    lines: Array.from({ length: 3 }, line),
    scrollback: 0,
    cursor: { column: 1, row: 1, visible: true },
    title: line(),
    alternate: false,
  };
  const wrong: Record<string, unknown> = {
    columns: number(),
    rows: number(),
    lines: random.pick<unknown>([line(), [anything(random)], [line(), 1]]),
    scrollback: number(),
    cursor: anything(random),
    title: anything(random),
    alternate: anything(random),
    more: anything(random),
  };
  const key = random.pick(Object.keys(wrong));
  return random.below(2) === 0 ? right : { ...right, [key]: wrong[key] };
}

const NEVER_SHOWN =
  // deno-lint-ignore no-control-regex
  /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\udb40/;

/** Complaints about a screen that was read. */
function complainOfScreen(shown: ScreenText, ansi: boolean): string[] {
  const { columns, rows, cursor, scrollback } = shown;
  const numbers = [columns, rows, cursor.column, cursor.row, scrollback];
  const complaints = numbers.every((n) => n >= 0 && n <= 1000)
    ? []
    : [`its numbers are ${numbers}`];
  for (const text of [...shown.lines, shown.title]) {
    const bare = ansi ? text.replace(STYLES, "") : text;
    if (NEVER_SHOWN.test(bare)) complaints.push(JSON.stringify(text));
  }
  return complaints;
}

/** The library reads thousands of files that no relay wrote. */
async function fuzzScreenFiles({ short, random, count, seed, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const complaints: Complaint[] = [];
  await createSession({ root, id: ID, kind: "pty", command: ["true"] });
  await waitForSession(ID, { root });
  const paths = pathsFor(ID, { root });
  const total = short ? 300 : 20_000;
  let done = 0;
  for (; done < total && !over(); done++) {
    const text = JSON.stringify(screen(random));
    const status = JSON.stringify(random.pick([
      { agent: 1, columns: 80, rows: 24, clients: 0 },
      { columns: anything(random), rows: 1e9, clients: EVIL },
      anything(random),
    ])) ?? "";
    const file = random.below(4) === 0
      ? damage(random, text)
      : new TextEncoder().encode(text);
    Deno.writeFileSync(`${paths.dir}/screen.json`, file);
    Deno.writeTextFileSync(`${paths.dir}/terminal.json`, status);
    const ansi = random.below(2) === 0;
    const found: string[] = [];
    try {
      const reading = readScreen(ID, { root, ansi, scrollback: 5 });
      found.push(...complainOfScreen(await within(reading, 10_000), ansi));
      const { agent, columns, rows } = terminalStatusAt(paths, true) ??
        { agent: 0, columns: 0, rows: 0 };
      if (![agent, columns, rows].every(Number.isInteger)) {
        found.push(`the status is ${[agent, columns, rows]}`);
      }
    } catch (error) {
      found.push(`${error instanceof Error ? error.stack : error}`);
    }
    for (const one of found) {
      complaints.push({ case: `case ${done} ${text} ${status}`, text: one });
    }
    if (complaints.length > 20) break;
  }
  Deno.removeSync(`${paths.dir}/screen.json`);
  for (const text of await judge(world, { forged: true, logDamaged: true })) {
    complaints.push({ case: `seed ${seed}`, text });
  }
  count(done, complaints);
}

/** Frames that a false relay sends. */
function lies(random: Random): Uint8Array<ArrayBuffer>[] {
  const hello = encodeFrame(Frame.HELLO, { protocol: PROTOCOL });
  const one = (): Uint8Array<ArrayBuffer> => {
    switch (random.below(8)) {
      case 0:
        return encodeFrame(Frame.ERROR, {
          code: random.pick(["version", "malformed", EVIL]),
          message: EVIL + junk(random),
        });
      case 1:
        return encodeFrame(Frame.SEND_REPLY, {
          written: random.pick<unknown>([0, 1, -1, 1e99, EVIL]),
          total: random.pick<unknown>([1, EVIL, null]),
          error: random.pick<unknown>([EVIL, undefined, anything(random)]),
        });
      case 2:
        return encodeFrame(Frame.END, { reason: random.pick(["ended", EVIL]) });
      case 3:
        return encodeFrame(random.below(256), junk(random));
      case 4:
        return encodeFrame(Frame.HELLO, { protocol: anything(random) });
      default:
        return encodeFrame(Frame.SCREEN_REPLY, JSON.stringify(screen(random)));
    }
  };
  const frames = Array.from({ length: random.below(4) }, one);
  return random.below(6) === 0 ? frames : [hello, ...frames];
}

/** A live session with a false relay at its socket. */
async function fuzzLies({ short, random, count, seed, over }: Context) {
  await using world = await World.make();
  const { root } = world;
  const complaints: Complaint[] = [];
  const command = ["sh", "-c", "exec sleep 600"];
  await createSession({ root, id: ID, kind: "pty", command });
  const path = `${root}/${ID}/attach.sock`;
  await until(() => there(path));
  Deno.renameSync(path, `${root}/${ID}/other.sock`);
  let frames: Uint8Array<ArrayBuffer>[] = [];
  const listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const conn of listener) {
      try {
        for (const frame of frames) await conn.write(frame);
        await conn.closeWrite();
        // Read to the end: closing earlier would lose what was sent.
        await new Response(conn.readable).arrayBuffer();
      } catch {
        // The client has closed.
      }
    }
  })();
  const total = short ? 150 : 10_000;
  let done = 0;
  for (; done < total && !over(); done++) {
    frames = lies(random);
    const found: string[] = [];
    const asks = random.below(3);
    try {
      if (asks === 0) {
        await within(sendKeys(ID, [{ key: "x" }], { root }), 10_000);
      } else {
        const ansi = asks === 1;
        const shown = await within(readScreen(ID, { root, ansi }), 10_000);
        found.push(...complainOfScreen(shown, ansi));
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : `${error}`;
      if (NEVER_SHOWN.test(message)) found.push(JSON.stringify(message));
      if (/hangs|Cannot read prop|is not (a func|iterable)/.test(message)) {
        found.push(message);
      }
    }
    const said = frames.map((frame) => new TextDecoder().decode(frame));
    for (const text of found) {
      complaints.push({ case: `case ${done} ${JSON.stringify(said)}`, text });
    }
    if (complaints.length > 20) break;
    // Now and then the command line asks.
    if (done % (short ? 75 : 500) > 0) continue;
    const seen = await tryAll(root, COMMANDS.slice(0, 3));
    for (const text of seen) {
      complaints.push({ case: `case ${done} ${JSON.stringify(said)}`, text });
    }
  }
  listener.close();
  await serving;
  await stopSession(ID, { root, graceMs: 300 });
  for (const text of await judge(world, { logDamaged: true })) {
    complaints.push({ case: `seed ${seed}`, text });
  }
  count(done, complaints);
}

/** An environment with long, odd and misleading variables. */
function environment(random: Random): Record<string, string> {
  const env: Record<string, string> = {};
  for (let i = random.below(8); i >= 0; i--) {
    const name = random.pick([
      ...["A", "B_1", "TERM", "HOME", "DENO_DIR", "NPM_CONFIG_REGISTRY"],
      ...["LD_LIBRARY_PATH", "XDG_CACHE_HOME", "TMUX", "LINES", "IFS", "ENV"],
      ...["CODEX_SESSION_AGENT_ENV_0", "CODEX_SESSION_AGENT_ENV_1"],
    ]);
    env[name] = random.pick([
      () => junk(random, 20).replaceAll("\0", ""),
      () => "x".repeat(random.below(120_000)),
      () => "é会😀\\\"\n'".repeat(random.below(3000)),
      () => "/nowhere",
    ])();
  }
  // Half a surrogate pair can't be encoded.
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, value.toWellFormed()]),
  );
}

function environmentCase(random: Random): Case {
  const env = environment(random);
  const clearEnv = random.below(2) === 0;
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const given = { PATH: "/usr/bin:/bin", ...env };
    const file = `${world.dir}/canary.environment`;
    const script = 'env -0 >"$0.tmp"; mv "$0.tmp" "$0"; read x';
    const { pids, meta } = await createSession({
      ...{ root, id: ID, kind: "pty", env: given, clearEnv },
      command: ["/bin/sh", "-c", script, file],
    });
    await until(() => there(file));
    const complaints: string[] = [];
    const agent = new Map(
      Deno.readTextFileSync(file).split("\0").filter(Boolean).map((entry) => {
        const at = entry.indexOf("=");
        return [entry.slice(0, at), entry.slice(at + 1)] as const;
      }),
    );
    for (const [name, value] of Object.entries(given)) {
      // The relay keeps the first for itself; a shell sets IFS.
      if (name.startsWith("CODEX_SESSION_AGENT_ENV_") || name === "IFS") {
        continue;
      }
      if (agent.get(name) !== value) {
        const shown = JSON.stringify(agent.get(name))?.slice(0, 100);
        complaints.push(`${name} is ${shown}`);
      }
    }
    for (const name of agent.keys()) {
      if (/^CODEX_SESSION_AGENT/.test(name)) {
        complaints.push(`the agent gets ${name}`);
      }
      if (
        clearEnv && !(name in given) &&
        !/^(PWD|OLDPWD|SHLVL|_|TERM|CODEX_SESSION_(ID|DIR))$/.test(name)
      ) {
        complaints.push(`the agent gets ${name} despite clearEnv`);
      }
    }
    const relay = Deno.readTextFileSync(`/proc/${pids.relay}/environ`)
      .split("\0");
    for (const name of ["HOME", "DENO_DIR", "LD_LIBRARY_PATH", "TERM"]) {
      const own = Deno.env.get(name);
      const entry = relay.find((one) => one.startsWith(`${name}=`));
      if (entry !== (own === undefined ? undefined : `${name}=${own}`)) {
        complaints.push(`the relay runs with ${entry?.slice(0, 100)}`);
      }
    }
    if (meta.env.join() !== Object.keys(given).sort().join()) {
      complaints.push(`meta.json names ${meta.env}`);
    }
    return [...complaints, ...await judge(world)];
  };
}

/** All faults of this file. */
export const HOSTILE_TERMINAL_FAULTS: readonly Fault[] = [
  files,
  {
    name: "fuzz-screen-files",
    about: "screen.json and terminal.json that no relay wrote",
    run: fuzzScreenFiles,
  },
  {
    name: "fuzz-lies",
    about: "a false relay at the socket that sends anything",
    run: fuzzLies,
  },
  {
    name: "fuzz-environments",
    about: "variables that must reach the agent and not the relay",
    run: async ({ short, random, injectAll }) => {
      const cases = Array.from(
        { length: short ? 4 : 200 },
        (_, i) => [`case ${i}`, environmentCase(random)] as const,
      );
      await injectAll(cases);
    },
  },
];
