/**
 * The command line in one file, as `deno compile` and `deno bundle` make it: everything
 * is imported by literal names, and the relay of a terminal is a command of its own.
 *
 * @module
 */
import { include } from "./on_demand.ts";
import { RELAY_COMMAND } from "./relay/command.ts";

include({
  "cli/attach.ts": () => import("./cli/attach.ts"),
  "cli/completions.ts": () => import("./cli/completions.ts"),
  "cli/control.ts": () => import("./cli/control.ts"),
  "cli/doctor.ts": () => import("./cli/doctor.ts"),
  "cli/inspect.ts": () => import("./cli/inspect.ts"),
  "cli/start.ts": () => import("./cli/start.ts"),
  "client/attach_console.ts": () => import("./client/attach_console.ts"),
  "client/plain_log.ts": () => import("./client/plain_log.ts"),
  "client/terminal.ts": () => import("./client/terminal.ts"),
  "client/wait_for.ts": () => import("./client/wait_for.ts"),
});

const [command, ...args] = Deno.args;
if (command === RELAY_COMMAND) {
  const { runRelay } = await import("./relay/relay.ts");
  Deno.exit(await runRelay(args));
}
// In a bundle it is the main module as well, and runs by itself.
const { run } = await import("./cli.ts");
await run();
