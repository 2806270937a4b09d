/**
 * The parts that all figures share: a clock, the time of a process, statistics, tables, and a
 * directory whose processes end with it.
 *
 * A figure and its floor are measured in turns (A B A B …), so a change of the machine's load
 * changes both. Targets stand with the figures, not here.
 *
 * @module
 */
/** The project's directory. */
export const PROJECT: string = new URL("..", import.meta.url).pathname;

/** What people install; `deno task bench` makes it first. */
export const BUNDLE: string = `${PROJECT}dist/codex-session.js`;

/** The same command line from its sources. */
export const SOURCES: string = `${PROJECT}cli.ts`;

/** How thoroughly to measure. */
export interface Effort {
  /** Fewer rounds and smaller numbers. */
  readonly quick: boolean;
  /** `full`, or `short` when quick. */
  readonly pick: (full: number, short: number) => number;
}

/** One printed table. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes?: readonly string[];
}

/** Measures something. */
export type Figure = (effort: Effort) => Promise<Table[]>;

const CLOCK = {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

let clock: Deno.DynamicLibrary<typeof CLOCK> | undefined;

/**
 * The system's clock in milliseconds since 1970, to less than a microsecond. Unlike
 * `performance.now()` it is the same in all processes. See clock_gettime(2).
 */
export function now(): number {
  const library = Deno.build.os === "darwin"
    ? "libSystem.B.dylib"
    : "libc.so.6";
  clock ??= Deno.dlopen(library, CLOCK);
  const time = new BigInt64Array(2);
  clock.symbols.clock_gettime(0, new Uint8Array(time.buffer));
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

/** A command line to measure. */
export interface Call {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a command and returns how many milliseconds it took. Does not wait for processes that it
 * leaves in the background.
 *
 * @throws {Error} if the command fails.
 */
export function timeCall({ argv, env }: Call): number {
  const [program = "", ...args] = argv;
  const startedAt = performance.now();
  const { success, code } = new Deno.Command(program, {
    args,
    env,
    stdin: "null",
    stdout: "null",
    // A pipe would stay open as long as a process in the background holds it.
    stderr: "null",
  }).outputSync();
  const tookMs = performance.now() - startedAt;
  if (!success) {
    throw new Error(`Cannot measure "${argv.join(" ")}": status ${code}`);
  }
  return tookMs;
}

/**
 * Runs all measurements in turns, `rounds` times. Each round begins with another one. Returns the
 * results by name.
 */
export async function interleave<Name extends string>(
  rounds: number,
  measurements: Readonly<Record<Name, () => number | Promise<number>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(measurements) as Name[];
  const results = Object.fromEntries(
    names.map((name) => [name, []]),
  ) as unknown as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length]!;
      results[name].push(await measurements[name]());
    }
  }
  return results;
}

/** The value that the given part of all values is below. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.floor(part * sorted.length));
  return sorted[at] ?? NaN;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The median of the ratios between two measurements of the same rounds. */
export function medianRatio(
  values: readonly number[],
  floors: readonly number[],
): number {
  return median(values.map((value, i) => value / (floors[i] ?? NaN)));
}

/** A target that is a maximum, with a mark if the figure misses it. */
export function atMost(value: number, target: number, unit: string): string {
  return `<= ${target}${unit}${value <= target ? "" : "  MISSED"}`;
}

/** A target that is a minimum, with a mark if the figure misses it. */
export function atLeast(value: number, target: number, unit: string): string {
  return `>= ${target}${unit}${value >= target ? "" : "  MISSED"}`;
}

/** A table as text. The first and the last column are aligned left, the others right. */
export function formatTable({ title, columns, rows, notes = [] }: Table) {
  const all = [columns, ...rows];
  const widths = columns.map((_, i) =>
    Math.max(...all.map((row) => (row[i] ?? "").length))
  );
  const lines = all.map((row) =>
    columns.map((_, i) => {
      const cell = row[i] ?? "";
      const left = i === 0 || i === columns.length - 1;
      return left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
    }).join("  ").trimEnd()
  );
  lines.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return [title, "", ...lines, ...notes.map((note) => `* ${note}`), ""]
    .map((line) => line === "" ? "" : `  ${line}`)
    .join("\n").replace(/^ {2}/, "## ");
}

/**
 * Where measurements keep their files: `TMPDIR`, else memory. On a disk its file system would be
 * measured, too: after thousands of files were deleted, ext4 takes up to 1 ms to create one,
 * for minutes.
 */
export const TEMPORARY: string | undefined = Deno.env.get("TMPDIR") ??
  (isDirectory("/dev/shm") ? "/dev/shm" : undefined);

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

const LIVE = new Set<Bench>();

/** Disposes of all benches when the program is interrupted. */
export async function disposeAll(): Promise<void> {
  for (const bench of LIVE) await bench[Symbol.asyncDispose]();
}

/**
 * A temporary directory and the processes that were started with {@linkcode env}. Disposing of it
 * ends the processes and removes the directory.
 */
export class Bench {
  /** The directory, short enough for sockets. */
  readonly dir: string = Deno.makeTempDirSync({
    dir: TEMPORARY,
    prefix: "cs-bench-",
  });
  /** The state directory for sessions. */
  readonly root: string = `${this.dir}/root`;
  #kept = new Set<number>();

  constructor() {
    LIVE.add(this);
    // Its own caches, since another version of Deno clears shared ones; but the packages that are there.
    const cache = Deno.env.get("DENO_DIR") ??
      `${
        Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`
      }/deno`;
    Deno.mkdirSync(`${this.dir}/deno`);
    Deno.symlinkSync(`${cache}/npm`, `${this.dir}/deno/npm`);
  }

  /** The environment for programs: it marks them and keeps their files in this directory. */
  get env(): Record<string, string> {
    return {
      DENO_DIR: `${this.dir}/deno`,
      CODEX_SESSION_HOME: this.root,
      CODEX_SESSION_BENCH: this.dir,
      SCREENDIR: `${this.dir}/screen`,
      TMPDIR: this.dir,
    };
  }

  /** Its processes, without zombies. */
  processes(): number[] {
    const found: number[] = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
      try {
        const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
        if (
          environment.includes(`CODEX_SESSION_BENCH=${this.dir}\0`) ||
          environment.includes(`CODEX_SESSION_DIR=${this.root}/`)
        ) found.push(Number(name));
      } catch {
        // It has ended, or belongs to another user.
      }
    }
    return found;
  }

  /** Lets `end` spare the processes that run now, such as servers. */
  keep(): void {
    this.#kept = new Set(this.processes());
  }

  /** Ends its processes except the spared ones; returns when they are gone. */
  async end(): Promise<void> {
    await until(() => {
      const left = this.processes().filter((pid) => !this.#kept.has(pid));
      for (const pid of left) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      }
      return left.length === 0;
    }, "the processes to end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kept.clear();
    await this.end();
    LIVE.delete(this);
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Waits until `condition` returns something true, and returns that; fails at the deadline. */
export async function until<T>(
  condition: () => T | false | undefined,
  what: string,
  deadlineMs = 20_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = condition();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > end) {
      throw new Error(`Waited ${deadlineMs} ms for ${what}`);
    }
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

/** The proportional set size of a process in KiB; 0 if it has ended. proc_pid_smaps(5). */
export function pssOf(pid: number): number {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
    return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The processor time of a process in milliseconds, and how often its threads have gone to sleep. */
export function loadOf(pid: number): { cpuMs: number; sleeps: number } {
  let cpuMs = 0;
  let sleeps = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    // In nanoseconds; /proc/PID/stat counts ticks of 10 ms.
    const stat = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
    cpuMs += Number(stat.split(" ")[0]) / 1e6;
    const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
    sleeps += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  }
  return { cpuMs, sleeps };
}

/** The command line that runs a script with this Deno. */
export function denoRun(...args: readonly string[]): string[] {
  return [Deno.execPath(), "run", "-A", ...args];
}

/**
 * Fills Deno's caches for the bundle and the sources. Deno saves compiled code only while a program
 * waits for something; `run` waits, `--version` and `list` don't.
 */
export function fillCaches(bench: Bench): void {
  const env = { ...bench.env, CODEX_SESSION_HOME: `${bench.dir}/caches` };
  for (const program of [BUNDLE, SOURCES]) {
    for (let i = 0; i < 3; i++) {
      timeCall({ argv: denoRun(program, "run", "--rm", "true"), env });
    }
  }
}
