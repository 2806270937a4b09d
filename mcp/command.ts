/**
 * The command `mcp`: a server for agents, or the lines that a client's configuration wants.
 *
 * @module
 */
import { type Handler, noOperands, OK } from "../cli/io.ts";
import { worldHere } from "./scope.ts";
import { serve } from "./server.ts";

/** `mcp`: serves a client on standard input and output. */
export const mcp: Handler = async (call, io) => {
  noOperands(call);
  await serve({
    io,
    world: await worldHere(call.flags.has("all")),
    readOnly: call.flags.has("read-only"),
    version: "0.1.0",
  });
  return OK;
};
