/**
 * Starting sessions: how long `run` takes, when its command runs, and how many sessions one
 * process starts per second.
 *
 * @module
 */
import { spawnLeader } from "../process/child.ts";
import { createSession } from "../session/create.ts";
import {
  atLeast,
  atMost,
  Bench,
  BUNDLE,
  type Call,
  denoRun,
  type Effort,
  fillCaches,
  interleave,
  median,
  medianRatio,
  now,
  PROJECT,
  SOURCES,
  type Table,
  timeCall,
} from "./measure.ts";
import { findPeers } from "./peers.ts";

const BINARY = `${PROJECT}dist/codex-session`;
const ms = (value: number) => value.toFixed(1);
const times = (value: number) => value.toFixed(2);

/** A command that writes the time to a file, then idles. It costs the same however it is started. */
function stamping(file: string): string[] {
  const script = 'date +%s%N >"$1"; exec sleep 600';
  return ["sh", "-c", script, "sh", file];
}

async function readStamp(file: string): Promise<number> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      const text = Deno.readTextFileSync(file);
      if (text.endsWith("\n")) return Number(BigInt(text.trim())) / 1e6;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (performance.now() > end) throw new Error(`No command wrote ${file}`);
    await new Promise((wake) => setTimeout(wake, 1));
  }
}

/** The time until `run` returns, and until its command runs. */
export async function start(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const { peers, notes } = findPeers();
  const empty = `${bench.dir}/empty.ts`;
  Deno.writeTextFileSync(empty, "");
  const bundle = denoRun(BUNDLE);
  let turn = 0;
  const startedMs: Record<string, number[]> = {};
  /** Measures a call that starts such a command. */
  const starting =
    (name: string, makeCall: (argv: string[]) => Call) => async () => {
      const file = `${bench.dir}/stamp-${++turn}`;
      const call = makeCall(stamping(file));
      const before = now();
      const tookMs = timeCall(call);
      (startedMs[name] ??= []).push(await readStamp(file) - before);
      await bench.end();
      return tookMs;
    };
  const session = (argv: readonly string[]) => (command: string[]): Call => ({
    argv: [...argv, "run", "--", ...command],
    env: bench.env,
  });
  for (const { server } of peers) if (server) timeCall(server(bench));
  bench.keep();
  const measured: Record<string, () => number | Promise<number>> = {
    bare: () => timeCall({ argv: denoRun(empty), env: bench.env }),
    version: () => timeCall({ argv: [...bundle, "--version"], env: bench.env }),
    run: starting("run", session(bundle)),
    npm: starting("npm", session([installCommand(bench.dir)])),
    sources: starting("sources", session(denoRun(SOURCES))),
  };
  if (hasBinary()) measured.binary = starting("binary", session([BINARY]));
  fillCaches(bench);
  for (const [name, measure] of Object.entries(measured)) {
    await measure();
    delete startedMs[name];
  }
  const ours = await interleave(effort.pick(30, 8), measured);
  const peersMeasured: Record<string, () => number | Promise<number>> = {
    plain: starting("plain", (argv) => ({
      argv: ["sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", ...argv],
      env: bench.env,
    })),
  };
  for (const { title, start } of peers) {
    peersMeasured[title] = starting(
      title,
      (argv) => start(bench, turn, argv),
    );
  }
  const theirs = await interleave(effort.pick(12, 4), peersMeasured);

  const bare = ours.bare ?? [];
  const row = (title: string, name: string, target = "") => {
    const values = ours[name] ?? theirs[name] ?? [];
    const started = startedMs[name];
    const isOurs = name in ours;
    return [
      title,
      ms(median(values)),
      ms(Math.min(...values)),
      isOurs ? times(medianRatio(values, bare)) : "",
      isOurs ? times(Math.min(...values) / Math.min(...bare)) : "",
      started ? ms(median(started)) : "",
      target,
    ];
  };
  const target = (name: string, times: number) =>
    atMost(medianRatio(ours[name] ?? [], bare), times, " x bare");
  const rows = [
    row("bare: deno run EMPTY", "bare"),
    row("bundle: --version", "version"),
    row("bundle: run -- CMD", "run", target("run", 2.0)),
    row("the same by npm's command", "npm"),
    row("sources: run -- CMD", "sources", target("sources", 2.6)),
  ];
  if (hasBinary()) rows.push(row("dist/codex-session run -- CMD", "binary"));
  else notes.push("not found: dist/codex-session (deno task compile)");
  rows.push(row("sh -c 'CMD &' (floor of the rest)", "plain"));
  for (const { title } of peers) rows.push(row(title, title));
  return [{
    title: "start: milliseconds until a session's starter returns",
    columns: [
      ...["", "median", "min", "x bare", "x bare (min)"],
      ...["until CMD has run date(1)", "target"],
    ],
    rows,
    notes: [
      "x bare: the median of the ratios to the bare run of the same round",
      ...notes,
    ],
  }];
}

/** Installs the npm package's command in a directory, as npm lays it out; returns its path. */
function installCommand(dir: string): string {
  const deno = `${dir}/npm/node_modules/@deno/this`;
  const command = `${dir}/npm/bin/codex-session`;
  Deno.mkdirSync(`${dir}/npm/bin`, { recursive: true });
  Deno.mkdirSync(deno, { recursive: true });
  Deno.symlinkSync(Deno.execPath(), `${deno}/deno`);
  Deno.copyFileSync(BUNDLE, `${dir}/npm/codex-session.js`);
  Deno.copyFileSync(`${PROJECT}build/codex-session.sh`, command);
  Deno.chmodSync(command, 0o755);
  // What npm puts on PATH is a link.
  Deno.symlinkSync(command, `${dir}/codex-session`);
  return `${dir}/codex-session`;
}

function hasBinary(): boolean {
  try {
    return Deno.statSync(BINARY).isFile;
  } catch {
    return false;
  }
}

/** How many sessions one process starts per second. */
export async function rate(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const count = effort.pick(80, 40);
  const ours = async () => {
    await createSession({ root: bench.root, command: ["sleep", "600"] });
  };
  const script = ["-c", "exec sleep 600"];
  // deno-lint-ignore require-await -- it is called where `ours` is
  const floor = async () => {
    const options = { cwd: bench.dir, env: bench.env };
    spawnLeader(["/bin/sh", ...script], options).unref();
  };
  // deno-lint-ignore require-await -- it is called where `ours` is
  const denos = async () => {
    const child = new Deno.Command("/bin/sh", {
      args: script,
      env: bench.env,
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    child.unref();
  };
  /** Starts `count` sessions, `atOnce` at a time; returns the rate per second. */
  const batch = (work: () => Promise<void>, atOnce: number) => async () => {
    let left = count;
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (left-- > 0) await work();
      }),
    );
    const tookMs = performance.now() - startedAt;
    await bench.end();
    return count / tookMs * 1000;
  };
  const measured = {
    floor1: batch(floor, 1),
    ours1: batch(ours, 1),
    denos1: batch(denos, 1),
    ours8: batch(ours, 8),
  };
  await interleave(1, measured);
  const rates = await interleave(effort.pick(8, 3), measured);
  const row = (title: string, values: number[], target = "") => [
    title,
    median(values).toFixed(0),
    Math.max(...values).toFixed(0),
    target,
  ];
  return [{
    title: "rate: sessions per second from one process",
    columns: ["", "median", "max", "target"],
    rows: [
      row("floor: spawnLeader of a shell, one after the other", rates.floor1),
      row("Deno.Command, detached, one after the other", rates.denos1),
      row("createSession, one after the other", rates.ours1),
      row(
        "createSession, 8 at once",
        rates.ours8,
        atLeast(median(rates.ours8), 300, "/s"),
      ),
    ],
    notes: [
      `batches of ${count} idle sessions; createSession returns once the agent's exec has succeeded`,
    ],
  }];
}
