/**
 * Waiting for an agent that has just started: what is typed before it draws its prompt is lost in
 * part. Claude Code keeps the text and drops the Enter.
 *
 * @module
 */
import { agentOf } from "../events/conversation.ts";
import { readTold } from "../events/status_file.ts";
import { isLive, type Meta, type Paths, readState } from "../store.ts";
import { sleep } from "../system/async.ts";

/** How old a session is at most that may still be starting. */
const YOUNG_MS = 20_000;
/** How long is waited at most: an agent that shows another dialog first tells nothing. */
const MOST_MS = 10_000;
/** How long its first status must stay. Codex tells `idle`, `working`, `idle` within 150 ms. */
const SETTLED_MS = 300;
const LOOK_MS = 50;

/** What {@linkcode waitUntilReady} needs to know of a session. */
export interface Starting {
  readonly paths: Paths;
  readonly meta: Meta | null;
  readonly createdAt: Date;
}

/** Options of {@linkcode waitUntilReady}. */
export interface ReadyOptions {
  /** The longest time to wait, in milliseconds. @default {10000} */
  readonly timeoutMs?: number | undefined;
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until the agent of a session that has just been created tells its terminal what it is
 * doing: then it takes input. Returns at once for an older session, and for an agent that isn't
 * known to tell; after ten seconds in any case.
 *
 * @throws the signal's reason, once it is aborted.
 */
export async function waitUntilReady(
  { paths, meta, createdAt }: Starting,
  { timeoutMs = MOST_MS, signal }: ReadyOptions = {},
): Promise<void> {
  const ageMs = Date.now() - createdAt.getTime();
  if (ageMs < 0 || ageMs > YOUNG_MS) return;
  if (agentOf(meta)?.tellsTerminal !== true) return;
  const deadline = performance.now() + Math.min(timeoutMs, MOST_MS);
  while (!hasSettled(paths) && performance.now() < deadline) {
    await sleep(LOOK_MS, signal);
  }
}

/** Tells whether an agent has told something that has stayed, or has ended. */
function hasSettled(paths: Paths): boolean {
  const times = readTold(paths)?.records.map(({ since }) => since) ?? [];
  if (times.length === 0) return !isLive(readState(paths));
  return Math.abs(Date.now() - Math.max(...times)) >= SETTLED_MS;
}
