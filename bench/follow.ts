/**
 * `logs -f`: how soon it prints a line, and what it costs while there is nothing to print.
 *
 * @module
 */
import { createSession } from "../session/create.ts";
import {
  atMost,
  Bench,
  BUNDLE,
  denoRun,
  type Effort,
  loadOf,
  now,
  quantile,
  type Table,
  until,
} from "./measure.ts";

/** The agent: every 13 ms it writes a line with the current time. */
const WRITER = `
const { symbols } = Deno.dlopen(
  Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6",
  { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } },
);
const time = new BigInt64Array(2);
const encoder = new TextEncoder();
setInterval(() => {
  symbols.clock_gettime(0, new Uint8Array(time.buffer));
  Deno.stdout.writeSync(
    encoder.encode(\`\${Number(time[0]) * 1000 + Number(time[1]) / 1e6}\\n\`),
  );
}, 13);
`;

function follower(argv: readonly string[], bench: Bench): Deno.ChildProcess {
  const [program = "", ...args] = argv;
  return new Deno.Command(program, {
    args,
    env: bench.env,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

async function end(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await child.status;
}

/** The delays of `count` lines from the agent's write until the follower prints them. */
async function delays(
  argv: readonly string[],
  bench: Bench,
  count: number,
): Promise<number[]> {
  const child = follower(argv, bench);
  const found: number[] = [];
  const decoder = new TextDecoder();
  const reader = child.stdout.getReader();
  const since = now();
  let rest = "";
  while (found.length < count + 10) {
    const { done, value } = await reader.read();
    const at = now();
    if (done) throw new Error(`${argv.join(" ")} ended`);
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    // Skip the lines that were there when it started.
    for (const line of lines) {
      if (Number(line) > since + 500) found.push(at - Number(line));
    }
  }
  await reader.cancel();
  await end(child);
  return found.slice(10);
}

/** The delay of `logs -f` beside that of tail(1), and its load when idle. */
export async function follow(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const writer = `${bench.dir}/writer.ts`;
  Deno.writeTextFileSync(writer, WRITER);
  const logs = denoRun(BUNDLE, "logs", "-f");
  const { id, paths } = await createSession({
    root: bench.root,
    command: denoRun(writer),
  });
  const found: { ours: number[]; tail: number[] } = { ours: [], tail: [] };
  for (let round = 0; round < effort.pick(4, 2); round++) {
    const tail = ["tail", "-n", "0", "-f", paths.stdout];
    const count = effort.pick(150, 60);
    found.tail.push(...await delays(tail, bench, count));
    found.ours.push(...await delays([...logs, id], bench, count));
  }
  const row = (title: string, values: number[], target = "") => [
    title,
    quantile(values, 0.5).toFixed(2),
    quantile(values, 0.9).toFixed(2),
    quantile(values, 0.99).toFixed(2),
    target,
  ];
  return [{
    title:
      "follow: milliseconds from a line's write until the follower prints it",
    columns: ["", "p50", "p90", "p99", "target"],
    rows: [
      row("floor: tail -f", found.tail),
      row(
        "logs -f",
        found.ours,
        `p50 ${atMost(quantile(found.ours, 0.5), 5, " ms")}`,
      ),
    ],
    notes: [`${found.ours.length} lines each, one every 13 ms`],
  }, await idle(effort, logs)];
}

/** The load of following a session that prints nothing. */
async function idle(effort: Effort, logs: readonly string[]): Promise<Table> {
  await using bench = new Bench();
  const { id, paths } = await createSession({
    root: bench.root,
    command: ["sh", "-c", "echo ready; exec sleep 600"],
  });
  const seconds = effort.pick(8, 4);
  const watch = async (argv: readonly string[]) => {
    const child = follower(argv, bench);
    const reader = child.stdout.getReader();
    await reader.read();
    // It is idle when its processor time has hardly grown for 100 looks in a row.
    let last = 0;
    let quiet = 0;
    await until(() => {
      const { cpuMs } = loadOf(child.pid);
      quiet = cpuMs - last < 2 ? quiet + 1 : 0;
      last = cpuMs;
      return quiet > 100;
    }, "a follower to be idle");
    const before = loadOf(child.pid);
    await new Promise((wake) => setTimeout(wake, seconds * 1000));
    const after = loadOf(child.pid);
    await reader.cancel();
    await end(child);
    return {
      cpuPercent: (after.cpuMs - before.cpuMs) / seconds / 10,
      wakes: (after.sleeps - before.sleeps) / seconds,
    };
  };
  const [floor, ours] = await Promise.all([
    watch(["tail", "-f", paths.stdout]),
    watch([...logs, id]),
  ]);
  const row = (
    title: string,
    { cpuPercent, wakes }: typeof ours,
    target = "",
  ) => [
    title,
    cpuPercent.toFixed(3),
    wakes.toFixed(1),
    target,
  ];
  return {
    title: `follow: the load of an idle follower over ${seconds} s`,
    columns: ["", "% of a CPU", "wake-ups/s", "target"],
    rows: [
      row("floor: tail -f", floor),
      row("logs -f", ours, atMost(ours.cpuPercent, 0.2, " %")),
    ],
    notes: [
      "0.2 %: a tick of /proc/PID/stat (10 ms) in 5 s; less is not measurable there",
    ],
  };
}
