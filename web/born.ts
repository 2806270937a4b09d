/**
 * A session by its id and the time of its creation: a page that was open for long must not show, or
 * type into, a later session with the same id.
 *
 * @module
 */
import { type SessionWatch, watchSession } from "../client/watch.ts";
import { getSession } from "../session/find.ts";
import { noSuchSession, pathsFor, type RootOptions } from "../store.ts";

/** Names one session. */
export interface Born extends RootOptions {
  readonly id: string;
  /** When it was created; without it, the one that is there. */
  readonly born?: string;
}

/**
 * Watches exactly this session. What is read or reached by its paths afterwards is of this session if
 * `isStill()` says so then.
 *
 * @throws {SessionError} `not_found`, also if another one has its id by now.
 */
export async function watchBorn(
  { id, born, root }: Born,
): Promise<SessionWatch> {
  const watch = watchSession(pathsFor(id, { root }));
  try {
    const { createdAt } = await getSession(id, { root });
    const isSame = born === undefined || createdAt.toISOString() === born;
    if (isSame && watch.isStill()) return watch;
  } catch (error) {
    watch[Symbol.dispose]();
    throw error;
  }
  watch[Symbol.dispose]();
  throw noSuchSession(id);
}
