/**
 * Updates of resources, for those who subscribe.
 *
 * A client of the older protocol subscribes by `resources/subscribe`, one of the newer by
 * `subscriptions/listen`. The library answers the latter without a word to the server: so it is
 * seen on the wire, with its end.
 *
 * A resource that somebody has subscribed to is watched as the library's followers do it: by the
 * events of its session's files. Nobody subscribes: nothing is watched, and no timer runs. What is
 * told is only that it has changed, a few times a second at most, and not before the client has
 * taken the last one. A session that ends or is deleted is told once more; then it is no longer
 * watched.
 *
 * @module
 */
import { endOfLog } from "../client/log_files.ts";
import { watchSession } from "../client/watch.ts";
import { SessionError } from "../errors.ts";
import type { Paths } from "../store.ts";
import { sleep } from "../system/async.ts";
import type { Message, Wire } from "./wire.ts";

/** What is there of a session. */
export type Part = "log" | "screen" | "events";

/** So many resources are watched at most: each takes an open file, and watches of the system. */
export const MOST_SUBSCRIPTIONS = 100;
/** Between two updates of a resource, in milliseconds. */
const PAUSE_MS = 300;

/** What makes the subscriptions of a client. */
export interface SubscriptionsOptions {
  /**
   * The paths of the session and the part that a URI names.
   *
   * @throws if there is none.
   */
  readonly find: (
    uri: unknown,
  ) => Promise<{ readonly session: { readonly paths: Paths }; part: Part }>;
  /** Tells the client that a resource has changed. Resolves when that is written. */
  readonly tell: (uri: string) => Promise<void>;
}

/** A resource that is watched. */
interface Watched {
  /** Those who want its updates: requests of the client, or the client itself. */
  readonly holders: Set<unknown>;
  readonly end: AbortController;
}

/** The subscriptions of a client. */
export class Subscriptions implements Disposable {
  readonly #options: SubscriptionsOptions;
  readonly #watched = new Map<string, Watched>();
  #isOver = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /**
   * Watches resources for a holder: all of them or, if it throws, none that it did not have.
   *
   * @throws {SessionError} `unsupported` if there would be too many; what `find` throws.
   */
  async add(holder: unknown, uris: readonly unknown[]): Promise<void> {
    const wanted = new Map<string, { paths: Paths; part: Part }>();
    for (const uri of new Set(uris)) {
      // Too many: no need to look for all of them.
      if (wanted.size > MOST_SUBSCRIPTIONS) break;
      const { session: { paths }, part } = await this.#options.find(uri);
      wanted.set(uri as string, { paths, part });
    }
    const others = [...this.#watched.keys()].filter((uri) => !wanted.has(uri));
    if (others.length + wanted.size > MOST_SUBSCRIPTIONS) {
      throw new SessionError(
        "unsupported",
        `Cannot subscribe: at most ${MOST_SUBSCRIPTIONS} resources can be subscribed to; end other subscriptions first`,
      );
    }
    for (const [uri, { paths, part }] of wanted) {
      const watched = this.#watched.get(uri) ?? this.#watch(uri, paths, part);
      watched.holders.add(holder);
    }
  }

  /** A holder no longer wants the updates of a resource. */
  remove(holder: unknown, uri: unknown): void {
    const watched = this.#watched.get(uri as string);
    watched?.holders.delete(holder);
    if (watched?.holders.size === 0) this.#drop(uri as string, watched);
  }

  /** A holder no longer wants any. */
  removeAll(holder: unknown): void {
    for (const uri of [...this.#watched.keys()]) this.remove(holder, uri);
  }

  #drop(uri: string, watched: Watched): void {
    watched.end.abort();
    if (this.#watched.get(uri) === watched) this.#watched.delete(uri);
  }

  #watch(uri: string, paths: Paths, part: Part): Watched {
    const watched = { holders: new Set(), end: new AbortController() };
    this.#watched.set(uri, watched);
    const { signal } = watched.end;
    const tell = () => this.#options.tell(uri);
    if (this.#isOver) watched.end.abort();
    follow(paths, part, { tell, signal })
      .catch(() => {}) // Ended, or the client is gone.
      .finally(() => this.#drop(uri, watched));
    return watched;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const [uri, watched] of [...this.#watched]) this.#drop(uri, watched);
  }
}

/** Tells each change of a part of a session, until the session is over. */
async function follow(
  paths: Paths,
  part: Part,
  { tell, signal }: {
    readonly tell: () => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const files = filesOf(paths, part);
  using watch = watchSession(paths, { files, signal });
  let before = markOf(files);
  for (let isFirst = true;; isFirst = false) {
    const final = watch.finalState();
    // After the look: all that was written before the end is told.
    const now = markOf(files);
    // What was over before changes no more.
    const isNew = now !== before || (final !== undefined && !isFirst);
    before = now;
    if (isNew) await tell();
    if (final !== undefined) return;
    if (isNew) await sleep(PAUSE_MS, signal);
    else await watch.next();
  }
}

/** The files that a part is made of. */
function filesOf({ stdout, stderr, events, pid, stop }: Paths, part: Part) {
  switch (part) {
    case "log":
      return [stdout, stderr];
    case "screen":
      return [stdout];
    case "events":
      return [events, pid, stop];
    default:
      return part satisfies never;
  }
}

/** Changes with the files. */
function markOf(files: readonly string[]): string {
  return JSON.stringify(files.map(endOfLog));
}

/**
 * A connection with its `subscriptions/listen` seen: one that can't be served is refused here, the
 * others are passed on.
 *
 * @param errorOf Makes an error of the protocol of what was thrown.
 */
export function withSubscriptions(
  wire: Wire,
  subscriptions: Subscriptions,
  errorOf: (error: unknown) => Error,
): Wire {
  /** The requests that are still open. */
  const open = new Set<unknown>();
  const end = (id: unknown) => {
    if (open.delete(id)) subscriptions.removeAll(holderOf(id));
  };
  const outer: Wire = {
    start: wire.start,
    close: wire.close,
    closed: wire.closed,
    async send(message) {
      const { id, method } = message as Message;
      // The answer of a subscription is its end, or its refusal.
      if (method === undefined && id !== undefined) end(id);
      await wire.send(message);
    },
  };
  const listen = async (message: Message, uris: readonly unknown[]) => {
    const { id } = message;
    end(id);
    open.add(id);
    try {
      await subscriptions.add(holderOf(id), uris);
      // Cancelled meanwhile, before anybody holds it.
      if (!open.has(id)) return subscriptions.removeAll(holderOf(id));
      outer.onmessage?.(message);
    } catch (thrown) {
      open.delete(id);
      const { message, code, data } = errorOf(thrown) as Error & {
        readonly code: number;
        readonly data: unknown;
      };
      const error = { code, message, data };
      await wire.send({ jsonrpc: "2.0", id, error }).catch(() => {});
    }
  };
  wire.onmessage = (message) => {
    const uris = urisIn(message);
    if (uris !== undefined) {
      listen(message, uris);
      return;
    }
    if (message.method === "notifications/cancelled") {
      end(message.params?.requestId);
    }
    outer.onmessage?.(message);
  };
  wire.onclose = () => {
    subscriptions[Symbol.dispose]();
    outer.onclose?.();
  };
  wire.onerror = (error) => outer.onerror?.(error);
  return outer;
}

/** A request's id is a number or a string; the older protocol's holder is a word, too. */
function holderOf(id: unknown): string {
  return `listen ${JSON.stringify(id)}`;
}

/** The URIs whose updates a message asks for. */
function urisIn({ id, method, params }: Message): unknown[] | undefined {
  if (method !== "subscriptions/listen" || id === undefined) return undefined;
  const { resourceSubscriptions } = Object(params?.notifications) as {
    readonly resourceSubscriptions?: unknown;
  };
  return Array.isArray(resourceSubscriptions) &&
      resourceSubscriptions.length > 0
    ? resourceSubscriptions
    : undefined;
}
