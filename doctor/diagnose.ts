/**
 * Checks that this machine has what sessions need.
 *
 * Each check has a time limit, and none throws: an unexpected failure is a finding of its own.
 * Nothing is left behind, not even a root that did not exist before.
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
import {
  checkOptions,
  checkStrings,
  messageOf,
  SessionError,
} from "../errors.ts";
import { bad, type Finding, type FindingStatus } from "./finding.ts";
import { join } from "../std.ts";
import { exists } from "../system/files.ts";
import { KIND_NAMES, openRoot, type RootOptions } from "../store.ts";
import { startTimer } from "../system/async.ts";

/** The finding of a check, with its name. */
export interface Diagnosis {
  /** The name of the check. */
  readonly check: string;
  /** `ok`; `warning`: sessions work, but something can be lost; `error`: sessions don't work. */
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
 * Checks everything that sessions need: the C library, the shell, the state directory and its
 * file system, limits, the login manager, the existing sessions. Runs a throwaway session of
 * each kind, start to finish. Never throws for a finding; a check may have several. Needs all
 * permissions; a missing one is a finding.
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
  checkOptions(options, { timeoutMs: "number" });
  const { timeoutMs = 30_000, relayCommand } = options;
  if (relayCommand !== undefined) checkStrings("relayCommand", relayCommand);
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
  // Without a writable root there is nothing more to try.
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

/** Runs a check with a time limit; a failure or a timeout is a finding, too. */
export async function bounded(
  work: Work,
  timeoutMs: number,
): Promise<Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<Finding>();
  const message = `no answer within ${timeoutMs} ms`;
  const found = bad(message, "check whether the machine or a disk hangs");
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
    return bad(`Deno lacks a permission: ${message}`, "run it with -A");
  }
  return bad(
    message,
    error instanceof SessionError && error.code === "root_unusable"
      ? "choose another directory in CODEX_SESSION_HOME"
      : "report this unexpected error",
  );
}
