/**
 * A session's journal, for tests and faults: the product reads only its end, or follows it.
 *
 * @module
 */
import { type JournalEntry, parseEntry } from "../events/journal.ts";
import type { Paths } from "../store.ts";
import { readFile } from "../system/files.ts";

/** More than both of a journal's files may have. */
const MAX_BYTES = 8 * 1024 * 1024;

/** All events that a journal still has, the oldest first. Lines that are none are left out. */
export function readJournal(paths: Pick<Paths, "events">): JournalEntry[] {
  return [`${paths.events}.1`, paths.events]
    .map((path) => readFile(path, MAX_BYTES) ?? "")
    // What follows the last line end is not complete.
    .flatMap((text) => text.split("\n").slice(0, -1))
    .map(parseEntry)
    .filter((entry) => entry !== undefined);
}
