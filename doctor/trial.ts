/**
 * Throwaway sessions of each kind, run from start to finish: a session that works shows that
 * the machine has what sessions need.
 *
 * @module
 */
import { type CreateOptions, createSession } from "../session/create.ts";
import { messageOf, SessionError } from "../errors.ts";
import { endProcesses } from "../process/ending.ts";
import { bad, doubtful, type Finding, good } from "./finding.ts";
import { sendEof, sendInput } from "../client/input.ts";
import { exitStatus, type Kind, KINDS, pathsFor, readState } from "../store.ts";
import { SIGNALS } from "../system/signals.ts";
import { exists, readFile, remove } from "../system/files.ts";
import { waitForSession } from "../client/wait.ts";

/** How long a trial may take to end, in milliseconds. */
const END_MS = 10_000;

/** A trial of a kind and its expected result. */
interface Trial {
  readonly command: readonly string[];
  readonly input?: string;
  readonly status: number;
  readonly output: RegExp;
}

const TRIALS: Readonly<Record<Kind, Trial>> = {
  exec: {
    command: ["/bin/sh", "-c", "echo done; exit 3"],
    status: 3,
    output: /^done\n$/,
  },
  repl: {
    command: ["/bin/sh", "-c", 'read -r line; echo "$line"; cat; exit 4'],
    input: "hello\n",
    status: 4,
    output: /^hello\n$/,
  },
  pty: {
    command: ["/bin/sh", "-c", "test -t 0 && echo done; exit 5"],
    status: 5,
    output: /^done\r\n$/,
  },
};

/** Runs a session of a kind in a root of its own. The caller then calls {@linkcode endTrial}. */
export async function trySession(
  kind: Kind,
  root: string,
  options: Pick<CreateOptions, "relayCommand"> = {},
): Promise<Finding> {
  const { command, input, status, output } = TRIALS[kind];
  const paths = pathsFor(`trial-${kind}`, { root });
  const since = performance.now();
  try {
    await createSession({
      ...{ root, id: paths.id, kind, command, cwd: "/", scope: "never" },
      ...options,
    });
    if (input !== undefined) {
      await sendInput(paths.id, input, { root });
      const { state } = readState(paths);
      if (state !== "running") {
        return wrong(`it is ${state} while its agent runs`);
      }
      await sendEof(paths.id, { root });
    }
    const end = await waitForSession(paths.id, { root, timeoutMs: END_MS });
    if (end.state.state !== "exited") {
      return wrong("its ending was not recorded");
    }
    const written = readFile(paths.stdout) ?? "";
    const ended = exitStatus(end.state);
    if (ended !== status) {
      return wrong(`it ended with status ${ended} instead of ${status}`);
    }
    if (!output.test(written)) {
      return wrong("its output is missing from its log");
    }
    const tookMs = Math.round(performance.now() - since);
    return good(`a session started, ended and was recorded in ${tookMs} ms`);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const unsupported = error instanceof SessionError &&
      error.code === "unsupported";
    if (KINDS[kind].isTerminal && unsupported) {
      return doubtful(messageOf(error), "exec and repl sessions work");
    }
    return wrong(messageOf(error));
  }
}

/** Ends and removes what is left of a trial, even of one that timed out. */
export async function endTrial(kind: Kind, root: string): Promise<void> {
  const paths = pathsFor(`trial-${kind}`, { root });
  if (!exists(paths.dir)) return;
  // Nobody else knows this session or uses its id.
  const isStill = () => true;
  const kill = { signalNumber: SIGNALS.KILL!, graceMs: 0, evenReaper: true };
  await endProcesses(paths, { ...kill, isStill });
  remove(paths.dir);
}

function wrong(why: string): Finding {
  return bad(
    why,
    "check the lines above; if they are fine, report this with the output of: codex-session doctor --json",
  );
}
