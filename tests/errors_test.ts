/**
 * Wrong arguments of the library: a `TypeError` that names the argument.
 *
 * @module
 */
import {
  codexProgram,
  createSession,
  deleteSession,
  exitStatus,
  getSession,
  listProcesses,
  listSessions,
  pruneSessions,
  resolveSelector,
  spawnExec,
  stopSession,
  terminalStatus,
} from "../mod.ts";
import { assertRejects } from "./helpers.ts";

/** Wrong of every type that an argument has. */
const WRONG = Symbol.iterator as never;
const root = "/nonexistent";

const CASES: Readonly<Record<string, (() => unknown)[]>> = {
  id: [
    ...[getSession, listProcesses, terminalStatus, stopSession, deleteSession]
      .flatMap((call) => [
        () => call(WRONG, { root }),
        () => call(undefined as never, { root }),
      ]),
    () => createSession({ command: ["true"], root, id: WRONG }),
  ],
  root: [
    () => listSessions({ root: WRONG }),
    () => getSession("a", { root: null as never }),
  ],
  selector: [() => resolveSelector(WRONG, { root })],
  state: [() => listSessions({ root, state: WRONG })],
  labels: [() => listSessions({ root, labels: WRONG })],
  signal: [
    () => stopSession("a", { root, signal: "INT" as never }),
    () => createSession({ command: ["true"], root, signal: WRONG }),
  ],
  killSignal: [() => stopSession("a", { root, killSignal: WRONG })],
  onNotice: [() => deleteSession("a", { root, onNotice: WRONG })],
  by: [() => stopSession("a", { root, by: WRONG })],
  force: [() => deleteSession("a", { root, force: WRONG })],
  dryRun: [() => pruneSessions({ root, dryRun: WRONG })],
  kind: [() => codexProgram(WRONG)],
  startTimeoutMs: [
    () => createSession({ command: ["true"], root, startTimeoutMs: WRONG }),
  ],
  "paths.id": [() => spawnExec({} as never, [])],
  "ended.signal": [() => exitStatus({} as never)],
};

Deno.test("functions of the library name the argument that has the wrong type", async () => {
  for (const [name, calls] of Object.entries(CASES)) {
    for (const call of calls) {
      // deno-lint-ignore require-await
      const run = async () => call();
      await assertRejects(run, TypeError, `${name} must be`);
    }
  }
});
