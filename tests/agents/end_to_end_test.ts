/**
 * A day with agents, by the command line: what they are doing, who is told, what they say, and
 * how they go on after all was killed. With stand-ins everywhere, with the real ones where
 * `AGENTS` names their folder.
 *
 * @module
 */
import { readScreen } from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  runCli,
  until,
} from "../helpers.ts";
import { DEADLINE_MS, FOLDER, Kit } from "./kit.ts";

/** The command line in a kit's world; fails if the command does. */
class Commands {
  readonly notified: string;
  readonly #notifier: string;

  constructor(readonly kit: Kit) {
    this.notified = `${kit.dir}/notified.jsonl`;
    this.#notifier = `${kit.dir}/notify.sh`;
    // One write for each event: several may come at once.
    const script =
      `#!/bin/sh\nevent=$(cat)\nprintf '%s\\n' "$event" >>'${this.notified}'\n`;
    Deno.writeTextFileSync(this.#notifier, script, { mode: 0o700 });
    Deno.writeTextFileSync(this.notified, "");
  }

  async run(args: readonly string[]) {
    const { root, dir, env } = this.kit;
    return await runCli(root, args, { env, cwd: `${dir}/work` });
  }

  async call(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    assertEquals(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  }

  async start(id: string, argv: readonly string[]): Promise<void> {
    const notify = ["--notify", this.#notifier];
    await this.call("run", "-t", "--id", id, ...notify, "--", ...argv);
  }

  /** The sessions as `list --json` shows them, by id. */
  async list(...args: string[]) {
    const sessions = JSON.parse(await this.call("list", "--json", ...args));
    return new Map(
      // deno-lint-ignore no-explicit-any
      sessions.map((session: any) => [session.id as string, session]),
      // deno-lint-ignore no-explicit-any
    ) as Map<string, any>;
  }

  /** The statuses of these sessions, as `list` shows them. */
  async statuses(...ids: string[]): Promise<string[]> {
    const all = await this.list();
    return ids.map((id) => all.get(id)?.status?.value ?? "none");
  }

  /** What the notifier was told, each as `ID STATUS`. */
  get told(): string[] {
    return Deno.readTextFileSync(this.notified).split("\n")
      .filter((line) => line !== "").map((line) => JSON.parse(line))
      .map(({ id, type, status }) => `${id} ${status?.value ?? type}`)
      .toSorted();
  }

  /** Waits until the notifier was told all of these, and nothing else. */
  async notifies(all: readonly string[]): Promise<void> {
    const isTold = () => all.every((one) => this.told.includes(one));
    await until(isTold, `notified of ${all}`, DEADLINE_MS);
    assertEquals([...new Set(this.told)], all.toSorted());
  }
}

/** When the screen shows this first, in milliseconds since 1970. */
async function whenShown(kit: Kit, id: string, sign: RegExp): Promise<number> {
  const { root } = kit;
  const text = async () => (await readScreen(id, { root })).lines.join("\n");
  try {
    await until(async () => sign.test(await text()), `${sign}`, DEADLINE_MS);
  } catch (error) {
    throw new Error(`${error}; the screen is:\n${await text()}`);
  }
  return Date.now();
}

/** The id of a session's conversation. */
function conversationOf({ root }: Kit, id: string): string {
  const text = Deno.readTextFileSync(`${root}/${id}/conversation.json`);
  return JSON.parse(text).id;
}

/** Kills all processes of all sessions, as a crash of the machine does. */
async function killAll({ root }: Kit): Promise<void> {
  const mark = `CODEX_SESSION_DIR=${root}/`;
  const isLeft = (pid: string) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/environ`).includes(mark);
    } catch {
      return false; // It has ended.
    }
  };
  await until(() => {
    const left = [...Deno.readDirSync("/proc")].map(({ name }) => name)
      .filter((name) => /^\d+$/.test(name) && isLeft(name));
    for (const pid of left) Deno.kill(Number(pid), "SIGKILL");
    return left.length === 0;
  });
}

const CODEX = ["codex", "-c", "features.daemon_auto_start=false"];
const CLAUDE = ["claude", "--permission-mode", "default"];

for (const isReal of [false, true]) {
  const ignore = isReal && FOLDER === undefined;
  const who = isReal ? "the real agents" : "the stand-ins";

  Deno.test({ name: `a day with ${who}`, ignore }, async () => {
    await using kit = new Kit(isReal);
    const cli = new Commands(kit);
    await Promise.all([
      cli.start("works", [...CODEX, "#answer=late\n#wait=works"]),
      cli.start("asks", [...CLAUDE, "#answer=asked\n#ask=touch x"]),
      cli.start("fails", [...CODEX, "#error=429"]),
    ]);

    // What they are doing.
    const signs = {
      works: /esc to interrupt|Working \(esc\)/,
      asks: /Do you want|Allow\?/,
      fails: /429 Too Many|Failed: 429/,
    };
    for (const [id, sign] of Object.entries(signs)) {
      const shownAt = await whenShown(kit, id, sign);
      // Written by then, or 100 ms later at most: the relay's clock is this one.
      const { mtime } = await until(() => {
        try {
          return Deno.statSync(`${kit.root}/${id}/status.json`);
        } catch {
          return undefined;
        }
      }, "status.json");
      assert(mtime!.getTime() <= shownAt + 100, `${id} too late`);
    }
    assertEquals(await cli.statuses("works", "asks", "fails"), [
      "working",
      "blocked",
      "error",
    ]);
    const all = await cli.list("--status", "blocked,error");
    assertEquals([...all.keys()].sort(), ["asks", "fails"]);
    const { status } = all.get("asks");
    assertEquals([status.kind, status.source], ["permission", "terminal"]);
    assertMatch(status.message, /^approve Bash: touch x/);

    // Who is told: the notifier, once each.
    const told = ["asks blocked", "fails error"];
    await cli.notifies(told);
    assertEquals(cli.told, told);

    // What waits for its user.
    for (
      const words of [
        ["answer", "asks"],
        ["wait", "asks", "--for", "turn"],
        ["send", "asks", "hello"],
        ["send", "asks", "hello", "--for", "turn", "--answer"],
      ]
    ) {
      const { code, stderr } = await cli.run(words);
      assertEquals(code, 5, `${words.join(" ")}: ${stderr}`);
      assertMatch(stderr, /is blocked: approve Bash: touch x.* attach asks/);
    }

    // What they say.
    const ask = (id: string, text: string) =>
      cli.call("send", id, text, "--for", "turn", "--answer");
    assertEquals(await ask("fails", "#answer=better"), "better\n");
    await cli.call("send", "asks", "--key", "enter", "--for", "turn");
    assertEquals(await cli.call("answer", "asks"), "asked\n");
    assertEquals(await ask("asks", "#answer=two"), "two\n");
    kit.model.release("works");
    await cli.call("wait", "works", "--for", "turn");
    assertEquals(await cli.call("answer", "works"), "late\n");
    // Of two turns within a second, the notifier is told once.
    await cli.notifies([...told, "asks done", "fails done", "works done"]);

    // How they go on.
    const ids = ["asks", "fails"];
    const before = ids.map((id) => conversationOf(kit, id));
    await killAll(kit);
    const states = await cli.list();
    assertEquals(ids.map((id) => states.get(id).state), ["lost", "lost"]);
    for (const [at, id] of ids.entries()) {
      const resumed = (await cli.call("resume", id, `#answer=on ${id}`)).trim();
      await cli.call("wait", resumed, "--for", "turn");
      assertEquals(await cli.call("answer", resumed), `on ${id}\n`);
      assertEquals(conversationOf(kit, resumed), before[at]);
      const [after, first] = JSON.parse(
        await cli.call("show", "--json", resumed, id),
      );
      assertEquals([after.resumes, first.resumedBy], [id, [resumed]]);
    }
  });
}
