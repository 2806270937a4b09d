/**
 * What every test needs: a root of its own, a wait for a condition, real programs.
 *
 * @module
 */
import { join } from "../std.ts";
import { checkSymbols } from "../system/ffi.ts";
import { readQuickly } from "../system/files.ts";
import { readPids } from "../store.ts";

export { assert } from "npm:deno-std@1.3.1/assert/assert.js";
export { assertEquals } from "npm:deno-std@1.3.1/assert/equals.js";
export { assertMatch } from "npm:deno-std@1.3.1/assert/match.js";
export { assertRejects } from "npm:deno-std@1.3.1/assert/rejects.js";
export { assertStringIncludes } from "npm:deno-std@1.3.1/assert/string_includes.js";
export { assertThrows } from "npm:deno-std@1.3.1/assert/throws.js";

// The C library stays open for good: before the first test, so that it is no test's leak.
checkSymbols();
readQuickly();

/** The folders of the program, from the lowest up. */
// deno-fmt-ignore
const ROOMS = [
  "system", "process", "screen", "agents", "relay", "session", "client", "doctor", "cli",
];

/** The project's directory. */
export const PROJECT: string = new URL("..", import.meta.url).pathname;

/** The modules of the program, without tests, faults and benchmarks, as paths in the project. */
export const MODULES: readonly string[] = [
  "",
  ...ROOMS.map((room) => `${room}/`),
]
  .flatMap((dir) =>
    [...Deno.readDirSync(PROJECT + dir)]
      .filter(({ name }) => name.endsWith(".ts"))
      .map(({ name }) => dir + name)
  ).sort();

/** A state directory of its own; disposing of it ends and deletes what is left in it. */
export class TestRoot {
  readonly dir: string = Deno.makeTempDirSync({ prefix: "codex-session-" });

  /** Also waits until they are gone, so that no test leaks a process of its own. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A zombie has no environment to be found by: the reapers are in the records.
    const started = [...this.strays(), ...this.#reapers()];
    this[Symbol.dispose]();
    await until(() => !started.some((pid) => isThere(pid)), "processes gone");
    await until(() => !hasZombies(), "ended children waited for");
    // Their parent here learns of it a moment later, from the event loop.
    await new Promise((wake) => setTimeout(wake));
  }

  /** The reapers that sessions of this root have recorded. */
  #reapers(): number[] {
    return [...Deno.readDirSync(this.dir)].flatMap(({ name, isDirectory }) => {
      if (!isDirectory) return [];
      const pids = readPids({ pid: `${this.dir}/${name}/pid` } as never);
      return pids === undefined ? [] : [pids.reaper];
    });
  }

  [Symbol.dispose](): void {
    for (let attempt = 1;; attempt++) {
      for (const pid of this.strays()) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch {
          // It has ended by itself.
        }
      }
      try {
        return Deno.removeSync(this.dir, { recursive: true });
      } catch (error) {
        // A process that was killed a moment ago was still writing here.
        if (attempt === 100) throw error;
      }
    }
  }

  /** The processes that carry a directory of this root in their environment. */
  strays(): number[] {
    const pids: number[] = [];
    if (Deno.build.os !== "linux") {
      for (const { name } of Deno.readDirSync(this.dir)) {
        const dir = join(this.dir, name);
        const pid = readPids({ pid: `${dir}/pid` } as never);
        if (pid) pids.push(pid.agent, pid.reaper);
      }
      return pids;
    }
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
      try {
        const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
        if (environment.includes(`CODEX_SESSION_DIR=${this.dir}/`)) {
          pids.push(Number(name));
        }
      } catch {
        // It has ended, or is somebody else's.
      }
    }
    return pids;
  }
}

/** Waits until `condition` gives something true and returns that; fails at the deadline. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what = condition.toString(),
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) {
      throw new Error(`Not within ${deadlineMs} ms: ${what}`);
    }
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

/** A small disk of its own, mounted in a test root; takes root. */
export class SmallDisk implements AsyncDisposable {
  private constructor(readonly dir: string) {}

  /** Mounts one; `undefined` in a container that may not mount. */
  static async mount(
    dir: string,
    size: string,
  ): Promise<SmallDisk | undefined> {
    Deno.mkdirSync(dir, { mode: 0o700 });
    const { success } = await new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", `size=${size},mode=700`, "tmpfs", dir],
    }).output();
    return success ? new SmallDisk(dir) : undefined;
  }

  /** Leaves no room. */
  fill(): void {
    using file = Deno.openSync(`${this.dir}/filler`, {
      create: true,
      append: true,
    });
    try {
      for (;;) file.writeSync(new Uint8Array(4096));
    } catch (error) {
      if (!/No space left/.test(String(error))) throw error;
    }
  }

  /** Makes room again. */
  empty(): void {
    Deno.removeSync(`${this.dir}/filler`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Deno.Command("umount", { args: ["-l", this.dir] }).output();
  }
}

/** Tells whether a process is there, be it as a zombie. */
function isThere(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

/** Tells whether a child of this process has ended, and Deno has not noticed yet. */
function hasZombies(): boolean {
  if (Deno.build.os !== "linux") return false;
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      return stat.includes(`) Z ${Deno.pid} `);
    } catch {
      return false; // It is gone.
    }
  });
}

/** Tells whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

/** What a finished command line has printed and its exit status. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How {@linkcode runCli} starts the command line. */
export interface CliOptions {
  /** Its standard input. @default {""} */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** Variables beside the root; without `clearEnv`, added to ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clearEnv?: boolean;
  readonly cwd?: string;
  /** Words before the program, such as `["setsid"]`. */
  readonly prefix?: readonly string[];
}

/** The command line as it is started from a checkout. */
export const CLI: readonly string[] = [
  Deno.execPath(),
  "run",
  "-A",
  "--no-check",
  `${PROJECT}cli.ts`,
];

/** Starts the command line in a root; streams are piped. */
export function startCli(
  root: string,
  args: readonly string[],
  options: CliOptions = {},
): Deno.ChildProcess {
  const { env, clearEnv, cwd, prefix = [] } = options;
  const [program, ...rest] = [...prefix, ...CLI, ...args];
  return new Deno.Command(program!, {
    args: rest,
    cwd,
    env: { CODEX_SESSION_HOME: root, NO_COLOR: "1", ...env },
    clearEnv,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the command line in a root to its end. */
export async function runCli(
  root: string,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Finished> {
  const child = startCli(root, args, options);
  const writer = child.stdin.getWriter();
  const { stdin = "" } = options;
  const input = typeof stdin === "string"
    ? new TextEncoder().encode(stdin)
    : stdin;
  const written = writer.write(input).then(() => writer.close()).catch(() => {
    // It ended without reading all of its input.
  });
  const { code, stdout, stderr } = await child.output();
  await written;
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
