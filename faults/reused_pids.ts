/**
 * Reused process ids: a stranger gets the id of a dead agent, reaper or helper.
 *
 * Runs in a pid namespace of its own, where the next id can be chosen (ns_last_pid, see
 * pid_namespaces(7)) and no other process of the machine can be hit.
 *
 * @module
 */
import { PROJECT } from "../tests/helpers.ts";
import type { Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { World } from "./world.ts";

const CASES = [
  "lost",
  "lost leader",
  "prune",
  "prune leader",
  "orphan",
  "orphan leader",
  "timeout",
  "holder",
  "watchdog",
];

/** All faults of this file. */
export const PID_FAULTS: readonly Fault[] = [{
  name: "pid-reuse",
  about: "a stranger with the process id of a dead agent, reaper or helper",
  skip: () =>
    Deno.uid() === 0 && Deno.build.os === "linux"
      ? undefined
      : "needs root on Linux for a pid namespace",
  run: async ({ injectAll }) => {
    await injectAll(CASES.map((what) =>
      [what, async () => {
        await using world = await World.make();
        const { stdout, stderr, code } = await new Deno.Command("unshare", {
          args: [
            ...["-pf", "--mount-proc", "--kill-child"],
            // The first process of a namespace must reap orphans: a shell does.
            ...["sh", "-c", '"$@"; exit $?', "sh"],
            ...[Deno.execPath(), "run", "-A", "--no-check"],
            ...[`${PROJECT}faults/reused_pids_main.ts`, world.root, what],
          ],
        }).output();
        const decoder = new TextDecoder();
        if (code !== 0) return [`It failed: ${decoder.decode(stderr)}`];
        const { complaints, strangers } = JSON.parse(decoder.decode(stdout));
        if (strangers.length === 0) return null;
        return [...complaints, ...await judge(world)];
      }] as const
    ));
  },
}];
