/**
 * Which sessions a server sees and touches: those that it has started, and all that these have
 * started, by their label `parent`. With `--all` it sees every session. It never acts on the session
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
import { getSession, listSessions, type Session } from "../session/find.ts";
import { parentsOf } from "../session/parent.ts";
import { basename, dirname } from "../std.ts";
import { isId, noSuchSession, openRoot, pathsIn } from "../store.ts";
import { sleep } from "../system/async.ts";
import { exists, isGranted } from "../system/files.ts";

/** What a server works on. */
export interface World {
  /** The state directory. */
  readonly root: string;
  /** The id of the session that the server runs in, if it runs in one. */
  readonly self: string | undefined;
  /** The value of the label `parent` of the sessions that it starts. */
  readonly parent: string;
  /** All sessions are in its scope. */
  readonly all: boolean;
  /**
   * The values of the label `parent` that lead to it. An id means its session only from a time on,
   * in milliseconds: earlier, another session may have had it.
   */
  readonly origins: ReadonlyMap<string, number>;
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
  const around = sessionAround(named);
  const root = named ??
    openRoot(around === undefined ? {} : { root: dirname(around) });
  if (around === undefined) {
    const parent = ownDirectory();
    const origins = new Map([[parent, 0]]);
    return { root, self: undefined, parent, all, origins };
  }
  const self = basename(around);
  const origins = await originsOf(self, root);
  return { root, self, parent: self, all, origins };
}

/** The directory of the session, of this root or of any, that this process runs in. */
function sessionAround(root: string | undefined): string | undefined {
  const variable = "CODEX_SESSION_DIR";
  const own = isGranted({ name: "env", variable }) && Deno.env.get(variable);
  const isSession = (dir: string) =>
    (root === undefined || dirname(dir) === root) && isId(basename(dir)) &&
    isGranted({ name: "read", path: dir }) &&
    exists(pathsIn(dir, basename(dir)).lock);
  return own && isSession(own) ? own : carriedAround().find(isSession);
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

/** This process's directory, as a label can hold it. */
function ownDirectory(): string {
  let dir: string;
  try {
    dir = Deno.cwd();
  } catch (error) {
    throw new ArgumentError(
      `Cannot tell this server's directory: ${messageOf(error)}`,
    );
  }
  return dir.replace(HARMFUL, encodeURIComponent).slice(-MAX_LENGTH);
}

/** The longest value of a label. */
const MAX_LENGTH = 1000;

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
  if (id !== world.self) return await sessionIn(world, id);
  throw new SessionError(
    "unsupported",
    `Cannot act on session "${id}": this server runs in it`,
    { id },
  );
}

/** Tells whether a server, or what it has started, has started a session. */
function isIn(
  { self, all, origins }: World,
  { id, meta, createdAt }: Session,
): boolean {
  if (all) return true;
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
