/**
 * Helpers of tests of real processes: a root that leaves none, however they hide.
 *
 * @module
 */
import { createSession } from "../session/create.ts";
import { processesAt, signalProcess } from "../process/members.ts";
import { stopSession } from "../session/stop.ts";
import { type Paths, pathsFor } from "../store.ts";
import { TestRoot, until } from "./helpers.ts";

const ignore = Deno.build.os !== "linux";

/** Defines a test with a root of its own; ends all processes of its sessions afterwards. */
export function test(name: string, fn: (root: TestRoot) => Promise<void>) {
  Deno.test({
    name,
    ignore,
    async fn() {
      using root = new TestRoot();
      try {
        await fn(root);
      } finally {
        await endAll(root);
      }
    },
  });
}

async function endAll(root: TestRoot): Promise<void> {
  for (const { name, isDirectory } of [...Deno.readDirSync(root.dir)]) {
    if (!isDirectory || name.startsWith(".")) continue;
    const paths = pathsFor(name, { root: root.dir });
    const all = processesAt(paths);
    for (const signal of [19, 9]) {
      for (const one of all) signalProcess(paths, one, signal);
    }
  }
  // Reapers are our children: learning of their end in the next test would be a leak there.
  await until(() => root.strays().length === 0 && !hasChildren());
  await new Promise((wake) => setTimeout(wake));
}

function hasChildren(): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(ppid) === Deno.pid;
    } catch {
      return false; // It has ended.
    }
  });
}

/** A number of seconds for sleep(1) that no other process uses. */
export const LONG: number = 1_000_000 + Deno.pid * 10;

/** Waits for a session's process that sleeps for so many seconds. */
export function sleeper(
  paths: Paths,
  seconds: number,
): Promise<ReturnType<typeof processesAt>[number]> {
  return until(() =>
    processesAt(paths).find((one) => one.command === `sleep ${seconds}`)
  );
}

if (!ignore) {
  // Loads all libraries: Deno 2.7 takes one that is loaded during a test for a leak of that test.
  using root = new TestRoot();
  const command = ["cat"];
  const { id } = await createSession({ kind: "repl", command, root: root.dir });
  await stopSession(id, { root: root.dir });
  await endAll(root);
}
