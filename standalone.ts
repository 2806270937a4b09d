/**
 * The command line in one file, as `deno compile` and `deno bundle` make it: everything
 * is imported by literal names, and the relay of a terminal is a command of its own.
 *
 * @module
 */
import { include } from "./on_demand.ts";
import { RELAY_COMMAND } from "./relay_command.ts";

include({
  "cli_attach.ts": () => import("./cli_attach.ts"),
  "cli_control.ts": () => import("./cli_control.ts"),
  "cli_doctor.ts": () => import("./cli_doctor.ts"),
  "cli_inspect.ts": () => import("./cli_inspect.ts"),
  "cli_start.ts": () => import("./cli_start.ts"),
  "completions.ts": () => import("./completions.ts"),
  "plain_log.ts": () => import("./plain_log.ts"),
  "terminal.ts": () => import("./terminal.ts"),
  "terminal_console.ts": () => import("./terminal_console.ts"),
  "wait_for.ts": () => import("./wait_for.ts"),
});

const [command, ...args] = Deno.args;
if (command === RELAY_COMMAND) {
  const { runRelay } = await import("./relay.ts");
  Deno.exit(await runRelay(args));
}
// In a bundle it is the main module as well, and runs by itself.
const { run } = await import("./cli.ts");
await run();
