/**
 * Creates, deletes and prunes sessions with a few ids, at random, for a while. `storms.ts`
 * runs several of this program at the same time.
 *
 *     storm_ids_main.ts ROOT DIARIES SEED MILLISECONDS peace|force
 *
 * Each agent writes a diary of its own: a line when it starts, and one when it ends by itself.
 * In `peace` nothing is stopped or deleted by force, so every agent must end by itself.
 *
 * @module
 */
import {
  createSession,
  deleteSession,
  pruneSessions,
  SessionError,
  stopSession,
} from "../mod.ts";
import { Random } from "./fault.ts";

const [root = "", diaries = "", seed = "", ms = "", mode = ""] = Deno.args;
const random = new Random(Number(seed));
const end = performance.now() + Number(ms);
const IDS = ["a", "b", "c"];

// $1 the diary, $2 seconds.
const AGENT = 'echo start >"$1"; sleep "$2"; echo end >>"$1"';

async function create(): Promise<void> {
  const name = `${diaries}/${seed}-${crypto.randomUUID()}`;
  const seconds = random.pick(["0", "0.01", "0.03", "0.1"]);
  const command = random.below(6) === 0
    ? ["/nonexistent"]
    : ["/bin/sh", "-c", AGENT, "sh", name, seconds];
  const options = { root, id: random.pick(IDS), command };
  await createSession({ ...options, rm: random.below(4) === 0 });
}

const WORK: Readonly<Record<string, () => Promise<unknown>>> = {
  create,
  create2: create,
  create3: create,
  delete: () => deleteSession(random.pick(IDS), { root }),
  delete2: () => deleteSession(random.pick(IDS), { root }),
  prune: () => pruneSessions({ root }),
  ...(mode === "force"
    ? {
      force: () =>
        deleteSession(random.pick(IDS), { root, force: true, graceMs: 50 }),
      stop: () => stopSession(random.pick(IDS), { root, graceMs: 50 }),
    }
    : {}),
};

const expected = [
  ...["exists", "not_found", "wrong_state", "program_not_found"],
  // Another program deleted it by force while it started.
  ...(mode === "force" ? ["spawn_failed", "timeout"] : []),
];

async function worker(): Promise<void> {
  while (performance.now() < end) {
    const [name, work] = random.pick(Object.entries(WORK));
    try {
      await work();
    } catch (error) {
      if (error instanceof SessionError && expected.includes(error.code)) {
        continue;
      }
      console.log(`${name}: ${error instanceof Error ? error.stack : error}`);
    }
  }
}

await Promise.all([worker(), worker(), worker()]);
Deno.exit(0);
