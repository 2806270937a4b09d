/**
 * The command `mcp`: a server for agents, or the lines that a client's configuration wants.
 *
 * @module
 */
import { type Handler, noOperands, OK } from "../cli/io.ts";
import { configFor } from "./config.ts";
import { worldHere } from "./scope.ts";
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
  await serve({
    io,
    world: await worldHere(call.flags.has("all")),
    readOnly: call.flags.has("read-only"),
    version: "0.1.0",
  });
  return OK;
};
