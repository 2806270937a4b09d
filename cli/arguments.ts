/**
 * The arguments of this process, as bytes: Deno gives text, and replaces what is no UTF-8.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { isGranted } from "../system/files.ts";
import { readSystemBytes } from "../system/libc.ts";

/**
 * Refuses arguments that Deno has changed, so that no command works on another file than it was
 * told to. Without `/proc` or `--allow-ffi` it can't tell. (A compiled binary does not get here:
 * its Deno panics at such an argument.)
 *
 * @throws {ArgumentError} if one is not UTF-8.
 */
export function checkArguments(args: readonly string[]): void {
  const at = args.findIndex((arg) => arg.includes("\ufffd"));
  if (at < 0 || !isGranted({ name: "ffi" })) return;
  const bytes = readSystemBytes("/proc/self/cmdline");
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes ?? undefined);
  } catch {
    throw new ArgumentError(
      `Argument ${at + 1} is not UTF-8: Deno can't pass it on unchanged`,
    );
  }
}
