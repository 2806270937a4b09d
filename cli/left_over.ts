/**
 * Processes that an ended session has left over: those of its agent that go on without it.
 *
 * @module
 */
import {
  processesAt,
  processFinder,
  type SessionProcess,
} from "../process/members.ts";
import type { Session } from "../session/find.ts";
import type { Paths } from "../store.ts";
import { isGranted } from "../system/files.ts";

/** Tells whether a session has ended, orderly or not. */
export function isEnded({ state: { state } }: Pick<Session, "state">): boolean {
  return state === "exited" || state === "lost";
}

/**
 * Returns a function that tells whether an ended session has left processes; `null` if that can't
 * be seen without asking for a permission. It reads all processes once, at the first ended session.
 */
export function leftOverTest(): (session: Session) => boolean | null {
  let hasProcesses: ((paths: Paths) => boolean) | null | undefined;
  return ({ state, paths }) => {
    if (!isEnded({ state })) return false;
    if (hasProcesses === undefined) {
      const mayLook = isGranted({ name: "ffi" }) &&
        isGranted({ name: "run", command: "/bin/sh" });
      hasProcesses = mayLook ? processFinder(true) : null;
    }
    return hasProcesses &&
      hasProcesses(paths) && processesAt(paths).some(isOfAgent);
  };
}

/** Tells a process of the agent from the supervisor's, which ends a moment after the record. */
export const isOfAgent = ({ role }: SessionProcess) =>
  role === "agent" || role === "child";
