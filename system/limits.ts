/**
 * The limits that the system sets this process.
 *
 * @module
 */
import { readsProc } from "./files.ts";
import { readSystemFile } from "./libc.ts";

/** A limit by its name in `/proc/self/limits`; `Infinity` if there is none, or it can't be read. */
export function limitOf(name: string): number {
  if (!readsProc()) return Infinity;
  const text = readSystemFile("/proc/self/limits") ?? "";
  const value = new RegExp(`^${name} +(\\S+)`, "m").exec(text)?.[1];
  return value === undefined || value === "unlimited"
    ? Infinity
    : Number(value);
}

/** What Deno itself keeps open, and what comes and goes, in files. */
const RESERVED_FILES = 44;

/**
 * How many sessions this program may work on at the same time, if each holds `files` open; one at
 * least.
 */
export function roomForSessions(files: number): number {
  const left = limitOf("Max open files") - RESERVED_FILES;
  return Math.max(1, Math.floor(left / files));
}
