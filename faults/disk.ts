/**
 * Full disks: a tmpfs of some KiB as the root, filled up to a few bytes or pages; a disk that
 * becomes read-only; and a small limit on file sizes, which is a full disk for one file.
 *
 * @module
 */
import {
  createSession,
  getSession,
  listSessions,
  readScreen,
  sendKeys,
  SessionError,
  waitForSession,
} from "../mod.ts";
import { appendEvent } from "../events/journal.ts";
import { readJournal } from "../tests/journal.ts";
import { relayCommand } from "../relay/command.ts";
import { attachTerminal } from "../client/attach_terminal.ts";
import { type Case, type Fault, within } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, complainOf, kill, pause, until, World } from "./world.ts";

const ID = "subject";
const JOURNAL = new URL("../events/journal.ts", import.meta.url).href;

class FullDisk implements AsyncDisposable {
  private constructor(readonly world: World) {}

  static async make(size = "64k"): Promise<FullDisk> {
    const world = await World.make();
    await run("mount", [
      ...["-t", "tmpfs", "-o", `size=${size},mode=700`, "none"],
      world.root,
    ]);
    return new FullDisk(world);
  }

  /** Fills it, except for so many bytes. */
  async fill(leave: number): Promise<void> {
    const path = `${this.world.root}/foreign`;
    await new Deno.Command("sh", {
      args: ["-c", 'cat /dev/zero >"$1" 2>/dev/null', "sh", path],
    }).output();
    const { size } = Deno.statSync(path);
    Deno.truncateSync(path, Math.max(0, size - leave));
  }

  empty(): void {
    Deno.removeSync(`${this.world.root}/foreign`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.world.processes()) kill(pid, "SIGKILL");
    await until(() => this.world.processes().length === 0);
    await run("umount", ["-l", this.world.root]);
    await this.world[Symbol.asyncDispose]();
  }
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

function creating(kind: string, leave: number): Case {
  return async () => {
    await using disk = await FullDisk.make();
    const { world } = disk;
    await disk.fill(leave);
    const more = kind === "repl" ? ["-i"] : kind === "rm" ? ["--rm"] : [];
    const command = kind === "repl" ? world.echo() : world.agent({ lines: 2 });
    const ended = await cli(world.root, [
      ...["run", ...more, "--id", ID, "--"],
      ...command,
    ]);
    const complaints = complainOf(ended);
    const made = (await listSessions({ root: world.root })).length;
    if (ended.code !== 0 && made > 0) {
      complaints.push("it failed, but there is a session");
    }
    const leftovers = () =>
      [...Deno.readDirSync(world.root)].map(({ name }) => name)
        .filter((name) => name !== "foreign" && name !== ID);
    // With --rm, the reaper may still be deleting it.
    await until(() => leftovers().length === 0, 2000);
    const left = leftovers();
    if (left.length > 0) complaints.push(`it leaves ${left}`);
    if (ended.code === 0) await pause(100);
    disk.empty();
    complaints.push(...await judge(world, { logDamaged: true }));
    return complaints;
  };
}

/** The disk becomes full while an agent runs; then there is room again, or the reaper is killed. */
function ending(then: "room" | "killed" | "stop" | "delete"): Case {
  return async () => {
    await using disk = await FullDisk.make();
    const { world } = disk;
    const { root } = world;
    const command = world.agent({ linger: then === "stop" ? 600 : 0.3 });
    const { pids } = await createSession({ root, id: ID, command });
    await disk.fill(0);
    const complaints: string[] = [];
    if (then === "stop" || then === "delete") {
      const args = then === "stop" ? ["stop", "-t", "1"] : ["delete", "-f"];
      const ended = await cli(root, [...args, ID], { timeoutMs: 30_000 });
      complaints.push(...complainOf(ended));
      if (
        then === "stop" && ended.code !== 0 &&
        !/can't be recorded: No space left/.test(ended.stderr)
      ) complaints.push(`stop says: ${ended.stderr}`);
      if (then === "delete" && ended.code !== 0) {
        complaints.push(`a full disk prevents delete: ${ended.stderr}`);
      }
    } else await until(() => world.diaries()[0]?.exit !== undefined);
    await pause(100);
    if (then !== "delete") {
      const { state } = await getSession(ID, { root });
      if (state.state === "exited") {
        // The file's own page may have room for the record: then it must be right.
        const right = "code" in state.ending
          ? state.ending.code === world.diaries()[0]?.exit
          : then === "stop";
        if (!right) {
          complaints.push(`on the full disk: ${JSON.stringify(state)}`);
        }
      }
    }
    if (then === "killed") kill(pids.reaper, "SIGKILL");
    if (then !== "killed") disk.empty();
    if (then === "room") {
      const { state } = await waitForSession(ID, { root, timeoutMs: 5000 });
      if (state.state !== "exited") {
        complaints.push(`afterwards it is ${state.state}`);
      }
    }
    complaints.push(...await judge(world, { reaperKilled: then === "killed" }));
    return complaints;
  };
}

/** In each round, types into a terminal, reads its screen, attaches a client and detaches it. */
async function useTerminal(world: World, rounds: number): Promise<string[]> {
  const { root } = world;
  const complaints: string[] = [];
  const text = "x".repeat(60);
  for (let round = 0; round < rounds; round++) {
    const words = `${text} ${round}`;
    await sendKeys(ID, [{ text: words }, { key: "enter" }], { root });
    const shows = async () =>
      (await readScreen(ID, { root })).lines.includes(words);
    if (!await until(shows)) complaints.push(`the screen lacks ${words}`);
    let shown = "";
    const decoder = new TextDecoder();
    const stdout = new WritableStream<Uint8Array>({
      write: (bytes) => void (shown += decoder.decode(bytes)),
    });
    const size = { columns: 80, rows: 24 };
    const attached = await attachTerminal(ID, { root, stdout, ...size });
    if (!await until(() => shown.includes(words))) {
      complaints.push(`a client does not see ${words}`);
    }
    attached.detach();
    await within(attached.done, 5000);
  }
  return complaints;
}

/** A terminal on a disk that is full before its start or soon after. */
function terminal(leave: number, when: "before" | "after"): Case {
  return async () => {
    await using disk = await FullDisk.make("300k");
    const { world } = disk;
    const { root } = world;
    if (when === "before") await disk.fill(leave);
    const complaints: string[] = [];
    try {
      const command = world.echo();
      await createSession({ root, id: ID, kind: "pty", command });
      if (when === "after") await disk.fill(leave);
      await until(() => world.diaries()[0]?.pid !== undefined);
      complaints.push(...await useTerminal(world, 3));
    } catch (error) {
      if (!(error instanceof SessionError) || when === "after") throw error;
      if ((await listSessions({ root })).length > 0) {
        complaints.push(`${error}, but there is a session`);
      }
    }
    disk.empty();
    return [...complaints, ...await judge(world, { logDamaged: true })];
  };
}

/** A terminal whose relay may write files of so many blocks of 512 bytes. */
function limited(blocks: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const relay = relayCommand({ dir: root, argv: ["-"] });
    await createSession({
      root,
      id: ID,
      kind: "pty",
      command: world.echo(),
      relayCommand: [
        ...["/bin/sh", "-c", 'ulimit -f "$0"; exec "$@"', `${blocks}`],
        ...relay.slice(0, relay.indexOf(root)),
      ],
    });
    await until(() => world.diaries()[0]?.pid !== undefined);
    return [
      ...await useTerminal(world, 3),
      ...await judge(world, { logDamaged: true }),
    ];
  };
}

/** The disk becomes read-only, the session is stopped, the disk becomes writable again. */
async function readOnly(): Promise<readonly string[]> {
  await using disk = await FullDisk.make();
  const { world } = disk;
  const { root } = world;
  const { pids } = await createSession({
    root,
    id: ID,
    command: world.agent({ linger: 600 }),
  });
  await until(() => world.diaries()[0]?.pid === pids.agent);
  await run("mount", ["--bind", root, root]);
  await run("mount", ["-o", "remount,bind,ro", root]);
  const start = performance.now();
  const ended = await cli(root, ["stop", ID], { timeoutMs: 30_000 });
  const complaints = complainOf(ended);
  if (!/can't be recorded: Read-only/.test(ended.stderr)) {
    complaints.push(`stop says: ${ended.stderr}`);
  }
  const seconds = (performance.now() - start) / 1000;
  if (seconds > 5) complaints.push(`stop took ${seconds} s`);
  await run("umount", [root]);
  const { state } = await waitForSession(ID, { root, timeoutMs: 5000 });
  if (state.state !== "exited") {
    complaints.push(`afterwards it is ${state.state}`);
  }
  return [...complaints, ...await judge(world)];
}

/** Appends events as fast as it can: its name and a number. */
const WRITER = `
import { appendEvent } from ${JSON.stringify(JOURNAL)};
const [events, name] = Deno.args;
for (let n = 0;; n++) {
  const title = name + " " + n + "x".repeat(n % 3000);
  appendEvent({ events }, { type: "title", title }, new Date(), 100_000);
}
`;

/** Writers of a journal are killed again and again, while the disk becomes full and gets room. */
async function journal(): Promise<readonly string[]> {
  await using disk = await FullDisk.make("2m");
  const { world } = disk;
  const { root } = world;
  const command = world.agent({ linger: 600 });
  const { paths } = await createSession({ root, id: ID, command });
  const script = `${world.dir}/mine/writer.ts`;
  Deno.mkdirSync(`${world.dir}/mine`);
  Deno.writeTextFileSync(script, WRITER);
  const followed = cli(root, ["events", "-f", ID], { timeoutMs: 60_000 });
  const complaints: string[] = [];
  for (let turn = 0; turn < 6; turn++) {
    const writers = ["a", "b"].map((name) =>
      new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--no-check", script],
          ...[paths.events, name],
        ],
      }).spawn()
    );
    await pause(150);
    if (turn % 2 === 1) await disk.fill(turn * 1000);
    await pause(Math.random() * 50);
    for (const writer of writers) {
      writer.kill("SIGKILL");
      await writer.status;
    }
    if (turn % 2 === 1) disk.empty();
  }
  const last = { type: "title", title: "last" } as const;
  if (!appendEvent(paths, last)) complaints.push("no event can be written");
  const wrong = readJournal(paths).filter((entry) =>
    entry.type !== "title" || !/^(last$|[ab] \d+x*$)/.test(entry.title)
  );
  if (wrong.length > 0) complaints.push(`wrong: ${JSON.stringify(wrong[0])}`);
  const stopped = await cli(root, ["stop", "-t", "1", ID]);
  complaints.push(...complainOf(stopped));
  const ended = await followed;
  complaints.push(...complainOf(ended));
  if (!ended.stdout.includes('"title":"last"')) {
    complaints.push("the follower has lost the last event");
  }
  return [...complaints, ...await judge(world)];
}

/** All faults of this file. */
export const DISK_FAULTS: readonly Fault[] = [{
  name: "disk-full",
  about: "a tmpfs of 64 KiB, full or read-only while sessions start and end",
  skip: () => Deno.uid() === 0 ? undefined : "needs root to mount a tmpfs",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const kind of ["exec", "repl", "rm"]) {
      for (let pages = 0; pages <= 10; pages++) {
        for (const bytes of [0, 1]) {
          const leave = pages * 4096 + bytes;
          cases.push([`${kind}, ${leave} bytes left`, creating(kind, leave)]);
        }
      }
    }
    const some = short ? random.sample(cases, 3) : cases;
    const ends = ["room", "killed", "stop", "delete"] as const;
    for (const then of short ? random.sample(ends, 2) : ends) {
      some.push([`full while it ends, then ${then}`, ending(then)]);
    }
    some.push(["read-only while it is stopped", readOnly]);
    await injectAll(some);
  },
}, {
  name: "disk-full-terminal",
  about: "a terminal on a tmpfs of 300 KiB, full before or after its start",
  skip: () => Deno.uid() === 0 ? undefined : "needs root to mount a tmpfs",
  run: async ({ short, random, injectAll }) => {
    const cases = (["before", "after"] as const).flatMap((when) =>
      [0, 1, 4096, 8192, 12288, 16384, 20480, 28672, 40960].map((leave) =>
        [`${leave} bytes left ${when}`, terminal(leave, when)] as const
      )
    );
    await injectAll(short ? random.sample(cases, 3) : cases);
  },
}, {
  name: "disk-full-journal",
  about: "writers of a journal that are killed, on a disk that becomes full",
  skip: () => Deno.uid() === 0 ? undefined : "needs root to mount a tmpfs",
  run: async ({ short, injectAll }) => {
    const cases = Array.from(
      { length: short ? 1 : 20 },
      (_, n) => [`turn ${n}`, journal] as const,
    );
    await injectAll(cases);
  },
}, {
  name: "file-size-limit",
  about: "a terminal whose relay may write only small files",
  run: async ({ short, random, injectAll }) => {
    const cases = [1, 2, 4, 8, 16, 64, 128].map((blocks) =>
      [`${blocks} blocks`, limited(blocks)] as const
    );
    await injectAll(short ? random.sample(cases, 2) : cases);
  },
}];
