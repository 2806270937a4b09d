/**
 * What it costs a terminal session that its program reports a status (OSC 7501): the processor
 * time of its relay for each report, alone and with a hundred terminals at once.
 *
 * Each program is a cat(1) that shows what this bench writes to its pipe, so the reports themselves
 * cost next to nothing.
 *
 * @module
 */
import { pathsFor, readPids } from "../store.ts";
import {
  Bench,
  BUNDLE,
  denoRun,
  type Effort,
  fillCaches,
  interleave,
  loadOf,
  median,
  type Table,
  timeCall,
} from "./measure.ts";

const sleep = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
const encoder = new TextEncoder();

/** The reports of each terminal in a second. */
const RATE = 10;

const report = (state: string) =>
  `\x1b]7501;state=${state}:app=codex:title=${btoa("a title")}\x1b\\`;
const LENGTH = report("working").length;

/** What a terminal is shown the n-th time; all are as long as a report. */
const SHOWN: Readonly<Record<string, (n: number) => string>> = {
  "text of that length": () => "x".repeat(LENGTH - 1) + "\r",
  "a report like the one before": () => report("working"),
  "a report that changes the status": (n) =>
    report(n % 2 === 0 ? "working" : "blocked"),
};

/** A terminal session whose program shows what is written to it. */
interface Terminal {
  readonly relay: number;
  readonly input: Deno.FsFile;
}

function start(bench: Bench, id: string): Terminal {
  const pipe = `${bench.dir}/${id}.pipe`;
  timeCall({ argv: ["mkfifo", pipe] });
  const options = ["-t", "--id", id, "--", "cat", pipe];
  timeCall({ argv: denoRun(BUNDLE, "run", ...options), env: bench.env });
  const relay = readPids(pathsFor(id, { root: bench.root }))!.agent;
  return { relay, input: Deno.openSync(pipe, { write: true }) };
}

/** Shows all terminals something at the same rate; gives the relays' time in µs for each. */
async function showing(
  terminals: readonly Terminal[],
  text: (n: number) => string,
  seconds: number,
): Promise<number> {
  const cpuMs = () =>
    terminals.reduce((sum, { relay }) => sum + loadOf(relay).cpuMs, 0);
  const before = cpuMs();
  const startedAt = performance.now();
  const each = 1000 / RATE / terminals.length;
  const count = seconds * RATE * terminals.length;
  for (let n = 0; n < count; n++) {
    const { input } = terminals[n % terminals.length]!;
    const turn = Math.floor(n / terminals.length);
    input.writeSync(encoder.encode(text(turn)));
    const aheadMs = startedAt + (n + 1) * each - performance.now();
    if (aheadMs > 1) await sleep(aheadMs);
  }
  await sleep(50);
  return (cpuMs() - before) * 1000 / count;
}

/** The processor time of relays for reports. */
export async function status(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  fillCaches(bench);
  const rows: string[][] = [];
  const terminals: Terminal[] = [];
  for (const count of [1, effort.pick(100, 10)]) {
    while (terminals.length < count) {
      terminals.push(start(bench, `terminal-${terminals.length}`));
    }
    await sleep(effort.pick(4000, 1000)); // The relays come to rest.
    const measured = Object.fromEntries(
      Object.entries(SHOWN).map(([name, text]) => [
        name,
        () => showing(terminals, text, effort.pick(4, 2)),
      ]),
    );
    const took = await interleave(effort.pick(5, 2), measured);
    for (const [name, values] of Object.entries(took)) {
      const perSecond = median(values) * RATE * count;
      rows.push([
        `${count} x ${RATE} a second: ${name}`,
        median(values).toFixed(0),
        Math.min(...values).toFixed(0),
        `${(perSecond / 10_000).toFixed(2)} % of a CPU`,
      ]);
    }
  }
  for (const { input } of terminals) input.close();
  return [{
    title: "status: processor time of the relays, in microseconds for each",
    columns: ["", "median", "min", "all together"],
    rows,
  }];
}
