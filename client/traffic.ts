/**
 * When a session last wrote something or was given input, by the times of its files.
 *
 * @module
 */
import type { Paths } from "../store.ts";
import { statOptional } from "../system/files.ts";

/**
 * When a session was started, last wrote something or was last given input, in milliseconds since
 * 1970; and a mark that changes with all of it.
 */
export function lastTraffic(
  paths: Paths,
): { readonly at: number; readonly mark: string } {
  const { dir, pid, stdout, stderr } = paths;
  const files = [pid, stdout, stderr, `${dir}/eof.pipe`, ...inputFiles(paths)]
    .map(statOptional);
  const times = files.map((info) => info?.mtime?.getTime() ?? 0);
  const sizes = files.map((info) => info?.size);
  return { at: Math.max(...times), mark: [...times, ...sizes].join() };
}

/** When a session was last given input, in milliseconds since 1970; before that, when it was made. */
export function lastInputAt(paths: Paths): number {
  const times = inputFiles(paths)
    .map((file) => statOptional(file)?.mtime?.getTime() ?? 0);
  return Math.max(...times);
}

/**
 * A pipe's time is that of the last write, a terminal's socket has that of the last key: its relay
 * sets it.
 */
function inputFiles({ dir, stdin }: Paths): string[] {
  return [stdin, `${dir}/attach.sock`];
}
