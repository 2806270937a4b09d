/**
 * Which sessions a server sees and touches: those that it has started, and all that these have
 * started, by their label `parent`. With `--all` it sees every session. It never acts on a session
 * that it runs in.
 *
 * A server within a session starts sessions as that session does: they get its id as their parent.
 * Any other server's sessions get its working directory, which its client's next server shares.
 *
 * @module
 */
import { ArgumentError, messageOf, SessionError } from "../errors.ts";
import { carriedAround } from "../process/carriers.ts";
import { HARMFUL } from "../screen/clean_text.ts";
import { LABEL_VALUE_LENGTH } from "../session/create.ts";
import { getSession, listSessions, type Session } from "../session/find.ts";
import { parentsOf } from "../session/parent.ts";
import { basename, dirname, join } from "../std.ts";
import { isId, noSuchSession, openRoot, pathsIn } from "../store.ts";
import { sleep } from "../system/async.ts";
import {
  exists,
  isAbsence,
  isGranted,
  lastingIdentityOf,
} from "../system/files.ts";

/** What a server works on. */
export interface World {
  /** The state directory. */
  readonly root: string;
  /** The id of the session that the server runs in, if it runs in one. */
  readonly self: string | undefined;
  /**
   * The ids of all sessions that the server runs in, by its own environment and its ancestors': its
   * own can be set to anything.
   */
  readonly around: ReadonlySet<string>;
  /** The value of the label `parent` of the sessions that it starts. */
  readonly parent: string;
  /** All sessions are in its scope. */
  readonly all: boolean;
  /**
   * The values of the label `parent` that lead to it. An id means its session only from a time on,
   * in milliseconds: earlier, another session may have had it.
   */
  readonly origins: ReadonlyMap<string, number>;
  /**
   * What the server has started: the directory of each id. It is in the scope even if its metadata
   * is damaged, or the clock was set back.
   */
  readonly started: Map<string, string>;
}

/**
 * The world of this process: the session that it runs in, by its own environment or by that of an
 * ancestor, as Codex hides it from its servers. The session's root counts, unless
 * `CODEX_SESSION_HOME` names one; then it is the nearest session of that root.
 *
 * @throws {SessionError} `root_unusable`.
 */
export async function worldHere(all: boolean): Promise<World> {
  const named = Deno.env.get("CODEX_SESSION_HOME") ? openRoot() : undefined;
  const [nearest, ...others] = sessionsAround(named);
  const root = named ??
    openRoot(nearest === undefined ? {} : { root: dirname(nearest) });
  const started = new Map<string, string>();
  if (nearest === undefined) {
    const parent = await ownDirectory();
    const origins = new Map([[parent, 0]]);
    const around = new Set<string>();
    return { root, self: undefined, around, parent, all, origins, started };
  }
  const self = basename(nearest);
  const around = new Set([
    self,
    ...others.filter((dir) => dirname(dir) === root)
      .map((dir) => basename(dir)),
  ]);
  const origins = await originsOf(self, root);
  return { root, self, around, parent: self, all, origins, started };
}

/** The directories of the sessions, of this root or of any, around this process, the nearest first. */
function sessionsAround(root: string | undefined): string[] {
  const variable = "CODEX_SESSION_DIR";
  const own = isGranted({ name: "env", variable }) && Deno.env.get(variable);
  const isSession = (dir: string) =>
    (root === undefined || dirname(dir) === root) && isId(basename(dir)) &&
    isGranted({ name: "read", path: dir }) &&
    exists(pathsIn(dir, basename(dir)).lock);
  return [...own ? [own] : [], ...carriedAround()].filter(isSession);
}

/** The session, and those whose conversation it goes on with: their sessions are its own. */
async function originsOf(
  self: string,
  root: string,
): Promise<ReadonlyMap<string, number>> {
  const origins = new Map<string, number>();
  let latest = Infinity;
  for (let id: string | undefined = self; id !== undefined && isId(id);) {
    if (origins.has(id)) break; // A circle, within one millisecond.
    const session: Session | undefined = await find(id, root);
    const at = session?.createdAt.getTime() ?? NaN;
    if (!(at <= latest)) break; // Gone; or another session has its id now.
    origins.set(id, at);
    latest = at;
    id = session?.meta?.resumes;
  }
  return origins;
}

/** This process's directory, as a label can hold it: no two directories share one. */
async function ownDirectory(): Promise<string> {
  let dir: string;
  try {
    dir = Deno.cwd();
  } catch (error) {
    throw new ArgumentError(
      `Cannot tell this server's directory: ${messageOf(error)}`,
    );
  }
  const name = dir.replaceAll("%", "%25").replace(HARMFUL, encodeURIComponent);
  if (name.length <= LABEL_VALUE_LENGTH) return name;
  const bytes = new TextEncoder().encode(dir);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${hash.toHex()}`;
}

/** The sessions of a server's scope, newest first. */
export async function sessionsIn(world: World): Promise<Session[]> {
  const sessions = await listedAfter(world);
  return sessions.filter((session) => isIn(world, session));
}

/** The next listing for each server. */
const listings = new WeakMap<World, Promise<readonly Session[]>>();

/**
 * All sessions, listed after the call. Many can take a second in which nothing else is answered, so
 * calls that come together share a listing.
 */
function listedAfter(world: World): Promise<readonly Session[]> {
  const next = listings.get(world);
  if (next !== undefined) return next;
  const listing = sleep(0).then(() => {
    listings.delete(world);
    return listSessions({ root: world.root });
  });
  listings.set(world, listing);
  return listing;
}

/**
 * A session of the scope, by its id.
 *
 * @throws {SessionError} `not_found`, also if it is out of the scope.
 * @throws {ArgumentError} if the id is malformed.
 */
export async function sessionIn(world: World, id: string): Promise<Session> {
  const { root, all } = world;
  if (all) return await getSession(id, { root });
  const session = await find(id, root);
  if (session === undefined || !isIn(world, session)) throw noSuchSession(id);
  return session;
}

/**
 * The same, to act on it.
 *
 * @throws {SessionError} also `unsupported` for the session that the server runs in.
 */
export async function targetIn(world: World, id: string): Promise<Session> {
  if (!world.around.has(id)) return await sessionIn(world, id);
  throw new SessionError(
    "unsupported",
    `Cannot act on session "${id}": this server runs in it`,
    { id },
  );
}

/** Notes that a server has started a session: another one may have its id later. */
export function noteStart({ root, started }: World, id: string): void {
  const identity = lastingIdentityAt(join(root, id));
  if (identity !== undefined) started.set(id, identity);
}

/** What tells a directory from any other; `undefined` if there is none. */
function lastingIdentityAt(dir: string): string | undefined {
  try {
    return lastingIdentityOf(Deno.lstatSync(dir));
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** Tells whether a server, or what it has started, has started a session. */
function isIn(
  { self, all, origins, started }: World,
  { id, meta, createdAt, paths }: Session,
): boolean {
  if (all) return true;
  const own = started.get(id);
  if (own !== undefined && own === lastingIdentityAt(paths.dir)) return true;
  // Nothing tells who has started a damaged one.
  if (id === self || meta === null) return false;
  return parentsOf(meta).some((parent) => {
    const since = origins.get(parent);
    return since !== undefined && createdAt.getTime() >= since;
  });
}

/** A session; `undefined` if there is none, or something else stands in its place. */
async function find(id: string, root: string): Promise<Session | undefined> {
  try {
    return await getSession(id, { root });
  } catch (error) {
    const isNone = error instanceof SessionError &&
      (error.code === "not_found" || error.code === "damaged");
    if (isNone) return undefined;
    throw error;
  }
}
