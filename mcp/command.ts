/**
 * The command `mcp`: a server for agents, or the lines that a client's configuration wants.
 *
 * @module
 */
import { type Handler, noOperands, OK } from "../cli/io.ts";
import { configFor } from "./config.ts";
import { worldHere } from "./scope.ts";
import { VERSION } from "../cli/usage.ts";
import { serve } from "./server.ts";

/** `mcp`: serves a client on standard input and output. */
export const mcp: Handler = async (call, io) => {
  noOperands(call);
  const [client] = call.values.get("config") ?? [];
  if (client !== undefined) {
    const args = ["all", "read-only"].filter((name) => call.flags.has(name));
    io.out(configFor(client, args.map((name) => `--${name}`)));
    return OK;
  }
  const world = await worldHere(call.flags.has("all"));
  // Codex hides it from its servers; the sessions that this one starts need it.
  if (world.self !== undefined) Deno.env.set("CODEX_SESSION_HOME", world.root);
  await serve({
    io,
    world,
    readOnly: call.flags.has("read-only"),
    version: VERSION,
  });
  return OK;
};
