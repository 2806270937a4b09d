/**
 * `top`: how soon it shows the list, how soon it follows a key, and what it costs while nothing
 * happens.
 *
 * @module
 */
import { fill } from "./list.ts";
import {
  atMost,
  Bench,
  BUNDLE,
  denoRun,
  type Effort,
  fillCaches,
  interleave,
  median,
  medianRatio,
  type Table,
  timeCall,
} from "./measure.ts";
import { idleLoad, startLive } from "./web.ts";
import { Window } from "./window.ts";

/** What `top` shows with so many sessions that have ended. */
const shownOf = (count: number) => `${count} ended`;
/** Nothing more has come for so long: it has been drawn. */
const QUIET_MS = 150;

/** How the dashboard does. */
export async function top(effort: Effort): Promise<Table[]> {
  return [await firstPaint(effort), await keys(effort), await idle(effort)];
}

/** The command line, with the sessions of a root. */
const topOf = (root: string) => [
  ...["env", `CODEX_SESSION_HOME=${root}`, ...denoRun(BUNDLE, "top")],
];

async function firstPaint(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  const measured: Record<string, () => number | Promise<number>> = {};
  const counts = [1, 100, 500];
  for (const count of counts) {
    const root = `${bench.dir}/root-${count}`;
    await fill(root, count);
    const env = { ...bench.env, CODEX_SESSION_HOME: root };
    measured[`list of ${count}`] = () =>
      timeCall({ argv: denoRun(BUNDLE, "list"), env });
    measured[`top of ${count}`] = async () => {
      const startedAt = performance.now();
      await using terminal = await Window.open(bench, topOf(root));
      return (await terminal.settle(QUIET_MS, shownOf(count))).lastAt -
        startedAt;
    };
  }
  fillCaches(bench);
  await interleave(2, measured);
  const took = await interleave(effort.pick(15, 5), measured);
  return {
    title: "top: milliseconds from its start until all is drawn",
    columns: ["", "median", "min", "x list", "target"],
    rows: Object.entries(took).map(([name, values]) => {
      const list = took[name.replace("top", "list")]!;
      return [
        name,
        median(values).toFixed(0),
        Math.min(...values).toFixed(0),
        medianRatio(values, list).toFixed(2),
        name === "top of 500" ? atMost(median(values), 500, " ms") : "",
      ];
    }),
    notes: ["list, to its end: the floor"],
  };
}

async function keys(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  await fill(bench.root, 500);
  fillCaches(bench);
  await using terminal = await Window.open(bench, topOf(bench.root));
  await terminal.settle(QUIET_MS, shownOf(500));
  const press = (key: string) => async () => {
    const startedAt = performance.now();
    terminal.type(key);
    return (await terminal.settle(QUIET_MS)).lastAt - startedAt;
  };
  const measured = { down: press("j"), page: press("\x1b[6~"), up: press("k") };
  await interleave(2, measured);
  const took = await interleave(effort.pick(40, 10), measured);
  const row = (title: string, values: readonly number[]) => [
    title,
    median(values).toFixed(1),
    Math.max(...values).toFixed(1),
    atMost(median(values), 50, " ms"),
  ];
  return {
    title: "top: milliseconds from a key until all is drawn, 500 sessions",
    columns: ["", "median", "max", "target"],
    rows: [
      row("down", took.down),
      row("up", took.up),
      row("a page down", took.page),
    ],
    notes: ["with the log of the session that is selected then"],
  };
}

async function idle(effort: Effort): Promise<Table> {
  await using bench = new Bench();
  fillCaches(bench);
  await startLive(bench.root, 100);
  await using terminal = await Window.open(bench, topOf(bench.root));
  await terminal.settle(1000);
  terminal.drain();
  const { cpuMs, cells } = await idleLoad(
    terminal.pid,
    effort.pick(60, 10),
  );
  return {
    title: "top: idle, with 100 live sessions",
    columns: ["", "CPU in ms/s", "wake-ups/s", "PSS in MB", "target"],
    rows: [["top", ...cells, atMost(cpuMs, 1, " ms/s")]],
  };
}
