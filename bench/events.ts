/**
 * `events -f`: how soon it prints an event, with one session and with a hundred; and what it
 * costs to write one.
 *
 * @module
 */
import { appendEvent } from "../events/journal.ts";
import { createSession } from "../session/create.ts";
import type { Paths } from "../store.ts";
import {
  atMost,
  Bench,
  BUNDLE,
  denoRun,
  type Effort,
  interleave,
  loadOf,
  median,
  now,
  quantile,
  type Table,
} from "./measure.ts";

/** What a relay notes most often. */
const FACTS = {
  type: "status",
  status: { value: "working", source: "terminal", message: "Editing a file" },
} as const;

/** The cost of an event, and its delay until it is printed. */
export async function events(effort: Effort): Promise<Table[]> {
  return [await cost(effort), await delay(effort)];
}

async function cost(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  const path = `${bench.dir}/events.jsonl`;
  Deno.writeTextFileSync(path, "");
  const line = JSON.stringify({ at: new Date(), ...FACTS }) + "\n";
  const COUNT = 2000;
  const timeOf = (write: () => void) => () => {
    const startedAt = performance.now();
    for (let i = 0; i < COUNT; i++) write();
    return (performance.now() - startedAt) / COUNT * 1000;
  };
  const times = await interleave(effort.pick(15, 5), {
    floor: timeOf(() => Deno.writeTextFileSync(path, line, { append: true })),
    ours: timeOf(() => appendEvent({ events: path }, FACTS)),
  });
  const row = (title: string, values: number[], target = "") => [
    title,
    median(values).toFixed(1),
    Math.min(...values).toFixed(1),
    target,
  ];
  return {
    title: "events: microseconds to append an event to a journal",
    columns: ["", "median", "least", "target"],
    rows: [
      row("floor: open, write, close", times.floor),
      row("appendEvent()", times.ours, atMost(median(times.ours), 60, " µs")),
    ],
    notes: ["with the lock, and putting the journal aside when it is full"],
  };
}

/** A follower, and the journals that it is measured with. */
interface Measured {
  readonly argv: readonly string[];
  readonly paths: readonly Paths[];
}

async function delay(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  await using crowd = new Bench();
  const start = async ({ root }: Bench) =>
    (await createSession({ root, command: ["sleep", "600"] })).paths;
  const one = await start(bench);
  const hundred: Paths[] = [];
  while (hundred.length < 100) hundred.push(await start(crowd));
  const ours = denoRun(BUNDLE, "events", "-f", "--since", "0s");
  const env = (root: string) => ["env", `CODEX_SESSION_HOME=${root}`];
  const all: Record<string, Measured> = {
    "floor: tail -f": {
      argv: ["tail", "-n", "0", "-f", one.events],
      paths: [one],
    },
    "events -f": { argv: [...env(bench.root), ...ours], paths: [one] },
    "events -f, 100 sessions": {
      argv: [...env(crowd.root), ...ours],
      paths: hundred,
    },
  };
  const found: Record<string, number[]> = {};
  const loads: Record<string, number[]> = {};
  for (let round = 0; round < effort.pick(4, 2); round++) {
    for (const [name, measured] of Object.entries(all)) {
      const { delays, cpuPercent } = await delaysOf(
        measured,
        effort.pick(200, 60),
      );
      (found[name] ??= []).push(...delays);
      (loads[name] ??= []).push(cpuPercent);
    }
  }
  return {
    title:
      "events: milliseconds from the write of an event until it is printed",
    columns: ["", "p50", "p90", "p99", "% of a CPU", "target"],
    rows: Object.entries(found).map(([name, delays]) => [
      name,
      ...[0.5, 0.9, 0.99].map((part) => quantile(delays, part).toFixed(2)),
      median(loads[name]!).toFixed(1),
      name.startsWith("floor")
        ? ""
        : `p50 ${atMost(quantile(delays, 0.5), 5, " ms")}`,
    ]),
    notes: ["an event every 10 ms, in the sessions in turns"],
  };
}

/** The delays of `count` events, and the load of their follower meanwhile. */
async function delaysOf(
  { argv, paths }: Measured,
  count: number,
): Promise<{ readonly delays: number[]; readonly cpuPercent: number }> {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let turn = 0;
  const writing = setInterval(() => {
    const title = `${now()}`;
    appendEvent(paths[turn++ % paths.length]!, { type: "title", title });
  }, 10);
  const delays: number[] = [];
  // The first ones are from its start.
  const SKIPPED = 20;
  let before = { at: 0, cpuMs: 0 };
  try {
    const lines = child.stdout.pipeThrough(new TextDecoderStream());
    let rest = "";
    for await (const text of lines) {
      const at = now();
      const whole = (rest + text).split("\n");
      rest = whole.pop()!;
      delays.push(...whole.map((line) => at - Number(JSON.parse(line).title)));
      if (delays.length < SKIPPED) before = { at, ...loadOf(child.pid) };
      if (delays.length >= count + SKIPPED) break;
    }
    const { cpuMs } = loadOf(child.pid);
    const cpuPercent = (cpuMs - before.cpuMs) / (now() - before.at) * 100;
    return { delays: delays.slice(SKIPPED), cpuPercent };
  } finally {
    clearInterval(writing);
    child.kill("SIGKILL");
    await child.status;
  }
}
