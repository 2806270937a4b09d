/**
 * Which sessions a server sees and touches: those that it, or the session that it runs in, or one of
 * theirs has started. It never acts on the session that it runs in.
 *
 * @module
 */
import { getSession, listSessions, type Session } from "../session/find.ts";
import { noSuchSession } from "../store.ts";

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
}

/** The sessions of a server's scope. */
export async function sessionsIn(world: World): Promise<Session[]> {
  // To do: the scope.
  return await listSessions({ root: world.root });
}

/**
 * A session of the scope.
 *
 * @throws {SessionError} `not_found`, also if it is out of the scope.
 */
export async function sessionIn(world: World, id: string): Promise<Session> {
  return await getSession(id, { root: world.root });
}

/**
 * The same, to act on it.
 *
 * @throws {SessionError} also `unsupported` for the session that the server runs in.
 */
export async function targetIn(world: World, id: string): Promise<Session> {
  if (id === world.self) throw noSuchSession(id);
  return await sessionIn(world, id);
}
