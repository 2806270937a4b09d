/**
 * `list` with 10, 1,000 and 10,000 sessions.
 *
 * @module
 */
import { type TerminalTold, writeTold } from "../events/status_file.ts";
import { createSession } from "../session/create.ts";
import { pathsIn, readState, textOfMeta } from "../store.ts";
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
  SOURCES,
  type Table,
  timeCall,
  until,
} from "./measure.ts";

/** Fills a root with copies of an ended session, each with its own id and creation time. */
export async function fill(root: string, count: number): Promise<void> {
  const { paths, meta } = await createSession({
    root,
    id: "session-0",
    command: ["true"],
  });
  await until(() => readState(paths).state === "exited", "true to end");
  const files: [string, Uint8Array][] = [];
  for (const { name } of Deno.readDirSync(paths.dir)) {
    files.push([name, Deno.readFileSync(`${paths.dir}/${name}`)]);
  }
  const startedAt = Date.parse(meta.createdAt);
  for (let i = 1; i < count; i++) {
    const id = `session-${i}`;
    const dir = `${root}/${id}`;
    Deno.mkdirSync(dir, { mode: 0o700 });
    const createdAt = new Date(startedAt - i * 1000).toISOString();
    for (const [name, content] of files) {
      const bytes = name === "meta.json"
        ? new TextEncoder().encode(
          JSON.stringify({ ...meta, id, createdAt }, null, 2) + "\n",
        )
        : content;
      Deno.writeFileSync(`${dir}/${name}`, bytes, { mode: 0o600 });
    }
  }
}

/** How many of 1,000 sessions run, on terminals. */
const RUNNING = 100;

/**
 * Fills a root with copies of an ended session and of a running terminal, and lets these tell. The
 * copies' locks are held here, and their processes are those of the original.
 */
async function fillRunning(
  root: string,
  isTelling: boolean,
): Promise<void> {
  await fill(root, 1000 - RUNNING);
  const command = ["sleep", "600"];
  const { paths, meta, pids } = await createSession({
    root,
    kind: "pty",
    command,
  });
  const told = { ...TOLD, group: pids.agent };
  for (let i = 0; i < RUNNING; i++) {
    const copy = pathsIn(`${root}/running-${i}`, `running-${i}`);
    Deno.mkdirSync(copy.dir, { mode: 0o700 });
    for (const { name, isFile } of Deno.readDirSync(paths.dir)) {
      if (isFile) {
        Deno.copyFileSync(`${paths.dir}/${name}`, `${copy.dir}/${name}`);
      }
    }
    Deno.writeTextFileSync(copy.meta, textOfMeta({ ...meta, id: copy.id }));
    if (isTelling) writeTold(copy, told);
    Deno.openSync(copy.lock).lockSync(true); // Held to the end of the bench.
  }
}

/** What a busy agent tells. */
const TOLD: TerminalTold = {
  records: [{
    id: "",
    value: "working",
    app: "claude-code",
    title: "an agent",
    message: "running the tests",
    since: Date.now(),
  }],
};

/** Reads the files of every session and prints nothing: the least that a list needs. */
const FLOOR = `
for (const { name } of Deno.readDirSync(Deno.args[0])) {
  const dir = Deno.args[0] + "/" + name;
  for (const file of ["meta.json", "exit"]) {
    if (Deno.lstatSync(dir + "/" + file).isFile) {
      Deno.readTextFileSync(dir + "/" + file);
    }
  }
  for (const log of ["stdout.log", "stderr.log"]) {
    Deno.lstatSync(dir + "/" + log);
  }
}
`;

/** How long `list` takes. */
export async function list(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const empty = `${bench.dir}/empty.ts`;
  Deno.writeTextFileSync(empty, "");
  const counts = [10, 1000, 10_000];
  const measured: Record<string, () => number> = {
    bare: () => timeCall({ argv: denoRun(empty), env: bench.env }),
  };
  const listing = (program: string, count: number | string) => () =>
    timeCall({
      argv: denoRun(program, "list"),
      env: {
        ...bench.env,
        CODEX_SESSION_HOME: `${bench.dir}/root-${count}`,
      },
    });
  for (const count of counts) {
    await fill(`${bench.dir}/root-${count}`, count);
    measured[count] = listing(BUNDLE, count);
  }
  measured.sources = listing(SOURCES, 1000);
  for (const name of ["silent", "telling"]) {
    await fillRunning(`${bench.dir}/root-${name}`, name === "telling");
    measured[name] = listing(BUNDLE, name);
  }
  const floor = `${bench.dir}/floor.js`;
  Deno.writeTextFileSync(floor, FLOOR);
  measured.floor = () =>
    timeCall({
      argv: denoRun(floor, `${bench.dir}/root-1000`),
      env: bench.env,
    });
  fillCaches(bench);
  await interleave(1, measured); // Fills the system's caches.
  const took = await interleave(effort.pick(15, 5), measured);
  const { bare = [] } = took;
  const of = (count: number) => median(took[count] ?? []);
  const few = of(10);
  const perSession = (count: number) => (of(count) - few) / (count - 10);
  const row = (title: string, name: string | number, each = "", target = "") =>
    [
      title,
      median(took[name] ?? []).toFixed(1),
      Math.min(...took[name] ?? []).toFixed(1),
      name === "bare" ? "" : medianRatio(took[name] ?? [], bare).toFixed(2),
      each,
      target,
    ] as const;
  const growth = perSession(10_000) / perSession(1000);
  return [{
    title: "list: milliseconds with so many sessions",
    columns: ["", "median", "min", "x bare", "us/session", "target"],
    rows: [
      row("bare: deno run EMPTY", "bare"),
      row("floor: a script that reads the files of 1,000", "floor"),
      row("bundle: list, 10", 10),
      row(
        "bundle: list, 1,000",
        1000,
        (perSession(1000) * 1000).toFixed(1),
        atMost(medianRatio(took[1000] ?? [], bare), 5, " x bare"),
      ),
      row(
        "bundle: list, 10,000",
        10_000,
        (perSession(10_000) * 1000).toFixed(1),
        `linear: us/session ${atMost(growth, 1.25, " x that of 1,000")}`,
      ),
      row(`bundle: list, 1,000, ${RUNNING} of them run on terminals`, "silent"),
      row(
        `bundle: list, 1,000, ${RUNNING} of them with a status`,
        "telling",
        "",
        atMost(
          medianRatio(took.telling ?? [], took.silent ?? []),
          1.15,
          " x without",
        ),
      ),
      row("sources: list, 1,000", "sources"),
    ],
    notes: ["us/session: each session beyond the first 10"],
  }];
}
