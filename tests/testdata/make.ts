/**
 * Makes the session directories of this version that later versions must read, one per
 * kind and end: `deno run -A tests/testdata/make.ts`. Run once for each format or change of
 * what is written; what was committed before is never made anew.
 *
 * @module
 */
import { VERSION } from "../../cli/usage.ts";
import { sendEof, sendInput } from "../../client/input.ts";
import { type CreateOptions, createSession, stopSession } from "../../mod.ts";
import { waitFor, waitForSession } from "../../client/wait.ts";

const root = new URL(`./${VERSION}`, import.meta.url).pathname;

async function make(
  id: string,
  options: Partial<CreateOptions>,
  then?: () => unknown,
): Promise<void> {
  const script = "echo out; echo err >&2";
  const labels = { task: "42" };
  const env = { TESTDATA: "a secret" };
  const command = ["sh", "-c", script];
  const made = { root, id, cwd: "/", command, labels, env, ...options };
  await createSession(made);
  await then?.();
  await waitForSession(id, { root });
}

const ready = (id: string) =>
  waitFor(id, { for: "output", pattern: /out/ }, { root });
const endless = ["sh", "-c", "echo out; exec sleep 600"];

await make("exec-0", {});
await make("exec-3", { command: ["sh", "-c", "echo out; exit 3"] });
await make("exec-stopped", { command: endless }, async () => {
  await ready("exec-stopped");
  await stopSession("exec-stopped", { root });
});
await make("exec-lost", { command: endless }, async () => {
  await ready("exec-lost");
  const pids = Deno.readTextFileSync(`${root}/exec-lost/pid`).trim().split(" ");
  for (const pid of pids) Deno.kill(Number(pid), "SIGKILL");
});
await make("exec-timeout", { command: endless, timeoutMs: 300 });
await make("repl-0", { kind: "repl", command: ["cat"] }, async () => {
  await sendInput("repl-0", "héllo\n", { root });
  await sendEof("repl-0", { root });
});
await make("pty-0", {
  kind: "pty",
  command: ["sh", "-c", "printf '\\033[1mout\\033[m\\r\\n'"],
});
await make("damaged", {});
Deno.truncateSync(`${root}/damaged/meta.json`, 40);
