/**
 * Helpers of all tests: a root of one's own, a wait for a condition, the command line.
 *
 * @module
 */
import { join } from "../std.ts";
import { checkSymbols, compile } from "../system/ffi.ts";
import { readQuickly } from "../system/files.ts";
import { readLink } from "../system/libc.ts";
import { pathsIn, type Pids, readPids } from "../store.ts";

export { assert } from "npm:deno-std@1.3.1/assert/assert.js";
export { assertEquals } from "npm:deno-std@1.3.1/assert/equals.js";
export { assertMatch } from "npm:deno-std@1.3.1/assert/match.js";
export { assertRejects } from "npm:deno-std@1.3.1/assert/rejects.js";
export { assertStringIncludes } from "npm:deno-std@1.3.1/assert/string_includes.js";
export { assertThrows } from "npm:deno-std@1.3.1/assert/throws.js";

// The C library stays open. Opened before the first test, it is no test's leak.
checkSymbols();
readQuickly();
compile(["flock", "write"]);

/** The project's directory. */
export const PROJECT: string = new URL("..", import.meta.url).pathname;

/** The folders around the program, which no module of it imports. */
export const AROUND: readonly string[] = [
  "bench",
  "build",
  "docs",
  "faults",
  "tests",
];

/** The TypeScript files in a folder of the project, as paths in the project. */
export function filesIn(dir: string): string[] {
  return [...Deno.readDirSync(PROJECT + dir)]
    .filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => dir + name);
}

/** The modules of the program, as paths in the project. */
export const MODULES: readonly string[] = [...Deno.readDirSync(PROJECT)]
  .filter(({ name, isDirectory }) => isDirectory && !AROUND.includes(name))
  .flatMap(({ name }) => filesIn(`${name}/`))
  .concat(filesIn(""))
  .sort();

/** A state directory of its own; disposing of it ends and deletes what is left in it. */
export class TestRoot {
  readonly dir: string = Deno.makeTempDirSync({ prefix: "codex-session-" });
  readonly #bells = bells();

  /** Waits until the processes and the waits for events are gone, too, so that no test leaks any. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A zombie has no environment to find it by, but the records name the reapers.
    const reapers = this.#records().map(({ reaper }) => reaper);
    const started = [...this.strays(), ...reapers];
    this[Symbol.dispose]();
    await until(() => !started.some((pid) => isThere(pid)), "processes gone");
    await until(() => !hasZombies(), "ended children waited for");
    await until(() => bells() <= this.#bells, "waits for events ended");
    // Their parent here learns of it a moment later, from the event loop.
    await new Promise((wake) => setTimeout(wake));
  }

  /** The records of this root's sessions. */
  #records(): Pids[] {
    return [...Deno.readDirSync(this.dir)]
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => readPids(pathsIn(join(this.dir, name), name)))
      .filter((pids) => pids !== undefined);
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
        // A process that has just been killed was still writing here.
        if (attempt === 100) throw error;
      }
    }
  }

  /** The processes that carry a directory of this root in their environment. */
  strays(): number[] {
    if (Deno.build.os !== "linux") {
      return this.#records().flatMap(({ agent, reaper }) => [agent, reaper]);
    }
    const pids: number[] = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
      try {
        const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
        if (environment.includes(`CODEX_SESSION_DIR=${this.dir}/`)) {
          pids.push(Number(name));
        }
      } catch {
        // It has ended, or is another user's.
      }
    }
    return pids;
  }
}

/** How many bells this program has open, its own and Deno's, see system/readable.ts. */
function bells(): number {
  if (Deno.build.os !== "linux") return 0;
  return [...Deno.readDirSync("/proc/self/fd")]
    .map(({ name }) => readLink(`/proc/self/fd/${name}`))
    .filter((target) => target === "anon_inode:[eventfd]").length;
}

/** Waits until `condition` returns something truthy and returns it; fails at the deadline. */
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

/** A small disk, mounted in a test root. Needs the user root. */
export class SmallDisk implements AsyncDisposable {
  private constructor(readonly dir: string) {}

  /** Mounts a disk; `undefined` in a container that may not mount. */
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

  /** Fills the disk. */
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

/** Tells whether a process exists; a zombie does. */
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

/** The output and the exit status of a command line. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How {@linkcode runCli} starts the command line. */
export interface CliOptions {
  /** Its standard input. @default {""} */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** Variables, added to ours and the root's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Start without our variables. @default {false} */
  readonly clearEnv?: boolean;
  readonly cwd?: string;
  /** Words before the program, such as `["setsid"]`. */
  readonly prefix?: readonly string[];
}

/** The command line, started from the checkout. */
export const CLI: readonly string[] = [
  Deno.execPath(),
  "run",
  "-A",
  "--no-check",
  `${PROJECT}cli.ts`,
];

/** Starts the command line on a root, with piped streams. */
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
    env: {
      CODEX_SESSION_HOME: root,
      NO_COLOR: "1",
      XDG_CONFIG_HOME: `${root}/.config`, // Not that of the user who runs the tests.
      ...env,
    },
    clearEnv,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the command line on a root to its end. */
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
