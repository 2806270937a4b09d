/**
 * What every test needs: a root of its own, a wait for a condition, real programs.
 *
 * @module
 */
import { join } from "../std.ts";
import { readPids } from "../store.ts";

export { assert } from "npm:deno-std@1.3.1/assert/assert.js";
export { assertEquals } from "npm:deno-std@1.3.1/assert/equals.js";
export { assertMatch } from "npm:deno-std@1.3.1/assert/match.js";
export { assertRejects } from "npm:deno-std@1.3.1/assert/rejects.js";
export { assertStringIncludes } from "npm:deno-std@1.3.1/assert/string_includes.js";
export { assertThrows } from "npm:deno-std@1.3.1/assert/throws.js";

/** The project's directory. */
export const PROJECT: string = new URL("..", import.meta.url).pathname;

/** A state directory of its own; disposing of it ends and deletes what is left in it. */
export class TestRoot {
  readonly dir: string = Deno.makeTempDirSync({ prefix: "codex-session-" });

  [Symbol.dispose](): void {
    for (const pid of this.strays()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    Deno.removeSync(this.dir, { recursive: true });
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

/** Tells whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}
