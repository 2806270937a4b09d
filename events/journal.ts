/**
 * The journal of a session's events: `events.jsonl`.
 *
 * @module
 */
import type { EventFacts } from "./event.ts";
import { messageOf } from "../errors.ts";
import type { Paths } from "../store.ts";
import { statOptional } from "../system/files.ts";

/**
 * Appends an event, with the time. On a full disk, or without the directory, the event is lost:
 * tells whether it was written.
 */
export function appendEvent(
  paths: Pick<Paths, "events">,
  facts: EventFacts,
  at: Date = new Date(),
): boolean {
  try {
    if (!statOptional(paths.events)?.isFile) return false;
    const line = JSON.stringify({ at: at.toISOString(), ...facts }) + "\n";
    Deno.writeTextFileSync(paths.events, line, { append: true, create: false });
    return true;
  } catch (error) {
    messageOf(error);
    return false;
  }
}
