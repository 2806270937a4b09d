/**
 * What sessions need on this machine, and whether it is there.
 *
 * Each check is bounded in time, and none of them throws: what goes wrong unexpectedly is
 * an error line of its own. Nothing is left behind, not even a root that did not exist.
 *
 * @module
 */
import {
  checkEvents,
  checkFileSystem,
  checkRoot,
  checkSessions,
  checkSocketPath,
  checkSpace,
  TrialPlace,
} from "./state_dir.ts";
import {
  checkAgents,
  checkDeno,
  checkLibc,
  checkLogin,
  checkOpenFiles,
  checkProcessLimits,
  checkProcessTable,
  checkShell,
} from "./machine.ts";
import { endTrial, trySession } from "./trial.ts";
import { messageOf, SessionError } from "../errors.ts";
import { bad, type Finding, type FindingStatus } from "./finding.ts";
import { join } from "../std.ts";
import { exists } from "../system/files.ts";
import { KIND_NAMES, openRoot, type RootOptions } from "../store.ts";
import { startTimer } from "../system/async.ts";

/** What one check has found. */
export interface Diagnosis {
  /** What was looked at. */
  readonly check: string;
  /** `ok`; `warning`: sessions work, but something can be lost; `error`: they don't work. */
  readonly status: FindingStatus;
  /** What was found, in one line. */
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** Options of {@linkcode diagnose}. */
export interface DiagnoseOptions extends RootOptions {
  /**
   * What starts the relay of a terminal, as for `createSession`.
   *
   * @default {undefined}
   */
  readonly relayCommand?: readonly string[];
  /**
   * How long one check may take, in milliseconds.
   *
   * @default {30000}
   */
  readonly timeoutMs?: number;
}

type Work = () => Finding | Finding[] | Promise<Finding | Finding[]>;

/**
 * Looks at everything that sessions need: the C library, the shell, the state directory
 * and its file system, limits, the login manager, the sessions that are there; and sees a
 * throw-away session of each kind through. Never throws for what it finds; a check may
 * have several findings. Needs all permissions; a missing one is an error that it finds.
 *
 * @throws {RangeError} if the time is not positive.
 *
 * @example
 * ```ts
 * import { diagnose } from "./mod.ts";
 * for (const { check, status, message } of await diagnose()) {
 *   if (status !== "ok") console.log(check, message);
 * }
 * ```
 */
export async function diagnose(
  options: DiagnoseOptions = {},
): Promise<Diagnosis[]> {
  const { timeoutMs = 30_000, relayCommand } = options;
  if (!(timeoutMs > 0)) {
    throw new RangeError(`timeoutMs must be positive, got ${timeoutMs}`);
  }
  const diagnoses: Diagnosis[] = [];
  const check = async (name: string, work: Work) => {
    const found = await bounded(work, timeoutMs);
    diagnoses.push(...found.map((finding) => ({ check: name, ...finding })));
  };
  await check("deno", checkDeno);
  await check("libc", checkLibc);
  await check("shell", checkShell);
  await check("process table", checkProcessTable);
  await check("process limit", checkProcessLimits);
  await check("open files", checkOpenFiles);
  await check("login manager", checkLogin);
  await check("agents", checkAgents);
  let tried: { readonly root: string; readonly place: TrialPlace } | undefined;
  await check("state directory", () => {
    const root = openRoot(options);
    const isNew = !exists(root);
    tried = { root, place: new TrialPlace(root) };
    return checkRoot(root, isNew);
  });
  // Where nothing can be written, there is nothing more to try.
  if (tried === undefined) return diagnoses;
  const { root, place } = tried;
  using _ = place;
  await check("file system", () => checkFileSystem(place));
  await check("free space", () => checkSpace(place));
  await check("events", () => checkEvents(place));
  for (const kind of KIND_NAMES) {
    const dir = join(place.dir, "trial");
    const work = () => trySession(kind, dir, { relayCommand });
    await check(`${kind} session`, work);
    await check(`${kind} session`, async () => {
      await endTrial(kind, dir);
      return [];
    });
  }
  await check("socket paths", () => checkSocketPath(root));
  await check("sessions", () => checkSessions(root));
  return diagnoses;
}

/** What a check finds, in time; what goes wrong, or takes longer, is an error that it finds. */
export async function bounded(
  work: Work,
  timeoutMs: number,
): Promise<Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<Finding>();
  const message = `no answer within ${timeoutMs} ms`;
  const found = bad(message, "see whether the machine or a disk hangs");
  using _ = startTimer(timeoutMs, () => resolve(found));
  try {
    return [await Promise.race([(async () => await work())(), late])].flat();
  } catch (error) {
    return [failure(error)];
  }
}

function failure(error: unknown): Finding {
  const message = messageOf(error);
  if (error instanceof Deno.errors.NotCapable) {
    return bad(`Deno's permission is missing: ${message}`, "run it with -A");
  }
  return bad(
    message,
    error instanceof SessionError && error.code === "root_unusable"
      ? "choose another directory in CODEX_SESSION_HOME"
      : "report it: this was not expected",
  );
}
