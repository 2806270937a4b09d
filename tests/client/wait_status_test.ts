/**
 * Waiting for a status and for the end of a turn, by the journal of events and by an agent's files.
 *
 * @module
 */
import { readLogCursor } from "../../client/logs.ts";
import { waitFor, type WaitForOptions } from "../../client/wait.ts";
import { appendEvent } from "../../events/journal.ts";
import { writeReport } from "../../events/report_file.ts";
import { SessionError } from "../../errors.ts";
import { readEntry } from "../../process/table.ts";
import { type CreatedSession, createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import type { StatusValue } from "../../screen/program_status.ts";
import { sleep } from "../../system/async.ts";
import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  type TestRoot,
  until,
} from "../helpers.ts";
import { test } from "../process_helpers.ts";

const TURN = { for: "turn" } as const;

/** A session that reads lines, and what is done to it. */
class Reader {
  private constructor(
    readonly session: CreatedSession,
    readonly at: { readonly root: string; readonly timeoutMs: number },
  ) {}

  static async start(root: TestRoot, command = ["cat"]): Promise<Reader> {
    const options = { root: root.dir, kind: "repl", command } as const;
    return new Reader(await createSession(options), {
      root: root.dir,
      timeoutMs: 10_000,
    });
  }

  get id(): string {
    return this.session.id;
  }

  input(): void {
    appendEvent(this.session.paths, { type: "input" });
  }

  tell(value: StatusValue, pid = this.session.pids.agent): void {
    const { paths } = this.session;
    const process = { pid, start: readEntry(pid)!.startTicks };
    writeReport(paths, { value, since: Date.now(), process });
    const status = { value, source: "report" } as const;
    appendEvent(paths, { type: "status", status });
  }

  /** How the turn has ended, when it is waited for. */
  async turn(options: WaitForOptions = {}): Promise<unknown> {
    const { status } = await waitFor(this.id, TURN, { ...this.at, ...options });
    return status?.value ?? null;
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, SessionError)).code;
}

const soon = { timeoutMs: 60 };

test("waitFor() turn is over at once, or with the status behind the last input", async (root) => {
  const reader = await Reader.start(root);
  assertEquals(await codeOf(reader.turn(soon)), "timeout");
  reader.input();
  reader.tell("working");
  const first = reader.turn();
  reader.tell("done");
  assertEquals(await first, "done");
  assertEquals(await reader.turn(), "done");
  // The next key.
  reader.input();
  reader.tell("idle");
  assertEquals(await codeOf(reader.turn(soon)), "timeout");
  const second = reader.turn();
  reader.tell("working");
  reader.tell("blocked");
  assertEquals(await second, "blocked");
  // The half of a line waits for the other one.
  const { events } = reader.session.paths;
  const write = (text: string) =>
    Deno.writeTextFileSync(events, text, { append: true });
  reader.input();
  const at = "2026-11-21T20:00:00Z";
  write(`{"at":"${at}","type":"status","status":{"value":"do`);
  const third = reader.turn();
  write('ne","source":"terminal"}}\n');
  assertEquals(await third, "done");
});

test("waitFor() turn is not over when a program that starts is idle for a moment", async (root) => {
  const reader = await Reader.start(root);
  for (const value of ["idle", "working", "idle"] as const) reader.tell(value);
  const over = reader.turn();
  // Where it was created, no input has begun a turn either.
  const since = { stdout: null, stderr: null, events: null };
  const overSince = reader.turn({ since });
  assertEquals(await codeOf(reader.turn(soon)), "timeout");
  assertEquals(await codeOf(reader.turn({ since, ...soon })), "timeout");
  reader.tell("working");
  reader.tell("done");
  assertEquals(await over, "done");
  assertEquals(await overSince, "done");
});

test("waitFor() learns soon of what makes no event", async (root) => {
  const [starting, reporting, stopped] = await Promise.all(
    [1, 2, 3].map(() => Reader.start(root)),
  );
  // Time passes: the program stays idle before its first input.
  for (const value of ["working", "idle"] as const) starting!.tell(value);
  const ready = starting!.turn();
  // The process that has reported ends, and the session goes on.
  await using reporter = new Deno.Command("sleep", { args: ["60"] }).spawn();
  reporting!.input();
  reporting!.tell("working", reporter.pid);
  const given = reporting!.turn();
  // A signal stops the agent, and another one lets it go on.
  const { agent } = stopped!.session.pids;
  const isStopped = () => readEntry(agent)?.stopped;
  stopped!.tell("idle");
  Deno.kill(agent, "SIGSTOP");
  await until(() => isStopped());
  const idle = { for: "status", values: ["idle"] } as const;
  const awake = waitFor(stopped!.id, idle, stopped!.at);
  await sleep(50); // They have looked, and wait.
  reporter.kill("SIGKILL");
  Deno.kill(agent, "SIGCONT");
  const results = await Promise.all([ready, given, awake]);
  assertEquals(results.slice(0, 2), ["idle", null]);
  assertEquals(results[2].status.value, "idle");
});

test("waitFor() turn counts from a starting point, also across a new journal", async (root) => {
  const reader = await Reader.start(root);
  const { events } = reader.session.paths;
  reader.input();
  reader.tell("working");
  reader.tell("done");
  const since = readLogCursor(reader.id, reader.at);
  assertEquals(await codeOf(reader.turn({ since, ...soon })), "timeout");
  // The relay notes no second input when nothing has happened since the first.
  const over = reader.turn({ since });
  Deno.renameSync(events, `${events}.1`);
  Deno.writeTextFileSync(events, "", { mode: 0o600 });
  reader.tell("working");
  reader.tell("error");
  assertEquals(await over, "error");
  // Also if the next turn has begun when somebody looks.
  reader.input();
  reader.tell("working");
  assertEquals(await reader.turn({ since }), "error");
});

test("waitFor() gives the place behind the status that it has found", async (root) => {
  const reader = await Reader.start(root);
  const start = readLogCursor(reader.id, reader.at);
  for (const value of ["working", "blocked", "working", "done"] as const) {
    reader.tell(value);
  }
  const values = ["blocked", "done"] as const;
  const told = [];
  let since = start;
  for (const _ of values) {
    const where = { ...reader.at, since };
    const found = await waitFor(reader.id, { for: "status", values }, where);
    told.push(found.status.value);
    since = { ...since, events: found.events };
  }
  assertEquals(told, values);
  assertEquals(await codeOf(reader.turn({ since, ...soon })), "timeout");
  // The next turn has begun when somebody looks.
  reader.input();
  reader.tell("working");
  const where = { ...reader.at, since: start };
  const { events } = await waitFor(reader.id, TURN, where);
  assertEquals(events, since.events);
});

test("waitFor() turn ends with idle when what went on at the starting point was given up", async (root) => {
  const reader = await Reader.start(root);
  const { events } = reader.session.paths;
  for (const value of ["working", "blocked"] as const) {
    reader.input();
    reader.tell(value);
    const since = readLogCursor(reader.id, reader.at);
    const over = reader.turn({ since });
    // The relay may begin a new journal meanwhile.
    Deno.renameSync(events, `${events}.1`);
    Deno.writeTextFileSync(events, "", { mode: 0o600 });
    reader.input();
    reader.tell("idle");
    assertEquals(await over, "idle");
  }
  const since = readLogCursor(reader.id, reader.at);
  reader.tell("idle");
  assertEquals(await codeOf(reader.turn({ since, ...soon })), "timeout");
});

test("waitFor() turn ends with a session that takes no input, and fails with another one", async (root) => {
  const at = { root: root.dir, timeoutMs: 10_000 };
  const { id, paths } = await createSession({
    ...at,
    timeoutMs: undefined,
    command: ["sh", "-c", "sleep 0.05; exit 3"],
  });
  appendEvent(paths, {
    type: "status",
    status: { value: "done", source: "report" },
  });
  const { status, state } = await waitFor(id, TURN, at);
  assertEquals([status?.value, state], [
    "done",
    { state: "exited", ending: { code: 3 } },
  ]);
  const killed = await Reader.start(root);
  killed.input();
  killed.tell("working");
  const broken = codeOf(killed.turn());
  Deno.kill(killed.session.pids.agent, "SIGKILL");
  assertEquals(await broken, "wrong_state");
  const waiting = await Reader.start(root);
  waiting.input();
  waiting.tell("blocked");
  await stopSession(waiting.id, { root: root.dir });
  assertEquals(await codeOf(waiting.turn()), "wrong_state");
  const reader = await Reader.start(root);
  const turn = codeOf(reader.turn());
  const blocked = waitFor(
    reader.id,
    { for: "status", values: ["blocked", "done"] },
    reader.at,
  );
  const failed = assertRejects(() => blocked, SessionError);
  await stopSession(reader.id, { root: root.dir });
  assertEquals(await turn, "wrong_state");
  assertStringIncludes(
    (await failed).message,
    "has ended without being blocked or done: it was ended by SIG",
  );
});

test("waitFor() status counts what is so, and what was so for a moment", async (root) => {
  const reader = await Reader.start(root);
  const { paths, pids: { agent: pid } } = reader.session;
  const wait = async (options: WaitForOptions = {}) => {
    const condition = { for: "status", values: ["blocked", "done"] } as const;
    const all = { ...reader.at, ...options };
    return (await waitFor(reader.id, condition, all)).status.value;
  };
  const moment = wait();
  reader.tell("working");
  reader.tell("blocked");
  reader.tell("working");
  assertEquals(await moment, "blocked");
  assertEquals(await codeOf(wait(soon)), "timeout");
  const process = { pid, start: readEntry(pid)!.startTicks };
  writeReport(paths, { value: "done", since: 1, process });
  assertEquals(await wait(), "done");
  const since = readLogCursor(reader.id, reader.at);
  assertEquals(await codeOf(wait({ since, ...soon })), "timeout");
  const next = wait({ since });
  reader.tell("blocked");
  assertEquals(await next, "blocked");
});

test("waitFor() turn refuses a session of an earlier version that nothing tells of", async (root) => {
  const reader = await Reader.start(root);
  Deno.removeSync(reader.session.paths.events);
  assertEquals(await codeOf(reader.turn()), "unsupported");
});

test("waitFor() turn looks into the files of an agent that tells nothing else", async (root) => {
  const claude = `${root.dir}/claude`;
  Deno.copyFileSync("/bin/cat", claude);
  const home = `${root.dir}/.claude`;
  const { id, paths, pids: { agent: pid } } = await createSession({
    root: root.dir,
    kind: "repl",
    command: [claude],
    env: { HOME: root.dir },
  });
  Deno.mkdirSync(`${home}/sessions`, { recursive: true });
  Deno.mkdirSync(`${home}/projects/x`, { recursive: true });
  const sessionId = "11111111-2222-4333-8444-555555555555";
  const own = (status: string, statusUpdatedAt?: number) =>
    Deno.writeTextFileSync(
      `${home}/sessions/${pid}.json`,
      JSON.stringify({
        ...{ pid, sessionId, status, statusUpdatedAt },
        procStart: `${readEntry(pid)!.startTicks}`,
      }),
    );
  const record = (start: Date, end?: Date) => {
    const prompt = {
      type: "user",
      uuid: "u",
      timestamp: start.toISOString(),
      message: { role: "user", content: "hi" },
    };
    const done = {
      type: "assistant",
      timestamp: end?.toISOString(),
      message: {
        ...{ id: "m", stop_reason: "end_turn" },
        content: [{ type: "text", text: "hello" }],
      },
    };
    const lines = [prompt, ...end ? [done] : []];
    Deno.writeTextFileSync(
      `${home}/projects/x/${sessionId}.jsonl`,
      lines.map((line) => JSON.stringify(line) + "\n").join(""),
    );
  };
  const turn = (timeoutMs = 10_000) =>
    waitFor(id, TURN, { root: root.dir, timeoutMs });
  // The turn before.
  own("idle");
  record(new Date(Date.now() - 9000), new Date(Date.now() - 5000));
  Deno.utimeSync(paths.stdin, new Date(), new Date());
  assertEquals(await codeOf(turn(300)), "timeout");
  own("busy");
  record(new Date());
  assertEquals(await codeOf(turn(300)), "timeout");
  // Denied by a key, a moment ago.
  own("waiting", Date.now() - 5000);
  assertEquals(await codeOf(turn(300)), "timeout");
  own("waiting", Date.now());
  assertEquals((await turn()).status?.value, "blocked");
  own("busy");
  const over = turn();
  record(new Date(), new Date());
  own("idle");
  assertEquals((await over).status?.value, "done");
  // Not again behind it.
  const since = readLogCursor(id, { root: root.dir });
  const again = waitFor(id, TURN, { root: root.dir, timeoutMs: 300, since });
  assertEquals(await codeOf(again), "timeout");
});
