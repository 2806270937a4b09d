/**
 * What tests of real processes need: a root that leaves none, however they hide.
 *
 * @module
 */
import { createSession } from "../session/create.ts";
import { listProcesses, signalProcess } from "../process/members.ts";
import { stopSession } from "../session/stop.ts";
import { type Paths, pathsFor } from "../store.ts";
import { TestRoot, until } from "./helpers.ts";

const ignore = Deno.build.os !== "linux";

/** Defines a test with a root of its own; all processes of its sessions are ended after it. */
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
    const all = listProcesses(paths);
    for (const signal of [19, 9]) {
      for (const one of all) signalProcess(paths, one, signal);
    }
  }
  // A reaper is our child: to be told of its end in the next test would be a leak.
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

/** A number of seconds that nothing else on this machine sleeps for. */
export const LONG: number = 1_000_000 + Deno.pid * 10;

/** The process that sleeps for so many seconds, once it is there. */
export function sleeper(
  paths: Paths,
  seconds: number,
): Promise<ReturnType<typeof listProcesses>[number]> {
  return until(() =>
    listProcesses(paths).find((one) => one.command === `sleep ${seconds}`)
  );
}

if (!ignore) {
  // Deno 2.7 takes a library that is loaded during a test for a leak of that test.
  using root = new TestRoot();
  const command = ["cat"];
  const { id } = await createSession({ kind: "repl", command, root: root.dir });
  await stopSession(id, { root: root.dir });
  await endAll(root);
}
