/**
 * Load: many creators at the same time, many live sessions, a log that grows fast, many
 * followers, many windows on one terminal.
 *
 * @module
 */
import {
  createSession,
  deleteSession,
  followLog,
  listSessions,
  pathsFor,
  readLog,
  readScreen,
  sendKeys,
  SessionError,
  stopSession,
  waitForSession,
} from "../mod.ts";
import { CLI } from "../tests/helpers.ts";
import { TestWindow } from "../tests/pty.ts";
import { terminalStatusAt } from "../client/terminal_status.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, CODE, complainOf, pause, there, until, World } from "./world.ts";

/** Programs that create sessions at the same time, a fifth of them with the same id. */
function creators(programs: number, calls: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const complaints: string[] = [];
    const same = Math.ceil(programs / 5);
    const ended = await Promise.all(
      Array.from({ length: programs }, (_, i) =>
        cli(
          root,
          [
            "run",
            ...(i < same ? ["--id", "same"] : []),
            "--",
            ...world.agent(),
          ],
          { timeoutMs: 110_000 },
        )),
    );
    const won = ended.slice(0, same).filter(({ code }) => code === 0).length;
    if (won !== 1) {
      complaints.push(`${won} of ${same} creators got the same id`);
    }
    for (const one of ended) complaints.push(...complainOf(one));
    const made = await Promise.allSettled(
      Array.from(
        { length: calls },
        () => createSession({ root, command: world.agent() }),
      ),
    );
    for (const one of made) {
      if (one.status === "rejected") complaints.push(`${one.reason}`);
    }
    const wanted = programs - same + 1 + calls;
    await until(
      async () =>
        (await listSessions({ root, state: "exited" })).length === wanted,
      20_000,
    );
    const exited = await listSessions({ root, state: "exited" });
    if (exited.length !== wanted) {
      complaints.push(
        `${exited.length} of ${wanted} sessions have exited`,
      );
    }
    return [...complaints, ...await judge(world, { settleMs: 15_000 })];
  };
}

/** Many live sessions: all are listed, stopping one keeps the others, then all are killed. */
function live(count: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const complaints: string[] = [];
    const command = ["sleep", "500"];
    for (let i = 0; i < count; i++) {
      await createSession({ root, id: `s${i}`, command });
    }
    const running = (await listSessions({ root, state: "running" })).length;
    if (running !== count) {
      complaints.push(`${running} of ${count} are listed as running`);
    }
    await stopSession("s1", { root });
    const left = (await listSessions({ root, state: "running" })).length;
    if (left !== count - 1) complaints.push(`${left} are left after one stop`);
    for (const { pid } of world.processes()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It ended when another one was killed.
      }
    }
    await until(() => world.processes().length === 0, 20_000);
    const lost = (await listSessions({ root, state: "running" })).length;
    if (lost !== 0) {
      complaints.push(`${lost} dead sessions are listed as running`);
    }
    return [...complaints, ...await judge(world, { reaperKilled: true })];
  };
}

/** A log that grows by up to 100 MB/s: it is followed, tailed and deleted. */
function growing(mebibytes: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const complaints: string[] = [];
    // Numbered lines of 64 bytes, 1 MiB at a time.
    const script = `i=0; while [ $i -lt ${mebibytes} ]; do i=$((i + 1))
      yes "$(printf '%063d' $i)" | head -n 16384; sleep 0.01; done`;
    await createSession({ root, id: "big", command: ["sh", "-c", script] });
    let bytes = 0;
    let line = new Uint8Array();
    let last = 0;
    const follow = (async () => {
      for await (const chunk of followLog("big", { root })) {
        bytes += chunk.length;
        const all = new Uint8Array(line.length + chunk.length);
        all.set(line);
        all.set(chunk, line.length);
        const whole = all.length - all.length % 64;
        for (let at = 0; at < whole; at += 64) {
          const end = all.subarray(at + 57, at + 64);
          const number = Number(new TextDecoder().decode(end));
          if (number < last || number > last + 1) {
            complaints.push(`line ${number} follows line ${last}`);
          }
          last = number;
        }
        line = all.slice(whole);
      }
    })();
    for (let i = 0; i < 5; i++) {
      let tail = "";
      for await (const chunk of readLog("big", { root, tailLines: 3 })) {
        tail += new TextDecoder().decode(chunk);
      }
      if (!/^(\d{63}\n){0,3}\d{0,63}$/.test(tail)) {
        complaints.push(`the tail is ${JSON.stringify(tail)}`);
      }
      await pause(50);
    }
    await waitForSession("big", { root });
    await follow;
    if (bytes !== mebibytes * 1024 * 1024) {
      complaints.push(`the follower got ${bytes} bytes of ${mebibytes} MiB`);
    }
    const command = ["sh", "-c", `yes ${"x".repeat(100)} | head -c 2000000000`];
    await createSession({ root, id: "gone", command });
    const followed = cli(root, ["logs", "-f", "-n", "1", "gone"], {
      prefix: ["sh", "-c", '"$@" | tail -c 1; exit 0', "sh"],
    });
    await pause(300);
    await deleteSession("gone", { root, force: true });
    if (there(`${root}/gone`)) {
      complaints.push("the growing session was not deleted");
    }
    complaints.push(...complainOf(await followed));
    return [...complaints, ...await judge(world)];
  };
}

/** One follower for each of many sessions, all in this process. */
function followers(count: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const complaints: string[] = [];
    await Promise.all(Array.from({ length: count }, async (_, i) => {
      const id = `f${i}`;
      await createSession({ root, id, command: world.agent({ pause: 0.05 }) });
      let text = "";
      try {
        for await (const bytes of followLog(id, { root })) {
          text += new TextDecoder().decode(bytes);
        }
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        complaints.push(`${id}: ${error.message}`);
      }
      if (text.split("\n").length !== 6) complaints.push(`${id}: ${text}`);
    }));
    return [...complaints, ...await judge(world)];
  };
}

/**
 * Windows on one terminal, opened at the same time, one of them frozen while a program
 * writes. In the end all must show the same, and end with the agent's exit code.
 */
function windows(count: number, lines: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const id = "screen";
    const script =
      `read -r _; seq ${lines}; printf all; read -r _; exit ${CODE}`;
    const command = ["sh", "-c", script];
    await createSession({ root, id, kind: "pty", command });
    const env = { CODEX_SESSION_HOME: root, NO_COLOR: "1" };
    const attach = [...CLI, "attach", id];
    const complaints: string[] = [];
    const opened = await Promise.all(
      Array.from({ length: count }, () => TestWindow.open(attach, { env })),
    );
    try {
      const [frozen, ...others] = opened;
      const clients = () =>
        terminalStatusAt(pathsFor(id, { root }), true)?.clients;
      if (!await until(() => clients() === count, 60_000)) {
        complaints.push(`${clients()} of ${count} are attached`);
      }
      frozen!.paused = true;
      const enter = () => sendKeys(id, [{ key: "enter" }], { root });
      await enter();
      const same = async (some: readonly TestWindow[]) => {
        const screen = (await readScreen(id, { root })).lines.join("\n");
        return screen.includes(`${lines}\nall`) &&
          some.every(({ text }) => text.trimEnd() === screen.trimEnd());
      };
      if (!await until(() => same(others), 60_000)) {
        complaints.push("the windows don't show the same");
      }
      frozen!.paused = false;
      if (!await until(() => same(opened), 30_000)) {
        complaints.push(`the frozen window shows ${frozen!.text}`);
      }
      await enter();
      for (const window of opened) {
        const { code } = await window.ended(30_000);
        if (code !== CODE) complaints.push(`a window ends with ${code}`);
      }
    } finally {
      await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()));
    }
    return [...complaints, ...await judge(world)];
  };
}

/** All faults of this file. */
export const LOAD_FAULTS: readonly Fault[] = [{
  name: "load",
  about: "many creators, live sessions, followers and windows; a fast log",
  run: async ({ short, inject }) => {
    const [programs, calls, lives, size, many, lines] = short
      ? [8, 20, 30, 20, 10, 30_000]
      : [200, 200, 500, 500, 200, 2_000_000];
    await inject(`${programs} creators at once`, creators(programs!, calls!));
    await inject(`${lives} live sessions`, live(lives!));
    await inject(`a log of ${size} MiB`, growing(size!));
    await inject(`${many} followers`, followers(many!));
    await inject(`20 windows, ${lines} lines`, windows(20, lines!));
  },
}];
