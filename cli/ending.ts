/**
 * Ending sessions as their user expects it, whoever asks: with the user's grace, and what has ended
 * already is done.
 *
 * @module
 */
import { configured } from "./config.ts";
import { messageOf, SessionError } from "../errors.ts";
import { isEnded } from "./left_over.ts";
import { getSession, type Session } from "../session/find.ts";
import { type StopOptions, stopSession } from "../session/stop.ts";

/**
 * The user's grace, in milliseconds. Nothing wrong with it may keep anybody from ending a session: then
 * it is the default, and `onNotice` is told.
 */
export function usualGrace(
  onNotice: (notice: string) => void = () => {},
): number | undefined {
  try {
    return configured("grace");
  } catch (error) {
    onNotice(`${messageOf(error)}; used the default grace, 10s`);
    return undefined;
  }
}

/**
 * Stops a session, or finds that it has ended.
 *
 * @throws {SessionError} as `stopSession()` does for a session that hasn't.
 */
export async function stopOrEnded(
  id: string,
  options: StopOptions,
): Promise<Session> {
  try {
    return await stopSession(id, options);
  } catch (error) {
    if (!(error instanceof SessionError) || error.code !== "wrong_state") {
      throw error;
    }
    const { root, createdAt } = options;
    const session = await getSession(id, root === undefined ? {} : { root });
    const isMeant = createdAt === undefined ||
      createdAt.getTime() === session.createdAt.getTime();
    if (isMeant && isEnded(session)) return session;
    throw error;
  }
}
