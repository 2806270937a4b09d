/**
 * Things that can stand in the place of a session's file, made by shell commands.
 *
 * @module
 */

/** Shell commands that make a replacement; `$1` is the path, `$2` the world's folder. */
export const REPLACEMENTS: Readonly<Record<string, string>> = {
  "link to a file": 'ln -s "$2/outside/file" "$1"',
  "dangling link": 'ln -s "$2/outside/nothing" "$1"',
  "link to itself": 'ln -s "$1" "$1"',
  "link to zeros": 'ln -s /dev/zero "$1"',
  "pipe": 'mkfifo "$1"',
  "link to a pipe": 'mkfifo "$2/canary.fifo"; ln -s "$2/canary.fifo" "$1"',
  "folder": 'mkdir "$1"; echo x >"$1/x"',
  "nothing": ":",
  "garbage": 'head -c 100000 /dev/urandom >"$1"',
};

/** Runs a script of `/bin/sh` with arguments; fails if the script does. */
export async function shell(
  script: string,
  ...args: string[]
): Promise<void> {
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", ...args],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
