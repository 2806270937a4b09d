/**
 * The command `web`: the page in the browser.
 *
 * @module
 */
import { harmless, harmlessJson } from "../cli/format.ts";
import {
  type Handler,
  type Io,
  noOperands,
  OK,
  parsedValueOf,
  surviveErrors,
} from "../cli/io.ts";
import { VERSION } from "../cli/usage.ts";
import { ArgumentError, messageOf } from "../errors.ts";
import { openRoot } from "../store.ts";
import { isGranted } from "../system/files.ts";
import { isLoopback } from "./gate.ts";
import { openBrowser } from "./opening.ts";
import { type PageServer, startServer } from "./server.ts";

/** `web`: serves the page until Ctrl-C. */
export const web: Handler = async (call, io) => {
  noOperands(call);
  const host = parsedValueOf(call, "host", parseHost) ?? "127.0.0.1";
  // A port of each run's own makes an origin of its own: what an earlier server of the port has left
  // in the browser, such as a service worker, has no part in it.
  const port = parsedValueOf(call, "port", parsePort) ?? 0;
  const readOnly = call.flags.has("read-only");
  const over = io.interrupted();
  surviveErrors(io);
  const server = listen(host, port, () =>
    startServer({
      root: openRoot(),
      home: workingDirectory(),
      version: VERSION,
      ...{ host, port, readOnly },
      report: (error) => warn(error, io),
    }));
  if (!isLoopback(host)) warn(OPEN_TO_ALL, io);
  const page = pageOf(server, host, readOnly);
  io.out(io.json ? harmlessJson(page) + "\n" : textOf(page));
  using opened = call.flags.has("open")
    ? openBrowser(
      page.url,
      (error) => warn(`no browser opened: ${messageOf(error)}`, io),
    )
    : undefined;
  server.visited.then(() => opened?.[Symbol.dispose]());
  if (!over.aborted) {
    await new Promise((wake) => over.addEventListener("abort", wake));
  }
  await server.stop();
  return OK;
};

/** Where relative paths begin; empty if that is gone, or may not be read. */
function workingDirectory(): string {
  try {
    return Deno.cwd();
  } catch {
    return "";
  }
}

const OPEN_TO_ALL =
  "the network can reach this page, and nothing is encrypted: whoever listens in can take it over. An SSH tunnel is safer";

function warn(error: unknown, io: Io): void {
  io.err(`codex-session: warning: ${harmless(messageOf(error))}\n`);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new ArgumentError(
    `Invalid port "${text}": expected 1 to 65535, or 0 for one that is free`,
  );
}

function parseHost(text: string): string {
  const host = /^\[(.*:.*)\]$/.exec(text)?.[1] ?? text;
  if (/^([\w-]+(\.[\w-]+)*|[\da-f.]*:[\da-f.:]*)$/i.test(host)) return host;
  throw new ArgumentError(
    `Invalid host "${text}": expected an address such as 127.0.0.1, or a name`,
  );
}

/** Runs what starts to listen; its error says what to do. */
function listen<T>(host: string, port: number, start: () => T): T {
  try {
    return start();
  } catch (cause) {
    const { AddrInUse, AddrNotAvailable, PermissionDenied } = Deno.errors;
    const refused = (why: string) => {
      const place = host.includes(":") ? `[${host}]` : host;
      return new Error(`Cannot listen on ${place}:${port}: ${why}`, { cause });
    };
    if (cause instanceof AddrInUse) {
      throw refused("the port is in use; choose another one with --port");
    }
    if (cause instanceof AddrNotAvailable) {
      throw refused("this machine doesn't have that address");
    }
    if (cause instanceof PermissionDenied) {
      throw refused("the system forbids it; choose a port above 1023");
    }
    throw cause;
  }
}

/** A server as `--json` tells it. */
interface Page {
  readonly url: string;
  readonly readOnlyUrl: string;
  readonly port: number;
  readonly host: string;
  readonly token: string;
  readonly readOnlyToken: string;
  readonly readOnly: boolean;
  readonly pid: number;
}

/** How to reach a server. */
function pageOf(
  { port, token, lookToken }: PageServer,
  host: string,
  readOnly: boolean,
): Page {
  const name = ANY.includes(host)
    ? "127.0.0.1"
    : host.includes(":")
    ? `[${host}]`
    : host;
  const urlOf = (token: string) => `http://${name}:${port}/?token=${token}`;
  return {
    url: urlOf(token ?? lookToken),
    readOnlyUrl: urlOf(lookToken),
    ...{ port, host, token: token ?? lookToken, readOnlyToken: lookToken },
    ...{ readOnly, pid: Deno.pid },
  };
}

/** The addresses that mean all of a machine. */
const ANY = ["0.0.0.0", "::"];

function textOf({ url, readOnlyUrl, readOnly, port, host }: Page): string {
  const lines = [url];
  if (!readOnly) lines.push(`To look only: ${readOnlyUrl}`);
  lines.push(
    isLoopback(host)
      ? `From another machine: ${
        tunnel(host, port)
      }, then open the same URL there`
      : `From another machine: the same URL${
        ANY.includes(host) ? " with this machine's address" : ""
      }`,
    "Ctrl-C stops the page; the sessions go on.",
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** The command for another machine: it makes the page's port a port there. */
function tunnel(host: string, port: number): string {
  const place = host.includes(":") ? `[${host}]` : host;
  const { destination, sshPort } = wayHere();
  const through = sshPort === "22" ? "" : ` -p ${sshPort}`;
  return `ssh -N -L ${port}:${place}:${port}${through} ${destination}`;
}

/** How SSH reaches this machine: as it did for this login, or by the machine's name. */
function wayHere(): { readonly destination: string; readonly sshPort: string } {
  const variable = (name: string) =>
    isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
  const [, , address, sshPort] = (variable("SSH_CONNECTION") ?? "").split(" ");
  const name = isGranted({ name: "sys", kind: "hostname" })
    ? Deno.hostname()
    : undefined;
  const plain = (text = "", otherwise: string) =>
    /^\w[\w.:-]*$/.test(text) ? text : otherwise;
  const nameless = Deno.uid() === 0 ? "root" : "USER";
  const user = plain(variable("USER") ?? variable("LOGNAME"), nameless);
  const host = plain(address, plain(name, "HOST"));
  return {
    destination: `${user}@${host}`,
    sshPort: /^\d+$/.test(sshPort ?? "") ? sshPort! : "22",
  };
}
