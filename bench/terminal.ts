/**
 * Terminal sessions: how soon a key is on the screen, how soon an attached screen is complete,
 * how soon a session has started, and how much memory it takes.
 *
 * @module
 */
import { readScreen } from "../client/terminal.ts";
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
  pssOf,
  quantile,
  type Table,
  timeCall,
  until,
} from "./measure.ts";
import { findPeers } from "./peers.ts";
import { findKeepers, type Keeper, OURS } from "./terminal_peers.ts";
import { Window } from "./window.ts";

const sleep = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Letters that end no escape sequence of a client, so that each one seen is an echo. */
const KEYS = "QVWY";
/** Keys in a row; they fit on one line. */
const BATCH = 60;

/** Keystroke to echo through an attached client. */
export async function echo(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const { peers, notes } = findKeepers();
  const rounds = effort.pick(16, 4);
  await using windows = new AsyncDisposableStack();
  const times: Record<string, number[]> = {};
  const measured: Record<string, () => Promise<number>> = {};
  const add = (title: string, terminal: Window) => {
    windows.use(terminal);
    measured[title] = async () => {
      const batch: number[] = [];
      await terminal.settle(20);
      for (let i = 0; i < BATCH; i++) {
        batch.push(terminal.timeEcho(KEYS[i % KEYS.length]!));
        await sleep(1); // All processes go to sleep between two keys, as when a person types.
      }
      terminal.type("\x15"); // Ctrl-U empties the line.
      await terminal.settle(20);
      (times[title] ??= []).push(...batch);
      return median(batch);
    };
  };
  const bare = "bare pty (floor)";
  add(bare, await Window.open(bench, ["cat"]));
  for (const keeper of [OURS, ...peers]) {
    await keeper.start(bench, "echo", ["cat"]);
    add(keeper.title, await Window.open(bench, keeper.attach(bench, "echo")));
  }
  await sleep(1000); // Clients draw, and fill Deno's caches.
  await interleave(1, measured);
  for (const values of Object.values(times)) values.length = 0;
  await interleave(rounds, measured);
  const rows = Object.entries(times).map(([title, values]) => {
    const [p50, p99] = [quantile(values, 0.5), quantile(values, 0.99)];
    return [
      title,
      p50.toFixed(3),
      p99.toFixed(3),
      title === OURS.title
        ? `p50 ${atMost(p50, 0.6, " ms")}, p99 ${atMost(p99, 3, " ms")}`
        : "",
    ];
  });
  return [{
    title: `echo: milliseconds from a key to its echo, ${
      rounds * BATCH
    } keys each`,
    columns: ["cat, attached to in a window", "p50", "p99", "target"],
    rows,
    notes: [
      "the bench spins while it waits: it takes one processor for itself",
      ...notes,
    ],
  }];
}

const LAST = "the last line of the screen";
/** More than the journal keeps by default, 64 MiB. */
const JOURNAL_BYTES = 72 * 1024 * 1024;

/** A file with a screen, at the end of `sizeBytes` of what goes before it. */
function writeOutput(path: string, chunk: string, sizeBytes: number): void {
  const bytes = new TextEncoder().encode(chunk);
  using file = Deno.openSync(path, { write: true, create: true });
  for (let size = 0; size < sizeBytes; size += bytes.length) {
    file.writeSync(bytes);
  }
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}\n`).join("");
  file.writeSync(
    new TextEncoder().encode(`\x1b[m\x1b[2J\x1b[H${lines}${LAST}`),
  );
}

/** Coloured words all over the screen, as a full-screen program draws them. */
function paint(): string {
  return Array.from({ length: 50_000 }, (_, i) => {
    const [row, column] = [i * 7919 % 40 + 1, i * 104_729 % 110 + 1];
    return `\x1b[${row};${column}H\x1b[38;5;${i % 256}mword${i}`;
  }).join("");
}

/** From the start of `attach` to the complete screen. */
export async function screen(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const { peers, notes } = findKeepers();
  const full = effort.pick(JOURNAL_BYTES, JOURNAL_BYTES / 8);
  const outputs = {
    short: `${bench.dir}/short`,
    lines: `${bench.dir}/lines`,
    painted: `${bench.dir}/painted`,
  };
  writeOutput(outputs.short, "", 0);
  writeOutput(outputs.lines, `${"x".repeat(100)}\n`.repeat(10_000), full);
  writeOutput(outputs.painted, paint(), full);
  let turn = 0;
  const again: Record<string, number[]> = {};
  /** Measures the first attachment to a new session; the next ones go to `again`. */
  const attaching = (title: string, keeper: Keeper, output: string) => {
    const attach = async (name: string): Promise<number> => {
      const startedAt = performance.now();
      await using terminal = await Window.open(
        bench,
        keeper.attach(bench, name),
      );
      // dtach keeps no screen: it only clears the window.
      const shown = keeper.title === "dtach" ? "" : LAST;
      return (await terminal.settle(300, shown)).lastAt - startedAt;
    };
    return async () => {
      const name = `screen-${++turn}`;
      const done = `${bench.dir}/${name}-done`;
      const script = 'cat "$1"; touch "$2"; exec sleep 600';
      const argv = ["sh", "-c", script, "sh", output, done];
      await keeper.start(bench, name, argv);
      await until(() => exists(done), "the output to be written");
      await sleep(500); // The rest of the output reaches the journal.
      const firstMs = await attach(name);
      for (let i = 0; i < 2; i++) {
        (again[title] ??= []).push(await attach(name));
      }
      await bench.end();
      return firstMs;
    };
  };
  const size = `${full / 1024 / 1024} MiB`;
  const cases = {
    [OURS.title]: attaching(OURS.title, OURS, outputs.short),
    [`${OURS.title}, behind ${size} of lines`]: attaching(
      `${OURS.title}, behind ${size} of lines`,
      OURS,
      outputs.lines,
    ),
    [`${OURS.title}, behind ${size} of painting`]: attaching(
      `${OURS.title}, behind ${size} of painting`,
      OURS,
      outputs.painted,
    ),
  };
  for (const peer of peers) {
    cases[peer.title] = attaching(peer.title, peer, outputs.short);
  }
  const first = await interleave(effort.pick(3, 2), cases);
  return [{
    title: "screen: milliseconds from starting `attach` to the complete screen",
    columns: ["", "first", "max", "again", "target"],
    rows: Object.entries(first).map(([title, values]) => [
      title,
      median(values).toFixed(0),
      Math.max(...values).toFixed(0),
      median(again[title] ?? []).toFixed(0),
      title.startsWith(OURS.title) ? atMost(median(values), 150, " ms") : "",
    ]),
    notes: [
      "first: median, a client's first attachment to a session; again: the later ones",
      ...peers.some(({ title }) => title === "dtach")
        ? ["dtach keeps no screen: until it has cleared the window"]
        : [],
      ...notes,
    ],
  }];
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The time until `run -t` returns. */
export async function terminalStart(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const found = findPeers();
  const peers = found.peers.filter(({ program }) =>
    ["dtach", "tmux", "screen"].includes(program)
  );
  const empty = `${bench.dir}/empty.ts`;
  Deno.writeTextFileSync(empty, "");
  const idle = ["sleep", "600"];
  const run = denoRun(BUNDLE, "run");
  for (const { server } of peers) if (server) timeCall(server(bench));
  bench.keep();
  let turn = 0;
  /** Ends the session afterwards, so that it does not slow down the next one. */
  const starting = (call: () => Parameters<typeof timeCall>[0]) => async () => {
    turn++;
    const tookMs = timeCall(call());
    await bench.end();
    return tookMs;
  };
  const { env } = bench;
  const measured: Record<string, () => number | Promise<number>> = {
    "bare: deno run EMPTY": () => timeCall({ argv: denoRun(empty) }),
    "run -- CMD": starting(() => ({ argv: [...run, "--", ...idle], env })),
    "run -t -- CMD": starting(
      () => ({ argv: [...run, "-t", "--", ...idle], env }),
    ),
  };
  for (const { title, start } of peers) {
    measured[title] = starting(() => start(bench, turn, idle));
  }
  fillCaches(bench);
  await interleave(1, measured); // Fills the relay's caches, too.
  const times = await interleave(effort.pick(15, 5), measured);
  const bare = times["bare: deno run EMPTY"] ?? [];
  return [{
    title: "tty-start: milliseconds until a terminal session's starter returns",
    columns: ["", "median", "min", "x bare"],
    rows: Object.entries(times).map(([title, values]) => [
      title,
      median(values).toFixed(1),
      Math.min(...values).toFixed(1),
      medianRatio(values, bare).toFixed(2),
    ]),
    notes: [
      "x bare: the median of the ratios to the bare run of the same round",
      "run -t returns once the program runs on its terminal",
    ],
  }];
}

/** How long a relay takes to give back the memory that it needed to start, in milliseconds. */
const IDLE_MS = 4000;

/** The memory of all idle processes except the agents. */
async function weighIdle(bench: Bench, agents: ReadonlySet<number>) {
  await sleep(IDLE_MS);
  const pids = bench.processes().filter((pid) => !agents.has(pid));
  return pids.reduce((total, pid) => total + pssOf(pid), 0);
}

/** Memory per idle terminal session. */
export async function terminalMemory(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const { root } = bench;
  const count = effort.pick(10, 5);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const id = `idle-${i}`;
    const options = ["-t", "--id", id, "--", "sleep", "600"];
    timeCall({ argv: denoRun(BUNDLE, "run", ...options), env: bench.env });
    ids.push(id);
  }
  const agents = new Set(
    bench.processes().filter((pid) =>
      Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === "sleep"
    ),
  );
  const each = bench.processes().length - agents.size;
  const idle = await weighIdle(bench, agents) / count / 1024;
  for (const id of ids) await readScreen(id, { root });
  const read = await weighIdle(bench, agents) / count / 1024;
  const row = (title: string, mb: number) => [
    title,
    mb.toFixed(2),
    (each / count).toFixed(1),
    atMost(mb, 20, " MB"),
  ];
  return [{
    title: `tty-memory: MB (PSS) per idle terminal session, ${count} at once`,
    columns: ["", "supervisors", "processes", "target"],
    rows: [
      row("as started", idle),
      row("after its screen was read", read),
    ],
    notes: [
      "Deno's own pages are shared by all of them, by this bench and by every other Deno",
      "peers: see the figure memory",
    ],
  }];
}
