/**
 * The command `web`: the page in the browser.
 *
 * @module
 */
import { harmlessJson } from "../cli/format.ts";
import { type Handler, noOperands, OK, parsedValueOf } from "../cli/io.ts";
import { ArgumentError } from "../errors.ts";
import { openRoot } from "../store.ts";
import { startServer } from "./server.ts";

/** `web`: serves the page until Ctrl-C. */
export const web: Handler = async (call, io) => {
  noOperands(call);
  const root = openRoot();
  const host = "127.0.0.1";
  const port = parsedValueOf(call, "port", parsePort) ?? 0;
  const readOnly = call.flags.has("read-only");
  const over = io.interrupted();
  const server = startServer({
    ...{ root, host, port, readOnly },
    report: (error) => io.err(`codex-session: ${error}\n`),
  });
  const { token } = server;
  const url = `http://${host}:${server.port}/?token=${
    token ?? server.lookToken
  }`;
  io.out(
    io.json
      ? harmlessJson({
        ...{ url, port: server.port, host, token: token ?? server.lookToken },
        ...{ readOnly, pid: Deno.pid },
      }) + "\n"
      : `${url}\n`,
  );
  await new Promise((wake) => over.addEventListener("abort", wake));
  return OK;
};

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new ArgumentError(`Invalid port "${text}": use 0 to 65535`);
}
