/**
 * The resources: a session's log, screen and events by URI, read with the bounds of the tools.
 * Templates tell their URIs; the list has those of the newest sessions.
 *
 * Nothing but these URIs of sessions in the server's scope can be read.
 *
 * @module
 */
import { harmlessJson } from "../cli/format.ts";
import { describeError } from "../cli/io.ts";
import { readEvents } from "../client/events.ts";
import { ArgumentError, SessionError } from "../errors.ts";
import type { Session } from "../session/find.ts";
import { encodeCursor, placeIn } from "./cursor.ts";
import { commandIn, stateFacts } from "./facts.ts";
import { screenOf } from "./looking.ts";
import { hasScreen, readOutput } from "./output.ts";
import { sessionIn, sessionsIn, type World } from "./scope.ts";
import type { Part, Subscriptions } from "./subscriptions.ts";
import { bytesIn, DEFAULT_MAX_BYTES } from "./text.ts";
import { briefLine } from "../screen/clean_text.ts";

/** The parts: what they are, and their type. */
const PARTS: Readonly<Record<Part, readonly [string, string]>> = {
  log: ["The end of a session's output, as plain text", "text/plain"],
  screen: ["What a session's terminal shows now, or showed last", "text/plain"],
  events: [
    "What has happened in a session, the last events, a line of JSON each",
    "application/x-ndjson",
  ],
};

/** The parts of this many sessions are listed, in no more room than output takes by default. */
const MOST_SESSIONS = 50;

/** The URI of a part of a session. */
function uriOf(id: string, part: Part): string {
  return `codex-session://${id}/${part}`;
}

/**
 * The part that a URI names.
 *
 * @throws {SessionError} `not_found` if the session is not there or out of the scope; `unsupported`
 * for the screen of one that has none.
 * @throws {ArgumentError} for any other URI.
 */
export async function partAt(
  world: World,
  uri: unknown,
): Promise<{ readonly session: Session; readonly part: Part }> {
  const match = typeof uri === "string" && uri.length < 200 &&
    /^codex-session:\/\/([A-Za-z0-9_-]{1,64})\/(log|screen|events)$/.exec(uri);
  if (!match) {
    throw new ArgumentError(
      "Unknown resource: use codex-session://ID/log, /screen or /events",
    );
  }
  const [, id, part] = match;
  const session = await sessionIn(world, id!);
  if (part === "screen" && !hasScreen(session)) {
    const message = `Session "${id}" has no screen: use ${uriOf(id!, "log")}`;
    throw new SessionError("unsupported", message, { id });
  }
  return { session, part: part as Part };
}

/** The library's server, as far as this needs it. */
export interface ResourceServer {
  registerCapabilities(capabilities: object): void;
  // deno-lint-ignore no-explicit-any
  setRequestHandler(method: string, handler: (...args: any[]) => any): void;
}

/** Offers the resources, and updates of them. */
export function offerResources(
  server: ResourceServer,
  world: World,
  subscriptions: Subscriptions,
): void {
  server.registerCapabilities({ resources: { subscribe: true } });
  const on = (
    method: string,
    answer: (uri: unknown, signal: AbortSignal) => Promise<object> | object,
  ) =>
    server.setRequestHandler(method, async ({ params }, { mcpReq }) => {
      try {
        return await answer(params?.uri, mcpReq.signal);
      } catch (error) {
        throw protocolError(error);
      }
    });
  on("resources/list", () => list(world));
  on("resources/templates/list", templates);
  on("resources/read", (uri, signal) => read(world, uri, signal));
  // The older protocol's. The newer one has subscriptions/listen, see mcp/subscriptions.ts.
  on("resources/subscribe", async (uri) => {
    await subscriptions.add("client", [uri]);
    return {};
  });
  on("resources/unsubscribe", (uri) => {
    subscriptions.remove("client", uri);
    return {};
  });
}

/** An error as the protocol has it: the code of wrong parameters, and ours as its data. */
export function protocolError(error: unknown): Error {
  const { code, message } = describeError(error);
  const number = code === "failed" ? -32603 : -32602;
  return Object.assign(new Error(briefLine(message, 500)), {
    code: number,
    data: { code },
  });
}

async function list(world: World): Promise<object> {
  const sessions = await sessionsIn(world);
  const resources: object[] = [];
  let [listed, bytes] = [0, 0];
  for (const session of sessions.slice(0, MOST_SESSIONS)) {
    const parts: Part[] = hasScreen(session)
      ? ["log", "screen", "events"]
      : ["log", "events"];
    const own = parts.map((part) => resourceOf(session, part));
    bytes += bytesIn(harmlessJson(own));
    if (bytes > DEFAULT_MAX_BYTES) break;
    resources.push(...own);
    listed++;
  }
  const left = sessions.length - listed;
  return { resources, ...(left > 0 && { _meta: { left_out_sessions: left } }) };
}

function resourceOf({ id, meta }: Session, part: Part): object {
  const about = meta === null ? "" : `: ${briefLine(commandIn(meta.argv), 60)}`;
  const [, mimeType] = PARTS[part];
  return {
    uri: uriOf(id, part),
    name: `${id} ${part}`,
    title: `${id} ${part}${about}`,
    mimeType,
  };
}

function templates(): object {
  const resourceTemplates = Object.entries(PARTS)
    .map(([part, [description, mimeType]]) => ({
      uriTemplate: uriOf("{id}", part as Part),
      name: part,
      description,
      mimeType,
    }));
  return { resourceTemplates };
}

async function read(
  world: World,
  uri: unknown,
  signal: AbortSignal,
): Promise<object> {
  const { session, part } = await partAt(world, uri);
  const [, mimeType] = PARTS[part];
  const contents = await READERS[part](world, session, signal);
  return { contents: contents.map((one) => ({ uri, mimeType, ...one })) };
}

/** Text, and what a reader must know of it; a program could claim the same in the text. */
interface Content {
  readonly text: string;
  readonly _meta: object;
}

const READERS: Readonly<
  Record<
    Part,
    (world: World, session: Session, signal: AbortSignal) => Promise<Content[]>
  >
> = {
  async log({ root }, session, signal) {
    const { stdout, stderr, notes, end } = await readOutput(session, {
      root,
      since: undefined,
      maxBytes: DEFAULT_MAX_BYTES,
      signal,
    });
    const facts = {
      ...stateFacts(session),
      ...(notes.length > 0 && { note: notes.join(". ") }),
      cursor: encodeCursor(placeIn(session, end)),
    };
    const streams = { stdout, stderr };
    return Object.entries(streams)
      .filter(([stream, { text, leftOutBytes }]) =>
        stream === "stdout" || text !== "" || leftOutBytes > 0
      )
      .map(([stream, { text, leftOutBytes }]) => ({
        text,
        _meta: { stream, left_out_bytes: leftOutBytes, ...facts },
      }));
  },
  async screen(world, session, signal) {
    const { text, ..._meta } = await screenOf(session, { world, signal });
    return [{ text, _meta }];
  },
  async events({ root }, session) {
    const events = await readEvents({ root, ids: [session.id] });
    const lines: string[] = [];
    let bytes = 0;
    for (const event of events.toReversed()) {
      const line = `${harmlessJson(event)}\n`;
      bytes += bytesIn(line);
      if (bytes > DEFAULT_MAX_BYTES) break;
      lines.unshift(line);
    }
    const left = events.length - lines.length;
    const _meta = { left_out_events: left, ...stateFacts(session) };
    return [{ text: lines.join(""), _meta }];
  },
};
